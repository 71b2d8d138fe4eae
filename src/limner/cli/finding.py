"""Directions as two verbs find them: the options, whom to ask for labels, and which way to take where none is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.pictures import gathered, say_notes
from limner.cli.show import remark
from limner.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from limner.explore.directions import Directions
    from limner.explore.labelled import Judge, Labelled
    from limner.explore.spaces import Space
    from limner.likeness import Likeness

F = TypeVar("F", bound=Callable[..., Any])
HOW = ("labels", "svm", "difference", "sefa", "pca")
PICTURES, DRAWS, SEEN = 4_000, 4_000, 1_000
"""Labelled pictures that are read, codes that are drawn to be labelled, codes whose components are taken."""


@dataclass(frozen=True)
class Search:
    """What was asked for.

    how: one of HOW, or none
    data: labelled pictures, or two groups of them
    by: a model whose critic names classes
    k: most directions of sefa and pca
    apart: whether other labels are projected out; none where labels do not exclude each other
    """

    how: str | None = None
    data: tuple[str, ...] = ()
    by: str | None = None
    k: int = 8
    apart: bool | None = None
    seed: int = 0


def search_flags(verb: F) -> F:
    """--how, --data, --by, -k, --apart."""
    options = [
        click.option("--how", type=click.Choice(HOW), help="Default: labels where there are such, else sefa."),
        click.option("--data", multiple=True, metavar="DATA", help="Labelled pictures; given twice: two groups."),
        click.option("--by", metavar="MODEL", help="Whose critic names what is seen, such as --recipe supervised."),
        click.option("-k", type=click.IntRange(1), default=8, show_default=True, help="How many, of sefa and pca."),
        click.option("--apart/--together", default=None, help="Project other labels out. Default: unless classes."),
    ]
    for option in reversed(options):
        verb = option(verb)
    return verb


def natural(likeness: Likeness, where: str | None) -> str:
    """The space that is edited in: styles where there are such."""
    from limner.explore.spaces import Styled

    return where or ("w" if isinstance(likeness.generator, Styled) else "z")


@dataclass(frozen=True, eq=False)
class Found:
    """What was found, who judges it where labels are known, and codes to show it on."""

    directions: Directions
    judge: Judge | None
    points: Tensor


def find(likeness: Likeness, within: Space, asked: Search, label: Tensor | None) -> Found:
    """Directions in a space."""
    from limner.explore import directions, labelled

    how = asked.how or _usual(likeness, asked)
    told = None if label is None else label[_cycled(SEEN, label)]
    points = labelled.drawn(within, SEEN, asked.seed, told)
    if how in ("sefa", "pca"):
        _unasked(asked, how)
        vectors = _unlabelled(within, how, points, min(asked.k, within.latent.dim), label, told)
        names, judge, shown = tuple(f"{how}{n + 1}" for n in range(len(vectors))), None, points
    else:
        known, judge, exclusive = _labelled(likeness, within, asked)
        names, shown = known.names, known.points
        vectors = _learned(known, within, how, exclusive if asked.apart is None else not asked.apart)
    steps = directions.stepped(vectors, points)
    found = directions.Directions(names, steps, within.name, how, directions.mark(likeness.generator))
    return Found(found, judge, shown)


def _unlabelled(
    within: Space, how: str, points: Tensor, k: int, label: Tensor | None, told: Tensor | None
) -> Tensor:  # fmt: skip
    from limner.explore import directions, layers

    if how == "sefa":
        return directions.leading(layers.affine(within, label), k)
    return directions.components(points if within.name == "w" else layers.activations(within, points, told), points, k)


def _cycled(n: int, label: Tensor) -> Tensor:
    import torch

    return torch.arange(n, device=label.device) % len(label)


def _usual(likeness: Likeness, asked: Search) -> str:
    names_classes = likeness.critic is not None and likeness.critic.classes > 0 and not likeness.generator.classes
    return "labels" if asked.data or asked.by or names_classes else "sefa"


def _unasked(asked: Search, how: str) -> None:
    if asked.data or asked.by or asked.apart is not None:
        raise UserError(f"--how {how} needs no labels; leave out --data, --by and --apart, or take --how labels")


def _learned(known: Labelled, within: Space, how: str, together: bool) -> Tensor:
    """Vectors of the space, from codes in units of its standard deviations."""
    from limner.explore.directions import apart, differences, normals, spread

    sigma = spread(within).to(known.points)
    u = known.points / sigma
    vectors = differences(u, known.told) if how == "difference" else normals(
        u, known.told, "svm" if how == "svm" else "logistic"
    )  # fmt: skip
    if not together and len(known.names) > 1:
        vectors = apart(vectors, known.names)
    return vectors * sigma


def _labelled(likeness: Likeness, within: Space, asked: Search) -> tuple[Labelled, Judge, bool]:
    """Codes with labels, and who judges: --by, the model's own critic, or a regression on --data."""
    from limner.explore import labelled
    from limner.likeness import load

    if likeness.generator.classes:
        raise UserError(
            "this generator is told its labels, so its codes do not hold them; change them by limner edit --as NAME, "
            "or find what else varies by --how sefa or pca"
        )
    critic = None
    if asked.by or (likeness.critic is not None and likeness.critic.classes):
        other = load(asked.by, likeness.device) if asked.by else likeness
        _alike(other, likeness, asked.by)
        critic = labelled.by_critic(other.scene, asked.by or "the model's critic")
    if not asked.data:
        if critic is None:
            raise UserError("nobody names what the pictures show; give --data LABELLED, --by MODEL, or --how sefa")
        return labelled.of_draws(within, critic, DRAWS, asked.seed).usable(), critic, critic.exclusive
    x, told, names, exclusive = _told(likeness, asked.data)
    known = labelled.Labelled(x.flatten(1), told, names).usable()
    judge = critic if critic and set(known.names) <= set(critic.names) else None
    judge = judge or labelled.by_pixels(x, known.told, known.names, exclusive)
    encoder = likeness.encoder
    if encoder is not None and encoder.latent == likeness.generator.latent:
        known = labelled.of_pictures(within, x, known.told, known.names)
    else:
        remark(f"note: there is no encoder for --data, so draws are used, labelled by {judge.said}")
        known = labelled.of_draws(within, judge, DRAWS, asked.seed).usable()
    return known, judge, exclusive


