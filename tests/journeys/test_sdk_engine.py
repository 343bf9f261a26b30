"""The browser SDK against the true engine: `cashwrap serve`, on another origin than the shop's pages."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from recorder import Recorder

from conftest import watched

pytestmark = pytest.mark.browser

CASHWRAP = Path(sys.executable).with_name("cashwrap")

PLAYBOOK = """
shop:
  currency: EUR
  locale: en
placements:
  basket_message:  {component: message}
  payment_methods: {component: options}
  banner:          {component: message}
features:
  session_views: {count: Product Viewed, session: true}
  moments:
    count: Experience Viewed
    by: outcome
    where: experience == "banner"
  sent_away:
    count: Experience Dismissed
    where: experience == "banner"
segments:
  saw_it: moments["shown"] == 1
  went_without: moments["control"] == 1
  sent_it_away: sent_away == 1
  engaged: session_views >= 3
experiences:
  looks_closely:
    in: basket_message
    when: '"engaged" in segments'
    priority: 10
    show: {text: {en: "You look closely."}}
  banner:
    in: banner
    attention: {session: 1, cool_down: 1d}
    variations: {main: {text: {en: "Only today."}}}
    experiment: {arms: {control: 50%, main: 50%}, goal: conversion}
  free_delivery_progress:
    in: basket_message
    when: cart.total > 0
    show: {text: {en: "{remaining} more and delivery is free."}, progress: {of: cart.total, to: 50}}
  wallet_first:
    in: payment_methods
    when: '"engaged" in segments'
    show: {first: [wallet], hide: [invoice, card], highlight: [wallet]}
