"""Segment's analytics.js in a real browser, on a page of another origin: preflights, settings, beacons and all."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from engines import BROWSER
from journeys.conftest import Complaints, chromium, watched
from servers import Server

pytestmark = [pytest.mark.clients, pytest.mark.browser]
__all__ = ["chromium"]
SCRIPT = Path(__file__).parent / "node_modules/@segment/analytics-next/dist/umd/index.js"
PAGE = """<!doctype html><title>A shop</title><script src="/index.js"></script><h1>A shop</h1>"""


class Files(http.server.BaseHTTPRequestHandler):
    """The shop's page and the client's file."""

    def do_GET(self) -> None:
        known = {"/": (PAGE.encode(), "text/html"), "/index.js": (SCRIPT.read_bytes(), "text/javascript")}
        body, kind = known.get(self.path, (b"", "text/plain"))
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def shop_page() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as files:
        thread = threading.Thread(target=functools.partial(files.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{files.server_address[1]}"
        files.shutdown()
        thread.join()


@pytest.fixture
def page(chromium: object, node: str) -> Iterator[Page]:
    context = chromium.new_context(user_agent=BROWSER)  # type: ignore[attr-defined]
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


LOAD = """async ([key, api, batching]) => {
  const host = api.replace('http://', '') + '/v1'
  const segment = { apiHost: host, protocol: 'http' }
  if (batching) segment.deliveryStrategy = { strategy: 'batching', config: { size: 10, timeout: 50 } }
  const [analytics] = await AnalyticsNext.AnalyticsBrowser.load(
    { writeKey: key, cdnURL: api }, { integrations: { 'Segment.io': segment } })
  analytics.addSourceMiddleware(({ payload, next }) => {
    payload.obj.context.consent = { categoryPreferences: { personalization: true, analytics: true } }
    next(payload)
  })
  await analytics.page()
  await analytics.identify('jonas', { firstName: 'Jonas' })
  for (let n = 0; n < 5; n++) await analytics.track('Product Viewed', { product_id: 'mug', category: 'coffee' })
  return analytics.user().anonymousId()
}"""


@pytest.mark.parametrize("batching", [False, True], ids=["one by one", "batched"])
def test_a_page_tells_everything_with_segments_client(
    server: Server, shop_page: str, page: Page, batching: bool
) -> None:
    shop = server.shop
    key = shop.engine.keys.create("publishable", shop.tenant, (shop_page,), shop.engine.world.random)
    seen: Complaints = watched(page)
    page.goto(shop_page)
    anonymous = page.evaluate(LOAD, [key, server.url, batching])
    page.wait_for_function("true")
    pause = threading.Event()
    assert any(shop.engine.account().received >= 7 or pause.wait(0.05) for _ in range(300)), seen
    account = shop.engine.account()
    assert (account.received, account.stored) == (7, 7)
    assert seen.errors == []
    assert shop.explained({"anonymousId": anonymous})["session_views"] == 5
    assert shop.profile(user="jonas") is None, "a browser's word does not identify anybody"


def test_a_page_of_another_origin_stores_nothing(server: Server, shop_page: str, page: Page) -> None:
    page.goto(shop_page)
    page.evaluate(LOAD, [server.shop.public_text, server.url, False])
    assert server.shop.engine.account().received == 0
