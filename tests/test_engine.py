"""The life of an event over the true engine: who it is about, whether it may be kept, that it counts exactly once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cashwrap import codec, profiles, shoppers, window
from cashwrap.engine import World
from cashwrap.errors import Forgotten, Unavailable
from cashwrap.events import Refused
from cashwrap.events.accounting import Accounting
from cashwrap.model import Product, Tenant
from cashwrap.playbook import load_playbook
from cashwrap.ports import Changes, ShopperKey
from cashwrap.request import ShopperRef
from engines import BROWSER, LIVE, STARTER, Shop, TestClock, folder_world, memory_world, shop_over

A, B = {"anonymousId": "anon-aaaaaaaaaaaaaaaa"}, {"anonymousId": "anon-bbbbbbbbbbbbbbbb"}
JONAS, MIRA = {"userId": "jonas"}, {"userId": "mira"}


@pytest.fixture
def world() -> World:
    return memory_world(TestClock())


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    with shop_over(world) as shop:
        yield shop


def kinds(shop: Shop) -> list[str]:
    return [record.kind for record in shop.engine.world.store.log()]


# --- identity ---


def test_a_device_joins_the_person_it_proves_to_be(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(shop.views(A), shop.views(A))
    shop.consents(JONAS, trusted=True)
    device, person = shop.key(anonymous=A["anonymousId"]), shop.key(user="jonas")
    assert device is not None
    assert person is not None
    assert device != person
    shop.keeps(shop.event("identify", **A, **JONAS), trusted=True)
    assert kinds(shop).count("merge") == 1
    assert shop.key(anonymous=A["anonymousId"]) == shop.key(user="jonas") == person
    joined = shop.profile(user="jonas")
    assert joined is not None
    assert joined.absorbed == [device.shopper]
    assert shop.explained(JONAS)["session_views"] == 2
    assert shop.engine.world.store.load([device]) == {}
    assert shop.engine.world.store.inside([device]) == {}
    [record] = [record for record in shop.engine.world.store.log() if record.kind == "merge"]
    opened = shop.engine.world.vault.open(record.shopper, record.payload)
    assert codec.decoder(bytes).decode(opened) == device.shopper
    assert record.received == shop.clock.now()


def test_a_merge_is_seen_by_other_sessions_of_the_store(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path, clock) as world, shop_over(world) as shop:
        shop.consents(A)
        shop.keeps(shop.views(A))
        shop.consents(JONAS, trusted=True)
        shop.keeps(shop.event("identify", **A, **JONAS), trusted=True)
        person = shop.key(user="jonas")
    with folder_world(tmp_path, clock, seed=2) as world, shop_over(world) as shop:
        assert shop.key(anonymous=A["anonymousId"]) == shop.key(user="jonas") == person
        assert shop.explained(JONAS)["session_views"] == 1


def test_two_people_on_one_device_never_become_one(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(shop.event("identify", token=shop.token("jonas"), traits={"firstName": "Jonas"}, **A))
    shop.keeps(shop.event("identify", token=shop.token("mira"), traits={"firstName": "Mira"}, **A))
    shop.consents({**A, **MIRA}, trusted=True)
    jonas, mira = shop.profile(user="jonas"), shop.profile(user="mira")
    assert jonas is not None
    assert mira is not None
    assert jonas.id != mira.id
    assert "merge" not in kinds(shop)
    assert [jonas.user_id, mira.user_id] == ["jonas", "mira"]
    assert "Mira" not in repr(jonas)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_second_person_is_never_shown_what_the_first_one_left_on_the_device(shop: Shop, known: bool) -> None:
    shop.consents(A)
    shop.keeps(shop.event("identify", token=shop.token("jonas"), traits={"firstName": "Jonas"}, **A))
    if known:
        shop.consents(MIRA, trusted=True)
    answer = shop.decide(shopper={**A, "token": shop.token("mira")}, context={})
    assert "Jonas" not in repr(answer)
    assert answer["level"] == ("profile" if known else "request")
    assert shop.decide(shopper={**A, **MIRA}, trusted=True)["level"] == answer["level"]


@pytest.mark.parametrize("word", ["null", "0000", "undefined", "", "  ", "-1", "None", "[object Object]"])
def test_a_blocked_id_names_nobody(shop: Shop, word: str) -> None:
    shop.consents(A)
    shop.consents(B)
    shop.keeps(shop.event("identify", **A, userId=word), trusted=True)
    shop.keeps(shop.event("identify", **B, userId=word), trusted=True)
    assert shop.key(anonymous=A["anonymousId"]) != shop.key(anonymous=B["anonymousId"])
    assert shop.key(user=word) is None


def test_one_person_gathers_only_so_many_devices(shop: Shop) -> None:
    shop.consents(JONAS, trusted=True)
    for number in range(profiles.ANONYMOUS_IDS + 10):
        device = {"anonymousId": f"kiosk-{number:04}"}
        shop.consents(device)
        shop.keeps(shop.event("identify", **device, **JONAS), trusted=True)
    jonas = shop.profile(user="jonas")
    assert jonas is not None
    assert len(jonas.absorbed) <= profiles.ANONYMOUS_IDS
    assert kinds(shop).count("merge") <= profiles.ANONYMOUS_IDS
    last = shop.profile(anonymous=f"kiosk-{profiles.ANONYMOUS_IDS + 9:04}")
    assert last is not None
    assert last.user_id is None


def test_a_browser_cannot_speak_for_a_person_without_proof(shop: Shop) -> None:
    shop.consents(JONAS, trusted=True)
    shop.keeps(shop.event("identify", **JONAS, traits={"firstName": "Jonas"}), trusted=True)
    before = shop.profile(user="jonas")
    shop.consents(A)
    for forged in ({}, {"token": "x.y.z"}, {"token": shop.token("jonas", secret=shop.secret_text + "x")}):
        shop.keeps(shop.event("identify", **A, **JONAS, traits={"firstName": "Eve"}, **forged))
        shop.keeps(shop.event("alias", **A, previousId="jonas", **JONAS, **forged))
        shop.keeps(shop.orders({**A, **JONAS}, "9", 900.0))
    assert shop.profile(user="jonas") == before
    assert shop.key(anonymous=A["anonymousId"]) != shop.key(user="jonas")


CANARY = "Canary7"


def test_no_answer_to_a_browser_holds_what_is_known_about_somebody(shop: Shop) -> None:
    shop.consents(JONAS, trusted=True)
    shop.keeps(shop.event("identify", **JONAS, traits={"firstName": CANARY}), trusted=True)
    for number in range(4):
        shop.keeps(shop.orders(JONAS, f"o{number}", 777.0), trusted=True)
    page = {"context": {"cart": {"total": 80}}}
    proven = {**A, "token": shop.token("jonas")}
    assert CANARY in repr(shop.decide(shopper=proven, **page)), "the test must be able to fail"
    other_store = Shop(shop.engine, shop.clock, Tenant("other", "live"))
    for claim in (
        JONAS,
        {**A, **JONAS},
        {**JONAS, "token": ""},
        {**JONAS, "token": "e30.e30.e30"},
        {**JONAS, "token": shop.token("jonas", now=shop.clock.now() - 3_600_000)},
        {**JONAS, "token": shop.token("jonas", life=7_200)},
        {**JONAS, "token": shop.token("jonas", store="other")},
        {**JONAS, "token": other_store.token("jonas")},
        {**JONAS, "token": other_store.token("jonas", store="default")},
        {**JONAS, "token": shop.token("jonas", secret=shop.public_text)},
    ):
        answer = shop.decide(shopper=claim, **page)
        assert CANARY not in repr(answer)
        assert answer["level"] == "request"


def test_an_id_that_is_an_address_finds_its_shopper(shop: Shop) -> None:
    """It is kept as a keyed hash; a question about it must take the same way."""
    who = {"userId": "Jonas@Shop.example"}
    shop.consents(who, trusted=True)
    assert shop.profile(user="Jonas@Shop.example") is not None
    assert shop.decide(shopper=who, trusted=True)["level"] == "profile"
    assert shop.decide(shopper={"token": shop.token(" jonas@shop.example ")})["level"] == "profile"


def test_stores_and_environments_never_meet(world: World) -> None:
    with shop_over(world) as live:
        others = [Shop(live.engine, live.clock, Tenant("default", "test")), Shop(live.engine, live.clock, Tenant("b"))]
        live.consents({**A, **JONAS}, trusted=True)
        live.keeps(live.views(A))
        for other in others:
            assert other.key(user="jonas") is None
            assert other.profile(anonymous=A["anonymousId"]) is None
            assert other.decide(shopper={**A, "token": live.token("jonas")})["level"] == "request"
            other.consents({**A, **JONAS}, trusted=True)
            same_id = {"type": "track", "event": "Product Viewed", "messageId": f"default-{live.sent}", **A}
            assert other.keeps(same_id).stored == 1
            assert other.key(user="jonas") != live.key(user="jonas")
        assert len({shop.key(user="jonas") for shop in (live, *others)}) == 3


# --- once ---


def test_a_repeat_counts_once_and_another_body_is_set_aside(shop: Shop) -> None:
    shop.consents(A)
    event = shop.views(A)
    assert shop.keeps(event).stored == 1
    assert shop.keeps(event, event).duplicate == 2
    changed = {**event, "properties": {"product_id": "mug-2"}}
    assert shop.keeps(changed).conflict == 1
    assert shop.explained(A)["session_views"] == 1
    [failure] = shop.engine.world.failed.failures()
    assert failure.code == "conflicting_message_id"
    assert failure.payload is not None


def test_a_repeat_after_the_merge_is_still_a_repeat(shop: Shop) -> None:
    shop.consents(A)
    event = shop.views(A)
    shop.keeps(event)
    shop.consents(JONAS, trusted=True)
    shop.keeps(shop.event("identify", **A, **JONAS), trusted=True)
    assert shop.keeps(event).duplicate == 1
    assert shop.explained(JONAS)["session_views"] == 1


def test_another_sender_cannot_use_up_an_id(shop: Shop) -> None:
    """An attacker who knows the id a victim will send, or its cart, keeps nothing of theirs from being stored."""
    shop.consents(A)
    shop.consents(B)
    event = shop.views(A)
    assert shop.keeps({**event, **B}).stored == 1
    assert shop.keeps(event).stored == 1


def test_a_restart_forgets_no_id(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path, clock) as world, shop_over(world) as shop:
        shop.consents(A)
        event = shop.views(A)
        shop.keeps(event)
        source = shop.public_text
    with folder_world(tmp_path, clock, seed=2) as world, shop_over(world) as shop:
        shop.public_text = source
        assert shop.keeps(event).duplicate == 1
        clock.wait(days=6)
        assert shop.keeps(event).duplicate == 1


def test_an_order_from_browser_and_backend_counts_once_and_net(shop: Shop) -> None:
    shop.consents({**A, **JONAS}, trusted=True)
    shop.keeps(shop.orders(A, "1001", 9_999.0))
    assert shop.explained(JONAS)["spent"] == 0
    shop.keeps(shop.orders(JONAS, "1001", 120.5), trusted=True)
    shop.keeps(shop.orders(A, "1001", 1.0))
    assert shop.explained(JONAS)["spent"] == 12_050
    assert shop.explained(JONAS)["orders"] == 1
    refund = shop.event(
        event="Order Refunded", properties={"order_id": "1001", "total": 20.5, "currency": "EUR"}, **JONAS
    )
    shop.keeps(refund, refund, trusted=True)
    assert shop.explained(JONAS)["spent"] == 10_000


# --- fate ---


def test_a_bad_event_leaves_its_neighbours(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.consents(A)
    fold = profiles.fold

    def poisoned(profile: Any, event: Any, features: Any) -> None:
        fold(profile, event, features)
        if event.properties.get("product_id") == "poison":
            raise ZeroDivisionError

    monkeypatch.setattr(profiles, "fold", poisoned)
    account = shop.keeps(shop.views(A), shop.views(A, "poison"), shop.views(A), shop.views(B, "poison"))
    assert (account.stored, account.failed, account.dropped_by_consent) == (2, 1, 1)
    assert shop.explained(A)["session_views"] == 2
    [failure] = shop.engine.world.failed.failures()
    assert (failure.code, failure.payload is not None) == ("fold_failed", True)


def test_what_fails_for_a_stranger_leaves_nothing_that_cannot_be_forgotten(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(profiles, "fold", broken)
    assert shop.consents(A).failed == 1
    [failure] = shop.engine.world.failed.failures()
    assert failure.payload is None
    monkeypatch.undo()
    assert shop.profile(anonymous=A["anonymousId"]) is None
    shop.consents(A)
    assert shop.profile(anonymous=A["anonymousId"]) is not None


def test_an_event_that_cannot_be_encoded_fails_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.consents(A)
    shop.consents(B)
    encode = profiles.encode

    def stubborn(profile: Any) -> bytes:
        if profile.wishlist:
            raise OverflowError
        return encode(profile)

    monkeypatch.setattr(profiles, "encode", stubborn)
    wish = shop.event(event="Product Added to Wishlist", properties={"product_id": "m"}, **B)
    account = shop.keeps(shop.views(A), wish, shop.views(A))
    assert (account.stored, account.failed) == (2, 1)
    assert shop.explained(A)["session_views"] == 2


def test_one_shopper_cannot_grow_without_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever floods one id fills neither memory nor disk with it, and can still withdraw."""
    monkeypatch.setattr(window, "MOST", 10)
    shop.consents(A)
    account = shop.keeps(*(shop.views(A) for _ in range(15)), *(shop.views(B) for _ in range(2)))
    assert (account.stored, account.failed, account.dropped_by_consent) == (9, 6, 2)
    assert {failure.code for failure in shop.engine.world.failed.failures()} == {"shopper_too_busy"}
    shop.clock.wait(minutes=1)
    assert shop.consents(A, personalization="denied").stored == 1
    assert shop.decide(shopper=A)["level"] == "request"
    shop.clock.wait(days=8)
    shop.consents(A)
    assert shop.keeps(shop.views(A)).stored == 1


