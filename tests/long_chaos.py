"""The long fault runs, by command: ``make chaos``. The suite runs the same with fewer of each.

    python tests/long_chaos.py --kills 10000 --cuts 100000 --schedules 100000

Everything follows from ``--seed``; exit code 1 where anything is wrong.
"""

# ruff: noqa: T201 - what it prints is its result
import argparse
import logging
import sys
import time
from collections.abc import Callable

from cashwrap.errors import Unavailable
from cashwrap.testing.chaos.errands import at_every_point
from cashwrap.testing.chaos.failing import failures
from cashwrap.testing.chaos.full import disk_full
from cashwrap.testing.chaos.kills import Kills
from cashwrap.testing.chaos.nursery import Nursery
from cashwrap.testing.chaos.power import power_cuts
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.times import jumping_clocks, schedules, windowed
from chaos_room import room

PORTION = 100


def repeated(count: int, seed: int, run: Callable[[int, int], Tally]) -> Tally | None:
    """So many runs in portions, with the sum so far on one line."""
    total: Tally | None = None
    for start in range(0, count, PORTION):
        found = run(seed + start, min(PORTION, count - start))
        if total is None:
            total = found
        else:
            total.join(found)
        for complaint in found.wrong:
            print(f"\n{complaint}", flush=True)
        print(f"\r{line(total)}", end="", flush=True)
    print(flush=True)
    return total


def line(tally: Tally) -> str:
    """One kind of run, in words."""
    counts = f"{tally.runs} runs, {tally.faults} faults, {tally.acknowledged} acknowledged"
    return f"{tally.what}: {counts}, {tally.lost} lost, {tally.double} double, {len(tally.wrong)} wrong"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (
        ("kills", 10_000),
        ("cuts", 100_000),
        ("schedules", 100_000),
        ("clocks", 10_000),
        ("full", 100),
    ):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--workloads", type=int, default=10, help="workloads of which every Nth write and sync fails")
    parser.add_argument("--seed", type=int, default=1_000_000)
    asked = parser.parse_args()
    logging.getLogger("cashwrap").setLevel(logging.CRITICAL + 1)
    compiled, begun, done = windowed(), time.monotonic(), list[Tally | None]()
    with room() as folder, Nursery(folder / "servers.log") as nursery:
        kills = Kills(folder, nursery)
        runs: list[tuple[int, Callable[[int, int], Tally]]] = [
            (asked.kills, kills.run),
            (asked.kills // 100, lambda seed, _: at_every_point(folder, nursery, seed)),
            (asked.cuts, lambda seed, count: power_cuts(folder, seed, count)),
            (asked.workloads * PORTION, lambda seed, _: failures(folder, seed)),
            (asked.schedules, lambda seed, count: schedules(seed, count, compiled)),
            (asked.clocks, lambda seed, count: jumping_clocks(seed, count, compiled)),
            (asked.full, lambda seed, count: disk_full(folder, seed, count)),
        ]
        for count, run in runs:
            try:
                done.append(repeated(count, asked.seed, run))
            except Unavailable as error:
                print(error.message)
    print(f"{time.monotonic() - begun:.0f} s")
    return int(any(tally.wrong for tally in done if tally is not None))


if __name__ == "__main__":
    sys.exit(main())
