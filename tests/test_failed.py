"""Failed events: kept as far as the shopper allows, mended, tried again, and counted once whatever happens between."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import failed, profiles, repair
from cashwrap.adapters.memory import MemoryStore
from cashwrap.backlog import Backlog
from cashwrap.engine import World
from cashwrap.errors import Forgotten, InvalidEvent, InvalidInput, Unavailable
from cashwrap.events import Accounting
from cashwrap.failed import Chosen
from cashwrap.folding import read_events
from cashwrap.model import Tenant
from cashwrap.ports import Changes, Failure
from cashwrap.repair import CONFLICT
from cashwrap.window import Window
from engines import LIVE, Shop, TestClock, folder_world, memory_world, shop_over

ANN = {"anonymousId": "ann"}
ALL = Chosen()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        shop.consents(ANN)
        yield shop


def failures(shop: Shop) -> list[Failure]:
    return shop.engine.world.failed.failures()


def mend(shop: Shop, number: int, sets: dict[str, str] | None = None, *unsets: str) -> Failure:
    world = shop.engine.world
    failure = failed.find(world, number)
    return failed.mend(world, failure, failed.mended(world, shop.engine.live.normaliser, failure, sets or {}, unsets))


def views(shop: Shop, price: object = 12.5, **more: Any) -> dict[str, Any]:
    return shop.event(event="Product Viewed", properties={"product_id": "mug", "price": price}, **ANN) | more


def refuses(shop: Shop, event: dict[str, Any], **how: Any) -> Failure:
    account = shop.keeps(event, **how)
    assert (account.received, account.failed) == (1, 1)
    return failures(shop)[-1]


def payload(shop: Shop, failure: Failure) -> dict[str, Any]:
    told: Any = failed.described(shop.engine.world, failure)
    return told


def kept_events(shop: Shop) -> list[Any]:
    """What the log holds, opened."""
    vault = shop.engine.world.vault
    return [
        event
        for record in shop.engine.world.store.log()
        if record.kind == "events"
        for event in read_events(vault.open(record.shopper, record.payload))
    ]


# --- what is kept of them ---


def test_an_event_with_a_wrong_field_is_kept_but_for_that(shop: Shop) -> None:
    failure = refuses(shop, views(shop, "12,5O", context={"locale": "de-DE", "ip": "203.0.113.9"}))
    assert (failure.code, failure.path) == ("invalid_money", "properties.price")
    told = payload(shop, failure)
    assert told["event"]["name"] == "Product Viewed"
    assert told["event"]["properties"] == {"product_id": "mug"}
    assert told["broken"] == {"properties.price": "12,5O"}
    assert b"12,5O" not in repr(failure).encode()


def test_several_wrong_fields_products_included(shop: Shop) -> None:
    lines = [{"product_id": "a", "price": 1}, {"product_id": "b", "price": -1, "quantity": "many"}]
    properties = {"order_id": "o-1", "subtotal": "much", "products": lines, "undeclared": "canary"}
    failure = refuses(shop, shop.event(event="Order Completed", properties=properties, **ANN))
    told = payload(shop, failure)
    assert told["broken"] == {
        "properties.subtotal": "much",
        "properties.products[1].price": "-1",
        "properties.products[1].quantity": "many",
    }
    assert "canary" not in str(told)


@pytest.mark.parametrize(
    "event",
    [
        {"event": "Nobody Declared This", "properties": {"note": "canary"}},
        {"event": "Product Viewed", "properties": {"product_id": "mug"}, "timestamp": "canary"},
        {"event": "Order Completed", "properties": {"order_id": "1", "currency": "CANARY", "subtotal": 3}},
        {"event": "Order Completed", "properties": {"order_id": "1", "products": ["canary"]}},
        {"event": "Order Completed", "properties": {"order_id": "1", "products": [{"price": "canary"}]}},
    ],
)
def test_what_cannot_be_mended_leaves_its_reason_only(shop: Shop, event: dict[str, Any]) -> None:
    failure = refuses(shop, shop.event(**event, **ANN))
    assert failure.payload is None
    assert payload(shop, failure).get("event") is None
    with pytest.raises(InvalidInput, match="only the reason") as caught:
        repair.opened(shop.engine.world.vault, failure)
    assert caught.value.code == "no_payload"
    assert failed.replay(shop.engine, ALL).left == {failure.sequence: "no_payload"}
    assert failures(shop) == [failure]


def test_too_many_wrong_fields_leave_the_reason_only(shop: Shop) -> None:
    lines = [{"product_id": str(at), "price": "x"} for at in range(9)]
    assert refuses(shop, shop.event(event="Order Completed", properties={"products": lines}, **ANN)).payload is None
    assert refuses(shop, shop.event(event="Order Completed", properties={"products": lines[:7]}, **ANN)).payload


def test_nothing_is_kept_of_who_did_not_agree_or_is_unknown(shop: Shop) -> None:
    shop.consents({"anonymousId": "bob"}, personalization="denied", analytics="denied", advertising="denied")
    for who in ("bob", "nobody"):
        assert refuses(shop, views(shop, "x", anonymousId=who)).payload is None


def test_wrong_values_lose_cards_and_addresses(shop: Shop) -> None:
    failure = refuses(shop, views(shop, "4111 1111 1111 1111 ada@example.com"))
    assert payload(shop, failure)["broken"] == {"properties.price": "[removed] [removed]"}


def test_a_consent_that_comes_with_the_wrong_event_is_for_the_event_alone(shop: Shop) -> None:
    choices = {"consent": {"categoryPreferences": {"personalization": True, "analytics": True}}}
    assert refuses(shop, views(shop, "x", anonymousId="new", context=choices)).payload is None


# --- repaired and tried again ---


def test_mended_and_tried_again_it_is_an_event_like_any_other(shop: Shop) -> None:
    happened = shop.clock.now()
    failure = refuses(shop, views(shop, "12,5O"))
    shop.clock.wait(days=2)
    with pytest.raises(InvalidInput, match="still wrong") as caught:
        repair.again(repair.opened(shop.engine.world.vault, failure), failure, 0)
    assert caught.value.code == "still_broken"
    assert failed.replay(shop.engine, ALL).left == {failure.sequence: "still_broken"}
    mend(shop, failure.sequence, {"properties.price": "12.50"})
    told = failed.replay(shop.engine, Chosen((failure.sequence,)))
    assert (told.tried, told.stored, told.left) == (1, 1, {})
    assert failures(shop) == []
    event = kept_events(shop)[-1]
    assert event.properties == {"product_id": "mug", "price": 1250}
    assert (event.time, event.received) == (happened, shop.clock.now())


def test_every_kind_of_mend(shop: Shop) -> None:
    lines = [{"product_id": "a", "price": 1}, {"product_id": "b", "unknown": 1, "price": "x"}]
    properties = {"order_id": "o-1", "subtotal": 3, "coupon": "C", "products": lines}
    number = refuses(shop, shop.event(event="Order Completed", properties=properties, **ANN)).sequence
    mend(
        shop,
        number,
        {"properties.products[1].price": "2.5", "properties.products[0].quantity": "3", "properties.total": "9"},
        "properties.coupon",
        "properties.products[0].price",
    )
    event = repair.opened(shop.engine.world.vault, failed.find(shop.engine.world, number)).event
    [first, second] = event.properties["products"]  # type: ignore[misc]
    assert (first.price, first.quantity, second.price) == (None, 3, 250)
    assert event.properties["total"] == 900
    assert "coupon" not in event.properties
    mend(
        shop, number, {"properties.products": '[{"product_id": "z", "price": 1.25}]'}, "properties.products[0].quantity"
    )
    event = repair.opened(shop.engine.world.vault, failed.find(shop.engine.world, number)).event
    assert event.properties["products"][0].price == 125  # type: ignore[index]


def test_a_field_mended_under_its_newer_name_is_mended(shop: Shop) -> None:
    event = shop.event(event="Order Completed", properties={"orderId": "7", "revenue": "x"}, **ANN)
    failure = refuses(shop, event)
    [broken] = payload(shop, failure)["broken"]
    assert broken == "properties.revenue"
    names = {name for name, (own, _) in _fields(shop).items() if own == _fields(shop)["revenue"][0]} - {"revenue"}
    kept = mend(shop, failure.sequence, {f"properties.{(names or {'revenue'}).pop()}": "5"})
    assert payload(shop, kept)["broken"] == {}


def _fields(shop: Shop) -> dict[str, Any]:
    tables = shop.engine.live.normaliser.tables(2, scrubbing=True)
    return tables.tracked["Order Completed"].fields


@pytest.mark.parametrize(
    ("sets", "unsets", "code"),
    [
        ({"properties.price": "12,50"}, (), "invalid_money"),
        ({"properties.nothing": "1"}, (), "no_such_field"),
        ({"price": "1"}, (), "no_such_field"),
        ({"properties.products[7].price": "1"}, (), "no_such_field"),
        ({"properties.currency": "JPY"}, (), "no_such_field"),
        ({"properties.products": "[1"}, (), "invalid_json"),
        ({}, ("properties.email",), "no_such_field"),
        ({}, ("properties.__class__",), "no_such_field"),
    ],
)
def test_a_mend_that_is_none_changes_nothing(
    shop: Shop, sets: dict[str, str], unsets: tuple[str, ...], code: str
) -> None:
    properties = {"order_id": "1", "subtotal": "x", "products": [{"product_id": "a"}]}
    failure = refuses(shop, shop.event(event="Order Completed", properties=properties, **ANN))
    if "price" in str(sets) and "products" not in str(sets) and sets != {"price": "1"}:
        failure = refuses(shop, views(shop, "x"))
    with pytest.raises((InvalidInput, InvalidEvent)) as caught:
        mend(shop, failure.sequence, sets, *unsets)
    assert caught.value.code == code
    assert failed.find(shop.engine.world, failure.sequence) == failure


def test_an_event_that_is_declared_no_more_cannot_be_mended(shop: Shop) -> None:
    failure = refuses(shop, views(shop, "x"))
    unkept = repair.opened(shop.engine.world.vault, failure)
    gone = repair.Unkept(_renamed(unkept.event, "Gone"), unkept.broken)
    with pytest.raises(InvalidInput, match="declares no event") as caught:
        repair.mended(gone, {"properties.price": "1"}, (), shop.engine.live.normaliser)
    assert caught.value.code == "undeclared_event"


def _renamed(event: Any, name: str) -> Any:
    return msgspec.structs.replace(event, name=name)


def test_a_conflict_comes_again_under_an_id_of_its_own_and_counts_once(shop: Shop) -> None:
    first = views(shop)
    other = {**first, "properties": {"product_id": "cup", "price": 3}}
    assert shop.keeps(first).stored == 1
    assert [shop.keeps(other).conflict for _ in range(3)] == [1, 1, 1], "delivered three times"
    assert [failure.code for failure in failures(shop)] == [CONFLICT] * 3
    told = failed.replay(shop.engine, Chosen(code=CONFLICT))
    assert (told.tried, told.stored, told.duplicate, told.left) == (3, 1, 2, {})
    assert failures(shop) == []
    assert [event.properties["product_id"] for event in kept_events(shop)[-2:]] == ["mug", "cup"]
    assert shop.keeps(first).duplicate == 1


def test_what_its_sender_mended_meanwhile_is_not_counted_twice(shop: Shop) -> None:
    broken = views(shop, "x")
    number = refuses(shop, broken).sequence
    assert shop.keeps({**broken, "properties": {"product_id": "mug", "price": 9}}).stored == 1
    mend(shop, number, {"properties.price": "9"})
    told = failed.replay(shop.engine, ALL)
    assert (told.stored, told.conflict, told.left) == (0, 1, {number: "conflict"})
    assert [failure.sequence for failure in failures(shop)] == [number], "and no second failure is made of it"


def test_the_consent_of_this_moment_counts(shop: Shop) -> None:
    number = refuses(shop, views(shop, "x")).sequence
    mend(shop, number, {"properties.price": "9"})
    stored = len(kept_events(shop))
    shop.clock.wait(minutes=1)
    shop.consents(ANN, personalization="denied", analytics="denied", advertising="denied")
    told = failed.replay(shop.engine, ALL)
    assert (told.dropped_by_consent, told.left) == (1, {})
    assert failures(shop) == []
    assert all(event.name != "Product Viewed" for event in kept_events(shop)[stored:])


def test_a_feature_that_fails_again_leaves_it_where_it_was(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(profiles, "fold", fails)
        assert shop.keeps(views(shop)).failed == 1
        [before] = failures(shop)
        assert before.code == "fold_failed"
        assert failed.replay(shop.engine, ALL).left == {before.sequence: "failed"}
        assert failures(shop) == [before]
    assert failed.replay(shop.engine, ALL).stored == 1


def test_the_forgotten_leave_nothing_to_try(shop: Shop) -> None:
    failure = refuses(shop, views(shop, "x"))
    key = shop.key(anonymous="ann")
    assert key is not None
    shop.engine.forget(key)
    with pytest.raises(Forgotten):
        repair.opened(shop.engine.world.vault, failure)
    told = failed.replay(shop.engine, ALL)
    assert (told.tried, told.stored) == (0, 0)
    assert set(told.left.values()) <= {"forgotten"}


def test_a_merge_carries_its_failures_along(shop: Shop) -> None:
    number = refuses(shop, views(shop, "x")).sequence
    mend(shop, number, {"properties.price": "9"})
    user = {"userId": "u-1", **ANN}
    shop.consents(user, trusted=True)
    shop.keeps(shop.event("identify", **user), trusted=True)
    assert failed.replay(shop.engine, ALL).stored == 1


def test_tenants_are_apart(shop: Shop) -> None:
    number = refuses(shop, views(shop, "x")).sequence
    other = Chosen(tenant=Tenant("default", "test"))
    assert failed.listed(shop.engine.world, other) == []
    with pytest.raises(InvalidInput) as caught:
        failed.find(shop.engine.world, number, other.tenant)
    assert caught.value.code == "no_such_event"
    assert failed.discard(shop.engine.world, other) == 0
    with pytest.raises(InvalidInput):
        failed.discard(shop.engine.world, Chosen((number,), tenant=other.tenant))
    assert failed.discard(shop.engine.world, Chosen((number,), tenant=LIVE)) == 1


def test_pages_go_on_where_they_ended(shop: Shop) -> None:
    shop.keeps(*(views(shop, "x") for _ in range(7)))
    numbers = [failure.sequence for failure in failures(shop)]
    for number in numbers:
        mend(shop, number, {"properties.price": "1"})
    first = failed.replay(shop.engine, ALL, most=5)
    assert (first.stored, first.next) == (5, numbers[4])
    second = failed.replay(shop.engine, ALL, first.next or 0, 5)
    assert (second.stored, second.next) == (2, None)


# --- the books ---


def test_the_equation_holds_replays_included(shop: Shop) -> None:
    before = shop.engine.account()
    good, bad = views(shop), views(shop, "x")
    shop.keeps(good, bad, good)
    shop.keeps({**good, "properties": {"product_id": "other"}})
    account = shop.engine.account()
    assert account.balanced()
    assert (account.received - before.received, account.failed, account.conflict) == (4, 1, 1)
    failed.replay(shop.engine, ALL)  # the conflict is stored, the other one not tried
    after = shop.engine.account()
    assert after.balanced()
    assert (after.received - account.received, after.stored - account.stored) == (1, 1)
    assert after.failed == account.failed


class Dies(Exception):
    """The process is gone."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_dying_around_the_commit_loses_and_doubles_nothing(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TestClock()
    world = memory_world(clock)
    with shop_over(world) as shop:
        shop.consents(ANN)
        number = refuses(shop, views(shop, "x")).sequence
        mend(shop, number, {"properties.price": "9"})
        commit = MemoryStore.commit

        def dying(store: MemoryStore, changes: Changes) -> int:
            if when == "after":
                commit(store, changes)
            raise Unavailable("the process died")

        with monkeypatch.context() as patch:
            patch.setattr(MemoryStore, "commit", dying)
            with pytest.raises(Unavailable):
                failed.replay(shop.engine, ALL)
        if when == "before":
            assert len(failures(shop)) == 1
    with shop_over(world) as shop:  # a new process over the same store
        told = failed.replay(shop.engine, ALL)
        assert told.stored == (1 if when == "before" else 0)
        assert failures(shop) == []
        assert [event.name for event in kept_events(shop)].count("Product Viewed") == 1


