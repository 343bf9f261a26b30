"""*Shopper*: search, sealed addresses, the profile, the timeline, decisions explained, now, and forgetting."""

import re

import msgspec
import pytest
from tests.console.conftest import HERE, Browser, Site
from tests.console.shopper_data import VISIT, fill, track
from tests.engines import TestClock

from cashwrap.console.shopper import now as shopper_now
from cashwrap.console.shopper import timeline
from cashwrap.console.shopper import view as shopper_view
from cashwrap.console.shopper.decided import failing
from cashwrap.console.shopper.links import LIFE, ShopperLinks
from cashwrap.console.shopper.search import search
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.keys import sign_identity
from cashwrap.model import Impressions, Profile, Tenant
from cashwrap.tell import Part


def searched(browser: Browser, who: str, by: str = "any") -> str:
    """The page of whom one searched for."""
    answer = browser.post("/shopper", {"who": who, "by": by})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


@pytest.fixture
def filled(site: Site) -> Site:
    """With one shopper in it."""
    fill(site.folder)
    return site


def test_a_shopper_is_found_and_told_of(filled: Site) -> None:
    browser = filled.browser("marketer")
    page = browser.get(searched(browser, "customer-7"))
    assert page.status_code == 200
    for text in ("customer-7", "€612.50", "granted", "loyalty_gold", "A1", "first_name"):
        assert text in page.text, text
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text


