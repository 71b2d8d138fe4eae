"""`limner train --recipe codec`, `limner compress` and `limner decompress`, from end to end."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.core.pixels import save_png

pytest.importorskip("constriction")
Limner = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour ramps of two sizes, one grey, one with transparency."""
    path = tmp_path_factory.mktemp("photos")
    at = np.linspace(0, 255, 64)
    for number in range(6):
        ramp = np.stack([np.add.outer(at, k * at[::-1])[:24, : 24 + 9 * (number % 2)] / 3 for k in (0, 1, 2)], 2)
        pixels = ramp.astype(np.uint8)
        pixels = pixels[:, :, 1:2] if number == 5 else pixels
        if number == 0:
            pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 77, np.uint8)], 2)
        save_png(pixels, path / "some" / f"{number}.png")
    return path


@pytest.fixture(scope="module")
def codec(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the recipe, short."""
    from limner.cli import run

    out = tmp_path_factory.mktemp("runs") / "codec"
    words = ["train", photos, "--recipe", "codec", "--images", 96, "--size", 24, "--channels", 3, "--out", out]
    words += ["-o", "generator.width=16", "-o", "encoder.width=16", "--device", "cpu"]
    assert run([str(word) for word in words]) == 0
    return out


@pytest.fixture(scope="module")
def file(photos: Path, codec: Path) -> Path:
    """The photographs in one file."""
    from limner.cli import run

    out = codec.parent / "photos.limn"
    assert run(["compress", str(codec), str(photos), "--out", str(out)]) == 0
    return out


def test_there_and_back(limner: Limner, photos: Path, codec: Path, tmp_path: Path) -> None:
    said = limner("compress", codec, photos, "--out", tmp_path / "x.limn", "--json")
    assert said.code == 0, said.err
    told = said.json
    assert told["n"] == 6 and told["bytes"] == (tmp_path / "x.limn").stat().st_size and told["psnr"] > 25
    assert told["payload"] <= 1.01 * told["ideal"] + 4
    assert "knows no transparency" in said.err
    back = limner("decompress", codec, tmp_path / "x.limn", "--out", tmp_path / "out", "--json")
    assert back.code == 0 and back.json["n"] == 6
    sizes: dict[str, tuple[int, int]] = {}
    for path in (tmp_path / "out" / "some").iterdir():
        with Pillow.open(path) as picture:
            sizes[path.name] = picture.size
    assert sizes == {f"{k}.png": (24 + 9 * (k % 2), 24) for k in range(6)}
    with Pillow.open(tmp_path / "out" / "some" / "5.png") as grey:
        assert grey.mode == "L"


def test_fewer_bytes_without_names_and_with_a_coarser_step(limner: Limner, photos: Path, codec: Path, tmp_path: Path,
                                                           file: Path) -> None:  # fmt: skip
    out = tmp_path / "x.limn"
    sizes = [file.stat().st_size]
    for more in (["--no-names"], ["--no-names", "--step", 4]):
        told = limner("compress", codec, photos, "--out", out, "--json", *more).json
        sizes.append(told["bytes"])
    assert sizes[0] > sizes[1] > sizes[2]
    assert limner("decompress", codec, out, "--out", tmp_path / "out").code == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{k:06d}.png" for k in range(6)]


def test_any_autoencoder_compresses(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    for recipe in ("vae", "sparse"):
        out = tmp_path / recipe
        size = ["-o", "encoder.width=8", "-o", "generator.width=8"] if recipe == "vae" else []
        trained = limner("train", blobs, "--recipe", recipe, "--images", 64, "--out", out, "--device", "cpu", *size)
        assert trained.code == 0, trained.err
        said = limner("compress", out, blobs, "--out", tmp_path / "x.limn", "--json")
        assert said.code == 0 and said.json["n"] == 96, said.err
        assert limner("decompress", out, tmp_path / "x.limn", "--out", tmp_path / f"{recipe}-out").code == 0
        assert len(list((tmp_path / f"{recipe}-out").rglob("*.png"))) == 96


def test_another_model_and_damaged_files_are_one_line(limner: Limner, codec: Path, file: Path, trained: Path,
                                                      photos: Path, tmp_path: Path) -> None:  # fmt: skip
    content = file.read_bytes()
    (tmp_path / "cut.limn").write_bytes(content[:-9])
    (tmp_path / "flipped.limn").write_bytes(content[:60] + bytes([content[60] ^ 16]) + content[61:])
    (tmp_path / "text.limn").write_text("hello")
    np.save(tmp_path / "nan.npy", np.full((2, 24, 24, 3), np.nan))
    cases = {
        ("decompress", trained, file): r"made with the model \w{16}, and this is \w{16}",
        ("decompress", codec, tmp_path / "cut.limn"): "damaged or cut short",
        ("decompress", codec, tmp_path / "flipped.limn"): "damaged or cut short",
        ("decompress", codec, tmp_path / "text.limn"): "no .limn file",
        ("decompress", codec, tmp_path / "none.limn"): "there is no such file",
        ("compress", trained, photos): "no encoder to compress with",
        ("compress", codec, tmp_path / "nan.npy"): "not finite",
        ("compress", codec, tmp_path / "nothing"): "nothing",
    }
    import re

    for (verb, model, what), advice in cases.items():
        out = tmp_path / ("new" if verb == "decompress" else "new.limn")
        said = limner(verb, model, what, "--out", out)
        assert said.code == 2 and re.search(advice, said.err), (what, said.err)
        assert len([one for one in said.err.splitlines() if one.startswith("limner:")]) == 1
        assert not out.exists()
    assert "type --out x.limn" in limner("compress", codec, photos, "--out", "x.zip").err
    assert "give a folder" in limner("decompress", codec, file, "--out", "x.png").err


def test_a_file_cannot_write_outside_its_folder(limner: Limner, codec: Path, file: Path, tmp_path: Path) -> None:
    import dataclasses

    from limner.codec.container import pack, unpack

    parts = unpack(file.read_bytes())
    for name in ("../outside.png", "/etc/outside.png", "C:\\outside.png"):
        names = (name, *parts.names[1:])
        (tmp_path / "evil.limn").write_bytes(pack(dataclasses.replace(parts, names=names)))
        said = limner("decompress", codec, tmp_path / "evil.limn", "--out", tmp_path / "out")
        assert said.code == 2 and "outside the folder" in said.err and not (tmp_path / "out").exists()


def test_pictures_are_not_kept(limner: Limner, codec: Path, photos: Path, file: Path, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """One picture and its copy after another, and one that the type checks hold; the bytes are those of all at once."""
    from limner.codec import compress as engine
    from limner.data import whole
    from limner.likeness import load

    originals, made = Alive(), Alive()
    real, joined = whole.wholes, engine.joined
    monkeypatch.setattr(whole, "wholes", lambda *a: map(originals.count, real(*a)))
    monkeypatch.setattr(engine, "joined", lambda *a: made.count(joined(*a)))
    said = limner("compress", codec, photos, "--out", tmp_path / "x.limn", "--json")
    assert said.code == 0, said.err
    assert originals.total == 12 and originals.most <= 2 and made.most <= 3 and made.total >= 6
    assert limner("decompress", codec, tmp_path / "x.limn", "--out", tmp_path / "out").code == 0
    assert made.most <= 3 and made.total >= 12
    together = engine.compress(load(str(codec)).nets, list(real(str(photos), "test")))
    assert (tmp_path / "x.limn").read_bytes() == file.read_bytes() == together.content


class Alive:
    """Counts things, and the most of them that were alive at once."""

    def __init__(self) -> None:
        self.refs: list[weakref.ref[Any]] = []
        self.total = self.most = 0

    def count(self, thing: Any) -> Any:
        self.refs = [ref for ref in self.refs if ref() is not None] + [weakref.ref(thing)]
        self.total, self.most = self.total + 1, max(self.most, len(self.refs))
        return thing