def test_a_window_that_settles_before_it_stores_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: the failure goes although its event did not."""
    take = Window.take

    def hasty(window: Window, submission: Any) -> None:
        take(window, submission)
        if submission.replays and submission.replays not in window._settled:
            window._settled.append(submission.replays)

    with shop_over(memory_world(TestClock())) as shop:
        shop.consents(ANN)
        broken = views(shop, "x")
        number = refuses(shop, broken).sequence
        shop.keeps({**broken, "properties": {"product_id": "mug", "price": 9}})
        mend(shop, number, {"properties.price": "9"})
        monkeypatch.setattr(Window, "take", hasty)
        assert failed.replay(shop.engine, ALL).left == {number: "conflict"}
        assert failures(shop) == [], "said to stay, and gone: what the tests above would see"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["1", "2", "x"])), max_size=12), st.data())
def test_whatever_is_sent_mended_and_tried_again_counts_once(sent: list[tuple[int, str]], data: st.DataObject) -> None:
    """The oracle: of one id and body one event, whichever way it came, and the books are balanced."""
    with shop_over(memory_world(TestClock())) as shop:
        shop.consents(ANN)
        for number, price in sent:
            event = {"type": "track", "event": "Product Viewed", "messageId": f"m{number}", **ANN}
            shop.keeps({**event, "properties": {"product_id": "p", "price": price}})
            if data.draw(st.booleans()):
                failed.replay(shop.engine, ALL)
        for _ in range(2):
            failed.replay(shop.engine, ALL)
            assert shop.engine.account().balanced()
        bodies = {(number, price) for number, price in sent if price != "x"}
        stored = [(event.id.partition("~")[0], event.properties["price"]) for event in kept_events(shop)[1:]]
        assert sorted(stored) == sorted((f"m{number}", int(price) * 100) for number, price in bodies)
        assert {failure.code for failure in failures(shop)} <= {"invalid_money"}
        assert len(failures(shop)) == [price for _, price in sent].count("x")


# --- no room ---


def small(shop: Shop, most: int) -> Backlog:
    shop.engine.backlog = Backlog(shop.engine.world.failed, shop.clock, most)
    return shop.engine.backlog


def test_without_room_nothing_is_dropped_unseen(shop: Shop) -> None:
    backlog = small(shop, 2)
    shop.keeps(*(views(shop, "x") for _ in range(5)))
    assert (len(failures(shop)), backlog.missed, backlog.room()) == (2, 3, 0)
    good = views(shop)
    assert shop.keeps(good).stored == 1, "others go on"
    conflicting, neighbour = {**good, "properties": {"product_id": "cup"}}, views(shop)
    before = shop.engine.account()
    submission, _ = shop.batch(conflicting, neighbour)
    assert isinstance(submission.error, Unavailable)
    assert submission.error.code == "failed_events_full"
    assert submission.accounting == Accounting(received=1, stored=1), "the other one has no fate yet"
    assert shop.engine.account().balanced()
    assert shop.engine.account().conflict == before.conflict
    failed.discard(shop.engine.world, ALL)
    shop.clock.wait(minutes=1)
    again = shop.keeps(conflicting, neighbour)
    assert (again.conflict, again.duplicate) == (1, 1)
    assert backlog.turned_away == 1


def test_what_fails_in_one_window_shares_its_room(shop: Shop) -> None:
    small(shop, 3)
    good = views(shop)
    shop.keeps(good)
    submission, _ = shop.batch(
        *({**good, "properties": {"product_id": str(at)}} for at in range(5)), views(shop, "x"), views(shop)
    )
    assert submission.error is not None
    assert submission.accounting == Accounting(received=5, conflict=3, failed=1, stored=1)
    assert len(failures(shop)) == 3


def test_ages_are_told_by_code(shop: Shop) -> None:
    for days in (30, 20, 5, 0):  # they wait 55, 25, 5 and 0 days
        shop.keeps(views(shop, "x"))
        shop.clock.wait(days=days)
    shop.clock.wait(minutes=1)
    backlog = shop.engine.backlog
    backlog.refresh()
    code = "invalid_money"
    assert backlog.ages() == {(code, "older"): 1, (code, "30d"): 1, (code, "7d"): 1, (code, "1d"): 1}


# --- both stores, and commands ---


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_the_store_keeps_mends_counts_and_settles(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        clock = TestClock()
        world: World = stack.enter_context(folder_world(tmp_path, clock)) if kind == "folder" else memory_world(clock)
        kept = [
            Failure(LIVE, at * 86_400_000 + 5, f"c{at % 2}", "m", "p", 1, b"x" * 30 if at else None) for at in range(4)
        ]
        world.store.commit(Changes(failures=kept))
        numbers = [failure.sequence for failure in world.failed.failures()]
        assert world.failed.failure(numbers[2]) == world.failed.failures()[2]
        assert world.failed.failure(999) is None
        assert world.failed.rewrite(numbers[1], b"mended")
        assert not world.failed.rewrite(numbers[0], b"has no payload")
        assert not world.failed.rewrite(999, b"is not there")
        assert [failure.payload for failure in world.failed.failures()][:2] == [None, b"mended"]
        assert world.failed.tally() == [
            (LIVE, "c0", 0, 1),
            (LIVE, "c0", 2 * 86_400_000, 1),
            (LIVE, "c1", 86_400_000, 1),
            (LIVE, "c1", 3 * 86_400_000, 1),
        ]
        world.store.commit(Changes(settled=[numbers[0], numbers[3], 999]))
        assert [failure.sequence for failure in world.failed.failures()] == numbers[1:3]
