"""What the console costs decisions: without one, with one that nobody uses, and with one that everybody uses at once.

    python -m bench.console [--rounds 7] [--seconds 4] [--pages now,data]

Two servers with the same playbook of 1,000 experiences: one with ``--no-console``, one with its console. Each round
measures three states in a random order, and each state twice: 300 decisions a second that come when they are due
(``openloop``: the latency counts from then), and as many as the server answers to 32 connections (``wrk``). Used by
everybody means: 50 pages of *Now* held open, somebody who goes through all pages, four a second, and one report
after the other, made as the console's jobs are. What is told is the ratio to the round's own state without a console,
with a 95 % interval over rounds (Student's t on logarithms).

Server, console, load and whoever uses the console share the machine, as the kernel likes: the load has the last core,
the users of the console step back (niceness 19), since theirs would be other machines. Ends with an error where an
answer is not 200, or where the busy state was not busy.
"""

import argparse
import asyncio
import contextlib
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import uvloop
from scipy.stats import t as student

from bench import http
from bench.deadline import quantile
from bench.http import CASHWRAP, Server, decide_body, free_port, history, post, running
from bench.openloop import Load, Planned, arrivals, request
from bench.playbooks import write_playbook
from cashwrap.adapters.console_store import ConsoleStore
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.console.people.people import People, Person
from cashwrap.console.people.sessions import COOKIE, Sessions
from cashwrap.console.roles import Grant
from cashwrap.library import open_world

EXPERIENCES, SHOPPERS = 1_000, 100
RATE = 300
STREAMS, THINK = 50, 0.25
"""Open pages, and the seconds between two clicks."""
STATES = ("none", "idle", "busy")
PAGES = "now,shopper,segments,experiences,experiments,offers,models,data,drafts,settings"
EVERYWHERE = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
_EXPERIMENT = """\
placements:
  tested: {component: message}
experiences:
  greeting:
    in: tested
    show: {text: {en: "Good day."}}
    experiment: {control: 50%, goal: conversion}
"""


class Figures(NamedTuple):
    """One state in one round: milliseconds in the open loop, requests a second in the closed one, and requests per
    second of the server's own CPU time there, which tells what the console costs even where others use the machine."""

    p50: float
    p95: float
    p99: float
    rate: float
    per_cpu: float


# --- servers ---


@contextlib.contextmanager
def serving(folder: Path, name: str, *, console: bool) -> Iterator[tuple[Server, str, str]]:
    """A server; yields it, a secret key, and the cookie of somebody who may see everything."""
    playbook, data, port = folder / f"playbook-{name}", folder / name, free_port()
    write_playbook(playbook, EXPERIENCES)
    (playbook / "tested.yaml").write_text(_EXPERIMENT)
    made = subprocess.run(
        [CASHWRAP, "keys", "create", "secret", "--data", data], capture_output=True, text=True, check=True
    )
    key, cookie = made.stdout.strip().splitlines()[-1], signed_in(data)
    command = [str(CASHWRAP), "serve", "--playbook", str(playbook), "--data", str(data), "--port", str(port)]
    with running([*command, "--console" if console else "--no-console"], port, EVERYWHERE) as pid:
        for number in range(SHOPPERS):
            post(port, "/v1/batch", key, {"batch": history(number)})
        yield Server(port, pid), key, cookie


def signed_in(data: Path) -> str:
    """The cookie of an administrator, written before the console starts."""
    with open_world(data, make=True) as world:
        person = Person("bench", grants=(Grant("admin"),))
        People(world.registry).put(person)
        store = ConsoleStore(data)
        text, _ = Sessions(SystemClock(), SystemRandom(), store).begin(person)
        store.close()
    return text


# --- who uses the console ---


