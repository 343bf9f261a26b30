"""Collect and decide over HTTP, as shares of what the same server does without us, measured in turns in one run.

    python -m bench.http decide
    python -m bench.http collect

The server has core 0 for itself, the load (wrk, 32 connections) core 1. Every figure is the median of the rounds.
Beside requests a second it tells requests per second of the server's own CPU time: on a machine with other work to do,
that is the steadier of the two.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.playbooks import write_playbook

HERE = Path(__file__).parent
ROUNDS = 3
SECONDS = 4
SERVER_CORE, LOAD_CORE = "0", "1"
CASHWRAP = Path(sys.executable).with_name("cashwrap")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(NamedTuple):
    """Where a server listens, and its process."""

    port: int
    pid: int


class Rate(NamedTuple):
    """Requests a second by the clock, requests per second of the server's CPU time, and how much of that each second
    took."""

    wall: float
    cpu: float
    cores: float


def cpu_seconds(pid: int) -> float:
    """User and system time so far of a process and its children that live."""
    tree = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    stats = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in tree]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def share(ours: list[Rate], peer: list[Rate]) -> str:
    """Our median rates, and what part of the peer's they are."""
    wall = statistics.median(mine.wall / other.wall for mine, other in zip(ours, peer, strict=True))
    cpu = statistics.median(mine.cpu / other.cpu for mine, other in zip(ours, peer, strict=True))
    rate = statistics.median(each.wall for each in ours)
    floor = statistics.median(each.wall for each in peer)
    return f"{rate:>8,.0f} req/s of {floor:>8,.0f} = {wall:.1%} by the clock, {cpu:.1%} by CPU time"


