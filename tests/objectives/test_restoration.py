"""Restorers in training: pairs row by row, exact resumption, a planted damage undone, held-out scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from limner.core.errors import UserError
from limner.core.events import Scores
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.data.batches import Batch
from limner.models.restorer import RestoringTranslator
from limner.objectives.restoration import Restoration
from limner.operators.base import Unknown
from limner.operators.mask import Mask
from limner.operators.noise import Noise
from limner.operators.resample import Downsample
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train
from limner.translations import watch_translations

IMAGE = Image(1, 16, 16)


def planted(nimg: int, n: int = 8) -> torch.Tensor:
    """Discs of one brightness on another, somewhere."""
    rng = generator(0, nimg, "planted")
    place, at = torch.rand(n, 4, 1, 1, generator=rng), torch.arange(16.0)
    inside = (at[:, None] - 4 - 8 * place[:, 0]).square() + (at - 4 - 8 * place[:, 1]).square() < 16
    return torch.where(inside, 0.2 + 0.7 * place[:, 2], -0.2 - 0.7 * place[:, 3])[:, None]


class Discs:
    def at(self, nimg: int, rows: slice | None = None) -> Batch:
        return Batch(planted(nimg)[rows or slice(None)], None)


def run_of(objective: Restoration, **more: Any) -> Run:
    net = RestoringTranslator(IMAGE, width=8, widest=8, depth=1, blocks=1)
    return Run(**({"objective": objective, "nets": {"translator": net}, "batch": 8, "average": 50.0} | more))


def test_a_row_depends_on_its_own_seed_alone() -> None:
    objective = Restoration(Noise(Unknown(0.0, 0.4)) @ Mask(random=0.5), crop=8)
    x, seeds = planted(0), list(range(8))
    whole = objective.pairs(x, seeds)
    parts = [objective.pairs(x[k : k + 2], seeds[k : k + 2]) for k in range(0, 8, 2)]
    assert torch.equal(whole.x, torch.cat([p.x for p in parts])) and whole.x.shape == (8, 1, 8, 8)
    assert torch.equal(whole.other, torch.cat([p.other for p in parts]))
    noise = (whole.x - whole.other).flatten(1).std(1)
    assert noise.max() > 1.5 * noise.min(), "each picture has a level of its own"
    small = Restoration(Downsample(4), crop=0, turned=False).pairs(x, seeds)
    assert small.x.shape == x.shape and torch.equal(small.other, x)


def test_two_halves_of_a_batch_are_one_batch() -> None:
    from limner.core.moment import Moment

    objective, nets = Restoration(Noise(0.2), crop=8), State(run_of(Restoration()), torch.device("cpu")).nets
    terms = []
    for rows in (slice(None), slice(0, 4), slice(4, 8)):
        at = Moment(0, 0.0, generator(0, 0, "t"), 8, rows)
        terms.append(objective.loss("translator", nets, Batch(planted(0)[rows], None), at)["distance"])
    torch.testing.assert_close(torch.cat(terms[1:]), terms[0])


def test_resumes_exactly() -> None:
    run = run_of(Restoration(Noise(Unknown(0.1, 0.3)), crop=8))
    one, again = State(run, torch.device("cpu")), State(run, torch.device("cpu"))
    for _ in train(one, run, Discs(), until=Budget(images=40)):
        pass
    events = train(again, run, Discs(), until=Budget(images=40))
    next(events), next(events)
    events.close()
    other = State(run, torch.device("cpu"))
    other.load(again.tree())
    assert 0 < other.nimg < 40
    for _ in train(other, run, Discs(), until=Budget(images=40)):
        pass
    for a, b in zip(one.nets.parameters(), other.nets.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "gain"), [(Noise(0.3), 3.0), (Mask(random=0.5), 3.0)], ids=str)
def test_it_learns_to_undo_a_planted_damage(damage: Any, gain: float) -> None:
    """Discs after two thousand of them: decibels over what was seen, and the held-out score says so."""
    run = run_of(Restoration(damage, crop=0, turned=False))
    run = replace(run, players={})
    state = State(run, torch.device("cpu"))
    shown = run.objective.shown(Discs().at(1_000_000), generator(0, 0, "shown"))
    scores: list[Scores] = []
    for event in watch_translations(
        train(state, run, Discs(), until=Budget(images=2400), looks=2), state, lambda: shown
    ):
        scores += [event] if isinstance(event, Scores) else []
    seen = 10 * (4 / (shown.x - shown.other).square().flatten(1).mean(1)).log10().mean().item()
    assert scores[-1].values["PSNR"] > seen + gain
    assert scores[-1].score == scores[-1].values["mean absolute error"]


def test_the_damage_is_told_in_the_recipe() -> None:
    run = plan("restorer", Facts(Image(3, 64, 64), 100, 0, "cpu"), ("damage=Downsample(4) @ Blur(1.5)",))
    damage = run["objective"]["damage"]
    assert damage["is"] == "Composed" and damage["inner"]["sigma"] == 1.5
    with pytest.raises(UserError, match="did you mean Noise"):
        plan("restorer", Facts(Image(3, 64, 64), 100, 0, "cpu"), ("damage=Noyse(1)",))
    with pytest.raises(UserError, match="crop"):
        Restoration(crop=-1)


def test_any_size_is_taken_and_nothing_is_cut() -> None:
    torch.manual_seed(0)
    net = RestoringTranslator(Image(3, 8, 8), width=8)
    for shape in ((1, 3, 1, 1), (2, 3, 5, 31), (1, 3, 16, 24)):
        x = torch.rand(shape) * 2 - 1
        assert net(x).shape == x.shape
