"""Facts added run by run, under merges, late events, kills and forgetting, are the facts written at once."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import profiles
from cashwrap.adapters import parquet
from cashwrap.errors import CashwrapError
from cashwrap.events import Envelope
from cashwrap.history import facts as kept_up
from cashwrap.history import write_facts
from cashwrap.model import Millis
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Horizon, ShopperKey
from cashwrap.world import World
from test_history_log import PLAYBOOK, Desk, new_world, play

MINUTE: Millis = 60_000
DAY = 1440
MIDNIGHT = 1_789_948_800_000
"""Of the day on which these worlds receive events."""


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"p.yaml": PLAYBOOK})
    assert found is not None, faults
    return found


def viewed(number: int, minute: int, **who: str) -> Envelope:
    """An event of its own product, so that each fact can be told from all others."""
    return envelope(
        type="track", event="Product Viewed", messageId=f"m{number}", minute=minute, properties=product(number), **who
    )


def product(number: int) -> dict[str, str]:
    return {"product_id": f"p{number}", "price": "5.00", "category": "mugs"}


def chose(number: int, minute: int, word: str, **who: str) -> Envelope:
    return envelope(type="consent", messageId=f"m{number}", minute=minute, choices={"analytics": word}, **who)


def envelope(*, minute: int, **fields: Any) -> Envelope:
    moment = datetime.fromtimestamp((MIDNIGHT + minute * MINUTE) // 1000, UTC)
    return msgspec.convert({"timestamp": moment.isoformat(), **fields}, Envelope)


def rows(folder: Path) -> Counter[str]:
    """Every fact with all of its columns, wherever it lies; no file is unfinished."""
    assert not [path for path in (folder / "_unfinished").glob("*") if path.is_file()]
    found: Counter[str] = Counter()
    for path in folder.glob("day=*/bucket=*/*.parquet"):
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            assert f"day={row['time'].date()}" == path.parent.parent.name
            assert f"bucket={row['analytic_id'][0] % parquet.BUCKETS:02}" == path.parent.name
            found[repr(sorted(row.items()))] += 1
    return found


def products(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Whose each view is, and the minute its session began."""
    found = {}
    for path in folder.glob("day=*/bucket=*/*.parquet"):
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            if row["product_ids"]:
                start = int(row["session_start"].timestamp() * 1000)
                found[row["product_ids"][0]] = row["analytic_id"], (start - MIDNIGHT) // MINUTE
    return found


def story(dice: random.Random, count: int, *, withdrawing: bool) -> list[Envelope]:
    """Devices that become persons, over midnights, in no order of time."""
    made = []
    for number in range(count):
        who = dice.choice(
            (
                {"anonymousId": f"dev-{dice.randrange(8)}"},
                {"userId": f"user-{dice.randrange(3)}"},
                {"anonymousId": f"dev-{dice.randrange(8)}", "userId": f"user-{dice.randrange(3)}"},
            )
        )
        minute = dice.randrange(-4, 0) * DAY + dice.randrange(-100, 100)
        if withdrawing and dice.random() < 0.1:
            made.append(chose(number, minute, dice.choice(("denied", "granted")), **who))
        else:
            made.append(viewed(number, minute, **who))
    return made


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Fewer files, and no waiting for the disk: nobody pulls a plug here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "sync", lambda _: None)
        patch.setattr(parquet, "BUCKETS", 2)
        yield


class Killed(BaseException):
    """The process ends here."""


def killing(patch: pytest.MonkeyPatch, after: int) -> None:
    """End the process at one of the moments at which the disk changes, before it or after."""
    left = [after]

    def dies(change: Callable[..., object]) -> Callable[..., object]:
        def changing(*given: Any) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            done = change(*given)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return done

        return changing

    for name in ("_write", "_move", "_remove", "sync"):
        patch.setattr(parquet, name, dies(getattr(parquet, name)))


