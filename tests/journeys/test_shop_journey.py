"""The spine: a real shop, the real engine, a real browser. What a visitor does changes the checkout."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect
from shop_server import METHODS, PATIENT, ROOT, FakeEngine, set_up, shop

from conftest import watched

pytestmark = pytest.mark.browser
CASHWRAP = Path(sys.executable).with_name("cashwrap")


def cashwrap(*arguments: object) -> str:
    done = subprocess.run([CASHWRAP, *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


@dataclass
class Spine:
    shop: str
    engine: str
    secret: str
    data: Path


@pytest.fixture(scope="module")
def spine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """Keys, catalogue, engine and shop, started as README tells a stranger to."""
    folder = tmp_path_factory.mktemp("spine")
    data = folder / "engine"
    keys = (
        cashwrap("keys", "create", "publishable", "--data", data),
        cashwrap("keys", "create", "secret", "--data", data),
    )
    cashwrap("catalog", "import", ROOT / "shop/seed/feed.json", "--data", data)
    command = [CASHWRAP, "serve", "--playbook", ROOT / "playbooks/starter", "--data", data, "--port", "0"]
    with (folder / "engine.log").open("w") as log:
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if "ready at" in line)
        engine = line.split()[-1]
        with shop(set_up(), folder / "shop", engine=engine, keys=keys, **PATIENT) as base:
            yield Spine(base, engine, keys[1], data)
    finally:
        process.terminate()
        process.wait(15)
        process.stdout.close()


def cookies(context: BrowserContext) -> set[str]:
    return {cookie["name"] for cookie in context.cookies()}  # type: ignore[typeddict-item]


def look_at(page: Page, base: str, product_id: str) -> None:
    """Open a product's page, and stay until the engine has the look: what leaves with the page may not arrive."""

    def has_the_look(response: Response) -> bool:
        sent = response.request.post_data or ""
        return response.url.endswith("/cw/v1/batch") and "Product Viewed" in sent and product_id in sent

    with page.expect_response(has_the_look):
        page.goto(f"{base}/p/{product_id}/")


def put_in_basket(page: Page, base: str, product_id: str) -> None:
    page.goto(f"{base}/p/{product_id}/")
    page.click(".add button")
    page.wait_for_url("**/basket/")


def to_delivery(page: Page) -> None:
    """A guest's contact and address."""
    page.click(".summary a.button.primary")
    page.fill("#id_username", "ada@example.org")
    page.click(".step button.primary")
    for name, value in {"first_name": "Ada", "last_name": "Brook", "line1": "Mill Lane 4", "line4": "Freiburg"}.items():
        page.fill(f"#id_{name}", value)
    page.fill("#id_postcode", "79098")
    page.click("#new_shipping_address button")


def buy(page: Page) -> str:
    page.click("[data-option=paynow]")
    page.click(".step button.primary")
    page.click("#place-order")
    return page.locator("#order-number").inner_text()


def offered(page: Page, placement: str) -> list[str]:
    """The methods of the page that comes: a click that leads there returns before it does."""
    locator = page.locator(f'[data-placement="{placement}"] [data-option]')
    locator.first.wait_for(state="attached")
    return [str(each.get_attribute("data-option")) for each in locator.all()]


class TestBeforeAChoice:
    def test_nothing_is_stored_and_only_the_request_decides(self, spine: Spine, phone: BrowserContext) -> None:
        page = phone.new_page()
        complaints = watched(page)
        page.goto(spine.shop)
        expect(page.locator("[data-consent]")).to_be_visible()
        put_in_basket(page, spine.shop, "KC-C07")  # 16.90
        expect(page.locator(".basket-message")).to_contain_text("€33.10 more and standard delivery is free.")
        expect(page.locator(".summary a.button.primary")).to_have_text("Check out on your phone")
        assert cookies(phone) <= {"csrftoken", "sessionid", "oscar_open_basket", "messages"}
        assert page.evaluate("localStorage.length") == 0
        page.click("[data-consent-reject]")
        to_delivery(page)
        page.click(".step button.primary")
        assert offered(page, "payment_methods")[:2] == ["apple_pay", "google_pay"]
        assert buy(page).isdigit()
        assert not {"cw_id", "cw_consent"} & cookies(phone)
        assert not complaints.errors

    def test_a_payment_page_runs_nothing_of_ours(self, spine: Spine, desktop: BrowserContext) -> None:
        page = desktop.new_page()
        put_in_basket(page, spine.shop, "KC-C01")
        asked: list[str] = []
        to_delivery(page)
        page.on("request", lambda request: asked.append(request.url))
        page.click(".step button.primary")
        expect(page.locator("h1")).to_have_text("How would you like to pay?")
        assert asked
        assert not [url for url in asked if "/cw/" in url or url.startswith(spine.engine)]
        assert page.evaluate("typeof window.cashwrap") == "undefined"


