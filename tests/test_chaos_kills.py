"""``kill -9`` of real processes: under load, at every crash point, and many that race; with planted bugs."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cashwrap.faults import POINTS
from cashwrap.testing.chaos.errands import at_every_point
from cashwrap.testing.chaos.kills import LIVES, Kills
from cashwrap.testing.chaos.nursery import Job, Nursery
from cashwrap.testing.chaos.race import Race, judge
from cashwrap.testing.chaos.tally import Tally
from chaos_room import room

SOURCE = Path(__file__).parents[1] / "src" / "cashwrap"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "cashwrap")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with room() as found:
        yield found


@pytest.fixture(scope="module")
def nursery(folder: Path) -> Iterator[Nursery]:
    with Nursery(folder / "servers.log") as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_server_loses_nothing_acknowledged(folder: Path, nursery: Nursery) -> None:
    tally = Kills(folder, nursery).run(0, 70)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert tally.runs == 70
    assert tally.acknowledged > 200


def test_a_server_that_answers_before_the_commit_is_seen(folder: Path, nursery: Nursery) -> None:
    tally = Kills(folder, nursery, late=True).run(900, LIVES)
    assert tally.lost > 0


def test_a_process_may_die_at_every_crash_point(folder: Path, nursery: Nursery) -> None:
    tally = at_every_point(folder, nursery, 5)
    assert tally.wrong == []
    assert tally.runs == len(POINTS)


def test_a_crash_point_that_is_not_reached_is_seen(folder: Path, nursery: Nursery) -> None:
    (folder / "unreached").mkdir()
    nursery.start(Job(str(folder / "unreached"), crash="ledger.counted", errand="audit.appended"))
    assert nursery.gone().text == "0"


def test_every_crash_point_is_marked_and_every_mark_is_known() -> None:
    marks = re.findall(r'crash_point\("([a-z.]+)"\)', "".join(path.read_text() for path in SOURCE.rglob("*.py")))
    assert set(marks) == POINTS.keys()


def raced(folder: Path, nursery: Nursery, wanted: Race) -> Tally:
    data = folder / f"race-{wanted.naive}-{wanted.uses}"
    data.mkdir()
    nursery.start(Job(str(data), race=wanted))
    told = nursery.listen().text
    nursery.gone()
    return judge(data, wanted, told, 1)


@pytest.mark.parametrize("uses", [1, 40])
def test_the_last_use_is_granted_once(folder: Path, nursery: Nursery, uses: int) -> None:
    tally = raced(folder, nursery, Race(uses=uses))
    assert tally.wrong == []
    assert tally.acknowledged == uses


def test_looking_first_and_counting_afterwards_is_seen(folder: Path, nursery: Nursery) -> None:
    assert raced(folder, nursery, Race(naive=True)).double > 0
