"""What proofs measure on models with an encoder: codes, nearest neighbours, reconstructions, samples."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.pixels import to_float
from limner.data.images import Images
from limner.likeness import Likeness
from limner.metrics.features import RandomFeatures
from limner.metrics.kernel import KernelDistance

BLOCK = 500


@torch.no_grad()
def codes(model: Likeness, images: Images, count: int | None = None) -> Float[Tensor, "n d"]:
    """The mean code of each picture, or of the first `count`."""
    encoder, n = model.encoder, min(len(images), count or len(images))
    assert encoder is not None
    blocks = [to_float(images.pixels[i : min(i + BLOCK, n)], model.device) for i in range(0, n, BLOCK)]
    return torch.cat([encoder(x).mean.cpu() for x in blocks])


def nearest(known: Float[Tensor, "n d"], asked: Float[Tensor, "m d"]) -> Tensor:
    """For each row asked, the known row at the smallest Euclidean distance."""
    known, half = known.float(), known.float().square().sum(1) / 2
    return torch.cat([(rows.float() @ known.T - half).argmax(1) for rows in asked.split(BLOCK)])


def neighbour_accuracy(known: Tensor, labels: Tensor, asked: Tensor, truth: Tensor) -> float:
    """How many rows have their nearest neighbour's label, in %."""
    return 100 * float((labels[nearest(known, asked)] == truth).double().mean())


@torch.no_grad()
def reconstruction_error(model: Likeness, images: Images, count: int = 1000) -> float:
    """Mean squared error of the first pictures to what their codes become, in the [-1, 1] range."""
    x, z = to_float(images.pixels[:count]), codes(model, images, count)
    again = torch.cat([model.generator(some.to(model.device)).cpu() for some in z.split(BLOCK)])
    return float((again - x).square().mean())


@torch.no_grad()
def sample_distance(model: Likeness, images: Images, count: int = 1000) -> float:
    """Kernel distance of samples to the first pictures on fixed random features, times 1000."""
    extract = RandomFeatures()
    fake = to_float(model.sample(count))
    return 1000 * KernelDistance()(extract(to_float(images.pixels[:count])), extract(fake))


def labels_of(images: Images, count: int | None = None) -> Tensor:
    """The classes of the first pictures."""
    assert images.labels is not None
    return torch.from_numpy(images.labels[:count].copy())
