"""The demo shop: it works without cashwrap, tells it only what it may, and stays in charge of what it shows.

The engine is played here, well and badly; `test_shop_journey.py` walks the real one in a real browser.
"""

import ast
import base64
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop_server import (
    BROKEN,
    METHODS,
    PATIENT,
    PUBLISHABLE,
    ROOT,
    SECRET,
    FakeEngine,
    Visitor,
    comparable,
    manage,
    options,
    order_number,
    set_up,
    shop,
)

KEYS = (PUBLISHABLE, SECRET)
DEVICE = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
def seeded() -> Path:
    return set_up()


@pytest.fixture(scope="module")
def forgotten(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Visitor:
    """A guest who bought in a shop that never heard of cashwrap."""
    with shop(seeded, tmp_path_factory.mktemp("forgotten"), DEMO_WHY="0") as base:
        visitor = Visitor(base)
        visitor.order()
        visitor.pages["basket"] = visitor.add("KC-C01")
        visitor.pages["home"] = visitor.get("/")
        return visitor


@pytest.fixture(scope="module")
def badly_served(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeEngine, str]]:
    engine = FakeEngine()
    data = tmp_path_factory.mktemp("badly")
    with shop(seeded, data, engine=engine.url, keys=KEYS, DEMO_WHY="0") as base:
        yield engine, base
    engine.close()


@pytest.fixture(scope="module")
def served(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeEngine, str]]:
    """An engine that records and answers what a test puts into ``placements``, and the shop that asks it."""
    engine = FakeEngine()
    engine.shop_data = tmp_path_factory.mktemp("served")
    with shop(seeded, engine.shop_data, engine=engine.url, keys=KEYS, DEMO_WHY="0", **PATIENT) as base:
        yield engine, base
    engine.close()


