"""A learned codec beside JPEG, WebP, AVIF and PNG on held-out pictures: bytes, PSNR and MS-SSIM.

    python benchmarks/compress.py digits flowers --for 25m
    python benchmarks/compress.py digits --model runs/compress/digits --also runs/vae --pictures 150

Bytes are counted three ways. `file`: a file for each picture. `payload`: the same without what is alike in every file
or says what file it is: of JPEG the scan alone, with the standard tables; of WebP all after the frame header (30 bytes
less); of AVIF the coded data; of ours the coded codes. `album`: all pictures in one file: a mosaic for the others, one
.limn for ours. A rival's PSNR at our bytes is read off its curve, in the logarithm of bytes; where its smallest is
larger, there is none. Trains on the training split by the recipe `codec`, unless there is a --model.
Data: ../shared/data, or --data FOLDER.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from PIL import Image as Pillow

from limner.cli import run
from limner.codec.compress import compress, decompress
from limner.core.pixels import grid, picture, psnr, save_png, to_float
from limner.data.gather import gather
from limner.data.whole import Whole
from limner.distances.msssim import MSSSIM
from limner.likeness import Likeness, load

Pictures = np.ndarray
"""uint8 (n, h, w, c)."""
COUNTED = ("file", "payload", "album")
SHOWN = 17.0
"""PSNR below which nobody would keep a picture: not drawn."""
STEPS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
QUALITIES = (0, 2, 5, 10, 15, 22, 30, 40, 55, 70, 85, 95)


@dataclass(frozen=True)
class Point:
    """One setting of one codec: bytes a picture, and how like the pictures are; `counted` as in COUNTED."""

    setting: str
    counted: str
    size: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Task:
    """Where the pictures are, and how they are read."""

    source: str
    size: int
    options: tuple[str, ...] = ()


TASKS = {"digits": Task("mnist", 28), "flowers": Task("flowers/flowers128.zip", 64, ("--size", "64"))}


def scan(content: bytes) -> int:
    """Bytes of a JPEG between the head of its scan and its end."""
    start = content.index(b"\xff\xda")
    return len(content) - start - 2 - int.from_bytes(content[start + 2 : start + 4], "big") - 2


def media(content: bytes) -> int:
    """Bytes of coded data in an AVIF file."""
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big") or len(content) - at
        if content[at + 4 : at + 8] == b"mdat":
            return size - 8
        at += size
    raise ValueError("no coded data")


RIVALS: dict[str, tuple[dict[str, object], dict[str, object], Callable[[bytes], int]]] = {
    "JPEG": ({"optimize": True}, {}, scan),
    "WEBP": ({"method": 6}, {"method": 6}, lambda content: len(content) - 30),
    "AVIF": ({"speed": 4}, {"speed": 4}, media),
}
"""Format → options of a file, options where the payload is counted, and how."""


def coded(pixels: Pictures, kind: str, **options: object) -> tuple[bytes, Pictures]:
    """A picture (h, w, c) → a file's content, and what comes out of it."""
    file = io.BytesIO()
    picture(pixels).save(file, kind, **options)
    with Pillow.open(file) as seen:
        again = np.asarray(seen.convert("L" if pixels.shape[2] == 1 else "RGB"))
    return file.getvalue(), again.reshape(pixels.shape)


def point(setting: str, counted: str, size: float, truth: Pictures, made: Pictures) -> Point:
    x, y = to_float(np.ascontiguousarray(truth)), to_float(np.ascontiguousarray(made))
    return Point(setting, counted, size, psnr(y, x).mean().item(), 1 - MSSSIM()(y, x).mean().item())


def rival(kind: str, x: Pictures) -> list[Point]:
    """The points of a format, over its qualities; those of a file each on the first sixty."""
    whole, plain, payload = RIVALS[kind]
    some, points = x[:60], list[Point]()
    for quality in QUALITIES:
        for counted, options, count in (("file", whole, len), ("payload", plain, payload)):
            files = [coded(one, kind, quality=quality, **options) for one in some]
            made = np.stack([again for _, again in files])
            points.append(point(f"{quality}", counted, mean(count(content) for content, _ in files), some, made))
        content, again = coded(grid(x, gap=0), kind, quality=quality, **whole)
        points.append(point(f"{quality}", "album", len(content) / len(x), x, cells(again, x)))
    return points


