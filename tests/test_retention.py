"""Old records become snapshots and go; what they said stays: I12 over the horizon, time travel, idle shoppers.

``CASHWRAP_HISTORIES=2000 pytest --timeout 0 tests/test_retention.py`` plays that many random histories of each kind.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import backfill, faults, folding, profiles, retention
from cashwrap.backfill import Backfill, Truth
from cashwrap.dedup import Seen
from cashwrap.features import FeatureSet
from cashwrap.folding import Folding, Past
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes, Failure, Record, ShopperKey, Snapshot, Vault
from test_history_log import NOW, track
from time_machine import CHANGED, DAY, LIMITS, NARROW, PLAYBOOK, TimeMachine, compiled

HISTORIES = int(os.environ.get("CASHWRAP_HISTORIES", "10"))


@pytest.fixture(scope="module")
def playbooks() -> list[Playbook]:
    return [compiled(text) for text in (PLAYBOOK, CHANGED, NARROW)]


@settings(max_examples=HISTORIES, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_state_is_what_the_whole_log_says_long_after_most_of_it_is_gone(seed: int, playbooks: list[Playbook]) -> None:
    """One playbook, so that nothing is unknown: live rows, and snapshots with the tail, equal a fold of everything."""
    world = TimeMachine(seed, playbooks[:1])
    for _ in range(40):
        world.anything()
    world.settle()
    rebuilt = world.rebuilt()
    assert rebuilt.differing == ()
    assert world.of_everything() == world.rows()
    assert rebuilt.shoppers == len(world.rows())


@settings(max_examples=HISTORIES, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rebuilt_is_live_through_changed_playbooks_and_all_else(seed: int, playbooks: list[Playbook]) -> None:
    world = TimeMachine(seed, playbooks)
    for _ in range(60):
        world.anything()
    world.settle()
    assert world.rebuilt().differing == ()


def test_the_histories_are_not_all_alike(playbooks: list[Playbook]) -> None:
    """They retire records, forget people, merge, and leave something to tell on both sides of the horizon."""
    retired = merged = kept = 0
    for seed in range(6):
        world = TimeMachine(seed, playbooks)
        for _ in range(60):
            world.anything()
        world.settle()
        retired += world.retention.retired
        kept += len(list(world.store.log()))
        horizon = world.store.horizon().sequence
        merged += sum(record.kind == "merge" and record.sequence <= horizon for record in world.store.everything)
    assert min(retired, merged, kept) > 10


def differs(playbooks: list[Playbook], events: int = LIMITS.events) -> bool:
    """Whether any of some histories ends with rows that snapshots and log do not tell."""
    for seed in range(8):
        world = TimeMachine(seed, playbooks, msgspec.structs.replace(LIMITS, events=events))
        for _ in range(50):
            world.anything()
        world.settle()
        if world.rebuilt().differing or (len(playbooks) == 1 and world.of_everything() != world.rows()):
            return True
    return False


def planted(kind: type[Folding]) -> Callable[..., Folding]:
    """Folding as ever, by a class with a bug."""

    def begin(*arguments: Any) -> Folding:
        found = folding.fold_from_snapshots(*arguments)
        found.__class__ = kind
        return found

    return begin


class TestTheChecksThemselves:
    """Planted bugs: each must be seen."""

    def test_a_snapshot_that_forgets_seen_ids(self, playbooks: list[Playbook], monkeypatch: pytest.MonkeyPatch) -> None:
        sealed = folding.sealed

        def without(vault: Vault, key: ShopperKey, past: Past | None) -> Snapshot | None:
            return sealed(vault, key, past and Past(past.profile, Seen()))

        monkeypatch.setattr(retention, "sealed", without)
        assert differs(playbooks[:1], DAY)

    def test_a_backfill_that_ignores_withdrawals(
        self, playbooks: list[Playbook], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Deaf(Folding):
            def take(self, record: Record) -> None:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(FeatureSet, "reset", lambda *_: None)
                    super().take(record)

        monkeypatch.setattr(backfill, "Folding", Deaf)
        assert differs(playbooks)

    def test_a_backfill_that_forgets_who_was_merged_meanwhile(
        self, playbooks: list[Playbook], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backfill, "SHOPPERS", 1)
        monkeypatch.setattr(backfill, "STEPS", 1)

        def differs_after_merges_halfway() -> bool:
            world, viewed = TimeMachine(1, playbooks[:1]), {"product_id": "p", "category": "mugs"}
            people = [{name: f"{name}{n}"} for n in range(8) for name in ("anonymousId", "userId")]
            world.desk.send([track("Product Viewed", n, properties=viewed, **who) for n, who in enumerate(people)])
            world.publish(playbooks[1])
            while len(world.store.shoppers(None, 99)) - len(rest(world)) < 8:
                world.backfill.run()
            both = [people[n] | people[n + 1] for n in range(0, 16, 2)]
            world.desk.send([track("Product Viewed", 50 + n, properties=viewed, **who) for n, who in enumerate(both)])
            world.settle()
            return bool(world.rebuilt().differing)

        def rest(world: TimeMachine) -> list[ShopperKey]:
            """Whose turn has not come."""
            job = world.backfill._job
            return world.store.shoppers(job.at if job and job.phase == "apply" else None, 99)

        assert not differs_after_merges_halfway()
        monkeypatch.setattr(backfill, "absorbed_by", lambda *_: None)
        assert differs_after_merges_halfway()

    def test_a_step_that_loses_a_merge(self, playbooks: list[Playbook], monkeypatch: pytest.MonkeyPatch) -> None:
        class Solitary(Folding):
            def merge(self, key: ShopperKey, absorbed: ShopperKey, received: int) -> None:
                self.pasts[absorbed] = None

        monkeypatch.setattr(retention, "fold_from_snapshots", planted(Solitary))
        assert differs(playbooks[:1])

    def test_records_removed_that_were_not_folded(
        self, playbooks: list[Playbook], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Skips(Folding):
            def take(self, record: Record) -> None:
                if record.sequence % 7:
                    super().take(record)

        monkeypatch.setattr(retention, "fold_from_snapshots", planted(Skips))
        assert differs(playbooks[:1])

    def test_state_of_former_features_that_stays(
        self, playbooks: list[Playbook], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fewer = compiled(PLAYBOOK.replace("  heat: {decayed: Product Viewed, half_life: 7d}\n", ""))
        assert not differs([playbooks[0], fewer])
        monkeypatch.setattr(Backfill, "_apply", lambda *_: False)
        assert differs([playbooks[0], fewer])


# --- what taking back a playbook loses ---


def test_taking_a_playbook_back_within_days_loses_nothing(playbooks: list[Playbook]) -> None:
    """Snapshots carry the former features on, also while the horizon moves."""
    world = TimeMachine(4, playbooks[:1], msgspec.structs.replace(LIMITS, events=DAY))
    world.send(20)
    world.publish(playbooks[2])
    world.settle()
    world.send(5)
    world.wait(3)
    world.settle()
    assert list(world.store.log()) == []
    assert len(world.backfill.followed().left) == 2
    world.publish(playbooks[0])
    world.settle()
    assert world.of_everything() == world.rows()
    assert world.backfill.truths() == {}


def test_taking_it_back_weeks_later_says_what_was_lost(playbooks: list[Playbook]) -> None:
    world = TimeMachine(4, playbooks[:1])
    world.send(20)
    world.publish(playbooks[2])
    world.wait(30)
    world.settle()
    assert world.backfill.followed().left == {}
    world.publish(playbooks[0])
    world.settle()
    assert world.backfill.truths() == {name: Truth(world.store.horizon().received) for name in ("heat", "tags")}


def test_a_feature_says_since_when_it_is_true(playbooks: list[Playbook]) -> None:
    world = TimeMachine(4, playbooks[:1])
    world.send(20)
    world.wait(25)
    world.settle()
    horizon = world.store.horizon()
    world.publish(playbooks[1])
    told = world.backfill.truths()
    assert told.keys() == {"seen_products", "last_view", "weekly", "kinds_bought"}
    assert all(truth.pending for truth in told.values())
    world.settle()
    told = world.backfill.truths()
    assert told == {name: Truth(horizon.received) for name in ("seen_products", "last_view")}  # orders know for ever


def test_until_it_is_whole_a_new_feature_is_unknown(playbooks: list[Playbook]) -> None:
    """Neither 0 nor what is folded so far; what was there before is told all along."""
    world = TimeMachine(4, playbooks[:1])
    world.send(20)
    world.publish(playbooks[1])
    hidden = world.desk.playbook.features
    profile = next(profiles.decode(row) for row in world.rows().values())
    told = profiles.attributes(profile, hidden, world.clock.time, 7)
    assert "seen_products" not in told
    assert "orders" in told
    world.settle()
    assert world.backfill.follow(playbooks[1]).features is playbooks[1].features
    profile = next(profiles.decode(row) for row in world.rows().values())
    assert "seen_products" in profiles.attributes(profile, playbooks[1].features, world.clock.time, 7)


# --- time travel ---


def test_nothing_older_than_its_limit_is_found(playbooks: list[Playbook]) -> None:
    """Two years, four days at a time: within a day of its limit every record is gone, and every idle shopper."""
    world = TimeMachine(8, playbooks[:1])
    for _ in range(180):
        if world.clock.time < NOW + 400 * DAY:
            world.send(1)
        world.wait(4)
        world.settle()
        now = world.clock.time
        assert all(record.received >= now - LIMITS.events for record in world.store.log())
        for row in world.rows().values():
            profile = profiles.decode(row)
            assert max(profile.updated, profile.created) >= now - LIMITS.idle_profiles
    assert world.retention.removed > 0
    assert world.retention.retired > 100
    assert world.rebuilt().differing == ()
    assert world.rows() == {}


def test_a_record_of_a_skewed_clock_does_not_hold_up_the_others(playbooks: list[Playbook]) -> None:
    world = TimeMachine(8, playbooks[:1])
    world.send(2)
    world.desk.received = NOW + 1000 * DAY
    world.desk.send([world.coming.pop(0)])
    world.desk.received = NOW + DAY
    world.desk.send([world.coming.pop(0)])
    world.wait(25)
    world.settle()
    assert list(world.store.log()) == []
    assert world.of_everything() == world.rows()


def test_a_clock_that_jumps_removes_nothing_at_first(playbooks: list[Playbook]) -> None:
    world = TimeMachine(8, playbooks[:1])
    world.send(20)
    monotonic = world.clock.monotonic()
    world.clock.monotonic = lambda: monotonic  # type: ignore[method-assign]
    people = len(world.rows())
    world.wait(900)
    assert not world.retention.run()
    assert len(world.rows()) == people
    world.clock.time += int(retention.DOUBT + 1) * 1000
    world.clock.monotonic = lambda: monotonic + retention.DOUBT + 1  # type: ignore[method-assign]
    while world.retention.run():
        pass
    assert world.rows() == {}


def test_failed_events_go_only_where_the_shop_says_so(playbooks: list[Playbook]) -> None:
    for limit, left in ((None, 2), (3 * DAY, 1)):
        world = TimeMachine(8, playbooks[:1], msgspec.structs.replace(LIMITS, failed=limit))
        failures = [Failure(Tenant(), NOW + days * DAY, "code", "why", "", 1) for days in (0, 2)]
        world.store.commit(Changes(failures=failures))
        world.wait(4)
        world.settle()
        assert len(world.store.failures()) == left


def test_an_id_is_known_for_seven_days_whatever_was_removed(playbooks: list[Playbook]) -> None:
    world = TimeMachine(8, playbooks[:1], msgspec.structs.replace(LIMITS, events=DAY))
    sent = [world.coming.pop(0) for _ in range(30)]
    (first,) = world.desk.send(sent)
    stored = first.accounting.stored
    world.wait(6)
    world.settle()
    world.restart()
    assert list(world.store.log()) == []
    world.desk.received = world.clock.time
    (again,) = world.desk.send(sent)
    assert (again.accounting.stored, again.accounting.duplicate) == (0, stored)
    assert world.rebuilt().differing == ()


# --- killed in the middle ---


def killed(folder: Path, point: str, times: int, playbooks: list[Playbook]) -> bool:
    """A child goes through changes and retention until it is killed at a mark; whether the mark was reached."""
    child = os.fork()
    if not child:
        try:
            faults._wanted, faults._left = point, times
            world = TimeMachine(3, playbooks[1:2], folder=folder)
            world.clock.time += 30 * DAY
            world.settle()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("point", ["retention.snapshot", "backfill.merged"])
def test_killed_at_any_step_nothing_is_lost_or_told_twice(
    tmp_path: Path, playbooks: list[Playbook], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "RECORDS", 10)
    monkeypatch.setattr(backfill, "RECORDS", 10)
    monkeypatch.setattr(backfill, "SHOPPERS", 1)
    before = TimeMachine(3, playbooks, folder=tmp_path / "data")
    before.send(30)
    whole = Folding(before.vault, playbooks[1].features)
    for record in before.store.log():
        whole.take(record)
    close(before)
    for times in (1, 2, 1) if point == "retention.snapshot" else (1,):
        assert killed(tmp_path / "data", point, times, playbooks)
    world = TimeMachine(3, playbooks[1:2], folder=tmp_path / "data")
    if point == "retention.snapshot":
        assert world.rebuilt().differing == ()
    world.clock.time += 30 * DAY
    world.settle()
    assert world.rebuilt().differing == ()
    for key, row in world.rows().items():
        past, live = whole.pasts[key], profiles.decode(row)
        assert past is not None
        past.profile.analytic_id, past.profile.former_analytic_ids = live.analytic_id, live.former_analytic_ids
        assert profiles.encode(past.profile) == row
    close(world)


def close(world: TimeMachine) -> None:
    for each in (world.store, world.vault):
        each.close()  # type: ignore[union-attr]