@contextlib.contextmanager
def busy(server: Server, cookie: str, data: Path, pages: str) -> Iterator[None]:
    """Everybody at once, until the block ends; an error where they found nothing to do."""
    command = [sys.executable, "-m", "bench.console", "users", str(server.port), cookie, str(data), pages]
    users = subprocess.Popen(["nice", "-n", "19", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert users.stdout is not None
    users.stdout.readline()  # all streams are open
    try:
        yield
    finally:
        out, _ = users.communicate("\n", timeout=60)
    did = dict(zip(("pieces to open pages", "pages", "reports begun"), map(int, out.split()), strict=False))
    print(f"  busy: {did}", file=sys.stderr)
    if len(did) < 3 or not all(did.values()):
        raise SystemExit("the busy state was not busy")


class Users:
    """Everybody who has the console open, in a process of its own."""

    def __init__(self, port: int, cookie: str, data: Path, pages: str) -> None:
        self._port = port
        self._all = pages.split(",")
        self._cookie = f"{COOKIE}={cookie}"
        self._data = data
        self._opened = asyncio.Event()
        self.pieces = self.pages = self.reports = 0

    async def run(self) -> None:
        """Say when streams are open, go on until the input ends, and say what was done."""
        all_of_them = [*(self._watch() for _ in range(STREAMS)), self._click(), self._report()]
        tasks = [asyncio.create_task(each) for each in all_of_them]
        await self._opened.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(self.pieces, self.pages, self.reports, flush=True)

    async def _watch(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"GET /console/default/live/now/stream HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n"
        writer.write(f"{head}cookie: {self._cookie}\r\n\r\n".encode())
        status = await reader.readline()
        if b" 200 " not in status:
            raise SystemExit(f"a stream was refused: {status!r}")
        while line := await reader.readline():
            self.pieces += line.startswith(b"event: figures")
            self._opened.set()

    async def _click(self) -> None:
        while True:
            page = self._all[self.pages % len(self._all)]
            await asyncio.to_thread(self._load, page)
            self.pages += 1
            await asyncio.sleep(THINK)

    def _load(self, page: str) -> None:
        address = f"http://127.0.0.1:{self._port}/console/default/live/{page}"
        asked = urllib.request.Request(address, headers={"cookie": self._cookie})
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                if f"/{page}" not in answer.url:
                    raise SystemExit(f"{page} led to {answer.url}")
                answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{page} answered {error.code}") from None

    async def _report(self) -> None:
        command = [str(CASHWRAP), "report", "greeting", "--data", str(self._data), "--json"]
        while True:
            quiet = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
            self.reports += 1
            try:
                if await process.wait():
                    raise SystemExit("a report failed")
            finally:
                if process.returncode is None:
                    process.kill()


# --- measuring ---


def measured(server: Server, key: str, bodies: list[bytes], seconds: float, seed: str) -> Figures:
    """One state: latencies in the open loop, then the rate in the closed one."""
    rng = random.Random(seed)
    plan = [
        Planned(due, "decide", request("/v1/decide", key, rng.choice(bodies))) for due in arrivals(RATE, seconds, seed)
    ]

    async def run() -> list[float]:
        load = Load(server.port)
        answers = await load.run(plan)
        load.close()
        if any(answer.status != 200 for answer in answers):
            raise SystemExit(f"not 200: {next(answer for answer in answers if answer.status != 200)}")
        return sorted(answer.seconds * 1000 for answer in answers)

    taken = uvloop.run(run())
    before = own_cpu(server.pid)
    rate = http.load(server, "/v1/decide", bodies, key).wall
    used = own_cpu(server.pid) - before
    return Figures(quantile(taken, 0.5), quantile(taken, 0.95), quantile(taken, 0.99), rate, rate * http.SECONDS / used)


def own_cpu(pid: int) -> float:
    """User and system time so far of one process, without its console."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The geometric mean of ratios with its 95 % interval."""
    logs = [math.log(ratio) for ratio in ratios]
    middle, error = statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    half = float(student.ppf(0.975, len(logs) - 1)) * error
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def tell(rounds: list[dict[str, Figures]]) -> None:
    """Medians of each state, and ratios to the state without a console."""
    print(f"{'':>6} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'req/s':>9} {'req/CPU s':>10}")
    for state in STATES:
        values = [statistics.median(each[state][place] for each in rounds) for place in range(len(Figures._fields))]
        print(f"{state:>6} {values[0]:8.2f} {values[1]:8.2f} {values[2]:8.2f} {values[3]:9,.0f} {values[4]:10,.0f}")
    for state in STATES[1:]:
        for place, name in enumerate(Figures._fields):
            middle, low, high = interval([each[state][place] / each["none"][place] for each in rounds])
            print(f"{state:>6} / none, {name:>7}: {middle:.3f} [{low:.3f}, {high:.3f}]")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--pages", default=PAGES)
    chosen = options.parse_args()
    bodies = [decide_body(number) for number in range(SHOPPERS)]
    order, rounds = random.Random(1), []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        folder = Path(name)
        plain, plain_key, _ = opened.enter_context(serving(folder, "without", console=False))
        both, both_key, cookie = opened.enter_context(serving(folder, "with", console=True))
        wait_for_console(both.port)
        for number in range(chosen.rounds + 1):
            found: dict[str, Figures] = {}
            for state in order.sample(STATES, len(STATES)):
                server, key = (plain, plain_key) if state == "none" else (both, both_key)
                users = busy(server, cookie, folder / "with", chosen.pages)
                with users if state == "busy" else contextlib.nullcontext():
                    found[state] = measured(server, key, bodies, chosen.seconds, f"{number}")
            if number:  # the first round warms up
                rounds.append(found)
                print(
                    {state: tuple(round(each, 2) for each in figures) for state, figures in found.items()}, flush=True
                )
    tell(rounds)


def wait_for_console(port: int) -> None:
    """Until its pages answer."""
    for _ in range(300):
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/console/login").close()
            return
        time.sleep(0.1)
    raise SystemExit("the console did not start")


if __name__ == "__main__":
    if sys.argv[1:2] == ["users"]:
        port, cookie, data, pages = sys.argv[2:]
        asyncio.run(Users(int(port), cookie, Path(data), pages).run())
    else:
        main()
