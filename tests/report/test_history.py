"""Journals and settings: what is read of a run folder, and what differs between two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.core.caption import captioned
from limner.core.errors import UserError
from limner.core.pixels import enlarge, grid, save_png
from limner.report.history import History
from limner.report.runs import Ran, as_rows, moments, untiled
from limner.report.settings import differences, flat, settings, written
from limner.report.training import curves


def run_folder(folder: Path, lines: list[dict[str, Any]], **said: Any) -> Path:
    folder.mkdir()
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"event": "Progr')
    run = {"is": "Run", "batch": 32} | said
    (folder / "run.json").write_text(json.dumps({"run": run, "source": "x", "counts": [1], "fingerprint": "f"}))
    return folder


def look(nimg: int, seconds: float, value: float) -> list[dict[str, Any]]:
    scores = {"event": "Scores", "nimg": nimg, "values": {"kernel distance": value}, "score": value}
    return [scores, {"event": "Look", "nimg": nimg, "share": 0.0, "seconds": seconds}]


def test_curves_know_their_seconds_and_what_was_kept(tmp_path: Path) -> None:
    lines = look(0, 0.0, 1.0) + look(100, 10.0, 0.5) + look(300, 20.0, 0.7)
    folder = run_folder(tmp_path / "a", lines)
    (folder / "best").write_text("0000000100\n")
    history = History.of(folder)
    curve = history.scores["kernel distance"]
    assert curve.over("nimg") == [(0, 1.0), (100, 0.5), (300, 0.7)]
    assert curve.over("seconds") == [(0.0, 1.0), (10.0, 0.5), (20.0, 0.7)]
    assert (history.nimg, history.seconds, history.kept) == (300, 20.0, 100)
    assert history.look() == {"kernel distance": 0.5}
    assert Ran.read(str(folder)).facts["images a second"] == 15.0


def test_what_a_roll_back_undid_is_left_out(tmp_path: Path) -> None:
    alarm = {"event": "Alarm", "nimg": 300, "kind": "nan", "words": "not a number", "action": "back"}
    lines = [*look(0, 0.0, 1.0), *look(100, 10.0, 0.5), *look(300, 30.0, float("nan")), alarm, *look(200, 35.0, 0.4)]
    history = History.of(run_folder(tmp_path / "a", lines))
    assert history.scores["kernel distance"].over("seconds") == [(0.0, 1.0), (10.0, 0.5), (35.0, 0.4)]
    assert history.alarms == ((300, "not a number"),) and history.nimg in (200, 300)


def test_no_run_is_no_history(tmp_path: Path) -> None:
    assert History.of(tmp_path).scores == {} and History.of(tmp_path).look() == {}
    with pytest.raises(UserError, match=r"no run\.json"):
        settings(tmp_path)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(UserError, match="damaged"):
        settings(tmp_path)


def test_only_what_differs() -> None:
    net = {"is": "Light", "image": {"is": "Image", "channels": 1}, "width": 32, "latent": {"is": "Gaussian", "dim": 8}}
    one = {"nets": {"g": net, "c": {"is": "Critic", "k": 1}}, "lr": 0.1, "penalties": [{"is": "R1", "gamma": 0.5}]}
    two = {"nets": {"g": net | {"width": 64}}, "lr": 0.1, "penalties": []}
    assert differences([one, two]) == {
        "nets.g.width": ["32", "64"], "nets.c": ["Critic(k=1)", "–"], "penalties": ["R1(gamma=0.5)", "none"],
    }  # fmt: skip
    assert differences([one, one]) == {} and differences([one]) == {} and differences([]) == {}
    assert differences([{"counts": [1]}, {"counts": [2]}]) == {}
    other = one | {"nets": {"g": {"is": "Style", "width": 32}, "c": one["nets"]["c"]}}
    assert differences([one, other])["nets.g"] == ["Light(width=32, latent=Gaussian(dim=8))", "Style(width=32)"]
    assert flat(one)["nets.g"] == "Light" and flat(one)["nets.g.latent.dim"] == "8"
    assert [written(v) for v in (None, True, 1e-4, [1, 2], {})] == ["none", "yes", "0.0001", "1, 2", "none"]


@pytest.mark.parametrize(("h", "w", "c", "n", "k"), [(28, 28, 1, 64, 2), (8, 8, 3, 16, 6), (5, 9, 1, 8, 1)])
def test_a_preview_is_taken_apart_again(h: int, w: int, c: int, n: int, k: int) -> None:
    made = np.random.default_rng(0).integers(0, 255, (n, h, w, c), dtype=np.uint8)
    sheet = enlarge(grid(made, 8), k)
    assert np.array_equal(untiled(sheet, h, w), made)
    assert np.array_equal(untiled(captioned(sheet, ["12,000 images", "lattice 1.1", "burnt 1.3 (!)"]), h, w), made)
    other = np.zeros((30, 31, c), np.uint8)
    assert np.array_equal(untiled(other, h, w), other[None])


def test_previews_at_equal_times_and_the_csv(tmp_path: Path) -> None:
    shape = {"nets": {"generator": {"is": "G", "image": {"height": 4, "width": 4}}}}
    quick = run_folder(tmp_path / "quick", look(0, 0.0, 1.0) + look(80, 4.0, 0.5) + look(400, 20.0, 0.2), **shape)
    slow = run_folder(tmp_path / "slow", look(0, 0.0, 1.0) + look(100, 40.0, 0.1), batch=64, **shape)
    for folder, nimg in ((quick, 0), (quick, 80), (quick, 400), (slow, 0), (slow, 100)):
        sheet = grid(np.full((8, 4, 4, 1), nimg % 255, np.uint8), 8)
        save_png(enlarge(sheet, 3), folder / "previews" / f"{nimg:010d}.png")
    runs = [Ran.read(str(folder)) for folder in (quick, slow)]
    assert moments(runs, "seconds") == [5.0, 10.0, 20.0] and moments(runs, "nimg") == [25.0, 50.0, 100.0]
    found = [[run.preview(at, "seconds") for run in runs] for at in (5.0, 20.0)]
    seen = [[(f[0], int(f[2][0, 0, 0, 0])) for f in row if f] for row in found]
    assert seen == [[(80, 80), (0, 0)], [(400, 145), (0, 0)]]
    head, *rows = as_rows(runs)
    assert head[:4] == ["run", "batch", "images", "seconds"] and "kernel distance" in head
    assert [row[1] for row in rows] == ["32", "64"] and rows[0][head.index("kernel distance")] == "0.2"


def test_the_score_has_its_noise_and_is_said_in_words(tmp_path: Path) -> None:
    """A power law that still falls, and one that is level: the words are those of `limner check`."""

    def lines(scores: list[float]) -> list[dict[str, Any]]:
        told = [look(1000 * k, 10.0 * k, score) for k, score in enumerate(scores)]
        for k, (said, seen) in enumerate(told):
            said |= {"error": 0.01, "values": said["values"] | {"coverage": 0.5}}
            seen["share"] = k / 20
        return [line for pair in told for line in pair]

    falling = History.of(run_folder(tmp_path / "a", lines([1.0, *(1 / k for k in range(1, 15))])))
    assert falling.scores["kernel distance"].errors == (0.01,) * 15 and falling.scores["coverage"].errors == ()
    level = History.of(run_folder(tmp_path / "b", lines([1.0, *(0.2 + 0.001 * (k % 2) for k in range(14))])))
    assert falling.standing and level.standing
    assert (falling.standing.trend.kind, level.standing.trend.kind) == ("improving", "flat")
    text = str(curves([("a", falling), ("b", level)]))
    assert "a: held-out score 0.07143 ± 0.01 after 14,000 images, improving since" in text
    assert "flat since" in text and text.count("Another 10 min") == 2 and "<polygon" in text
