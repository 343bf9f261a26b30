"""Five times as much as one core can do: what becomes of decisions, and of the work that it could have done.

    python -m bench.overload [--seconds 20] [--times 5]

First a usual load, without and with one shopper who sends 5,000 events a second. Then the peak: 300 decisions a second
come when they are due, and as many batches of 20 events as the server keeps up with. Then half of those batches, when
they are due: how long until they are acknowledged, durably. Then both come ``--times`` as often as that, when they are
due and whether or not earlier ones were answered. Goodput is what was kept and decided, each weighed with the server's
own time that one of it took alone. The server has core 0 for itself, the load core 1. Ends with an error where a
decision has no answer, or an event request was answered neither with 200 nor with 503 and a time to come back.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench.deadline import quantile
from bench.http import (
    CASHWRAP,
    LOAD_CORE,
    SERVER_CORE,
    collect_body,
    cpu_seconds,
    decide_body,
    free_port,
    post,
    shopper,
)
from bench.openloop import Answered, Load, Planned, arrivals, request
from bench.playbooks import write_playbook

DECISIONS = 300
SHOPPERS = 200
WAITING = 16
"""Batches that are under way at once while the peak is looked for."""
HOT = 250
"""Batches of 20 events a second of one shopper: a hundred times what a person could cause."""
TARGET = 0.8
ACKNOWLEDGED = 50.0
"""Milliseconds within which 99 of 100 batches are to be durable at half load."""


class Server:
    """A ``serve`` on its own core."""

    def __init__(self, folder: Path) -> None:
        self.keys = {}
        for kind in ("publishable", "secret"):
            command = [CASHWRAP, "keys", "create", kind, "--data", folder / "data"]
            made = subprocess.run(command, capture_output=True, text=True, check=True)
            self.keys[kind] = made.stdout.strip().splitlines()[-1]
        self.port = free_port()
        serve = [
            CASHWRAP,
            "serve",
            "--playbook",
            folder / "playbook",
            "--data",
            folder / "data",
            "--rate",
            "1000000",
            "--no-console",
        ]
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *serve, "--no-console", "--port", str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if "ready" not in self.process.stdout.readline():
            raise SystemExit("the server did not start")

    def metrics(self) -> dict[str, float]:
        """What ``/metrics`` says, without labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            return {
                name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", answer.read().decode(), re.MULTILINE)
            }


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def seed(server: Server) -> None:
    """Consent for every shopper, and a look at each by a decision, so that all are in memory."""
    batch = [
        {
            "type": "consent",
            "messageId": f"c{number}",
            "choices": {"personalization": "granted"},
            "anonymousId": shopper(number),
        }
        for number in range(SHOPPERS)
    ]
    post(server.port, "/v1/batch", server.keys["secret"], {"batch": batch})
    for number in range(SHOPPERS):
        post(server.port, "/v1/decide", server.keys["secret"], json.loads(decide_body(number)))


def decisions(server: Server, rate: float, seconds: float, name: str) -> list[Planned]:
    rng = random.Random(name)
    key = server.keys["publishable"]
    bodies = [request("/v1/decide", key, decide_body(rng.randrange(SHOPPERS))) for _ in range(SHOPPERS)]
    return [
        Planned(due, "decide", bodies[number % SHOPPERS]) for number, due in enumerate(arrivals(rate, seconds, name))
    ]


def batch(server: Server, name: str, number: int) -> bytes:
    body = collect_body(20).replace(b"@@@", b"%d" % (number % SHOPPERS)).replace(b"@@", f"{name}-{number}".encode())
    return request("/v1/batch", server.keys["publishable"], body)


def costs(server: Server, seconds: float) -> dict[str, float]:
    """Seconds of the server's own time for one decision and for one batch, each alone and one after another."""
    found = {}
    for kind in ("decide", "collect"):
        made = decisions(server, 1_000, 1.0, "alone")
        bodies = [each.data for each in made] if kind == "decide" else [batch(server, "alone", n) for n in range(5_000)]
        found[kind] = asyncio.run(_alone(server, bodies, seconds))
    return found


async def _alone(server: Server, bodies: list[bytes], seconds: float) -> float:
    load = Load(server.port)
    connections = [await load._connect() for _ in range(4)]
    began, before, done = time.monotonic(), cpu_seconds(server.process.pid), 0

    async def ask(connection: object, first: int) -> None:
        nonlocal done
        for number in range(first, len(bodies) * 100, 4):
            if time.monotonic() - began > seconds:
                return
            await connection.ask(bodies[number % len(bodies)])  # type: ignore[attr-defined]
            done += 1

    await asyncio.gather(*(ask(connection, number) for number, connection in enumerate(connections)))
    load.close()
    return (cpu_seconds(server.process.pid) - before) / done


async def peak(server: Server, seconds: float) -> tuple[float, list[Answered]]:
    """Batches a second that are kept beside the usual decisions, and what became of those."""
    load, kept, number = Load(server.port), 0, 0
    until = time.monotonic() + seconds

    async def send(connection: object) -> None:
        nonlocal kept, number
        while time.monotonic() < until:
            number += 1
            status, _, _ = await connection.ask(batch(server, "peak", number))  # type: ignore[attr-defined]
            kept += status == 200

    connections = [await load._connect() for _ in range(WAITING)]
    beside = asyncio.create_task(Load(server.port).run(decisions(server, DECISIONS, seconds, "peak")))
    await asyncio.gather(*(send(connection) for connection in connections))
    return kept / seconds, await beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--times", type=float, default=5.0, help="how many times the peak comes in")
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    gc.disable()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_playbook(folder / "playbook", 1_000)
        with serving(folder) as server:
            seed(server)
            hot_shopper(server, options.seconds)
            cost = costs(server, 3)
            batches, usual = uvloop.run(peak(server, options.seconds))
            half = decisions(server, DECISIONS, options.seconds, "half")
            times = enumerate(arrivals(batches / 2, options.seconds, "h"))
            half += [Planned(at, "collect", batch(server, "half", n)) for n, at in times]
            calm = uvloop.run(Load(server.port).run(sorted(half)))
            rate, due = options.times * batches, options.seconds
            plan = decisions(server, options.times * DECISIONS, due, "over")
            plan += [Planned(at, "collect", batch(server, "over", n)) for n, at in enumerate(arrivals(rate, due, "o"))]
            answers = uvloop.run(Load(server.port).run(sorted(plan)))
            metrics = server.metrics()
    acknowledged(calm)
    report(options.seconds, cost, batches, usual, answers, metrics)


