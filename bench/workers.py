"""What more processes bring: decide and collect with one process and with two workers, in turns in one run.

    python -m bench.workers

Both servers may use both cores, and so may the load (wrk, 32 connections), which takes its part of them: so every rate
is told by the clock and per second of the server's own CPU time, over all of its processes. With cores to spare the
second is what each further core would add, as far as the one that writes keeps up.
"""

import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.http import Rate, Server, collect_body, decide_body, engine, history, load, post

ROUNDS = 5
EXPERIENCES = 1_000
SHOPPERS = 100
_FREE = ",".join(map(str, sorted(os.sched_getaffinity(0))))


Running = tuple[Server, str]
"""A server, and a secret key."""


def in_turns(name: str, alone: Running, together: Running, once: Callable[[Running], Rate]) -> None:
    """Load one server, then the other, again and again; prints medians and their ratio."""
    rates = [(once(alone), once(together)) for _ in range(ROUNDS)]
    for title, at in (("one process", 0), ("two workers", 1)):
        wall, cpu, cores = (statistics.median(pair[at][field] for pair in rates) for field in range(3))
        print(
            f"{name:>22}, {title}: {wall:>8,.0f} req/s, {cpu:>8,.0f} per CPU second, on {cores:.2f} cores", flush=True
        )
    wall = [pair[1].wall / pair[0].wall for pair in rates]
    cpu = [pair[1].cpu / pair[0].cpu for pair in rates]
    print(
        f"{name:>22}: {statistics.median(wall):.2f}x by the clock ({min(wall):.2f} to {max(wall):.2f}), "
        f"{statistics.median(cpu):.0%} of the work per CPU second",
        flush=True,
    )


def ask(running: Running, path: str, bodies: list[bytes], *, unique: bool = False) -> Rate:
    server, key = running
    return load(server, path, bodies, key, unique=unique, cores=_FREE)


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: install it with your package manager (apt-get install wrk)")
    decides = [decide_body(number) for number in range(SHOPPERS)]
    with (
        tempfile.TemporaryDirectory() as name,
        engine(Path(name), EXPERIENCES, 1, _FREE) as alone,
        engine(Path(name), EXPERIENCES, 2, _FREE) as together,
    ):
        for server, key in (alone, together):
            for number in range(SHOPPERS):
                post(server.port, "/v1/batch", key, {"batch": history(number)})
            for body in decides * 4:
                post(server.port, "/v1/decide", key, json.loads(body))
        in_turns("decide", alone, together, partial(ask, path="/v1/decide", bodies=decides))
        for shoppers in (1, 20):
            bodies = [collect_body(shoppers).replace(b"@@@", b"%d" % group) for group in range(200)]
            collect = partial(ask, path="/v1/batch", bodies=bodies, unique=True)
            in_turns(f"collect, {shoppers} a batch", alone, together, collect)


if __name__ == "__main__":
    main()