def test_a_damaged_profile_fails_alone(world: World) -> None:
    with shop_over(world) as shop:
        shop.consents(A)
        shop.consents(B)
        key = shop.key(anonymous=B["anonymousId"])
        assert key is not None
    row = world.store.load([key])[key]
    world.store.commit(Changes(rows={key: msgspec.structs.replace(row, state=row.state[:-1] + b"x")}))
    with shop_over(world) as shop:
        account = shop.keeps(shop.views(A), shop.views(B))
        assert (account.stored, account.failed) == (1, 1)
        assert world.failed.failures()[-1].code == "profile_unreadable"
        assert world.store.load([key])[key].state[-1:] == b"x", "what may still be restored is not overwritten"


class Full:
    """A store whose disk is full for a while."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.full = False

    def commit(self, changes: Changes) -> int:
        if self.full:
            raise Unavailable("the disk is full")
        return self._store.commit(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_commit_that_fails_shows_nothing_and_the_same_batch_counts_afterwards() -> None:
    world = memory_world(TestClock())
    disk = Full(world.store)
    with shop_over(msgspec.structs.replace(world, store=disk)) as shop:
        shop.consents(A)
        events = [shop.views(A), shop.views(A), shop.views(B)]
        disk.full = True
        submission, _ = shop.batch(*events)
        assert isinstance(submission.error, Unavailable)
        assert shop.explained(A)["session_views"] == 0
        before = shop.engine.account()
        assert before == Accounting(received=1, stored=1)
        disk.full = False
        assert shop.keeps(*events).stored == 2
        assert shop.explained(A)["session_views"] == 2
        assert shop.engine.account() == Accounting(received=4, stored=3, dropped_by_consent=1)
        assert kinds(shop) == ["events", "events"]


def test_a_merge_that_is_not_committed_did_not_happen() -> None:
    world = memory_world(TestClock())
    disk = Full(world.store)
    with shop_over(msgspec.structs.replace(world, store=disk)) as shop:
        shop.consents(A)
        shop.keeps(shop.views(A))
        shop.consents(JONAS, trusted=True)
        device = shop.key(anonymous=A["anonymousId"])
        disk.full = True
        joins = shop.event("identify", **A, **JONAS)
        shop.batch(joins, trusted=True)
        assert shop.key(anonymous=A["anonymousId"]) == device
        disk.full = False
        shop.keeps(joins, trusted=True)
        assert shop.key(anonymous=A["anonymousId"]) == shop.key(user="jonas")
        assert shop.explained(JONAS)["session_views"] == 1


# --- consent ---


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_is_stored_before_consent(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path, clock) as world, shop_over(world) as shop:
        account = shop.keeps(
            shop.views(A, "canary-product"),
            shop.event("identify", **A, traits={"firstName": CANARY}),
            shop.event("page", **A, properties={"path": "/canary"}),
            {**shop.views(A), "context": {"cart": {"token": "canary-cart-token"}}},
        )
        assert account == Accounting(received=4, dropped_by_consent=4)
        assert list(world.store.log()) == []
        assert shop.profile(anonymous=A["anonymousId"]) is None
        digests = [
            world.vault.digest("identity", "default", "live", kind, value)
            for kind, value in (("anonymous", A["anonymousId"]), ("cart", "canary-cart-token"))
        ]
        assert world.store.resolve(digests) == {}
    assert b"canary" not in content(tmp_path).lower()
    assert A["anonymousId"].encode() not in content(tmp_path)


def test_an_event_that_is_dropped_tells_nobody_who_belongs_to_whom(shop: Shop) -> None:
    shop.consents(JONAS, trusted=True, personalization="denied", analytics="denied")
    shop.keeps({**shop.views({**A, **JONAS}), "context": {"cart": {"token": "cart-1-of-the-shop"}}}, trusted=True)
    assert shop.profile(anonymous=A["anonymousId"]) is None
    digest = shop.engine.world.vault.digest("identity", "default", "live", "cart", "cart-1-of-the-shop")
    assert shop.engine.world.store.resolve([digest]) == {}


def test_a_withdrawal_acts_on_the_next_request_and_resets_what_it_allowed(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(shop.event("identify", **A, traits={"firstName": CANARY}), shop.views(A))
    assert shop.decide(shopper=A)["level"] == "session"
    shop.consents(A, personalization="denied")
    assert shop.decide(shopper=A)["level"] == "request"
    assert shop.keeps(shop.event("identify", **A, traits={"firstName": CANARY})).stored == 1, "analytics is granted"
    assert CANARY not in repr(shop.profile(anonymous=A["anonymousId"]))
    shop.clock.wait(minutes=1)
    shop.consents(A)
    assert shop.explained(A)["session_views"] == 0


def test_a_withdrawal_in_an_event_that_is_dropped_still_counts(shop: Shop) -> None:
    """A banner's state rides on any event: the event goes, the refusal stays, and nothing else is kept of it."""
    shop.consents(A)
    refusal = {"consent": {"categoryPreferences": {"personalization": False, "analytics": False, "Advertising": False}}}
    account = shop.keeps({**shop.views(A, "canary-product"), "context": refusal})
    assert account.stored == 1
    assert shop.decide(shopper=A)["level"] == "request"
    last = list(shop.engine.world.store.log())[-1]
    kept = shop.engine.world.vault.open(last.shopper, last.payload)
    assert b"canary" not in kept
    assert last.mask == 1


