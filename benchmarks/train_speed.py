"""Training speed: Limner's loop beside a plain textbook loop on the same networks, in the same run.

    python benchmarks/train_speed.py                               every family, 28 and 64 pixels (a quarter of an hour)
    python benchmarks/train_speed.py light --sizes 28 --batch 64   one case

`default` is the recipe `light` but for augmentation: light networks, the relativistic game, the critic's slopes kept
small at real images and at fakes. The others play the non-saturating game without penalties. `script` are the networks
of a widely used tutorial script, whose upsamplings can be folded into strided convolutions; `light` and `dcgan` are
strided already, so that the two loops do the same multiplications there.

The textbook loop is the usual script: DataLoader, float32, no channels-last, upsampling and pooling as layers of
their own, Adam without fusion, separate passes. Both compute the same functions from the same weights and play the
same game once per player and step. Columns: images a second (median of three rounds, the two loops in turn),
their ratio, peak memory of the process, and the share of the machine's measured peak of matrix products.
`benchmarks/gpu.py` runs the same two loops on a GPU; there the textbook loop has its pictures in the GPU's memory.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import flop_registry

from limner.core.events import Progress
from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.core.spec import build, register
from limner.data.batches import Batches
from limner.data.gather import of_arrays
from limner.models import dcgan
from limner.models.base import Critic, Generator
from limner.models.layers import Conv, Down, Grow, Up, leak
from limner.recipes.base import Facts, plan, recipe
from limner.run import Run
from limner.train import Budget, State, train

RECIPES = {"default": "light"}
FAMILIES = ("default", "script", "plain", "dense", "dcgan", "light", "residual")
CELLS = ("family", "size", "batch", "precision", "limner:.0f", "textbook:.0f", "ratio:.1f", "mib:.0f", "peak:.0%")
ROW = "| " + " | ".join("{" + cell + "}" for cell in CELLS) + " |"
ROUND = 6.0
"""Seconds of one timed round."""


@register
class ScriptGenerator(Generator):
    """The generator of a widely used tutorial script: dense to a quarter of the size, two upsamplings, one convolution.

    image: shape of what it makes
    classes: none are told
    """

    def __init__(self, image: Image, classes: int = 0) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, Gaussian(100), 0
        self.grid = (128, image.height // 4, image.width // 4)
        half, whole = (image.height // 2, image.width // 2), (image.height, image.width)
        self.entry = nn.Linear(100, 128 * self.grid[1] * self.grid[2])
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, eps) for c, eps in ((128, 1e-5), (128, 0.8), (64, 0.8)))
        self.ups = nn.ModuleList((Up(128, 128, half), Up(128, 64, whole)))
        self.last = Conv(64, image.channels)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        x = self.entry(z).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        x = self.norms[0](x)
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            x = leak(norm(up(x)))
        return self.last(x).tanh()


@register
class ScriptCritic(Critic):
    """Its critic: four strided convolutions with dropout of channels, batch norm on all but the first.

    image: shape of what it judges
    classes: none are told
    """

    def __init__(self, image: Image, classes: int = 0) -> None:
        super().__init__()
        self.image, self.classes = image, 0
        widths = (image.channels, 16, 32, 64, 128)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b, 0.8) for b in widths[2:])
        side = [-(-s // 16) for s in (image.height, image.width)]
        self.head = nn.Linear(128 * side[0] * side[1], 1)

    def features(self, x: Tensor) -> Tensor:
        for k, conv in enumerate(self.convs):
            x = F.dropout2d(leak(conv(x)), 0.25, self.training)
            x = self.norms[k - 1](x) if k else x
        return x.flatten(1)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.head(self.features(x)).squeeze(1)


@recipe
def script(facts: Facts) -> dict[str, object]:
    """The script's networks in Limner's loop."""
    nets = {"generator": facts.net("ScriptGenerator"), "critic": facts.net("ScriptCritic")}
    return plan("textbook", facts) | {"nets": nets}


class Textbook(Dataset[Tensor]):
    """One image at a time, scaled to [-1, 1]."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> Tensor:
        return torch.from_numpy(self.pixels[i]).permute(2, 0, 1).float().div(127.5).sub(1)


