"""An offer from the decision to the ledger: a real shop, the real engine, a real browser. Nothing is spent twice."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from shop_server import PATIENT, ROOT, manage, set_up, shop
from test_shop_journey import CASHWRAP, cashwrap, put_in_basket, to_delivery

from conftest import DESKTOP, watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LAMP, PEN, CHAIR, TRAY = "KC-D01", "KC-D04", "KC-D06", "KC-D07"  # 119.00, 58.00, 389.00, 36.00
EU = "This price was personalised for you by automated decision-making."
OFFERS = f"""
offers:
  lamp_days:
    when: '"{LAMP}" in cart.products'
    benefit: {{percent: 10}}
    limits: {{total: 1000}}
    text: {{en: "Lamp days", de: "Lampentage"}}
  a_blink:
    when: '"{PEN}" in cart.products'
    benefit: {{amount: 5}}
    holds: 3s
    limits: {{total: 1000}}
    text: {{en: "A blink", de: "Ein Wimpernschlag"}}
  last_one:
    when: '"{CHAIR}" in cart.products'
    benefit: {{amount: 40}}
    limits: {{total: 1}}
    text: {{en: "The last one", de: "Das letzte"}}
  by_letter:
    benefit: {{amount: 6}}
    codes: single
    limits: {{total: 1000}}
    text: {{en: "By letter", de: "Mit dem Brief"}}
experiences:
"""
SHOWS = """
  {name}_offer:
    in: basket_message
    offer: {name}
    priority: 90
    show:
      text: {{en: "{{offer.name}}: {{offer.amount}} less.", de: "{{offer.name}}: {{offer.amount}} weniger."}}
"""


@dataclass
class World:
    """A shop and an engine that can be killed and started again on the same port and data."""

    folder: Path
    base: str = ""
    secret: str = ""
    port: int = 0
    process: subprocess.Popen[str] | None = None
    keys: tuple[str, str] = ("", "")
    log: Any = field(default=None)

    @property
    def data(self) -> Path:
        return self.folder / "engine"

    @property
    def engine(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [CASHWRAP, "serve", "--playbook", self.folder / "playbook", "--data", self.data, "--port", self.port]
        with (self.folder / "engine.log").open("a") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        assert self.process.stdout is not None
        line = next((line for line in self.process.stdout if "ready at" in line), "")
        assert line, (self.folder / "engine.log").read_text()
        self.port = int(line.split()[-1].rpartition(":")[2].rstrip("/"))

    def end(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def offer(self, name: str) -> dict[str, Any]:
        """How far an offer is, by the ledger."""
        headers = {"Authorization": f"Bearer {self.keys[1]}"}
        offers = httpx.get(f"{self.engine}/v1/offers", headers=headers).json()["offers"]
        return next(each for each in offers if each["name"] == name)

    def until(self, name: str, **wanted: object) -> dict[str, Any]:
        """The offer, once it is so far: the shop's outbox looks every two seconds."""
        patience = time.monotonic() + 60
        while time.monotonic() < patience:
            found = self.offer(name)
            told = {key: amount(found[key]) if key in ("held", "spent") else found[key] for key in wanted}
            if told == wanted:
                return found
            time.sleep(0.1)
        raise AssertionError((told, wanted))

    def switch(self, *, off: bool) -> None:
        """Switch decisions off and on, as an operator does."""
        headers = {"Authorization": f"Bearer {self.keys[1]}"}
        answer = httpx.put(f"{self.engine}/v1/kill", json={"scope": "all", "off": off}, headers=headers)
        assert answer.status_code == 200

    def kinds(self, name: str) -> list[str]:
        """What the ledger's lines of an offer say, oldest first."""
        lines = subprocess.run(
            [CASHWRAP, "offers", "entries", "--data", str(self.data)], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        found = [re.search(r"\b(reserve|redeem|release|expire|roll_back)\b", line) for line in lines if name in line]
        return [each[1] for each in found if each]


def amount(told: dict[str, str]) -> str:
    return told.get("EUR", "0.00")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("offers")
    shutil.copytree(ROOT / "playbooks/starter", folder / "playbook", ignore=shutil.ignore_patterns("expect"))
    text = OFFERS + "".join(SHOWS.format(name=name) for name in ("lamp_days", "a_blink", "last_one"))
    (folder / "playbook" / "journey.yaml").write_text(text)
    world = World(folder)
    create = ("keys", "create")
    world.keys = tuple(cashwrap(*create, kind, "--data", world.data) for kind in ("publishable", "secret"))  # type: ignore[assignment]
    cashwrap("catalog", "import", ROOT / "shop/seed/feed.json", "--data", world.data)
    world.start()
    try:
        env = {**PATIENT, "CASHWRAP_OFFER_MS": "10000"}
        with shop(set_up(), folder / "shop", engine=world.engine, keys=world.keys, **env) as base:
            world.base = base
            yield world
    finally:
        with contextlib.suppress(ProcessLookupError):
            world.end(signal.SIGTERM)


def total(page: Page) -> str:
    return page.locator(".totals .sum dd").inner_text().split()[0]


def offered(page: Page, world: World, product: str) -> None:
    """Put something into the basket, and wait until the basket shows what is offered for it."""
    put_in_basket(page, world.base, product)
    expect(page.locator(".offer-take button")).to_be_visible()


def take(page: Page, after: str) -> None:
    page.click(".offer-take button")
    expect(page.locator(".totals .sum dd")).to_contain_text(after)


def to_review(page: Page) -> None:
    to_delivery(page)
    page.click(".step button.primary")
    page.click("[data-option=paynow]")
    page.click(".step button.primary")
    expect(page.locator("#place-order")).to_be_visible()


def number(page: Page) -> str:
    return page.locator("#order-number").inner_text()


def test_an_offer_lowers_the_real_total_and_is_spent_once(world: World, phone: BrowserContext) -> None:
    before = world.offer("lamp_days")["used"]
    page = phone.new_page()
    complaints = watched(page)
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, LAMP)
    expect(page.locator(".basket-message")).to_contain_text("Lamp days: €11.90 less.")
    assert total(page) == "€119.00"
    take(page, "€107.10")
    expect(page.locator(".offer-take")).to_be_hidden()
    world.until("lamp_days", used=before + 1, held="11.90")
    to_review(page)
    assert total(page) == "€107.10"
    page.click("#place-order")
    assert number(page).isdigit()
    expect(page.locator(".totals, .thanks")).not_to_have_count(0)
    world.until("lamp_days", used=before + 1, held="0.00", spent="11.90")
    assert not complaints.errors
    order = number(page)
    assert "refunded 107.1" in manage(world.folder / "shop", "refund_order", order)
    world.until("lamp_days", used=before, held="0.00", spent="0.00")  # the refund gave use and money back
    assert world.kinds("lamp_days")[-3:] == ["reserve", "redeem", "roll_back"]


