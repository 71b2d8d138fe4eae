"""Signs of trouble as numbers: doubles among pictures, labels that say nothing, samples that are nearly pictures."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

ENOUGH = 50
"""Labels below which nothing is said of them."""


def nearness(fake: Tensor, train: Tensor, held: Tensor) -> float:
    """Share of samples nearer to a training image than to any of as many held-out ones: a half where all are alike."""
    n = min(len(train), len(held))
    nearest = [torch.cdist(fake.double(), part[:n].double()).min(1).values for part in (train, held)]
    return float((nearest[0] < nearest[1]).double().mean())


def repetition(x: Tensor, among: Tensor | None = None) -> float:
    """Share of images that occur in `among`, or more than once in `x` itself, pixel for pixel."""
    rows = [row.tobytes() for row in x.flatten(1).cpu().numpy()]
    known = Counter(rows) if among is None else Counter(row.tobytes() for row in among.flatten(1).cpu().numpy())
    least = 2 if among is None else 1
    return sum(known[row] >= least for row in rows) / len(rows)


def label_skill(features: Tensor, label: Tensor, held: Tensor, held_label: Tensor) -> float:
    """Standard errors by which the nearest image's label is right more often than by chance; infinite for few."""
    known, asked = label >= 0, held_label >= 0
    label, held_label = label[known], held_label[asked]
    if len(label) < ENOUGH or len(held_label) < ENOUGH or len(label.unique()) < 2:
        return math.inf
    nearest = torch.cdist(held[asked].double(), features[known].double()).argmin(1)
    n = max(int(label.max()), int(held_label.max())) + 1
    chance = float((label.bincount(minlength=n) / len(label)) @ (held_label.bincount(minlength=n) / len(held_label)))
    right = float((label[nearest] == held_label).double().mean())
    return (right - chance) / math.sqrt(chance * (1 - chance) / len(held_label))
