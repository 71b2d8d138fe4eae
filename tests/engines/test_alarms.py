"""Each trouble, planted in a history, is named when it has been there long enough, with the moment it began."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from limner.alarms import RULES, VISIBLE, ill, raised, worried
from limner.symptoms import label_skill, nearness, repetition

History = list[dict[str, float]]


def well(count: int = 10) -> History:
    """Looks of a healthy run: the distance falls, samples vary, the critic is a little ahead, weights move."""
    return [{"nimg": 1_000.0 * k, "share": 0.05 * k, "score": 0.1 / (1 + k), "kernel distance": 0.1 / (1 + k),
             "error": 0.001, "diversity": 1.0, "coverage": 0.1 * k, "critic gap": 0.05, "critic margin": 0.3,
             "critic spread": 1.0, "nearer": 0.5, "weights of critic": 1.0 + k, "weights of generator": 2.0 + k}
            for k in range(count)]  # fmt: skip


def ending(*last: dict[str, float], before: int = 12) -> History:
    """A healthy history whose newest looks are changed."""
    looks = well(before + len(last))
    return looks[:before] + [look | change for look, change in zip(looks[before:], last, strict=True)]


def score(value: float) -> dict[str, float]:
    return {"score": value, "kernel distance": value}


HALF = {"diversity": 0.3, "coverage": 0.1}
PLANTED: dict[str, tuple[dict[str, float], ...]] = {
    "collapse": (HALF, HALF),
    "worse than untrained": (score(0.2), score(0.3)),
    "coming apart": (score(0.08), score(0.09)),
    "dead critic": ({"critic spread": 0.0},),
    "fooled critic": ({"critic margin": -0.9} | score(0.03), {"critic margin": -0.6} | score(0.03)),
    "standstill": ({}, {"weights of critic": 13.0}),
    "over-fitting": ({"critic gap": 0.9} | score(0.03),) * 3,
    "by heart": ({"critic gap": 0.9}, {"critic gap": 0.8}),
    "memorising": ({"nearer": 0.9}, {"nearer": 0.8}),
    **{name: ({name: limit + 0.5},) * 3 for name, (limit, *_) in VISIBLE.items()},
}


@pytest.mark.parametrize(("kind", "last"), PLANTED.items(), ids=list(PLANTED))
def test_planted_trouble_is_named_when_it_has_lasted(kind: str, last: tuple[dict[str, float], ...]) -> None:
    history = ending(*last)
    assert kind in raised(history)
    assert kind not in raised(history[:-1]), "the look before did not yet say it"
    words = raised(history)[kind]
    if RULES[kind].looks > 1 or kind == "dead critic":
        assert f"since {history[-RULES[kind].looks]['nimg']:,.0f} images" in words
    assert bool(ill(history)) is RULES[kind].curable
    assert worried(history[:-1]) is (RULES[kind].curable and RULES[kind].looks == 2)


@pytest.mark.parametrize(("kind", "last"), PLANTED.items(), ids=list(PLANTED))
def test_an_alarm_is_raised_once(kind: str, last: tuple[dict[str, float], ...]) -> None:
    history = ending(*last)
    again = {**history[-1], "nimg": history[-1]["nimg"] + 500.0, "weights of generator": -1.0}
    assert kind not in raised([*history, again])


def test_a_healthy_history_says_nothing() -> None:
    history = well(20)
    assert all(raised(history[:k]) == {} and not worried(history[:k]) for k in range(1, 21))


def test_untrained_networks_that_paint_one_picture_know_none_by_heart() -> None:
    """All their samples are nearer to the same picture, of whichever kind; later that is learning by heart."""
    early = [look | {"share": 0.0125 * k, "nearer": 1.0} for k, look in enumerate(well(4))]
    assert not any(raised(early[:k]) for k in range(1, 5))
    assert "memorising" in raised([look | {"share": 0.2} for look in early[:2]])


def test_a_critic_whose_samples_look_realer_by_design_is_left_in_peace() -> None:
    """An energy held at half that of pictures, as BEGAN's, while the distance falls."""
    assert not any(raised([look | {"critic margin": -2.0} for look in well(k)]) for k in range(1, 15))


