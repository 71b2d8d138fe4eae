"""What a model paints, to look at: samples beside real pictures, class by class, between two codes, and rebuilt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from limner.core.pixels import Bytes, psnr, to_float
from limner.data.images import Images
from limner.likeness import Likeness
from limner.report.figures import figure, tiles
from limner.report.markup import Inside, Markup, join, tag
from limner.report.page import Section, table

SAMPLES, COLUMNS = 64, 8
CLASSES = 16
"""Classes shown, at most."""
PATHS, STEPS = 3, 9
PAIRS = 16
MEASURED = 1000
"""Pictures rebuilt to measure by, at most."""
Models = Sequence[tuple[str, Likeness]]


def side_by_side(figures: Sequence[Inside]) -> Markup:
    """Figures next to each other where there is room."""
    return tag("div", figures, class_="side")


def samples(real: Images, drawn: Sequence[tuple[str, Bytes]]) -> Section:
    """Pictures of each model, the first of those that were scored, beside real ones."""
    rows = np.linspace(0, len(real) - 1, min(SAMPLES, len(real))).astype(np.int64)
    shown = [(f"real: {real.source}", real.pixels[rows]), *drawn]
    figures = [
        figure(name, tiles(some[:SAMPLES], f"{min(SAMPLES, len(some))} pictures of {name}", columns=COLUMNS))
        for name, some in shown
    ]
    lead = "Not chosen: the first of the pictures that were scored, and real ones evenly from all."
    return Section("samples", "Samples", side_by_side(figures), lead)


def classes(models: Models, seed: int) -> Section | None:
    """A row of pictures for each class, of the models that can be told one."""
    told = [(name, m) for name, m in models if m.generator.classes]
    if not told:
        return None
    figures = [figure(name, _class_rows(m, seed)) for name, m in told]
    lead = "Each row was asked for by its name, from the same eight codes: do the classes look like themselves?"
    return Section("classes", "Class by class", side_by_side(figures), lead)


def between(models: Models, seed: int) -> Section | None:
    """From one code to another in even steps."""
    if not models:
        return None
    figures = [figure(name, [_path(m, k, seed) for k in range(PATHS)]) for name, m in models]
    lead = "From one sample to another in even steps of the code: changes should be gradual, and each step a picture."
    return Section("between", "Between two samples", side_by_side(figures), lead)


def reconstructions(models: Models, real: Images) -> Section | None:
    """Real pictures above what the model makes of their codes, where it has an encoder for that."""
    able = [(name, m) for name, m in models if m.encoder and m.encoder.latent == m.generator.latent]
    figures = [_rebuilt(name, m, real) for name, m in able if m.image == real.image]
    if not figures:
        return None
    lead = "Real pictures that were not chosen, each above what the decoder makes of its code."
    return Section("reconstructions", "Reconstructions", side_by_side(figures), lead)


def _class_rows(model: Likeness, seed: int) -> Markup:
    count = min(CLASSES, model.generator.classes)
    names = model.names or tuple(map(str, range(model.generator.classes)))
    z = model.codes(COLUMNS, seed)
    rows: list[Sequence[Inside]] = []
    for k in range(count):
        asked = f"{names[k]}=1" if model.numbered else str(k)
        made = model.decode(z, model.labels(COLUMNS, seed, asked))
        rows.append((names[k], tiles(made, f"{COLUMNS} pictures told {names[k]}", columns=COLUMNS)))
    more = model.generator.classes - count
    rest = tag("p", f"and {more} classes more", class_="quiet") if more else None
    return join([table((), rows, kind="pictures"), rest])


def _path(model: Likeness, k: int, seed: int) -> Markup:
    z = model.codes(2 * PATHS, seed)
    here, there = z[2 * k : 2 * k + 1], z[2 * k + 1 : 2 * k + 2]
    steps = torch.cat([model.generator.latent.between(here, there, t / (STEPS - 1)) for t in range(STEPS)])
    told = model.labels(2 * PATHS, seed)
    made = model.decode(steps, None if told is None else told[np.full(STEPS, 2 * k)])
    return tiles(made, f"{STEPS} steps from one sample to another")


def _rebuilt(name: str, model: Likeness, real: Images) -> Markup:
    rows = np.linspace(0, len(real) - 1, min(MEASURED, len(real))).astype(np.int64)
    pixels = np.ascontiguousarray(real.pixels[rows])
    known = model.generator.classes and real.labels is not None and real.names == model.names
    made = model.reconstruct(pixels, real.labels[rows] if known and real.labels is not None else None)
    decibels = psnr(to_float(pixels), to_float(made))
    some = np.linspace(0, len(rows) - 1, min(PAIRS, len(rows))).astype(np.int64)
    pairs = np.concatenate([pixels[some], made[some]], axis=1)
    spread = float(decibels.std()) / len(decibels) ** 0.5 if len(decibels) > 1 else 0.0
    words = f"PSNR {float(decibels.mean()):.1f} ± {1.96 * spread:.1f} dB over {len(rows):,} pictures"
    told = tag("p", words, class_="quiet")
    sheet = tiles(pairs, f"{len(some)} real pictures above their reconstructions", columns=COLUMNS, side=128)
    return figure(name, sheet, told)
