"""The server as a browser's network sees it: blinding, secrets, simulated raters over HTTP."""

from __future__ import annotations

import http.client
import io
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.stats import binomtest

from limner.core.errors import UserError
from limner.judging.results import found
from limner.judging.server import HERE, MOST, Server, _own_address
from limner.judging.session import Session, masks
from limner.judging.store import Judgements

Begin = Callable[..., Judgements]


@dataclass
class Reply:
    """One answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    """A rater's browser: one connection, cookies."""

    link: str
    cookie: str = ""
    seen: list[tuple[str, Reply]] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = urlsplit(self.link)
        self.path, self._line = parts.path, http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)

    def ask(self, name: str, body: Any = None, path: str | None = None, **headers: str) -> Reply:
        given = {"Cookie": f"rater={self.cookie}"} if self.cookie else {}
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if sent is not None:
            given["Content-Type"] = "application/json"
        self._line.request("GET" if sent is None else "POST", (path or self.path) + name, sent, given | headers)
        got = self._line.getresponse()
        reply = Reply(got.status, dict(got.getheaders()), got.read())
        self.seen.append((name, reply))
        if "Set-Cookie" in reply.headers:
            self.cookie = reply.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
        return reply

    def look(self, token: str) -> np.ndarray:
        with Pillow.open(io.BytesIO(self.ask(f"picture/{token}").body)) as opened:
            return np.asarray(opened)

    def judge(self, state: Any, accuracy: float, rng: random.Random) -> Any:
        """Look, know the truth (real pictures are bright), say it or its opposite."""
        bright = [self.look(token).mean() > 128 for token in state["pictures"]]
        truth = int(bright[0]) if len(bright) == 1 else bright.index(True)
        said = truth if rng.random() < accuracy else 1 - truth
        answer = {"number": state["number"], "said": said, "shown": state["exposure"], "seconds": 0.5}
        return self.ask("answer", answer).json


@pytest.fixture
def serve() -> Iterator[Callable[[Judgements], Server]]:
    running: list[Server] = []

    def start(judgements: Judgements) -> Server:
        running.append(Server(Session(judgements), 0))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,), daemon=True).start()
        return running[-1]

    yield start
    for server in running:
        stop(server)


def stop(server: Server) -> None:
    server.shutdown()
    server.server_close()


@contextmanager
def browsing(server: Server) -> Iterator[Browser]:
    browser = Browser(server.link)
    yield browser
    browser._line.close()


Serve = Callable[[Judgements], Server]


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_simulated_raters_are_recovered(begin: Begin, serve: Serve, mode: str) -> None:
    """12 raters of each accuracy over HTTP: errors as likely as planted, intervals over them at the stated rate."""
    for accuracy in (0.9, 0.65):
        rng, hits = random.Random(5), 0
        server = serve(begin(mode=mode, trials=40, precision=0.001))
        for _ in range(12):
            with browsing(server) as browser:
                state = browser.ask("begin", {"name": ""}).json
                while state["screen"] == "trial":
                    state = browser.judge(state, accuracy, rng)
        got = found(server.session.judgements)
        assert got.errors.n == 12 * 40 and len(got.raters) == 12
        assert binomtest(got.errors.wrong, got.errors.n, 1 - accuracy).pvalue > 1e-3
        hits = sum(r.errors.low <= 1 - accuracy <= r.errors.high for r in got.raters)
        assert binomtest(hits, 12, 0.95).pvalue > 1e-3, hits
        assert got.agreement is not None and got.agreement.raters == 12
        # raters who are right with probability a whatever the item: α = (2a - 1)² where half are real, 0 for pairs
        expected = (2 * accuracy - 1) ** 2 if mode == "single" else 0
        assert got.agreement.krippendorff == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_nothing_betrays_the_truth(begin: Begin, serve: Serve, mode: str) -> None:
    """Over a whole sitting: pictures of one length and one set of headers, tokens of one form, no word of the truth."""
    file = begin(mode=mode, trials=20)
    server, rng = serve(file), random.Random(0)
    with browsing(server) as browser:
        state = browser.ask("begin", {"name": "Ada"}).json
        shapes, keys, tokens = set(), set(), []
        while state["screen"] == "trial":
            keys.add(tuple(sorted(state)))
            tokens += state["pictures"]
            state = browser.judge(state, 0.7, rng)
        for name, reply in browser.seen:
            if name.startswith("picture/"):
                headers = {k: v for k, v in reply.headers.items() if k != "Date"}
                shapes.add((reply.status, len(reply.body), tuple(sorted(headers.items()))))
            elif b'"trial"' in reply.body:
                said = json.dumps(reply.json)
                assert not any(word in said for word in ("real", "fake", "sample", "truth", "wrong", "right", "source"))
        assert len(shapes) == 1 and len(keys) == 1
        assert len(tokens) == len(set(tokens)) == (20 if mode == "single" else 40)
        assert all(len(t) == 32 and set(t) <= set("0123456789abcdef") for t in tokens)
    with browsing(server) as other:  # nor is a picture known again by its name
        again = other.ask("begin", {}).json
        assert not set(again["pictures"] + again["coming"]) & set(tokens)
        assert other.ask(f"picture/{tokens[-1]}").status == 404