class Cut(nn.Module):
    """The upper left part of an image."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : self.size[0], : self.size[1]]


def textbook_twin(net: nn.Module) -> nn.Module:
    """The same function with upsampling, pooling and convolutions as separate layers."""
    twin = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (Up, Down, Grow, dcgan.Grow)):
                setattr(parent, name, unfolded(child))
    return twin


def unfolded(layer: Up | Down | Grow | dcgan.Grow) -> nn.Sequential:
    """Upsample → convolution, convolution → average pooling or transposed convolution, with the layer's weights."""
    if isinstance(layer, (Grow, dcgan.Grow)):
        ours = layer if isinstance(layer, Grow) else layer.conv
        conv = nn.ConvTranspose2d(*ours.weight.shape[:2], 4, 2, 1)
        conv.weight, conv.bias = ours.weight, ours.bias
        return nn.Sequential(conv, Cut(layer.size))
    out, into = layer.weight.shape[:2]
    conv = nn.Conv2d(into, out, 3, padding=1)
    with torch.no_grad():
        conv.weight.copy_(layer.weight)
        conv.bias.copy_(layer.bias)
    if isinstance(layer, Up):
        return nn.Sequential(nn.Upsample(scale_factor=2), conv, Cut(layer.size))
    return nn.Sequential(conv, nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))


