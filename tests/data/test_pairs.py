"""Two domains as users give them: sub-folders, two sources, pictures side by side; and their batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.core.errors import UserError
from limner.core.pixels import save_png, to_bytes
from limner.data.gather import gather, of_arrays
from limner.data.images import Images
from limner.data.pairs import BATCHES, arrange


def draw(folder: Path, levels: range, width: int = 8) -> Path:
    """Pictures of one level each, named after it."""
    for level in levels:
        save_png(np.full((8, width, 1), level, np.uint8), folder / f"{level % 100:03d}.png")
    return folder


def two(n: int = 10) -> Images:
    """Domain 0 has levels under 100, domain 1 the same and a hundred more."""
    pixels = np.concatenate([np.full((1, 8, 8, 1), k, np.uint8) for k in (*range(n), *range(100, 100 + n))])
    return of_arrays(pixels, np.repeat([0, 1], n), ("dark", "bright"))


def seen(x: object) -> list[int]:
    return to_bytes(x)[:, 0, 0, 0].tolist()  # type: ignore[arg-type]


def test_sub_folders_are_domains(tmp_path: Path) -> None:
    draw(tmp_path / "A", range(10)), draw(tmp_path / "B", range(100, 115))
    images = arrange(gather(str(tmp_path)), "two")
    assert images.names == ("A", "B") and np.bincount(images.labels).tolist() == [10, 15]
    draw(tmp_path / "C", range(5))
    with pytest.raises(UserError, match=r"3 classes; this recipe needs two folders of pictures.*A/ and B/.*--to OTHER"):
        arrange(gather(str(tmp_path)), "two")


def test_the_public_cyclegan_data_sets_are_understood(tmp_path: Path) -> None:
    for name, levels in {"trainA": range(6), "trainB": range(100, 108), "testA": range(50, 54)}.items():
        draw(tmp_path / name, levels)
    draw(tmp_path / "testB", range(150, 154))
    images = arrange(gather(str(tmp_path)), "two")
    assert sorted(set(images.pixels[:, 0, 0, 0].tolist())) == [*range(6), *range(100, 108)]
    assert images.names == ("A", "B") and np.bincount(images.labels).tolist() == [6, 8]


def test_two_sources_are_domains_and_labels_in_them_are_not(tmp_path: Path) -> None:
    other = of_arrays(np.full((5, 8, 8, 1), 200, np.uint8), source="photos/bright.npz")
    images = arrange(two(), "two", other)
    assert len(images) == 25 and np.bincount(images.labels).tolist() == [20, 5]
    assert images.names == ("array", "bright") and images.fingerprint not in (two().fingerprint, other.fingerprint)
    with pytest.raises(UserError, match=r"--to photos/bright.npz: this recipe takes one folder"):
        arrange(two(), "one", other)


def test_one_folder_is_told_what_is_needed(tmp_path: Path) -> None:
    images = gather(str(draw(tmp_path / "one", range(9))))
    with pytest.raises(UserError, match=r"is one folder of pictures; this recipe needs two folders.*--to OTHER") as two:
        arrange(images, "two")
    with pytest.raises(UserError, match=r"needs pictures and their answers.*side by side.*--size") as matched:
        arrange(images, "matched")
    assert "\n" not in f"{two.value}{matched.value}"


def test_pictures_are_matched_by_name_and_the_lonely_are_counted(tmp_path: Path) -> None:
    draw(tmp_path / "A", range(3, 12)), draw(tmp_path / "B", range(100, 110))
    images = arrange(gather(str(tmp_path)), "matched")
    left, right = images.pixels[:, 0, 0, 0], images.pixels[:, 0, -1, 0]
    assert images.pixels.shape == (7, 8, 16, 1) and (right == left + 100).all()
    assert images.notes[-1] == "5 pictures have no counterpart of the same name and are not used"
    separate = arrange(gather(str(tmp_path / "A")), "matched", gather(str(tmp_path / "B")))
    assert separate.fingerprint == images.fingerprint
    draw(tmp_path / "C", range(50, 60))
    with pytest.raises(UserError, match="0 pictures have an answer of the same file name"):
        arrange(gather(str(tmp_path / "A")), "matched", gather(str(tmp_path / "C")))


def test_pictures_side_by_side_are_taken_as_they_are(tmp_path: Path) -> None:
    for level in range(6):
        both = np.concatenate([np.full((8, 8, 1), v, np.uint8) for v in (level, 200 + level)], 1)
        save_png(both, tmp_path / f"{level}.png")
    images = arrange(gather(str(tmp_path), size=(8, 16)), "matched")
    pair = BATCHES["matched"](images, 6, seed=1).at(0)
    assert pair.matched and seen(pair.other) == [200 + v for v in seen(pair.x)]


def test_arrays_are_matched_by_place() -> None:
    images = arrange(two(), "matched")
    assert (images.pixels[:, 0, 8, 0] - images.pixels[:, 0, 0, 0] == 100).all()
    with pytest.raises(UserError, match="has 20 pictures and array has 10; matched ones are as many"):
        arrange(two(), "matched", of_arrays(np.zeros((10, 8, 8, 1), np.uint8)))


def test_unmatched_batches_visit_each_domain_once_in_orders_of_their_own() -> None:
    batches = BATCHES["two"](two(), 5, seed=3)
    pairs = [batches.at(nimg) for nimg in (0, 5)]
    a, b = ([level for pair in pairs for level in seen(side(pair))] for side in (lambda p: p.x, lambda p: p.other))
    assert sorted(a) == list(range(10)) and sorted(b) == list(range(100, 110))
    assert [v + 100 for v in a] != b and not pairs[0].matched and len(pairs[0]) == 5
    part = batches.at(5, slice(2, 4))
    assert seen(part.x) == seen(pairs[1].x)[2:4] and seen(part.other) == seen(pairs[1].other)[2:4]
    some = BATCHES["two"](two(), 4, seed=3, among=np.array([0, 1, 2, 3, 16, 17, 18, 19])).at(0)
    assert sorted(seen(some.x)) == [0, 1, 2, 3] and sorted(seen(some.other)) == [106, 107, 108, 109]
