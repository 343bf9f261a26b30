"""The engine as a library: plain values in and out, and nothing that a checkout calls ever raises."""

import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from cashwrap import Decision, Engine, InvalidInput, Locked, Playbook, PlaybookError, Unavailable
from cashwrap.model import Product
from engines import STARTER, TestClock, memory_world, starter

GRANTED = {"personalization": True, "analytics": True}


@pytest.fixture
def engine() -> Engine:
    return Engine(starter(), world=memory_world(TestClock()))


def text(decision: Decision, placement: str) -> object:
    content = decision[placement]
    return content and content["text"]


def regular(engine: Engine, user: str = "customer-7") -> None:
    assert engine.consent(GRANTED, user_id=user)
    assert engine.identify(user, {"first_name": "Ada"})
    assert engine.track("Order Completed", {"order_id": "A1", "subtotal": Decimal("249.90")}, user_id=user)


# --- deciding ---


@pytest.mark.parametrize("total", [60, 60.0, "60.00", Decimal("60.00")])
def test_a_stranger_gets_what_the_request_says(engine: Engine, total: object) -> None:
    decision = engine.decide("basket_message", "home_hero", context={"cart": {"total": total}})
    assert list(decision.placements) == ["basket_message", "home_hero"]
    assert text(decision, "basket_message") == "Standard delivery is free with this basket."
    assert decision["home_hero"] is None
    assert decision.placements["home_hero"].reason == "no_match"
    assert (decision.level, decision.degraded, decision.playbook) == ("request", False, starter().hash)


def test_without_names_every_placement_is_decided(engine: Engine) -> None:
    assert list(engine.decide().placements) == list(starter().experiences.placements)
    assert engine.decide("nowhere").placements["nowhere"].reason == "no_such_placement"
    with pytest.raises(KeyError):
        engine.decide("home_hero")["basket_message"]


def test_a_known_shopper_gets_what_their_history_says(engine: Engine) -> None:
    regular(engine)
    decision = engine.decide("home_hero", user_id="customer-7")
    assert (decision.level, text(decision, "home_hero")) == ("profile", "Good to see you again, Ada.")
    assert engine.decide("home_hero", user_id="customer-8").level == "request"


def test_what_was_done_before_a_login_becomes_theirs(engine: Engine) -> None:
    assert engine.consent(GRANTED, anonymous_id="anon-1")
    for _ in range(5):
        engine.track("Product Viewed", {"product_id": "p1", "category": "coffee"}, anonymous_id="anon-1")
    assert engine.identify("customer-7", {"first_name": "Ada"}, anonymous_id="anon-1")
    assert engine.decide("home_hero", user_id="customer-7").level == "profile"


