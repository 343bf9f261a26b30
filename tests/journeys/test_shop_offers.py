"""Offers in the demo shop, over plain HTTP against a played engine: what a shop must hold to whatever it is told."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from offer_desk import REFUSALS, SAYS
from shop_server import PATIENT, PUBLISHABLE, SECRET, FakeEngine, Visitor, manage, order_number, set_up, shop

MESSAGE = {"type": "message", "text": "10 % off for you"}


@pytest.fixture(scope="module")
def seeded() -> Path:
    return set_up()


@pytest.fixture(scope="module")
def running(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeEngine, str]]:
    engine = FakeEngine()
    data = tmp_path_factory.mktemp("shop")
    engine.shop_data = data
    patient = {**PATIENT, "CASHWRAP_OFFER_MS": "5000"}
    with shop(seeded, data, engine=engine.url, keys=(PUBLISHABLE, SECRET), **patient) as base:
        yield engine, base
    engine.close()


@pytest.fixture
def engine(running: tuple[FakeEngine, str]) -> FakeEngine:
    """As it is before anybody came: ten percent off for all."""
    engine = running[0]
    engine.mode, engine.placements = "record", {"basket_message": MESSAGE}
    engine.desk.__init__()  # type: ignore[misc]
    engine.desk.percent = 10
    engine.requests.clear()
    return engine


@pytest.fixture
def base(running: tuple[FakeEngine, str], engine: FakeEngine) -> str:
    return running[1]


def euros(page: str) -> str:
    """The total a page shows."""
    found = re.search(r'class="sum".*?<dd>([^<]+)', page, re.DOTALL)
    assert found is not None, page[:1000]
    return found[1].strip()


def token_in(page: str) -> str:
    found = re.search(r'name="token" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def granted(visitor: Visitor, product: str = "KC-C01") -> str:
    """Put a hand mill (89.00) into the basket and get to the page whose decision grants."""
    visitor.add(product)
    return token_in(visitor.get("/checkout/"))


def take(visitor: Visitor, token: str) -> str:
    return visitor.post("/offer/", token=token, next="/basket/")


class TestTakes:
    def test_an_offer_lowers_the_real_total_and_is_redeemed_with_the_order(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        token = granted(visitor)
        page = take(visitor, token)
        assert "€80.10" in euros(page)
        assert "10% off for you" in page
        assert SAYS in page
        payment = visitor.to_payment()
        assert "€80.10" in euros(payment)
        assert SAYS in payment
        assert re.search('data-offer="basket_message" hidden', payment)  # it is taken: there is nothing to click
        assert re.search('data-taken="basket_message" >', payment)
        number = order_number(visitor.pay())
        (redeemed,) = engine.asked("/v1/offers/redeem")
        assert redeemed["order"] == number
        (reserved,) = engine.asked("/v1/offers/reserve")
        assert reserved["token"] == token
        assert reserved["cart"]["items"][0] == {"id": "KC-C01", "quantity": 1, "price": 89.0, "category": "coffee"}
        done = engine.wait_for(lambda each: each["messageId"] == f"order-{number}-completed")
        assert done["properties"]["total"] == 80.1
        assert done["properties"]["discount"] == 8.9

    def test_who_the_shop_knows_is_told_in_full(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        visitor.log_in("mia")
        take(visitor, granted(visitor))
        (reserved,) = engine.asked("/v1/offers/reserve")
        assert reserved["shopper"]["userId"].startswith("customer-")
        assert reserved["shopper"]["email"] == "mia@kestrel.example"
        visitor.post("/basket/", **cleared(visitor.get("/basket/")))

    def test_what_has_to_be_said_stands_beside_it_before_it_is_taken(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        visitor.add("KC-C01")
        page = visitor.get("/checkout/")
        assert re.search(rf'10 % off for you</p>\s*<div class="cw-disclosure" role="note">{SAYS}', page)

    def test_a_personal_offer_where_nothing_can_be_said_is_not_shown(self, engine: FakeEngine, base: str) -> None:
        plain = engine.desk.grants

        def elsewhere(asked: object) -> dict[str, dict[str, object]]:
            return {"checkout_help": plain(asked)["basket_message"]} if plain(asked) else {}

        engine.desk.grants = elsewhere  # type: ignore[method-assign]
        engine.placements = {"checkout_help": {"type": "help", "style": "inline", "text": "Just for you: less"}}
        visitor = Visitor(base)
        visitor.add("KC-C01")
        assert "Just for you: less" not in visitor.get("/checkout/")
        del engine.desk.grants  # type: ignore[method-assign]

    def test_it_can_be_given_back(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        page = take(visitor, granted(visitor))
        remove = re.search(r'action="(/basket/vouchers/\d+/remove/)"', page)
        assert remove is not None
        assert "€89.00" in euros(visitor.post(remove[1]))
        engine.settled(lambda: engine.desk.states() == ["released"])
        again = take(visitor, token_in(visitor.get("/checkout/")))
        assert "€80.10" in euros(again)
        assert engine.desk.states() == ["released", "reserved"]

    def test_a_changed_basket_is_worked_out_again(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        take(visitor, granted(visitor))
        page = visitor.add("KC-C07")  # 16.90 more
        assert "€95.31" in euros(page)
        assert "worked out again" in page
        engine.settled(lambda: engine.desk.states() == ["released", "reserved"])
        assert "€95.31" in euros(visitor.get("/basket/"))
        assert len(engine.asked("/v1/offers/reserve")) == 2

    def test_a_changed_basket_without_a_new_offer_is_at_its_normal_price(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        take(visitor, granted(visitor))
        engine.desk.percent = 0
        page = visitor.add("KC-C07")
        assert "€105.90" in euros(page)
        assert "does not go with this basket any more" in page

    def test_an_expired_one_is_at_the_normal_price(self, engine: FakeEngine, base: str) -> None:
        engine.desk.lasts = -1
        visitor = Visitor(base)
        assert "€89.00" in euros(take(visitor, granted(visitor)))
        assert order_number(pay_as_guest(visitor)).isdigit()
        assert not [path for _, path, _, _ in engine.requests if path == "/v1/offers/redeem"]

    def test_it_does_not_take_the_place_of_a_better_code(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        token = granted(visitor)
        assert "€80.10" in euros(enter(visitor, "WELCOME10"))
        page = take(visitor, token)
        assert "€80.10" in euros(page)
        assert "cannot be combined" in page
        engine.asked("/v1/offers/release")

    def test_a_refund_is_reported(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        take(visitor, granted(visitor))
        number = order_number(pay_as_guest(visitor))
        assert "refunded 80.1" in manage(engine.shop_data, "refund_order", number)
        refund = engine.wait_for(lambda each: each["event"] == "Order Refunded")
        assert refund["properties"]["order_id"] == number


class TestCodes:
    def test_a_code_opens_an_offer(self, engine: FakeEngine, base: str) -> None:
        engine.desk.codes["KITE-7Q2M"] = 20
        visitor = Visitor(base)
        visitor.add("KC-C01")
        page = enter(visitor, "KITE-7Q2M")
        assert "Your code is applied." in page
        assert "€71.20" in euros(page)
        assert order_number(pay_as_guest(visitor)).isdigit()
        engine.asked("/v1/offers/redeem")

    def test_a_code_nobody_knows(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        visitor.add("KC-C01")
        page = enter(visitor, "NOPE")
        assert "We do not know this code" in page
        assert "€89.00" in euros(page)

    def test_the_shop_s_own_codes_go_on_as_before(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        visitor.add("KC-C01")
        assert "€80.10" in euros(enter(visitor, "WELCOME10"))
        assert not [path for _, path, _, _ in engine.requests if path.startswith("/v1/offers")]

    def test_the_voucher_behind_an_offer_is_no_code(self, engine: FakeEngine, base: str) -> None:
        visitor, other = Visitor(base), Visitor(base)
        take(visitor, granted(visitor))
        name = "from storefront.models import HeldOffer; print(HeldOffer.objects.latest('pk').voucher.code)"
        code = manage(engine.shop_data, "shell", "-v0", "-c", name).strip().splitlines()[-1]
        assert code.startswith("CW-")
        other.add("KC-C01")
        page = enter(other, code)
        assert "€89.00" in euros(page)


class TestOnce:
    def test_two_clicks_on_the_offer_hold_it_once(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        token = granted(visitor)
        with ThreadPoolExecutor(4) as clicks:
            list(clicks.map(lambda _: twin(visitor, base).post("/offer/", token=token, next="/basket/"), range(4)))
        assert engine.desk.states() == ["reserved"]
        assert "€80.10" in euros(visitor.get("/basket/"))

    def test_two_tabs_with_a_token_each_hold_it_once(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        tokens = [granted(visitor), *(token_in(visitor.get("/checkout/")) for _ in range(3))]
        assert len(set(tokens)) == 4
        with ThreadPoolExecutor(4) as tabs:
            list(tabs.map(lambda token: twin(visitor, base).post("/offer/", token=token, next="/basket/"), tokens))
        assert "€80.10" in euros(visitor.get("/basket/"))
        engine.settled(lambda: engine.desk.states().count("reserved") == 1)

    def test_a_changed_basket_in_many_tabs_is_worked_out_once(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        take(visitor, granted(visitor))
        page = visitor.get("/p/KC-C07/")
        action = re.search(r'action="(/basket/add/\d+/)"', page)
        assert action is not None
        visitor.http.follow_redirects = False
        data = {"csrfmiddlewaretoken": visitor.http.cookies["csrftoken"], "quantity": "1", "next": "/"}
        assert visitor.http.post(action[1], data=data).status_code == 302
        with ThreadPoolExecutor(4) as tabs:
            list(tabs.map(lambda _: twin(visitor, base).get("/basket/"), range(4)))
        assert "€95.31" in euros(visitor.get("/basket/"))
        engine.settled(lambda: sorted(engine.desk.states()) == ["released", "reserved"])

    def test_two_clicks_on_buy_now_make_one_order(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        take(visitor, granted(visitor))
        visitor.to_payment()
        visitor.post("/checkout/preview/", method="paynow", card_token="")
        with ThreadPoolExecutor(4) as clicks:
            pages = list(
                clicks.map(lambda _: twin(visitor, base).post("/checkout/preview/", action="place_order"), range(4))
            )
        assert len({order_number(page) for page in pages}) == 1
        again = visitor.post("/checkout/preview/", action="place_order")  # the back button, and once more
        assert order_number(again) == order_number(pages[0])
        assert len(engine.asked("/v1/offers/redeem")) == 1
        assert [each["event"] for each in engine.events()].count("Order Completed") == 1

    def test_the_token_of_another_basket_is_worth_nothing(self, engine: FakeEngine, base: str) -> None:
        visitor, other = Visitor(base), Visitor(base)
        token = granted(visitor)
        other.add("KC-C07")
        page = take(other, token)
        assert "made for another basket" in page
        assert not [path for _, path, _, _ in engine.requests if path == "/v1/offers/reserve"]

    @pytest.mark.parametrize("spoil", ["", "x.y.z", "cut", "changed", "other key", "unsigned"])
    def test_a_token_that_the_engine_did_not_sign_is_worth_nothing(
        self, engine: FakeEngine, base: str, spoil: str
    ) -> None:
        visitor = Visitor(base)
        token = granted(visitor)
        head, body, signature = token.split(".")
        stranger = type(engine.desk)()
        stranger.signer = type(stranger.signer)(b"stranger!!" * 5, "cashwrap-offer+jwt")
        stranger.percent = 10
        context = {"context": {"cart": {"items": [{"id": "KC-C01", "quantity": 1, "price": 89.0}]}}}
        spoiled = {
            "cut": token[:-4],
            "changed": f"{head}.{body[:-2]}AA.{signature}",
            "other key": stranger.grants(context)["basket_message"]["token"],
            "unsigned": f"{head}.{body}.",
        }.get(spoil, spoil)
        assert "€89.00" in euros(take(visitor, spoiled))
        assert not [path for _, path, _, _ in engine.requests if path == "/v1/offers/reserve"]


class TestNeverBreaksTheCheckout:
    @pytest.mark.parametrize("mode", ["fails", "answers html", "answers nonsense", *REFUSALS])
    def test_no_offer_is_the_normal_price(self, engine: FakeEngine, base: str, mode: str) -> None:
        visitor = Visitor(base)
        token = granted(visitor)
        engine.desk.mode = mode
        page = take(visitor, token)
        assert "€89.00" in euros(page)
        assert 'class="message' in page
        assert order_number(pay_as_guest(visitor)).isdigit()

    def test_an_engine_that_fails_when_it_is_time_to_redeem_is_asked_again(self, engine: FakeEngine, base: str) -> None:
        visitor = Visitor(base)
        take(visitor, granted(visitor))
        engine.desk.mode = "fails"
        number = order_number(pay_as_guest(visitor))
        engine.asked("/v1/offers/redeem", 2)
        engine.desk.mode = "grants"
        calls = engine.asked("/v1/offers/redeem", 3)
        assert {call["order"] for call in calls} == {number}
        engine.settled(lambda: engine.desk.states() == ["redeemed"])
        keys = {headers["idempotency-key"] for _, path, headers, _ in engine.requests if path == "/v1/offers/redeem"}
        assert len(keys) == 1

    def test_a_hanging_engine_costs_a_moment(self, seeded: Path, tmp_path: Path, engine: FakeEngine) -> None:
        with shop(
            seeded, tmp_path, engine=engine.url, keys=(PUBLISHABLE, SECRET), **{**PATIENT, "CASHWRAP_OFFER_MS": "200"}
        ) as base:
            visitor = Visitor(base)
            token = granted(visitor)
            engine.desk.mode = "hangs"
            page = take(visitor, token)
            assert "That did not work just now" in page
            assert "€89.00" in euros(page)
            engine.desk.mode = "grants"
            engine.desk.percent = 10
            assert "€80.10" in euros(take(visitor, token))


# --- helpers ---


def enter(visitor: Visitor, code: str) -> str:
    """Type a code into the basket's box."""
    data = {"csrfmiddlewaretoken": visitor.http.cookies["csrftoken"], "code": code}
    referer = f"{visitor.http.base_url}/basket/"
    return visitor.http.post("/basket/vouchers/add/", data=data, headers={"Referer": referer}).text


def pay_as_guest(visitor: Visitor) -> str:
    visitor.to_payment()
    return visitor.pay()


def twin(visitor: Visitor, base: str) -> Visitor:
    """The same browser in another tab: it shares the cookies."""
    other = Visitor(base)
    other.http.cookies = visitor.http.cookies
    return other


def cleared(page: str) -> dict[str, str]:
    """The basket's form, with everything taken out: a customer's basket would be there for the next test."""
    hidden = dict(re.findall(r'name="(form-[\w-]+)" value="([^"]*)"', page))
    return {**hidden, "form-0-quantity": "0"}