def _alike(other: Likeness, likeness: Likeness, said: str | None) -> None:
    seen = other.critic.image if other.critic is not None else None
    if seen != likeness.image:
        raise UserError(f"--by {said}: judges {seen or 'no'} pictures; this model makes {likeness.image}")


def _told(likeness: Likeness, data: tuple[str, ...]) -> tuple[Tensor, Tensor, tuple[str, ...], bool]:
    """Pictures in [-1, 1], which labels they have, their names, and whether they exclude each other."""
    import numpy as np
    import torch

    from limner.core.pixels import to_float

    image = likeness.image
    sources = [gathered(one, (image.height, image.width), image.channels, "train") for one in data]
    for images in sources:
        say_notes(images)
    if len(sources) > 2:
        raise UserError("--data is given once, with labels, or twice, for two groups of pictures")
    if len(sources) == 2:
        names = tuple(Path(one).stem for one in data)
        if len(set(names)) < 2:
            raise UserError(f"both groups are called {names[0]!r}; rename a folder, it is the name of the direction")
        pixels = np.concatenate([_some(images.pixels, PICTURES // 2) for images in sources])
        groups = np.repeat([0, 1], [min(len(images), PICTURES // 2) for images in sources])
        return to_float(pixels, likeness.device), torch.from_numpy(np.eye(2, dtype=bool)[groups]), names, True
    (images,) = sources
    if images.told is None:
        raise UserError(f"{data[0]} has no labels; give a folder with one sub-folder a class, or --data twice")
    x, said = to_float(_some(images.pixels, PICTURES), likeness.device), torch.from_numpy(_some(images.told, PICTURES))
    if images.numbers is not None:
        known = ~said.isnan().any(1)
        return x[known], said[known] > 0.5, images.names, False
    return x[said >= 0], torch.nn.functional.one_hot(said[said >= 0], len(images.names)).bool(), images.names, True


def _some(rows: Any, most: int) -> Any:
    """At most so many, evenly spaced."""
    import numpy as np

    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]
