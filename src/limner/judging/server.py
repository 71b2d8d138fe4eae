"""The local web server of a study: a page, its pictures and the answers, under an address that only raters know.

Everything lies below a secret folder, without which nothing is answered. Nothing is fetched from elsewhere, nothing is
logged, and pictures all have the same headers and the same length.
"""

from __future__ import annotations

import json
import socket
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from limner.core.errors import UserError
from limner.judging.session import Session

HERE = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
MOST = 4096
"""Bytes of an answer."""
MONTH = 30 * 24 * 3600
PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    "words.js": ("words.js", "text/javascript; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
GUARDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
JSON = "application/json"


class Server(ThreadingHTTPServer):
    """Serves one session; a thread a connection, none of which keeps the program alive."""

    daemon_threads = True

    def __init__(self, session: Session, port: int, share: bool = False) -> None:
        """Listen. Port 0 takes any that is free. Raises UserError when the port is not to be had."""
        self.session = session
        self.page = {name: (_resource(file), kind) for name, (file, kind) in PAGE.items()}
        self._host = EVERYWHERE if share else HERE
        try:
            super().__init__((self._host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
            raise UserError(f"--port {port}: {reason}; give another, as --port {_other(port)}, or 0 for any") from None

    @property
    def link(self) -> str:
        """The address for raters on this machine, or on the local network if it is shared."""
        host = _own_address() if self._host == EVERYWHERE else HERE
        return f"http://{host}:{self.server_address[1]}/{self.session.judgements.secret}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves in the middle is no error."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "limner", ""
    timeout = 120
    # An answer of two small writes would wait for the other side's acknowledgement between them
    wbufsize = -1

    def do_GET(self) -> None:
        """The page, the state, a picture or a mask."""
        name = self._inside()
        session = self._session
        if name in self._served.page:
            self._send(*self._served.page[name])
        elif name == "state":
            self._say(session.state(self._key()))
        elif name is not None and name.startswith(("picture/", "mask/")):
            kind, _, which = name.partition("/")
            found = session.picture(self._key(), which) if kind == "picture" else session.mask(_number(which))
            self._send(found, "image/png") if found else self._refuse(404)
        else:
            self._refuse(404)

    def do_POST(self) -> None:
        """Somebody begins, or answers."""
        name, given = self._inside(), self._given()
        if given is None:
            self._refuse(400)
        elif name == "begin":
            key = self._session.begin(str(given.get("name", ""))).key
            self._say(self._session.state(key), key)
        elif name == "answer":
            try:
                shown = given.get("shown")
                number, said, seconds = int(given["number"]), int(given["said"]), float(given["seconds"])
                self._say(
                    self._session.answer(self._key(), number, said, None if shown is None else float(shown), seconds)
                )
            except (UserError, LookupError, TypeError, ValueError):
                self._refuse(400)
        else:
            self._refuse(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: who judged when is in the file of judgements."""

    @property
    def _served(self) -> Server:
        assert isinstance(self.server, Server)
        return self.server

    @property
    def _session(self) -> Session:
        return self._served.session

    def _inside(self) -> str | None:
        """What is asked for below the secret folder; None for anything else."""
        folder = f"/{self._session.judgements.secret}/"
        path = self.path.partition("?")[0]
        return path[len(folder) :] if path.startswith(folder) else None

    def _given(self) -> dict[str, Any] | None:
        """The JSON object that was sent; None where it is none. A form of another page cannot send this type."""
        length = _number(self.headers.get("Content-Length", ""))
        if not 0 < length <= MOST or self.headers.get_content_type() != JSON:
            self.close_connection = True
            return None
        try:
            given = json.loads(self.rfile.read(length))
        except ValueError:
            return None
        return given if isinstance(given, dict) else None

    def _key(self) -> str:
        """The rater's key, which the browser keeps as a cookie."""
        try:
            kept = SimpleCookie(self.headers.get("Cookie", "")).get("rater")
        except CookieError:
            kept = None
        return kept.value if kept else ""

    def _say(self, value: Any, key: str = "") -> None:
        folder = f"/{self._session.judgements.secret}/"
        kept = f"rater={key}; Path={folder}; Max-Age={MONTH}; HttpOnly; SameSite=Strict"
        self._send(json.dumps(value).encode(), JSON, {"Set-Cookie": kept} if key else None)

    def _send(self, body: bytes, kind: str, more: dict[str, str] | None = None, code: int = 200) -> None:
        self.send_response(code)
        lines = GUARDS | {"Content-Type": kind, "Content-Length": str(len(body))} | (more or {})
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _refuse(self, code: int) -> None:
        self._send(b"", "text/plain", code=code)


def _resource(name: str) -> bytes:
    return (files("limner.judging") / "page" / name).read_bytes()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1


def _other(port: int) -> int:
    return port + 1 if 0 < port < 65_535 else 8765


def _own_address() -> str:
    """This machine's address on the local network; connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