def test_what_caps_counted_is_told_with_its_limits(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile(id=b"s" * 16, analytic_id=b"a" * 16, created=1)
    seen = Impressions([1_772_452_800_000], 3, 1_772_452_800_001)
    profile.impressions = {"experience:your_basket_waited": seen, "all": Impressions([], 9)}
    playbook = filled.console.reading.engine().live.playbook
    told = shopper_view.view(playbook, profile, {}, {}, 1_772_452_900_000)
    assert [(each.key, each.limits is not None) for each in told.impressions] == [
        ("experience:your_basket_waited", True),
        ("all", False),
    ]
    browser = filled.browser("marketer")
    place = searched(browser, "customer-7")
    view = shopper_view.view
    changed = msgspec.structs.replace
    monkeypatch.setattr(shopper_view, "view", lambda *all: changed(view(*all), impressions=told.impressions))
    page = browser.get(place).text
    for text in ("experience:your_basket_waited", "5 a day", "quiet for 7 days after it is sent away", "sent away"):
        assert text in page, text
    assert "Experience Viewed" in browser.get(place + "/timeline", kind="exposure").text


def test_no_address_holds_an_id(filled: Site) -> None:
    browser = filled.browser("marketer")
    place = searched(browser, "customer-7")
    page = browser.get(f"{place}/timeline").text
    for link in [place, *re.findall(r'href="(/console[^"]*)"', page)]:
        assert "customer-7" not in link


def test_ways_to_find_one(filled: Site) -> None:
    decisions = fill(filled.folder, [])
    browser = filled.browser("marketer")
    secret = next(key for key in filled.console.reading.engine().keys.all() if key.trusted)
    for who, by in (("customer-7", "user"), (decisions[0], "decision"), ("cart-of-customer-7", "cart")):
        assert searched(browser, who, by)
        assert searched(browser, who)
    for who, by in (("customer-7", "anonymous"), ("0" * 24, "decision"), ("customer-8", "any"), ("", "any")):
        answer = browser.post("/shopper", {"who": who, "by": by})
        assert answer.status_code == (404 if who else 400), (who, by)
    assert secret.identity
    assert browser.post("/shopper", {"who": "eyJ.eyJ.x", "by": "token"}).status_code == 403


def test_a_token_that_the_shop_signed_finds_its_shopper(filled: Site) -> None:
    world = filled.console.world
    engine = filled.console.reading.engine()
    text = engine.keys.create("secret", Tenant(), (), world.random)
    signed = sign_identity(text, "customer-7", "default", world.clock.now())
    assert searched(filled.browser("marketer"), signed)


def test_nobody_else_opens_an_address(filled: Site) -> None:
    browser = filled.browser("marketer", name="mara")
    place = searched(browser, "customer-7")
    other = filled.browser("marketer", name="max").get(place)
    assert (other.status_code, "shopper_link_of_another" in other.text) == (403, True)
    elsewhere = browser.get(place.replace("/default/live/", "/default/test/"))
    assert (elsewhere.status_code, "shopper_link_of_another" in elsewhere.text) == (403, True)
    for forged in (place[:-4] + "AAAA", f"{HERE}/shopper/customer-7", f"{HERE}/shopper/{'0' * 700}"):
        answer = browser.get(forged)
        assert (answer.status_code, "no_such_shopper_link" in answer.text) == (404, True)
    assert filled.browser("viewer").get(place).status_code == 403


def test_an_address_ends(filled: Site) -> None:
    world = filled.console.world
    clock = TestClock(world.clock.now())
    links = ShopperLinks(world.vault, clock, world.random)
    text = links.make(Tenant(), "mara", b"s" * 16)
    assert links.open(text, Tenant(), "mara").shopper == b"s" * 16
    clock.wait(minutes=LIFE / 60_000)
    with pytest.raises(NotAllowed) as refused:
        links.open(text, Tenant(), "mara")
    assert refused.value.code == "shopper_link_expired"
    with pytest.raises(InvalidInput):
        links.open(text[:-6], Tenant(), "mara")


def test_every_look_leaves_an_entry_without_a_name(filled: Site) -> None:
    browser = filled.browser("marketer")
    place = searched(browser, "customer-7")
    for tab in ("", "/segments", "/timeline", "/now", "/export"):
        assert browser.get(place + tab).status_code == 200, tab
    audit = filled.console.world.audit
    assert audit is not None
    entries = [entry for _, entry in audit.entries()]
    assert [entry.action for entry in entries][-5:] == [*["shopper.read"] * 3, "shopper.explain", "shopper.read"]
    assert len({entry.subject for entry in entries[-5:]}) == 1
    assert "customer-7" not in str(entries)


# --- the timeline ---


def test_everything_that_happened_newest_first(filled: Site) -> None:
    browser = filled.browser("marketer")
    place = searched(browser, "customer-7")
    page = browser.get(f"{place}/timeline").text
    order = [page.index(name) for name in ("Cart Viewed", "Order Completed", "Product Viewed", "Consent Updated")]
    assert order == sorted(order)
    assert "620.00 EUR" in page
    assert "2 ×" in page
    assert "<script>alert" not in page
    assert "/why" in page
    only = browser.get(f"{place}/timeline", kind="order").text
    assert ("Order Completed" in only, "Product Viewed" in only) == (True, False)
    assert browser.get(f"{place}/timeline", after="what").status_code == 400


def whole(site: Site) -> list[timeline.Entry]:
    """Every page of customer-7's timeline, one after the other."""
    engine = site.console.reading.engine()
    key = search(engine, Tenant(), "user", "customer-7")
    hot = engine.lookup.fetch(key)
    assert hot is not None
    found, after = list[timeline.Entry](), ""
    for _ in range(1000):
        page = timeline.page(engine, key, hot.profile, None, after)
        found += page.entries
        after = page.next
        if not after:
            return found
    raise AssertionError("the timeline has no end")


@pytest.mark.parametrize(("size", "stretch", "patience"), [(50, 50_000, 9.0), (7, 3, 9.0), (3, 1, 0.0), (5, 4, 0.0)])
def test_pages_lose_and_repeat_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, size: int, stretch: int, patience: float
) -> None:
    """However small the pages, and wherever reading stops for the time it took."""
    for number in range(3):
        others = [track("Product Viewed", user=f"other-{n}", product_id=f"o{n}") for n in range(5)]
        mine = [track("Product Viewed", product_id=f"p{number}-{n}") for n in range(4)]
        fill(site.folder, [*(VISIT if not number else []), *others, *mine], decides=3)
    everything = [(each.kind, each.title, each.fields[:1], each.decision) for each in whole(site)]
    monkeypatch.setattr(timeline, "PAGE", size)
    monkeypatch.setattr(timeline, "STRETCH", stretch)
    monkeypatch.setattr(timeline, "PATIENCE", patience)
    paged = [(each.kind, each.title, each.fields[:1], each.decision) for each in whole(site)]
    assert paged == everything
    assert sum(kind == "decision" for kind, *_ in everything) == 9
    assert sum(kind == "event" for kind, *_ in everything) == 3 * 4 + 2 + 3


def test_what_happened_on_a_device_that_joined_is_theirs_too(site: Site) -> None:
    device = {"anonymousId": "device-1"}
    before = [
        {"type": "consent", **device, "choices": {"personalization": "granted"}},
        {"type": "track", **device, "event": "Product Viewed", "properties": {"product_id": "seen-before"}},
    ]
    fill(site.folder, [*before, *VISIT], decides=0)
    fill(site.folder, [{**track("Product Viewed", product_id="seen-together"), **device}], decides=0)
    browser = site.browser("marketer")
    page = browser.get(searched(browser, "device-1", "anonymous") + "/timeline").text
    order = [page.index(text) for text in ("seen-together", "Another device joined", "seen-before")]
    assert order == sorted(order)