"""


def cashwrap(*arguments: str) -> str:
    done = subprocess.run([CASHWRAP, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Shop:
    """A shop's pages on one origin, the engine on another."""

    pages: Recorder
    url: str
    engine: str
    key: str
    secret: str
    data: str

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """What the shop's backend asks."""
        headers = {"authorization": f"Bearer {self.secret}"}
        return httpx.request(method, f"{self.engine}{path}", headers=headers, timeout=30, **more).json()

    def somebody(self, variation: str) -> str:
        """An anonymous id whose shopper is in this arm of the banner's experiment."""
        for number in range(64):
            shopper = f"{number:032x}"
            answer = self.ask("POST", "/v1/decide", json={"shopper": {"anonymousId": shopper}})
            if answer["placements"]["banner"]["variation"] == variation:
                return shopper
        raise AssertionError(f"nobody of 64 is in {variation}")

    def segments(self, shopper: str) -> set[str]:
        """The segments a shopper is in."""
        described = self.ask("GET", f"/v1/shoppers?anonymousId={shopper}")
        return {name for name, inside in described.get("segments", {}).items() if inside}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    pages = Recorder()
    origin = f"http://localhost:{pages.port}"
    playbook, data = tmp_path / "playbook", str(tmp_path / "data")
    playbook.mkdir()
    (playbook / "shop.yaml").write_text(PLAYBOOK)
    key = cashwrap("keys", "create", "publishable", "--origin", origin, "--data", data).split()[-1]
    secret = cashwrap("keys", "create", "secret", "--data", data).split()[-1]
    serve = [CASHWRAP, "serve", "--playbook", playbook, "--data", data, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            ready = (re.search(r"ready at (http://\S+)", line) for line in process.stdout)
            engine = next(found[1] for found in ready if found)
            yield Shop(pages, f"{origin}/shop", engine, key, secret, data)
        finally:
            process.terminate()
            process.communicate(timeout=30)
            pages.close()


BODY = """<p data-cashwrap-placement="basket_message">Free returns.</p>
<div data-cashwrap-placement="banner"><b data-cashwrap-slot="text">Welcome.</b>
<i data-cashwrap-dismiss>x</i></div>
<ul data-cashwrap-placement="payment_methods">
<li data-cashwrap-option="card"><input type="radio" name="m" checked>Card</li>
<li data-cashwrap-option="invoice"><input type="radio" name="m">Invoice</li>
<li data-cashwrap-option="wallet"><input type="radio" name="m">Wallet</li></ul>
<button data-cashwrap-event="Product Viewed" data-cashwrap-prop-product_id="p1">Look</button>"""

CONTEXT = """{"currency": "EUR", "cart": {"total": 20, "count": 1},
  "checkout": {"paymentMethods": ["card", "invoice", "wallet"]}}"""


def open_shop(page: Page, shop: Shop, query: str = "") -> None:
    script = f"{shop.engine}/sdk/0.1.0/cashwrap.min.js"
    policy = (  # a preview needs no more than this either
        f"default-src 'none'; script-src {shop.engine}; connect-src {shop.engine}; require-trusted-types-for 'script'"
    )
    head = f"""<script type="module" src="{script}" crossorigin data-cashwrap-key="{shop.key}"
      data-cashwrap-timeout="20000" data-cashwrap-context='{CONTEXT}'></script>"""
    html = f'<!doctype html><html lang="en"><head><title>Shop</title>{head}</head><body>{BODY}</body></html>'
    shop.pages.pages["/shop"] = (html, {"Content-Security-Policy": policy})
    with page.expect_response(shop.engine + "/v1/decide"):  # or the page's own decision overtakes what a test asks
        page.goto(shop.url + query)


def says(page: Page, text: str) -> None:
    page.wait_for_function("(t) => document.querySelector('p').textContent.startsWith(t)", arg=text)


METHODS = "() => [...document.querySelectorAll('li')].map((node) => node.innerText.trim() + (node.hidden ? '-' : ''))"


def test_what_a_visitor_does_changes_the_page_and_a_withdrawal_changes_it_back(browser_page: Page, shop: Shop) -> None:
    complaints = watched(browser_page)
    open_shop(browser_page, shop)
    says(browser_page, "€30.00 more")
    assert browser_page.locator("progress").get_attribute("value") == "2000"
    assert browser_page.context.cookies() == []
    for _ in range(3):
        browser_page.click("button")
    says(browser_page, "€30.00 more")

    browser_page.evaluate("() => cashwrap.consent.set({analytics: true, personalization: true})")
    says(browser_page, "You look closely.")
    assert browser_page.evaluate("() => cashwrap.decide().then(({level}) => level)") == "session"
    assert browser_page.evaluate(METHODS) == ["Wallet", "Card", "Invoice-"]  # the chosen one stays

    open_shop(browser_page, shop)
    says(browser_page, "You look closely.")
    assert {cookie["name"] for cookie in browser_page.context.cookies()} == {"cw_id", "cw_consent"}

    browser_page.evaluate("() => cashwrap.consent.set({analytics: false, personalization: false})")
    says(browser_page, "€30.00 more")
    assert browser_page.evaluate(METHODS) == ["Card", "Invoice", "Wallet"]
    assert browser_page.context.cookies() == []
    assert complaints.errors == complaints.messages == complaints.network == []


def comes_back(page: Page, shop: Shop, shopper: str) -> None:
    """A shopper with this id, who has consented on an earlier page."""
    cookies = {"cw_id": shopper, "cw_consent": "analytics.1-personalization.1"}
    page.context.add_cookies([{"name": name, "value": value, "url": shop.url} for name, value in cookies.items()])
    consent = {"type": "consent", "anonymousId": shopper, "choices": {"personalization": "granted"}}
    assert shop.ask("POST", "/v1/batch", json={"batch": [consent]}) == {"success": True}


def settles(shop: Shop, shopper: str, segment: str) -> set[str]:
    """The shopper's segments, when they are in this one."""
    end = time.monotonic() + 30
    while segment not in (found := shop.segments(shopper)):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def leaves(page: Page) -> None:
    """Go, once what is in sight was seen and told: a beacon after the end would say that it is a headless browser."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
    page.evaluate("() => cashwrap.flush()")
    page.goto("about:blank")


BANNER = "() => cashwrap.decide(['banner']).then(({placements}) => placements.banner.reason)"


@pytest.mark.parametrize(
    ("variation", "segment", "text", "later"),
    [("main", "saw_it", "Only today.", "capped"), ("control", "went_without", "Welcome.", "control")],
)
def test_control_and_treatment_are_counted_by_what_their_tokens_prove(
    browser_page: Page, shop: Shop, variation: str, segment: str, text: str, later: str
) -> None:
    shopper = shop.somebody(variation)
    comes_back(browser_page, shop, shopper)
    open_shop(browser_page, shop)
    browser_page.evaluate(BANNER)
    expect(browser_page.locator("b")).to_have_text(text)
    leaves(browser_page)
    assert "sent_it_away" not in settles(shop, shopper, segment)
    open_shop(browser_page, shop)
    assert browser_page.evaluate(BANNER) == later
    expect(browser_page.locator("b")).to_have_text("Welcome.")


def test_a_dismissal_holds_on_the_next_page(browser_page: Page, shop: Shop) -> None:
    shopper = shop.somebody("main")
    comes_back(browser_page, shop, shopper)
    open_shop(browser_page, shop)
    browser_page.evaluate(BANNER)
    expect(browser_page.locator("b")).to_have_text("Only today.")
    browser_page.click("i")
    expect(browser_page.locator("b")).to_have_text("Welcome.")
    leaves(browser_page)
    settles(shop, shopper, "sent_it_away")
    open_shop(browser_page, shop)
    assert browser_page.evaluate(BANNER) == "capped"


def test_a_preview_link_opens_on_the_shops_page(browser_page: Page, shop: Shop) -> None:
    complaints = watched(browser_page)
    link = cashwrap("preview", "banner", "--url", shop.url, "--data", shop.data).split()[-1]
    shopper = shop.somebody("control")
    comes_back(browser_page, shop, shopper)
    open_shop(browser_page, shop, link.removeprefix(shop.url))
    expect(browser_page.locator(".cw-preview")).to_have_text("Preview")
    assert browser_page.evaluate(BANNER) == "preview"
    expect(browser_page.locator("b")).to_have_text("Only today.")
    leaves(browser_page)
    open_shop(browser_page, shop, link.removeprefix(shop.url)[:-1])
    expect(browser_page.locator(".cw-preview")).to_have_text("Preview: this link is not valid any more")
    expect(browser_page.locator("b")).to_have_text("Welcome.")
    leaves(browser_page)
    open_shop(browser_page, shop)
    browser_page.evaluate(BANNER)
    leaves(browser_page)
    settles(shop, shopper, "went_without")  # by the last page alone: two would be no match
    assert complaints.errors == complaints.messages == []
