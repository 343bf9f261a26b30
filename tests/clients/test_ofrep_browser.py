"""OpenFeature's web SDK and OFREP provider in a real browser, on a page of another origin: preflights, 304, streams."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Response

from engines import BROWSER
from journeys.conftest import Complaints, chromium, watched
from ofrep_shop import CONTEXT, DEFAULT, FREE, OfrepShop, ofrep_shop

pytestmark = [pytest.mark.clients, pytest.mark.browser]
__all__ = ["chromium"]
HERE = Path(__file__).parent
MODULES = "/node_modules/@openfeature"
IMPORTS = {
    "@openfeature/core": f"{MODULES}/core/dist/esm/index.js",
    "@openfeature/web-sdk": f"{MODULES}/web-sdk/dist/esm/index.js",
    "@openfeature/ofrep-web-provider": f"{MODULES}/ofrep-web-provider/index.esm.js",
    "@openfeature/ofrep-core": f"{MODULES}/ofrep-web-provider/node_modules/@openfeature/ofrep-core/index.esm.js",
}
HTML = f"""<!doctype html><title>A shop</title><link rel="icon" href="data:,">
<script type="importmap">{json.dumps({"imports": IMPORTS})}</script>
<script type="module" src="/ofrep_page.mjs"></script><h1>A shop</h1>"""
ASKED = {"targetingKey": "anon-browser", **CONTEXT}


class Files(http.server.BaseHTTPRequestHandler):
    """The shop's page, its script and the clients as published."""

    def do_GET(self) -> None:
        file = (HERE / self.path.lstrip("/")).resolve()
        found = file.read_bytes() if file.is_relative_to(HERE) and file.is_file() else HTML.encode()
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if file.is_file() else "text/html")
        self.send_header("content-length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as files:
        thread = threading.Thread(target=functools.partial(files.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{files.server_address[1]}"
        files.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, origin: str) -> Iterator[OfrepShop]:
    with ofrep_shop(tmp_path_factory.mktemp("ofrep"), origin=origin) as shop:
        yield shop


@pytest.fixture
def shop(running: OfrepShop) -> Iterator[OfrepShop]:
    """The running shop, its playbook put back afterwards."""
    experiences = running.playbook / "experiences.yaml"
    before = experiences.read_text()
    yield running
    if experiences.read_text() != before:
        experiences.write_text(before)
        assert eventually_says(running, FREE)


class Browser:
    """One page with the clients loaded, and what went over the wire."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.bulks: list[Response] = []
        self.streams: list[str] = []
        self.seen: Complaints = watched(page)
        page.on("response", self._answered)
        page.on("request", lambda request: self.streams.append(request.url) if "/streams/" in request.url else None)
        self.load(origin)

    def load(self, origin: str) -> None:
        self.page.goto(origin)
        self.page.wait_for_function("document.title === 'loaded'")

    def _answered(self, response: Response) -> None:
        if "/evaluate/flags" in response.url and response.request.method == "POST":
            self.bulks.append(response)

    def start(self, url: str, key: str, context: Any = None, header: str = "X-API-Key", **options: Any) -> str:
        headers = [[header, f"Bearer {key}" if header == "Authorization" else key]]
        given = [{"baseUrl": url, "headers": headers, **options}, context or ASKED]
        return str(self.page.evaluate("([options, context]) => page.start(options, context)", given))

    def details(self, flag: str) -> Any:
        return self.page.evaluate("([flag, fallback]) => page.details(flag, fallback)", [flag, DEFAULT])

    def wait_for_text(self, text: str) -> None:
        given = ["basket_message", DEFAULT, text]
        self.page.wait_for_function("([flag, fallback, text]) => page.text(flag, fallback) === text", arg=given)

    def statuses(self) -> list[int]:
        return [each.status for each in self.bulks]


@pytest.fixture
def browser(chromium: object, node: str, origin: str) -> Iterator[Browser]:
    context = chromium.new_context(user_agent=BROWSER)  # type: ignore[attr-defined]
    context.set_default_timeout(15_000)
    page = context.new_page()
    yield Browser(page, origin)
    page.evaluate("page.close()")
    context.close()


def eventually_says(shop: OfrepShop, text: str) -> bool:
    pause = threading.Event()
    return any(shop.content("basket_message")["text"] == text or pause.wait(0.02) for _ in range(500))


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_page_evaluates_all_flags_at_once(shop: OfrepShop, browser: Browser, header: str) -> None:
    assert browser.start(shop.url, shop.public, header=header) == "ready"
    told = browser.details("basket_message")
    assert told["value"] == shop.content("basket_message")
    assert (told["variant"], told["reason"]) == ("main", "TARGETING_MATCH")
    assert told["flagMetadata"]["experience"] == "free_delivery_reached"
    assert told["flagMetadata"]["token"]
    default = browser.details("accessories")
    assert (default["value"], default["variant"], default["reason"]) == (DEFAULT, "default", "DEFAULT")
    assert "errorCode" not in default
    missing = browser.details("nowhere")
    assert (missing["value"], missing["errorCode"]) == (DEFAULT, "FLAG_NOT_FOUND")
    assert browser.statuses() == [200], "one request for all of them"
    assert browser.seen.errors == []


def test_another_context_is_another_question(shop: OfrepShop, browser: Browser) -> None:
    browser.start(shop.url, shop.public)
    browser.page.evaluate("context => page.context(context)", {"targetingKey": "anon-browser", "cart.total": 10})
    browser.page.wait_for_function("page.details('basket_message', {}).value.text.includes('40')")
    assert browser.statuses() == [200, 200]


def test_what_has_not_changed_is_not_sent_again(shop: OfrepShop, browser: Browser, origin: str) -> None:
    browser.start(shop.url, shop.public)
    browser.load(origin)
    assert browser.start(shop.url, shop.public) == "ready"
    assert browser.details("basket_message")["value"]["text"] == FREE
    assert browser.details("basket_message")["reason"] == "CACHED"
    browser.page.wait_for_function("performance.getEntriesByType('resource').some(e => e.responseStatus === 304)")
    assert browser.statuses() == [200, 304]
    sent = browser.bulks[1].request.all_headers()
    assert sent["if-none-match"] == browser.bulks[0].header_value("etag")
    assert len(set(browser.streams)) == 1, "the stream is opened again from what the page had kept"


def test_a_changed_playbook_reaches_an_open_page(shop: OfrepShop, browser: Browser) -> None:
    browser.start(shop.url, shop.public, cacheMode="disabled")
    browser.wait_for_text(FREE)
    shop.says("Delivered for nothing.")
    browser.wait_for_text("Delivered for nothing.")
    assert "flagConfigEtag=" in browser.bulks[-1].url
    assert "basket_message" in browser.page.evaluate("page.changes.at(-1)")
    assert browser.page.evaluate("page.troubles") == []


def test_a_kill_switch_reaches_an_open_page(shop: OfrepShop, browser: Browser) -> None:
    browser.start(shop.url, shop.public, cacheMode="disabled")
    shop.kill("basket_message", off=True)
    try:
        browser.wait_for_text(DEFAULT["text"])
        assert browser.details("basket_message")["reason"] == "DISABLED"
    finally:
        shop.kill("basket_message", off=False)
    browser.wait_for_text(FREE)


def test_a_page_may_poll_instead(shop: OfrepShop, browser: Browser) -> None:
    browser.start(shop.url, shop.public, changeDetection="polling", pollInterval=50, cacheMode="disabled")
    browser.page.wait_for_function("performance.getEntriesByType('resource').some(e => e.responseStatus === 304)")
    shop.says("Delivered for nothing.")
    browser.wait_for_text("Delivered for nothing.")
    assert browser.statuses()[:2] == [200, 304]
    assert browser.streams == []


def test_a_change_while_the_server_was_away_is_told(browser: Browser, origin: str, tmp_path: Path) -> None:
    """The browser reconnects by itself, and says what it saw last."""
    with ofrep_shop(tmp_path, origin=origin) as shop:
        browser.start(shop.url, shop.public, cacheMode="disabled")
        browser.wait_for_text(FREE)
        browser.page.wait_for_function("performance.getEntriesByType('resource').length > 0")
        shop.running.stop()
        shop.says("Delivered for nothing.")
        with ofrep_shop(tmp_path, "--port", shop.url.rpartition(":")[2], origin=origin):
            browser.wait_for_text("Delivered for nothing.")
        assert "flagConfigEtag=" in browser.bulks[-1].url, "it was the stream that said so"
        assert any(each.startswith("Stale") for each in browser.page.evaluate("page.troubles"))


@pytest.mark.parametrize("key", ["nonsense", "secret"])
def test_a_key_that_is_not_for_pages_leaves_the_default(shop: OfrepShop, browser: Browser, key: str) -> None:
    said = browser.start(shop.url, shop.secret if key == "secret" else key)
    assert said.startswith("ProviderFatalError")
    assert browser.details("basket_message")["value"] == DEFAULT
    assert browser.statuses() == [403 if key == "secret" else 401]


def test_a_page_of_another_origin_gets_nothing(shop: OfrepShop, browser: Browser) -> None:
    assert browser.start(shop.url, shop.key_for("https://shop.example")) != "ready"
    assert browser.details("basket_message")["value"] == DEFAULT
