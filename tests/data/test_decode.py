"""Odd files: each is read rightly or reported by name, and the originals are untouched."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.core.errors import UserError
from limner.data.decode import centre
from limner.data.gather import gather, survey

RED, SIDE = (255, 0, 0), 16


def only(folder: Path, **options: Any) -> Any:
    """The pixels of the single picture in a folder."""
    images = gather(str(folder), **options)
    assert len(images) == 1, images.troubles
    return images.pixels[0]


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is huge, and holds next to nothing."""
    facts = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + facts
        + struct.pack(">I", zlib.crc32(facts))
        + struct.pack(">I", 10)
        + b"IDAT"
    )


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder of files that can, and cannot, be used."""
    folder = tmp_path / "odd"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(folder / "good.png")
    Image.fromarray(noise).save(folder / "good.jpg", quality=95)
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(folder / "cmyk.jpg", quality=95)
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:2000])
    (folder / "cut.jpg").write_bytes((folder / "good.jpg").read_bytes()[:900])
    (folder / "empty.png").touch()
    (folder / "letter.png").write_text("Dear reader, this is no picture.")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "bomb.png").write_bytes(png_header(11_000, 11_000))
    (folder / "bigger.png").write_bytes(png_header(60_000, 60_000))
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / ".hidden.png").write_text("not looked at")
    (folder / "Thumbs.db").write_text("not looked at")
    return folder


def test_each_odd_file_is_used_or_named(odd: Path) -> None:
    before = {p.name: hashlib.md5(p.read_bytes()).digest() for p in odd.iterdir() if p.is_file()}
    images = gather(str(odd))
    assert images.files == ("animated.gif", "cmyk.jpg", "good.jpg", "good.png")
    reasons = {trouble.file: trouble.reason for trouble in images.troubles}
    assert set(reasons) == {
        "cut.png", "cut.jpg", "empty.png", "letter.png", "photo.heic", "bomb.png", "bigger.png", "gone.png",
    }  # fmt: skip
    assert "truncated" in reasons["cut.png"] and "truncated" in reasons["cut.jpg"]
    assert reasons["empty.png"] == "it is empty (0 bytes)"
    assert reasons["letter.png"] == "not a picture that can be read"
    assert reasons["photo.heic"].endswith("save it as JPEG or PNG")
    assert "more than 100 megapixels" in reasons["bomb.png"] and "more than 100 megapixels" in reasons["bigger.png"]
    assert "No such file" in reasons["gone.png"]
    assert np.abs(images.pixels[0].astype(int) - RED).max() < 3, "the first frame of the animation"
    assert np.abs(images.pixels[1].astype(int) - RED).max() < 6, "CMYK red"
    assert "1 of 4 pictures are animated; only the first frame is used" in images.notes
    assert {p.name: hashlib.md5(p.read_bytes()).digest() for p in odd.iterdir() if p.is_file()} == before


def test_the_survey_tells_modes_and_sizes(odd: Path) -> None:
    seen = survey(str(odd))
    # cut files have sound headers
    assert seen.count == 6
    assert seen.sizes == {(40, 40): 4, (20, 20): 2}
    assert seen.modes == {"RGB": 4, "P": 1, "CMYK": 1}


@pytest.mark.parametrize(
    ("mode", "colour", "channels"),
    [
        ("1", 1, 1), ("L", 200, 1), ("LA", (200, 100), 2), ("RGB", (1, 2, 3), 3), ("RGBA", (1, 2, 3, 100), 4),
        ("F", 0.5, 1),
        ("LA", (200, 255), 1), ("RGBA", (1, 2, 3, 255), 3),
    ],
)  # fmt: skip
def test_channels_follow_from_the_pictures(mode: str, colour: Any, channels: int, tmp_path: Path) -> None:
    Image.new(mode, (SIDE, SIDE), colour).save(tmp_path / f"a.{'tiff' if mode == 'F' else 'png'}")
    pixels = only(tmp_path)
    assert pixels.shape == (SIDE, SIDE, channels)
    expected = {"1": 255, "F": 128}.get(mode, colour)
    assert pixels[3, 5].tolist() == list(np.atleast_1d(expected))[:channels]


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bits_become_8(suffix: str, tmp_path: Path) -> None:
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(SIDE, SIDE)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    assert np.array_equal(only(tmp_path)[..., 0], values // 257)
    assert "1 of 1 pictures are 16-bit and scaled to 8 bits" in gather(str(tmp_path)).notes


def test_palettes(tmp_path: Path) -> None:
    grey, colour, clear = (tmp_path / name for name in ("grey", "colour", "clear"))
    for folder in (grey, colour, clear):
        folder.mkdir()
    picture = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE)).convert("P")
    picture.save(grey / "a.png")
    assert only(grey).shape == (SIDE, SIDE, 1)
    assert np.array_equal(only(grey)[..., 0].ravel(), np.arange(256))
    picture.putpalette([v for i in range(256) for v in (i, 0, 255 - i)])
    picture.save(colour / "a.png")
    assert only(colour)[0, 7].tolist() == [7, 0, 248]
    picture.save(clear / "a.png", transparency=7)
    assert only(clear)[0, 7].tolist()[3] == 0 and only(clear)[0, 8].tolist() == [8, 0, 247, 255]


def test_transparency_that_is_dropped_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (SIDE, SIDE), (255, 0, 0, 51)).save(tmp_path / "a.png")
    assert only(tmp_path, channels=3)[0, 0].tolist() == [255, 204, 204]
    assert only(tmp_path, channels=1).shape == (SIDE, SIDE, 1)
    assert "1 of 1 pictures are with transparency and put on white" in gather(str(tmp_path), channels=3).notes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_exif_orientation(orientation: int, suffix: str, tmp_path: Path) -> None:
    seen = np.zeros((16, 32, 3), np.uint8)
    seen[:8, :16], seen[8:, 16:] = (255, 0, 0), (0, 0, 255)
    # what a camera held that way would store: the inverse of the turn that viewers apply
    stored = {
        1: seen, 2: seen[:, ::-1], 3: seen[::-1, ::-1], 4: seen[::-1],
        5: seen.swapaxes(0, 1), 6: np.rot90(seen), 7: seen[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(seen, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix == "jpg" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    assert survey(str(tmp_path)).sizes == {(16, 32): 1}
    pixels = only(tmp_path)
    assert pixels.shape == (16, 32, 3)
    assert np.abs(pixels.astype(int)[2:6, 2:14] - (255, 0, 0)).max() < 6
    assert np.abs(pixels.astype(int)[10:14, 18:30] - (0, 0, 255)).max() < 6


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 512), st.integers(1, 512))
def test_the_crop_is_central_inside_and_as_large_as_can_be(height: int, width: int, h: int, w: int) -> None:
    left, top, right, bottom = centre(height, width, (h, w))
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert left + right == pytest.approx(width) and top + bottom == pytest.approx(height)
    assert (right - left) / (bottom - top) == pytest.approx(w / h)
    assert left == pytest.approx(0, abs=1e-9) or top == pytest.approx(0, abs=1e-9)


def test_cropping_and_sizes(tmp_path: Path, put: Callable[..., Path]) -> None:
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = (0, 255, 0)
    put(tmp_path / "a.png", wide)
    assert only(tmp_path, size=(40, 40)).tolist() == wide[:, 40:80].tolist(), "the centre, untouched"
    reduced = only(tmp_path, size=(10, 10))
    assert np.abs(reduced.astype(int)[:, 1:-1] - (0, 255, 0)).max() <= 2, "the centre, reduced"
    assert only(tmp_path, size=(40, 120)).tolist() == wide.tolist()
    assert only(tmp_path).shape == (40, 120, 3), "one size up to 128 is kept"
    assert "1 of 1 pictures are cropped in the centre to 1:1" in gather(str(tmp_path), size=(40, 40)).notes
    assert "1 of 1 pictures are smaller than 64×64 and enlarged" in gather(str(tmp_path), size=(64, 64)).notes
    put(tmp_path / "b.png", wide[:30])
    assert gather(str(tmp_path)).pixels.shape == (2, 64, 64, 3)


def test_one_size_above_128_becomes_64(tmp_path: Path, put: Callable[..., Path]) -> None:
    put(tmp_path / "a.png", np.zeros((129, 129, 3), np.uint8))
    assert gather(str(tmp_path)).pixels.shape == (1, 64, 64, 3)


def test_reducing_a_large_jpeg_at_a_fraction_is_close_to_reducing_all_of_it(tmp_path: Path) -> None:
    y, x = np.mgrid[:800, :1200]
    smooth = np.stack([x / 1200, y / 800, (np.sin(x / 40) + 1) / 2], -1)
    Image.fromarray((smooth * 255).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    whole = Image.open(tmp_path / "a.jpg")
    whole.load()
    expected = whole.resize((96, 64), Image.Resampling.LANCZOS)
    whole.close()
    assert np.abs(only(tmp_path, size=(64, 96)).astype(int) - np.asarray(expected)).max() <= 4


def test_a_folder_of_text_is_an_error_in_one_line(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("words")
    with pytest.raises(UserError, match=r"no usable picture in 2 files; the first, a.txt: not a picture") as caught:
        gather(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no usable picture in 2 files"):
        survey(str(tmp_path))


def test_one_picture_file_is_allowed(tmp_path: Path, put: Callable[..., Path]) -> None:
    path = put(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    assert len(gather(str(path))) == 1