def test_a_personal_price_says_so_on_every_page(world: World, desktop: BrowserContext) -> None:
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-accept]")
    page.click("text=Log in as Jonas")
    offered(page, world, TRAY)
    note = page.locator(".basket-message .cw-disclosure")
    expect(note).to_have_text(EU)
    expect(note).to_be_visible()
    take(page, "€37.30")  # 36.00 less ten percent, and delivery
    expect(page.locator(".totals .cw-disclosure")).to_have_text(EU)
    expect(page.locator(".totals .cw-disclosure")).to_be_visible()
    page.click(".summary a.button.primary")
    page.click(".known button")
    expect(page.locator(".totals .cw-disclosure")).to_be_visible()
    page.click(".step button.primary")
    expect(page.locator("h1")).to_have_text("How would you like to pay?")
    expect(page.locator(".totals .cw-disclosure")).to_be_visible()
    assert total(page) == "€37.30"
    page.goto(f"{world.base}/basket/")
    page.click(".totals [data-held] button")
    expect(page.locator(".totals .sum dd")).to_contain_text("€40.90")
    world.until("same_again", held="0.00", spent="0.00")


def test_who_takes_the_sentence_away_cannot_take_the_offer(world: World, desktop: BrowserContext) -> None:
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-accept]")
    page.click("text=Log in as Jonas")
    offered(page, world, TRAY)
    page.evaluate("document.querySelector('.basket-message .cw-disclosure').remove()")
    expect(page.locator(".offer-take")).to_be_hidden()
    expect(page.locator(".basket-message [data-cashwrap-slot=text]")).to_have_text(
        "Standard delivery is free."
    )  # the shop's own words


def test_two_clicks_and_the_back_button_make_one_order(world: World, desktop: BrowserContext) -> None:
    spent = world.kinds("lamp_days").count("redeem")
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, LAMP)
    page.locator(".offer-take button").dblclick()
    expect(page.locator(".totals .sum dd")).to_contain_text("€107.10")
    assert world.until("lamp_days", held="11.90")
    to_review(page)
    # Past the page's own guard: both requests reach the shop.
    page.evaluate("() => { const form = document.querySelector('#place_order_form'); form.submit(); form.submit(); }")
    first = number(page)
    page.go_back()
    if page.locator("#place-order").count():
        page.click("#place-order")
        assert number(page) == first
    world.until("lamp_days", held="0.00")
    assert world.kinds("lamp_days").count("redeem") == spent + 1
    assert manage(world.folder / "shop", "shell", "-v0", "-c", COUNT.format(first)).split()[-1] == "1"


def test_two_tabs_make_one_order(world: World, desktop: BrowserContext) -> None:
    spent = world.kinds("lamp_days").count("redeem")
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, LAMP)
    take(page, "€107.10")
    to_review(page)
    other = desktop.new_page()
    other.goto(page.url)
    assert total(other) == "€107.10"
    for tab in (page, other):
        tab.evaluate("() => setTimeout(() => document.querySelector('#place_order_form').submit())")
    assert number(page) == number(other)
    world.until("lamp_days", held="0.00")
    assert world.kinds("lamp_days").count("redeem") == spent + 1