def cells(sheet: Pictures, x: Pictures) -> Pictures:
    """The pictures of a mosaic."""
    n, height, width, channels = x.shape
    columns = math.ceil(math.sqrt(n))
    rows = sheet.reshape(-1, height, columns, width, channels).swapaxes(1, 2)
    return rows.reshape(-1, height, width, channels)[:n]


def ours(likeness: Likeness, x: Pictures) -> list[Point]:
    """Ours, over steps."""
    points: list[Point] = []
    wholes = [Whole(f"{k}", one) for k, one in enumerate(x)]
    for step in STEPS:
        made = compress(likeness.nets, wholes, step, names=False)
        again = np.stack([one.pixels for one in decompress(likeness.nets, made.content)])
        singles = [compress(likeness.nets, [one], step, names=False) for one in wholes[:20]]
        beside = mean(len(one.content) - one.ideal for one in singles)
        payload = made.payload / len(x)
        sizes = {"file": made.ideal / len(x) + beside, "payload": payload, "album": len(made.content) / len(x)}
        points += [point(f"{step:g}", counted, size, x, again) for counted, size in sizes.items()]
    return points


def at(points: list[Point], counted: str, size: float, what: str = "psnr") -> float:
    """A curve's value at a size; not a number where it has none so small or so large."""
    curve = sorted((p.size, getattr(p, what)) for p in points if p.counted == counted)
    sizes, values = np.log([size for size, _ in curve]), [value for _, value in curve]
    if not curve[0][0] <= size <= curve[-1][0]:
        return math.nan
    return float(np.interp(math.log(size), sizes, values))


def tables(name: str, curves: dict[str, list[Point]], x: Pictures) -> None:
    """Our points, and how many dB they are above the others at equal bytes."""
    print(f"\n{name}: {len(x)} held-out pictures of {x.shape[1]}×{x.shape[2]}\n")
    rivals = [kind for kind in curves if kind in RIVALS]
    for counted in COUNTED:
        print(f"\nCounted by {counted}. Bytes a picture; in brackets ours less theirs, in dB.\n")
        theirs = [f"{kind} PSNR, MS-SSIM" for kind in rivals]
        heads = ["model, step", "bytes", "bits a pixel", "PSNR", "MS-SSIM", *theirs]
        print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
        own = [(kind, p) for kind, points in curves.items() if kind not in RIVALS for p in points]
        for kind, p in ((kind, p) for kind, p in own if p.counted == counted):
            bits = 8 * p.size / (x.shape[1] * x.shape[2])
            row = [f"{kind}, {p.setting}", f"{p.size:.0f}", f"{bits:.2f}", f"{p.psnr:.2f}", f"{p.ssim:.4f}"]
            print(f"| {' | '.join(row + [against(p, curves[rival]) for rival in rivals])} |")
    print("\nWithout loss, a file each / an album: ", end="")
    for kind, options in LOSSLESS.items():
        each = mean(len(coded(one, kind, **options)[0]) for one in x[:60])
        print(f"{kind} {each:.0f} / {len(coded(grid(x, gap=0), kind, **options)[0]) / len(x):.0f} bytes", end="  ")
    print()


def against(p: Point, points: list[Point]) -> str:
    """A rival where it has as many bytes."""
    theirs, likeness = at(points, p.counted, p.size), at(points, p.counted, p.size, "ssim")
    if math.isnan(theirs):
        return "none so small" if p.size < min(q.size for q in points if q.counted == p.counted) else "none so large"
    return f"{theirs:.2f} (**{p.psnr - theirs:+.2f}**), {likeness:.4f}"