class TestAfterAGrant:
    def test_looking_changes_the_next_page(self, spine: Spine, phone: BrowserContext) -> None:
        page = phone.new_page()
        complaints = watched(page)
        page.goto(spine.shop)
        page.click("[data-consent-accept]")
        expect(page.locator(".hero-kicker")).to_have_text("Welcome. Standard delivery is free from €50.")
        assert {"cw_id", "cw_consent"} <= cookies(phone)
        for product_id in ("KC-C02", "KC-C03", "KC-C04", "KC-C05", "KC-C01"):  # the fifth look at coffee
            look_at(page, spine.shop, product_id)
        page.click(".add button")
        page.wait_for_url("**/basket/")
        expect(page.locator(".accessories h2")).to_have_text("More of what you like")
        expect(page.locator(".accessories .card")).to_have_count(3)
        page.goto(f"{spine.shop}/checkout/")
        expect(page.locator(".cw-help")).to_contain_text("First time here?")
        page.goto(f"{spine.shop}/basket/")
        to_delivery(page)
        expect(page.locator(".cw-help")).to_have_count(0)
        assert offered(page, "delivery_methods")[0] == "standard"
        page.click(".step button.primary")
        assert offered(page, "payment_methods") == [
            "apple_pay",
            "google_pay",
            "card",
            "paynow",
            "invoice",
            "bank_transfer",
        ]
        expect(page.locator("[data-option=apple_pay] .cw-badge")).to_have_text("Nothing to type")
        assert buy(page).isdigit()
        assert not complaints.errors

    def test_a_regular_is_known_by_the_login(self, spine: Spine, desktop: BrowserContext) -> None:
        page = desktop.new_page()
        page.goto(spine.shop)
        page.click("[data-consent-accept]")
        page.click("text=Log in as Jonas")
        expect(page.locator(".hero-kicker")).to_have_text("Good to see you again, Jonas.")
        put_in_basket(page, spine.shop, "KC-K05")
        expect(page.locator(".basket-message")).to_contain_text("10 % for buying again: €14.90 less on this basket.")
        expect(page.locator(".basket-message .cw-disclosure")).to_be_visible()
        page.click(".summary a.button.primary")
        page.click(".known button")
        assert offered(page, "delivery_methods")[0] == "express"
        expect(page.locator("[value=standard]")).to_be_checked()  # an order of options costs nobody money
        page.click(".step button.primary")
        assert offered(page, "payment_methods")[0] == "invoice"
        expect(page.locator("[value=paynow]")).to_be_checked()  # as last time
        page.click(".step button.primary")
        expect(page.locator("#place-order")).to_have_text("Buy now, as usual")
        page.click("#place-order")
        assert page.locator("#order-number").inner_text().isdigit()

    def test_german(self, spine: Spine, desktop: BrowserContext) -> None:
        page = desktop.new_page()
        page.goto(spine.shop)
        page.click(".languages [value=de]")
        put_in_basket(page, spine.shop, "KC-C07")
        expect(page.locator(".basket-message")).to_contain_text(
            "Noch 33,10\xa0€, dann ist der Standardversand kostenlos."
        )


