"""Decisions beside events on one core, healthy and with a store that is slow, hung or dead.

    python -m bench.deadline [--seconds 12] [--scenarios healthy,slow,hung,dead]

300 decisions a second with ``deadlineMs`` 20, and 50 batches of 20 events a second, come independently of each other
and are sent when they are due (see ``openloop``), to a ``serve`` that has core 0 for itself; the load has core 1.
Of the shoppers decided for, some are in memory, some in the store only, and some are unknown: the last two ask the
store. One server goes through all of it, so that each scenario begins with what the one before left. Ends with an
error where a decision is not answered with 200, an event request neither with 200 nor with 503 and a time to come
back, or where healthy again does not mean undegraded again.

``load late`` is how late the load itself was, which is in every latency, and ``foreign`` what part of the server's
core others used: with either of them high, the times say more about the machine than about the server.
"""

import argparse
import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.faulty import switch
from bench.http import CASHWRAP, LOAD_CORE, SERVER_CORE, collect_body, cpu_seconds, decide_body, post, shopper
from bench.openloop import Answered, Load, Planned, arrivals, request
from bench.playbooks import write_playbook

DECISIONS, BATCHES = 300, 50
DEADLINE_MS = 20
HOT = 200
"""Shoppers in memory; those that only the store knows are numbered behind them, and asked for once each."""
SHARES = {"hot": 60, "stored": 25, "unknown": 15}
"""Of 100 decisions, how many are for which."""
P99_MS = {"healthy": 10.0, "slow": 25.0, "hung": 25.0, "dead": 25.0, "healthy again": 10.0}
UNDEGRADED = 0.999
EXPERIENCES = 1_000
Row = dict[str, Any]


class Server(NamedTuple):
    """A server whose store the file makes fail."""

    port: int
    pid: int
    key: str
    fault: Path
    log: Path


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """``bench.faulty`` on its own core. Yields when it is ready."""
    data, fault, log = folder / "data", folder / "fault", folder / "serve.log"
    fault.write_text("")
    made = subprocess.run(
        [CASHWRAP, "keys", "create", "secret", "--data", data], capture_output=True, text=True, check=True
    )
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m", "bench.faulty", "--playbook", folder / "playbook"]
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*command, "--data", data, "--fault", fault], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "ready" not in line:
            raise SystemExit(f"the server did not start:\n{log.read_text()}")
        yield Server(int(line.rpartition(":")[2]), process.pid, made.stdout.strip().splitlines()[-1], fault, log)
    finally:
        fault.write_text("")
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def seed(server: Server, shoppers: int) -> None:
    """Consent and one view for every shopper the store shall know."""
    events: list[dict[str, object]] = []
    for number in range(shoppers):
        who = {"anonymousId": shopper(number)}
        choices = {"personalization": "granted"}
        events.append({"type": "consent", "messageId": f"c{number}", "choices": choices, **who})
        viewed = {"product_id": "p1", "category": "coffee", "price": 10}
        events.append(
            {"type": "track", "event": "Product Viewed", "messageId": f"v{number}", "properties": viewed, **who}
        )
    for start in range(0, len(events), 500):
        post(server.port, "/v1/batch", server.key, {"batch": events[start : start + 500]})


def plan(server: Server, seconds: float, name: str, stored: Iterator[int]) -> list[Planned]:
    """All requests of one scenario in the order in which they are due."""
    rng = random.Random(name)
    planned = []
    for number, due in enumerate(arrivals(DECISIONS, seconds, f"{name} decisions")):
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        who = rng.randrange(HOT) if kind == "hot" else next(stored) if kind == "stored" else None
        body = json.loads(decide_body(who if who is not None else number)) | {"deadlineMs": DEADLINE_MS}
        if who is None:
            body["shopper"]["anonymousId"] = f"unknown {name} {number}"
        planned.append(Planned(due, kind, request("/v1/decide", server.key, json.dumps(body).encode())))
    events = collect_body(20).replace(b"@@@", b"%d")
    for number, due in enumerate(arrivals(BATCHES, seconds, f"{name} events")):
        body_bytes = events.replace(b"%d", b"%d" % (number % 200)).replace(b"@@", f"{name}-{number}".encode())
        planned.append(Planned(due, "collect", request("/v1/batch", server.key, body_bytes)))
    return sorted(planned)


def scenario(server: Server, name: str, seconds: float, stored: Iterator[int]) -> Row:
    """Let the store be so, send the load, and say how it went."""
    planned = plan(server, seconds, name, stored)
    switch(server.fault, name if name in {"slow", "hung", "dead"} else "")
    gc.collect()
    before = busy_seconds() - cpu_seconds(server.pid), time.monotonic()
    answers = uvloop.run(Load(server.port).run(planned))
    foreign = (busy_seconds() - cpu_seconds(server.pid) - before[0]) / (time.monotonic() - before[1])
    switch(server.fault, "")
    return summary(name, answers) | {"foreign": foreign}