def write(world: World, folder: Path, dice: random.Random) -> None:
    """A run, of small steps, that is killed now and then and begun again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_up, "EVENTS", dice.randrange(4, 60))
        while dice.random() < 0.4:
            with patch.context() as crash:
                killing(crash, dice.randrange(1, 60))
                with suppress(Killed):
                    write_facts(world, folder)
        write_facts(world, folder)


def told(world: World, playbook: Playbook, folder: Path, dice: random.Random, made: list[Envelope]) -> None:
    """Send all of it in requests of several sizes, with runs in between."""
    desk = Desk(world, playbook)
    while made:
        size = dice.randrange(1, 12)
        desk.send(made[:size])
        del made[:size]
        if dice.random() < 0.4:
            write(world, folder, dice)
    write(world, folder, dice)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_runs_write_what_one_run_writes(seed: int, playbook: Playbook) -> None:
    dice, world = random.Random(seed), new_world(seed)
    with TemporaryDirectory() as place:
        folder, once = Path(place) / "runs", Path(place) / "once"
        told(world, playbook, folder, dice, story(dice, 50, withdrawing=False))
        assert write_facts(world, once) == 50
        assert rows(folder) == rows(once)
        assert sum(rows(once).values()) == 50


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_withdrawn_facts_are_in_no_run(seed: int, playbook: Playbook) -> None:
    """Runs may see a shopper refuse who has changed their mind by the end: they never hold more than one run would."""
    dice, world = random.Random(seed), new_world(seed)
    with TemporaryDirectory() as place:
        folder, once = Path(place) / "runs", Path(place) / "once"
        told(world, playbook, folder, dice, story(dice, 50, withdrawing=True))
        write_facts(world, once)
        assert products(folder).keys() <= products(once).keys()
        names = {name: products(once)[name][0] for name in products(folder)}
        assert names == {name: who for name, (who, _) in products(folder).items()}


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_runs_over_any_traffic_agree_where_nobody_withdraws(seed: int, playbook: Playbook) -> None:
    world = play(seed, playbook, 60)
    with TemporaryDirectory() as place:
        folder, once = Path(place) / "runs", Path(place) / "once"
        write(world, folder, random.Random(seed))
        write_facts(world, once)
        assert rows(folder) == rows(once)


class TestTheCheckItself:
    """Planted bugs: each must be seen."""

    def differs(self, playbook: Playbook, seeds: int = 12) -> bool:
        for seed in range(seeds):
            try:
                test_any_runs_write_what_one_run_writes.hypothesis.inner_test(seed, playbook)  # type: ignore[attr-defined]
            except (AssertionError, CashwrapError, OSError):
                return True
        return False

    def test_is_green_without_a_bug(self, playbook: Playbook) -> None:
        assert not self.differs(playbook, 2)

    def test_sees_a_step_that_does_not_say_how_far_it_came(
        self, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = parquet.Turn.commit

        def forgetful(turn: parquet.Turn, **state: Any) -> None:
            commit(turn)
            commit(turn, **state)

        monkeypatch.setattr(parquet.Turn, "commit", forgetful)
        assert self.differs(playbook)

    def test_sees_a_crash_that_is_not_finished(self, playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
        finish = parquet.Turn._finish

        def lazy(turn: parquet.Turn) -> None:
            if hasattr(turn, "graves"):
                finish(turn)

        monkeypatch.setattr(parquet.Turn, "_finish", lazy)
        assert self.differs(playbook)

    def test_sees_facts_that_stay_under_a_former_name(
        self, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept_up, "_reshape", lambda *_: None)
        assert self.differs(playbook)

    def test_sees_sessions_that_are_not_joined_by_a_late_event(
        self, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept_up, "_rewrite", lambda turn, seen, edit: None)
        assert self.differs(playbook)

    def test_sees_sessions_cut_at_midnight(self, playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kept_up, "_around", lambda day: (day,))
        assert self.differs(playbook)


# --- one thing at a time ---


def test_only_what_analytics_allows_under_the_shoppers_present_name(playbook: Playbook, tmp_path: Path) -> None:
    world = new_world()
    desk = Desk(world, playbook)
    desk.send([viewed(0, 0, anonymousId="dev-a")])
    assert write_facts(world, tmp_path) == 1
    (former,) = {who for who, _ in products(tmp_path).values()}
    desk.send([viewed(1, 10, anonymousId="dev-a", userId="jo")])
    desk.send([viewed(2, 90, userId="jo")])
    desk.send([viewed(3, 91, userId="jo")], basis=4)
    assert write_facts(world, tmp_path) == 2
    found = products(tmp_path)
    assert {name: start for name, (_, start) in found.items()} == {"p0": 0, "p1": 0, "p2": 90}
    assert len({who for who, _ in found.values()}) == 1
    assert former in {each for key in keys(world) for each in person(world, key).former_analytic_ids} | {former}


def keys(world: World) -> list[ShopperKey]:
    return world.store.shoppers(None, 100)


def person(world: World, key: ShopperKey) -> Any:
    return profiles.decode(world.vault.open(key.shopper, world.store.load([key])[key].state))


def test_nothing_new_changes_nothing(playbook: Playbook, tmp_path: Path) -> None:
    world = play(9, playbook)
    assert write_facts(world, tmp_path) > 0
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file() and path.name != "_lock"}
    assert write_facts(world, tmp_path) == 0
    after = {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file() and path.name != "_lock"}
    assert after == before


def test_a_late_event_joins_two_sessions_over_three_midnights(playbook: Playbook, tmp_path: Path) -> None:
    world = new_world()
    desk = Desk(world, playbook)
    minutes = [*range(-40, 2 * DAY + 60, 20)]
    desk.send([viewed(number, minute - 5 * DAY, userId="jo") for number, minute in enumerate(minutes)])
    desk.send([viewed(900, -60 - 5 * DAY, userId="jo"), viewed(901, -100 - 5 * DAY, userId="jo")])
    write_facts(world, tmp_path)
    assert {start for _, start in products(tmp_path).values()} == {-60 - 5 * DAY, -100 - 5 * DAY}
    desk.send([viewed(902, -80 - 5 * DAY, userId="jo")])
    write_facts(world, tmp_path)
    assert {start for _, start in products(tmp_path).values()} == {-100 - 5 * DAY}


def test_facts_outlive_the_log(playbook: Playbook, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = play(4, playbook)
    count = write_facts(world, tmp_path / "kept")
    before = rows(tmp_path / "kept")
    newest = max(record.sequence for record in world.store.log())
    world.store.advance(Horizon(newest, 1), {})
    assert write_facts(world, tmp_path / "kept") == 0
    assert rows(tmp_path / "kept") == before
    assert "in time" not in caplog.text
    desk = Desk(world, playbook)
    desk.received += 10**6
    desk.send([viewed(10_000, 3, anonymousId="dev-new")])
    assert write_facts(world, tmp_path / "kept", again=True) == 1, "only what the log still has"
    assert count > 1
    desk.send([viewed(10_001, 3, anonymousId="dev-new")])
    world.store.advance(Horizon(newest + 2, 2), {})
    desk.send([viewed(10_002, 3, anonymousId="dev-new")])
    assert write_facts(world, tmp_path / "kept") == 1
    assert "never became any" in caplog.text


def test_written_again_they_are_the_same(playbook: Playbook, tmp_path: Path) -> None:
    world = play(8, playbook)
    count = write_facts(world, tmp_path)
    before = rows(tmp_path)
    assert write_facts(world, tmp_path, again=True) == count
    assert rows(tmp_path) == before


def test_another_logs_facts_are_not_added_to(playbook: Playbook, tmp_path: Path) -> None:
    write_facts(play(1, playbook), tmp_path)
    other = play(2, playbook)
    with pytest.raises(CashwrapError) as mismatch:
        write_facts(other, tmp_path)
    assert mismatch.value.code == "facts_mismatch"
    assert write_facts(other, tmp_path, again=True) > 0
    foreign = tmp_path / "foreign"
    parquet.write_facts(foreign, [parquet.Fact("s", "live", b"a" * 16, 0, 0, "Order Completed", mask=3)])
    with pytest.raises(CashwrapError, match="--again"):
        write_facts(other, foreign)


def test_many_runs_leave_few_files(playbook: Playbook, tmp_path: Path) -> None:
    world = new_world()
    desk = Desk(world, playbook)
    for number in range(30):
        desk.send([viewed(number, number, userId="jo")])
        write_facts(world, tmp_path)
        assert len(list(tmp_path.rglob("*.parquet"))) <= parquet.FILES
    assert len(products(tmp_path)) == 30


class TestWithdrawal:
    def test_takes_the_earlier_facts_and_leaves_the_later_ones(self, playbook: Playbook, tmp_path: Path) -> None:
        world = new_world()
        desk = Desk(world, playbook)
        desk.send([viewed(0, 0, userId="jo"), viewed(1, 1, userId="al")])
        write_facts(world, tmp_path)
        desk.send([viewed(2, 2, userId="jo"), chose(3, 3, "denied", userId="jo"), viewed(4, 4, userId="jo")])
        assert write_facts(world, tmp_path) == 0
        assert products(tmp_path).keys() == {"p1"}
        desk.send([chose(5, 5, "granted", userId="jo"), viewed(6, 6, userId="jo")])
        assert write_facts(world, tmp_path) == 2, "the choice itself is one"
        once = tmp_path / "once"
        write_facts(world, once)
        assert products(tmp_path).keys() == products(once).keys() == {"p1", "p6"}

    def test_between_two_runs_it_takes_what_was_before_it(self, playbook: Playbook, tmp_path: Path) -> None:
        world = new_world()
        desk = Desk(world, playbook)
        desk.send([viewed(0, 0, userId="jo")])
        write_facts(world, tmp_path)
        desk.send([viewed(1, 1, userId="jo"), chose(2, 2, "denied", userId="jo")])
        desk.send([chose(3, 3, "granted", userId="jo"), viewed(4, 4, userId="jo")])
        write_facts(world, tmp_path)
        assert products(tmp_path).keys() == {"p4"}

    def test_of_a_device_reaches_no_one_elses_facts(self, playbook: Playbook, tmp_path: Path) -> None:
        """It withdrew, granted again and was merged: the person's own facts stay, the device's earlier ones go."""
        world = new_world()
        desk = Desk(world, playbook)
        desk.send([viewed(0, 0, anonymousId="dev"), viewed(1, 0, userId="jo")])
        write_facts(world, tmp_path)
        desk.send([chose(2, 2, "denied", anonymousId="dev"), chose(3, 3, "granted", anonymousId="dev")])
        desk.send([viewed(4, 4, anonymousId="dev"), viewed(5, 5, anonymousId="dev", userId="jo")])
        write_facts(world, tmp_path)
        once = tmp_path / "once"
        write_facts(world, once)
        assert products(tmp_path) == products(once)
        assert products(once).keys() == {"p1", "p4", "p5"}

    @pytest.mark.parametrize("bug", ["withdrawn", "concerned"])
    def test_the_tests_above_see_what_is_left(
        self, playbook: Playbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: str
    ) -> None:
        """Planted: facts of the tail stay that were withdrawn in it, or those of earlier runs do."""
        monkeypatch.setattr(kept_up.Tail, bug, lambda *_: set())
        with pytest.raises(AssertionError):
            self.test_between_two_runs_it_takes_what_was_before_it(playbook, tmp_path)


class TestForgetting:
    def test_between_the_read_and_the_write_nobody_comes_back(
        self, playbook: Playbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = new_world()
        desk = Desk(world, playbook)
        desk.send([viewed(0, 0, userId="jo"), viewed(1, 0, userId="al")])
        owned = kept_up._Run._owned

        def forgetting(run: Any, batch: Any) -> Any:
            found = owned(run, batch)
            (jo,) = [key for key in keys(world) if person(world, key).user_id == "jo"]
            parquet.ParquetFacts(tmp_path).forget([person(world, jo).analytic_id])
            return found

        monkeypatch.setattr(kept_up._Run, "_owned", forgetting)
        assert write_facts(world, tmp_path) == 1
        assert products(tmp_path).keys() == {"p1"}

    def test_without_graves_they_would(
        self, playbook: Playbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parquet.Turn, "_bury", lambda *_: None)
        with pytest.raises(AssertionError):
            self.test_between_the_read_and_the_write_nobody_comes_back(playbook, tmp_path, monkeypatch)
        assert "p0" in products(tmp_path)

    def test_graves_go_when_nothing_can_come_from_them(self, playbook: Playbook, tmp_path: Path) -> None:
        world = new_world()
        desk = Desk(world, playbook)
        desk.send([viewed(0, 0, userId="jo"), viewed(1, 0, userId="al")])
        write_facts(world, tmp_path)
        key = next(each for each in keys(world) if person(world, each).user_id == "jo")
        facts = parquet.ParquetFacts(tmp_path)
        assert facts.forget([person(world, key).analytic_id]) == 1
        assert (tmp_path / "_forgotten").stat().st_size == 8
        world.vault.destroy(key.shopper)
        world.store.forget(key)
        assert write_facts(world, tmp_path) == 0
        assert (tmp_path / "_forgotten").stat().st_size == 0
        assert products(tmp_path).keys() == {"p1"}
        assert write_facts(world, tmp_path, again=True) == 1

    def test_a_change_cut_off_hides_nobody(self, playbook: Playbook, tmp_path: Path) -> None:
        """Whatever the kill left, in place or unfinished, a forgotten shopper's id is in no file."""
        for after in range(1, 40, 3):
            folder, world = tmp_path / str(after), new_world(after)
            desk = Desk(world, playbook)
            desk.send([viewed(0, 0, userId="jo"), viewed(1, 0, anonymousId="dev")])
            write_facts(world, folder)
            desk.send([viewed(2, 2, userId="jo", anonymousId="dev"), viewed(3, 3, userId="al")])
            with pytest.MonkeyPatch.context() as crash:
                killing(crash, after)
                with suppress(Killed):
                    write_facts(world, folder)
            jo = next(person(world, each) for each in keys(world) if person(world, each).user_id == "jo")
            ids = [jo.analytic_id, *jo.former_analytic_ids]
            parquet.ParquetFacts(folder).forget(ids)
            files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
            assert not [each for each in ids for held in files if each in held]


