"""Clocks that jump, and events that come shuffled, twice and late; each checker is shown red on a planted bug."""

import logging
from typing import Any

import pytest
from msgspec import structs

from cashwrap import profiles
from cashwrap.dedup import Seen
from cashwrap.errors import Unavailable
from cashwrap.model import Event, Profile
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes
from cashwrap.testing.chaos.times import jumping_clocks, schedules, windowed
from cashwrap.world import World


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "cashwrap")


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    return windowed()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_any_order_of_arrival_says_the_same(playbook: Playbook) -> None:
    tally = schedules(0, 300, playbook)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert tally.runs == 300


def test_a_repeat_that_counts_is_seen(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seen, "judge", lambda *_: "new")
    assert schedules(0, 5, playbook).double > 0


def test_a_fold_that_leaves_out_what_is_late_is_seen(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = profiles.fold

    def in_order_only(profile: Profile, event: Event, features: Any) -> None:
        if not profile.sessions or event.time >= profile.sessions[-1].end:
            fold(profile, event, features)

    monkeypatch.setattr(profiles, "fold", in_order_only)
    wrong = schedules(0, 5, playbook).wrong
    assert any("another order of arrival" in line for line in wrong)


def test_a_clock_that_jumps_loses_nothing(playbook: Playbook) -> None:
    tally = jumping_clocks(0, 150, playbook)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert tally.faults > 500


def test_a_store_that_believes_the_clock_is_seen(playbook: Playbook) -> None:
    class Careful:
        """The bug: what comes from before the last commit is refused."""

        def __init__(self, world: World) -> None:
            self._world = world
            self._last = 0

        def commit(self, changes: Changes) -> int:
            if self._world.clock.now() < self._last:
                raise Unavailable("the clock went back")
            self._last = self._world.clock.now()
            return self._world.store.commit(changes)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._world.store, name)

    tally = jumping_clocks(0, 10, playbook, lambda world: structs.replace(world, store=Careful(world)))
    assert any("refused because of the clock" in line for line in tally.wrong)