@pytest.fixture(scope="module")
def base(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with shop(seeded, tmp_path_factory.mktemp("sells")) as base:
        yield base


class TestForgets:
    """The checkout must be able to forget that cashwrap exists."""

    def test_a_guest_buys_without_cashwrap(self, forgotten: Visitor) -> None:
        assert options(forgotten.pages["payment"]) == METHODS
        assert options(forgotten.pages["delivery"], "delivery_methods") == [
            "standard",
            "express",
            "bike_courier",
            "pickup",
        ]
        for name, page in forgotten.pages.items():
            assert "/cw/" not in page, name
        assert set(forgotten.http.cookies) <= {"csrftoken", "sessionid", "oscar_open_basket", "messages"}

    @pytest.mark.parametrize("mode", BROKEN)
    def test_the_same_pages_when_the_engine(
        self, mode: str, badly_served: tuple[FakeEngine, str], forgotten: Visitor
    ) -> None:
        engine, base = badly_served
        engine.mode = mode
        visitor = Visitor(base)
        assert visitor.order().isdigit()
        for step in ("contact", "address", "delivery", "payment", "review"):
            assert comparable(visitor.pages[step]) == comparable(forgotten.pages[step]), (mode, step)

    def test_the_comparison_sees_a_decision(self, served: tuple[FakeEngine, str], forgotten: Visitor) -> None:
        engine, base = served
        engine.placements = {"checkout_help": {"type": "help", "style": "inline", "text": "Hello"}}
        visitor = Visitor(base)
        visitor.add("KC-C01")
        assert comparable(visitor.to_payment()) != comparable(forgotten.pages["payment"])

    def test_an_engine_that_is_not_there(self, seeded: Path, tmp_path: Path, forgotten: Visitor) -> None:
        engine = FakeEngine()
        engine.close()  # its port answers nobody now
        with shop(seeded, tmp_path, engine=engine.url, keys=KEYS, DEMO_WHY="0") as base:
            visitor = Visitor(base)
            visitor.order()
            assert comparable(visitor.pages["payment"]) == comparable(forgotten.pages["payment"])

    def test_an_order_placed_while_the_engine_was_away_arrives_later(self, seeded: Path, tmp_path: Path) -> None:
        away = FakeEngine()
        away.close()
        with shop(seeded, tmp_path, engine=away.url, keys=KEYS) as base:
            number = Visitor(base).order()
            back = FakeEngine(port=away.server.server_address[1])
            event = _order(back, number)
            back.close()
        assert event["messageId"] == f"order-{number}-completed"


class TestInCharge:
    """An answer may order and word what the shop offers; it can never add to it, empty it or run in it."""

    def payment(self, served: tuple[FakeEngine, str], **placements: object) -> str:
        engine, base = served
        engine.placements = dict(placements)
        visitor = Visitor(base)
        visitor.add("KC-C01")
        return visitor.to_payment()

    def test_a_decision_orders_highlights_and_names(self, served: tuple[FakeEngine, str]) -> None:
        answer = [
            {"id": "apple_pay", "highlight": True, "badge": "Quick"},
            {"id": "google_pay"},
            {"id": "card", "name": "Card, please"},
        ]
        page = self.payment(served, payment_methods={"type": "options", "options": answer, "hidden": ["invoice"]})
        assert options(page) == ["apple_pay", "google_pay", "card", "paynow", "bank_transfer"]
        assert 'choice cw-highlight" data-option="apple_pay"' in page
        assert "Quick" in page
        assert "Card, please" in page

    def test_unknown_methods_are_ignored_and_nothing_hides_everything(self, served: tuple[FakeEngine, str]) -> None:
        answer = {"type": "options", "options": [{"id": "bitcoin"}], "hidden": METHODS}
        assert options(self.payment(served, payment_methods=answer)) == METHODS

    def test_markup_stays_text(self, served: tuple[FakeEngine, str]) -> None:
        evil = '"><script>alert(1)</script>'
        page = self.payment(
            served,
            basket_message={
                "type": "message",
                "text": evil,
                "tone": evil,
                "progress": {"value": evil, "target": 1e400},
            },
            checkout_help={"type": "help", "style": evil, "text": evil},
            checkout_layout={"type": "layout", "tokens": {"density": evil, "onload": "x", "accent": ["ink"]}},
            payment_methods={"type": "options", "options": [{"id": "card", "name": evil, "badge": evil}], "hidden": []},
        )
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "onload" not in page
        assert options(page) == METHODS

    def test_a_payment_page_has_nothing_of_cashwrap_in_it(self, served: tuple[FakeEngine, str]) -> None:
        visitor = Visitor(served[1])
        visitor.add("KC-C01")
        for page in (
            visitor.to_payment(),
            *visitor.pages.values(),
            visitor.post("/checkout/preview/", method="paynow"),
        ):
            assert '<meta name="cashwrap-page" content="payment">' in page
            assert not re.search(r"/cw/|cashwrap\.min|data-cashwrap|cwp_|cws_", page)

    def test_the_drawer_is_for_the_demo_only(self, served: tuple[FakeEngine, str]) -> None:
        visitor = Visitor(served[1])
        assert visitor.http.get("/why/").status_code == 404
        assert "why" not in visitor.get("/").lower()

    def test_other_pages_load_the_script_and_never_hold_the_secret(self, served: tuple[FakeEngine, str]) -> None:
        visitor = Visitor(served[1])
        for page in (visitor.get("/"), visitor.get("/catalogue/"), visitor.get("/p/KC-C01/"), visitor.add("KC-C01")):
            assert f'data-cashwrap-key="{PUBLISHABLE}"' in page
            assert "/cw/sdk/" in page
            assert SECRET not in page


class TestTells:
    """What leaves the shop for the engine, and what does not."""

    def test_without_an_id_only_the_order_leaves(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        order = _order(engine, Visitor(base).order())
        assert not {"anonymousId", "userId"} & set(order)
        nobody = [each["event"] for each in engine.events() if not {"anonymousId", "userId"} & set(each)]
        assert set(nobody) == {"Order Completed"}

    def test_a_shopper_with_an_id(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        visitor = Visitor(base)
        visitor.http.cookies.set("cw_id", DEVICE)
        visitor.add("KC-C07")
        visitor.post("/basket/vouchers/add/", code="WELCOME10")
        visitor.to_payment()
        order = _order(engine, order_number(visitor.pay()))
        mine = [each for each in engine.events() if each.get("anonymousId") == DEVICE]
        names = [each["event"] for each in mine if each["event"] != "Experience Viewed"]
        assert names[:3] == ["Product Added", "Coupon Applied", "Checkout Step Viewed"]
        assert names.count("Checkout Step Viewed") == 5
        assert {"Checkout Started", "Checkout Step Completed", "Payment Info Entered", "Order Completed"} <= set(names)
        assert len({each["messageId"] for each in mine}) == len(mine)
        assert not any("consent" in each["context"] for each in mine)
        carts = {each["context"]["cart"]["token"] for each in mine}
        assert len(carts) == 1
        assert re.fullmatch("[0-9a-f]{32}", carts.pop())
        self.check_money(order["properties"])
        backend = {headers["authorization"] for _, path, headers, _ in engine.requests if path == "/v1/decide"}
        assert backend == {f"Bearer {SECRET}"}

    def check_money(self, properties: dict[str, Any]) -> None:
        cents = {name: round(properties[name] * 100) for name in ("subtotal", "total", "shipping", "discount", "tax")}
        assert cents["subtotal"] == 1521  # 16.90 less ten percent
        assert cents["discount"] == 169
        assert cents["shipping"] == 490
        assert cents["total"] == cents["subtotal"] + cents["shipping"]
        assert 0 < cents["tax"] < cents["total"]
        assert (properties["currency"], properties["coupon"]) == ("EUR", "WELCOME10")
        assert properties["products"][0]["product_id"] == "KC-C07"

    def test_a_decision_is_asked_with_the_facts_and_its_proof_comes_back(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        engine.placements = {"checkout_help": {"type": "help", "style": "inline", "text": "Hello"}}
        device = DEVICE[::-1]
        visitor = Visitor(base, **{"Sec-GPC": "1"})
        visitor.http.cookies.set("cw_id", device)
        visitor.add("KC-C01")
        visitor.to_payment()
        asked = [
            (headers, body)
            for _, path, headers, body in engine.requests
            if path == "/v1/decide" and body["shopper"] == {"anonymousId": device}
        ]
        headers, last = asked[-1]
        assert headers["sec-gpc"] == "1"
        assert last["deadlineMs"] == int(PATIENT["CASHWRAP_DEADLINE_MS"])
        assert last["context"]["cart"]["items"] == [
            {"id": "KC-C01", "quantity": 1, "price": 89.0, "category": "coffee"}
        ]
        assert last["context"]["checkout"]["paymentMethods"] == METHODS
        assert last["context"]["location"] == {"country": "DE", "source": "delivery"}
        assert "payment_methods" in last["placements"]
        assert "Mill Lane" not in json.dumps(last)
        seen = engine.wait_for(lambda each: each["event"] == "Experience Viewed" and each["anonymousId"] == device)
        assert seen["properties"]["placement"] == "checkout_help"
        assert seen["properties"]["token"] == "proof"
        assert 0 <= seen["properties"]["latency"] < 60_000, "how long the shopper's page waited"

    def test_a_login_is_proven_to_the_engine(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        visitor = Visitor(base)
        visitor.log_in("mia")
        page = visitor.get("/")
        token = re.search(r'data-cashwrap-token="([^"]+)"', page)
        assert token is not None
        header, claims = check_identity_token(token[1])
        assert header == {"alg": "HS256", "typ": "JWT", "kid": "k2def"}
        assert claims["sub"] in page
        assert claims["aud"] == "cashwrap"
        assert 0 < claims["exp"] - claims["iat"] <= 3600
        told = engine.wait_for(lambda each: each["type"] == "identify")
        assert (told["userId"], told["traits"]["first_name"]) == (claims["sub"], "Mia")

    def test_a_refusal_on_this_device_outweighs_the_account(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        visitor = Visitor(base)
        visitor.http.cookies.set("kc_choice", "1")  # asked, and said no: the SDK left no id and no choice behind
        before = len(engine.requests)
        visitor.log_in("jonas")
        visitor.add("KC-C12")
        visitor.get("/checkout/")
        asked = [body for _, path, _, body in engine.requests[before:] if path == "/v1/decide"]
        assert asked
        assert {json.dumps(body["shopper"]) for body in asked} == {"{}"}
        assert not [each for each in engine.events() if each["type"] == "identify" and each["userId"] == "customer-2"]

    def test_a_refund_follows_its_order(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        number = Visitor(base).order()
        assert "refunded 20" in manage(engine.shop_data, "refund_order", number, "--amount", "20.00")
        refund = engine.wait_for(lambda each: each["event"] == "Order Refunded")
        assert refund["properties"]["order_id"] == number
        assert refund["properties"]["total"] == 20.0


class TestSells:
    """The shop itself."""

    def test_a_declined_card_keeps_the_basket(self, base: str) -> None:
        visitor = Visitor(base)
        visitor.add("KC-C01")
        visitor.to_payment()
        assert "Your card was declined" in visitor.pay("card", "tok_demo_declined")
        assert order_number(visitor.pay("invoice")).isdigit()

    def test_delivery_is_free_from_fifty_euros(self, base: str) -> None:
        visitor = Visitor(base)
        assert "€4.90" in visitor.add("KC-C07")  # 16.90
        assert "€4.90" not in visitor.add("KC-C05")  # and 49.00

    def test_german(self, base: str) -> None:
        visitor = Visitor(base, **{"Accept-Language": "de"})
        visitor.add("KC-C01")
        page = visitor.to_payment()
        assert "Wie möchten Sie zahlen?" in page
        assert "Handmühle Esche" in page
        assert "89,00\xa0€" in page
        assert "Wolldecke" in visitor.get("/search/?q=Wolldecke")
        assert visitor.http.get("/nowhere/").status_code == 404

    def test_jonas_pays_as_last_time(self, base: str) -> None:
        visitor = Visitor(base)
        visitor.log_in("jonas")
        visitor.add("KC-C01")
        address = re.search(r'name="address_id" value="(\d+)"', visitor.get("/checkout/"))
        assert address is not None
        visitor.post("/checkout/shipping-address/", action="ship_to", address_id=address[1])
        page = visitor.post("/checkout/shipping-method/", method_code="express")
        assert re.search(r'value="paynow"\s+checked', page)
        assert order_number(visitor.pay("paynow")).isdigit()

    def test_every_page_forbids_foreign_and_inline_script(self, base: str) -> None:
        visitor = Visitor(base)
        for path in ("/", "/catalogue/", "/p/KC-C01/", "/basket/", "/accounts/login/", "/search/?q=steel"):
            response = visitor.http.get(path)
            assert "script-src 'self';" in response.headers["Content-Security-Policy"]
            assert not re.search(r"<script(?![^>]*(src=|application/json))|\sstyle=|\son\w+=", response.text), path


class TestFirstPartyPath:
    """`/cw/...`: what the shop passes on to the engine for a browser, and what it does not."""

    def test_what_passes_and_what_does_not(self, served: tuple[FakeEngine, str]) -> None:
        engine, base = served
        visitor = Visitor(base, **{"Sec-GPC": "1"})
        visitor.add("KC-C01")
        body = {"writeKey": PUBLISHABLE, "batch": []}
        answer = visitor.http.post("/cw/v1/decide", json=body)
        assert answer.status_code == 200
        assert "engine" not in answer.cookies
        headers = next(headers for _, path, headers, sent in engine.requests if sent == body)
        assert "cookie" not in headers
        assert headers["sec-gpc"] == "1"
        assert headers["x-forwarded-for"] == "127.0.0.0"
        for path in ("/cw/v1/shoppers", "/cw/v1/kill", "/cw/metrics", "/cw/v1/decide/../kill"):
            assert visitor.http.post(path, json={}).status_code in (404, 403), path
        assert visitor.http.post("/cw/v1/batch", json={"writeKey": SECRET}).status_code == 403
        assert (
            visitor.http.post("/cw/v1/batch", json={}, headers={"Authorization": f"Bearer {SECRET}"}).status_code == 403
        )
        assert visitor.http.post("/cw/v1/batch", json={}, headers={"Via": "1.1 kestrel-and-clay"}).status_code == 508
        assert visitor.http.post("/cw/v1/batch", json={}, headers={"Origin": "https://evil.example"}).status_code == 403
        assert visitor.http.post("/cw/v1/batch", content=b"x" * 600_000).status_code == 413
        assert {path for _, path, _, _ in engine.requests} == {"/v1/batch", "/v1/decide"}

    def test_a_hanging_engine_cannot_hold_the_shop(self, badly_served: tuple[FakeEngine, str]) -> None:
        engine, base = badly_served
        engine.mode = "hangs"
        ask = {"url": f"{base}/cw/v1/decide", "json": {"writeKey": PUBLISHABLE}, "timeout": 30}
        with ThreadPoolExecutor(40) as browsers:
            answers = list(browsers.map(lambda _: httpx.post(**ask).json()["code"], range(40)))
        assert set(answers) == {"busy", "unavailable"}
        assert Visitor(base).order().isdigit()


class TestSeed:
    """The catalogue and what is made from it; needs no shop."""

    catalogue = json.loads((ROOT / "shop/seed/catalogue.json").read_text(encoding="utf-8"))

    def test_the_feed_is_made_from_the_catalogue(self) -> None:
        made = subprocess.run(
            [sys.executable, "-c", "import feed, sys; sys.stdout.write(feed.text())"],
            cwd=ROOT / "shop/seed", check=True, capture_output=True,
        )  # fmt: skip
        assert made.stdout.decode() == (ROOT / "shop/seed/feed.json").read_text(encoding="utf-8")

    def test_every_product_is_whole(self) -> None:
        products = self.catalogue["products"]
        shapes = {line.split(" ", 1)[0] for line in (ROOT / "shop/seed/shapes.txt").read_text().splitlines()}
        ids = {product["id"] for product in products}
        assert len(ids) == len(products) == 60
        assert len({product["category"] for product in products}) == 5
        assert sum(product["sensitive"] for product in products) == 4
        for product in products:
            assert set(product["complements"]) <= ids - {product["id"]}
            assert product["shape"] in shapes
            assert 0 < float(product["cost"]) < float(product["price"])
            assert set(product["title"]) == set(product["description"]) == {"en", "de"}


def test_the_shop_speaks_http_only() -> None:
    own = [ROOT / "shop" / name for name in ("cashwrap_client.py", "run.py", "manage.py")]
    for folder in ("config", "apps", "storefront", "seed"):
        own += (ROOT / "shop" / folder).rglob("*.py")
    for path in own:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "cashwrap" for name in names), path


# --- helpers ---


def _order(engine: FakeEngine, number: str) -> dict[str, Any]:
    """The event of this order, once it arrived."""
    return engine.wait_for(lambda each: each["messageId"] == f"order-{number}-completed")


def check_identity_token(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a JWT as docs/decisions/0002 describes it."""
    header, claims, signature = token.split(".")
    key = hmac.digest(SECRET.encode(), b"cashwrap identity v1", "sha256")
    assert hmac.compare_digest(_decoded(signature), hmac.digest(key, f"{header}.{claims}".encode(), "sha256"))
    return json.loads(_decoded(header)), json.loads(_decoded(claims))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