@pytest.mark.parametrize("sensitive", [False, True])
def test_a_withdrawal_beside_a_sensitive_product_still_counts(shop: Shop, sensitive: bool) -> None:
    shop.engine.world.catalogue.upsert(LIVE, [Product("mug-1", sensitive=sensitive)])
    shop.engine.catalogues.of(LIVE)
    shop.engine.refresh()
    shop.consents(A)
    refusal = {"consent": {"categoryPreferences": {"personalization": False}}}
    shop.keeps({**shop.views(A), "context": refusal})
    assert shop.decide(shopper=A)["level"] == "request"


def test_gpc_denies_from_header_to_decision(shop: Shop) -> None:
    shop.consents(A, personalization="granted", advertising="granted", analytics="granted")
    assert shop.decide(shopper=A)["level"] == "session"
    assert shop.decide(shopper=A, gpc=True)["level"] == "request"
    views = shop.explained(A)["session_views"]
    shop.keeps(shop.views(A), gpc=True)
    assert shop.explained(A)["session_views"] == views, "kept for analytics, not for personalization"
    shop.clock.wait(minutes=1)
    shop.keeps(shop.event("consent", **A, choices={"personalization": "granted"}), gpc=True)
    assert shop.decide(shopper=A, gpc=True)["level"] == "session"


