"""What more processes bring: decide and collect with one process and with two workers, in turns in one run.

    python -m bench.workers

Both servers may use both cores, and so may the load (wrk, 32 connections), which takes its part of them: so every rate
is told by the clock and per second of the server's own CPU time, over all of its processes. With cores to spare the
second is what each further core would add, as far as the one that writes keeps up.
"""

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.http import CASHWRAP, collect_body, decide_body, free_port, history, lua, post, running
from bench.playbooks import write_playbook

ROUNDS = 5
SECONDS = 4
EXPERIENCES = 1_000
SHOPPERS = 100
_FREE = ",".join(map(str, sorted(os.sched_getaffinity(0))))


class Server(NamedTuple):
    """Where a server listens, its first process, and a secret key."""

    port: int
    pid: int
    key: str


class Rate(NamedTuple):
    """Requests a second by the clock, requests per second of CPU time, and the CPU seconds spent in each second."""

    wall: float
    cpu: float
    cores: float


def cpu_seconds(pid: int) -> float:
    """User and system time so far of a process and its children that live."""
    tree = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    stats = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in tree]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(folder: Path, workers: int) -> Iterator[Server]:
    """``cashwrap serve`` with so many workers on all cores."""
    playbook, data = folder / "playbook", folder / f"data{workers}"
    if not playbook.exists():
        write_playbook(playbook, EXPERIENCES)
    made = subprocess.run(
        [CASHWRAP, "keys", "create", "secret", "--data", data], capture_output=True, text=True, check=True
    )
    port = free_port()
    command = [str(CASHWRAP), "serve", "--playbook", str(playbook), "--data", str(data), "--port", str(port)]
    with running(["taskset", "-c", _FREE, *command, "--workers", str(workers)], port) as pid:
        yield Server(port, pid, made.stdout.strip().splitlines()[-1])


def load(server: Server, path: str, bodies: list[bytes], *, unique: bool = False) -> Rate:
    """What ``wrk`` gets answered with 200; ends the benchmark on any other answer."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(lua(bodies, server.key, unique=unique))
        before = cpu_seconds(server.pid)
        command = [
            "wrk",
            "-t1",
            "-c32",
            f"-d{SECONDS}s",
            "--timeout",
            "20s",
            "-s",
            str(script),
            f"http://127.0.0.1:{server.port}{path}",
        ]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(server.pid) - before
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"answers were not all 200:\n{out}")
    rate, total = re.search(r"Requests/sec:\s+([\d.]+)", out), re.search(r"(\d+) requests in", out)
    assert rate is not None
    assert total is not None
    return Rate(float(rate[1]), int(total[1]) / used, used * float(rate[1]) / int(total[1]))


def in_turns(name: str, alone: Server, together: Server, once: Callable[[Server], Rate]) -> None:
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


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: install it with your package manager (apt-get install wrk)")
    decides = [decide_body(number) for number in range(SHOPPERS)]
    with tempfile.TemporaryDirectory() as name, serving(Path(name), 1) as alone, serving(Path(name), 2) as together:
        for server in (alone, together):
            for number in range(SHOPPERS):
                post(server.port, "/v1/batch", server.key, {"batch": history(number)})
            for body in decides * 4:
                post(server.port, "/v1/decide", server.key, json.loads(body))
        in_turns("decide", alone, together, lambda server: load(server, "/v1/decide", decides))
        for shoppers in (1, 20):
            bodies = [collect_body(shoppers).replace(b"@@@", b"%d" % group) for group in range(200)]
            collect = partial(load, path="/v1/batch", bodies=bodies, unique=True)
            in_turns(f"collect, {shoppers} a batch", alone, together, collect)


if __name__ == "__main__":
    main()
