"""Rows a second that one core imports, each mapping on its real data: ``python bench/imports.py [DATA]``.

Reading, mapping, normalising, folding, sealing and the commits with their fsync, into the embedded store; the census of
shoppers at the end is told apart. Beside the clock on the wall stands the processor's own, for a machine that is busy.
Without the data it makes the same number of events up. No asserts: a number to read.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.adapters.vault import FileVault
from cashwrap.engine import World
from cashwrap.history import import_file, load_mapping
from cashwrap.playbook import Playbook, load_playbook

ROOT = Path(__file__).parents[1]
FILES = {
    "retailrocket": "retailrocket_events/events.csv.gz",
    "rees46": "rees46_events_sample/events.csv.gz",
    "online_retail": "online_retail/lines_2010-12_2011-08.csv.gz",
}
GOAL = 15_000


@contextlib.contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        store, random = SqliteStore(folder), SystemRandom()
        vault = FileVault(folder, random)
        yield World(store, store, store, store, store, vault, SystemClock(), random)
        vault.close()
        store.close()


def made_up(folder: Path) -> Path:
    """As many rows as RetailRocket has, with as many shoppers, for a machine without the data."""
    path = folder / "events.csv"
    lines = ["ts,visitor,session,event,item,category"]
    for number in range(38_743):
        shopper = number * 7919 % 11_130
        event = "transaction" if number % 61 == 0 else "addtocart" if number % 19 == 0 else "view"
        lines.append(f"{1_441_850_000 + number * 13},{shopper + 1},{shopper},{event},{number % 12_346},{number % 900}")
    path.write_text("\n".join(lines))
    return path


def measure(name: str, file: Path, playbook: Playbook) -> str:
    with world() as fresh:
        mapping = load_mapping(Path(name), playbook.vocabulary)
        spent = time.process_time()
        begun = time.perf_counter()
        report = import_file(fresh, playbook, mapping, file)
        busy, wall = time.process_time() - spent, time.perf_counter() - begun
    figures = (report.rows_per_second, int(report.rows / wall), int(report.rows / busy))
    return f"{name:15} {report.rows:8,} {report.events.stored:8,}" + "".join(f" {figure:12,}" for figure in figures)


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    playbook = load_playbook(ROOT / "playbooks" / "starter")
    head = f"{'mapping':15} {'rows':>8} {'stored':>8} {'rows/s':>12} {'with census':>12} {'a cpu second':>12}"
    print(f"{head}   goal {GOAL:,}")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in FILES.items():
            if (data / path).is_file():
                print(measure(name, data / path, playbook))
            elif name == "retailrocket":
                print(measure(name, made_up(Path(folder)), playbook), " (made up)")


if __name__ == "__main__":
    main()