def test_flagged_traffic_stays_out_of_profiles(shop: Shop) -> None:
    shop.consents(A)
    before = shop.profile(anonymous=A["anonymousId"])
    assert before is not None
    account = shop.keeps(shop.views(A), agent="Googlebot/2.1 (+http://www.google.com/bot.html)")
    assert account.stored == 1
    after = shop.profile(anonymous=A["anonymousId"])
    assert after == before


# --- sensitive products ---


def test_a_sensitive_product_never_enters_a_profile(shop: Shop) -> None:
    world = shop.engine.world
    world.catalogue.upsert(LIVE, [Product("pill", "Pills", 500, category="secret", sensitive=True), Product("mug-1")])
    shop.engine.catalogues.of(LIVE)
    shop.engine.refresh()
    shop.consents(A)
    shop.keeps(shop.views(A))
    shop.clock.wait(minutes=1)
    profile = shop.profile(anonymous=A["anonymousId"])
    assert profile is not None
    before = profiles.encode(profile)
    for name in ("Product Viewed", "Product Added", "Product Added to Wishlist", "Product Clicked"):
        account = shop.keeps(
            shop.event(event=name, properties={"product_id": "pill"}, **A),
            {**shop.event(event=name, properties={"product_id": "pill"}, **B), "context": {"cart": {"token": "c1"}}},
        )
        assert (account.refused, account.dropped_by_consent, account.stored) == (1, 1, 0)
    after = shop.profile(anonymous=A["anonymousId"])
    assert after is not None
    assert profiles.encode(after) == before
    lines = [{"product_id": "pill", "quantity": 1, "price": 5}, {"product_id": "mug-1", "quantity": 1, "price": 7}]
    shop.keeps(shop.event(event="Cart Viewed", properties={"products": lines}, **A))
    shop.keeps(shop.orders(A, "7", 12.0, products=lines), trusted=True)
    kept = repr(shop.profile(anonymous=A["anonymousId"]))
    assert "pill" not in kept
    assert "secret" not in kept
    assert "mug-1" in kept
    for record in world.store.log():
        assert b"pill" not in world.vault.open(record.shopper, record.payload)


