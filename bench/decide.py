"""Microseconds to decide 20 placements in process, profile hot, beside three published rule engines.

    python -m bench.decide [--sizes 10,100,1000,10000,100000]

Each size runs in a process of its own. Timed are, each the median over shoppers of that shopper's best:

    match   the index alone, all of it: which conditions hold
    choose  what of the index the profile leaves open, and per placement the first experience that fits, with content
    whole   choose, and before it who asks, the request's and the profile's attributes through the consent lens, and
            segments; what depends on the profile alone as remembered from the same second
    anew    whole, one second later each time, so that the profile's attributes are computed again
    bytes   anew, finding the profile in memory, the signed token and the answer's JSON: all but HTTP

The peers get the attributes ready made, segments included, and only say what wins where. Every answer is compared, and
one that differs ends the benchmark with an error. ``load`` is the whole way from the playbook's files to a playbook.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench import peers, shop
from bench.peers import Peer, Winners
from cashwrap.decide import decide
from cashwrap.engine import Engine
from cashwrap.inputs import Gathered
from cashwrap.model import Inputs
from cashwrap.playbook import Playbook, load_playbook

SHOPPERS = 60
FEW = 10
"""Shoppers where there are 100,000 rules."""
REPEATS = 12
PEER_REPEATS = 3
LARGE = 10_000
"""Rules beyond which only the fastest peer is asked: the others take half a minute to make, or a second a shopper."""
BUDGETS = {1_000: 40.0, 10_000: 80.0}
LOAD_SECONDS, LOAD_MB, GROWTH, FASTER = 2.0, 100.0, 4.0, 30.0
T = TypeVar("T")


def best_of(call: Callable[[T], object], items: Sequence[T], repeats: int, before: Callable[[], None]) -> list[float]:
    """Each item's best time in microseconds, which a busy neighbour disturbs least."""
    best = [float("inf")] * len(items)
    for _ in range(repeats):
        before()
        for at, item in enumerate(items):
            start = time.perf_counter_ns()
            call(item)
            best[at] = min(best[at], (time.perf_counter_ns() - start) / 1000)
    return best


def memory(field: str) -> float:
    """This process's resident megabytes: ``VmRSS`` now, ``VmHWM`` at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def load(folder: Path, row: dict[str, Any]) -> Playbook:
    """The playbook, with its time and memory; nothing else may have been made in this process."""
    gc.collect()
    before = memory("VmRSS")
    start = time.perf_counter()
    playbook = load_playbook(folder)
    row["load s"] = time.perf_counter() - start
    gc.collect()
    gc.freeze()  # as a server does after each swap
    row["kept MB"], row["peak MB"] = memory("VmRSS") - before, memory("VmHWM") - before
    return playbook


class Ours:
    """Our engine's parts over one playbook."""

    def __init__(self, playbook: Playbook, shoppers: int) -> None:
        self.playbook = playbook
        self.engine: Engine
        self.engine, self.shoppers = shop.open_shop(playbook, shoppers)
        clock = self.engine.world.clock
        assert isinstance(clock, shop.BenchClock)
        self.clock = clock
        self.gathered = [self.gather(each) for each in self.shoppers]
        self.inputs = [each.inputs for each in self.gathered]

    def gather(self, each: shop.Shopper) -> Gathered:
        return self.engine.inputs(self.playbook, each.request, each.caller, each.hot)

    def winners(self, inputs: Inputs) -> Winners:
        return tuple(answer.experience for answer in decide(self.playbook.experiences, inputs).placements.values())

    def second(self) -> None:
        self.clock.time += 1000

    def time(self) -> dict[str, list[float]]:
        """Every part's times by its name."""
        experiences, still = self.playbook.experiences, lambda: None
        parts: dict[str, list[float]] = {
            "match": best_of(lambda each: experiences.index.matches(each.values), self.inputs, REPEATS, still),
        }

        def choose(gathered: Gathered) -> object:
            return decide(experiences, gathered.inputs, narrowed=gathered.narrowed)

        def whole(each: shop.Shopper) -> object:
            return choose(self.gather(each))

        parts["choose"] = best_of(choose, self.gathered, REPEATS, still)

        parts["gather"] = best_of(self.gather, self.shoppers, REPEATS, still)
        parts["whole"] = best_of(whole, self.shoppers, REPEATS, still)
        parts["anew"] = best_of(whole, self.shoppers, REPEATS, self.second)
        parts["bytes"] = best_of(
            lambda each: self.engine.decide(each.request, each.caller), self.shoppers, REPEATS, self.second
        )
        return parts


def compare(peer: Peer, prepared: list[Any], ours: Ours, expected: list[Winners]) -> int:
    """How many answers were compared; ends the process at a shopper with another answer."""
    for number, (data, wanted) in enumerate(zip(prepared, expected, strict=True)):
        found = peer.decide(data)
        pairs = enumerate(zip(wanted, found, strict=True))
        where = [f"p{at}: ours {mine}, theirs {other}" for at, (mine, other) in pairs if mine != other]
        if where:
            values = ours.inputs[number].values
            raise SystemExit(f"{peer.name} differs for shopper {number}: {'; '.join(where)}\n{values}")
    return len(prepared) * shop.PLACEMENTS


