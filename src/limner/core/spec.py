"""Signature = schema: a class's constructor alone gives its JSON, its flags, its docs row and its tests.

`@register` files a class under its own name. A spec is plain JSON: `{"is": "R1", "gamma": 0.1}`,
nested. `build` makes the thing a spec describes, `spec` is the inverse, and `check` only validates.
The shelf of a kind is the package its base class lives in, so a new file there is found by itself.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from limner.core.errors import UserError, unknown

T = TypeVar("T")
Spec = dict[str, Any]

_classes: dict[str, type] = {}

COMPOSED = "Composed"
"""The class that `A @ B` is short for."""


@dataclass(frozen=True)
class Option:
    """One argument of a registered class: its name, type, default (or `required`) and meaning."""

    name: str
    type: Any
    default: Any
    required: bool
    doc: str


def register(cls: type[T]) -> type[T]:
    """File a class under its own name, which must be free."""
    taken = _classes.setdefault(cls.__name__, cls)
    if (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"the name {cls.__name__} is taken by {taken.__module__}")
    _classes[cls.__name__] = cls
    return cls


def catalog(kind: type[T]) -> dict[str, type[T]]:
    """Every registered class of a kind, by name: `catalog(Game)` → `{"Hinge": Hinge, ...}`."""
    _import_shelf(kind.__module__)
    return {name: cls for name, cls in sorted(_classes.items()) if issubclass(cls, kind)}


def options(cls: type) -> list[Option]:
    """The constructor's arguments, in order."""
    # a dataclass's fields are named in the modules of its ancestors, its __init__ only in its own
    hints = get_type_hints(cls if dataclasses.is_dataclass(cls) else cls.__init__)
    docs = _argument_docs(cls)
    return [
        Option(p.name, hints.get(p.name, Any), _default(cls, p), p.default is p.empty, docs.get(p.name, ""))
        for p in list(inspect.signature(cls).parameters.values())
    ]


def check(given: Any, kind: type, where: str = "") -> Spec:
    """The spec completed with every default, coerced to the declared types.

    `given` is a spec, a name (`"Hinge"`) or a call (`"R1(0.5)"`). Raises UserError naming the option.
    """
    if isinstance(given, str):
        # a kind may have a way of its own to be typed: goals add and scale
        given = getattr(kind, "read", parse)(given)
    if isinstance(given, str):
        given = {"is": given}
    if isinstance(given, kind):
        given = spec(given)
    if not (isinstance(given, dict) and "is" in given):
        raise UserError(f"{where or kind.__name__} takes a {kind.__name__}, not {given!r}")
    known = catalog(kind)
    name = given["is"]
    if name not in known:
        raise unknown(kind.__name__, str(name), known)
    declared = options(known[name])
    values = _named(given, declared, name)
    for key in values:
        if key not in {o.name for o in declared}:
            raise unknown(f"option {f'{where}.{key}'.lstrip('.')} of {name}:", key, (o.name for o in declared))
    done: Spec = {"is": name}
    for option in declared:
        path = f"{where}.{option.name}".lstrip(".")
        if option.name in values:
            done[option.name] = _coerce(values[option.name], option.type, path)
        elif option.required:
            raise UserError(f"{path} of {name} is missing")
        else:
            done[option.name] = spec(option.default)
    return done


def build(given: Any, kind: type[T], **more: Any) -> T:
    """The thing a spec describes: `build({"is": "R1", "gamma": 0.1}, Penalty)` → `R1(gamma=0.1)`.

    `more` are arguments that the caller knows better than the spec (an image size, say).
    """
    if isinstance(given, kind):
        return given
    if more:
        given = (check_name(given) if isinstance(given, str) else dict(given)) | {k: spec(v) for k, v in more.items()}
    return _make(check(given, kind), kind)


def check_name(text: str) -> Spec:
    """`"Hinge"` → `{"is": "Hinge"}`, `"R1(gamma=0.5)"` → `{"is": "R1", "gamma": 0.5}`."""
    value = parse(text)
    return value if isinstance(value, dict) else {"is": value}


def spec(thing: Any) -> Any:
    """The JSON that `build` makes an equal thing from."""
    if isinstance(thing, (list, tuple)):
        return [spec(t) for t in thing]
    if isinstance(thing, dict):
        return {k: spec(v) for k, v in thing.items()}
    if hasattr(thing, "arguments"):
        return {"is": type(thing).__name__} | {k: spec(v) for k, v in thing.arguments.items()}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return {"is": type(thing).__name__} | {
            f.name: spec(getattr(thing, f.name)) for f in dataclasses.fields(thing) if f.init
        }
    return thing


def override(base: Spec, assignment: str, kind: type) -> Spec:
    """`base` with one `path.to.option=value` applied and checked.

    Naming a class (`objective.game=Hinge`) replaces the thing; naming an option changes it in place.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise UserError(f"-o {assignment}: write it as option=value, for example -o batch=64")
    return check(_put(base, path.strip().split("."), parse(text), path), kind)


def parse(text: str) -> Any:
    """A value as people type it: numbers, names, `true`, `none`, `[a, b]`, `Name(1, key=2)`, `A(1) @ B`."""
    try:
        return _literal(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return text


def load_user_file(path: str) -> None:
    """Import a user's own Python file, so that what it registers joins the catalogue."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"--with {path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"--with {path}: {(error.strerror or str(error)).lower()}; give a Python file") from None
    # Named after its content: the copy in a run folder is the same module as the original.
    name = f"limner_user_{hashlib.blake2b(content, digest_size=8).hexdigest()}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UserError(f"--with {path}: not a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"--with {path}: {type(error).__name__}: {error}") from error