# --- forget ---


def test_forgetting_removes_every_byte(tmp_path: Path) -> None:
    clock = TestClock()
    names = [CANARY, "anon-canary-device", "canary-user", "canary-cart", "canary-mug"]
    who = {"anonymousId": "anon-canary-device"}
    with folder_world(tmp_path, clock) as world, shop_over(world) as shop:
        shop.consents(who)
        shop.keeps({**shop.views(who, "canary-mug"), "context": {"cart": {"token": "canary-cart-token"}}})
        event = shop.views(who)
        shop.keeps(event, {**event, "properties": {"product_id": "canary-mug"}})
        shop.consents({"userId": "canary-user"}, trusted=True)
        shop.keeps(shop.event("identify", **who, userId="canary-user", traits={"firstName": CANARY}), trusted=True)
        shop.engine.sweeper.run()
        key = shop.key(user="canary-user")
        profile = shop.profile(user="canary-user")
        assert key is not None
        assert profile is not None
        assert profile.absorbed
        assert world.store.inside([key])
        caller = shop.caller(trusted=True)
        assert shoppers.forgetting(shop.engine, ShopperRef(user_id="canary-user"), caller)[1]()
        assert shop.profile(user="canary-user") is None
        assert shop.profile(anonymous="anon-canary-device") is None
        assert shop.decide(shopper=who)["level"] == "request"
        for shopper in (key.shopper, *profile.absorbed):
            gone = ShopperKey(LIVE, shopper)
            assert world.store.load([gone]) == world.store.inside([gone]) == {}
            assert world.vault.destroy(shopper) is False
        for record in world.store.log():
            with pytest.raises(Exception, match="destroyed"):
                world.vault.open(record.shopper, record.payload)
        shop.consents(who)
        fresh = shop.profile(anonymous="anon-canary-device")
        assert fresh is not None
        assert fresh.id not in (key.shopper, *profile.absorbed)
    stored = content(tmp_path)
    for name in names:
        assert name.encode() not in stored, name


