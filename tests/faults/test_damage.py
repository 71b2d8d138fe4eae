"""Damaged, foreign or missing files: go on from the one before with an alarm, or one clear line; never run code."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from limner import likeness
from limner.core import store
from limner.core.errors import UserError
from limner.core.events import Alarm
from limner.project import Project
from limner.train import Budget

GoOn = Callable[[Path, int], list[Any]]
FILES = ("manifest.json", "state.json", "state.safetensors")


def truncate(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def flip(path: Path, rng: random.Random) -> None:
    """One bit, anywhere."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


DAMAGES = (truncate, empty, flip, remove)


def state_of(folder: Path) -> dict[str, Any]:
    return store.load_state(folder / "checkpoints" / (folder / "latest").read_text().strip())


def one_line(error: UserError, *words: str) -> None:
    assert "\n" not in str(error) and len(str(error)) < 600
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_newest_checkpoint_costs_one_interval(
    file: str, damage: Callable[[Path, random.Random], None], run_folder: Path, go_on: GoOn
) -> None:
    whole = state_of(run_folder)
    newest = run_folder / "checkpoints" / "0000000048"
    damage(newest / file, random.Random(file))
    first, *others = go_on(run_folder, 48)
    assert isinstance(first, Alarm) and first.kind == "damaged checkpoint" and "0000000048" in first.words
    assert "\n" not in first.words and first.action == "go on from the one before"
    assert not any(isinstance(event, Alarm) and event.kind == first.kind for event in others)
    again = state_of(run_folder)
    assert again["nimg"] == 48
    assert all(torch.equal(again["nets"][k], whole["nets"][k]) for k in whole["nets"])
    assert newest.with_name("0000000048.damaged").is_dir()
    assert not any(isinstance(event, Alarm) and event.kind == first.kind for event in go_on(run_folder, 56))


def test_every_bit_of_a_checkpoint_counts(run_folder: Path, tmp_path: Path) -> None:
    """A hundred random flips, each noticed."""
    rng, source = random.Random(0), run_folder / "checkpoints" / "0000000048"
    for k in range(100):
        copy = Path(shutil.copytree(source, tmp_path / str(k)))
        flip(copy / rng.choice(FILES), rng)
        with pytest.raises(UserError) as caught:
            store.load_state(copy)
        one_line(caught.value, str(copy))
        shutil.rmtree(copy)


def test_when_no_checkpoint_is_whole_it_says_so(run_folder: Path, go_on: GoOn) -> None:
    for folder in (run_folder / "checkpoints").iterdir():
        truncate(folder / "state.safetensors", random.Random(0))
    before = sorted((run_folder / "checkpoints").rglob("*"))
    with pytest.raises(UserError) as caught:
        go_on(run_folder, 96)
    one_line(caught.value, "no checkpoint there is whole", "--out")
    assert sorted((run_folder / "checkpoints").rglob("*")) == before
    likeness.load(run_folder)


def test_a_checkpoint_of_another_network_does_not_fit(run_folder: Path, go_on: GoOn) -> None:
    said = json.loads((run_folder / "run.json").read_text())
    said["run"]["nets"]["generator"]["width"] = 24
    (run_folder / "run.json").write_text(json.dumps(said))
    with pytest.raises(UserError) as caught:
        go_on(run_folder, 96)
    one_line(caught.value, "no checkpoint there is whole")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"budget": 3}', "\x00\x01", None])
def test_damaged_settings(content: str | None, run_folder: Path) -> None:
    path = run_folder / "run.json"
    path.write_text(path.read_text()[:200] if content is None else content)
    with pytest.raises(UserError) as caught:
        Project.open(run_folder)
    one_line(caught.value, str(path), "damaged", "--out")


def test_settings_that_name_what_is_not_there(run_folder: Path) -> None:
    path = run_folder / "run.json"
    path.write_text(path.read_text().replace('"PlainCritic"', '"PlainCritik"'))
    with pytest.raises(UserError) as caught:
        Project.open(run_folder)
    one_line(caught.value, str(path), "did you mean PlainCritic?")


def test_no_run_to_go_on_with(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError) as caught:
            Project.open(folder)
        one_line(caught.value, str(folder), "leave out --resume")