def usual(player: str, critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """A player's loss in the non-saturating game."""
    ones, zeros = torch.ones(len(real), device=real.device), torch.zeros(len(real), device=real.device)
    if player == "generator":
        return bce(critic(fake), ones)
    return bce(critic(real), ones) + bce(critic(fake), zeros)


def relativistic(player: str, critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """A player's loss in the default recipe: pairs, and the slopes of the critic at both (Huang et al. 2024)."""
    if player == "generator":
        return F.softplus(critic(real) - critic(fake)).mean()
    real.requires_grad_(), fake.requires_grad_()
    said = critic(real), critic(fake)
    slopes = torch.autograd.grad(said[0].sum() + said[1].sum(), (real, fake), create_graph=True)
    return F.softplus(said[1] - said[0]).mean() + sum(g.square().sum((1, 2, 3)).mean() for g in slopes) / 2


def textbook_loop(run: Run, nets: nn.ModuleDict, pixels: np.ndarray, loss: Callable[..., Tensor]) -> Iterator[int]:
    """The usual script, where the networks are; yields the images of each step."""
    generator, critic = (textbook_twin(nets[role]) for role in ("generator", "critic"))
    for p in (*generator.parameters(), *critic.parameters()):
        p.requires_grad_(True)
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for real in textbook_batches(run.batch, pixels, next(critic.parameters()).device):
        opt_g.zero_grad()
        fake = generator(torch.randn(len(real), generator.latent.dim, device=real.device))
        loss("generator", critic, real, fake).backward()
        opt_g.step()
        opt_d.zero_grad()
        loss("critic", critic, real, fake.detach()).backward()
        opt_d.step()
        yield len(real)


def textbook_batches(batch: int, pixels: np.ndarray, device: torch.device) -> Iterator[Tensor]:
    """Shuffled batches without end: from a DataLoader on a CPU, from the memory of a GPU.

    One image at a time from a DataLoader would be all that is measured on a GPU.
    """
    if device.type == "cpu":
        while True:
            yield from DataLoader(Textbook(pixels), batch_size=batch, shuffle=True, drop_last=True)
    whole = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous()
    while True:
        for rows in torch.randperm(len(whole), device=device).split(batch):
            if len(rows) == batch:
                yield whole[rows].float().div(127.5).sub(1)


def limner_loop(run: Run, state: State, pixels: np.ndarray) -> Iterator[int]:
    """Limner's own, where the state is; yields the images of each step."""
    batches = Batches(of_arrays(pixels), run.batch, run.seed, state.device)
    for event in train(state, run, batches, until=Budget(seconds=1e9), looks=1):
        if isinstance(event, Progress):
            yield run.batch


def images_a_second(loop: Iterator[int], seconds: float, device: torch.device | None = None) -> float:
    """How many images a loop goes through; all that a GPU was given to do is done at both ends."""
    _wait_for(device)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += next(loop)
    _wait_for(device)
    return done / (time.perf_counter() - start)


def _wait_for(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


class Operations(TorchDispatchMode):
    """Counts floating point operations of what runs within, by torch's own formulas.

    FlopCounterMode also asks to which module they belong, and its hooks do not bear gradients of a part of the graph.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def flops_per_image(run: Run, pixels: np.ndarray) -> float:
    """Floating point operations of one step of Limner's loop, over its images."""
    loop = limner_loop(run, State(run, torch.device("cpu")), pixels)
    with Operations() as counted:
        next(loop)
    return counted.total / run.batch


def peak(dtype: torch.dtype) -> float:
    """The best of some square matrix products, operations a second."""
    a = torch.randn(2048, 2048).to(dtype)
    best = 0.0
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        best = max(best, 2 * 2048**3 / (time.perf_counter() - start))
    return best


def contest(
    family: str, size: int, batch: int, device: torch.device
) -> tuple[Run, np.ndarray, Iterator[int], Iterator[int]]:
    """What both loops train, and the loops: Limner's and the textbook's."""
    channels = 1 if size < 32 else 3
    pixels = np.random.default_rng(0).integers(0, 256, (4096, size, size, channels), dtype=np.uint8)
    game = [] if family == "default" else ["objective=GAN(game=NonSaturating, penalties=[])"]
    assigned = [*game, f"batch={batch}", "augment=none"]
    facts = Facts(Image(channels, size, size), len(pixels), 0, device.type)
    run = build(plan(RECIPES.get(family, family), facts, tuple(assigned)), Run)
    state = State(run, device)
    theirs = textbook_loop(run, state.nets, pixels, usual if game else relativistic)
    return run, pixels, limner_loop(run, state, pixels), theirs


def case(family: str, size: int, batch: int) -> dict[str, float | str]:
    """One row, measured in this process."""
    run, pixels, ours, theirs = contest(family, size, batch, torch.device("cpu"))
    for loop in (ours, theirs):
        images_a_second(loop, 2.0)
    rounds = [(images_a_second(ours, ROUND), images_a_second(theirs, ROUND)) for _ in range(3)]
    speed, rival = (statistics.median(column) for column in zip(*rounds, strict=True))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = speed * flops_per_image(run, pixels) / peak(torch.bfloat16 if run.precision == "bf16" else torch.float32)
    return {"family": family, "size": size, "batch": batch, "precision": run.precision, "limner": speed,
            "textbook": rival, "ratio": speed / rival, "mib": memory, "peak": share}  # fmt: skip


def main() -> None:
    """Print a row per case, each measured in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 64])
    parser.add_argument("--batch", type=int, nargs="+", default=[64])
    parser.add_argument("--here", action="store_true", help="measure one case in this process and print JSON")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(case(given.families[0], given.sizes[0], given.batch[0])))
        return
    machine = f"{torch.get_num_threads()} threads {platform.machine()}, torch {torch.__version__}"
    print(f"{machine}, {time.strftime('%Y-%m-%d')}\n")
    print("| family | size | batch | arithmetic | Limner, images/s | textbook | ratio | MiB | of peak |")
    print("|" + " --- |" * 9)
    for family, size, batch in itertools.product(given.families, given.sizes, given.batch):
        print(ROW.format(**measured(family, size, batch)), flush=True)


def measured(family: str, size: int, batch: int) -> dict[str, float | str]:
    """A case in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, __file__, family, "--sizes", str(size), "--batch", str(batch), "--here"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