def test_a_forgetting_that_was_cut_off_leaves_the_id_usable(shop: Shop) -> None:
    """The key is gone and the process ended before the row was: the next event begins a new profile, counted once."""
    shop.consents(A)
    key = shop.key(anonymous=A["anonymousId"])
    assert key is not None
    shop.engine.world.vault.destroy(key.shopper)
    shop.engine.hot.profiles.drop(key)
    assert shop.profile(anonymous=A["anonymousId"]) is None
    shop.consents(A)
    event = shop.views(A)
    assert shop.keeps(event).stored == 1
    assert shop.keeps(event).duplicate == 1
    assert shop.explained(A)["session_views"] == 1


class Fragile:
    """A vault whose disk fails once, at the second key it is to destroy."""

    def __init__(self, vault: Any) -> None:
        self._vault = vault
        self.left = 1

    def destroy(self, shopper: bytes) -> bool:
        self.left -= 1
        if self.left == -1:
            raise Unavailable("the disk is gone")
        return bool(self._vault.destroy(shopper))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)


def test_a_forgetting_that_failed_half_way_is_finished_by_the_next_one() -> None:
    """The device that was merged must not stay readable because the person's key went first."""
    world = memory_world(TestClock())
    vault = Fragile(world.vault)
    with shop_over(msgspec.structs.replace(world, vault=vault)) as shop:
        shop.consents(A)
        shop.consents(JONAS, trusted=True)
        shop.keeps(shop.event("identify", **A, **JONAS), trusted=True)
        key = shop.key(user="jonas")
        assert key is not None
        with pytest.raises(Unavailable):
            shop.engine.forget(key)
        shop.engine.hot.profiles.clear()
        caller = shop.caller(trusted=True)
        assert shoppers.forgetting(shop.engine, ShopperRef(user_id="jonas"), caller)[1]()
        for record in world.store.log():
            with pytest.raises(Forgotten):
                world.vault.open(record.shopper, record.payload)


