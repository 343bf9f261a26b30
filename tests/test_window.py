"""One commit's worth of events: what is logged in which order, and that nothing is visible before it is durable."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from cashwrap import codec, consent
from cashwrap.engine import World
from cashwrap.errors import Unavailable
from cashwrap.model import Event, Purpose
from cashwrap.names import digest_of
from cashwrap.ports import ShopperKey
from cashwrap.repair import failure_of
from cashwrap.window import Context, Submission, Window
from engines import LIVE, START, Shop, TestClock, memory_world, shop_over, starter

EVERYTHING = Purpose.NECESSARY | Purpose.ANALYTICS | Purpose.PERSONALIZATION


@pytest.fixture
def world() -> World:
    return memory_world(TestClock())


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    with shop_over(world) as shop:
        yield shop


def event(name: str = "Product Viewed", number: int = 0, **fields: Any) -> Event:
    return Event(
        id=f"m{number}",
        name=name,
        time=START,
        received=START,
        mask=EVERYTHING.value,
        source="key",
        fingerprint=bytes([number]) * 8,
        **fields,
    )


def context(shop: Shop) -> Context:
    return shop.engine._context()


def folded(shop: Shop, *events: Event) -> Window:
    window = Window(context(shop))
    submission = Submission(LIVE, events)
    window.prefetch([submission])
    window.take(submission)
    assert submission.accounting.balanced()
    return window


def test_a_declared_basis_counts_only_where_nobody_refused(shop: Shop) -> None:
    """What an import declares may not bring back what the very same event denies."""
    refusal = {"personalization": "denied", "analytics": "denied"}
    window = folded(shop, event("Product Viewed", anonymous_id="imported"))
    assert window.changes().records[0].mask == EVERYTHING
    window = folded(shop, event("Consent Updated", anonymous_id="imported", choices=refusal))
    assert window.changes().records[0].mask == Purpose.NECESSARY


def test_one_record_holds_what_one_request_says_of_one_shopper(shop: Shop) -> None:
    events = [event(number=n, anonymous_id="ab"[n % 2] * 9) for n in range(6)]
    records = folded(shop, *events).changes().records
    assert len(records) == 2
    decode = codec.decoder(list[Event]).decode
    held = [decode(shop.engine.world.vault.open(record.shopper, record.payload)) for record in records]
    assert [[each.id for each in batch] for batch in held] == [["m0", "m2", "m4"], ["m1", "m3", "m5"]]


def test_the_log_tells_a_merge_before_what_follows_it(shop: Shop) -> None:
    """The user's record of before the merge is not continued after it: a rebuild reads in log order."""
    events = [
        event(number=0, user_id="u", trusted=True),
        event(number=1, anonymous_id="device"),
        event(number=2, user_id="u", anonymous_id="device", trusted=True),
        event(number=3, anonymous_id="device"),
    ]
    changes = folded(shop, *events).changes()
    assert [record.kind for record in changes.records] == ["events", "events", "merge", "events"]
    last = shop.engine.world.vault.open(changes.records[-1].shopper, changes.records[-1].payload)
    assert [each.id for each in codec.decoder(list[Event]).decode(last)] == ["m2", "m3"]
    gone = [key for key, row in changes.rows.items() if row is None]
    assert [key.shopper for key in gone] == [changes.records[1].shopper]
    assert set(changes.identities.values()) == {ShopperKey(LIVE, changes.records[0].shopper)}


def test_identifiers_are_kept_as_keyed_hashes_only(shop: Shop) -> None:
    window = folded(shop, event(anonymous_id="canary-device", cart_token="canary-cart-token", email_hash="0" * 32))
    changes = window.changes()
    vault = shop.engine.world.vault
    assert set(changes.identities) == {
        digest_of(vault, (LIVE, kind, value))
        for kind, value in (("anonymous", "canary-device"), ("cart", "canary-cart-token"))
    }, "an address that a browser claims names nobody"
    assert b"canary" not in repr(changes).encode()


def test_a_window_shows_nothing_until_it_is_published(shop: Shop) -> None:
    window = folded(shop, event(anonymous_id="early"))
    window.changes()
    assert shop.profile(anonymous="early") is None
    shop.engine.hot.identities.clear()
    window.publish()
    assert shop.profile(anonymous="early") is not None


def test_an_abandoned_window_leaves_no_id_behind(shop: Shop) -> None:
    """The ids of recent events are shared with memory: what was not committed must not look like a repeat."""
    shop.consents({"anonymousId": "someone-here"})
    window = folded(shop, event(number=9, anonymous_id="someone-here"))
    window.abandon()
    again = folded(shop, event(number=9, anonymous_id="someone-here"))
    assert len(again.changes().records) == 1


def test_a_store_that_fails_while_folding_fails_the_whole_window(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any) -> None:
        raise Unavailable("no catalogue")

    monkeypatch.setattr(consent, "gate", unavailable)
    with pytest.raises(Unavailable):
        folded(shop, event(anonymous_id="someone-else"))


def test_a_cart_or_address_joins_only_on_the_backends_word(shop: Shop) -> None:
    shop.keeps({**shop.event("consent", anonymousId="guest-one", choices={"personalization": "granted"})})
    shop.keeps({**shop.views({"anonymousId": "guest-one"}), "context": {"cart": {"token": "cart-1-of-guest-one"}}})
    order = {**shop.orders({}, "77", 20.0), "context": {"cart": {"token": "cart-1-of-guest-one"}}}
    shop.keeps(order, trusted=True)
    guest = shop.profile(anonymous="guest-one")
    assert guest is not None
    assert list(guest.orders) == ["77"]
    shop.consents({"anonymousId": "guest-two"})
    shop.keeps({**shop.views({"anonymousId": "guest-two"}), "context": {"cart": {"token": "cart-1-of-guest-one"}}})
    other = shop.profile(anonymous="guest-two")
    assert other is not None
    assert other.id != guest.id


def test_a_failure_without_its_event_holds_nothing_of_it() -> None:
    failure = failure_of(LIVE, event(anonymous_id="canary"), "event_failed")
    assert "canary" not in repr(failure)
    assert failure.payload is None


def test_an_event_of_another_persons_device_begins_a_profile_of_its_own(shop: Shop) -> None:
    window = folded(
        shop,
        event(number=1, user_id="one", anonymous_id="shared", trusted=True),
        event(number=2, user_id="two", anonymous_id="shared", trusted=True),
        event(number=3, anonymous_id="shared"),
    )
    changes = window.changes()
    assert len(changes.rows) == 2
    assert [record.kind for record in changes.records] == ["events", "events"]
    decode = codec.decoder(list[Event]).decode
    first = decode(shop.engine.world.vault.open(changes.records[0].shopper, changes.records[0].payload))
    assert [each.id for each in first] == ["m1", "m3"]
    assert starter().hash
    assert msgspec.structs.asdict(changes)
