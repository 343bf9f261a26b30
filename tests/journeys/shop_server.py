"""Starts the demo shop as a shop would run it, walks it by plain HTTP, and plays the engine well and badly."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from offer_desk import Desk

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-shop" / "bin" / "python"
PATIENT = {"CASHWRAP_TIMEOUT_MS": "10000", "CASHWRAP_DEADLINE_MS": "5000", "CASHWRAP_BROWSER_MS": "10000"}
"""For tests that are about what is asked, not about who waits: a busy machine must not turn them red."""
PUBLISHABLE = "cwp_test_k1abc_publishablekey"
SECRET = "cws_test_k2def_secretkeysecretkey"
METHODS = ["card", "paynow", "invoice", "bank_transfer", "apple_pay", "google_pay"]


# --- the shop ---


def set_up() -> Path:
    """Migrate and seed once for each state of the shop's files; every shop of a test run starts from a copy.

    Kept between runs: it takes as long as several tests.
    """
    if not PYTHON.exists():
        reason = "the demo shop needs its own environment, .venv-shop: run make setup"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folders = [ROOT / "shop" / name for name in ("config", "apps", "storefront", "seed")]
    sources = sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".json", ".txt"}
    )
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    kept = ROOT / ".data" / f"test-shop-{digest}"
    if not kept.exists():
        making = kept.with_name(f"{kept.name}.{os.getpid()}")
        command = [PYTHON, ROOT / "shop/run.py", "--setup-only", "--data", making]
        subprocess.run(command, check=True, capture_output=True)
        with suppress(OSError):  # another worker was quicker
            making.rename(kept)
        shutil.rmtree(making, ignore_errors=True)
        for old in kept.parent.glob("test-shop-*"):
            if not old.name.startswith(kept.name):
                shutil.rmtree(old, ignore_errors=True)
    return kept


@contextmanager
def shop(seeded: Path, data: Path, *, engine: str = "", keys: tuple[str, str] = ("", ""), **env: str) -> Iterator[str]:
    """Run the shop on a free port; yields its address."""
    shutil.copytree(seeded, data, dirs_exist_ok=True)
    command = [PYTHON, ROOT / "shop/run.py", "--port", "0", "--data", data, "--engine", engine]
    command += ["--publishable", keys[0], "--secret", keys[1]]
    log = (data / "log.txt").open("w+")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **env})
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if "ready at" in line), "")
        assert line, (data / "log.txt").read_text()
        yield line.split()[-1].rstrip("/")
    finally:
        while Visitor.open:
            Visitor.open.pop().http.close()
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
        log.close()


def manage(data: Path, *arguments: str) -> str:
    env = {**os.environ, "SHOP_DATA": str(data)}
    done = subprocess.run(
        [PYTHON, ROOT / "shop/manage.py", *arguments], check=True, capture_output=True, text=True, env=env
    )
    return done.stdout


class Visitor:
    """A shopper without a browser: follows redirects, keeps cookies, posts the shop's own forms."""

    open: ClassVar[list["Visitor"]] = []

    def __init__(self, base: str, **headers: str) -> None:
        agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
        self.http = httpx.Client(
            base_url=base, follow_redirects=True, timeout=30, headers={"User-Agent": agent, **headers}
        )
        self.pages: dict[str, str] = {}
        Visitor.open.append(self)

    def get(self, path: str) -> str:
        response = self.http.get(path)
        assert response.status_code == 200, (path, response.status_code)
        return response.text

    def post(self, path: str, **data: str) -> str:
        token = self.http.cookies.get("csrftoken", "")
        response = self.http.post(
            path, data={"csrfmiddlewaretoken": token, **data}, headers={"Referer": str(self.http.base_url)}
        )
        assert response.status_code == 200, (path, response.status_code, response.text[:300])
        return response.text

    def add(self, product_id: str) -> str:
        page = self.get(f"/p/{product_id}/")
        action = re.search(r'action="(/basket/add/\d+/)"', page)
        assert action is not None
        return self.post(action[1], quantity="1", next="/basket/")

    def log_in(self, name: str) -> None:
        self.get("/")
        self.post(f"/persona/{name}/", next="/")

    def to_payment(self) -> str:
        """Walk a guest's checkout up to the choice of payment; keeps each page by name."""
        self.pages["contact"] = self.get("/checkout/")
        self.pages["address"] = self.post("/checkout/", username="ada@example.org", options="anonymous", password="")
        address = {"first_name": "Ada", "last_name": "Brook", "line1": "Mill Lane 4", "line4": "Freiburg"}
        self.pages["delivery"] = self.post(
            "/checkout/shipping-address/", **address, postcode="79098", country="DE", line2="", line3="", state=""
        )
        self.pages["payment"] = self.post("/checkout/shipping-method/", method_code="standard")
        return self.pages["payment"]

    def pay(self, method: str = "paynow", card: str = "tok_demo_4242") -> str:
        self.pages["review"] = self.post("/checkout/preview/", method=method, card_token=card)
        return self.post("/checkout/preview/", action="place_order")

    def order(self, product_id: str = "KC-C01") -> str:
        """Buy one product as a guest; returns the order number."""
        self.add(product_id)
        self.to_payment()
        return order_number(self.pay())