def test_equal_length_needs_no_luck(begin: Begin, serve: Serve) -> None:
    """Plain and noisy pictures compress differently; what is sent does not."""
    from limner.judging.session import evenly

    rng = np.random.default_rng(0)
    for shape in ((28, 28, 1), (64, 48, 3), (9, 9, 4)):
        plain, noise = np.zeros(shape, np.uint8), rng.integers(0, 256, shape, dtype=np.uint8)
        assert len(evenly(plain)) == len(evenly(noise))
        with Pillow.open(io.BytesIO(evenly(noise))) as opened:
            assert np.array_equal(np.asarray(opened).reshape(shape), noise)


def test_masks_hide_and_belong_to_neither_kind() -> None:
    rng = np.random.default_rng(1)
    pixels = np.concatenate([rng.integers(128, 256, (30, 32, 32, 1)), rng.integers(0, 128, (30, 32, 32, 1))])
    made = masks(pixels.astype(np.uint8), 5, seed=0)
    assert made.shape == (5, 32, 32, 1) and len({m.tobytes() for m in made}) == 5
    bright = (made.reshape(5, 8, 4, 8, 4) > 127).all((2, 4)).mean()
    assert 0.4 < bright < 0.6  # pieces of both


def test_only_those_with_the_link_get_anything(begin: Begin, serve: Serve) -> None:
    server = serve(begin())
    with browsing(server) as browser:
        for name in ("", "state", "page.js", "picture/x", "mask/0"):
            assert browser.ask(name, path="/").status == 404
            assert browser.ask(name, path="/" + "0" * 24 + "/").status == 404
        page = browser.ask("")
        assert page.status == 200 and "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "Server" not in page.headers or "Python" not in page.headers["Server"]
        for name in ("", "style.css", "words.js", "page.js"):
            reply = browser.ask(name)
            assert reply.status == 200 and b"http://" not in reply.body and b"https://" not in reply.body
            assert b"//" not in reply.body.replace(b"// ", b"") or name == "page.js"
        assert browser.ask("../state").status == 404 and browser.ask("mask/99").status == 404
        assert browser.ask("mask/0").headers["Content-Type"] == "image/png"
        assert browser.ask("state").json["screen"] == "welcome" and server.session.judgements.raters() == []


def test_nonsense_is_refused_and_changes_nothing(begin: Begin, serve: Serve) -> None:
    server = serve(begin())
    with browsing(server) as browser:
        good = {"number": 0, "said": 1, "shown": None, "seconds": 1}
        assert browser.ask("answer", good).status == 400  # nobody began
        browser.ask("begin", {"name": "x" * 500 + "\n<b>"})
        assert server.session.judgements.raters()[0].name == "x" * 40
        for wrong in (b"{", b"[1]", b'"a"', {}, good | {"said": 2}, good | {"said": None}, good | {"number": "a"}):
            assert browser.ask("answer", wrong).status == 400
        assert browser.ask("answer", good | {"number": 7}).json["number"] == 0
    with browsing(server) as fresh:
        assert fresh.ask("begin", b"x" * (MOST + 1)).status == 400
    with browsing(server) as fresh:
        assert fresh.ask("begin", {}, **{"Content-Type": "text/plain"}).status == 400
    assert server.session.judgements.answers() == []


