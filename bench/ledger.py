"""What the ledger does a second: run as ``python -m bench.ledger [FOLDER]``. Prints, asserts nothing.

Clients are threads that reserve an offer with three limits (in all, by shopper, a budget) and redeem it, one pair after
the other; all count against the same two counters. The floor beside it is the same file with one insert a commit, by
one thread: what the disk lets anybody do who does not share commits. PostgreSQL runs where it is installed, with its
disk synced, and without tuning.
"""

import statistics
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import apsw
from tests.postgres import installed, server

from cashwrap.adapters.postgres_ledger import PostgresLedger
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.ledger import Claim, Once, Reservation
from cashwrap.model import Tenant
from cashwrap.ports import Ledger

SECONDS = 6.0
CLIENTS = 16
TENANT = Tenant()
NOW = 1_800_000_000_000


def pair(ledger: Ledger, client: int, number: int) -> tuple[float, float]:
    """Seconds that one reservation and its redemption took."""
    name = client.to_bytes(4, "big") + number.to_bytes(8, "big")
    held = Reservation(name, TENANT, "spring", "EUR", 490, NOW, NOW + 900_000, name + b"____")
    wanted = [
        Claim("spring/total", 1, 10**9),
        Claim(f"spring/shopper/{held.shopper.hex()}", 1, 1),
        Claim("spring/budget/EUR", 490, 10**12, money=True),
    ]
    start = time.perf_counter()
    assert not ledger.reserve(held, wanted, Once(f"reserve {name.hex()}", name), NOW).refused
    middle = time.perf_counter()
    assert not ledger.redeem(TENANT, name, name.hex(), 450, Once(f"redeem {name.hex()}", name), NOW).refused
    return middle - start, time.perf_counter() - middle


def run(what: str, ledger: Ledger, clients: int) -> float:
    """Redemptions a second."""
    took: list[tuple[float, float]] = []
    end = time.perf_counter() + SECONDS

    def work(client: int) -> None:
        number = 0
        while time.perf_counter() < end:
            took.append(pair(ledger, client, number))
            number += 1

    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.check() == []
    print(
        f"{what:30} {clients:2} clients: {len(took) / SECONDS:7,.0f} reserved and redeemed/s"
        f"   reserve {_latency([first for first, _ in took])}   redeem {_latency([second for _, second in took])}"
    )
    return len(took) / SECONDS


def _latency(seconds: list[float]) -> str:
    seconds.sort()
    p50, p99 = statistics.median(seconds), seconds[int(len(seconds) * 0.99)]
    return f"p50 {1e3 * p50:6.2f} ms, p99 {1e3 * p99:6.2f} ms"


def floor(folder: Path) -> float:
    """Commits a second of one small insert each."""
    db = apsw.Connection(str(folder / "floor.db"))
    db.execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)"
    ).fetchall()
    count, end = 0, time.perf_counter() + SECONDS / 2
    while time.perf_counter() < end:
        db.execute("INSERT INTO t (b) VALUES (?)", (b"x" * 200,))
        count += 1
    db.close()
    return count / (SECONDS / 2)


def main() -> None:
    with nullcontext(sys.argv[1]) if sys.argv[1:] else tempfile.TemporaryDirectory() as name:
        commits = floor(Path(name))
        print(f"{'floor: one insert a commit':30}  1 client:  {commits:7,.0f} commits/s")
        for clients in (1, CLIENTS):
            ledger = SqliteLedger(Path(name) / str(clients))
            rate = run("SQLite, synchronous=FULL", ledger, clients)
            print(f"{'':30}             {2 * rate / commits:7.2f} changes for a commit of the floor")
            ledger.close()
    if installed:
        with server(fsync=True) as postgres:
            for clients in (1, CLIENTS):
                twin = PostgresLedger(postgres.address)
                run("PostgreSQL", twin, clients)
                twin.close()


if __name__ == "__main__":
    main()