@functools.cache
def _import_shelf(module: str) -> None:
    name = module.rpartition(".")[0]
    if "." not in name:  # a kind that an engine defines has no shelf of its own
        return
    package = importlib.import_module(name)
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{found.name}")


def _named(given: Spec, declared: list[Option], name: str) -> Spec:
    """Positional arguments of a typed call, given their names."""
    values = {k: v for k, v in given.items() if k not in ("is", "*")}
    positional = given.get("*", [])
    if len(positional) > len(declared):
        raise UserError(f"{name} takes {len(declared)} values, not {len(positional)}")
    return {o.name: v for o, v in zip(declared, positional, strict=False)} | values


def _make(checked: Any, kind: Any) -> Any:
    """Instantiate a checked spec, innermost first."""
    cls = _classes[checked["is"]]
    arguments = {o.name: _instantiate(checked[o.name], o.type) for o in options(cls)}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Initializing zero-element tensors")  # a width of 0
            return cls(**arguments)
    except (ArithmeticError, ValueError, RuntimeError, UserWarning) as error:
        given = ((o.name, checked[o.name]) for o in options(cls) if checked[o.name] != spec(o.default))
        changed = ", ".join(f"{name}={value}" for name, value in given if not isinstance(value, dict))
        reason = str(error).splitlines()[0]
        raise UserError(f"no {cls.__name__} can be made with {changed or 'its defaults'}: {reason}") from error


def _instantiate(value: Any, type_: Any) -> Any:
    if Spec in (type_, *get_args(type_)):  # what takes a description builds it itself
        return value
    if isinstance(value, dict) and "is" in value:
        return _make(value, type_)
    if isinstance(value, dict):
        inner = (get_args(type_) or (Any, Any))[1]
        return {k: _instantiate(v, inner) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_instantiate(v, Any) for v in value)
    return value


def _coerce(value: Any, type_: Any, where: str) -> Any:
    """`value` as JSON of the declared type, or a UserError that names `where`."""
    origin, args = get_origin(type_), get_args(type_)
    if type_ is Any:
        return spec(value)
    if origin in (Union, types.UnionType):
        return _coerce_any_of(value, args, where)
    if origin is Literal:
        if value in args:
            return value
        raise unknown(f"{where}:", str(value), map(str, args))
    if origin is tuple:
        return _coerce_items(value, args, where)
    if type_ in (dict, Spec) or origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{where} takes named values, not {value!r}")
        inner = args[1] if args else Any
        return {k: _coerce(v, inner, f"{where}.{k}") for k, v in value.items()}
    if type_ in (bool, int, float, str, type(None)):
        return _coerce_plain(value, type_, where)
    return check(value, type_, where)


def _coerce_any_of(value: Any, types_: tuple[Any, ...], where: str) -> Any:
    errors: list[UserError] = []
    for type_ in types_:
        try:
            return _coerce(value, type_, where)
        except UserError as error:
            errors.append(error)
    deepest = max(errors, key=lambda e: str(e).startswith("no "))
    raise deepest


def _coerce_items(value: Any, args: tuple[Any, ...], where: str) -> list[Any]:
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    inner = [args[0]] * len(items) if args[-1] is Ellipsis else list(args)
    if len(inner) != len(items):
        raise UserError(f"{where} takes {len(inner)} values, not {len(items)}")
    return [_coerce(v, t, f"{where}[{i}]") for i, (v, t) in enumerate(zip(items, inner, strict=True))]


def _coerce_plain(value: Any, type_: Any, where: str) -> Any:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "none"}
    if isinstance(value, type_) and not (type_ is int and isinstance(value, bool)):
        return value
    if type_ is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type_ is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type_ is str and isinstance(value, (int, float)):
        return str(value)
    raise UserError(f"{where} takes {names[type_]}, not {value!r}")


def _put(base: Any, path: list[str], value: Any, whole: str) -> Any:
    if not path:
        return value
    if isinstance(base, list) and path[0].isdecimal() and int(path[0]) < len(base):
        index = int(path[0])
        return [*base[:index], _put(base[index], path[1:], value, whole), *base[index + 1 :]]
    if not isinstance(base, dict):
        raise UserError(f"-o {whole}: {path[0]} is an option of something that is not there")
    if len(path) > 1 and path[0] not in base:
        raise unknown(f"option {whole}:", path[0], base)
    return base | {path[0]: _put(base.get(path[0]), path[1:], value, whole)}


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name(id=name):
            return {"true": True, "false": False, "none": None}.get(name.lower(), name)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_literal(inner)
        case ast.List() | ast.Tuple():
            return [_literal(e) for e in node.elts]
        case ast.Call(func=ast.Name(id=name)):
            positional = {"*": [_literal(a) for a in node.args]} if node.args else {}
            return {"is": name} | positional | {str(k.arg): _literal(k.value) for k in node.keywords}
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            return {"is": COMPOSED, "*": [_literal(left), _literal(right)]}
        case _:
            raise ValueError(ast.dump(node))


def _default(cls: type, parameter: inspect.Parameter) -> Any:
    """What the constructor takes when nothing is given; a dataclass shows a mutable one as a factory."""
    fields: dict[str, dataclasses.Field[Any]] = getattr(cls, "__dataclass_fields__", {})
    factory = fields[parameter.name].default_factory if parameter.name in fields else dataclasses.MISSING
    return parameter.default if factory is dataclasses.MISSING else factory()


def _argument_docs(cls: type) -> dict[str, str]:
    """`name: meaning` lines of the class docstring."""
    docs: dict[str, str] = {}
    for line in (cls.__doc__ or "").splitlines():
        name, colon, meaning = line.strip().partition(": ")
        if colon and name.isidentifier():
            docs[name] = meaning.strip()
    return docs