@contextlib.contextmanager
def running(command: list[str], port: int, cores: str = SERVER_CORE) -> Iterator[int]:
    """A server on cores of its own, until the block ends; yields its process id."""
    process = subprocess.Popen(["taskset", "-c", cores, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended early: {' '.join(command)}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def engine(folder: Path, experiences: int, workers: int = 1, cores: str = SERVER_CORE) -> Iterator[tuple[Server, str]]:
    """``cashwrap serve`` with a generated playbook; yields the server and a secret key."""
    playbook, data = folder / f"playbook{experiences}", folder / f"data{experiences}-{workers}"
    if not playbook.exists():
        write_playbook(playbook, experiences)
    made = subprocess.run(
        [CASHWRAP, "keys", "create", "secret", "--data", data], capture_output=True, text=True, check=True
    )
    port = free_port()
    command = [
        str(CASHWRAP),
        "serve",
        "--playbook",
        str(playbook),
        "--data",
        str(data),
        "--port",
        str(port),
        "--no-console",
    ]
    with running([*command, "--workers", str(workers)], port, cores) as pid:
        yield Server(port, pid), made.stdout.strip().splitlines()[-1]


def load(
    server: Server, path: str, bodies: list[bytes], key: str, *, unique: bool = False, cores: str = LOAD_CORE
) -> Rate:
    """What ``wrk`` gets answered with 200; ends the benchmark on any other answer."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(lua(bodies, key, unique=unique))
        wrk = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", "--timeout", "20s", "-s", str(script)]
        before = cpu_seconds(server.pid)
        url = f"http://127.0.0.1:{server.port}{path}"
        out = subprocess.run(["taskset", "-c", cores, *wrk, url], capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(server.pid) - before
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"answers were not all 200:\n{out}")
    rate, total = re.search(r"Requests/sec:\s+([\d.]+)", out), re.search(r"(\d+) requests in", out)
    assert rate is not None
    assert total is not None
    return Rate(float(rate[1]), int(total[1]) / used, used * float(rate[1]) / int(total[1]))


def lua(bodies: list[bytes], key: str, *, unique: bool) -> str:
    """A wrk script that sends the bodies in turn; ``unique`` makes every ``@@`` in one a number of its own.

    The bodies come cut at those places, because joining them again is all that the load's own core has time for.
    """
    cut = [[f"[=[{part}]=]" for part in body.decode().split("@@")] for body in bodies]
    listed = ",\n".join(f"{{{', '.join(parts)}}}" for parts in cut)
    mark = 'string.format("%s-%x", start, n)' if unique else '"@@"'
    return f"""
local bodies = {{{listed}}}
local i, n, start = 0, 0, "{time.time_ns():x}"
local headers = {{["Content-Type"] = "application/json", ["Authorization"] = "Bearer {key}"}}
request = function()
  i = i % #bodies + 1
  n = n + 1
  return wrk.format("POST", nil, headers, table.concat(bodies[i], {mark}))
end
"""


def post(port: int, path: str, key: str, body: object) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def shopper(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def history(number: int) -> list[dict[str, object]]:
    """What one shopper did before: a grant and some views, so that a decision has a profile to read."""
    anonymous = shopper(number)
    events: list[dict[str, object]] = [
        {
            "type": "consent",
            "anonymousId": anonymous,
            "messageId": f"c{number}",
            "choices": {"personalization": "granted"},
        }
    ]
    for view in range(20):
        properties = {"product_id": f"p{view}", "category": ["coffee", "desk", "kitchen"][view % 3], "price": 10 + view}
        events.append(
            {
                "type": "track",
                "event": "Product Viewed",
                "anonymousId": anonymous,
                "messageId": f"v{number}.{view}",
                "properties": properties,
            }
        )
    return events


def decide_body(number: int) -> bytes:
    items = [{"id": f"p{item}", "quantity": 1, "price": 20 + item, "category": "coffee"} for item in range(8)]
    body = {
        "shopper": {"anonymousId": shopper(number)},
        "context": {
            "page": {"path": "/checkout/payment/", "type": "payment"},
            "device": {"type": ["mobile", "desktop"][number % 2], "os": "ios", "browser": "safari"},
            "locale": "en",
            "currency": "EUR",
            "timeZone": "Europe/Berlin",
            "location": {"country": "DE"},
            "cart": {"token": f"cart-{number}", "total": 212, "count": 8, "items": items},
            "checkout": {
                "step": "payment",
                "paymentMethods": ["card", "paynow", "apple_pay", "google_pay", "invoice", "bank_transfer"],
                "deliveryMethods": ["standard", "express", "pickup", "bike_courier"],
            },
        },
    }
    return json.dumps(body).encode()


def bench_decide(folder: Path) -> None:
    bodies = [decide_body(number) for number in range(100)]
    print("decide over HTTP, one core, 20 placements, 100 shoppers, all of them hot (hit ratio 100 %)")
    for experiences in (1_000, 10_000):
        with engine(folder, experiences) as (server, key):
            for number in range(100):
                post(server.port, "/v1/batch", key, {"batch": history(number)})
            answer = post(server.port, "/v1/decide", key, json.loads(bodies[0]))
            port = free_port()
            command = [sys.executable, "-m", "bench.floors", "echo", str(port), str(len(answer))]
            with running(command, port) as pid:
                peer, echoes, decides = Server(port, pid), [], []
                for _ in range(ROUNDS):
                    echoes.append(load(peer, "/", bodies, key))
                    decides.append(load(server, "/v1/decide", bodies, key))
        sizes = f"{len(bodies[0])} B in, {len(answer)} B out"
        print(f"{experiences:>7,} experiences: {share(decides, echoes)} of the echo ({sizes})", flush=True)


def collect_body(shoppers: int) -> bytes:
    """A batch of 20 events; every ``@@`` becomes unique, so that no event is a repeat."""
    batch: list[dict[str, object]] = []
    for event in range(20):
        properties = {
            "product_id": f"p{event}",
            "sku": f"SKU-{event}",
            "category": "coffee",
            "name": "Pour-over kettle",
            "brand": "Morgenrot",
            "price": 49.9,
            "quantity": 1,
            "currency": "EUR",
            "position": event,
        }
        batch.append(
            {
                "type": "track",
                "event": "Product Viewed",
                "messageId": f"m-@@-{event}",
                "anonymousId": f"s{event % shoppers:02}-@@@",
                "timestamp": f"2026-11-22T08:00:{event:02}.000Z",
                "properties": properties,
            }
        )
    consent = {"categoryPreferences": {"analytics": True, "personalization": True}}
    agent = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1"
    )
    context = {
        "consent": consent,
        "locale": "en-GB",
        "timezone": "Europe/Berlin",
        "userAgent": agent,
        "page": {"path": "/p/kettle"},
    }
    return json.dumps({"batch": batch, "context": context}).encode()


def bench_collect(folder: Path) -> None:
    print("collect over HTTP, durable (synchronous=FULL), folded, sealed, one core, batches of 20")
    for shoppers in (1, 20):
        # 200 groups of shoppers come back again and again: a shop's traffic, not a first visit each time.
        bodies = [collect_body(shoppers).replace(b"@@@", b"%d" % group) for group in range(200)]
        with engine(folder, 1_000) as (server, key):
            port = free_port()
            with running([sys.executable, "-m", "bench.floors", "parse", str(port)], port) as pid:
                peer, parses, collects = Server(port, pid), [], []
                for _ in range(ROUNDS):
                    parses.append(load(peer, "/", bodies, key, unique=True))
                    collects.append(load(server, "/v1/batch", bodies, key, unique=True))
        events = statistics.median(each.wall for each in collects) * 20
        print(
            f"{shoppers:>3} shoppers a batch: {share(collects, parses)} of parsing alone ({events:,.0f} events/s)",
            flush=True,
        )


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: install it with your package manager (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or ["decide", "collect"]:
            {"decide": bench_decide, "collect": bench_collect}[name](Path(folder))


if __name__ == "__main__":
    main()
