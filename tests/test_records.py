"""Decision records: exact, of consenting shoppers only, gone with their consent, and never in anybody's way."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import codec, records
from cashwrap.archive import Archive, review
from cashwrap.decide import Kills, decide
from cashwrap.engine import World
from cashwrap.errors import CashwrapError, Unavailable
from cashwrap.model import Answer, Decision, Impressions, Inputs, Number, Product, Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Changes, KeptDecision
from cashwrap.records import Kept
from cashwrap.request import DecideRequest
from cashwrap.switches import Switch
from cashwrap.versions import Versions
from cashwrap.window import Window
from engines import LIVE, Shop, TestClock, folder_world, memory_world, shop_over, starter

A = {"anonymousId": "anon-aaaaaaaaaaaaaaaa"}
JONAS = {"userId": "jonas"}
DAYS_14 = 14 * 86_400_000
CART = {"cart": {"total": 80.5, "count": 2, "items": [{"id": "mug-1", "category": "coffee"}]}, "locale": "de-AT"}


def keeping(playbook: Playbook, share: int = 10_000, **changes: Any) -> Playbook:
    """The playbook with another share of decisions kept; its hash stays, as that is what records name."""
    asked = msgspec.structs.replace(playbook.settings, decision_records=share, **changes)
    return msgspec.structs.replace(
        playbook, declarations=msgspec.structs.replace(playbook.declarations, settings=asked)
    )


@pytest.fixture
def world() -> World:
    return memory_world(TestClock())


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    with shop_over(world, keeping(starter())) as shop:
        yield shop


def settle(shop: Shop) -> None:
    """Wait until the writer has kept what was decided."""
    shop.engine.writer.call(lambda: None)


def kept(shop: Shop) -> list[KeptDecision]:
    settle(shop)
    return shop.engine.world.store.decisions(shop.tenant)


def archive(shop: Shop) -> Archive:
    engine = shop.engine
    versions = Versions(engine.world.registry, engine.world.clock)
    return Archive(engine.world, engine.catalogues, versions, engine.live.playbook)


def code_of(shop: Shop, decision: str) -> str:
    with pytest.raises(CashwrapError) as refused:
        archive(shop).review(shop.tenant, decision)
    return refused.value.code


# --- exact ---

_texts = st.text(max_size=5)
_values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2).map(Number)
    | _texts
    | st.frozensets(_texts, max_size=3)
    | st.tuples(st.integers(0, 2**40), st.integers(0, 9))
)
_impressions = st.builds(Impressions, st.lists(st.integers(0, 2**41), max_size=3), st.integers(0, 9), st.integers(0, 9))
_inputs = st.builds(
    Inputs,
    now=st.integers(0, 2**41),
    tenant=st.builds(Tenant, _texts, st.sampled_from(["live", "test"])),
    values=st.dictionaries(_texts, _values, max_size=8),
    level=st.sampled_from(["profile", "session", "request", "default"]),
    mask=st.integers(0, 63),
    placements=st.none() | st.lists(_texts, max_size=3).map(tuple),
    locale=_texts,
    basket=st.lists(_texts, max_size=3).map(tuple),
    saved_method=st.none() | _texts,
    units=st.dictionaries(_texts, _texts, max_size=3),
    arms=st.dictionaries(_texts, _texts, max_size=2),
    impressions=st.dictionaries(_texts, _impressions, max_size=2),
    session_start=st.integers(0, 2**41),
    forced=st.dictionaries(_texts, _texts, max_size=2),
    quiet=st.booleans(),
)
_answers = st.builds(
    Answer,
    st.none() | _texts,
    st.none() | _texts,
    st.none() | st.binary(max_size=9).map(msgspec.Raw),
    st.sampled_from(["match", "no_match", "control", "capped"]),
)
_decisions = st.builds(
    Decision,
    _texts,
    st.dictionaries(_texts, _answers, max_size=3),
    st.just("profile"),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple),
)
_kept = st.builds(
    Kept,
    st.just("ab" * 12),
    _inputs,
    st.builds(Kills, st.booleans(), st.frozensets(_texts, max_size=2), st.frozensets(_texts, max_size=2)),
    st.integers(0, 99),
    st.integers(0, 2**41),
    _decisions,
)


def typed(value: object) -> object:
    """A value with the type of every part of it: ``1 == True == Decimal(1)`` must not pass for the same."""
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, [typed(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, dict):
        return [(name, typed(each)) for name, each in value.items()]
    if isinstance(value, msgspec.Raw):
        return "raw", bytes(value)
    if isinstance(value, list | tuple):
        return type(value).__name__, [typed(each) for each in value]
    return type(value).__name__, value


def comes_back(record: Kept) -> bool:
    return typed(records.decode(records.encode(record))) == typed(record)


@settings(max_examples=150, deadline=None)
@given(_kept)
def test_a_record_comes_back_with_every_type(record: Kept) -> None:
    assert comes_back(record)


RICH: dict[str, Any] = {
    "a": Decimal("1.50"),
    "b": Number("0.25"),
    "c": frozenset({"x", "y"}),
    "d": (7, 2),
    "e": True,
    "f": 1,
    "g": None,
    "h": "1",
}


@pytest.mark.parametrize("lost", ["a", "c", "d"])
def test_the_check_is_red_where_a_record_loses_a_type(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: that value goes the way msgspec would write it by itself."""
    record = Kept("ab" * 12, Inputs(1, LIVE, RICH, "profile", 7, None), Kills(), 0, 1, Decision("", {}, "profile"))
    assert comes_back(record)
    exact = codec.exact
    monkeypatch.setattr(codec, "exact", lambda values: {**exact(values), lost: values[lost]})
    assert not comes_back(record)