def order_number(page: str) -> str:
    found = re.search(r'id="order-number">(\d+)<', page)
    assert found is not None, page[:2000]
    return found[1]


def options(page: str, placement: str = "payment_methods") -> list[str]:
    """The methods of a placement in the order shown."""
    start = page.index(f'data-placement="{placement}"')
    return re.findall(r'data-option="(\w+)"', page[start : page.index("</fieldset>", start)])


def comparable(page: str) -> str:
    """A page without what changes by itself: the token against forgery."""
    return re.sub(r'(csrfmiddlewaretoken" value=)"\w+"', r"\1", page)


# --- the engine, played ---


class FakeEngine:
    """Records what reaches it and answers as told: `mode` is "record" or one of `BROKEN`."""

    def __init__(self, port: int = 0, mode: str = "record") -> None:
        self.mode = mode
        self.placements: dict[str, Any] = {}
        self.desk = Desk()
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self._arrived = threading.Condition(threading.RLock())
        self.let_go = threading.Event()
        self.shop_data = Path()
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one send: headers apart from the body would cost 40 ms

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                engine.answer(self, *engine.note(self.command, self.path, headers, body)[2:])

            do_GET = do_POST  # noqa: N815 - the name the server looks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def note(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[str, str, dict[str, str], Any]:
        with self._arrived:
            self.requests.append((method, path, headers, json.loads(body) if body else None))
            self._arrived.notify_all()
            return self.requests[-1]

    def answer(self, handler: BaseHTTPRequestHandler, headers: dict[str, str], asked: Any) -> None:
        status, body = 200, b'{"success":true}'
        if handler.path.startswith(("/v1/offers/", "/.well-known/")):
            status, body = self.desk.answer(handler.path, headers, asked)
            with self._arrived:
                self._arrived.notify_all()
            if body == b"hang":
                self.let_go.wait()
                return
        elif handler.path == "/v1/decide":
            status, body = (
                BROKEN[self.mode] if self.mode in BROKEN else (200, json.dumps(self.decision(asked)).encode())
            )
            if body == b"hang":
                self.let_go.wait()
                return
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Set-Cookie", "engine=1")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()

    def decision(self, asked: Any) -> dict[str, Any]:
        answers: dict[str, dict[str, Any]] = {
            name: {"experience": f"x_{name}", "variation": "only", "content": content, "reason": "match"}
            for name, content in self.placements.items()
        }
        for name, granted in self.desk.grants(asked).items():
            answers.setdefault(name, {})["offer"] = granted
        return {
            "decisionId": "d1",
            "playbook": "p1",
            "placements": answers,
            "token": "proof",
            "level": "request",
            "degraded": False,
        }

    def events(self) -> list[dict[str, Any]]:
        """What the shop's backend sent so far, in order, whatever the batches."""
        with self._arrived:
            return [event for _, path, _, body in self.requests if path == "/v1/batch" for event in body["batch"]]

    def settled(self, true: Callable[[], bool]) -> None:
        """Wait until what was asked led to this."""
        with self._arrived:
            while not true():
                assert self._arrived.wait(30), [(path, body) for _, path, _, body in self.requests]

    def asked(self, path: str, count: int = 1) -> list[Any]:
        """The bodies sent to a path, once there are so many."""

        def found() -> list[Any]:
            return [body for _, at, _, body in self.requests if at == path]

        with self._arrived:
            assert self._arrived.wait_for(lambda: len(found()) >= count, 30), (path, found())
        return found()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that is wanted, when it is there."""

        def found() -> dict[str, Any] | None:
            return next((each for each in self.events() if wanted({"event": "", "anonymousId": "", **each})), None)

        with self._arrived:
            self._arrived.wait_for(lambda: found() is not None, 30)
        event = found()
        assert event is not None, [each.get("event") for each in self.events()]
        return event

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


def _answer(content: object) -> bytes:
    return json.dumps(
        {"placements": {"payment_methods": {"experience": "x", "content": content}}, "token": "t"}
    ).encode()


BROKEN: dict[str, tuple[int, bytes]] = {
    "hangs": (200, b"hang"),
    "fails": (500, b'{"code":"internal"}'),
    "answers html": (200, b"<!doctype html><h1>Oops</h1>"),
    "answers nothing": (200, b""),
    "answers a list": (200, b"[1,2,3]"),
    "has no placements": (200, b'{"placements":null}'),
    "has placements of another shape": (200, b'{"placements":["payment_methods"]}'),
    "has a placement without content": (200, b'{"placements":{"payment_methods":{}}}'),
    "has options without ids": (200, _answer({"type": "options", "options": [{"name": "x"}], "hidden": []})),
    "has content of another type": (200, _answer({"type": "message", "text": "hello"})),
    "has text as a number": (200, b'{"placements":{"checkout_help":{"content":{"type":"help","text":7}}}}'),
}
