"""Beyond a generator: the conditions of the minimum, planted pixels, and views that agree with each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.models.base import Translator
from limner.operators.base import Operator
from limner.operators.blur import Blur
from limner.operators.mask import Mask
from limner.operators.noise import Noise
from limner.operators.projection import Project
from limner.operators.quantise import Quantise
from limner.operators.resample import Downsample
from limner.restoring.beyond import Beyond, Rest, contrast, steepest
from limner.restoring.cases import Answer, Case
from limner.restoring.trained import ByTranslator, turned, turned_back

SIDE = 10


def scene(operator: Operator, samples: int = 2, seed: int = 0) -> tuple[Case, Tensor]:
    """A picture with five bright pixels more than what a generator makes of it, measured."""
    rng = torch.Generator().manual_seed(seed)
    made = -torch.ones(samples, 1, SIDE, SIDE)
    made[..., 3:7, 3:7] = 0.5
    truth = made[:1].clone()
    truth.view(-1)[torch.randperm(SIDE**2, generator=rng)[:5]] = 0.9
    y = operator(truth, rng)
    return Case(y, operator.guess(y, truth), operator, truth), made


LINEAR = [Noise(0.05) @ Project(60), Noise(0.1) @ Blur(0.8), Noise(0.02) @ Downsample(2)]


@pytest.mark.parametrize("operator", LINEAR, ids=str)
def test_the_answer_is_the_minimum(operator: Operator) -> None:
    """Where it left what was made, the slopes balance; where it did not, the misfit pulls less than 1/b."""
    case, made = scene(operator)
    rest = Rest(steps=6000)
    (answer,) = rest([case], [Answer(made)])
    x = answer.samples
    slope = operator.adjoint(operator.measure(x) - case.y, x) / operator.deviation**2
    weight = 1 / (rest.flat + rest.edge * contrast(made))
    inside = x.abs() < 1 - 1e-4
    left = ((x - made).abs() > 1e-4) & inside
    assert left.any() and not left.all()
    pull = (slope + weight * (x - made).sign()) / weight
    assert pull[left].abs().max() < 0.03
    stayed = ((x - made).abs() <= 1e-4) & (made.abs() < 1)
    assert (slope.abs() / weight)[stayed].max() < 1.03
    assert (slope / weight)[(x == made) & (made == -1)].min() > -1.03, "black stays where it may not get brighter"


def test_a_few_pixels_that_no_generator_made_are_found() -> None:
    case, made = scene(Noise(0.02) @ Project(80))
    assert case.truth is not None
    (answer,) = Rest()([case], [Answer(made)])
    before, after = ((x - case.truth).square().mean().item() for x in (made, answer.samples))
    assert after < 0.05 * before


def test_measured_pixels_are_believed_and_others_left() -> None:
    """A mask: each pixel by itself, so the answer is the soft threshold around what was made."""
    operator = Noise(0.1) @ Mask(half="left")
    case, made = scene(operator)
    rest = Rest(steps=300)
    x = rest([case], [Answer(made)])[0].samples
    reach = operator.deviation**2 / (rest.flat + rest.edge * contrast(made))
    apart = case.y - made
    expected = (made + apart.sign() * (apart.abs() - reach).clamp(min=0)).clamp(-1, 1)
    keep = Mask(half="left").kept(made[:1])
    torch.testing.assert_close(x, keep * expected + (1 - keep) * made, rtol=0, atol=1e-4)


def test_alone_and_in_a_batch() -> None:
    cases, made = zip(*(scene(Noise(0.05) @ Project(60), seed=k) for k in range(3)), strict=True)
    answers = [Answer(x) for x in made]
    together = Rest()(cases, answers)
    alone = Rest()(cases[1:2], answers[1:2])[0]
    torch.testing.assert_close(together[1].samples, alone.samples, rtol=0, atol=1e-5)


def test_what_is_not_linear_is_refused_before_anything_starts() -> None:
    class Never:
        channels, at_once = 1, 1

        def check(self, case: Any) -> None: ...

        def __call__(self, cases: Any, tick: Any = None) -> Any:
            raise AssertionError("the solver was asked")

    case, _ = scene(Quantise(4))
    with pytest.raises(UserError, match="linear"):
        Beyond(Never())([case])


def test_the_steepest_direction() -> None:
    operator = Project(30)
    exact = torch.linalg.svdvals(operator.matrix(SIDE**2))[0].item() ** 2
    assert exact <= steepest(operator, torch.zeros(1, 1, SIDE, SIDE)) <= 1.06 * exact


def test_the_eight_views_differ_and_are_undone() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    seen = [turned(x, way) for way in range(8)]
    square = torch.arange(9.0).view(1, 1, 3, 3)
    assert len({tuple(turned(square, way).flatten().tolist()) for way in range(8)}) == 8
    assert all(torch.equal(turned_back(one, way), x) for way, one in enumerate(seen))


class Leaning(Translator):
    """Adds a share of the pixel to the left: a network that is not the same in all directions."""

    any_size = True

    def __init__(self, image: Image) -> None:
        super().__init__()
        self.image = image
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, label: Any = None) -> Tensor:
        return x + 0.1 * F.pad(x, (1, 0))[..., :-1]


def test_all_views_together_have_no_direction() -> None:
    """The mean over the group commutes with every turn; one view alone does not."""
    x = torch.rand(1, 1, 9, 13, generator=torch.Generator().manual_seed(0)) * 2 - 1
    net = Leaning(Image(1, 8, 8))

    def answer(seen: Tensor, views: int) -> Tensor:
        return ByTranslator(net, views=views)([Case(seen, seen, Noise(0.1))])[0].samples

    for way in range(8):
        torch.testing.assert_close(answer(turned(x, way), 8), turned(answer(x, 8), way))
    assert not torch.allclose(answer(turned(x, 2), 1), turned(answer(x, 1), 2))
    assert not any(torch.allclose(answer(x, a), answer(x, b)) for a, b in ((1, 2), (4, 8)))
    with pytest.raises(UserError, match="views=3"):
        ByTranslator(net, views=3)