def test_every_field_of_the_inputs_is_kept() -> None:
    assert records._Inputs.__struct_fields__ == Inputs.__struct_fields__


# --- what is kept, of whom ---


def test_a_decision_is_kept_as_it_was_and_is_the_same_again(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(shop.views(A), shop.views(A))
    answer = shop.decide(shopper=A, context=CART)
    [record] = kept(shop)
    assert record.id.hex() == answer["decisionId"]
    opened = archive(shop).open(LIVE, answer["decisionId"])
    assert opened.inputs.values["session_views"] == 2
    assert opened.inputs.values["cart.total"] == 8_050
    found = archive(shop).review(LIVE, answer["decisionId"])
    assert found.same
    assert found.differences == []
    told = msgspec.json.decode(msgspec.json.encode(found))
    assert {name: each["answer"] for name, each in told["placements"].items()} == answer["placements"]


def test_nothing_is_kept_of_who_has_not_agreed(shop: Shop) -> None:
    shop.decide(shopper=A, context=CART)
    shop.consents(A, personalization="denied")
    shop.decide(shopper=A, context=CART)
    shop.keeps(shop.orders(JONAS, "1", 9.5), trusted=True)
    assert shop.profile(user="jonas") is not None
    shop.decide(shopper=JONAS, trusted=True)
    assert kept(shop) == []
    shop.consents(JONAS, trusted=True)
    shop.decide(shopper=JONAS, trusted=True, gpc=True)  # the request refuses what was agreed to
    assert kept(shop) == []
    shop.decide(shopper=JONAS, trusted=True)
    assert len(kept(shop)) == 1


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (10_000, 400), (2_500, 100)])
def test_the_share_is_drawn_by_the_decisions_own_id(world: World, share: int, expected: int) -> None:
    with shop_over(world, keeping(starter(), share)) as shop:
        shop.consents(A)
        made = [shop.decide(shopper=A)["decisionId"] for _ in range(400)]
        found = {record.id.hex() for record in kept(shop)}
        recorder = shop.engine.recorder
        assert found == {name for name in made if recorder.draws(bytes.fromhex(name))}
        assert abs(len(found) - expected) <= 30
        assert (len(found) == expected) is (share in (0, 10_000))


