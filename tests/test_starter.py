"""The starter playbook: every segment is entered and left by a shopper walking through the true fold."""

from pathlib import Path

import pytest

from cashwrap.decide import decide
from cashwrap.playbook import Playbook
from cashwrap.playbook.starter import starter_files, starter_folder
from cashwrap.publishing import examine_folder
from cashwrap.request import Cart, CartItem, Checkout, Device, Location, Page, PageContext
from walks import Shopper

FOLDER = Path(__file__).parents[1] / "playbooks" / "starter"


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine_folder(FOLDER)
    assert found is not None, faults
    return found


def order(shopper: Shopper, number: int, subtotal: float, **more: object) -> Shopper:
    facts = {"order_id": f"order-{number}", "subtotal": subtotal, "total": subtotal, "currency": "EUR"}
    return shopper.does("Order Completed", **(facts | more))


def view(shopper: Shopper, product: str, category: str = "coffee") -> Shopper:
    return shopper.does("Product Viewed", browser=True, product_id=product, category=category, price="12.50")


def test_it_is_clean() -> None:
    playbook, faults = examine_folder(FOLDER)
    assert faults == ()
    assert playbook is not None
    assert starter_folder() == FOLDER
    assert "expect/shoppers.yaml" in starter_files()


def test_every_segment_has_a_walk() -> None:
    """A segment added to the starter without a walk here is not finished."""
    playbook, _ = examine_folder(FOLDER)
    assert playbook is not None
    source = Path(__file__).read_text()
    assert [name for name in playbook.segments.names if f'"{name}"' not in source] == []


def test_every_placement_of_the_demo_shop_is_declared(playbook: Playbook) -> None:
    assert set(playbook.declarations.placements) == {
        "payment_methods",
        "delivery_methods",
        "basket_message",
        "accessories",
        "checkout_button",
        "checkout_help",
        "home_hero",
        "coupon_field",
        "checkout_layout",
        "installment_line",
    }


# --- worth to the shop ---