LOSSLESS: dict[str, dict[str, object]] = {"PNG": {"optimize": True}, "WEBP": {"lossless": True, "method": 6}}


def draw_curves(curves: dict[str, list[Point]], path: Path) -> None:
    """PSNR over bytes, counted in each way."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, constrained_layout=True)
    for axis, counted in zip(axes, COUNTED, strict=True):
        for kind, points in curves.items():
            curve = sorted((p.size, p.psnr) for p in points if p.counted == counted and p.psnr > SHOWN)
            axis.plot(*zip(*curve, strict=True), "o-", markersize=3, lw=1.2 if kind in RIVALS else 2.2, label=kind)
        axis.set(xscale="log", xlabel="bytes a picture", title=counted)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter("")
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("PSNR, dB")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_sheet(likeness: Likeness, x: Pictures, step: float, path: Path) -> str:
    """Pictures, and under them ours, WebP and JPEG at as nearly equal payloads as their qualities allow."""
    made = compress(likeness.nets, [Whole(f"{k}", one) for k, one in enumerate(x)], step, names=False)
    rows, told = [x, np.stack([one.pixels for one in decompress(likeness.nets, made.content)])], []
    size = made.payload / len(x)
    told.append(f"ours {size:.0f}")
    for kind in ("WEBP", "JPEG"):
        _, options, count = RIVALS[kind]
        tries = [[coded(one, kind, quality=q, **options) for one in x] for q in range(0, 96)]
        sizes = [mean(count(content) for content, _ in files) for files in tries]
        best = min(range(len(tries)), key=lambda k: abs(sizes[k] - size))
        rows.append(np.stack([again for _, again in tries[best]]))
        told.append(f"{kind} {sizes[best]:.0f}")
    save_png(grid(np.concatenate(rows), len(x)).repeat(2, 0).repeat(2, 1), path)
    return "rows: original, " + ", ".join(told) + " bytes of payload a picture"


def trained(name: str, task: Task, arguments: argparse.Namespace) -> Path:
    """A run of the recipe, gone on with where it was stopped."""
    folder, source = Path(arguments.work) / name, str(Path(arguments.data) / task.source)
    if (folder / "model.safetensors").exists():
        return folder
    command = ["train", source, *task.options, "--recipe", "codec", "--out", str(folder), "--for", arguments.span]
    if run([*command, "--seed", str(arguments.seed), "--device", "cpu"]):
        raise SystemExit(2)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=list(TASKS))
    parser.add_argument("--data", default="../shared/data", help="folder of the data sets")
    parser.add_argument("--work", default="runs/compress", help="folder for runs and pictures")
    parser.add_argument("--for", dest="span", default="25m", help="training time")
    parser.add_argument("--model", default="", help="a run that is there already, for one task")
    parser.add_argument("--also", action="append", default=[], help="another model to put beside it")
    parser.add_argument("--pictures", type=int, default=300, help="to test on")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work = Path(arguments.work)
    work.mkdir(parents=True, exist_ok=True)
    for name in arguments.tasks:
        task = TASKS[name]
        likeness = load(arguments.model or trained(name, task, arguments))
        images = gather(str(Path(arguments.data) / task.source), size=(task.size, task.size), split="test")
        rows = np.linspace(0, len(images) - 1, min(arguments.pictures, len(images))).astype(int)
        x = np.ascontiguousarray(images.pixels[rows])
        # in any order, so that the first sixty are like all
        x = x[np.random.default_rng(arguments.seed).permutation(len(x))]
        own = {str(model.header["recipe"]): ours(model, x) for model in (likeness, *map(load, arguments.also))}
        curves = own | {kind: rival(kind, x) for kind in RIVALS}
        tables(name, curves, x)
        draw_curves(curves, work / f"{name}-curves.png")
        print("\n" + draw_sheet(likeness, x[:10], 4.0, work / f"{name}-sheet.png"))
        told = {kind: [dataclasses.asdict(p) for p in points] for kind, points in curves.items()}
        (work / f"{name}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
