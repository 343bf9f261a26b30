"""The browser SDK against the true engine: `cashwrap serve`, on another origin than the shop's pages."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page
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
features:
  session_views: {count: Product Viewed, session: true}
segments:
  engaged: session_views >= 3
experiences:
  looks_closely:
    in: basket_message
    when: '"engaged" in segments'
    priority: 10
    show: {text: {en: "You look closely."}}
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


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    pages = Recorder()
    origin = f"http://localhost:{pages.port}"
    playbook, data = tmp_path / "playbook", str(tmp_path / "data")
    playbook.mkdir()
    (playbook / "shop.yaml").write_text(PLAYBOOK)
    key = cashwrap("keys", "create", "publishable", "--origin", origin, "--data", data).split()[-1]
    serve = [CASHWRAP, "serve", "--playbook", playbook, "--data", data, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            ready = (re.search(r"ready at (http://\S+)", line) for line in process.stdout)
            engine = next(found[1] for found in ready if found)
            yield Shop(pages, f"{origin}/shop", engine, key)
        finally:
            process.terminate()
            process.communicate(timeout=30)
            pages.close()


BODY = """<p data-cashwrap-placement="basket_message">Free returns.</p>
<ul data-cashwrap-placement="payment_methods">
<li data-cashwrap-option="card"><input type="radio" name="m" checked>Card</li>
<li data-cashwrap-option="invoice"><input type="radio" name="m">Invoice</li>
<li data-cashwrap-option="wallet"><input type="radio" name="m">Wallet</li></ul>
<button data-cashwrap-event="Product Viewed" data-cashwrap-prop-product_id="p1">Look</button>"""

CONTEXT = """{"currency": "EUR", "cart": {"total": 20, "count": 1},
  "checkout": {"paymentMethods": ["card", "invoice", "wallet"]}}"""


def open_shop(page: Page, shop: Shop) -> None:
    script = f"{shop.engine}/sdk/0.1.0/cashwrap.min.js"
    policy = (
        f"default-src 'none'; script-src {shop.engine}; connect-src {shop.engine}; require-trusted-types-for 'script'"
    )
    head = f"""<script type="module" src="{script}" crossorigin data-cashwrap-key="{shop.key}"
      data-cashwrap-timeout="3000" data-cashwrap-context='{CONTEXT}'></script>"""
    html = f'<!doctype html><html lang="en"><head><title>Shop</title>{head}</head><body>{BODY}</body></html>'
    shop.pages.pages["/shop"] = (html, {"Content-Security-Policy": policy})
    page.goto(shop.url)


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
