"""Operators: the adjoint's law at 200 drawn shapes each, composition, purity, and what each does to known pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.pixels import save_png
from limner.core.spec import build, catalog, check, parse, spec
from limner.operators.base import Composed, Operator, Unknown, as_operator
from limner.operators.blur import Blur
from limner.operators.colour import Grey
from limner.operators.jpeg import Jpeg
from limner.operators.lowlight import GAMMA, LowLight
from limner.operators.mask import Mask
from limner.operators.noise import Noise
from limner.operators.projection import Project
from limner.operators.quantise import Quantise
from limner.operators.resample import Downsample, resized

SHAPES = 200
KINDS: dict[str, Any] = {
    "Mask": [Mask(), Mask(random=0.5), Mask(half="left"), Mask(box=(0.0, 0.1, 0.5, 1.0), half="bottom", random=0.1)],
    "Downsample": [Downsample(2), Downsample(4), Downsample(3, "box"), Downsample(1)],
    "Blur": [Blur(0.4), Blur(1.5), Blur(motion=5, angle=30.0), Blur(Unknown(0.5, 1.0))],
    "Noise": [Noise(), Noise(0.1, "poisson"), Noise(0.1, "salt-and-pepper")],
    "Grey": [Grey()],
    "LowLight": [LowLight(), LowLight(1.0), LowLight(Unknown(0.05, 0.5))],
    "Project": [Project(1), Project(7), Project(40, seed=3)],
    "Jpeg": [Jpeg(), Jpeg(75)],
    "Quantise": [Quantise(), Quantise(2)],
    "Composed": [Downsample(2) @ Blur(0.7), Mask(random=0.3) @ Grey(), Project(5) @ Downsample(2) @ Mask()],
}
EVERY = [pytest.param(one, id=str(one)[:60]) for each in KINDS.values() for one in each]


def drawn(n: int = SHAPES) -> Iterator[Tensor]:
    """Pictures of many shapes, odd ones and single pixels among them."""
    rng, dice = torch.Generator().manual_seed(0), random.Random(0)
    for number in range(n):
        height, width = (1, 1) if number == 0 else (dice.randint(1, 21), dice.randint(1, 21))
        yield (
            torch.rand(dice.randint(1, 3), dice.randint(1, 4), height, width, generator=rng, dtype=torch.float64) * 2
            - 1
        )


def test_every_operator_is_tested() -> None:
    assert set(catalog(Operator)) == set(KINDS)


@pytest.mark.parametrize("operator", EVERY)
def test_the_adjoint_is_the_transpose(operator: Operator) -> None:
    """⟨Ax, y⟩ = ⟨x, Aᵀy⟩; where A is not linear, A is the Jacobian that stands for it."""
    for x in drawn():
        seen = operator.measure(x)
        y = torch.randn(seen.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        back = operator.adjoint(y, x)
        assert back.shape == x.shape
        # the Jacobian of what is straight through is the identity; of what is affine, its linear part
        straight = isinstance(operator, (Jpeg, Quantise))
        left = (x * y).sum() if straight else ((seen - operator.measure(torch.zeros_like(x))) * y).sum()
        scale = (seen.norm() * y.norm() + 1).item()
        assert abs(left.item() - (x * back).sum().item()) <= 1e-12 * scale


@pytest.mark.parametrize("light", [0.03, 0.5, 1.0])
def test_low_light_is_less_light(light: float) -> None:
    """In light, which a picture's numbers are the 2.2th root of, everything is dimmed alike; alpha stays."""
    for x in drawn(20):
        y = LowLight(light).measure(x)
        colours = x.shape[1] - (x.shape[1] in (2, 4))
        before, after = (((t[:, :colours] + 1) / 2) ** GAMMA for t in (x, y))
        torch.testing.assert_close(after, light * before)
        assert torch.equal(y[:, colours:], x[:, colours:])