def test_a_log_that_takes_too_long_is_told_as_such(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(filled.folder, [track("Product Viewed", user=f"other-{n}", product_id="x") for n in range(9)], decides=0)
    monkeypatch.setattr(timeline, "STRETCH", 2)
    monkeypatch.setattr(timeline, "PATIENCE", 0.0)
    browser = filled.browser("marketer")
    page = browser.get(searched(browser, "customer-7") + "/timeline").text
    assert "The log was read back to" in page
    assert "Look further back" in page


# --- why, and now ---


def test_a_kept_decision_is_explained_with_what_failed(filled: Site) -> None:
    browser = filled.browser("marketer")
    page = browser.get(searched(browser, "customer-7") + "/timeline").text
    links = re.findall(r'href="([^"]*/why)"', page)
    shown = browser.get(links[0])
    assert shown.status_code == 200
    for text in ("the same, byte for byte", "basket_message", "orders &gt;= 3", "condition does not hold", "unknown"):
        assert text in shown.text, text
    assert filled.browser("marketer", name="max").get(links[0]).status_code == 403


def test_now_is_decided_in_a_context_of_ones_own(filled: Site) -> None:
    browser = filled.browser("marketer")
    place = searched(browser, "customer-7") + "/now"
    little = browser.get(place, device="mobile", total="12,50", locale="en", payment="card, apple_pay")
    much = browser.get(place, device="desktop", total="80", locale="de", payment="card, apple_pay")
    assert "more and standard delivery is free" in little.text
    assert "wallets_first_on_phones" in little.text
    assert "kostenlos" in much.text
    for total in ("abc", "-1", "NaN", "1e99"):
        assert "invalid" in browser.get(place, total=total).text or "42.50" in browser.get(place, total=total).text
    forced = browser.get(place, total="80", show="thank_regulars/main")
    assert "Good to have you back." in forced.text


def test_who_allows_nothing_is_decided_for_by_the_request_alone(site: Site) -> None:
    fill(site.folder, [{**VISIT[0], "choices": {"personalization": "denied"}}, *VISIT[1:]])
    browser = site.browser("privacy")
    place = searched(browser, "customer-7")
    assert "does not allow personalization" in browser.get(place).text
    page = browser.get(place + "/now").text
    assert "the request only" in page
    assert "does not allow personalization" in page


def test_a_preview_link_is_made_and_told_to_the_audit_log(filled: Site) -> None:
    browser = filled.browser("marketer")
    place = searched(browser, "customer-7") + "/now"
    made = browser.post(place, {"show": "thank_regulars/main", "url": "https://shop.example/cart"})
    assert "https://shop.example/cart?cw_preview=" in made.text
    refused = browser.post(place, {"show": "thank_regulars/main", "url": "javascript:alert(1)"})
    assert "invalid_url" in refused.text


# --- forgetting ---


def test_forgetting_is_asked_of_the_server(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = filled.browser("privacy")
    place = searched(browser, "customer-7") + "/forget"
    assert filled.browser("marketer").get(place).status_code == 403
    asked: list[tuple[object, ...]] = []

    def call(self: object, *what: object) -> dict[str, object]:
        asked.append(what)
        return {"forgotten": True, "models": ["affinity@3"]}

    monkeypatch.setattr(type(filled.console.upstream), "call", call)
    assert browser.post(place, {"word": "no"}).status_code == 400
    assert not asked
    done = browser.post(place, {"word": " Forget "})
    assert done.headers["location"].endswith("/shopper?done=forgotten&models=affinity%403")
    assert "affinity@3" in browser.get("/shopper", done="forgotten", models="affinity@3").text
    method, path, person, tenant, body = asked[0]
    assert (method, path, person, tenant) == ("POST", "/v1/console/forget", "privacy", Tenant())
    assert isinstance(body, dict)
    assert len(bytes.fromhex(body["shopper"])) == 16


def test_the_export_is_all_that_is_held(filled: Site) -> None:
    browser = filled.browser("privacy")
    told = browser.get(searched(browser, "customer-7") + "/export")
    assert msgspec.json.decode(told.content)["userId"] == "customer-7"
    assert "attachment" in told.headers["content-disposition"]


# --- parts ---


def test_the_smallest_failing_parts_are_told() -> None:
    holds, fails = Part("a", result=True), Part("b > 1", result=False, written={"b": "0"})
    unknown = Part("c", result=None)
    whole = Part(
        "a && (b > 1 || c)", result=False, parts=(holds, Part("b > 1 || c", result=None, parts=(fails, unknown)))
    )
    assert list(failing(whole)) == [fails, unknown]
    negated = Part("!a", result=False, parts=(holds,))
    assert list(failing(Part("!a && a", result=False, parts=(negated, holds)))) == [negated]
    assert list(failing(holds)) == []


@pytest.mark.parametrize(
    ("typed", "cents"), [("12,50", 1250), ("12.5", 1250), ("1.234,50", 123450), ("1,234.50", 123450), ("80", 8000)]
)
def test_amounts_as_people_type_them(typed: str, cents: int) -> None:
    assert shopper_now._amount(typed) * 100 == cents
