"""A small network that names classes, trained for a fixed number of steps: the judge of what pictures are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.augments.base import Augment
from limner.core.moment import Moment
from limner.core.pixels import to_float
from limner.core.rng import derived, generator
from limner.recognise.scores import Labelled

STEPS, BATCH, RATE = 300, 64, 3e-3
WIDTH, COARSEST = 32, 7
BLOCK = 500


class Classifier(nn.Module):
    """Pictures (n, c, h, w) → class logits: convolutions of stride 2 down to 7 pixels or fewer, one dense layer."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = channels
        while side > COARSEST:
            wider = WIDTH if width == channels else min(4 * WIDTH, 2 * width)
            layers += [nn.Conv2d(width, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
            width, side = wider, -(-side // 2)
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.head = nn.Linear(16 * width, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits."""
        return self.head(self.body(x))


def learn(
    sources: Sequence[Labelled], classes: int, seed: int, augment: Augment | None = None, steps: int = STEPS
) -> Classifier:
    """Train on batches that take an equal share from each source, whatever their sizes; the same seed, the same net."""
    _, height, width, channels = sources[0].pixels.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived(seed, 0, "classifier"))
        net = Classifier(channels, min(height, width), classes).to(memory_format=torch.channels_last)  # pyright: ignore
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.05)
    curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1, pct_start=0.2)
    rng = generator(seed, 0, "classifier batches")
    for step in range(steps):
        x, y = _batch(sources, rng)
        if augment is not None:
            x = augment(x, Moment(step * BATCH, step / steps, rng, len(x), strength=1.0))
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        curve.step()
    return net.eval()


def _batch(sources: Sequence[Labelled], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    parts: list[tuple[Tensor, Tensor]] = []
    for source in sources:
        rows = torch.randint(len(source), (BATCH // len(sources),), generator=rng).numpy()
        parts.append((to_float(source.pixels[rows]), torch.from_numpy(source.labels[rows])))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def share_right(net: Classifier, test: Labelled) -> float:
    """Of pictures named right, 0 to 1."""
    right = 0
    with torch.inference_mode():
        for start in range(0, len(test), BLOCK):
            rows = slice(start, start + BLOCK)
            said = net(to_float(np.ascontiguousarray(test.pixels[rows]))).argmax(1).numpy()
            right += int((said == test.labels[rows]).sum())
    return right / len(test)
