"""The f-divergence games: their conjugates, their bounds and the density ratios they find, against exact values."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from limner.core.spec import build, catalog
from limner.objectives.base import Game
from limner.objectives.divergences import Divergence
from limner.objectives.gan import GAN
from limner.proofs.base import Bench, Row, proof
from limner.proofs.known import best_critic, judged
from limner.proofs.mixtures import cover

P, Q = (0.0, 1.0), (0.8, 1.1)
"""Mean and standard deviation of the two Gaussians: close enough for either χ² to be finite."""
COVERED = ("JensenShannon", "ForwardKL", "Pearson")
"""Those that are also trained on the mixtures."""
PLAYER = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.002, 0.00002), beta1=0.5, beta2=0.99)"}
NET = {"is": "PlainCritic", "width": 64, "depth": 3}
X = torch.linspace(-9, 10, 40_001, dtype=torch.float64)


def gaussian(mean: float, std: float, u: Tensor) -> Tensor:
    """Quantiles of N(mean, std²)."""
    return mean + std * torch.special.ndtri(u.double().clamp(1e-9, 1 - 1e-9)).float()


def density(mean: float, std: float) -> Tensor:
    """Of N(mean, std²) on X."""
    return (-((X - mean) / std).square() / 2).exp() / (std * math.sqrt(2 * math.pi))


def exact(name: str) -> float:
    """D_f(P‖Q) of the two Gaussians in closed form; Jensen–Shannon, which has none, by quadrature."""
    (a, s), (b, t) = P, Q
    mixed = s * s + t * t
    closed = {
        "ForwardKL": math.log(t / s) + (s * s + (a - b) ** 2) / (2 * t * t) - 0.5,
        "ReverseKL": math.log(s / t) + (t * t + (a - b) ** 2) / (2 * s * s) - 0.5,
        "Pearson": chi_square(a, s, b, t),
        "Neyman": chi_square(b, t, a, s),
        "ImportanceFitting": chi_square(a, s, b, t) / 2,
        "SquaredHellinger": 2 - 2 * math.sqrt(2 * s * t / mixed) * math.exp(-((a - b) ** 2) / (4 * mixed)),
    }
    return closed[name] if name in closed else quadrature(build(name, Divergence))


def chi_square(a: float, s: float, b: float, t: float) -> float:
    """∫ p² / q - 1 for p = N(a, s²), q = N(b, t²)."""
    gap = 2 * t * t - s * s
    return t * t / (s * math.sqrt(gap)) * math.exp((a - b) ** 2 / gap) - 1


def quadrature(divergence: Divergence) -> float:
    """∫ q f(p / q) by the trapezoid rule."""
    p, q = density(*P), density(*Q)
    return float(torch.trapezoid(q * divergence.f(p / q), X))


@proof
def divergences(bench: Bench) -> Iterator[Row]:
    """Seven f-divergences: conjugate laws, bounds and ratios between two Gaussians; three on ring and grid."""
    names = list(catalog(Divergence))
    yield from laws(names)
    trained = bench.pick(names[:1], names)
    for k, name in enumerate(trained):
        for form in ("Variational", "RatioMatching"):
            bench.tick(f"{form}({name})", k / len(trained))
            yield from between_gaussians(bench, form, name)
    if not bench.quick:
        for name in COVERED:
            yield from cover(bench, f"Variational({name})")


def laws(names: list[str]) -> Iterator[Row]:
    """The algebra that makes the games what they are, on grids."""
    every = [build(name, Divergence) for name in names]
    protocol = "float64, 41 points × 400,001 points of the supremum, all seven"
    yield Row("f* against sup (ut - f(u)), largest error", (max(map(conjugate_error, every)),), "", at_most=1e-6,
              published="equal (Nowozin et al. 2016, table 2)", protocol=protocol)  # fmt: skip
    yield Row("f against sup (ut - f*(t)), largest error", (max(map(biconjugate_error, every)),), "", at_most=1e-6,
              published="equal: f is convex", protocol=protocol)  # fmt: skip
    errors = [abs(quadrature(d) / exact(name) - 1) for name, d in zip(names, every, strict=True)]
    yield Row("E_Q f(p/q) against the closed forms, largest relative error", (max(errors),), "", at_most=1e-6,
              published="equal", protocol="N(0, 1) and N(0.8, 1.1²), trapezoid rule, 40,001 points")  # fmt: skip


def conjugate_error(divergence: Divergence) -> float:
    """|f*(t) - sup over u| where T = f'(u) for u from 1/20 to 20."""
    u = torch.linspace(-6, 6, 400_001, dtype=torch.float64).exp()
    t = divergence.slope(torch.linspace(-3, 3, 41, dtype=torch.float64).exp())
    best = torch.stack([(u * each - divergence.f(u)).max() for each in t])
    return float((divergence.conjugate(t) - best).abs().max())


def biconjugate_error(divergence: Divergence) -> float:
    """|f(u) - sup over t| for the same u."""
    u = torch.linspace(-3, 3, 41, dtype=torch.float64).exp()
    t = divergence.slope(torch.linspace(-6, 6, 400_001, dtype=torch.float64).exp())
    best = torch.stack([(each * t - divergence.conjugate(t)).max() for each in u])
    return float((divergence.f(u) - best).abs().max())


def between_gaussians(bench: Bench, form: str, name: str) -> Iterator[Row]:
    """The bound that a trained critic reaches, and its density ratio, integrated over the true densities."""
    divergence, true = build(name, Divergence), exact(name)
    p, q = density(*P), density(*Q)
    bounds, errors = [], []
    for seed in bench.seeds[: bench.pick(1, len(bench.seeds))]:
        gan = GAN(build(f"{form}({name})", Game), ())
        critic = best_critic(gan, lambda u: gaussian(*P, u), lambda u: gaussian(*Q, u), seed=seed,
                             points=bench.pick(200_000, 300_000), player=PLAYER, net=NET)  # fmt: skip
        logit = judged(critic, X)
        v = logit if form == "Variational" else divergence.logit(logit)
        bounds.append(float(torch.trapezoid(p * divergence.activation(v) - q * divergence.cost(v), X)))
        errors.append(100 * float(torch.trapezoid((q * divergence.ratio(v) - p).abs(), X)))
    protocol = f"{bench.pick('0.2', '0.3')} M points, dense critic 3 × 64, bound integrated exactly"
    yield Row(f"{form}({name}), share of the divergence found", tuple(100 * b / true for b in bounds), "%",
              at_least=bench.pick(90.0, 97.0), at_most=100.01, published=f"D = {true:.4f} (closed form or quadrature)",
              protocol=protocol)  # fmt: skip
    yield Row(f"{form}({name}), error of the density ratio, E_Q |r - p/q|", tuple(errors), "%",
              at_most=bench.pick(20.0, 10.0), published="0 at best", protocol=protocol)  # fmt: skip
