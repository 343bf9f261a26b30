"""Power cuts, torn writes and failing writes over the whole store path; each checker is shown red on a planted bug."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cashwrap.adapters.database import Database
from cashwrap.errors import Unavailable
from cashwrap.model import Tenant
from cashwrap.ports import Changes, Record
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.disk import PowerDisk, write_files
from cashwrap.testing.chaos.failing import KINDS, failures
from cashwrap.testing.chaos.power import power_cuts
from cashwrap.testing.chaos.stage import stage
from cashwrap.world import World
from chaos_room import room


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "cashwrap")


@pytest.fixture
def folder() -> Iterator[Path]:
    with room() as found:
        yield found


class Around:
    """Any adapter, with some of its methods replaced."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# --- power cuts ---


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", [0, 300])
def test_a_power_cut_loses_nothing_acknowledged(folder: Path, first: int) -> None:
    tally = power_cuts(folder, first, 300)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert (tally.runs, tally.faults) == (300, 300)
    assert tally.acknowledged > 3_000


def databases(world: World) -> list[Database]:
    store, vault, ledger = world.store, world.vault, world.ledger
    return [store._database, vault._table._database, ledger._database]  # type: ignore[union-attr, attr-defined]


def test_a_disk_that_need_not_sync_is_seen(folder: Path) -> None:
    def normal(world: World) -> World:
        for database in databases(world):
            assert database._writer is not None
            database._writer.pragma("synchronous", "NORMAL")
        return world

    tally = power_cuts(folder, 0, 60, normal)
    assert tally.lost > 0
    assert tally.wrong


class LateKeys(Around):
    """The bug: keys become durable after what they seal."""

    def persist(self) -> None: ...


class KeysAfterwards(Around):
    def __init__(self, inner: Any, vault: Any) -> None:
        super().__init__(inner)
        self._vault = vault

    def commit(self, changes: Changes) -> int:
        newest: int = self._inner.commit(changes)
        self._vault.persist()
        return newest


def test_keys_that_come_after_what_they_seal_are_seen(folder: Path) -> None:
    def plant(world: World) -> World:
        store, vault = KeysAfterwards(world.store, world.vault), LateKeys(world.vault)
        return structs.replace(world, store=store, vault=vault)

    tally = power_cuts(folder, 0, 200, plant)
    assert any("has no key and nobody forgot it" in line for line in tally.wrong)


# --- every Nth write and sync ---


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [3, 7])
def test_any_write_or_sync_may_fail(folder: Path, seed: int) -> None:
    tally = failures(folder, seed, step=10)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert tally.faults > 40
    assert tally.runs - tally.faults == len(KINDS), "each kind went on until there was no Nth operation left"


def test_a_store_that_hides_a_failure_is_seen(folder: Path) -> None:
    class Hiding(Around):
        def commit(self, changes: Changes) -> int:
            try:
                newest: int = self._inner.commit(changes)
            except Unavailable:
                return 0
            return newest

    tally = failures(folder, 1, step=40, plant=lambda world: structs.replace(world, store=Hiding(world.store)))
    assert tally.lost > 0


@pytest.mark.slow
def test_a_log_read_again_after_a_failed_sync_is_seen(folder: Path) -> None:
    """Without the connection that is always open, what a failed sync left is read as good and believed to be kept."""

    def without_anchor(world: World) -> World:
        for database in databases(world):
            database._drop_anchor()
        return world

    tally = failures(folder, 1, step=1, plant=without_anchor, most=150)
    assert any("a sync fails" in line for line in tally.wrong)


# --- what a killed process left ---


def left_by_a_kill(folder: Path) -> Path:
    """A store's files with a commit that is in the log and, as far as anybody knows, only in the system's cache."""
    with stage(folder / "whole", 1) as world:
        world.store.commit(Changes(records=[Record(Tenant(), b"s" * 16, 1, "events", b"x" * 100)]))
        files = {path.name: path.read_bytes() for path in (folder / "whole").iterdir() if "cashwrap.db" in path.name}
    files.pop("cashwrap.db-shm")
    write_files(folder / "left", files)
    return folder / "left"


def survives(folder: Path) -> bool:
    """Whether what a restart can read is still there when the power goes at once."""
    left = left_by_a_kill(folder)
    disk = PowerDisk(f"left-by-a-kill-{folder.name}", Dice(1))
    disk.doubt(left / "cashwrap.db-wal")
    with stage(left, 2, disk.name) as world:
        assert len(list(world.store.log())) == 1
        cuts = [disk.cut()["cashwrap.db-wal"] for _ in range(20)]
    return len(set(cuts)) == 1 and bool(cuts[0])


def test_what_a_killed_process_left_is_synced_before_it_is_read(folder: Path) -> None:
    assert survives(folder)


def test_a_start_that_does_not_sync_what_it_finds_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "_settle", lambda _: None)
    assert not survives(folder)


def test_the_tools_need_nothing_that_only_tests_have() -> None:
    code = "import sys, cashwrap.testing.chaos.run, cashwrap.testing.chaos.child; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pytest", "hypothesis", "httpx"} & set(done.stdout.split())
