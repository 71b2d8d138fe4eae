"""Labels: class names in an order that is the same for every split, and labels as indices into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError

DENSE = 10_000


def class_names(given: Iterable[str]) -> tuple[str, ...]:
    """Sorted without repeats; numbers by value, so that 10 comes after 9."""
    names = set(given)
    if all(name.removeprefix("-").isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def indices(given: Sequence[str | None], names: Sequence[str]) -> NDArray[np.int64]:
    """Index of each name, -1 for None."""
    where = {name: i for i, name in enumerate(names)}
    return np.array([-1 if name is None else where[name] for name in given], np.int64)


def numbered(given: dict[str, NDArray[Any]], source: str) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """Labels of every split, as they came in an array, with the class names that serve them all.

    Accepts whole numbers (n,) or (n, 1), one-hot rows (n, k) and text; negative numbers mean unlabelled.
    """
    flat = {split: _flat(values, source) for split, values in given.items()}
    every = np.concatenate(list(flat.values())) if flat else np.empty(0, np.int64)
    if every.dtype.kind == "i" and (not every.size or every.max() < DENSE):
        return flat, tuple(str(i) for i in range(int(every.max(initial=-1)) + 1))
    texts = {split: [_text(v) for v in values.tolist()] for split, values in flat.items()}
    names = class_names(text for split in texts.values() for text in split if text is not None)
    return {split: indices(values, names) for split, values in texts.items()}, names


def scaled(
    rows: Sequence[Mapping[str, float]], among: Sequence[Mapping[str, float]]
) -> tuple[NDArray[np.float32], tuple[str, ...], tuple[str, ...]]:
    """Numbers (n, k) in [0, 1], nan where there is none; their names; and what was decided, in plain words.

    A column of `among`, all rows of all splits, that leaves [0, 1] is scaled from its smallest to its largest number.
    """
    names = tuple(dict.fromkeys(name for row in among for name in row))
    table = np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float64).reshape(-1, len(names))
    notes = [f"labels are the numbers {', '.join(names)}"]
    for column, name in enumerate(names):
        low, high = (pick(row[name] for row in among if name in row) for pick in (min, max))
        if low < 0 or high > 1:
            table[:, column] = (table[:, column] - low) / (high - low)
            notes.append(f"{name} {low:g} is told as 0, {high:g} as 1")
    return table.astype(np.float32), names, tuple(notes)


def thinned(
    labels: NDArray[np.int64], among: NDArray[np.int64], keep: int, classes: int, seed: int
) -> NDArray[np.int64]:
    """Labels of which `keep` are left, on images `among`, as many of each class as there can be; the others are -1."""
    order = np.random.default_rng([seed, keep]).permutation(among)
    of_class = [order[labels[order] == k] for k in range(classes)]
    # the first of every class, then the second of every class, and so on
    turns = [rows[rank] for rank in range(max(map(len, of_class), default=0)) for rows in of_class if rank < len(rows)]
    left = np.full_like(labels, -1)
    left[turns[:keep]] = labels[turns[:keep]]
    return left


def repeated(among: NDArray[np.int64], labels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """`among` with its labelled images repeated until they are about a `share` of it."""
    told = labels[among] >= 0
    have, rest = int(told.sum()), int((~told).sum())
    if not have or not rest:
        return among
    times = max(1, round(share / (1 - share) * rest / have))
    return np.concatenate([among[~told], np.tile(among[told], times)])


def _text(value: Any) -> str | None:
    return None if isinstance(value, int) and value < 0 else str(value)


def _flat(values: NDArray[Any], source: str) -> NDArray[Any]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf" and _one_hot(values):
        values = values.argmax(1)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim != 1 or values.dtype.kind not in "biufU":
        raise UserError(f"{source}: labels of shape {values.shape} and type {values.dtype}; give one number a picture")
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise UserError(f"{source}: labels are not whole numbers; give one whole number a picture")
    return np.maximum(values.astype(np.int64), -1)


def _one_hot(values: NDArray[Any]) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all())
