"""A small real HTTP server on loopback: serves pages and the SDK, records every request, and misbehaves on demand."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SDK = Path(__file__).parents[2] / "sdk" / "lib"
MIME = {".js": "text/javascript; charset=utf-8", ".json": "application/json", ".css": "text/css; charset=utf-8"}
PATIENCE = 15.0
"""Seconds until something that should have arrived counts as lost."""


@dataclass(frozen=True)
class Request:
    """What a browser sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the server says. ``cut`` promises more than it sends; ``hang`` says nothing until the server closes."""

    body: str = '{"success":true}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False
    after: float = 0.0


Answer = Callable[[Any], Reply]


def decision(placements: dict[str, Any], level: str = "request", *, kept_back: tuple[str, ...] = ()) -> Reply:
    """An answer to ``/v1/decide``: content by placement; ``None`` leaves the shop's default.

    The placements ``kept_back`` came to an experience, and the shopper is in its control.
    """
    answers = {
        name: {
            "experience": content and f"{name}_experience",
            "variation": content and "on",
            "content": content,
            "reason": "match" if content else "no_match",
        }
        for name, content in placements.items()
    }
    for name in kept_back:
        answers[name] = {
            "experience": f"{name}_experience",
            "variation": "control",
            "content": None,
            "reason": "control",
        }
    return Reply(
        json.dumps(
            {
                "decisionId": "d1",
                "playbook": "p1",
                "placements": answers,
                "token": "signed-token",
                "level": level,
                "degraded": False,
            }
        )
    )


class Recorder:
    """The server. ``pages`` maps a path to its HTML and headers; ``answers`` a path of the API to what it says."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def to(self, path: str) -> list[Request]:
        """The requests to a path so far."""
        return [request for request in self.requests if request.path == path]

    def events(self) -> list[dict[str, Any]]:
        """All events that arrived, in order; one that came twice counts once, as the engine has it."""
        found: dict[str, dict[str, Any]] = {}
        for request in self.to("/v1/batch"):
            for event in request.json["batch"]:
                found.setdefault(event["messageId"], event)
        return list(found.values())

    def names(self) -> list[str]:
        """The same, by what they are about."""
        return [event.get("event") or event["type"] for event in self.events()]

    def wait(self, arrived: Callable[[], bool]) -> None:
        """Block until something has arrived."""
        with self._changed:
            assert self._changed.wait_for(arrived, PATIENCE), f"never arrived; here is: {self.names()}"

    def _record(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _reply(self, request: Request) -> Reply:
        if request.path in self.pages:
            html, headers = self.pages[request.path]
            return Reply(html, headers={"Content-Type": "text/html; charset=utf-8", **headers})
        if request.path in self.files:
            return Reply(self.files[request.path].decode(), headers={"Content-Type": MIME[Path(request.path).suffix]})
        if request.path.startswith("/sdk/"):
            file = SDK / request.path.rpartition("/")[2]
            return Reply(file.read_text(), headers={"Content-Type": MIME[file.suffix]})
        if request.path in self.answers:
            return self.answers[request.path](json.loads(request.body or "null"))
        return Reply() if request.path == "/v1/batch" else Reply("not found", status=404)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one send for headers and body: anything else stalls on delayed acknowledgements

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                path = self.path.partition("?")[0]
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, path, headers, body)
                recorder._record(request)
                self._send(recorder._reply(request))

            def __getattr__(self, name: str) -> Callable[[], None]:
                if name.startswith("do_"):
                    return self.handle_any
                raise AttributeError(name)

            def _send(self, reply: Reply) -> None:
                if reply.hang or reply.after:
                    recorder._closing.wait(None if reply.hang else reply.after)
                content = reply.body.encode()
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Access-Control-Allow-Origin", "*")
                    self.send_header("Access-Control-Expose-Headers", "Retry-After")
                    self.send_header("Content-Length", str(len(content) + (1000 if reply.cut else 0)))
                    self.end_headers()
                    self.wfile.write(content)
                    self.wfile.flush()
                except OSError:
                    self.close_connection = True  # the browser has given up: that is what some tests are about
                if reply.cut:
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        return Handler