def test_a_run_is_not_begun_over_another(run_folder: Path, driver: Any) -> None:
    before = {p: p.read_bytes() for p in run_folder.rglob("*") if p.is_file()}
    with pytest.raises(UserError) as caught:
        Project.create(run_folder, driver.settings(8))
    one_line(caught.value, str(run_folder), "--resume", "another --out")
    assert {p: p.read_bytes() for p in run_folder.rglob("*") if p.is_file()} == before


def test_other_data_than_the_run_was_begun_with(run_folder: Path, driver: Any) -> None:
    other = dataclasses.replace(driver.pictures(), fingerprint="other", source="elsewhere")
    with pytest.raises(UserError) as caught:
        list(Project.open(run_folder).extend(Budget(images=96)).work(other))
    one_line(caught.value, "elsewhere is not the data", str(run_folder), "give that data")


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_pictures(count: int, driver: Any, tmp_path: Path) -> None:
    all_of_them = driver.pictures()
    few = dataclasses.replace(all_of_them, pixels=all_of_them.pixels[:count])
    project = Project.create(tmp_path / "run", driver.settings(16))
    for arguments in ([few], [all_of_them, few]):
        with pytest.raises(UserError, match=f"squares has {count} usable pictures; that is too few, give at least 4"):
            list(project.work(*arguments))


@pytest.mark.parametrize("count", [4, 11])
def test_few_pictures_are_enough_to_run(count: int, driver: Any, tmp_path: Path) -> None:
    few = dataclasses.replace(driver.pictures(), pixels=driver.pictures().pixels[:count])
    assert list(Project.create(tmp_path / "run", driver.settings(16)).work(few))[-1].nimg == 16


def test_a_training_that_gives_up_says_so(driver: Any, tmp_path: Path) -> None:
    settings = driver.settings(10_000)
    settings.run["players"] = {
        turn: {"is": "Player", "optimizer": {"is": "SGD", "lr": 1e30}} for turn in ("generator", "critic")
    }
    with pytest.raises(UserError) as caught:
        list(Project.create(tmp_path / "run", settings).work(driver.pictures()))
    one_line(caught.value, "6 smaller learning rates did not help", "-o lr=")
    assert likeness.load(tmp_path / "run").sample(4).shape == (4, 8, 8, 1)


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "pickle", "torch", "foreign", "folder", "missing"])
def test_what_is_no_model_file(kind: str, run_folder: Path, tmp_path: Path) -> None:
    path, trace = tmp_path / "model.safetensors", tmp_path / "trace"
    shutil.copy(run_folder / "model.safetensors", path)
    match kind:
        case "truncated":
            truncate(path, random.Random(0))
        case "empty" | "text":
            path.write_text("" if kind == "empty" else "Dear reader, this is no model. " * 20)
        case "pickle":
            path.write_bytes(pickle.dumps(Bomb(str(trace))))
        case "torch":
            torch.save({"a": Bomb(str(trace))}, path)
        case "foreign":
            save_file({"a": torch.zeros(3)}, path)
        case "folder":
            path.unlink()
            path = tmp_path
        case _:
            path.unlink()
    with pytest.raises(UserError) as caught:
        likeness.load(path)
    one_line(caught.value, str(path))
    assert re.search("limner train|there is no such", str(caught.value))
    assert not trace.exists()


def test_every_bit_of_a_model_file_counts(run_folder: Path, tmp_path: Path) -> None:
    """Header and weights: two hundred random flips, half of them in the header, each noticed."""
    path, rng = run_folder / "model.safetensors", random.Random(1)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for k in range(200):
        spoilt = bytearray(content)
        spoilt[rng.randrange(header) if k % 2 else rng.randrange(header, len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        with pytest.raises(UserError) as caught:
            likeness.load(path)
        one_line(caught.value, str(path))
    path.write_bytes(content)
    likeness.load(path)


def test_a_model_of_an_unknown_class_says_what_is_missing(run_folder: Path) -> None:
    path = run_folder / "model.safetensors"
    header, tensors = store.load_model(path)
    header["nets"]["generator"]["is"] = "TheirGenerator"
    store.save_model(path, header, tensors)
    with pytest.raises(UserError) as caught:
        likeness.load(path)
    assert "TheirGenerator" in str(caught.value) and "--with" in str(caught.value)
    assert "\n" not in str(caught.value)
