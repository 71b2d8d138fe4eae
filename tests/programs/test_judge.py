"""`limner judge`: the verb from end to end, its mistakes, and the page in a real browser."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.core.pixels import save_png
from limner.judging.results import found, results
from limner.judging.server import Server
from limner.judging.session import Session
from limner.judging.store import Judgements, create
from limner.judging.study import Study, order

Limner = Callable[..., Any]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
CPU = ["--device", "cpu", "--no-open", "--port", "0"]


def start(root: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "limner.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def say(link: str, what: str, body: Any = None, cookie: str = "") -> tuple[Any, str]:
    """(what the server answers, the cookie that it gave)."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(link + what, data, {"Content-Type": "application/json", "Cookie": cookie})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read()), (reply.headers["Set-Cookie"] or "").partition(";")[0]


def sit(link: str, answers: int) -> None:
    """A new rater who says `real` of the first few pictures."""
    state, cookie = say(link, "begin", {"name": "Ada"})
    for _ in range(answers):
        said = {"number": state["number"], "said": 1, "shown": None, "seconds": 1.25}
        state, _ = say(link, "answer", said, cookie)


def test_judges_is_stopped_goes_on_and_tells(
    root: Path, limner: Limner, trained: Path, blobs: Path, tmp_path: Path
) -> None:
    """Ctrl-C in the middle loses nothing; the same command goes on; when all is answered it ends by itself."""
    file = tmp_path / "new" / "j.sqlite"
    given = ["judge", trained, blobs, "--out", file, "--trials", 6, "--precision", 0.01, "--json", *CPU]
    process = start(root, *given)
    assert process.stdout is not None
    link = json.loads(process.stdout.readline())["link"]
    assert link.startswith("http://127.0.0.1:")
    sit(link, 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert json.loads(out)["errors"]["n"] == 4
    assert results(file).errors.n == 4

    process = start(root, *given)
    assert process.stdout is not None
    link = json.loads(process.stdout.readline())["link"]
    looked = Judgements(file)
    cookie = "rater=" + looked.raters()[0].key  # the rater comes back with the cookie of before
    looked.close()
    state, _ = say(link, "state", cookie=cookie)
    assert state["number"] == 4
    for number in (4, 5):
        state, _ = say(link, "answer", {"number": number, "said": 0, "shown": None, "seconds": 1}, cookie)
    assert state["screen"] == "done"
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "4 answers of 1 raters" in err

    said = limner("judge", "--results", file)
    assert said.code == 0 and "error rate" in said.out and "fakes taken for real" in said.out, said.err
    with (file.parent / "j-pictures.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [r["kind"] for r in rows] == ["real"] * 3 + ["fake"] * 3 and all(r["judged"] == "1" for r in rows)
    assert rows[0]["source"].endswith(".png") and rows[3]["source"] == "sample 0"
    with (file.parent / "j-raters.csv").open() as table:
        assert next(csv.DictReader(table))["rater"] == "Ada"
    told = limner("judge", "--results", file, "--json", "--out", tmp_path / "other").json
    assert told["errors"]["n"] == 6 and (tmp_path / "other" / "j.png").exists() and len(told["written"]) == 3


def folder(path: Path, side: int, count: int, channels: int = 1) -> Path:
    rng = np.random.default_rng(side)
    for k in range(count):
        save_png(rng.integers(0, 256, (side, side, channels), dtype=np.uint8), path / f"{k}.png")
    return path


def test_mistakes_are_one_line_and_write_nothing(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "j.sqlite", folder(tmp_path / "made", 12, 40)
    colour, few = folder(tmp_path / "colour", 8, 40, 3), folder(tmp_path / "few", 8, 7)
    text = tmp_path / "text.sqlite"
    text.write_text("no database")
    cases = [
        ([trained], "limner judge MODEL DATA"),
        ([trained, blobs, "--mode", "triple"], "no --mode 'triple'"),
        ([trained, blobs, "--exposure", "quick"], "--exposure quick"),
        ([trained, blobs, "--size", "9"], "leave out --size"),
        ([other, blobs, "--trials", 10], "read them alike with --size 8x8 --channels 1"),
        ([colour, blobs, "--trials", 10], "--channels 3"),
        ([few, blobs, "--trials", 30], "give --trials 14"),
        ([trained, few, "--mode", "pair", "--trials", 30], "give --trials 7"),
        ([trained, blobs, "--out", text], "no file of judgements"),
        (["--results", text], "no file of judgements"),
        (["--results", tmp_path / "none.sqlite"], "there is no such file"),
        ([tmp_path / "nothing", blobs], "nothing"),
    ]
    for words, says in cases:
        given = words if "--results" in words else [*words, *([] if "--out" in words else ["--out", out]), *CPU]
        said = limner("judge", *given)
        lines = [line for line in said.err.splitlines() if not line.startswith(("note:", "not used"))]
        assert said.code == 2 and says in lines[-1] and len(lines) == 1, (words, said.err)
        assert not out.exists() and not list(tmp_path.glob(".*.part"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = limner("judge", few, blobs, "--trials", 14, "--out", out, "--no-open", "--port", port)
    assert said.code == 2 and f"--port {port}" in said.err and "in use" in said.err
    said = limner("judge", few, blobs, "--trials", 10, "--out", out, *CPU)
    assert said.code == 2 and "is a study with trials 14, not 10" in said.err
    shutil.rmtree(few)
    folder(tmp_path / "few", 8, 8)
    said = limner("judge", few, blobs, "--trials", 14, "--out", out, *CPU)
    assert said.code == 2 and "begun with other pictures" in said.err


# ---------------------------------------------------------------- the page in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install limner[test])")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium, which is not on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A study of 28×20 pictures, real ones bright, on a server that runs."""
    running: list[Server] = []

    def begin(mode: str = "single", exposure: str = "none", trials: int = 6) -> Server:
        study = Study(mode, exposure, trials, 0.001)
        rng = np.random.default_rng(0)
        real = rng.integers(200, 256, (study.reals, 28, 20, 1), dtype=np.uint8)
        fake = rng.integers(0, 56, (study.fakes, 28, 20, 1), dtype=np.uint8)
        file = create(tmp_path / f"{len(running)}.sqlite", study, real, fake, ["x"] * (len(real) + len(fake)))
        running.append(Server(Session(file), 0))
        threading.Thread(target=running[-1].serve_forever, args=(0.02,), daemon=True).start()
        return running[-1]

    yield begin
    for server in running:
        server.shutdown()
        server.server_close()
        server.session.judgements.close()


def brightness(page: Any) -> list[float]:
    """Mean grey of each canvas, of what the screen itself shows."""
    import io

    from PIL import Image as Pillow

    means: list[float] = []
    for canvas in page.query_selector_all("#stage canvas"):
        with Pillow.open(io.BytesIO(canvas.screenshot())) as shot:
            means.append(float(np.asarray(shot.convert("L"))[8:-8, 8:-8].mean()))
    return means


def opened(chromium: Any, link: str, **more: Any) -> tuple[Any, Any, list[str]]:
    """(context, page, everything that went wrong or left the machine)."""
    context = chromium.new_context(**more)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda sent: None if sent.url.startswith((link, "data:")) else wrong.append(sent.url))
    page.goto(link)
    return context, page, wrong


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_a_person_with_a_keyboard_judges_by_what_is_on_the_screen(chromium: Any, serve: Serve, mode: str) -> None:
    """Decides by the brightness of the screen, reloads in the middle, and gets everything right."""
    server = serve(mode)
    context, page, wrong = opened(chromium, server.link)
    page.fill("#who", "Ada")
    page.press("#who", "Enter")
    for number in range(6):
        page.wait_for_selector(f"body[data-number='{number}'] #choices:not(.closed)")
        if number == 3:
            page.reload()
            page.wait_for_selector("body[data-number='3'] #choices:not(.closed)")
        bright = [mean > 128 for mean in brightness(page)]
        first = bright[0]  # of one: real, the left key; of two: the left one is real
        page.keyboard.press("ArrowLeft" if first else "ArrowRight")
    page.wait_for_selector("#done:visible")
    assert page.inner_text("#score") == "6 / 6" and not wrong
    context.close()
    got = found(server.session.judgements)
    assert (got.errors.wrong, got.errors.n) == (0, 6) and got.raters[0].name == "Ada"
    assert all(a.seconds > 0 for a in server.session.judgements.answers())


def test_pictures_are_shown_at_a_whole_zoom(chromium: Any, serve: Serve) -> None:
    """On a telephone and on a screen with 1.5 dots a pixel; buttons are large enough for a finger and on screen."""
    link = serve("pair").link
    for view, dots in (((390, 844), 3), ((844, 390), 3), ((1280, 800), 1.5)):
        size = {"width": view[0], "height": view[1]}
        context, page, wrong = opened(chromium, link, viewport=size, device_scale_factor=dots, color_scheme="dark")
        page.click("#start")
        page.wait_for_selector("#choices:not(.closed)")
        sizes = "[...document.querySelectorAll('canvas')].map(c => [c.width, c.height, c.clientWidth])"
        for box in page.evaluate(sizes):
            assert box[0] % 20 == 0 and box[1] == box[0] // 20 * 28 and box[0] >= 60
            assert box[2] * dots == pytest.approx(box[0], abs=1)
        for button in page.query_selector_all("#choices button, #stage canvas"):
            box = button.bounding_box()
            assert box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= view[0]
            assert box["y"] >= 0 and box["y"] + box["height"] <= view[1]
        assert not wrong
        context.close()


def test_a_timed_picture_is_gone_when_the_question_comes(chromium: Any, serve: Serve) -> None:
    server = serve(exposure="300ms", trials=3)
    context, page, wrong = opened(chromium, server.link, locale="zh-CN")
    page.wait_for_selector("#start:has-text('开始')")
    page.click("#start")
    page.wait_for_selector("canvas.cross")
    page.keyboard.press("ArrowLeft")  # too early: nothing has been seen
    for number in range(3):
        page.wait_for_selector(f"body[data-number='{number}'] #choices:not(.closed)")
        assert page.query_selector("canvas.empty") and server.session.judgements.counts()[1] == number
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#done:visible")
    assert not wrong
    context.close()
    shown = [a.shown_ms for a in server.session.judgements.answers()]
    # a frame or two of 17 ms on an idle machine; a busy one may be late but never early
    assert all(s is not None and s > 300 - 26 for s in shown), shown
    truths = [t.truth for t in order(server.session.study, 1)]
    assert [a.right for a in server.session.judgements.answers()] == [t == 0 for t in truths]


def test_a_lost_connection_is_said_and_nothing_is_lost(chromium: Any, serve: Serve) -> None:
    server = serve()
    context, page, _ = opened(chromium, server.link)
    page.click("#start")
    page.wait_for_selector("body[data-number='0'] #choices:not(.closed)")
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    page.click("#choices button >> nth=0")
    page.wait_for_selector("#trouble:visible")
    assert server.session.judgements.counts()[1] == 0
    context.set_offline(False)
    page.click("#again")
    page.wait_for_selector("body[data-number='1'] #choices:not(.closed)")
    assert server.session.judgements.counts()[1] == 1 and not page.is_visible("#trouble")
    context.close()
