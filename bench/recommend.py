"""Microseconds for 20 recommendations among 100,000 items, with ten in the cart: ``python -m bench.recommend``.

A made-up shop's million interactions, a recommender of each task learned from them as ``cashwrap train`` does, and its
arrays mapped from files, as in a server. Each question is asked several times and counts with its best, so that a busy
neighbour disturbs least; told is the 99th percentile over questions. Then what each step takes.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from bench.decide import against
from bench.train_recommender import catalogue, held, make
from cashwrap.learned.artefact import Artefact
from cashwrap.learning.data import Interactions, Task
from cashwrap.learning.recommending import fit
from cashwrap.recommend.asked import Asked
from cashwrap.recommend.hybrid import SOURCES, Recommender

ROWS, ITEMS, CART, SHOWN = 1_000_000, 100_000, 10, 20
ASKED, ROUNDS = 1_000, 7
BUDGET = 300.0


def mapped(artefact: Artefact, folder: Path) -> Artefact:
    """The same with its arrays in files."""
    arrays: dict[str, Any] = {}
    for name, array in artefact.arrays.items():
        np.save(folder / f"{name}.npy", array)
        arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return replace(artefact, arrays=arrays)


def questions(data: Interactions) -> list[Asked]:
    """Carts of ten, looked at just now, of shoppers who bought ten things before: whole visits, one after the other."""
    rng = np.random.default_rng(3)
    found = []
    for start in rng.integers(0, len(data.item) - 4 * CART, ASKED).tolist():
        cart = np.array(list(dict.fromkeys(data.item[start : start + 4 * CART].tolist()))[:CART], np.int32)
        days = rng.integers(1, 300, len(cart)).astype(np.float32)
        kinds, ages = np.zeros(len(cart), np.int8), np.arange(len(cart), 0, -1).astype(np.float32) * 20
        found.append(Asked(cart, kinds, ages, cart, cart[::-1], days, np.ones(len(cart), np.int32)))
    return found


def micros(ask: Callable[[Asked], object], asked: list[Asked]) -> list[float]:
    """Each question's best."""
    best = [float("inf")] * len(asked)
    for _ in range(ROUNDS):
        for place, question in enumerate(asked):
            began = time.perf_counter_ns()
            ask(question)
            best[place] = min(best[place], (time.perf_counter_ns() - began) / 1000)
    return sorted(best)


def told(name: str, times: list[float]) -> float:
    """Print them; the 99th percentile."""
    last = times[int(len(times) * 0.99)]
    most = times[int(len(times) * 0.9)]
    print(f"  {name:24} median {statistics.median(times):6.0f}   p90 {most:6.0f}   p99 {last:6.0f}")
    return last


def steps(recommender: Recommender, artefact: Artefact, asked: list[Asked]) -> None:
    """What each source takes, and the rest."""
    for name in recommender.names:
        source = SOURCES[name].of(artefact, len(recommender.items))
        told(name, micros(source.candidates, asked))
    pools = {id(question): recommender.pool(question) for question in asked}
    told("all sources, pooled", micros(recommender.pool, asked))
    told("blend", micros(lambda question: recommender.blend.order(question, pools[id(question)], SHOWN), asked))


def main() -> int:
    """Both tasks; 1 where one takes longer than it may."""
    slow = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, ROWS, ITEMS)
        data = held(folder, ITEMS, described=True)._replace(catalogue=catalogue(ITEMS))
        asked = questions(data)
        tasks: tuple[Task, ...] = ("next_item", "basket")
        for task in tasks:
            began = time.perf_counter()
            artefact = mapped(fit(data, task, {}, lambda _, __: None), folder)
            recommender = Recommender.of(artefact)
            trees = artefact.arrays["blend.leaves"].shape[0]
            print(f"{task}: {ROWS:,} interactions learned in {time.perf_counter() - began:.0f} s, {trees} trees, of:")
            gc.collect()
            gc.freeze()
            steps(recommender, artefact, asked)
            last = told(f"{SHOWN} recommendations", micros(recommender.recommend, asked))
            against(f"{task} p99", last, BUDGET)
            slow += last > BUDGET
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
