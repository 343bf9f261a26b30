"""A changed feature through a whole engine: unknown until it is whole, then as if it had always been there."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from typer.testing import CliRunner

from cashwrap import backfill, retention
from cashwrap.adapters.folder import pair
from cashwrap.cli.main import app
from cashwrap.engine import Engine
from cashwrap.history import rebuild
from cashwrap.playbook import Playbook, examine
from cashwrap.serve import kept
from engines import Shop, TestClock, folder_world, shop_over
from test_history_log import PLAYBOOK

NEW = PLAYBOOK.replace("  views: {count", "  seen: {count: Product Viewed}\n  views: {count")
EAGER = NEW.replace("segments:\n", "segments:\n  looker: seen >= 2\n")
WHO = {"anonymousId": "anon-backfill-1"}


def compiled(text: str) -> Playbook:
    found, faults = examine({"p.yaml": text})
    assert found is not None, faults
    return found


@contextmanager
def held(shop: Shop) -> Iterator[None]:
    """Nothing is backfilled meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.engine.backfill, "run", lambda: False)
        yield


def settle(shop: Shop) -> None:
    def work() -> None:
        while shop.engine.backfill.run():
            pass

    shop.engine.writer.call(work)


def view(shop: Shop, times: int = 1) -> None:
    for _ in range(times):
        assert shop.keeps(shop.views(WHO)).stored == 1


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with folder_world(tmp_path, TestClock()) as world, shop_over(world, compiled(PLAYBOOK)) as found:
        found.consents(WHO)
        view(found, 3)
        yield found


def test_a_new_feature_is_unknown_and_then_knows_everything(shop: Shop) -> None:
    with held(shop):
        shop.engine.publish(compiled(NEW))
        view(shop)
        told = shop.explained(WHO)
        assert "seen" not in told
        assert told["orders"] == 0
    settle(shop)
    assert shop.explained(WHO)["seen"] == 4
    assert rebuild(shop.engine.world, shop.engine.live.playbook).differing == ()


def test_what_was_withdrawn_meanwhile_stays_withdrawn(shop: Shop) -> None:
    with held(shop):
        shop.engine.publish(compiled(NEW))
        shop.consents(WHO, personalization="denied", analytics="denied")
    settle(shop)
    shop.clock.wait(minutes=1)
    shop.consents(WHO)
    assert shop.explained(WHO)["seen"] == 0
    view(shop)
    assert shop.explained(WHO)["seen"] == 1
    assert rebuild(shop.engine.world, shop.engine.live.playbook).differing == ()


def test_segments_over_it_are_entered_afterwards(shop: Shop) -> None:
    shop.engine.publish(compiled(EAGER))
    settle(shop)
    shop.engine.writer.call(shop.engine.sweeper.run)  # type: ignore[arg-type]
    assert shop.engine.world.store.sizes(shop.tenant) == {"looker": 1}


def test_another_playbook_halfway_begins_anew(shop: Shop) -> None:
    shop.engine.publish(compiled(NEW))
    last = NEW.replace("  seen: {count", "  seen_mugs: {count: Product Viewed, by: product_id}\n  seen: {count")
    shop.engine.publish(compiled(last))
    settle(shop)
    told = shop.explained(WHO)
    assert (told["seen"], told["seen_mugs.total"]) == (3, 3)
    assert rebuild(shop.engine.world, shop.engine.live.playbook).differing == ()


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path, clock) as world:
        with shop_over(world, compiled(PLAYBOOK)) as shop:
            shop.consents(WHO)
            view(shop, 2)
            with held(shop):
                shop.engine.publish(compiled(NEW))
                assert shop.engine.backfill.followed().phase == "clear"
                assert "cashwrap_features_pending 1.0" in scrape(shop.engine)
                shop.engine.close()
        with shop_over(world, compiled(NEW)) as shop:
            settle(shop)
            assert shop.explained(WHO)["seen"] == 2
            assert "cashwrap_features_pending 0.0" in scrape(shop.engine)