@pytest.mark.parametrize("operator", [p for p in EVERY if p.values[0].linear])
def test_linear_ones_are(operator: Operator) -> None:
    for x in drawn(20):
        other = x.flip(0).roll(1, 2)
        whole, parts = operator.measure(2 * x - 3 * other), 2 * operator.measure(x) - 3 * operator.measure(other)
        torch.testing.assert_close(whole, parts, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operator", EVERY)
def test_pure_and_row_by_row(operator: Operator) -> None:
    for x in drawn(20):
        before = x.clone()
        y = operator.measure(x)
        assert torch.equal(y, operator.measure(x)) and torch.equal(x, before)
        alone = torch.cat([operator.measure(row[None]) for row in x])
        torch.testing.assert_close(alone, y, rtol=1e-12, atol=1e-12)
        noisy = operator(x, torch.Generator().manual_seed(3))
        assert torch.equal(noisy, operator(x, torch.Generator().manual_seed(3))) and torch.equal(x, before)
        assert noisy.shape == y.shape and noisy.isfinite().all()
        assert operator.guess(y, x).shape == x.shape
        kept = operator.kept(x).expand(len(x), x.shape[1], *x.shape[2:]).bool()
        assert torch.equal(operator.guess(noisy, x)[kept], x[kept]), "what is said to be kept is the very picture"


def test_composition_does_the_inner_first_and_is_associative() -> None:
    a, b, c = Downsample(2), Blur(1.0), Mask(random=0.3)
    for x in drawn(20):
        assert torch.equal((a @ b).measure(x), a.measure(b.measure(x)))
        assert torch.equal(((a @ b) @ c).measure(x), (a @ (b @ c)).measure(x))
    x = torch.ones(1, 2, 40, 40)
    noisy = (Mask() @ Noise(0.5))(x, torch.Generator().manual_seed(0))
    assert (noisy[:, :, 10:30, 10:30] == 0).all(), "noise before a mask does not reach behind it"
    assert ((Noise(0.5) @ Mask())(x, torch.Generator().manual_seed(0))[:, :, 10:30, 10:30] != 0).all()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Downsample(4) @ Blur(1.5)", Composed(Downsample(4), Blur(1.5))),
        (
            "Noise(0.1, 'poisson') @ Grey @ Downsample(2)",
            Composed(Composed(Noise(0.1, "poisson"), Grey()), Downsample(2)),
        ),
        ('Mask("m.png")', Mask("m.png")),
        ("Noise(Unknown(0.0, 0.3))", Noise(Unknown(0.0, 0.3))),
        ("Grey", Grey()),
        ("Mask(box=[0, 0, 0.5, 0.5], half=left)", Mask(box=(0.0, 0.0, 0.5, 0.5), half="left")),
    ],
)
def test_text_is_what_was_meant(text: str, meant: Operator) -> None:
    made = as_operator(text)
    assert made == meant
    assert build(check(spec(made), Operator), Operator) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Msk", "did you mean Mask"),
        ("Blur(0)", "above 0"),
        ("Mask(random=2)", "from 0 to 1"),
        ("Jpeg(0)", "1 to 95"),
        ("Noise(3, 'salt-and-pepper')", "level from 0 to 1"),
        ("Unknown(1, 2)", "no Operator 'Unknown'"),
        ("Noise(Unknown(2, 1))", "smaller number comes first"),
        ("Downsample(0)", "whole number"),
        ("Quantise(1)", "2 levels"),
        ("LowLight(0)", "share of the light"),
        ("LowLight(1.5)", "share of the light"),
        ("Project(0)", "1 or more"),
        ("__import__('os') @ Blur", "no Operator"),
        ("Blur @ lambda: 1", "no Operator"),
    ],
)
def test_mistakes_are_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        as_operator(text)
    assert "\n" not in str(caught.value)


def test_only_at_signs_compose() -> None:
    for text in ("Blur + Blur", "Blur * 2", "Blur.__class__"):
        assert parse(text) == text