@pytest.mark.parametrize("change", [
    HALF, score(0.3), {"critic margin": -2.0} | score(0.03), {"nearer": 1.0}, {"critic gap": 3.0},
    {"lattice": 40.0}, {"contrast": 9.0, "strength": 9.0},
], ids=str)  # fmt: skip
def test_one_look_is_not_enough(change: dict[str, float]) -> None:
    assert not raised(ending(change))
    assert not raised([*ending(change), well(14)[13]]), "and one that is well again begins the count anew"


def test_what_the_eye_sees_is_left_in_peace_in_the_first_third() -> None:
    """Untrained networks paint lattices and twins, which training does away with."""
    bad = dict.fromkeys(VISIBLE, 50.0)
    early = [look | bad | {"share": 0.33 * k / 9} for k, look in enumerate(well(10))]
    assert not any(raised(early[:k]) for k in range(1, 11))
    late = [look | bad | {"share": 0.4 + 0.01 * k} for k, look in enumerate(well(3))]
    assert set(raised(late)) == set(VISIBLE) and not ill(late)


def test_contrast_is_said_with_its_direction() -> None:
    for strength, word in ((0.4, "too flat"), (2.5, "too strong")):
        assert word in raised(ending(*[{"contrast": 2.5, "strength": strength}] * 3))["contrast"]


def test_no_progress_is_said_a_third_into_the_run() -> None:
    level = [look | score(0.1) for look in well(10)]
    said = [bool(RULES["no progress"].said(level[:k])) for k in range(1, 11)]
    assert said == [look["share"] > 0.33 for look in level]


def test_a_distance_that_is_no_number_is_worse_than_any() -> None:
    assert "worse than untrained" in raised(ending(score(math.nan), score(math.inf)))


def test_facts_about_pictures_are_said_at_the_first_look() -> None:
    looks = well(3)
    bad = [looks[0] | {"repeated": 0.9, "leaked": 0.8, "label skill": -0.3}, *looks[1:]]
    assert set(raised(bad[:1])) == {"doubles", "labels"} and raised(bad) == {}
    good = [looks[0] | {"repeated": 0.02, "leaked": 0.0, "label skill": 30.0}, *looks[1:]]
    assert raised(good[:1]) == {}


def test_histories_of_other_kinds_of_training_are_left_in_peace() -> None:
    """Translators, likelihoods and autoencoders have a score, and no samples, critic or distance."""
    looks: History = [{"nimg": 100.0 * k, "share": 0.1 * k, "score": 5.0 - 0.4 * k} for k in range(10)]
    assert all(not raised(looks[:k]) and not ill(looks[:k]) for k in range(11) if k)
    assert ill([]) == "" and not worried([])


def test_repetition_counts_doubles() -> None:
    x = torch.arange(10.0).view(10, 1, 1, 1)
    assert repetition(x) == 0 and repetition(torch.cat([x, x[:5]])) == 10 / 15
    assert repetition(x, x[5:] + 0) == 0.5 and repetition(x, x + 0.5) == 0


def test_nearness_is_a_toss_up_for_fresh_samples_and_sure_for_copies() -> None:
    rng = torch.Generator().manual_seed(0)
    train, held, fresh = (torch.randn(400, 5, generator=rng) for _ in range(3))
    assert abs(nearness(fresh, train, held[:200]) - 0.5) < 0.12
    assert nearness(train[:200] + 0.01, train, held[:200]) > 0.97


def test_label_skill_tells_true_labels_from_shuffled_ones() -> None:
    rng = torch.Generator().manual_seed(0)

    def drawn(n: int) -> tuple[Any, Any]:
        label = torch.randint(4, (n,), generator=rng)
        return torch.randn(n, 3, generator=rng) + 3.0 * label[:, None], label

    (x, label), (y, asked) = drawn(300), drawn(200)
    assert label_skill(x, label, y, asked) > 10
    shuffled = [label_skill(x, label[torch.randperm(300, generator=rng)], y, asked) for _ in range(50)]
    assert abs(sum(shuffled) / 50) < 0.6 and 0.5 < torch.tensor(shuffled).std() < 1.8
    assert label_skill(x[:40], label[:40], y, asked) == math.inf, "too few to say"
    assert label_skill(x, torch.zeros_like(label), y, asked) == math.inf, "one class"