def test_high_value_is_net_of_refunds(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    for number, subtotal in enumerate((249, 189)):
        order(shopper, number, subtotal).wait(days=10)
    assert shopper.segments()["high_value"] is False
    order(shopper, 2, 119)
    assert shopper.segments()["high_value"] is True
    shopper.wait(days=1).does("Order Refunded", order_id="order-0", total=60)
    assert shopper.segments()["high_value"] is False


def test_high_value_needs_orders_not_one_big_one(playbook: Playbook) -> None:
    assert order(Shopper(playbook), 1, 900).segments()["high_value"] is False


def test_high_value_counts_an_order_once(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    for _ in range(3):
        order(shopper, 1, 300).wait(minutes=1)
    assert shopper.segments()["high_value"] is False
    assert tiers(shopper) == {"loyalty_silver"}


def tiers(shopper: Shopper) -> set[str]:
    found = shopper.segments()
    return {name for name in ("loyalty_bronze", "loyalty_silver", "loyalty_gold") if found[name] is True}


def test_loyalty_tiers_follow_what_was_spent(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    assert tiers(shopper) == set()
    assert tiers(order(shopper, 1, 199.99)) == {"loyalty_bronze"}
    assert tiers(order(shopper, 2, 0.01)) == {"loyalty_silver"}
    assert tiers(order(shopper, 3, 300)) == {"loyalty_gold"}
    assert tiers(shopper.does("Order Cancelled", order_id="order-3")) == {"loyalty_silver"}
    assert tiers(shopper.does("Order Refunded", order_id="order-2", total="0.01")) == {"loyalty_bronze"}
    assert tiers(shopper.does("Order Cancelled", order_id="order-1")) == set()


# --- how they come ---


def test_new_visitor_until_the_second_visit(playbook: Playbook) -> None:
    shopper = view(Shopper(playbook), "KC-C01")
    assert shopper.segments()["new_visitor"] is True
    assert shopper.segments()["returning"] is False
    view(shopper.wait(minutes=31), "KC-C01")
    assert shopper.segments()["new_visitor"] is False
    assert shopper.segments()["returning"] is True


def test_new_visitor_until_the_first_order(playbook: Playbook) -> None:
    shopper = view(Shopper(playbook), "KC-C01")
    order(shopper, 1, 20)
    assert shopper.segments()["new_visitor"] is False
    assert shopper.segments()["returning"] is True


def test_nobody_is_new_without_consent(playbook: Playbook) -> None:
    stranger = view(Shopper(playbook, granted=()), "KC-C01")
    assert stranger.profile is None
    assert stranger.segments()["new_visitor"] is None
    assert stranger.segments()["returning"] is None


def test_withdrawal_takes_the_shopper_out_of_everything(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    for number in range(3):
        order(shopper, number, 200)
    assert shopper.segments()["high_value"] is True
    shopper.wait(minutes=1).choose(personalization="denied")
    assert not any(shopper.segments().values())


def test_engaged_and_casual_are_about_this_visit(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    for number in range(2):
        view(shopper.wait(minutes=1), f"p{number}")
    assert (shopper.segments()["engaged"], shopper.segments()["casual"]) == (False, True)
    view(shopper, "p2")
    assert (shopper.segments()["engaged"], shopper.segments()["casual"]) == (False, False)
    for number in range(3, 5):
        view(shopper.wait(minutes=1), f"p{number}")
    assert (shopper.segments()["engaged"], shopper.segments()["casual"]) == (True, False)
    view(shopper.wait(minutes=45), "p5")
    assert (shopper.segments()["engaged"], shopper.segments()["casual"]) == (False, True)


# --- what they like ---


def test_enthusiasm_is_for_one_category_and_fades(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    for number in range(4):
        view(shopper.wait(minutes=1), f"c{number}")
        view(shopper.wait(minutes=1), f"d{number}", "desk")
    assert shopper.segments()["category_enthusiast"] is False
    view(shopper, "d5", "desk")
    assert shopper.segments()["category_enthusiast"] is True
    assert shopper.inputs().values["category_views.top"] == "desk"
    assert shopper.segments()["coffee_enthusiast"] is False
    view(shopper, "c5")
    assert shopper.segments()["coffee_enthusiast"] is True
    shopper.wait(days=32)
    assert shopper.segments()["category_enthusiast"] is False
    assert shopper.segments()["coffee_enthusiast"] is False


def test_repeat_buyer_orders_the_same_again(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    beans = [{"product_id": "KC-C06", "quantity": 3, "price": 6.5}]
    order(shopper, 1, 19.5, products=beans)
    assert shopper.segments()["repeat_buyer"] is False
    order(shopper.wait(days=20), 2, 30, products=[{"product_id": "KC-C07", "price": 16.9}])
    assert shopper.segments()["repeat_buyer"] is False
    order(shopper.wait(days=20), 3, 19.5, products=beans)
    assert shopper.segments()["repeat_buyer"] is True
    shopper.does("Order Cancelled", order_id="order-3")
    assert shopper.segments()["repeat_buyer"] is False


def test_discount_seeker_tries_codes(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    shopper.does("Coupon Entered", browser=True, coupon_id="WELCOME10")
    assert shopper.segments()["discount_seeker"] is False
    shopper.wait(minutes=1).does("Coupon Applied", coupon_id="WELCOME10")
    assert shopper.segments()["discount_seeker"] is True
    shopper.wait(days=100)
    assert shopper.segments()["discount_seeker"] is False


# --- the abandoned cart ---


def add(shopper: Shopper, product: str, category: str, price: float) -> Shopper:
    line = {"product_id": product, "category": category, "price": price, "quantity": 1}
    return shopper.does("Product Added", browser=True, **line)


def abandoned(shopper: Shopper) -> set[str]:
    return {name for name, inside in shopper.segments().items() if name.startswith("cart_abandoner") and inside}


def test_a_cart_is_abandoned_after_an_hour_and_for_two_weeks(playbook: Playbook) -> None:
    shopper = add(Shopper(playbook), "KC-C06", "coffee", 6.5)
    assert abandoned(shopper.wait(minutes=59)) == set()
    assert abandoned(shopper.wait(minutes=1)) == {"cart_abandoner", "cart_abandoner_coffee", "cart_abandoner_small"}
    assert abandoned(shopper.wait(days=13)) == {"cart_abandoner", "cart_abandoner_coffee", "cart_abandoner_small"}
    assert abandoned(shopper.wait(days=1)) == set()


def test_an_abandoned_cart_has_a_price_range_and_categories(playbook: Playbook) -> None:
    shopper = add(Shopper(playbook), "KC-O04", "outdoor", 189)
    assert abandoned(shopper.wait(minutes=90)) == {"cart_abandoner", "cart_abandoner_large"}
    add(shopper, "KC-C06", "coffee", 6.5)
    assert abandoned(shopper) == set()
    assert abandoned(shopper.wait(minutes=90)) == {
        "cart_abandoner",
        "cart_abandoner_coffee",
        "cart_abandoner_large",
    }
    shopper.does("Product Removed", browser=True, product_id="KC-O04", quantity=1)
    assert abandoned(shopper.wait(minutes=90)) == {"cart_abandoner", "cart_abandoner_coffee", "cart_abandoner_small"}


def test_an_ordered_cart_is_not_abandoned(playbook: Playbook) -> None:
    shopper = add(Shopper(playbook), "KC-C06", "coffee", 6.5).wait(minutes=90)
    assert "cart_abandoner" in abandoned(shopper)
    order(shopper, 1, 6.5)
    assert abandoned(shopper.wait(minutes=90)) == set()


# --- where and when ---


@pytest.mark.parametrize("device", ["mobile", "tablet", "desktop"])
def test_devices_need_no_consent(playbook: Playbook, device: str) -> None:
    stranger = Shopper(playbook, granted=())
    found = stranger.segments(PageContext(device=Device(type=device)))
    assert {name for name in ("mobile", "tablet", "desktop") if found[name]} == {device}
    assert stranger.segments(PageContext(device=Device(type="other")))["mobile"] is False
    assert stranger.segments()["desktop"] is None


def test_a_device_is_remembered_for_audiences(playbook: Playbook) -> None:
    phone = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile Safari/604.1"
    )
    desk = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    shopper = Shopper(playbook).does("Page Viewed", context={"userAgent": phone})
    assert "mobile" in shopper.standing()
    shopper.wait(minutes=1).does("Page Viewed", context={"userAgent": desk})
    assert "mobile" not in shopper.standing()
    assert "desktop" in shopper.standing()


def located(shopper: Shopper, place: Location | None = None, country: str | None = None) -> set[str]:
    found = shopper.segments(PageContext(location=place or Location()), country=country)
    return {name for name, inside in found.items() if ("located" in name or name == "in_germany") and inside}


def test_location_names_its_source(playbook: Playbook) -> None:
    stranger = Shopper(playbook, granted=())
    assert located(stranger) == set()
    assert located(stranger, country="DE") == {"in_germany", "located_by_header"}
    assert located(stranger, country="FR") == {"located_by_header"}
    assert located(stranger, Location(country="de")) == {"in_germany", "located_by_shop"}
    assert located(stranger, Location(country="AT", source="delivery"), country="DE") == {"located_by_delivery"}


def test_peak_hours_are_the_shoppers_own(playbook: Playbook) -> None:
    stranger = Shopper(playbook, granted=())  # noon in UTC
    assert stranger.segments(PageContext(time_zone="UTC"))["peak_hours"] is False
    assert stranger.segments(PageContext(time_zone="Asia/Tokyo"))["peak_hours"] is True
    stranger.wait(minutes=61)  # 22:01 in Tokyo
    assert stranger.segments(PageContext(time_zone="Asia/Tokyo"))["peak_hours"] is False


def test_peak_hours_without_a_page_are_by_the_remembered_zone(playbook: Playbook) -> None:
    shopper = Shopper(playbook).does("Page Viewed", context={"timezone": "Asia/Tokyo"})
    assert "peak_hours" in shopper.standing()
    assert "peak_hours" not in shopper.wait(minutes=61).standing()


# --- what the checkout shows ---

PHONE = PageContext(
    page=Page(type="payment"),
    device=Device(type="mobile"),
    cart=Cart(count=1, items=[CartItem(id="KC-C01", category="coffee")]),
    checkout=Checkout(
        payment_methods=["card", "paynow", "apple_pay", "google_pay", "invoice", "bank_transfer"],
        delivery_methods=["standard", "express", "pickup", "bike_courier"],
    ),
)


def shown(playbook: Playbook, shopper: Shopper, context: PageContext) -> dict[str, str | None]:
    decision = decide(playbook.experiences, shopper.inputs(context))
    return {name: answer.experience for name, answer in decision.placements.items()}


def test_three_shoppers_see_three_checkouts(playbook: Playbook) -> None:
    """Before a choice, a newcomer who agreed, and a good customer: each differs from the others where it shows."""
    stranger = shown(playbook, Shopper(playbook, granted=()), PHONE)
    newcomer = shown(playbook, view(Shopper(playbook), "KC-C01"), PHONE)
    regular = Shopper(playbook).is_called("customer-7", first_name="Ada")
    for number in range(3):
        order(regular.wait(days=3), number, 200)
    good = shown(playbook, regular, PHONE)
    assert stranger["payment_methods"] == "wallets_first_on_phones"
    assert stranger["checkout_help"] is None
    assert newcomer["checkout_help"] == "guests_are_welcome"
    assert newcomer["home_hero"] == "welcome_newcomers"
    assert good["payment_methods"] == "invoice_first_for_regulars"
    assert good["delivery_methods"] == "express_first_for_regulars"
    assert good["checkout_button"] == "buy_as_usual"
    assert good["checkout_layout"] == "quiet_for_regulars"
    assert good["home_hero"] == "welcome_back_by_name"


def test_nothing_about_instalments_is_shown_as_it_comes(playbook: Playbook) -> None:
    shopper = Shopper(playbook, granted=("personalization", "credit"))
    assert shown(playbook, shopper, PHONE)["installment_line"] is None


def test_a_message_without_the_name_is_the_one_that_needs_none(playbook: Playbook) -> None:
    shopper = Shopper(playbook)
    order(shopper, 1, 20)
    assert shown(playbook, shopper, PHONE)["home_hero"] == "welcome_back"
