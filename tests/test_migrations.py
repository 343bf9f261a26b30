"""A migration killed at any statement leaves the old database or the new one, never something else.

``CASHWRAP_KILLS=100 pytest --timeout 0 tests/test_migrations.py`` kills that often in each of five migrations.
"""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from cashwrap.adapters import database
from cashwrap.adapters.backup import digest
from cashwrap.adapters.database import Database
from cashwrap.adapters.queries import migrations
from cashwrap.errors import DiskFull, StoreError

KILLS = int(os.environ.get("CASHWRAP_KILLS", "0"))
FILLED = {
    "store": [
        "INSERT INTO tenants VALUES (1, 'default', 'live')",
        "INSERT INTO log VALUES (7, 1, x'01', 5, 'events', 1, x'ab')",
        "INSERT INTO profiles VALUES (1, 1, x'01', 5, x'cd', x'ef')",
        "INSERT INTO failed VALUES (1, 1, 5, 'code', 'why', 'path', 3, x'01')",
        "INSERT INTO documents VALUES ('kind', 'name', x'aa')",
    ],
    "vault": ["INSERT INTO keys VALUES (x'01', x'02'), (x'03', NULL)", "INSERT INTO secrets VALUES ('digest', x'05')"],
}


def at_version(path: Path, schema: str, version: int) -> Path:
    """A database as an older cashwrap left it, with something in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrations", lambda name: migrations(name)[:version])
        made = Database(path, schema)
        if version:
            with made.writing() as db:
                for statement in FILLED[schema]:
                    db.execute(statement)
        made.close()
    return path


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: db.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}  # noqa: S608
    finally:
        db.close()


def statements(path: Path, schema: str, kill_at: int = 0) -> int:
    """Open, and so migrate, counting statements; with ``kill_at`` the process dies before that one."""
    count = 0

    class Counting(Database):
        def _open(self, role: str, flags: int) -> apsw.Connection:
            db = super()._open(role, flags)
            db.exec_trace = trace
            return db

    def trace(*_: object) -> bool:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    Counting(path, schema).close()
    return count


def killed_at(path: Path, schema: str, statement: int) -> None:
    child = os.fork()
    if not child:
        try:
            statements(path, schema, statement)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def cases() -> Iterator[tuple[str, int]]:
    for schema in FILLED:
        for version in range(len(migrations(schema))):
            yield schema, version


@pytest.mark.parametrize(("schema", "version"), list(cases()))
def test_killed_at_every_statement_it_is_the_old_one_or_the_new_one(tmp_path: Path, schema: str, version: int) -> None:
    count = statements(at_version(tmp_path / "whole.db", schema, version), schema)
    expected = digest(tmp_path / "whole.db")
    dice = random.Random(version)
    for kill in [dice.randrange(count) for _ in range(KILLS)] or range(count):
        path = at_version(tmp_path / f"{schema}.db", schema, version)
        before = contents(path) if version else {}
        killed_at(path, schema, kill + 1)
        found = apsw.Connection(str(path))
        reached = found.pragma("user_version")
        assert found.pragma("integrity_check") == "ok"
        found.close()
        assert version <= reached <= len(migrations(schema))
        now = contents(path)
        assert {name: now[name] for name in before} == before
        Database(path, schema).close()
        assert digest(path) == expected
        assert not list(tmp_path.glob("*before*"))
        for left in tmp_path.glob(f"{path.name}*"):
            left.unlink()


def test_what_waits_for_webhooks_goes_on_under_its_number(tmp_path: Path) -> None:
    """Also one that was settled never names another notice, whichever version gave it."""
    path = at_version(tmp_path / "store.db", "store", 3)
    db = apsw.Connection(str(path))
    db.execute("INSERT INTO segments VALUES (4, 1, 'vip')")
    for number in (5, 6, 9):
        db.execute("INSERT INTO outbox (number, segment, shopper, entered, at) VALUES (?, 4, x'01', 1, 7)", (number,))
    db.execute("DELETE FROM outbox WHERE number <> 5")
    db.close()
    Database(path, "store").close()
    db = apsw.Connection(str(path))
    db.execute("INSERT INTO outbox (tenant, shopper, at, body) VALUES (1, x'01', 8, x'7b7d')")
    rows = db.execute("SELECT number, tenant, segment, entered, at, body FROM outbox ORDER BY number").fetchall()
    db.close()
    assert rows == [(5, 1, 4, 1, 7, None), (10, 1, None, None, 8, b"{}")]


def test_the_check_is_red_where_a_migration_is_no_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = database._run

    def careless(db: apsw.Connection, script: str) -> None:
        if "CREATE" in script:
            db.execute("COMMIT")
            run(db, script)
            db.execute("BEGIN IMMEDIATE")
        else:
            run(db, script)

    monkeypatch.setattr(database, "_run", careless)
    with pytest.raises((AssertionError, StoreError, apsw.Error)):
        test_killed_at_every_statement_it_is_the_old_one_or_the_new_one(tmp_path, "store", 1)


def test_a_copy_is_there_while_it_is_migrated_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = at_version(tmp_path / "keys.db", "vault", 1)
    before, copy, seen = digest(path), path.with_name("keys.db.before-migration"), []
    run = database._run

    def look(db: apsw.Connection, script: str) -> None:
        if "CREATE" in script:
            seen.append((digest(copy), copy.stat().st_mode & 0o777))
        run(db, script)

    monkeypatch.setattr(database, "_run", look)
    Database(path, "vault").close()
    assert seen == [(before, 0o600)]
    assert [each.name for each in tmp_path.iterdir()] == ["keys.db"]


def test_without_room_for_the_copy_nothing_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = at_version(tmp_path / "cashwrap.db", "store", 1)
    before, free = digest(path), os.statvfs(tmp_path)
    full = os.statvfs_result((*free[:4], 0, *free[5:]))
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: full)
        with pytest.raises(DiskFull, match="make room"):
            Database(path, "store")
    assert digest(path) == before
    Database(path, "store").close()
