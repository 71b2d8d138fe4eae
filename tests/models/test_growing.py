"""Networks that begin small: when sizes double, that a doubling changes nothing at once, and who may play with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limner.cli.trial import attempt
from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.data.batches import Batches
from limner.data.gather import of_arrays
from limner.models.growing import GrowingCritic, GrowingGenerator
from limner.models.light import LightCritic, LightGenerator
from limner.models.plain import PlainEncoder
from limner.objectives.gan import GAN
from limner.objectives.infogan import InfoGAN
from limner.recipes.base import Facts, plan
from limner.run import Run, check
from limner.train import Budget, State, train

IMAGE = Image(3, 33, 20)
SMALLER = [(9, 5), (17, 10), (33, 20)]


def nets() -> tuple[GrowingGenerator, GrowingCritic]:
    torch.manual_seed(0)
    return GrowingGenerator(IMAGE, Gaussian(6), width=8), GrowingCritic(IMAGE, width=8, features=16)


@torch.no_grad()
def test_sizes_double_at_their_shares_and_only_in_training() -> None:
    generator, critic = nets()
    z = torch.randn(4, 6)
    assert generator(z).shape[2:] == SMALLER[2], "never told, it makes full size"
    for progress, size in ((0.0, 0), (0.29, 0), (0.3, 1), (0.59, 1), (0.6, 2), (1.0, 2)):
        generator.pace(progress)
        critic.pace(progress)
        x = generator.train()(z)
        assert x.shape == (4, 3, *SMALLER[size])
        assert critic(x).shape == (4,)
        assert generator.eval()(z).shape[2:] == SMALLER[2], "what is sampled is of full size"


@torch.no_grad()
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_doubling_changes_no_picture(share: float) -> None:
    """What a scale that begins paints is zero, so the picture is the smaller one enlarged (before the tanh)."""
    generator, _ = nets()
    z = torch.randn(16, 6)
    generator.pace(share - 0.01)
    before = generator(z)
    generator.pace(share)
    after = generator(z)
    same = F.interpolate(before.atanh(), size=after.shape[2:], mode="bilinear")
    torch.testing.assert_close(after.atanh(), same, atol=1e-4, rtol=1e-4)
    for paint in generator.paints[1:]:
        torch.nn.init.normal_(paint.weight)
    assert not torch.allclose(generator(z).atanh(), same, atol=1e-2), "once it has learned something it does"


@torch.no_grad()
@pytest.mark.parametrize(("share", "size"), [(0.3, 1), (0.6, 2)])
def test_a_doubling_changes_no_verdict_and_is_blended_in(share: float, size: int) -> None:
    _, critic = nets()
    x = torch.rand(5, 3, *SMALLER[size])
    critic.pace(share - 1e-6)
    before = critic(F.adaptive_avg_pool2d(x, SMALLER[size - 1]))
    torch.testing.assert_close(critic(x), before, msg="what is too large is averaged down")
    critic.pace(share)
    torch.testing.assert_close(critic(x), before)
    critic.pace(share + 0.15 * 0.3)  # half of the blend of a phase of 0.3, less than half of the last one's
    assert not torch.allclose(critic(x), before, atol=1e-4)
    critic.pace(share + 0.31 * (0.4 if size == 2 else 0.3))
    assert critic.new == 1.0


def test_a_training_goes_through_all_sizes() -> None:
    image, pixels = Image(1, 16, 16), np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), dtype=np.uint8)
    generator, critic = GrowingGenerator(image, width=4), GrowingCritic(image, width=4)
    run = Run(GAN(), {"generator": generator, "critic": critic}, batch=4)
    state, seen = State(run, torch.device("cpu")), []
    for event in train(state, run, Batches(of_arrays(pixels), 4, seed=0), until=Budget(images=80)):
        if isinstance(event, Progress):
            seen.append(state.nets["generator"].scale)
    assert seen == sorted(seen) and len(set(seen)) == min(3, len(generator.sizes))
    start = State(run, torch.device("cpu")).nets["generator"]
    for old, new in zip(start.parameters(), state.nets["generator"].parameters(), strict=True):
        assert new.isfinite().all() and not torch.equal(old, new), "every part has learned"


@torch.no_grad()
def test_what_has_doubled_stays_so_after_a_longer_budget() -> None:
    generator, critic = nets()
    for net in (generator, critic):
        net.pace(0.7)
    again, judge = nets()
    again.load_state_dict(generator.state_dict())
    judge.load_state_dict(critic.state_dict())
    again.pace(0.1)
    judge.pace(0.1)
    x = again(torch.randn(3, 6))
    assert x.shape[2:] == SMALLER[2] and judge.begin == 0 and judge.new == 1.0
    x = torch.rand(3, 3, *SMALLER[2])
    critic.pace(1.0)
    torch.testing.assert_close(judge(x), critic(x))


def test_check_tells_the_speed_of_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning of a growing training is faster than the whole."""
    scales: list[int] = []

    def noted(self: GrowingGenerator, progress: float) -> None:
        paced(self, progress)
        scales.append(self.scale)

    paced = GrowingGenerator.pace
    monkeypatch.setattr(GrowingGenerator, "pace", noted)
    monkeypatch.setattr("limner.cli.trial.SECONDS", 0.01)
    planned = plan("growing", Facts(Image(1, 16, 16), 40, 0, "cpu"), ("generator.width=4", "critic.width=4", "batch=4"))
    assert attempt(planned, of_arrays(np.zeros((40, 16, 16, 1), np.uint8)), "cpu").images_per_second > 0
    assert scales and set(scales) == {2}


def test_who_may_play() -> None:
    generator, critic = nets()
    with pytest.raises(UserError, match="must grow alike"):
        check(Run(GAN(), {"generator": generator, "critic": LightCritic(IMAGE)}))
    with pytest.raises(UserError, match="must grow alike"):
        check(Run(GAN(), {"generator": LightGenerator(IMAGE), "critic": critic}))
    players = {"generator": generator, "critic": critic, "encoder": PlainEncoder(IMAGE, Gaussian(6))}
    with pytest.raises(UserError, match="of full size throughout"):
        check(Run(InfoGAN(), players))
    for grow in ((0.6, 0.3), (0.0, 0.5), (1.0,), (-1.0,)):
        with pytest.raises(UserError, match="grow="):
            GrowingGenerator(IMAGE, grow=grow)
    check(Run(GAN(), {"generator": GrowingGenerator(IMAGE, grow=()), "critic": LightCritic(IMAGE)}))
