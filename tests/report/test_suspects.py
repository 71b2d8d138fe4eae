"""Copies of training pictures are found, held-out pictures are not accused."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.metrics.base import Extractor
from limner.report.suspects import Search, all_of_one_kind, nearest

from .conftest import pictures


@dataclass(frozen=True)
class Flat(Extractor):
    """The pixels themselves."""

    name: str = "pixels"
    digest: str = "0"  # type: ignore[assignment]

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1).float()


def test_nearest_is_what_a_loop_finds() -> None:
    rng = torch.Generator().manual_seed(0)
    x, ground = torch.randn(30, 5, generator=rng), torch.randn(70, 5, generator=rng)
    found = [pair for pair in nearest(x, ground, 3)]
    d, at = torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
    for k in range(30):
        all_of = [(float((x[k] - g).square().sum().sqrt()), j) for j, g in enumerate(ground)]
        best = sorted(all_of)[:3]
        assert at[k].tolist() == [j for _, j in best]
        assert d[k].tolist() == pytest.approx([v for v, _ in best], rel=1e-5)


def test_copies_are_found_and_named() -> None:
    train, held = pictures(1500, 1), pictures(800, 2)
    search = Search(train, held, Flat())
    fresh = pictures(400, 3).pixels.copy()
    _, innocent = search.among(fresh)
    assert not innocent.copies and innocent.low <= 0.05
    fresh[40:80] = train.pixels[:40]
    suspects, share = search.among(fresh)
    assert share.copies and share.value == pytest.approx(0.1 + 0.9 * innocent.value, abs=0.02)
    assert suspects.ratios == (0.0,) * 8
    assert np.array_equal(suspects.pictures, suspects.neighbours[:, 0])
    assert search.controls.ratios[0] > 0


def test_a_few_copies_among_many_are_found() -> None:
    """12 of 400 hardly show in the share, but they are nearer than every control."""
    train = pictures(1500, 1)
    search = Search(train, pictures(800, 2), Flat())
    fresh = pictures(400, 3).pixels.copy()
    fresh[:12] = train.pixels[:12]
    _, share = search.among(fresh)
    assert 12 <= share.beyond < 30 and share.chance < 0.001 and share.copies


def test_chance_of_being_nearest_is_that_of_a_shuffle() -> None:
    assert all_of_one_kind(0, 5, 7) == 1 and all_of_one_kind(6, 5, 7) == 0
    rng = np.random.default_rng(0)
    tries = [(rng.permutation(12)[:3] < 5).all() for _ in range(20_000)]
    assert all_of_one_kind(3, 5, 7) == pytest.approx(np.mean(tries), abs=0.01)


def test_more_training_than_held_out_pictures_accuses_nobody() -> None:
    """The nearest of 40 times as many pictures is nearer by chance; the controls have the same chance."""
    search = Search(pictures(4000, 1), pictures(200, 2), Flat())
    suspects, share = search.among(pictures(100, 3).pixels)
    assert suspects.ratios[0] < 0.95 and not share.copies


def test_false_accusations_are_rare() -> None:
    accused = 0
    for seed in range(60):
        search = Search(pictures(300, 3 * seed), pictures(200, 3 * seed + 1), Flat(), seed)
        accused += search.among(pictures(100, 3 * seed + 2).pixels)[1].copies
    assert accused <= 4


def test_duplicates_in_the_data_are_no_sign() -> None:
    """Every picture is both in training and held out: at distance 0 from both."""
    train = pictures(300, 1)
    search = Search(train, dataclasses.replace(train), Flat())
    assert not search.among(train.pixels[:100])[1].copies
