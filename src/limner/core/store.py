"""Files that are whole or absent: training states, model files, digests. No pickles.

A state is a folder: `state.safetensors`, `state.json`, and last a manifest with their digests. It is
written beside its place, synced, and renamed. A model is one safetensors file whose header holds
JSON; loading either never executes code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from limner.core.errors import UserError

MANIFEST = "manifest.json"


def save_state(folder: Path, tree: dict[str, Any]) -> Path:
    """Write nested dicts of tensors and plain values as a folder that is whole or absent."""
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        tensors: dict[str, Tensor] = {}
        plain = _take_tensors(tree, "", tensors)
        _save_tensors(tensors, temporary / "state.safetensors")
        (temporary / "state.json").write_text(json.dumps(plain), "utf-8")
        files = sorted(temporary.iterdir())
        digests = {p.name: bytes_digest(p.read_bytes()) for p in files}
        (temporary / MANIFEST).write_text(json.dumps(digests, indent=1), "utf-8")
        for path in [*files, temporary / MANIFEST, temporary]:
            sync(path)
        if folder.exists():
            remove(folder)
        temporary.replace(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def remove(folder: Path) -> None:
    """Delete a folder; killed on the way, it leaves nothing under its name."""
    doomed = folder.with_name(f".{folder.name}.old.part")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.replace(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def load_state(folder: Path) -> dict[str, Any]:
    """Read a folder that `save_state` wrote. Raises UserError naming the file that is damaged."""
    try:
        digests: dict[str, str] = json.loads((folder / MANIFEST).read_text("utf-8"))
        # Read once and kept: a mapped file that another process cuts short would end this one.
        content = {name: (folder / name).read_bytes() for name in ("state.json", "state.safetensors")}
        for name, read in content.items():
            if bytes_digest(read) != digests[name]:
                raise UserError(f"{folder / name} is damaged: its digest is not the one in {MANIFEST}")
        return _put_tensors(json.loads(content["state.json"]), load(content["state.safetensors"]))
    except (OSError, ValueError, LookupError, AttributeError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder} is not a whole checkpoint: {error}") from error


def save_model(path: Path, header: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    """Write a model file, whole or not at all, with a digest of its header and tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    words = json.dumps(header)
    with replacing(path) as temporary:
        _save_tensors(plain, temporary, {"limner": words, "digest": digest(plain, words)})
    return path


def load_model(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and tensors of a model file. Raises UserError when it is not one, or damaged."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such model file")
    try:
        content = path.read_bytes()
        tensors = load(content)
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); give a model.safetensors that limner train made"
        ) from error
    if "limner" not in metadata:
        raise UserError(f"{path} is a safetensors file but not a Limner model; give one that limner train made")
    if metadata.get("digest") != digest(tensors, metadata["limner"]):
        raise UserError(f"{path} is damaged: its content does not have the digest in its header; copy it again")
    return json.loads(metadata["limner"]), tensors


def digest(tensors: dict[str, Tensor], words: str = "") -> str:
    """Hash of names, types, shapes and bytes, and of some text, 16 hexadecimal digits."""
    total = hashlib.blake2b(words.encode(), digest_size=8)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def bytes_digest(content: bytes) -> str:
    """Hash of a file's content, 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def write_text(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
    return path


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """A file beside `path` to write to; it takes the place of `path` once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """A safetensors file; the disk's refusal is an OSError like any other."""
    # safetensors makes files that only their owner can read; one that is there keeps its mode
    path.touch()
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def _take_tensors(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Plain JSON of a tree; its tensors go to `tensors` under their paths."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous().clone()
        return {"$tensor": path}
    if isinstance(value, dict):
        # JSON has only text keys; optimizers number their parameters.
        numbered = "$numbered" if value and all(isinstance(k, int) for k in value) else "$named"
        return {numbered: {str(k): _take_tensors(v, f"{path}/{k}".lstrip("/"), tensors) for k, v in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_take_tensors(v, f"{path}/{i}".lstrip("/"), tensors) for i, v in enumerate(value)]
    return value


def _put_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "$tensor" in value:
            return tensors[value["$tensor"]]
        if "$numbered" in value:
            return {int(k): _put_tensors(v, tensors) for k, v in value["$numbered"].items()}
        return {k: _put_tensors(v, tensors) for k, v in value["$named"].items()}
    if isinstance(value, list):
        return [_put_tensors(v, tensors) for v in value]
    return value