def one_size(count: int, folder: Path, *, narrow: bool) -> dict[str, Any]:
    """One row of the table."""
    row: dict[str, Any] = {"rules": count, "narrow": narrow}
    playbook = load(folder, row)
    made = shop.experiences(count, narrow=narrow)
    ours = Ours(playbook, SHOPPERS if count <= LARGE else FEW)
    first = ours.time()
    expected = [ours.winners(each) for each in ours.inputs]
    row["winners"] = statistics.mean(sum(name is not None for name in each) for each in expected)
    held = [each.values for each in ours.inputs]
    row["held %"] = 100 * statistics.mean(playbook.experiences.index.matches(each).bit_count() for each in held) / count
    attributes = [shop.plain(dict(each)) for each in held]
    row["compared"] = 0
    for make in peers.PEERS if count <= LARGE else (peers.datalogic_all, peers.datalogic_first):
        peer = make(made)
        prepared = [peer.prepare(each) for each in attributes]
        row["compared"] += compare(peer, prepared, ours, expected)
        row[peer.name] = statistics.median(best_of(peer.decide, prepared, PEER_REPEATS, lambda: None))
        del peer, prepared
    again = ours.time()
    for name, times in first.items():
        row[name] = statistics.median(map(min, times, again[name]))
    ours.engine.close()
    return row


def run_size(count: int, *, narrow: bool) -> dict[str, Any]:
    """The row from a fresh process, so that its memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        shop.write_files(Path(folder), shop.playbook_files(shop.experiences(count, narrow=narrow)))
        command = [sys.executable, "-m", "bench.decide", "--one", str(count), folder, *(["--narrow"] if narrow else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


COLUMNS = (
    "rules",
    "held %",
    "winners",
    "load s",
    "kept MB",
    "peak MB",
    "match",
    "choose",
    "gather",
    "whole",
    "anew",
    "bytes",
)
PEER_COLUMNS = ("growthbook", "cel-expr-python", "datalogic-py, all rules", "datalogic-py, first match")


def show(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    print(" | ".join(f"{name:>8}" for name in columns))
    for row in rows:
        print(" | ".join(f"{_cell(row.get(name)):>{max(8, len(name))}}" for name in columns))


def _cell(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else "-"


def against(what: str, measured: float, budget: float, *, least: bool = False) -> None:
    """One budget: what was measured, and its ratio to the budget."""
    met = measured >= budget if least else measured <= budget
    limit = f"{'>=' if least else '<='} {budget:g}"
    print(f"  {what}: {measured:,.1f} ({limit}) = {measured / budget:.0%} of the budget: {'met' if met else 'MISSED'}")


def judge(rows: list[dict[str, Any]]) -> None:
    """Every budget that these rows can judge."""
    broad = {row["rules"]: row for row in rows if not row["narrow"]}
    print("budgets")
    for count, budget in BUDGETS.items():
        for part in ("whole", "anew") if count in broad else ():
            against(f"{count:,} rules, {part}, us", broad[count][part], budget)
    if 1_000 in broad and 10_000 in broad:
        for part in ("whole", "anew"):
            against(f"1,000 to 10,000 rules, {part}, times", broad[10_000][part] / broad[1_000][part], GROWTH)
    if 10_000 in broad:
        against("10,000 rules from their files, s", broad[10_000]["load s"], LOAD_SECONDS)
        against("10,000 rules, memory kept, MB", broad[10_000]["kept MB"], LOAD_MB)
    for row in rows:
        if row["rules"] == 10_000:
            _beside_peers(row, "10,000 narrow rules" if row["narrow"] else "10,000 rules")


def _beside_peers(row: dict[str, Any], what: str) -> None:
    """How much faster than the best peer: one API call a rule or for all rules, and chains written by hand."""
    best = min(row[name] for name in PEER_COLUMNS[:3])
    for part in ("whole", "anew"):
        against(f"{what}, best peer over {part}, times", best / row[part], FASTER, least=True)
    chain = row[PEER_COLUMNS[3]]
    print(f"  {what}, JsonLogic as one if-chain a placement over whole: {chain / row['whole']:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000,10000,100000", help="rules, with commas between")
    parser.add_argument("--one", nargs=2, metavar=("RULES", "FOLDER"), help="one size in this process, as JSON")
    parser.add_argument("--narrow", action="store_true", help="rules that hold for few shoppers")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(int(options.one[0]), Path(options.one[1]), narrow=options.narrow)))
        return
    sizes = [int(size) for size in options.sizes.split(",")]
    rows = [run_size(size, narrow=options.narrow) for size in sizes]
    if 10_000 in sizes and not options.narrow:
        rows.append(run_size(10_000, narrow=True))
    print(
        f"20 placements; times in us, medians over {SHOPPERS} shoppers ({FEW} at 100,000); the second 10,000 are narrow"
    )
    show(rows, COLUMNS)
    print("the same winners from the peers, in us (at 100,000 only the fastest: the others take too long)")
    show(rows, ("rules", "compared", *PEER_COLUMNS))
    judge(rows)


if __name__ == "__main__":
    main()
