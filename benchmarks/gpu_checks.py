"""What must hold of training on a device, checked on the device itself: `benchmarks/gpu.py` runs these first.

Each check returns the numbers that it found, or raises AssertionError with what is wrong. On a CPU they hold trivially,
or by the tests of this repository; they run there so that they work the first time a GPU is there.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from limner.core import store
from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.latent import Latent
from limner.core.moment import Moment
from limner.core.pixels import to_float
from limner.core.rng import generator
from limner.core.spec import build
from limner.data.batches import Batch, Batches
from limner.data.images import Images
from limner.models.base import Model
from limner.recipes.base import Facts, plan, recipes
from limner.run import Run
from limner.train import Budget, State, prepare, train

EQUAL = 2e-3
"""Largest difference of a loss or gradient between CPU and device, relative to its norm; both float32 without TF32."""
ROUNDED = 0.15
"""The same between bf16 and float32 on the device, of a loss relative to 1 + its size: eight bits a number."""
COMPARED = ("light", "photos", "residual", "style", "textbook", "vae", "wgan_gp")
"""Recipes whose steps are compared."""
BATCH, STEPS = 8, 4


@dataclass(frozen=True)
class Where:
    """What is checked, and on what.

    device: where
    images: pictures to train on, uint8
    tiny: whether to check as little as possible
    """

    device: torch.device
    images: Images
    tiny: bool = False

    def run(self, recipe: str, *options: str) -> Run:
        """A recipe for these pictures, with the CPU's network sizes, in float32."""
        known = Facts(self.images.image, len(self.images), len(self.images.names), "cpu")
        return build(plan(recipe, known, (f"batch={BATCH}", "precision=fp32", *options)), Run)

    def batches(self, run: Run) -> Batches:
        """Batches on the device."""
        return Batches(self.images, run.batch, run.seed, self.device)


def same_as_on_cpu(where: Where) -> dict[str, Any]:
    """Losses and gradients of one step of several recipes, from the same weights and random numbers as on a CPU."""
    worst: dict[str, float] = {}
    with without_tf32():
        for recipe in compared(where):
            run = where.run(recipe)
            weights = prepared(run, where.images)
            cpu, device = (gradients(run, where.images, d, weights) for d in (torch.device("cpu"), where.device))
            worst[recipe] = max(difference(device[name], cpu[name]) for name in cpu)
    wrong = {recipe: d for recipe, d in worst.items() if not d <= EQUAL}
    assert not wrong, f"differ from the CPU by more than {EQUAL:g}: {wrong}"
    return {"largest difference": max(worst.values()), "recipes": worst}


def bf16(where: Where) -> dict[str, Any]:
    """Losses in bf16 are near those in float32, finite, and gradients point the same way."""
    found: dict[str, dict[str, float]] = {}
    for recipe in compared(where):
        weights = prepared(where.run(recipe), where.images)
        full, half = (
            gradients(where.run(recipe, f"precision={precision}"), where.images, where.device, weights)
            for precision in ("fp32", "bf16")
        )
        losses = [name for name in full if name.endswith(" loss")]
        apart = max(abs(float(half[n] - full[n])) / (1 + abs(float(full[n]))) for n in losses)
        turned = min(cosine(half[n], full[n]) for n in full if n not in losses)
        found[recipe] = {"loss apart": apart, "cosine": turned}
        assert apart <= ROUNDED, f"{recipe}: a loss in bf16 is {apart:.3f} from the one in float32"
        assert turned > 0.7, f"{recipe}: the cosine of the gradients in bf16 and float32 is {turned:.3f}"
    return {"recipes": found}