def test_withdrawing_removes_what_was_kept_and_what_waits(shop: Shop) -> None:
    shop.consents(A)
    shop.consents(JONAS, trusted=True)
    for who in (A, JONAS):
        shop.decide(shopper=who, trusted=True)
    assert len(kept(shop)) == 2
    stale = shop.engine.find(msgspec.convert({"shopper": A}, DecideRequest).shopper, shop.caller())
    shop.clock.wait(minutes=1)
    shop.consents(A, personalization="denied")
    assert len(kept(shop)) == 1
    request = msgspec.convert({"shopper": A}, DecideRequest)
    shop.engine.answer(request, shop.caller(), stale)  # decided by what was known before the withdrawal
    assert len(kept(shop)) == 1
    assert shop.engine.recorder.dropped == 1


@pytest.mark.parametrize("planted", [False, True], ids=["as it is", "a window that asks nobody"])
def test_a_withdrawal_in_the_same_commit_is_heard(shop: Shop, planted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if planted:
        monkeypatch.setattr(Window, "_may_keep", lambda self, key: True)
    shop.consents(A)
    shop.clock.wait(minutes=1)
    event = shop.event("consent", choices={"personalization": "denied"}, **A)
    caller = shop.caller()

    def both() -> None:  # on the writer's thread: the next commit finds the decision and the withdrawal waiting
        shop.decide(shopper=A)
        shop.engine.collect(shop.engine.parse(msgspec.json.encode({"batch": [event]}), None), caller, lambda _: None)

    shop.engine.writer.call(both)
    assert len(kept(shop)) == shop.engine.recorder.kept == planted
    assert shop.engine.recorder.dropped == (not planted)


def test_a_refusal_that_a_merge_brings_removes_what_the_device_left(shop: Shop) -> None:
    shop.consents(A)
    shop.decide(shopper=A)
    shop.consents(JONAS, trusted=True, personalization="denied")
    assert len(kept(shop)) == 1
    shop.keeps(shop.event("identify", **A, **JONAS), trusted=True)
    assert kept(shop) == []


def test_a_merge_keeps_records_and_forgetting_reaches_them(shop: Shop) -> None:
    shop.consents(A)
    answer = shop.decide(shopper=A)
    settle(shop)
    shop.consents(JONAS, trusted=True)
    shop.keeps(shop.event("identify", **A, **JONAS), trusted=True)
    assert archive(shop).review(LIVE, answer["decisionId"]).same
    key = shop.key(user="jonas")
    assert key is not None
    shop.engine.forget(key)
    assert kept(shop) == []
    assert code_of(shop, answer["decisionId"]) == "no_such_decision"


def test_no_byte_of_a_record_stays(tmp_path: Path) -> None:
    """Neither of who is forgotten nor of who withdraws; of who stays, everything does."""
    clock, names = TestClock(), ("forgotten", "withdrawn", "staying")
    sealed: dict[str, bytes] = {}
    with folder_world(tmp_path, clock) as world, shop_over(world, keeping(starter())) as shop:
        for name in names:
            who = {"anonymousId": f"anon-{name}-00000000"}
            shop.consents(who)
            decision = shop.decide(shopper=who, context={"locale": f"de-{name}"})["decisionId"]
            settle(shop)
            record = world.store.decision(LIVE, bytes.fromhex(decision))
            assert record is not None
            sealed[name] = record.payload
        key = shop.key(anonymous="anon-forgotten-00000000")
        assert key is not None
        shop.engine.forget(key)
        clock.wait(minutes=1)
        shop.consents({"anonymousId": "anon-withdrawn-00000000"}, personalization="denied")
        settle(shop)
    stored = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    pieces = {
        name: [payload[at : at + 24] for at in range(0, len(payload) - 24, 24)] for name, payload in sealed.items()
    }
    assert {name: any(piece in stored for piece in each) for name, each in pieces.items()} == {
        "forgotten": False,
        "withdrawn": False,
        "staying": True,
    }
    assert all(f"de-{name}".encode() not in stored for name in names)


# --- never in the way ---


def test_too_many_waiting_cost_records_and_not_answers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAITING", 3)
    shop.consents(A)
    recorder = shop.engine.recorder

    def decide_often() -> None:  # on the writer's thread, so that nothing is kept meanwhile
        for _ in range(10):
            assert shop.decide(shopper=A)["degraded"] is False

    shop.engine.writer.call(decide_often)
    assert len(kept(shop)) == 3
    assert (recorder.kept, recorder.dropped) == (3, 7)


def test_a_record_that_cannot_be_made_costs_no_event(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.consents(A)

    def broken(_: object) -> bytes:
        raise OverflowError

    monkeypatch.setattr(records, "encode", broken)
    shop.decide(shopper=A)
    assert shop.keeps(shop.views(A)).stored == 1
    assert kept(shop) == []
    assert shop.engine.recorder.dropped == 1


def test_a_commit_that_fails_loses_the_record_and_is_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.consents(A)
    store = shop.engine.world.store
    commit = store.commit

    def refused(changes: Changes) -> int:
        if changes.decisions:
            raise Unavailable("the disk is full")
        return commit(changes)

    monkeypatch.setattr(store, "commit", refused)
    shop.decide(shopper=A)
    assert kept(shop) == []
    monkeypatch.undo()
    shop.decide(shopper=A)
    assert len(kept(shop)) == 1
    assert shop.engine.recorder.dropped == 1


def test_what_no_cart_holds_fills_no_disk(shop: Shop) -> None:
    shop.consents(A)
    items = [{"id": f"{number}-{'x' * 190}"} for number in range(500)]
    assert shop.decide(shopper=A, context={"cart": {"items": items}})["degraded"] is False
    assert kept(shop) == []
    assert shop.engine.recorder.dropped == 1
    shop.decide(shopper=A, context={"cart": {"items": items[:50]}})
    assert len(kept(shop)) == 1


def test_a_playbook_says_how_many_and_how_long() -> None:
    assert (starter().settings.decision_retention, playbook_of(THEN).settings.decision_records) == (DAYS_14, 10_000)
    other = playbook_of(THEN.replace("decision_records: 100%", "decision_records: 0.5%, decision_retention: 2w"))
    assert (other.settings.decision_records, other.settings.decision_retention) == (50, DAYS_14)
    found, faults = examine({"p.yaml": THEN.replace("100%", "100%, decision_retention: for ever")})
    assert found is None
    assert [fault.code for fault in faults] == ["wrong_type"]


def test_the_oldest_go_first_and_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PRUNED", 2)
    with shop_over(world, keeping(starter(), decision_retention=86_400_000)) as shop:
        shop.consents(A)
        for _ in range(5):
            shop.decide(shopper=A)
        settle(shop)
        shop.clock.wait(days=2)
        shop.decide(shopper=A)
        found = kept(shop)
        now = shop.clock.now()
        assert shop.engine.recorder.prune(now) or len(found) < 6  # the writer may be at it already
        while shop.engine.recorder.prune(now):
            pass
        assert [record.time for record in kept(shop)] == [now]


# --- opened again ---


def test_what_cannot_be_opened_is_told_by_its_code(shop: Shop) -> None:
    shop.consents(A)
    answer = shop.decide(shopper=A)["decisionId"]
    [record] = kept(shop)
    for wrong in ("", "nonsense", "../../etc", answer[:-1], answer.upper() + "0", "0" * 24):
        assert code_of(shop, wrong) == "no_such_decision"
    shop.engine.world.vault.destroy(record.shopper)
    assert code_of(shop, answer) == "forgotten"
    other = Shop(shop.engine, shop.clock, Tenant("other", "live"))
    assert code_of(other, answer) == "no_such_decision"
    damaged = msgspec.structs.replace(
        record, id=b"\1" * 12, shopper=b"\2" * 16, payload=shop.engine.world.vault.seal(b"\2" * 16, b"\xc1")
    )
    shop.engine.world.store.commit(Changes(decisions=[damaged]))
    assert code_of(shop, "01" * 12) == "store_error"


def test_a_record_past_its_time_is_not_opened_though_it_is_still_there(shop: Shop) -> None:
    shop.consents(A)
    answer = shop.decide(shopper=A)["decisionId"]
    settle(shop)
    shop.engine.recorder.prune = lambda now: False  # type: ignore[method-assign]
    shop.clock.wait(days=14.1)
    assert code_of(shop, answer) == "decision_expired"


THEN = """
shop: {currency: EUR, locale: en, decision_records: 100%}
features: {views: {count: Product Viewed}}
segments:
  looking: views >= 1
placements: {hero: {component: message}, offers: {component: products}}
experiences:
  welcome:
    in: hero
    when: '"looking" in segments && cart.total > 50'
    show: {text: {en: "Then"}}
  popular: {in: offers, show: {from: popular}}
"""


def playbook_of(text: str) -> Playbook:
    found, faults = examine({"p.yaml": text})
    assert found is not None, faults
    return found


def test_a_past_decision_is_judged_by_the_playbook_and_the_switches_of_its_day(world: World) -> None:
    then, now = playbook_of(THEN), playbook_of(THEN.replace("cart.total > 50", "cart.total > 500"))
    with shop_over(world, then) as shop:
        Versions(world.registry, world.clock).keep(then, {"p.yaml": THEN})
        shop.consents(A)
        shop.keeps(shop.views(A))
        answer = shop.decide(shopper=A, context=CART)["decisionId"]
        settle(shop)
        shop.engine.publish(now)
        shop.engine.switches.set(Switch("placement", "hero", 0), off=True)
        found = archive(shop).review(LIVE, answer)
        assert found.same
        assert [each.code for each in found.differences] == ["switches_changed", "playbook_changed"]
        placed = found.placements["hero"]
        assert (placed.answer.experience, placed.considered[0].outcome) == ("welcome", "shown")
        condition = placed.considered[0].condition
        assert condition is not None
        segment, amount = condition.parts
        assert amount.written == {"cart.total": "80.50 EUR"}
        [opened] = segment.segments
        assert (opened.name, opened.result) == ("looking", True)
        assert opened.condition is not None
        assert opened.condition.written == {"views": "1"}
        # a planted bug: the live playbook instead of that day's
        wrong = review(archive(shop).open(LIVE, answer), now, shop.engine.catalogues.of(LIVE))
        assert not wrong.same


def test_a_version_that_is_not_kept_is_told(world: World) -> None:
    with shop_over(world, playbook_of(THEN)) as shop:
        shop.consents(A)
        answer = shop.decide(shopper=A)["decisionId"]
        settle(shop)
        shop.engine.publish(starter())
        assert code_of(shop, answer) == "no_such_version"


def test_products_that_changed_since_are_told(world: World) -> None:
    world.catalogue.upsert(LIVE, [Product("mug", "Mug", 900, stock=5)])
    with shop_over(world, playbook_of(THEN)) as shop:
        shop.consents(A)
        answer = shop.decide(shopper=A)["decisionId"]
        settle(shop)
        assert archive(shop).review(LIVE, answer).same
        world.catalogue.upsert(LIVE, [Product("hat", "Hat", 900, stock=5)])
        shop.engine.refresh()
        found = archive(shop).review(LIVE, answer)
        assert [each.code for each in found.differences] == ["catalogue_changed"]
        assert not found.same


def test_inputs_decide_the_same_after_a_restart(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path, clock) as world, shop_over(world, keeping(starter())) as shop:
        shop.consents(A)
        shop.keeps(*(shop.views(A) for _ in range(6)))
        made = [shop.decide(shopper=A, context=CART)["decisionId"] for _ in range(20)]
    with folder_world(tmp_path, clock, seed=2) as world, shop_over(world, keeping(starter())) as shop:
        for name in made:
            opened = archive(shop).open(LIVE, name)
            again = decide(starter().experiences, opened.inputs, shop.engine.catalogues.of(LIVE), opened.kills)
            assert records.judgement(again) == records.judgement(opened.decision)
