"""The part of `limner sample` that asks the critic: Langevin steps in the codes, rejection, and whether it helped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.cli.show import line, progress, remark
from limner.cli.subjects import pictures_of
from limner.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.data.images import Images
    from limner.explore.refine import Effect
    from limner.likeness import Likeness, Told
    from limner.metrics.base import Extractor

BLOCK = 256
MOST_TRIES = 50
"""Times as many samples as are wanted, after which rejection gives up."""
METRICS = ("FrechetDistance", "KernelDistance", "Precision", "Recall")


def refined(
    likeness: Likeness, count: int, seed: int, labels: Told | None, steps: int, rate: float
) -> NDArray[np.uint8]:
    """uint8 (n, h, w, c): the samples that the same seed draws, after Langevin steps by critic and prior."""
    import torch

    from limner.core.pixels import to_bytes
    from limner.core.spec import build
    from limner.explore.refine import refine
    from limner.goals.base import Goal

    scene = likeness.scene
    goal = build("Plausible + LogPrior", Goal)
    z = likeness.codes(count, seed).to(likeness.device)
    parts: list[NDArray[np.uint8]] = []
    with progress("refining") as tick:
        for first in range(0, count, BLOCK):
            rows = slice(first, first + BLOCK)
            told = None if labels is None else torch.from_numpy(labels[rows]).to(likeness.device)
            standing = None
            for standing in refine(scene, goal, z[rows], steps=steps, rate=rate, label=told, seed=seed, first=first):
                done = first + len(z[rows]) * standing.step / max(steps, 1)
                tick(done / count, done)
            assert standing is not None
            parts.append(to_bytes(standing.x[:, 0]))
    import numpy as np

    return np.concatenate(parts)


def accepted(likeness: Likeness, count: int, seed: int, label: str | None) -> tuple[NDArray[np.uint8], Any, float]:
    """The first `count` samples that rejection keeps, what they were told, and the share that was kept."""
    import numpy as np
    import torch

    from limner.core.pixels import to_float
    from limner.explore.refine import kept

    critic = likeness.scene.critic
    pool = BLOCK + MOST_TRIES * count
    z, told = likeness.codes(pool, seed), likeness.labels(pool, seed, label)
    calm: torch.Tensor | None = None
    pictures: list[NDArray[np.uint8]] = []
    rows: list[NDArray[np.int64]] = []
    have, drawn = 0, 0
    with progress("rejecting") as tick, torch.no_grad():
        for first in range(0, pool, BLOCK):
            here = np.arange(first, min(first + BLOCK, pool))
            own = None if told is None else told[here]
            made = likeness.decode(z[here], own)
            given = None if own is None else torch.from_numpy(own).to(likeness.device)
            logits = critic(to_float(made, likeness.device), given).cpu()
            if calm is None:  # the first block only says what is usual
                calm = logits
                continue
            good = kept(logits, calm, seed + first).numpy()
            pictures.append(made[good])
            rows.append(here[good])
            have, drawn = have + len(rows[-1]), drawn + len(here)
            tick(min(have / count, 1.0), first)
            if have >= count:
                break
    if have < count:
        raise UserError(f"--reject: the critic accepts too few, {have} of {drawn:,}; draw without it")
    chosen = np.concatenate(rows)[:count]
    return np.concatenate(pictures)[:count], None if told is None else told[chosen], have / drawn


@dataclass(frozen=True, eq=False)
class Judges:
    """Real pictures, and the features that samples are compared with them by."""

    real: Images
    extractor: Extractor


def judges(likeness: Likeness, against: str | None, features: str) -> Judges | None:
    """Who says whether it helped, if anyone. Raises UserError where there is no critic to ask, or no such pictures."""
    from limner.metrics.features import choose

    _ = likeness.scene.critic
    if against is None:
        return None
    real, train = pictures_of(against, likeness.image, None)
    extractor = choose(features, train or real)
    if why := extractor.biased(likeness.backbones):
        raise UserError(f"--features {features}: {why}")
    return Judges(real, extractor)


def compare(
    likeness: Likeness, before: NDArray[np.uint8], after: NDArray[np.uint8],
    labels: tuple[Told | None, Told | None], by: Judges | None, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """What changed, and whether it helped as far as can be measured."""
    import torch

    from limner.core.pixels import to_float
    from limner.explore.refine import effect

    old, new = (None if said is None else torch.from_numpy(said).to(likeness.device) for said in labels)
    x, y = (to_float(images, likeness.device) for images in (before, after))
    seen: Effect = effect(x, y, likeness.scene, old, new)
    result: dict[str, Any] = {"logit": seen.logit, "diversity": seen.diversity, "warning": seen.warning, "scores": {}}
    if by is not None:
        result["scores"] = _scores(likeness, before, after, by, seed)
        scores = result["scores"]
        far, near = scores.get("FrechetDistance", scores["KernelDistance"])
        result["helped"] = bool(near < far)
    return result


def _scores(
    likeness: Likeness, before: NDArray[np.uint8], after: NDArray[np.uint8], by: Judges, seed: int
) -> dict[str, tuple[float, float]]:
    """Each score before and after, at the same n and features."""
    from limner.evaluate import Scored, evaluate

    n = min(len(before), len(by.real))
    found: list[dict[str, float]] = []
    for images in (before, after):
        *_, last = evaluate(
            lambda first, many, images=images: images[first : first + many],
            by.real, extractor=by.extractor, n=n, metrics=METRICS, seed=seed, device=likeness.device,
        )  # fmt: skip
        assert isinstance(last, Scored)
        found.append({s.metric: s.value for s in last.scores})
    # a Fréchet distance of too few pictures is withheld
    return {name: (found[0][name], found[1][name]) for name in METRICS if name in found[0]}


def say(told: dict[str, Any]) -> None:
    """The comparison in words."""
    line(f"critic's logit   {told['logit'][0]:.3g} before, {told['logit'][1]:.3g} after")
    if told["kept"] is not None:
        line(f"kept             {told['kept']:.0%} of what was drawn")
    for name, (old, new) in told["scores"].items():
        line(f"{name:<16} {old:.4g} before, {new:.4g} after")
    if told["warning"]:
        remark(f"warning: {told['warning']}")
    if "helped" not in told:
        remark("note: whether pictures are better can only be measured with real ones: add --against DATA")
    elif not told["helped"]:
        line("it does not help: the pictures are no nearer to the real ones; draw without it")
