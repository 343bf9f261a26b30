"""*Data*: failed events settled through a real server, drift, the catalogue's figures, and what is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from tests.console.conftest import Site
from tests.console.shopper_data import HOSTILE, consent, fill, track

from cashwrap.adapters.system import SystemClock
from cashwrap.audit import Note
from cashwrap.console.failures import groups, remedy_of
from cashwrap.console.keeping import kept, last_backup
from cashwrap.console.pages.data import hint
from cashwrap.console.shop.goods import DAY, STALE, Shelf, counted
from cashwrap.console.upstream import Upstream
from cashwrap.drift import KIND
from cashwrap.library import open_world
from cashwrap.model import Product, Tenant
from cashwrap.ports import Changes, Failure
from cashwrap.serve.companion import Companion
from engines import TestClock, folder_world
from servers import serving

TOKEN = "a token of this run"
BAD = [
    consent(personalization="granted"),
    track("Order Completed", order_id="A9", subtotal="4O,00", coupon=HOSTILE),
    {**track("Order Completed", order_id="A2", subtotal=10), "messageId": "same"},
    {**track("Order Completed", order_id="A3", subtotal=20), "messageId": "same"},
    track("Wheel Spun", prize="mug"),
]


@contextmanager
def served(site: Site) -> Iterator[Site]:
    """The same console with the server of its folder beside it."""
    with (
        folder_world(site.folder, TestClock(SystemClock().now())) as world,
        serving(world, companion=Companion(site.folder, TOKEN)) as server,
    ):
        upstream = Upstream(str(server.http.base_url), TOKEN)
        yield Site(msgspec.structs.replace(site.console, upstream=upstream), site.folder, site.playbook, site._opened)


def code_of(site: Site, code: str) -> int:
    """The number of the failed event with this code."""
    return next(each.sequence for each in site.console.world.failed.failures() if each.code == code)


@pytest.fixture
def failing(site: Site) -> Site:
    """With events that failed."""
    fill(site.folder, BAD, decides=0)
    return site


def test_failed_events_are_told_by_their_reason(failing: Site) -> None:
    browser = failing.browser("viewer")
    page = browser.get("/data").text
    for text in ("invalid_money", "conflicting_message_id", "undeclared_event", "properties.subtotal", "3 events"):
        assert text in page, text
    assert "Discard" not in page, "a viewer settles nothing"
    listed = browser.get("/data/failed", code="invalid_money").text
    assert ("whole" in listed, "conflicting" in listed, "<script>alert" in listed) == (True, False, False)
    for wrong in ("abc", "-1", "9" * 30):
        assert browser.get("/data/failed", after=wrong).status_code == 404
        assert browser.get(f"/data/failed/{wrong}").status_code == 404


def test_what_an_event_holds_is_for_those_who_may_read_it(failing: Site) -> None:
    number = code_of(failing, "invalid_money")
    for role in ("viewer", "analyst", "marketer"):
        page = failing.browser(role).get(f"/data/failed/{number}")
        assert page.status_code == 200
        assert "customer-7" not in page.text
        assert "4O,00" not in page.text
    audit = failing.console.world.audit
    assert audit is not None
    before = len(audit.entries())
    page = failing.browser("privacy").get(f"/data/failed/{number}").text
    assert "customer-7" in page
    assert "4O,00" in page
    assert "<script>alert" not in page
    _, entry = audit.entries()[-1]
    assert (len(audit.entries()), entry.action, entry.subject) == (before + 1, "failed.read", str(number))
    assert "customer-7" not in str(entry)
    assert failing.browser("privacy").get(f"/data/failed/{number + 99}").status_code == 404


def test_another_store_has_its_own_failed_events(failing: Site) -> None:
    number = code_of(failing, "invalid_money")
    browser = failing.browser("admin")
    assert browser.get(f"/console/default/test/data/failed/{number}").status_code == 404
    assert "invalid_money" not in browser.get("/console/default/test/data").text


def test_an_event_is_repaired_and_tried_again_by_the_server(failing: Site) -> None:
    number = code_of(failing, "invalid_money")
    with served(failing) as site:
        browser = site.browser("admin", name="ada")
        place = f"/data/failed/{number}/repair"
        wrong = browser.post(place, {"path": "properties.subtotal", "value": "much"})
        assert (wrong.status_code, "invalid_money" in wrong.text) == (400, True)
        assert browser.post(place, {"path": "properties.nothing", "value": "1"}).status_code == 400
        assert browser.post(place, {"path": "", "value": "1"}).status_code == 400
        done = browser.post(place, {"path": "properties.subtotal", "value": "40.00"})
        assert done.headers["location"].endswith(f"/data/failed/{number}?done=repaired")
        tried = browser.post("/data/failed/replay", {"number": str(number)}).text
        assert "1 event was tried again." in tried
        assert browser.get(f"/data/failed/{number}").status_code == 404, "it is stored"
        rest = browser.post("/data/failed/replay", {"all": "1"}).text
        assert "no_payload" in rest, "an undeclared event has nothing to try"
        gone = browser.post("/data/failed/discard", {"code": "undeclared_event"})
        assert "count=1" in gone.headers["location"]
        assert browser.post("/data/failed/discard", {}).status_code == 400
        audit = site.console.world.audit
        assert audit is not None
        entries = [entry for _, entry in audit.entries() if entry.action.startswith("failed.")]
        assert {entry.actor for entry in entries} == {"person:ada"}
        assert [entry.action for entry in entries][-3:] == ["failed.replay", "failed.replay", "failed.discard"]
    assert groups(failing.console.world, Tenant()) == []


def test_nobody_settles_without_the_role_or_the_server(failing: Site) -> None:
    number = str(code_of(failing, "invalid_money"))
    for role in ("viewer", "marketer", "privacy"):
        assert failing.browser(role).post("/data/failed/discard", {"number": number}).status_code == 403
    away = failing.browser("analyst").post("/data/failed/discard", {"number": number})
    assert (away.status_code, "no_server" in away.text) == (503, True)


def test_a_page_has_fifty_and_the_next_goes_on(site: Site) -> None:
    fill(site.folder, [track("Wheel Spun", number=number) for number in range(60)], decides=0)
    browser = site.browser("viewer")
    first = browser.get("/data/failed").text
    assert first.count("undeclared_event</td>") == 50
    after = first.split("after=")[1].split('"')[0]
    assert browser.get("/data/failed", after=after).text.count("undeclared_event</td>") == 10


def test_ages_and_remedies(site: Site) -> None:
    now = site.console.world.clock.now()
    with open_world(site.folder) as world:
        ages = (0, 3, 3, 40)
        failures = [Failure(Tenant(), now - age * DAY, "invalid_money", "wrong", "x", 1) for age in ages]
        world.store.commit(Changes(failures=failures))
    [found] = groups(site.console.world, Tenant())
    assert (found.count, found.ages, found.remedy) == (4, (1, 2, 1), "field")
    assert remedy_of("undeclared_event") == "declare"
    assert remedy_of("what_nobody_knows") == "sender"


# --- drift ---


def test_what_arrives_undeclared_is_shown_with_what_to_add(failing: Site) -> None:
    fill(failing.folder, [track("Cart Viewed", gift_wrap="yes", **{"mail to jane@example.com": 1})], decides=0)
    assert failing.console.world.registry.documents(KIND)
    page = failing.browser("viewer").get("/data/drift").text
    for text in ("properties.gift_wrap", "Wheel Spun: {fields: {}", "Cart Viewed: {fields: {gift_wrap: text}}"):
        assert text in page, text
    assert "jane" not in page
    assert "invalid_money" in page, "a value of another kind"


@pytest.mark.parametrize(
    ("event", "field", "yaml"),
    [
        ("Cart Viewed", "properties.gift", "events:\n  Cart Viewed: {fields: {gift: text}}\n"),
        ("Identified", "traits.shoe_size", "traits:\n  shoe_size: text\n"),
        ("Wheel Spun", "", "events:\n  Wheel Spun: {fields: {}, purpose: personalization}\n"),
        ("Cart Viewed", "properties.a-b", 'events:\n  Cart Viewed: {fields: {"a-b": text}}\n'),
        ("", "", ""),
    ],
)
def test_what_to_add_is_a_playbook(event: str, field: str, yaml: str) -> None:
    assert hint(event, field) == yaml


# --- the catalogue ---

MUGS = {
    "mug": Product("mug", "Mug", 1250, 600, 3, "kitchen", image="/mug.png", titles={"de": "Becher"}),
    "twin": Product("twin", "mug", 1250, stock=0),
    "pill": Product("pill", HOSTILE, sensitive=True),
}


def test_the_figures_of_a_catalogue() -> None:
    found = counted(MUGS, Tenant(), 7, 5)
    assert (found.products, found.sold_out, found.sensitive, found.twins) == (3, 1, 1, 2)
    assert found.have == {"price": 2, "stock": 2, "cost": 1, "category": 1, "image": 1, "locales": 1}
    assert not Shelf(found, None, known=True).stale(5 + STALE)
    assert Shelf(found, None, known=True).stale(6 + STALE)


def test_a_catalogue_is_compared_with_the_day_before(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, goods, catalogue = site.browser("viewer"), site.console.goods, site.console.world.catalogue
    assert "No products" in browser.get("/data/catalogue").text
    clock = TestClock(SystemClock().now() - 3 * DAY)
    monkeypatch.setattr(goods, "_world", msgspec.structs.replace(site.console.world, clock=clock))
    catalogue.upsert(Tenant(), MUGS.values())
    goods.note_all()
    assert goods.shelf(Tenant()).before is None
    clock.wait(days=3)
    assert goods.shelf(Tenant()).stale(clock.now())
    catalogue.upsert(Tenant(), [MUGS["mug"]], replace=True)
    goods.note_all()
    goods.note_all()
    shelf = goods.shelf(Tenant())
    assert shelf.before is not None
    assert (shelf.now.products, shelf.before.products, shelf.known) == (1, 3, True)
    page = browser.get("/data/catalogue").text
    assert "100%" in page
    assert "<script>alert" not in page


# --- what is kept ---


def test_what_is_kept_and_what_waits(site: Site) -> None:
    page = site.browser("viewer").get("/data/keeping").text
    for text in ("cashwrap.db", "keys.db", "none known", "Room on the disk", "This store has none."):
        assert text in page, text


def test_the_last_backup_is_the_last_that_did_not_fail(site: Site) -> None:
    trail, audit = site.console.trail, site.console.world.audit
    assert last_backup(audit) == 0
    trail.leave(Note("command:ops", "backup.make", "d1"))
    made = last_backup(audit)
    for action in ("key.create", "backup.make", "backup.make.failed", *["key.create"] * 9):
        trail.leave(Note("command:ops", action, "x"))
    assert last_backup(audit) == made > 0
    assert kept(site.console.world, site.folder, Tenant()).backup == made
