"""Many processes want the last uses of an offer at the same instant: no more get one than there are."""

import os
import sys
import traceback
from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct

from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import CashwrapError
from cashwrap.ledger import Claim, Once, Reservation
from cashwrap.testing.chaos.money import LIFE, OFFER, USES
from cashwrap.testing.chaos.stage import START
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.workload import TENANT


class Race(Struct, frozen=True):
    """How many processes race, how often each tries, and how many uses there are."""

    processes: int = 16
    tries: int = 20
    uses: int = 40
    naive: bool = False
    """The planted bug: look whether there is room, and count afterwards."""


def race(folder: Path, wanted: Race) -> str:
    """Run it; what each process was granted, as JSON. To be called in a process that has one thread."""
    starting, start = os.pipe()
    children = []
    for number in range(wanted.processes):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(start)
                os.read(starting, 1)  # ends when everybody is there
                os.write(writing, msgspec.json.encode(_try(folder, wanted, number)))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(writing)
        children.append((child, reading))
    os.close(start)
    granted = []
    for child, reading in children:
        with os.fdopen(reading, "rb") as pipe:
            granted.append(msgspec.json.decode(pipe.read() or b"-1", type=int))
        os.waitpid(child, 0)
    os.close(starting)
    return msgspec.json.encode(granted).decode()


def _try(folder: Path, wanted: Race, number: int) -> int:
    """How often this process got one; every request is sent twice, as by a client that heard nothing."""
    ledger = SqliteLedger(folder)
    granted = 0
    for attempt in range(wanted.tries):
        name = f"{number:04}{attempt:08}".encode()
        asked = Reservation(name, TENANT, OFFER, "EUR", 100, created=START, expires=START + LIFE)
        most = wanted.uses
        if wanted.naive:
            if ledger.used(TENANT, [USES]).get(USES, 0) >= wanted.uses:
                continue
            most = 1 << 30
        outcomes = [_reserve(ledger, asked, most) for _ in range(2)]
        granted += any(outcomes)
    ledger.close()
    return granted


def _reserve(ledger: SqliteLedger, asked: Reservation, most: int) -> bool:
    try:
        outcome = ledger.reserve(asked, (Claim(USES, 1, most),), Once(asked.id.decode(), b"same"), START)
        if not outcome.refused:
            order = f"order-{asked.id.decode()}"
            ledger.redeem(TENANT, asked.id, order, None, Once(order, b"same"), START)
    except CashwrapError:
        return False
    return not outcome.refused


def judge(folder: Path, wanted: Race, told: str, seed: int) -> Tally:
    """Compare what the processes were told with what the ledger says."""
    granted = msgspec.json.decode(told, type=list[int])
    tally = Tally("races for the last redemption", runs=1, faults=wanted.processes * wanted.tries)
    tally.acknowledged = sum(max(0, count) for count in granted)
    ledger = SqliteLedger(folder)
    tally.complain(seed, *ledger.check())
    kinds = Counter(entry.kind for entry in ledger.entries(TENANT, limit=100_000))
    used = ledger.used(TENANT, [USES]).get(USES, 0)
    ledger.close()
    right = min(wanted.uses, wanted.processes * wanted.tries)
    if min(granted) < 0:
        tally.complain(seed, "a process of the race died")
    if {tally.acknowledged, used, kinds["reserve"], kinds["redeem"]} != {right}:
        found = f"{tally.acknowledged} granted, {used} counted, {kinds['redeem']} redeemed of {right}"
        tally.complain(seed, found)
        tally.double += max(0, used - right)
        tally.lost += max(0, tally.acknowledged - kinds["redeem"])
    return tally
