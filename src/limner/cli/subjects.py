"""What `limner evaluate` is given: models and pictures to judge, the real pictures, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from limner.cli.fitting import usual_split
from limner.cli.pictures import gathered, splits
from limner.cli.show import remark
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.core.pixels import Image
    from limner.data.decode import Fit
    from limner.data.images import Images
    from limner.report.subjects import Subject

NAMED = 3
"""Bad files that an error names; a remark names more."""


def is_model(name: str) -> bool:
    """Whether this is a run folder or a model file, and not pictures."""
    path = Path(name)
    inside = path.is_dir() and any((path / file).exists() for file in ("model.safetensors", "run.json"))
    return inside or path.suffix == ".safetensors"


def opened(names: tuple[str, ...], data: str, device: str, fit: Fit | None, skip_bad: bool) -> list[Subject]:
    """Models loaded and pictures read, all in one shape or with a --fit to bring them to it.

    Raises UserError for what is neither, and for shapes that differ.
    """
    from limner.likeness import load
    from limner.report.subjects import Subject

    models = {name: load(name, device) for name in names if is_model(name)}
    shape = next((model.image for model in models.values()), None)
    if shape is None:
        shape = gathered(data, None, None, usual_split(data, None)).image
    found: list[Subject] = []
    for name in names:
        if name in models:
            if models[name].image != shape and fit is None:
                raise UserError(f"{name} makes {models[name].image} pictures, not {shape}; {_offer()}")
            found.append(Subject(name, likeness=models[name], folder=_run_folder(name)))
        else:
            found.append(Subject(name, images=_generated(name, shape, fit, skip_bad)))
    return found


def pictures_of(data: str, image: Image, split: str | None, fit: Fit = "crop") -> tuple[Images, Images | None]:
    """The real pictures in a shape, and the training split if that is another."""
    size = image.height, image.width
    chosen = usual_split(data, split)
    real = gathered(data, size, image.channels, chosen, fit)
    if chosen == "train":
        remark(f"note: {data} is scored against its training pictures, which the model may have seen")
        return real, None
    return real, gathered(data, size, image.channels, "train", fit) if "train" in splits(data) else None


def held_beside(real: Images, train: Images | None, fit: Fit) -> Images | None:
    """The pictures that training held out for itself, where `real` is the training split and there are some."""
    if train is not None or "val" not in splits(real.source):
        return None
    shape = real.image
    return gathered(real.source, (shape.height, shape.width), shape.channels, "val", fit)


def check_real(
    real: Images, train: Images | None, split: str | None, subjects: list[Subject], fit: Fit | None, skip_bad: bool
) -> None:
    """Raises UserError where the real pictures are of another shape and no model was trained on them so."""
    own = {(s.likeness.header.get("data") or {}).get("fingerprint") for s in subjects if s.likeness is not None}
    if fit is None and not own & {real.fingerprint, train.fingerprint if train else real.fingerprint}:
        _refuse_unequal(real.source, usual_split(real.source, split), real.image)
    for images in (real, train):
        if images is not None:
            check_whole(images, skip_bad)


def check_whole(images: Images, skip_bad: bool) -> None:
    """Names and counts files that cannot be used. Raises UserError unless they are to be skipped."""
    bad = images.troubles
    if not bad:
        return
    some = ", ".join(f"{t.file} ({t.reason})" for t in bad[:NAMED])
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    told = f"{images.source}: {len(bad)} of {len(bad) + len(images):,} files cannot be used: {some}{more}"
    if not skip_bad:
        raise UserError(f"{told}; repair them, or add --skip-bad to go on without them")
    remark(f"note: {told}; skipped")


def _generated(name: str, shape: Image, fit: Fit | None, skip_bad: bool) -> Images:
    """Pictures of another tool: the whole folder, or its training split where it has splits."""
    there = splits(name)
    split = "train" if not there or "train" in there else there[0]
    images = gathered(name, (shape.height, shape.width), shape.channels, split, fit or "crop")
    if fit is None:
        _refuse_unequal(name, split, shape)
    check_whole(images, skip_bad)
    return images


def _refuse_unequal(source: str, split: str, shape: Image) -> None:
    from limner.core.pixels import Image
    from limner.data.survey import survey

    seen = survey(source, split)
    if set(seen.sizes) <= {(shape.height, shape.width)} and seen.channels == shape.channels:
        return
    alike = Image(seen.channels, *next(iter(seen.sizes)))
    told = f"its pictures are {alike}" if len(seen.sizes) == 1 else f"its pictures are of {len(seen.sizes)} sizes"
    raise UserError(f"{source}: {told}, and {shape} is compared; {_offer()}")


def _offer() -> str:
    return "add --fit crop (the centre of each picture) or --fit pad (all of it, with a border)"


def _run_folder(name: str) -> Path | None:
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    return folder if (folder / "events.jsonl").exists() else None