# --- freshness and books ---


def test_an_acknowledged_event_changes_the_next_decision(tmp_path: Path) -> None:
    with folder_world(tmp_path, TestClock()) as world, shop_over(world) as shop:
        shop.consents(A)
        for number in range(1, 9):
            shop.keeps(shop.views(A))
            assert shop.explained(A)["session_views"] == number
            placed = shop.decide(shopper=A, trusted=True)["placements"]
            assert (placed["accessories"]["reason"] != "no_match") == (number >= 5)


WHO = [A, B, JONAS, {**A, **JONAS}, {**B, **JONAS}, {**A, **MIRA}, {}, {"anonymousId": "null"}]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_books_balance_whatever_is_sent(data: st.DataObject) -> None:
    """received = stored + duplicate + conflict + failed + dropped + refused, and the log holds what was stored."""
    world = memory_world(TestClock())
    disk = Full(world.store)
    world.catalogue.upsert(LIVE, [Product("pill", sensitive=True)])
    expected = 0
    with shop_over(msgspec.structs.replace(world, store=disk)) as shop:
        draw = data.draw
        for _ in range(draw(st.integers(1, 6))):
            events = []
            for _ in range(draw(st.integers(0, 5))):
                who = draw(st.sampled_from(WHO))
                kind = draw(st.sampled_from(["consent", "view", "order", "bad", "identify"]))
                body: dict[str, Any] = {"messageId": draw(st.sampled_from("mnopq")), **who}
                if kind == "consent":
                    word = st.sampled_from(["granted", "denied"])
                    body |= {"type": "consent", "choices": {"personalization": draw(word)}}
                elif kind == "view":
                    product = {"product_id": draw(st.sampled_from(["mug", "pill"]))}
                    body |= {"type": "track", "event": "Product Viewed", "properties": product}
                elif kind == "order":
                    order = {"order_id": "1", "total": draw(st.integers(0, 9)), "currency": "EUR"}
                    body |= {"type": "track", "event": "Order Completed", "properties": order}
                elif kind == "identify":
                    body |= {"type": "identify", "traits": {"firstName": "x"}}
                else:
                    body |= {"type": "track", "event": 3}
                events.append(body)
            disk.full = draw(st.booleans()) and draw(st.booleans())
            submission, refused = shop.batch(*events, trusted=draw(st.booleans()), gpc=draw(st.booleans()))
            assert submission.accounting.balanced()
            if submission.error is None:
                expected += len(events)
            assert all(isinstance(each, Refused) for each in refused)
        account = shop.engine.account()
        assert account.balanced()
        assert account.received == expected
        kept = 0
        for record in world.store.log():
            if record.kind == "events":
                kept += len(msgspec.msgpack.decode(world.vault.open(record.shopper, record.payload)))
        assert kept == account.stored
        assert len(world.failed.failures()) == account.failed + account.conflict


def test_a_playbook_is_swapped_between_requests(shop: Shop) -> None:
    before = shop.decide(shopper=A)["playbook"]
    changed = load_playbook(STARTER)
    shop.engine.publish(msgspec.structs.replace(changed, hash="0123456789abcdef"))
    assert before != "0123456789abcdef"
    assert BROWSER
    assert shop.engine.live.playbook.hash == "0123456789abcdef"
