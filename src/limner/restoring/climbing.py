"""Restoring by climbing in the codes of a generator: which of its pictures would have been measured like this?

The goal is the log of the posterior, log p(z) - |A G(z) - y|² / 2s² (Bora et al. 2017, eq. 3, where the weight of the
prior is chosen). Further answers come from the same climb with noise added to y and to the middle of the prior
(randomise, then optimise): for a linear generator and Gaussian noise they are samples of the posterior exactly
(Bardsley et al. 2014), for others about; several starts are what finds them.

Starts that fall behind are given up, and an answer that gains no more is done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.rng import generator as random_of
from limner.explore.climb import Precision, Standing, Stop, climb
from limner.explore.halving import Halving
from limner.explore.spaces import Space, space, starts
from limner.goals.base import Goal, Scene, View
from limner.operators.base import Operator
from limner.restoring.cases import Answer, Case, Tick, part

TRIES = 5
"""Values that are tried of what is Unknown."""


@dataclass(frozen=True)
class ByClimbing:
    """Restores by a generator.

    scene: the model
    samples: answers for each picture: the likeliest, then others
    starts: climbs for each answer, of which the best counts
    steps: of each climb, at most
    fit: how far, at a pixel, the generator's best picture is expected to be off, in the [-1, 1] range
    optimizer: what climbs
    estimate: the likeliest of the starts' ends, or their mean, weighted by how likely they are, which is nearer on
        average where a measurement leaves much open, and less sharp
    halving: which starts are given up for better ones; none to climb all to the end, as `estimate="mean"` always does
    stop: when a climb ends before its last step
    shared: steps that all answers to a picture climb together, before each goes on from those points that suit its own
        noise; 0 for starts of their own, which finds more different answers
    precision: of the first four fifths of a climb; bf16 saves nearly half the time
    at_once: cases in one batch
    """

    scene: Scene
    samples: int = 4
    starts: int = 8
    steps: int = 100
    fit: float = 0.2
    optimizer: str = "LBFGS"
    estimate: Literal["likeliest", "mean"] = "likeliest"
    halving: Halving | None = Halving()
    stop: Stop | None = Stop(patience=8)
    shared: int = 0
    precision: Precision = "fp32"
    at_once: int = 16

    @property
    def channels(self) -> int:
        """Of the generator's pictures."""
        return self.scene.generator.image.channels

    def check(self, case: Case) -> None:
        """Raises UserError for a picture of another shape than the generator's."""
        image, channels = self.scene.generator.image, case.seen.shape[1]
        if case.seen.shape[2:] == (image.height, image.width) and {channels, image.channels} == {1, 3}:
            given, own = ("in colour", "grey") if channels == 3 else ("grey", "in colour")
            raise UserError(f"{case.name}: is {given} and this model is {own}; give --fit crop, which makes it {own}")
        if case.seen.shape[1:] != (image.channels, image.height, image.width):
            given = "×".join(map(str, case.seen.shape[2:]))
            raise UserError(
                f"{case.name}: is {given} with {channels} channels, and this model makes {image}; "
                "give --fit crop, pad or tile"
            )

    def __call__(self, cases: Sequence[Case], tick: Tick | None = None) -> list[Answer]:
        within = space(self.scene)
        for case in cases:
            self.check(case)
        shares = torch.linspace(0, 1, TRIES).tolist() if any(c.operator.unknown for c in cases) else [0.5]
        tried: list[tuple[Float[Tensor, " cases"], Float[Tensor, "cases samples c h w"]]] = []
        for k, share in enumerate(shares):
            tried.append(self._climbed(within, cases, share, part(tick, k, 1, len(shares))))
        best = torch.stack([values for values, _ in tried]).argmax(0)
        return [Answer(tried[int(k)][1][i]) for i, k in enumerate(best)]

    def _climbed(
        self, within: Space, cases: Sequence[Case], share: float, tick: Tick
    ) -> tuple[Float[Tensor, " cases"], Float[Tensor, "cases samples c h w"]]:
        """How likely the likeliest answer to each case is, and the answers."""
        told = [case.operator.settled(share) for case in cases]
        home = next(self.scene.generator.parameters())
        goal = posterior(cases, told, within, self.samples, self.fit, home)
        numbers = [case.number * self.samples + k for case in cases for k in range(self.samples)]
        rule: dict[str, Any] = {"optimizer": self.optimizer, "precision": self.precision, "seed": cases[0].seed}
        halving = self.halving if self.estimate == "likeliest" else None
        begin = starts(within, "prior", numbers, self.starts, seed=cases[0].seed)
        if self.shared and self.samples > 1:
            first = posterior(cases, told, within, 1, self.fit, home)
            begin = self._together(within, first, begin[:: self.samples], numbers[:: self.samples], rule)
            halving = halving and replace(halving, first=0)
        standing = None
        for standing in climb(
            within, goal, begin, steps=self.steps, numbers=numbers, stop=self.stop, halving=halving, **rule
        ):
            tick(standing.step / self.steps)
        tick(1.0)
        assert standing is not None
        rows = torch.arange(len(numbers), device=standing.winner.device)
        x = self._estimated(within, standing)
        values = standing.best[rows, standing.winner].unflatten(0, (-1, self.samples))[:, 0]
        return values.cpu() + goal.normaliser[:: self.samples], x.unflatten(0, (-1, self.samples)).cpu()

    def _together(
        self, within: Space, goal: Goal, begin: Float[Tensor, "b r d"], numbers: list[int], rule: dict[str, Any]
    ) -> Float[Tensor, "answers r d"]:
        """Where each answer's starts are after the first steps, which are the same for all answers to a picture."""
        *_, standing = climb(within, goal, begin, steps=self.shared, numbers=numbers, **rule)
        return standing.codes.repeat_interleave(self.samples, 0)

    @torch.no_grad()
    def _estimated(self, within: Space, standing: Standing) -> Float[Tensor, "b c h w"]:
        """The picture that is answered for each target."""
        if self.estimate == "likeliest":
            return within.decode(standing.answer)
        return torch.einsum("br,brchw->bchw", standing.best.softmax(1), standing.pictures())


