"""What the embedded store does a second: run as ``python bench/store.py [FOLDER]``. Prints, asserts nothing.

One request is a frame of 20 events of one shopper: one log record and one profile row, both sealed. Group commit is
played by folding 64 waiting requests into one ``commit``. The floor beside it is SQLite alone: the same bytes in the
same transactions, without our tables, indexes and seals.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import FileVault
from cashwrap.model import Tenant
from cashwrap.ports import Changes, Record, Row, ShopperKey

EVENTS = 20
FRAME = 4_500
STATE = 1_400
SEEN = 400
SHOPPERS = 20_000
TENANT = Tenant()
_chance = random.Random(7)
_keys = [ShopperKey(TENANT, _chance.randbytes(16)) for _ in range(SHOPPERS)]
_frame, _state, _seen = (_chance.randbytes(size) for size in (FRAME, STATE, SEEN))


def commits(folder: Path, *, waiting: int, seconds: float, sealed: bool = True) -> None:
    store, vault = SqliteStore(folder), FileVault(folder, SystemRandom())
    seal: Callable[[bytes, bytes], bytes] = vault.seal if sealed else lambda _, plain: plain
    took: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        changes = Changes()
        for key in _chance.choices(_keys, k=waiting):
            changes.records.append(Record(TENANT, key.shopper, 1, "events", seal(key.shopper, _frame), 7))
            changes.rows[key] = Row(seal(key.shopper, _state), seal(key.shopper, _seen), 9)
            changes.identities[vault.digest("live", "anonymous", key.shopper.hex())] = key
        vault.persist()
        store.commit(changes)
        took.append(time.perf_counter() - start)
    spent = time.perf_counter() - began
    requests = waiting * len(took) / spent
    took.sort()
    print(
        f"{'sealed' if sealed else 'plain ':7} {waiting:4} requests a commit: {requests:8,.0f} requests/s"
        f" {requests * EVENTS:10,.0f} events/s {requests * 3:9,.0f} rows/s"
        f"   commit p50 {1e3 * statistics.median(took):6.2f} ms, p99 {1e3 * took[int(len(took) * 0.99)]:6.2f} ms"
    )
    store.close()
    vault.close()


def floor(folder: Path, *, waiting: int, seconds: float) -> None:
    db = apsw.Connection(str(folder / "floor.db"))
    db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE log (payload BLOB)").fetchall()
    rows, count = [(_frame + _state + _seen,)] * waiting, 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        with db:
            db.executemany("INSERT INTO log VALUES (?)", rows)
        count += waiting
    rate = count / (time.perf_counter() - began)
    print(f"floor   {waiting:4} appends a commit:  {rate:8,.0f} requests/s {rate * EVENTS:10,.0f} events/s")
    db.close()


def reads(folder: Path, rounds: int = 20_000) -> None:
    store, vault = SqliteStore(folder), FileVault(folder, SystemRandom())
    digests = {key: vault.digest("live", "anonymous", key.shopper.hex()) for key in _keys}
    sealed = vault.seal(_keys[0].shopper, _state)
    for name, call in {
        "resolve one identifier": lambda key: store.resolve([digests[key]]),
        "load one row": lambda key: store.load([key]),
        "load 64 rows": lambda _: store.load(_chance.choices(_keys, k=64)),
        "seal 1.4 KB": lambda _: vault.seal(_keys[0].shopper, _state),
        "open 1.4 KB": lambda _: vault.open(_keys[0].shopper, sealed),
        "seal, cold key": lambda key: vault.seal(key.shopper, b""),
        "digest": lambda _: vault.digest("live", "anonymous", "5f3a9c1e"),
    }.items():
        took = []
        for key in _chance.choices(_keys, k=rounds // (20 if "64" in name else 1)):
            start = time.perf_counter_ns()
            call(key)
            took.append(time.perf_counter_ns() - start)
        took.sort()
        print(f"{name:24} p50 {took[len(took) // 2] / 1e3:7.1f} us   p99 {took[int(len(took) * 0.99)] / 1e3:7.1f} us")
    print(f"on disk: {(folder / 'cashwrap.db').stat().st_size / 1e6:,.0f} MB")
    store.close()
    vault.close()


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name)
        for waiting in (1, 64):
            floor(folder, waiting=waiting, seconds=2)
            (folder / "floor.db").unlink()
        commits(folder, waiting=64, seconds=3)  # fills the table; repeated below with every row there
        for waiting in (1, 8, 64):
            commits(folder, waiting=waiting, seconds=3)
        commits(folder, waiting=64, seconds=3, sealed=False)
        reads(folder)


if __name__ == "__main__":
    main()
