"""What can go wrong in a training, as rules over the history of its looks.

A rule reads the newest look of a history for a sign of one trouble; it is said when the sign was there in as many
looks in a row as the rule asks for. Nothing is remembered beside the history, which is part of a training's state: a
run that was interrupted says and does what the other one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

History = list[dict[str, float]]
"""What each look found, from old to new: `nimg`, `share`, `score` and what the monitor measures."""
SURE = 3.0
"""Standard errors by which a distance must have risen to be more than noise."""


@dataclass(frozen=True)
class Rule:
    """One trouble.

    sign: whether the newest look of a history shows it
    words: what was seen, given the history and the images seen when it began
    looks: how many in a row must show it
    curable: whether going back and on at a lower rate may help
    """

    sign: Callable[[History], bool]
    words: Callable[[History, float], str]
    looks: int = 1
    curable: bool = False

    def streak(self, history: History) -> int:
        """How many of the newest looks show the sign in a row."""
        ends = range(len(history), 0, -1)
        return next((len(history) - end for end in ends if not self.sign(history[:end])), len(history))

    def said(self, history: History) -> str:
        """What is wrong in words, or nothing."""
        streak = self.streak(history)
        return self.words(history, history[-streak]["nimg"]) if streak >= self.looks else ""


def raised(history: History) -> dict[str, str]:
    """Kind → words of the alarms that the newest look gives rise to; each is raised when it begins."""
    said = {kind: rule.said(history) for kind, rule in RULES.items()}
    return {kind: words for kind, words in said.items() if words and not RULES[kind].said(history[:-1])}


def worried(history: History) -> bool:
    """Whether the newest look shows a curable trouble that has not been there for long enough to be said."""
    return any(rule.curable and 0 < rule.streak(history) < rule.looks for rule in RULES.values())


def ill(history: History) -> str:
    """Why to go back, in words, or nothing."""
    return next((words for rule in RULES.values() if rule.curable and (words := rule.said(history))), "")


def collapse(history: History) -> bool:
    """Samples that hardly differ and cover little, after a tenth of the run."""
    now = history[-1]
    return now["share"] > 0.1 and now.get("diversity", 1.0) < 0.5 and now["coverage"] < 0.3


def worse_than_untrained(history: History) -> bool:
    """A distance well above that of the untrained networks; after a fifth of the run, one that is not below it."""
    first, now = history[0], history[-1]
    limit = 1.5 * first["score"] + SURE * now.get("error", 0.0) if now["share"] < 0.2 else first["score"]
    return "kernel distance" in now and _number(now) > limit


def came_apart(history: History) -> bool:
    """A distance that had fallen, and is back at a third of where it began and at five times its best."""
    scores = [_number(look) for look in history]
    best, now = min(scores), history[-1]
    floor = max(5 * best + SURE * now.get("error", 0.0), 0.3 * scores[0])
    return "kernel distance" in now and 0.1 * scores[0] > best and scores[-1] > floor


def dead_critic(history: History) -> bool:
    """A critic that says the same of everything."""
    return history[-1]["share"] > 0 and history[-1].get("critic spread", 1.0) < 1e-4


def fooled_critic(history: History) -> bool:
    """A critic that finds samples more real than pictures while they get worse: it has stopped learning."""
    return history[-1].get("critic margin", 0.0) < -0.4 and _risen(history)


def standstill(history: History) -> bool:
    """A player whose weights are to the last bit those of the look before."""
    if len(history) < 2 or history[-1]["nimg"] == history[-2]["nimg"]:
        return False
    before, now = history[-2:]
    return any(now[name] == before.get(name) for name in now if name.startswith("weights of"))


def over_fitting(history: History) -> bool:
    """A critic that knows the training images by heart while the score gets worse."""
    return history[-1].get("critic gap", 0.0) > 0.5 and _risen(history)


def by_heart(history: History) -> bool:
    """A critic that tells training images from held-out ones, whatever the score does."""
    return history[-1].get("critic gap", 0.0) > 0.7


def memorising(history: History) -> bool:
    """Samples nearer to training images than to as many held-out ones, which should be a toss-up, after a tenth."""
    # untrained networks paint one picture, which is nearer to either by chance
    return history[-1]["share"] > 0.1 and history[-1].get("nearer", 0.5) > 0.75


def no_progress(history: History) -> bool:
    """No better than at the very start, a third into the run."""
    late = [_number(look) for look in history if look["share"] > 0.33]
    return len(history) > 3 and bool(late) and min(late) >= 0.7 * history[0]["score"]


def repeated(history: History) -> bool:
    """Training pictures that occur more than once, or among those held out."""
    return max(history[0].get("repeated", 0.0), history[0].get("leaked", 0.0)) > 0.1


def labels_say_nothing(history: History) -> bool:
    """Labels that the nearest training picture guesses no better than chance does."""
    return history[0].get("label skill", math.inf) < 2.0


def visible(name: str, limit: float) -> Callable[[History], bool]:
    """A sign: samples with a fault that the eye sees at once, far beyond that of real pictures, after a third."""
    # untrained networks paint lattices and twins, which training does away with
    return lambda history: history[-1]["share"] > 1 / 3 and history[-1].get(name, 1.0) > limit


def _risen(history: History) -> bool:
    """Whether the distance is above its best by more than noise."""
    now, best = history[-1], min(look.get("kernel distance", math.inf) for look in history)
    # unbiased distances near 0 are noise of either sign
    worse = max(1.3 * best, best + SURE * now.get("error", 0.0))
    return now.get("kernel distance", -math.inf) > worse


def _number(look: dict[str, float]) -> float:
    """A score that is not a number is worse than any."""
    return look["score"] if math.isfinite(look["score"]) else math.inf


def _collapse(history: History, since: float) -> str:
    return (
        f"the samples vary {history[-1]['diversity']:.0%} as much as real images and cover "
        f"{history[-1]['coverage']:.0%} of the held-out ones: the generator is collapsing "
        f"(seen since {since:,.0f} images); try a smaller learning rate or a stronger penalty"
    )


def _worse(history: History, since: float) -> str:
    return (
        f"the distance is {history[-1]['score']:.4g}, more than the {history[0]['score']:.4g} of untrained networks "
        f"(seen since {since:,.0f} images); try a smaller learning rate"
    )


def _apart(history: History, since: float) -> str:
    return (
        f"the distance rose from {min(_number(look) for look in history):.4g} to {history[-1]['score']:.4g}: the "
        f"training comes apart (seen since {since:,.0f} images); try a smaller learning rate or a stronger penalty"
    )


def _dead(history: History, since: float) -> str:
    return (
        f"the critic says the same of every picture (seen since {since:,.0f} images), so the generator learns nothing; "
        "try a smaller learning rate or a weaker penalty"
    )


def _fooled(history: History, since: float) -> str:
    return (
        f"the critic finds samples {-history[-1]['critic margin']:.1f} standard deviations more real than pictures: it "
        f"has stopped learning (seen since {since:,.0f} images); try a higher rate for it, or more of its turns"
    )


def _standstill(history: History, since: float) -> str:
    before, now = history[-2:]
    still = [name.removeprefix("weights of ") for name in now
             if name.startswith("weights of") and now[name] == before.get(name)]  # fmt: skip
    return (
        f"the weights of the {' and the '.join(still)} have not moved between {before['nimg']:,.0f} and "
        f"{now['nimg']:,.0f} images: its rate is 0, or no gradient reaches it"
    )


def _over_fitting(history: History, since: float) -> str:
    best = min(look["kernel distance"] for look in history if "kernel distance" in look)
    return (
        f"the critic finds training images {history[-1]['critic gap']:.1f} standard deviations more real than held-out "
        f"ones, and the distance rose from {best:.4g} to {history[-1]['kernel distance']:.4g}: it is over-fitting "
        f"(seen since {since:,.0f} images); stop here, add data, or -o augment=DiffAugment"
    )


def _by_heart(history: History, since: float) -> str:
    return (
        f"the critic finds training images {history[-1]['critic gap']:.1f} standard deviations more real than held-out "
        f"ones: it knows them by heart (seen since {since:,.0f} images); add data, or -o augment=DiffAugment"
    )


def _memorising(history: History, since: float) -> str:
    return (
        f"{history[-1]['nearer']:.0%} of the samples are nearer to a training picture than to any of as many held-out "
        f"ones, where half would be fair: it learns pictures by heart (seen since {since:,.0f} images); "
        "add data, or -o augment=DiffAugment"
    )


def _no_progress(history: History, since: float) -> str:
    return (
        f"a third of the run is over and the distance is {history[-1]['score']:.4g}, from "
        f"{history[0]['score']:.4g} at the start: nothing is being learned; try a smaller learning rate"
    )


def _repeated(history: History, since: float) -> str:
    return (
        f"{history[0]['repeated']:.0%} of the training pictures occur more than once, and "
        f"{history[0]['leaked']:.0%} of the held-out ones are among them: scores on those say little; "
        "limner check names the doubles"
    )


def _labels(history: History, since: float) -> str:
    return (
        "the labels of held-out pictures are guessed from their nearest training pictures no better than by chance "
        f"({history[0]['label skill']:+.1f} standard errors): are they shuffled? limner check --out shows a row a class"
    )


def _visible(name: str, seen: str, advice: str) -> Callable[[History, float], str]:
    def words(history: History, since: float) -> str:
        now = history[-1]
        said = seen.format("flat" if now.get("strength", 1.0) < 1 else "strong")
        return f"{said} ({name} {now[name]:.1f}, real pictures 1.0; seen since {since:,.0f} images); {advice}"

    return words


VISIBLE = {
    "lattice": (2.5, "a fine grid lies over the samples", "train longer, or at a smaller learning rate"),
    "tiling": (1.5, "samples repeat the same motif every 8 or 16 pixels",
               "train longer, or give the generator more room (-o generator.width=…)"),
    "burnt": (3.0, "whites or blacks of the samples are burnt out",
              "try a stronger penalty or a smaller learning rate"),
    "contrast": (1.6, "the samples are too {}", "try a smaller learning rate, or train longer"),
    "near-twins": (3.0, "some samples are nearly the same as others",
                   "try a stronger penalty, more pictures, or -o augment=DiffAugment"),
}  # fmt: skip
"""Fault → the score beyond which it is said, what is seen, and what to do."""

RULES: dict[str, Rule] = {
    "collapse": Rule(collapse, _collapse, looks=2, curable=True),
    "worse than untrained": Rule(worse_than_untrained, _worse, looks=2, curable=True),
    "coming apart": Rule(came_apart, _apart, looks=2, curable=True),
    "dead critic": Rule(dead_critic, _dead, curable=True),
    "fooled critic": Rule(fooled_critic, _fooled, looks=2, curable=True),
    "standstill": Rule(standstill, _standstill),
    "over-fitting": Rule(over_fitting, _over_fitting, looks=3),
    "by heart": Rule(by_heart, _by_heart, looks=2),
    "memorising": Rule(memorising, _memorising, looks=2),
    "no progress": Rule(no_progress, _no_progress),
    "doubles": Rule(repeated, _repeated),
    "labels": Rule(labels_say_nothing, _labels),
    **{name: Rule(visible(name, limit), _visible(name, seen, advice), looks=3)
       for name, (limit, seen, advice) in VISIBLE.items()},
}  # fmt: skip
"""Alarm kind → rule."""
