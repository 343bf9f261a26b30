"""A recommender's tables from ten million interactions: ``python -m bench.train_recommender [ROWS] [ITEMS]``.

Shop-like numbers are made, once; then each builder runs in a process of its own, whose seconds and largest memory are
told beside what holding the interactions alone takes. Budget: ten minutes in all, and 3 GB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cashwrap.learning import neighbours, popularity, repeats, similar, tables
from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import DAY
from cashwrap.model import Product

ROWS, ITEMS = 10_000_000, 100_000
A_SESSION = 5
DAYS = 180
KINDS = 400
"""Items come in kinds of as many; a session stays in two of them."""
SECONDS, MEGABYTES = 600, 3_000
BUILDERS = {
    "nothing": None,
    "session": neighbours.build,
    "follows": neighbours.build_follows,
    "together": tables.build,
    "together, of all": lambda data, _: tables.build(data._replace(kind=data.kind * 0), {"substitutes": 0}),
    "repeat": repeats.build,
    "popular": popularity.build,
    "trending": popularity.build_trending,
    "similar": similar.build,
    "accessories": similar.build_accessories,
}
WORDS = np.array([f"word{number}" for number in range(3_000)])


def make(folder: Path, rows: int, items: int) -> None:
    """Interactions as arrays in files."""
    chance = np.random.default_rng(1)
    sessions = rows // A_SESSION
    lengths = chance.geometric(1 / A_SESSION, sessions).clip(1, 500)
    session = np.repeat(np.arange(sessions), lengths)
    kinds = chance.zipf(1.3, (sessions, 2)) % max(items // KINDS, 1)
    kind = np.where(chance.random(len(session)) < 0.8, kinds[session, 0], kinds[session, 1])
    place = (chance.zipf(1.2, len(session)) - 1) % KINDS
    np.save(folder / "item.npy", ((kind * KINDS + place) % items).astype(np.int32))
    start = np.sort(chance.integers(0, DAYS * DAY, sessions))
    np.save(folder / "time.npy", start[session])
    np.save(folder / "offsets.npy", np.concatenate(([0], np.cumsum(lengths))))
    np.save(folder / "user.npy", chance.integers(0, sessions // 3, sessions).astype(np.int32))
    np.save(folder / "kind.npy", np.where(chance.random(len(session)) < 0.8, 0, 2).astype(np.int8))


def held(folder: Path, items: int, *, described: bool) -> Interactions:
    """Them in memory; with a catalogue, if that is what a builder reads."""
    item, moment, offsets, user, kind = (
        np.load(folder / f"{name}.npy") for name in ("item", "time", "offsets", "user", "kind")
    )
    names = tuple(map(str, range(items)))
    return Interactions(
        items=names,
        item=item,
        kind=kind,
        time=moment,
        offsets=offsets,
        user=user,
        part=np.zeros(len(user), np.int8),
        explored=np.zeros(len(user), np.bool_),
        catalogue=catalogue(items) if described else {},
    )


def catalogue(items: int) -> dict[str, Product]:
    """Products with titles of five words."""
    words = np.random.default_rng(2).zipf(1.3, (items, 5)) % len(WORDS)
    return {
        str(number): Product(str(number), title=" ".join(WORDS[row]), category=f"kind {number // KINDS}")
        for number, row in enumerate(words)
    }


def one(folder: Path, name: str, items: int) -> None:
    """Run one builder and tell of it."""
    data = held(folder, items, described=name in {"similar", "accessories"})
    build = BUILDERS[name]
    began, worked = time.perf_counter(), time.process_time()
    arrays = build(data, {})[0] if build is not None else {}
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(array.nbytes for array in arrays.values()) / 1e6
    print(
        f"{name:16} {seconds:6.1f} s ({worked:.1f} of processor)   peak {peak:6,.0f} MB   arrays {size:6.1f} MB",
        flush=True,
    )


def main(rows: int, items: int) -> None:
    """Make them, and run each builder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, rows, items)
        print(f"{rows:,} interactions with {items:,} items; budget {SECONDS} s, {MEGABYTES:,} MB")
        for builder in BUILDERS:
            subprocess.run(
                [sys.executable, "-m", "bench.train_recommender", "one", name, builder, str(items)], check=True
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main(*map(int, (sys.argv[1:] + [str(ROWS), str(ITEMS)][len(sys.argv) - 1 :])))