def test_a_second_click_and_a_reload_change_nothing(begin: Begin, serve: Serve) -> None:
    server, rng = serve(begin(trials=6)), random.Random(0)
    with browsing(server) as browser:
        state = browser.ask("begin", {}).json
        state = browser.judge(state, 1.0, rng)
        twice = browser.ask("answer", {"number": 0, "said": 0, "shown": None, "seconds": 1}).json
        assert twice == state == browser.ask("state").json and state["number"] == 1
        assert not server.session.finished()
        while state["screen"] == "trial":
            state = browser.judge(state, 1.0, rng)
        assert (state["right"], state["answered"]) == (6, 6) and server.session.finished()


def test_raters_at_once_do_not_disturb_each_other(begin: Begin, serve: Serve) -> None:
    server = serve(begin(trials=30))
    failed: list[Exception] = []

    def sit(seed: int) -> None:
        try:
            with browsing(server) as browser:
                rng, state = random.Random(seed), browser.ask("begin", {"name": f"r{seed}"}).json
                while state["screen"] == "trial":
                    state = browser.judge(state, 1.0, rng)
                assert state["right"] == 30
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=sit, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed and server.session.judgements.counts() == (0, 180)


def test_a_staircase_follows_the_answers(begin: Begin, serve: Serve) -> None:
    server, rng = serve(begin(trials=12, exposure="staircase")), random.Random(0)
    with browsing(server) as browser:
        state, shown = browser.ask("begin", {}).json, []
        while state["screen"] == "trial":
            shown.append(state["exposure"])
            state = browser.judge(state, 1.0, rng)
    assert shown == sorted(shown, reverse=True) and shown[0] > shown[3] > shown[6] > shown[9]
    assert state["right"] is None  # the staircase, not the rater, decides how many are right


def answer_of(host: str, port: int, path: str) -> int:
    """The status that a machine at this address is answered with; 0 where nobody listens."""
    line = http.client.HTTPConnection(host, port, timeout=10)
    try:
        line.request("GET", path)
        return line.getresponse().status
    except OSError:
        return 0
    finally:
        line.close()


def own_address() -> str:
    """This machine's address on its network; skips where it has none but the loop."""
    host = urlsplit(f"http://{_own_address()}").hostname or HERE
    if host.startswith("127.") or host == "0.0.0.0":
        pytest.skip("this machine is in no network")
    return host


@pytest.mark.parametrize("share", [True, False])
def test_shared_by_link_to_the_network_and_to_nobody_without(begin: Begin, share: bool) -> None:
    """A second client comes by the machine's own address in its network; the secret of the link opens, nothing else."""
    host, session = own_address(), Session(begin(trials=6))
    server = Server(session, 0, share)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        port, path = server.server_address[1], urlsplit(server.link).path
        assert answer_of(host, port, path) == (200 if share else 0)
        assert urlsplit(server.link).hostname == (host if share else HERE), (
            "the link that is printed is the one that works"
        )
        wrong = ("/", path[:-1], path.upper(), "/" + "0" * 24 + "/", path[:-2] + "x/")
        for other in wrong if share else ():
            assert answer_of(host, port, other) == answer_of(host, port, other + "state") == 404, other
        if share:
            with browsing(server) as near, browsing(server) as far:
                assert {near.ask("begin", {}).json["screen"], far.ask("begin", {}).json["screen"]} == {"trial"}
                assert far.ask("begin", {}, path="/").status == 404
            assert len(session.judgements.raters()) == 2, "who lacks the link is no rater"
    finally:
        stop(server)


def test_a_port_in_use_is_one_line(begin: Begin, serve: Serve) -> None:
    server = serve(begin())
    port = server.server_address[1]
    with pytest.raises(UserError, match=f"--port {port}: address already in use; give another"):
        Server(server.session, port)