def compiled(where: Where) -> dict[str, Any]:
    """The compiled generator makes the pictures and gradients of the plain one."""
    run = where.run("light")
    net = build_one(run, "generator").to(where.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    z = cast("Any", net).latent.sample(BATCH, generator(0)).to(where.device)
    label = torch.zeros(BATCH, dtype=torch.int64, device=where.device) if where.images.names else None
    other = copy.deepcopy(net)
    # inductor needs a C++ compiler on a CPU and half a minute: there the tracing is checked, which knows the networks
    other.compile(backend="inductor" if where.device.type == "cuda" else "aot_eager")
    with without_tf32():
        plain, quick = net(z, label), other(z, label)
        apart = {"pictures": difference(quick, plain)}
        for given in (plain, quick):
            given.square().mean().backward()
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        if p.grad is not None and q.grad is not None:
            apart[name] = difference(q.grad, p.grad)
    wrong = {name: d for name, d in apart.items() if not d <= EQUAL}
    assert not wrong, f"compiled and plain generator differ: {wrong}"
    return {"largest difference": max(apart.values())}


def no_waiting(where: Where) -> dict[str, Any]:
    """No step of any recipe makes the host wait for the device, after the first ones.

    Recipes that need two domains of pictures, or a label that there is not, are named and left out.
    """
    waits: dict[str, str] = {}
    left_out: list[str] = []
    names = ("light", "sparse") if where.tiny else tuple(recipes())
    for recipe in names:
        try:
            run = where.run(recipe)
            state = State(run, where.device)
        except UserError:
            left_out.append(recipe)
            continue
        if run.objective.domains != "one":
            left_out.append(recipe)
            continue
        loop = steps(state, run, where)
        go(loop, STEPS)
        try:
            with waiting_is_an_error(where.device):
                go(loop, STEPS)
        except RuntimeError as error:
            waits[recipe] = str(error).splitlines()[0]
    assert not waits, f"the host waits for the device in a step of {waits}"
    return {"recipes": len(names) - len(left_out), "left out": left_out}


def resume(where: Where) -> dict[str, Any]:
    """A run that went through a file halfway equals one that did not, bit for bit, with deterministic algorithms.

    Says which operations have none, and which recipes are exact without asking for them.
    """
    apart: dict[str, list[str]] = {}
    names = ["light"] if where.tiny else ["light", "photos"]
    with deterministic() as complaints:
        for name in names:
            apart[name] = resumed_apart(where, where.run(name))
    without = [name for name in names if not resumed_apart(where, where.run(name))]
    inexact = sorted({str(c.message).split(" does not have")[0].strip() for c in complaints})
    differ = {name: f"{len(paths)} parts of the state, such as {paths[0]}" for name, paths in apart.items() if paths}
    assert not differ, f"not exact: {differ}; operations that are not deterministic: {inexact}"
    return {"exact": True, "recipes": names, "not deterministic": inexact, "exact without asking": without}


CHECKS = (same_as_on_cpu, bf16, compiled, no_waiting, resume)


def compared(where: Where) -> tuple[str, ...]:
    """Recipes to compare, of those that there are."""
    return COMPARED[:1] if where.tiny else COMPARED


@dataclass(frozen=True)
class Drawn(Moment):
    """A moment whose random numbers are drawn on the CPU, so that they are the same on every device."""

    home: torch.device = torch.device("cpu")

    def codes(self, latent: Latent) -> Tensor:
        return super().codes(latent).to(self.home)

    def uniform(self, *shape: int) -> Tensor:
        return super().uniform(*shape).to(self.home)

    def normal(self, *shape: int) -> Tensor:
        return super().normal(*shape).to(self.home)


def prepared(run: Run, images: Images) -> dict[str, Tensor]:
    """A run's first weights, and what is computed of the pictures before its first step; on the CPU."""
    state = State(run, torch.device("cpu"))
    prepare(state, run, Batches(images, run.batch, run.seed))
    return state.nets.state_dict()


def gradients(run: Run, images: Images, device: torch.device, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of every turn of one step from these weights: its loss, and its gradient as one vector; on the CPU."""
    state = State(run, device)
    state.nets.load_state_dict(weights)
    label = None if images.told is None else torch.from_numpy(images.told[:BATCH]).to(device)
    batch = Batch(to_float(images.pixels[:BATCH], device), label)
    found: dict[str, Tensor] = {}
    kept: dict[str, Any] = {}
    for turn in run.objective.players:
        state.free(turn)
        rng = generator(0, 0, turn)
        at = Drawn(0, 0.0, rng, BATCH, slice(0, BATCH), run.augment, state.strength, {}, kept, device)
        # layers that draw for themselves draw differently on each device
        for layer in (m for m in state.nets.modules() if isinstance(m, nn.Dropout)):
            layer.p = 0.0
        with torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bf16"):
            terms = run.objective.loss(turn, state.nets, batch, at)
        loss = torch.stack([term.float().mean() for term in terms.values()]).sum()
        moved = [w for w in state.weights[turn] if w.requires_grad]
        slopes = torch.autograd.grad(loss, moved, allow_unused=True)
        found[f"{turn} loss"] = loss.detach().cpu()
        found[turn] = torch.cat([g.float().flatten().cpu() for g in slopes if g is not None])
    return found


def steps(state: State, run: Run, where: Where) -> Iterator[Progress]:
    """Steps of training without end; looks, which may wait, are left out."""
    events = train(state, run, where.batches(run), until=Budget(seconds=1e9), looks=1)
    return (event for event in events if isinstance(event, Progress))


def go(loop: Iterator[Any], count: int) -> None:
    """So many steps."""
    for _ in range(count):
        next(loop)


def resumed_apart(where: Where, run: Run) -> list[str]:
    """Paths of the states' parts that differ between a run in one go and one that was written and read halfway."""
    whole, halves = State(run, where.device), State(run, where.device)
    go(steps(whole, run, where), 2 * STEPS)
    go(steps(halves, run, where), STEPS)
    with tempfile.TemporaryDirectory() as folder:
        here = store.save_state(Path(folder) / "state", halves.tree())
        again = State(run, where.device)
        again.load(store.load_state(here))
    go(steps(again, run, where), STEPS)
    return list(unequal(whole.tree(), again.tree()))


def unequal(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """Paths at which nested states differ; clocks may."""
    if isinstance(a, dict):
        for key in a.keys() | b.keys():
            if key not in ("seconds", "reserve", "looked"):
                yield from unequal(a.get(key), b.get(key), f"{path}/{key}")
    elif isinstance(a, (list, tuple)):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from unequal(x, y, f"{path}/{i}")
    elif not (torch.equal(a, b) if isinstance(a, Tensor) else a == b):
        yield path


def build_one(run: Run, role: str) -> Model:
    """One of a run's networks, with the run's first weights."""
    return cast("Model", State(run, torch.device("cpu")).nets[role])


def difference(a: Tensor, b: Tensor) -> float:
    """‖a - b‖ relative to ‖b‖ or to 1e-6, whichever is larger, in double precision on the CPU."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).norm() / b.norm().clamp_min(1e-6))


def cosine(a: Tensor, b: Tensor) -> float:
    """Of the angle between two vectors."""
    return float(torch.nn.functional.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))


@contextmanager
def without_tf32() -> Generator[None]:
    """Float32 as the CPU has it: tensor cores round its inputs to 10 bits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def waiting_is_an_error(device: torch.device) -> Generator[None]:
    """A RuntimeError wherever the host would wait for the GPU; nothing on a CPU."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextmanager
def deterministic() -> Generator[list[warnings.WarningMessage]]:
    """Deterministic algorithms where there are any; the list fills with warnings of those that have none."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield complaints
        finally:
            torch.use_deterministic_algorithms(False)