class TwiceAsBright:
    """As another library's operator is."""

    def A(self, x: Tensor) -> Tensor:
        return 2 * x

    def A_adjoint(self, y: Tensor) -> Tensor:
        return 2 * y


def test_any_object_with_A_and_A_adjoint_is_one() -> None:
    operator, x = as_operator(TwiceAsBright()), next(drawn(1))
    assert torch.equal(operator.measure(x), 2 * x) and torch.equal(operator.adjoint(x, x), 2 * x)
    assert torch.equal((Mask() @ operator).measure(x), Mask().measure(2 * x))
    with pytest.raises(UserError, match="damage takes an operator"):
        as_operator(3)


def test_masks_hide_what_they_say(tmp_path: Path) -> None:
    x = torch.ones(1, 1, 8, 10)
    hidden = lambda mask: (mask.measure(x)[0, 0] == 0).numpy()  # noqa: E731
    assert hidden(Mask())[2:6, 2:8].all() and hidden(Mask()).sum() == 24
    assert hidden(Mask(half="left"))[:, :5].all() and hidden(Mask(half="left")).sum() == 40
    assert hidden(Mask(half="bottom"))[4:].all() and hidden(Mask(half="bottom")).sum() == 40
    assert hidden(Mask(random=1.0)).all() and not hidden(Mask(random=0.0, half="left"))[:, 5:].any()
    share = hidden_share = (Mask(random=0.3).measure(torch.ones(1, 1, 200, 200)) == 0).float().mean().item()
    assert share == hidden_share == pytest.approx(0.3, abs=0.01)
    assert (hidden(Mask(random=0.5)) != hidden(Mask(random=0.5, seed=1))).any()
    drawing = np.zeros((8, 10, 1), np.uint8)
    drawing[3, 4] = 255
    save_png(drawing, tmp_path / "m.png")
    assert (hidden(Mask(str(tmp_path / "m.png"))) == (drawing[:, :, 0] > 0)).all()
    with pytest.raises(UserError, match=r"is 8×10 pixels and the picture 9×10"):
        Mask(str(tmp_path / "m.png")).measure(torch.ones(1, 1, 9, 10))
    with pytest.raises(UserError, match="no such file"):
        Mask("nowhere.png").measure(x)