def test_two_writers_at_once_write_every_fact_once(
    playbook: Playbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One overtakes the other between its read and its write."""
    world = play(6, playbook)
    owned, overtaken = kept_up._Run._owned, []

    def overtaking(run: Any, batch: Any) -> Any:
        found = owned(run, batch)
        if not overtaken:
            overtaken.append(True)
            overtaken.append(write_facts(world, tmp_path))
        return found

    monkeypatch.setattr(kept_up._Run, "_owned", overtaking)
    assert write_facts(world, tmp_path) == 0
    once = tmp_path / "once"
    assert write_facts(world, once) == overtaken[1] > 0
    assert rows(tmp_path) == rows(once)


def test_who_is_merged_while_facts_are_written_is_followed(
    playbook: Playbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    desk = Desk(world, playbook)
    desk.send([viewed(0, 0, anonymousId="dev"), viewed(1, 1, userId="jo")])
    people, merged = kept_up._people, []

    def merging(world: World, wanted: Any) -> Any:
        if not merged:
            merged.append(True)
            desk.send([viewed(2, 2, anonymousId="dev", userId="jo")])
        return people(world, wanted)

    monkeypatch.setattr(kept_up, "_people", merging)
    assert write_facts(world, tmp_path) + write_facts(world, tmp_path) == 3
    assert len({who for who, _ in products(tmp_path).values()}) == 1
