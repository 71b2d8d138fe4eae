"""What `limner edit` is asked for: one kind of edit, what it takes, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from limner.cli.editing import check_model, told
from limner.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from limner.explore.directions import Directions
    from limner.likeness import Likeness


@dataclass(frozen=True)
class Wish:
    """What was asked for: one kind of edit, the picture or label it takes, and where it applies."""

    kind: str
    other: str = ""
    moves: dict[str, float] = field(default_factory=dict[str, float])
    region: str | None = None
    layers: str | None = None
    keep: bool = False

    def check(self, likeness: Likeness, known: Directions | None, file: str | None, where: str) -> None:
        """Raises UserError before anything is climbed."""
        from limner.explore.directions import mark
        from limner.explore.edit import chosen, layers_of

        if known is not None:
            check_model(str(file), known.model, mark(likeness.generator))
            if known.space != where:
                raise UserError(f"{file}: holds directions of {known.space}, not {where}; leave out --space {where}")
            self.check_names(known)
        if self.kind == "mix" or self.layers:
            count = layers_of(likeness.generator)
            if where != "w":
                raise UserError("--layers chooses among styles; leave out --space z")
            chosen(self.layers or "", count)
        if self.kind == "as":
            told(likeness, self.other, 1)
        if self.region:
            patch(self.region, likeness)

    def check_names(self, known: Directions) -> None:
        """Raises UserError for a --move along a direction that is not there."""
        for name in self.moves:
            known.step(name)


def wished(
    moves: tuple[str, ...], to: str | None, blend: str | None, region: str | None, mix: str | None,
    layers: str | None, other: str | None, keep: bool, fit: str,
) -> Wish:  # fmt: skip
    given = {"move": moves, "to": to, "blend": blend, "mix": mix, "as": other}
    kinds = [name for name, value in given.items() if value]
    if len(kinds) != 1:
        said = f"not {' and '.join('--' + name for name in kinds)} at once" if kinds else "for example --move sefa1=3"
        raise UserError(f"choose one edit: --move NAME=3, --to, --blend, --mix or --as; {said}")
    (kind,) = kinds
    if (kind == "blend") != (region is not None):
        raise UserError("--blend IMAGE and --region X,Y,W,H belong together: give both")
    if (kind == "mix" and layers is None) or (layers is not None and kind not in ("mix", "move")):
        raise UserError("--mix IMAGE takes --layers, such as --layers 2- for the fine ones; --move may, nothing else")
    if keep and kind == "to":
        raise UserError("--keep keeps what is not edited, and --to another picture all of it is; leave it out")
    if fit == "tile" and kind != "move" and kind != "as":
        raise UserError(f"--fit tile cuts pictures up, and --{kind} needs whole ones; take --fit pad")
    return Wish(kind, "" if kind == "move" else str(given[kind]), dict(map(_move, moves)), region, layers, keep)


def _move(text: str) -> tuple[str, float]:
    name, _, strength = text.rpartition("=")
    try:
        return name or strength, float(strength if name else "")
    except ValueError:
        raise UserError(f"--move {text}: write NAME=2.5, a direction and how far, in standard deviations") from None


def patch(text: str, likeness: Likeness) -> Tensor:
    """(1, 1, h, w), 1 inside the region."""
    import torch

    from limner.operators.mask import read_grey

    image = likeness.image
    if not text.replace(",", "").replace(" ", "").isdigit():
        inside = torch.from_numpy(read_grey(text) > 127)
        if inside.shape != (image.height, image.width):
            size = "×".join(map(str, inside.shape))
            own = f"{image.height}×{image.width}"
            raise UserError(f"--region {text}: is {size} and the model makes {own}; give one as large")
        return inside.float()[None, None].to(likeness.device)
    numbers = [int(part) for part in text.split(",") if part.strip()]
    x, y, wide, high = numbers if len(numbers) == 4 else (0, 0, 0, 0)
    if not (wide and high) or x + wide > image.width or y + high > image.height:
        raise UserError(f"--region {text}: write X,Y,W,H in pixels, within {image.width} wide and {image.height} high")
    region = torch.zeros(1, 1, image.height, image.width, device=likeness.device)
    region[:, :, y : y + high, x : x + wide] = 1
    return region