def test_blurs_are_convolutions(tmp_path: Path) -> None:
    from scipy.ndimage import convolve, gaussian_filter

    x = torch.rand(1, 1, 19, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for operator in (Blur(1.3), Blur(motion=6, angle=20.0)):
        theirs = convolve(x[0, 0].numpy(), operator.kernel().numpy(), mode="nearest")
        np.testing.assert_allclose(operator.measure(x)[0, 0], theirs, atol=1e-12)
    np.testing.assert_allclose(
        Blur(1.5).measure(x)[0, 0], gaussian_filter(x[0, 0].numpy(), 1.5, mode="nearest"), atol=1e-4
    )
    point = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    point[0, 0, 7, 7] = 1
    kernel = np.zeros((3, 5, 1), np.uint8)
    kernel[0, 0], kernel[1, 2] = 100, 200
    save_png(kernel, tmp_path / "k.png")
    spread = Blur(file=str(tmp_path / "k.png")).measure(point)[0, 0]
    np.testing.assert_allclose(spread[6:9, 5:10], kernel[:, :, 0] / 300, atol=1e-12)
    level = Blur(motion=9.0).measure(point)[0, 0]
    assert level[7].sum() == pytest.approx(1) and (level[7] > 0).sum() in (9, 10, 11)
    diagonal = Blur(motion=9.0, angle=90.0).measure(point)[0, 0]
    torch.testing.assert_close(diagonal, level.T)


def test_reduction_is_pillows() -> None:
    from PIL import Image as Pillow

    x = torch.rand(1, 1, 24, 36, generator=torch.Generator().manual_seed(0))
    as_picture = Pillow.fromarray(x[0, 0].numpy())
    for factor, kernel, filter in ((4, "cubic", Pillow.Resampling.BICUBIC), (3, "box", Pillow.Resampling.BOX)):
        theirs = np.asarray(as_picture.resize((36 // factor, 24 // factor), filter))
        np.testing.assert_allclose(Downsample(factor, kernel).measure(x)[0, 0], theirs, atol=1e-6)
    larger = np.asarray(as_picture.resize((72, 48), Pillow.Resampling.BICUBIC))
    np.testing.assert_allclose(resized(x, (48, 72), 0.5, "cubic")[0, 0], larger, atol=1e-6)
    assert Downsample(4).measure(torch.ones(2, 3, 5, 9)).shape == (2, 3, 2, 3)
    assert Downsample(4).shape(2, 3) == (8, 12) and (Downsample(2) @ Grey() @ Downsample(2)).shape(2, 3) == (8, 12)


def test_noise_has_the_level_it_says() -> None:
    rng = torch.Generator().manual_seed(0)
    white, grey = torch.ones(1, 1, 300, 300), torch.zeros(1, 1, 300, 300)
    assert (Noise(0.2)(grey, rng)).std().item() == pytest.approx(0.2, rel=0.02)
    photons = Noise(0.2, "poisson")
    assert photons(white, rng).std().item() == pytest.approx(0.2, rel=0.02)
    assert photons(grey, rng).std().item() == pytest.approx(0.2 / 2**0.5, rel=0.02)
    assert photons(grey, rng).mean().item() == pytest.approx(0, abs=0.005)
    assert torch.equal(photons(-white, rng), -white), "no light, no noise"
    struck = Noise(0.2, "salt-and-pepper")(grey, rng)
    assert [(struck == v).float().mean().item() for v in (-1, 0, 1)] == pytest.approx([0.1, 0.8, 0.1], abs=0.01)


def test_jpeg_is_pillows_file_and_lets_gradients_through() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 16, 24, generator=rng) * 2 - 1
    good, bad = (Jpeg(q).measure(x) - x for q in (95.0, 5.0))
    assert good.square().mean() < bad.square().mean()
    alpha = torch.rand(1, 4, 8, 8, generator=rng) * 2 - 1
    assert torch.equal(Jpeg().measure(alpha)[:, 3], alpha[:, 3])
    x.requires_grad_()
    Jpeg().measure(x).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones_like(x))


def test_quantising_to_256_levels_is_what_a_file_does() -> None:
    from limner.core.pixels import to_bytes, to_float

    x = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(Quantise(256).measure(x), to_float(to_bytes(x)))
    assert len(Quantise(4).measure(x).unique()) == 4


def test_projections_keep_lengths_on_average() -> None:
    x = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratios = [(Project(100, seed).measure(x).norm() / x.norm()).item() ** 2 for seed in range(30)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)
    entries = Project(300).matrix(400)
    assert entries.std().item() == pytest.approx(300**-0.5, rel=0.01)


def test_what_is_unknown_is_drawn_and_settled() -> None:
    rng = torch.Generator().manual_seed(0)
    operator = Noise(Unknown(0.1, 0.5)) @ Mask(random=0.5)
    assert operator.unknown and not (Noise(0.1) @ Mask()).unknown
    some = [operator.drawn(rng) for _ in range(50)]
    levels, seeds = {o.outer.level for o in some}, {o.inner.seed for o in some}
    assert len(levels) == 50 == len(seeds) and 0.1 <= min(levels) < 0.15 and 0.45 < max(levels) <= 0.5
    assert not some[0].unknown and operator.settled(0.25).outer.level == pytest.approx(0.2)


def test_grey_is_pillows_and_leaves_alpha() -> None:
    x = torch.rand(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = Grey().measure(x)
    torch.testing.assert_close(y[:, 0], 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])
    assert torch.equal(y[:, 1], x[:, 3]) and Grey().guess(y, x).shape == x.shape