def test_it_is_exact_under_live_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events, logins, refusals and a forgetting arrive while playbooks change and old records go."""
    monkeypatch.setattr(backfill, "RECORDS", 5)
    monkeypatch.setattr(backfill, "SHOPPERS", 1)
    monkeypatch.setattr(retention, "RECORDS", 5)
    short = PLAYBOOK.replace("locale: en}", "locale: en, retention: {events: 1d}}")
    playbooks = [
        compiled(text)
        for text in (short, short.replace("  views: {count", "  seen: {count: Product Viewed}\n  views: {count"))
    ]
    clock, stop = TestClock(), threading.Event()
    with folder_world(tmp_path, clock) as world, shop_over(world, playbooks[0]) as shop:

        def shops(name: int) -> None:
            dice = random.Random(name)
            while not stop.is_set():
                device, user = (
                    {"anonymousId": f"anon-live-{dice.randrange(6)}"},
                    {"userId": f"user-{dice.randrange(4)}"},
                )
                who = dice.choice([device, user, device | user])
                word = "denied" if dice.random() < 0.2 else "granted"
                shop.keeps(shop.event("consent", choices={"personalization": word}, **who), trusted=True)
                shop.keeps(shop.views(who), shop.views(who), trusted=True)

        threads = [threading.Thread(target=shops, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for number in range(12):
            shop.engine.publish(playbooks[number % 2])
            clock.wait(days=0.4)
            view_by = {"userId": f"user-{number % 4}"}
            shop.keeps(shop.views(view_by), trusted=True)
            if number % 3 == 2 and (key := shop.key(user=f"user-{number % 4}")) is not None:
                shop.engine.forget(key)
        stop.set()
        for thread in threads:
            thread.join(30)
        settle(shop)
        shop.engine.writer.call(shop.engine.retention.all)
        found = rebuild(world, shop.engine.live.playbook)
        assert (found.differing, found.shoppers > 0) == ((), True)
        assert shop.engine.retention.retired > 0


def test_on_an_empty_log_all_is_known_at_once(tmp_path: Path) -> None:
    with folder_world(tmp_path, TestClock()) as world, shop_over(world, compiled(PLAYBOOK)) as shop, held(shop):
        shop.engine.publish(compiled(NEW))
        assert shop.engine.backfill.followed().pending == {}
        shop.consents(WHO)
        assert shop.explained(WHO)["seen"] == 0


def test_who_does_not_write_sees_it_when_it_is_whole(shop: Shop) -> None:
    """A process beside the one that writes."""
    with held(shop):
        shop.engine.publish(compiled(NEW))
        beside = type(shop.engine.backfill)(shop.engine.world, shop.engine.hot, lambda: None)
        hidden = beside.follow(compiled(NEW), writes=False)
        assert hidden.features is not compiled(NEW).features
        assert not beside.outdated()
    settle(shop)
    assert beside.outdated()
    assert beside.follow(compiled(NEW), writes=False).hash == compiled(NEW).hash
    assert not beside.outdated()


def scrape(engine: Engine) -> str:
    class One(Collector):
        def collect(self) -> Iterator[object]:  # type: ignore[override]
            return kept.metrics(engine)

    registry = CollectorRegistry()
    registry.register(One())
    return generate_latest(registry).decode()


def test_metrics_say_how_far_things_are(shop: Shop) -> None:
    shop.clock.wait(days=100)
    shop.engine.writer.call(shop.engine.retention.all)
    shop.engine.publish(compiled(NEW))
    settle(shop)
    told = scrape(shop.engine)
    assert 'cashwrap_retention_removed_total{what="records"} 4.0' in told
    assert 'cashwrap_feature_since_timestamp_seconds{feature="seen"}' in told
    assert "cashwrap_backfill_records 0.0" in told


def test_the_command_does_all_of_it_at_once(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path / "data", clock) as world, shop_over(world, compiled(PLAYBOOK)) as shop:
        pair(world.registry, world.vault)
        shop.consents(WHO)
        view(shop, 3)
    (tmp_path / "playbook").mkdir()
    (tmp_path / "playbook" / "p.yaml").write_text(NEW)
    done = CliRunner().invoke(
        app, ["retain", "--data", str(tmp_path / "data"), "--playbook", str(tmp_path / "playbook"), "--json"]
    )
    told = msgspec.json.decode(done.output)
    assert done.exit_code == 0, done.output
    assert (told["records"], told["since"]) == (4, {})  # whole before the records went
    with folder_world(tmp_path / "data", clock) as world:
        assert rebuild(world, compiled(NEW)).differing == ()
        assert list(world.store.log()) == []