def test_a_basket_that_changes_is_worked_out_again(world: World, desktop: BrowserContext) -> None:
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, LAMP)
    take(page, "€107.10")
    page.fill(".line-quantity input[type=number]", "2")
    page.press(".line-quantity input[type=number]", "Tab")
    expect(page.locator(".totals .sum dd")).to_contain_text("€214.20")
    world.until("lamp_days", held="23.80")
    page.click(".totals [data-held] button")
    expect(page.locator(".totals .sum dd")).to_contain_text("€238.00")
    world.until("lamp_days", held="0.00")


def test_one_that_expired_is_at_the_normal_price(world: World, desktop: BrowserContext) -> None:
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, PEN)
    page.click(".offer-take button")
    page.wait_for_url("**/basket/")
    to_delivery(page)
    page.click(".step button.primary")
    page.click("[data-option=paynow]")
    page.click(".step button.primary")
    world.switch(off=True)  # nothing is offered anew
    try:
        patience = time.monotonic() + 30
        while total(page) != "€58.00" and time.monotonic() < patience:
            page.reload()
        assert total(page) == "€58.00"
        page.click("#place-order")
        assert number(page).isdigit()
    finally:
        world.switch(off=False)
    assert "redeem" not in world.kinds("a_blink")


def test_what_expires_between_the_last_look_and_the_order_costs_nobody_unawares(
    world: World, desktop: BrowserContext
) -> None:
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, PEN)
    take(page, "€53.00")
    to_review(page)
    shown = total(page)
    world.switch(off=True)
    try:
        held = "from storefront.models import HeldOffer; from django.utils import timezone; "
        held += "HeldOffer.objects.filter(state='held').update(expires=timezone.now())"
        manage(world.folder / "shop", "shell", "-v0", "-c", held)
        page.click("#place-order")
        if shown == "€53.00":  # else it had ended before, and the page said so
            expect(page.locator(".message")).to_contain_text("does not go with this basket any more")
            assert total(page) == "€58.00"
            page.click("#place-order")
        assert number(page).isdigit()
    finally:
        world.switch(off=False)


def test_the_last_one_goes_to_one(world: World, chromium: Browser) -> None:
    pages = []
    for _ in range(2):
        context = chromium.new_context(user_agent=DESKTOP, locale="en")
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(world.base)
        page.click("[data-consent-reject]")
        offered(page, world, CHAIR)
        pages.append(page)
    take(pages[0], "€349.00")
    pages[1].click(".offer-take button")
    expect(pages[1].locator(".message")).to_contain_text("has just run out")
    assert total(pages[1]) == "€389.00"
    for page in pages:
        page.context.close()


def test_an_engine_that_dies_between_holding_and_spending(world: World, desktop: BrowserContext) -> None:
    spent = world.kinds("lamp_days").count("redeem")
    before = float(amount(world.offer("lamp_days")["spent"]))
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    offered(page, world, LAMP)
    take(page, "€107.10")
    to_review(page)
    world.end(signal.SIGKILL)
    page.click("#place-order")
    assert number(page).isdigit()  # the order stands, at the price that was promised
    world.start()
    world.until("lamp_days", held="0.00", spent=f"{before + 11.9:.2f}")
    assert world.kinds("lamp_days").count("redeem") == spent + 1


def test_a_code_opens_an_offer_once(world: World, desktop: BrowserContext) -> None:
    codes = ("offers", "codes", "by_letter", "--count", "1", "--data", world.data)
    code = cashwrap(*codes, "--playbook", world.folder / "playbook")
    page = desktop.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    put_in_basket(page, world.base, TRAY)
    page.fill("#id_code", "NOSUCHCODE")
    page.click(".coupon button")
    expect(page.locator(".message")).to_contain_text("We do not know this code")
    page.fill("#id_code", code.lower())
    page.click(".coupon button")
    expect(page.locator(".totals .sum dd")).to_contain_text("€34.90")  # 36.00 - 6.00 + 4.90
    to_review(page)
    page.click("#place-order")
    assert number(page).isdigit()
    world.until("by_letter", held="0.00", spent="6.00")
    put_in_basket(page, world.base, TRAY)
    page.fill("#id_code", code)
    page.click(".coupon button")
    expect(page.locator(".message")).to_contain_text("We do not know this code")
    assert total(page) == "€40.90"


def test_german(world: World, phone: BrowserContext) -> None:
    page = phone.new_page()
    page.goto(world.base)
    page.click("[data-consent-reject]")
    page.click(".languages [value=de]")
    offered(page, world, LAMP)
    expect(page.locator(".basket-message")).to_contain_text("Lampentage: 11,90\xa0€ weniger.")
    page.click("text=Angebot nutzen")
    expect(page.locator(".totals .sum dd")).to_contain_text("107,10")
    expect(page.locator(".message")).to_contain_text("Das Angebot ist in Ihrem Warenkorb.")


def test_the_books_add_up(world: World) -> None:
    world.end(signal.SIGTERM)
    said = subprocess.run(
        [CASHWRAP, "offers", "check", "--data", str(world.data)], check=True, capture_output=True, text=True
    )
    assert said.returncode == 0
    world.start()


COUNT = (
    "from storefront.models import OutboxEvent; "
    "print(OutboxEvent.objects.filter(message_id='order-{}-completed').count())"
)
