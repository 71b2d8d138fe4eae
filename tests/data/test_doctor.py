"""The data doctor finds what was planted, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.data.doctor import GAP, contact_sheet, examine
from limner.data.gather import gather, of_arrays
from limner.data.images import duplicates


def test_planted_faults_are_found(known: Any, tmp_path: Path, put: Callable[..., Path]) -> None:
    folder = known.write(tmp_path / "d")
    put(folder / "0" / "copy.png", known.pixels[0])
    put(folder / "2" / "stray.png", known.pixels[1])
    put(folder / "1" / "blank.png", np.full((10, 14, 3), (9, 200, 30), np.uint8))
    (folder / "1" / "cut.png").write_bytes((folder / "1" / "004.png").read_bytes()[:99])
    found = examine(str(folder))
    assert [[found.name(i) for i in group] for group in found.duplicates] == [
        ["0/000.png", "0/copy.png"],
        ["0/001.png", "2/stray.png"],
    ]
    assert [[found.name(i) for i in group] for group in found.conflicts] == [["0/001.png", "2/stray.png"]]
    assert [found.name(i) for i in found.empty] == ["1/blank.png"]
    assert [trouble.file for trouble in found.images.troubles] == ["1/cut.png"]
    pixels = found.images.pixels / 255
    assert found.mean == pytest.approx(pixels.mean((0, 1, 2)).tolist())
    assert found.std == pytest.approx(pixels.std((0, 1, 2)).tolist())


def test_duplicates_are_exact() -> None:
    pixels = np.zeros((6, 5, 5, 1), np.uint8)
    pixels[:, 0, 0, 0] = [1, 2, 1, 3, 2, 1]
    assert duplicates(of_arrays(pixels)) == [(0, 2, 5), (1, 4)]


def test_a_row_of_the_sheet_is_a_class() -> None:
    pixels = np.repeat(np.array([50, 100, 200, 250], np.uint8), 20)[:, None, None, None] * np.ones(
        (1, 36, 36, 1), np.uint8
    )
    labels = np.repeat([0, 1, 2, -1], 20)
    sheet = contact_sheet(of_arrays(pixels, labels, ("ash", "bay", "elm")), columns=5)
    assert sheet.dtype == np.uint8 and sheet.shape[0] == 4 * (72 + GAP) + GAP
    middles = [GAP + row * (72 + GAP) + 36 for row in range(4)]
    assert [sheet[y, -GAP - 36].tolist() for y in middles] == [[v] * 3 for v in (50, 100, 200, 250)]
    names = sheet[:, : sheet.shape[1] - 5 * (72 + GAP) - GAP]
    assert all((names[y - 12 : y + 12] > 200).any() for y in middles), "each row says its class"


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 90, 2), (200, 100, 4), (513, 7, 3)])
def test_a_sheet_can_be_made_of_any_shape(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    sheet = contact_sheet(of_arrays(rng.integers(0, 256, (7, *shape), np.uint8)), rows=2, columns=3)
    assert sheet.ndim == 3 and sheet.shape[2] == 3 and sheet.std() > 3


def test_the_built_in_digits_are_sound() -> None:
    found = examine("digits")
    assert not (found.duplicates or found.empty or found.images.troubles)
    assert found.mean == pytest.approx([0.1307], abs=1e-3) and found.std == pytest.approx([0.3081], abs=1e-3)
    assert gather("digits").fingerprint == found.images.fingerprint