def busy_seconds() -> float:
    """How long the server's core has worked, for anybody."""
    lines = Path("/proc/stat").read_text().splitlines()
    fields = next(line.split()[1:] for line in lines if line.startswith(f"cpu{SERVER_CORE} "))
    user, nice, system, _, _, *interrupts = map(int, fields[:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def summary(name: str, answers: list[Answered]) -> Row:
    """One row: counts, the share of degraded answers, and latencies in milliseconds."""
    decisions = [each for each in answers if each.kind != "collect"]
    batches = [each for each in answers if each.kind == "collect"]
    answered = [each for each in decisions if each.status == 200]
    read = {id(each): json.loads(each.body) for each in answered}
    degraded = [each for each in answered if read[id(each)]["degraded"]]
    refused = [each for each in batches if each.status == 503 and b"\r\nretry-after: " in each.head]
    kept = sum(each.status == 200 for each in batches)
    times = sorted(each.seconds * 1000 for each in decisions)
    cold = sorted(each.seconds * 1000 for each in decisions if each.kind != "hot")
    return {
        "scenario": name,
        "sent": len(decisions),
        "errors": len(decisions) - len(answered),
        "degraded": len(degraded) / max(1, len(answered)),
        "hot degraded": sum(each.kind == "hot" for each in degraded),
        "p50": quantile(times, 0.5),
        "p99": quantile(times, 0.99),
        "p99.9": quantile(times, 0.999),
        "max": times[-1],
        "cold p99": quantile(cold, 0.99),
        "batches": len(batches),
        "kept": kept,
        "503": len(refused),
        "lost": len(batches) - kept - len(refused),
        "slowest batch": max(each.seconds * 1000 for each in batches),
        "load late p99": quantile(sorted(each.late * 1000 for each in decisions), 0.99),
        "wrong": [each.body[:200] for each in decisions if each.status != 200][:3]
        + [each.body[:200] for each in batches if each.status != 200 and each not in refused][:3],
    }


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(rows: list[Row]) -> None:
    columns = [name for name in rows[0] if name != "wrong"]
    widths = [max(len(name), 14 if name == "scenario" else 6) for name in columns]
    print(" | ".join(f"{name:>{width}}" for name, width in zip(columns, widths, strict=True)))
    for row in rows:
        cells = [f"{row[name]:.1%}" if name in {"degraded", "foreign"} else row[name] for name in columns]
        texts = [f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells]
        print(" | ".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)))


def judge(rows: list[Row]) -> bool:
    """Print every budget with its ratio; whether all answers were as promised (times are only told)."""
    sound = True
    print("budgets")
    for row in rows:
        name, limit = row["scenario"], P99_MS[row["scenario"]]
        met = "met" if row["p99"] <= limit else "MISSED"
        print(f"  {name}: p99 {row['p99']:.1f} ms (<= {limit:g}) = {row['p99'] / limit:.0%} of the budget: {met}")
        print(f"  {name}: {row['errors']} errors (0): {'met' if not row['errors'] else 'MISSED'}")
        if name.startswith("healthy"):
            share = 1 - row["degraded"]
            print(
                f"  {name}: {share:.2%} undegraded (>= {UNDEGRADED:.1%}): {'met' if share >= UNDEGRADED else 'MISSED'}"
            )
        sound = sound and not row["errors"] and not row["lost"]
        for body in row["wrong"]:
            print(f"    {body!r}")
    again = [row for row in rows if row["scenario"] == "healthy again"]
    return sound and all(row["degraded"] < 0.05 for row in again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each scenario; healthy takes twice that")
    parser.add_argument("--scenarios", default="healthy,slow,hung,dead,healthy again")
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    names = options.scenarios.split(",")
    lengths = [options.seconds * (2 if name == "healthy" else 1) for name in names]
    known = HOT + int(sum(lengths) * DECISIONS * SHARES["stored"] / 100 * 1.2) + 100
    stored = iter(range(HOT, known))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_playbook(folder / "playbook", EXPERIENCES)
        with serving(folder) as server:
            seed(server, known)
        with serving(folder) as server:  # a new process has nothing in memory
            for number in range(HOT):
                post(server.port, "/v1/decide", server.key, json.loads(decide_body(number)))
            gc.disable()
            rows = [scenario(server, each, length, stored) for each, length in zip(names, lengths, strict=True)]
            errors = server.log.read_text()
    print(f"{DECISIONS} decisions/s, deadline {DEADLINE_MS} ms, and {BATCHES * 20} events/s; one core; times in ms")
    show(rows)
    if not judge(rows):
        print(errors[-4000:], file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
