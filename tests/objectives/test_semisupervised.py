"""The critic of K + 1 classes: its formulas, feature matching over processes, few labels kept and shown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limner.core import parallel
from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.data.batches import Batch, Batches
from limner.data.images import Images
from limner.data.labels import repeated, thinned
from limner.models.plain import PlainCritic, PlainGenerator
from limner.objectives.classify import Classification
from limner.objectives.semisupervised import SemiSupervisedGAN, gap
from limner.run import Player, Run, check
from limner.train import Budget, State, train

IMAGE = Image(1, 4, 4)
N, K = 6, 3


def players() -> nn.ModuleDict:
    torch.manual_seed(1)
    critic = PlainCritic(IMAGE, K, width=8)
    assert critic.head.label is not None
    nn.init.normal_(critic.head.label.rows.weight)
    return nn.ModuleDict({"generator": PlainGenerator(IMAGE, width=8), "critic": critic})


def batch(label: list[int] | None) -> Batch:
    x = torch.rand(N, 1, 4, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return Batch(x, None if label is None else torch.tensor(label))


def moment(**kept: Tensor) -> Moment:
    return Moment(0, 0.5, torch.Generator().manual_seed(2), N, kept=kept)


def probabilities(logits: list[float]) -> list[float]:
    """Softmax over K classes and a last one, fake, whose logit is 0."""
    powers = [math.exp(v) for v in [*logits, 0.0]]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("label", [[0, -1, 2, -1, -1, 1], [0, 1, 2, 2, 1, 0], None], ids=["some", "all", "none"])
def test_the_critic_is_a_softmax_of_k_and_one(label: list[int] | None) -> None:
    """Salimans et al. 2016, section 5: L = -log p(y | x, y ≤ K) - log(1 - p(K+1 | x)) - log p(K+1 | G(z))."""
    nets, given = players(), batch(label)
    fake = given.x.flip(0) * 0.5
    terms = SemiSupervisedGAN(weight=2.0).loss("critic", nets, given, moment(fake=fake))
    free = [True] * N if label is None or min(label) >= 0 else [k < 0 for k in label]
    for i in range(N):
        real = probabilities(nets["critic"].class_logits(given.x)[i].tolist())
        made = probabilities(nets["critic"].class_logits(fake)[i].tolist())
        k = -1 if label is None else label[i]
        named = -math.log(real[k] / sum(real[:K])) if k >= 0 else 0.0
        assert terms["classes"][i].item() == pytest.approx(2 * named, abs=1e-5)
        assert terms["real"][i].item() == pytest.approx(-math.log(1 - real[K]) if free[i] else 0.0, abs=1e-5)
        assert terms["fake"][i].item() == pytest.approx(-math.log(made[K]) * sum(free) / N, abs=1e-5)


def test_an_augmented_picture_is_to_be_read_as_the_picture_itself_where_that_is_sure() -> None:
    """Sohn et al. 2020, eq. 4, over the pictures without a label; the reading itself is not moved."""
    nets, given = players(), batch([0, -1, 2, -1, -1, 1])
    darker = Moment(0, 0.5, torch.Generator().manual_seed(2), N, augment=lambda x, at: x - 0.4, kept={"fake": given.x})
    p = nets["critic"].class_logits(given.x).softmax(1).max(1)
    sure = p.values[[1, 3, 4]].median().item()
    terms = SemiSupervisedGAN(agreement=3.0, sure=sure).loss("critic", nets, given, darker)
    seen = nets["critic"].class_logits(given.x - 0.4).log_softmax(1)
    wanted = [-3 * seen[i, p.indices[i]].item() if i in (1, 3, 4) and p.values[i] >= sure else 0.0 for i in range(N)]
    assert sum(w > 0 for w in wanted) == 2
    torch.testing.assert_close(terms["agreement"].tolist(), wanted)


def test_the_generator_matches_the_mean_features_of_pictures_without_a_label() -> None:
    nets, given = players(), batch([0, -1, 2, -1, -1, 1])
    at = moment()
    terms = SemiSupervisedGAN().loss("generator", nets, given, at)
    features = nets["critic"].features
    d = features(at.kept["fake"]).mean(0) - features(given.x[[1, 3, 4]]).mean(0)
    assert terms["features"].shape == (N,)
    torch.testing.assert_close(terms["features"].mean(), d.square().sum())


def test_gap_has_the_value_and_the_gradient_of_the_distance_of_means() -> None:
    rng = torch.Generator().manual_seed(5)
    fake, real = torch.randn(N, 4, generator=rng).requires_grad_(), torch.randn(N, 4, generator=rng)
    plain = (fake.mean(0) - real.mean(0)).square().sum()
    ours = gap(fake, real, torch.ones(N)).mean()
    torch.testing.assert_close(ours, plain)
    one, two = (torch.autograd.grad(v, fake)[0] for v in (ours, plain))
    torch.testing.assert_close(one, two)


def test_gap_of_two_processes_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(6)
    fake, real = torch.randn(N, 4, generator=rng).requires_grad_(), torch.randn(N, 4, generator=rng)
    whole = gap(fake, real, torch.ones(N)).mean()
    means = fake.detach().mean(0), real.mean(0)

    def average(tensors: list[Tensor]) -> None:
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean)

    monkeypatch.setattr(parallel, "average", average)
    halves = [gap(fake[rows], real[rows], torch.ones(N // 2)).mean() for rows in (slice(0, 3), slice(3, 6))]
    both = (halves[0] + halves[1]) / 2
    torch.testing.assert_close(both, whole)
    one, two = (torch.autograd.grad(v, fake)[0] for v in (both, whole))
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("keep", [3, 10, 31, 1000])
def test_labels_are_kept_evenly_and_only_of_images_that_take_part(keep: int) -> None:
    labels = np.random.default_rng(0).integers(-1, K, 200)
    among = np.arange(50, 200)
    left = thinned(labels, among, keep, K, seed=4)
    kept = np.flatnonzero(left >= 0)
    assert len(kept) == min(keep, int((labels[among] >= 0).sum())) and kept.min() >= 50
    assert (left[kept] == labels[kept]).all()
    counts = np.bincount(left[kept], minlength=K)
    assert keep == 1000 or counts.max() - counts.min() <= 1
    assert (left == thinned(labels, among, keep, K, seed=4)).all()
    assert keep == 1000 or (left != thinned(labels, among, keep, K, seed=5)).any()


def test_labelled_images_are_repeated_to_their_share_and_no_other_is_lost() -> None:
    labels = np.full(1000, -1)
    labels[[7, 70, 700]] = [0, 1, 2]
    among = np.arange(1000)
    shown = repeated(among, labels, 0.5)
    told = labels[shown] >= 0
    assert abs(told.mean() - 0.5) < 0.01 and set(shown) == set(among)
    assert np.bincount(shown)[[7, 70, 700]].tolist() == [332] * 3 and np.bincount(shown).max() == 332
    # already more than the share, all labelled, or none: as they come
    assert (repeated(among, np.zeros(1000, np.int64), 0.5) == among).all()
    assert (repeated(among, np.full(1000, -1), 0.5) == among).all()
    assert sorted(repeated(among, np.where(among < 900, 0, -1), 0.5)) == list(among)


@pytest.mark.parametrize(("option", "words"), [({"labels": 0}, "labels=100"), ({"labelled": 1.0}, "labelled=0.5")])
def test_what_labels_cannot_be_is_said(option: dict[str, Any], words: str) -> None:
    nets: Any = dict(players().items())
    with pytest.raises(UserError, match=words):
        check(Run(SemiSupervisedGAN(), nets, **option))


def test_a_network_learns_from_labels_alone_and_from_six_it_learns_by_rote() -> None:
    """Squares by size: with all labels the critic names unseen ones; the loss falls to nothing on a few."""
    images = squares(300, 0)
    for labels in (images.labels, thinned(images.labels, np.arange(300), 6, K, 0)):
        shown = Images(images.pixels, labels, images.names, "", "")
        among = repeated(np.arange(300), labels, 0.5)
        torch.manual_seed(0)
        run = Run(
            Classification(), {"critic": PlainCritic(Image(1, 8, 8), K, width=64)}, {"critic": Player()}, batch=32
        )
        state = State(run, torch.device("cpu"))
        losses = [
            event.losses["critic/classes"]  # pyright: ignore[reportAttributeAccessIssue]
            for event in train(state, run, Batches(shown, 32, 0, "cpu", among), until=Budget(images=32 * 300))
            if hasattr(event, "losses")
        ]
        assert np.mean(losses[-20:]) < 0.1 * np.mean(losses[:5])


def squares(n: int, seed: int) -> Images:
    """Bright squares somewhere on black, three classes by size."""
    rng = np.random.default_rng(seed)
    pixels, labels = np.zeros((n, 8, 8, 1), np.uint8), rng.integers(0, K, n)
    for picture, label in zip(pixels, labels, strict=True):
        top, left = rng.integers(0, 5, 2)
        picture[top : top + 2 + label, left : left + 2 + label] = rng.integers(150, 256)
    return Images(pixels, labels, ("a", "b", "c"), "", "")