def hot_shopper(server: Server, seconds: float) -> None:
    """300 decisions and 50 batches a second of two hundred shoppers, and what one more who never stops does to them."""
    for name, floods in (("usual", 0), ("beside a hot shopper", HOT)):
        plan = decisions(server, DECISIONS, seconds, name)
        plan += [Planned(at, "collect", batch(server, name, n)) for n, at in enumerate(arrivals(50, seconds, name))]
        body = collect_body(1).replace(b"@@@", b"hot")
        hot = [body.replace(b"@@", f"hot-{n}".encode()) for n in range(int(floods * seconds * 1.2))]
        key = server.keys["publishable"]
        times = zip(arrivals(floods, seconds, "hot"), hot, strict=False) if floods else ()
        plan += [Planned(at, "hot", request("/v1/batch", key, data)) for at, data in times]
        answers = uvloop.run(Load(server.port).run(sorted(plan)))
        told = []
        for kind in ("decide", "collect"):
            mine = [each for each in answers if each.kind == kind]
            waits = sorted(each.seconds * 1000 for each in mine)
            good = sum(each.status == 200 for each in mine) / len(mine)
            told.append(
                f"{kind} p50 {quantile(waits, 0.5):.1f}, p99 {quantile(waits, 0.99):.1f} ms, {good:.1%} answered"
            )
        later = sum(each.status == 429 for each in answers if each.kind == "hot")
        print(f"{name}: {'; '.join(told)}; {later:,} requests of the hot one told to come back")


def acknowledged(calm: list[Answered]) -> None:
    waits = sorted(each.seconds * 1000 for each in calm if each.kind == "collect")
    decided = sorted(each.seconds * 1000 for each in calm if each.kind == "decide")
    kept = sum(each.status == 200 for each in calm if each.kind == "collect")
    p99 = quantile(waits, 0.99)
    print(
        f"half of the peak: {kept:,} of {len(waits):,} batches kept, acknowledged p50 {quantile(waits, 0.5):,.1f} ms,"
    )
    print(f"  p99 {p99:,.1f} ms (<= {ACKNOWLEDGED:g}): {'met' if p99 <= ACKNOWLEDGED else 'MISSED'}; ", end="")
    print(f"decisions p99 {quantile(decided, 0.99):,.1f} ms")


def report(
    seconds: float,
    cost: dict[str, float],
    batches: float,
    usual: list[Answered],
    answers: list[Answered],
    metrics: dict[str, float],
) -> None:
    decided = [each for each in answers if each.kind == "decide"]
    good = [each for each in decided if each.status == 200]
    sent = [each for each in answers if each.kind == "collect"]
    kept = sum(each.status == 200 for each in sent)
    come_back = sum(each.status == 503 and b"\r\nretry-after: " in each.head for each in sent)
    times = sorted(each.seconds * 1000 for each in decided)
    at_peak = sorted(each.seconds * 1000 for each in usual)
    degraded = sum(b'"degraded":true' in each.body for each in good)
    shed = sum(b'"reason":"shed"' in each.body for each in good)
    print(f"alone: a decision {cost['decide'] * 1e6:,.0f} us, a batch of 20 events {cost['collect'] * 1e6:,.0f} us")
    print(f"peak: {batches:,.0f} batches/s kept beside {DECISIONS} decisions/s, p99 {quantile(at_peak, 0.99):,.1f} ms")
    print(f"over: {len(sent) / seconds:,.0f} batches/s and {len(decided) / seconds:,.0f} decisions/s came in")
    print(f"  decisions answered {len(good):,} of {len(decided):,} = {len(good) / len(decided):.2%} (100 %)")
    print(f"  p50 {quantile(times, 0.5):,.1f} ms, p99 {quantile(times, 0.99):,.1f} ms, slowest {times[-1]:,.1f} ms")
    print(f"  degraded {degraded / max(1, len(good)):.2%}, with a placement left out {shed / max(1, len(good)):.2%}")
    print(
        f"  batches kept {kept / seconds:,.0f}/s = {kept / seconds / batches:.0%} of the peak; {come_back:,} come back"
    )
    work = {"decide": len(good) / seconds, "collect": kept / seconds}
    top = {"decide": DECISIONS, "collect": batches}
    share = sum(work[kind] * cost[kind] for kind in cost) / sum(top[kind] * cost[kind] for kind in cost)
    print(f"  goodput {share:.0%} of the peak (>= {TARGET:.0%}): {'met' if share >= TARGET else 'MISSED'}")
    print(f"  turned away {metrics.get('cashwrap_requests_turned_away_total', 0):,.0f}")
    lost = [each for each in sent if each.status not in {200, 503}]
    if len(good) < len(decided) or lost or kept + come_back < len(sent):
        print([(each.status, each.body[:100]) for each in [*decided, *lost] if each.status != 200][:3])
        raise SystemExit(1)


if __name__ == "__main__":
    main()