@dataclass(frozen=True, eq=False)
class Posterior(Goal):
    """Log-density of codes given measurements, up to a constant.

    y: what each target was measured as, flat
    middles: where the prior of each target is
    operators: what measured each
    sigma: standard deviation of each one's measurement around what the generator would give
    """

    y: list[Tensor]
    middles: Float[Tensor, "b d"]
    operators: list[Operator]
    sigma: list[float]

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        return self._prior(view) - self._misfit(view)

    @property
    def normaliser(self) -> Float[Tensor, " b"]:
        """-log σ for each number of a measurement, so that operators with other σ can be compared."""
        return torch.tensor([-y.numel() * math.log(s) for y, s in zip(self.y, self.sigma, strict=True)])

    def _prior(self, view: View) -> Float[Tensor, " n"]:
        if isinstance(view.latent, Gaussian):
            return -(view.z - self.middles[view.item]).square().sum(1) / 2
        try:
            return view.latent.log_density(view.z)
        except UserError:
            return -view.latent.surprise(view.z)

    def _misfit(self, view: View) -> Float[Tensor, " n"]:
        """Half the squared distance in units of sigma; rows with one operator are measured together."""
        parts: list[Tensor] = []
        items = view.item.tolist()
        first = 0
        while first < len(items):
            operator, last = self.operators[items[first]], first
            while last < len(items) and self.operators[items[last]] == operator:
                last += 1
            here = items[first:last]
            y = torch.stack([self.y[k] for k in here])
            sigma = torch.tensor([self.sigma[k] for k in here]).to(y)
            parts.append((operator.measure(view.x[first:last]).flatten(1) - y).square().sum(1) / (2 * sigma**2))
            first = last
        return torch.cat(parts)


def posterior(
    cases: Sequence[Case], told: list[Operator], within: Space, samples: int, fit: float, home: Tensor
) -> Posterior:
    """The goal for each case's answers: the first unperturbed, each other one with noise of its own."""
    y: list[Tensor] = []
    middles: list[Tensor] = []
    sigma: list[float] = []
    for case, operator in zip(cases, told, strict=True):
        spread = (operator.deviation**2 + (fit * gain(operator, case)) ** 2) ** 0.5
        for k in range(samples):
            rng = random_of(case.seed, case.number, f"answer {k}")
            noisy = k > 0
            y.append((case.y[0] + noisy * spread * torch.randn(case.y[0].shape, generator=rng)).flatten().to(home))
            middles.append(noisy * torch.randn(within.latent.dim, generator=rng))
            sigma.append(max(spread, 1e-3))
    return Posterior(y, torch.stack(middles).to(home), [o for o in told for _ in range(samples)], sigma)


def gain(operator: Operator, case: Case) -> float:
    """How large, in a measurement, an independent error of size 1 at every pixel becomes."""
    error = torch.randn(case.seen.shape, generator=random_of(0, 0, "gain"))
    zero = torch.zeros_like(case.seen)
    return (operator.measure(zero + 0.1 * error) - operator.measure(zero)).square().mean().sqrt().item() / 0.1