def test_products_and_predictions_are_asked_for_directly(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    tenant = engine._key.tenant
    engine.core.world.catalogue.upsert(tenant, [Product("mug", "Mug", 900), Product("pot", "Pot", 4_000)])
    found = engine.recommend(context={"cart": {"items": [{"id": "mug"}]}}, limit=3, rules={"most": 50})
    assert [(each.id, each.source) for each in found.products] == [("pot", "popular")]
    assert (found.model.version, found.fallback) == (None, 1.0)
    assert engine.recommend(limit=0).reason == "error"
    assert "products could not be recommended" in caplog.text
    assert engine.predict("abandon_propensity")["abandon_propensity"].missing == "unknown_shopper"
    with pytest.raises(InvalidInput):
        engine.predict("luck")


def test_an_exposure_comes_back_by_track(engine: Engine) -> None:
    regular(engine)
    token = engine.decide("home_hero", user_id="customer-7").token
    seen = {"placement": "home_hero", "token": token}
    assert engine.track("Experience Viewed", seen, user_id="customer-7")
    assert not engine.track("Experience Viewed", seen, user_id="customer-7")
    assert not engine.track("Experience Viewed", {**seen, "token": "made up"}, user_id="customer-7")


# --- never raising ---


@pytest.mark.parametrize(
    "context",
    [{"cart": {"total": "much"}}, {"cart": 7}, {"cart": {"total": object()}}, {"checkout": {"quiet": "no"}}, {1: 2}],
)
def test_a_question_that_does_not_fit_gets_the_default(
    engine: Engine, context: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    decision = engine.decide("basket_message", context=context)
    if context == {1: 2}:  # a name that nothing reads
        return
    assert (decision["basket_message"], decision.degraded) == (None, True)
    assert decision.placements["basket_message"].reason == "error"
    assert "the shop's default stands" in caplog.text


def test_an_event_that_cannot_be_used_is_logged(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    assert not engine.track("Order Complete", {"order_id": "A1"}, user_id="customer-7")
    assert "(undeclared_event)" in caplog.text
    assert not engine.track("Order Completed", {"order_id": "A1", "subtotal": "much"}, user_id="customer-7")
    assert "(invalid_" in caplog.text
    assert not engine.track("Order Completed", {"order_id": object()}, user_id="customer-7")
    assert "(invalid_json)" in caplog.text
    assert not engine.track("Order Completed", {"order_id": "A1"})
    assert "(missing_identity)" in caplog.text
    assert not engine.consent({"marketing": True}, user_id="customer-7")


def test_what_the_shopper_does_not_allow_is_not_kept(engine: Engine) -> None:
    assert not engine.track("Product Viewed", {"product_id": "p1"}, user_id="customer-7")
    assert engine.track("Order Completed", {"order_id": "A1", "subtotal": 10}, user_id="customer-7")


def test_after_the_end_decisions_go_on_and_events_are_refused(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.close()
    engine.close()
    assert not engine.track("Order Completed", {"order_id": "A1"}, user_id="customer-7")
    assert "(stopping)" in caplog.text
    assert not engine.decide("basket_message", context={"cart": {"total": 60}}).degraded


# --- collecting ---


def test_a_list_of_events_is_accounted_for(engine: Engine) -> None:
    good = {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"order_id": "1"}}
    taken, refused = engine.collect([{**good, "messageId": "1"}, {**good, "messageId": "1"}, {"type": "track"}])
    assert (taken.received, taken.stored, taken.duplicate, taken.failed) == (3, 1, 1, 1)
    assert [(each.index, each.code) for each in refused] == [(2, "missing_event")]
    with pytest.raises(InvalidInput):
        engine.collect([{"type": object()}])


# --- where things are kept ---


def test_a_folder_keeps_everything_for_one_process_at_a_time(tmp_path: Path) -> None:
    with Engine(Playbook.load(STARTER), data=tmp_path / "data") as first:
        regular(first)
        with pytest.raises(Locked):
            Engine(starter(), data=tmp_path / "data")
    with Engine(starter(), data=str(tmp_path / "data")) as again:
        assert text(again.decide("home_hero", user_id="customer-7"), "home_hero") == "Good to see you again, Ada."


def test_stores_do_not_meet() -> None:
    world = memory_world(TestClock())
    one, two = Engine(starter(), world=world), Engine(starter(), world=world, store="second")
    regular(one)
    assert two.decide("home_hero", user_id="customer-7").level == "request"


def test_a_playbook_that_cannot_be_used_is_no_engine(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError):
        Playbook.load(tmp_path / "nothing")


def test_another_playbook(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "shop: {currency: EUR, locale: en}\nplacements: {other: {component: message}}\n"
    )
    engine.publish(Playbook.load(tmp_path))
    assert list(engine.decide().placements) == ["other"]


def test_many_threads(engine: Engine) -> None:
    failures: list[object] = []

    def shopper(number: int) -> None:
        user = f"customer-{number}"
        regular(engine, user)
        levels = {engine.decide("home_hero", user_id=user).level for _ in range(20)}
        failures.extend(levels - {"profile"})

    threads = [threading.Thread(target=shopper, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert engine.core.account().stored == 24


FORKED = """
import os, sys
from pathlib import Path
from cashwrap import Engine, Playbook, Unavailable

engine = Engine(Playbook.load(Path(sys.argv[1])))
child = os.fork()
if child == 0:
    shown = engine.decide("basket_message", context={"cart": {"total": 60}})["basket_message"]
    kept = engine.track("Order Completed", {"order_id": "A1"}, user_id="u")
    own = Engine(Playbook.load(Path(sys.argv[1])))
    os._exit(0 if shown and not kept and own.track("Order Completed", {"order_id": "A1"}, user_id="u") else 7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_worker_decides_and_does_not_wait_for_a_thread_it_has_not() -> None:
    command = [sys.executable, "-c", FORKED, str(STARTER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "make one in each worker, after the fork (forked)" in done.stderr


def test_a_forked_engine_says_so_where_it_may(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(Unavailable, match="after the fork"):
        engine.collect([])