class TestWhy:
    def test_the_drawer_tells_and_its_switches_work_everywhere(self, spine: Spine, desktop: BrowserContext) -> None:
        page = desktop.new_page()
        page.goto(spine.shop)
        put_in_basket(page, spine.shop, "KC-C01")
        page.click("[data-consent-reject]")
        page.click("[data-why-toggle]")
        drawer = page.frame_locator(".why-drawer iframe")
        expect(drawer.locator(".level")).to_have_text("request")
        expect(drawer.locator(".who")).to_contain_text("nobody")
        drawer.locator(".switch", has_text="personalization").click()  # by the SDK, which runs on this page
        expect(drawer.locator(".level")).to_have_text("session")
        expect(drawer.locator(".chip.in", has_text="new_visitor")).to_be_visible()
        expect(drawer.locator(".card", has_text="basket_message")).to_contain_text("free_delivery_reached")
        assert "cw_id" in cookies(desktop)
        page.click("[data-why-toggle]")
        to_delivery(page)
        page.click("[data-why-toggle]")
        expect(drawer.locator(".card", has_text="checkout_help").first).to_contain_text("guests_are_welcome")
        drawer.locator(".switch", has_text="personalization").click()  # by the backend: a payment page
        expect(drawer.locator(".level")).to_have_text("request")
        assert not {"cw_id", "cw_consent"} & cookies(desktop)
        page.goto(f"{spine.shop}/checkout/")
        expect(page.locator("h1")).to_have_text("Where may we write to?")
        expect(page.locator(".cw-help")).to_have_count(0)

    def test_every_considered_experience_shows_its_condition(self, spine: Spine, desktop: BrowserContext) -> None:
        page = desktop.new_page()
        put_in_basket(page, spine.shop, "KC-C07")
        page.click("[data-why-toggle]")
        card = page.frame_locator(".why-drawer iframe").locator(".card", has_text="basket_message").first
        card.locator("summary").click()
        expect(card.locator(".considered.shown b")).to_have_text("free_delivery_progress")
        thanks = card.locator(".considered", has_text="thank_regulars_by_name")
        expect(thanks).to_contain_text('"high_value" in segments')
        expect(thanks).to_contain_text("spent > 500")  # what the segment is made of

    def test_a_preview_link_shows_a_variation_where_the_backend_asks(
        self, spine: Spine, desktop: BrowserContext
    ) -> None:
        page = desktop.new_page()
        put_in_basket(page, spine.shop, "KC-C07")
        named = ("code_field_for_discount_seekers", "--variation", "statement")
        link = cashwrap("preview", *named, "--url", f"{spine.shop}/checkout/", "--data", spine.data)
        page.goto(link)
        expect(page.locator(".cw-help")).to_have_text("Codes go into the field beside your basket, before you pay.")
        page.goto(f"{link}x")
        expect(page.locator("h1")).to_have_text("Where may we write to?")
        expect(page.locator(".cw-help")).to_have_count(0)


class TestWithoutTheEngine:
    def test_a_browser_buys_and_no_script_complains(self, tmp_path: Path, phone: BrowserContext) -> None:
        gone = FakeEngine()
        gone.close()
        with shop(set_up(), tmp_path, engine=gone.url, keys=("cwp_test_a_b", "cws_test_a_b")) as base:
            page = phone.new_page()
            complaints = watched(page)
            page.goto(base)
            expect(page.locator(".hero-kicker")).to_have_text("New: the Harbour blend, roasted on Tuesdays.")
            expect(page.locator("[data-consent]")).to_be_hidden()  # nobody to remember anything: nothing to ask
            put_in_basket(page, base, "KC-C01")
            expect(page.locator(".accessories .card")).to_have_count(2)  # the shop's own pick
            page.click("[data-why-toggle]")
            expect(page.frame_locator(".why-drawer iframe").locator(".warn")).to_contain_text("does not answer")
            page.click("[data-why-toggle]")
            to_delivery(page)
            page.click(".step button.primary")
            assert offered(page, "payment_methods") == METHODS
            assert buy(page).isdigit()
            assert not complaints.errors


class TestOrders:
    def test_an_order_counts_in_the_engine_to_the_cent(self, spine: Spine, desktop: BrowserContext) -> None:
        page = desktop.new_page()
        page.goto(spine.shop)
        page.click("[data-consent-accept]")
        page.click("text=Log in as Mia")
        put_in_basket(page, spine.shop, "KC-D01")  # 119.00
        to_delivery_logged_in(page)
        number = buy(page)
        user = page.locator("script[data-cashwrap-user-id]").get_attribute("data-cashwrap-user-id")
        held = described(spine, str(user), number)
        order = next(each for each in held["orders"] if each["id"] == number)
        assert order["net"]["total"] == order["net"]["subtotal"] == 11900
        assert held["attributes"]["orders"] == 1


def to_delivery_logged_in(page: Page) -> None:
    page.click(".summary a.button.primary")
    for name, value in {"first_name": "Mia", "last_name": "Winter", "line1": "Lake Road 1", "line4": "Kiel"}.items():
        page.fill(f"#id_{name}", value)
    page.fill("#id_postcode", "24103")
    page.click("#new_shipping_address button")
    page.click(".step button.primary")


def described(spine: Spine, user: str, number: str) -> dict[str, Any]:
    """What the engine holds about a customer, once this order arrived."""
    headers = {"Authorization": f"Bearer {spine.secret}"}
    patience = time.monotonic() + 30
    while time.monotonic() < patience:
        held = httpx.get(f"{spine.engine}/v1/shoppers", params={"userId": user}, headers=headers).json()
        if any(each["id"] == number for each in held.get("orders", ())):
            return held
        time.sleep(0.05)
    raise AssertionError(f"order {number} did not arrive")
