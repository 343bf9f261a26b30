"""Clients of a server that may die at any moment: they believe an answer only when they have read it."""

import http.client
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.workload import CONSENT, SHOPPERS, Book, Traffic

TIMEOUT = 10.0
_FATES = ("stored", "duplicate", "conflict", "failed", "dropped_by_consent", "refused")


class Wire:
    """One connection with a secret key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def post(self, path: str, body: object, **headers: str) -> tuple[int, bytes]:
        """Status and body. Raises ``OSError`` or ``HTTPException`` where the answer did not come whole."""
        self._connection.request("POST", path, msgspec.json.encode(body), {**self._headers, **headers})
        with self._connection.getresponse() as answer:
            return answer.status, answer.read()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body, as ``post``."""
        self._connection.request("GET", path, headers=self._headers)
        with self._connection.getresponse() as answer:
            return answer.status, answer.read()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


class Sender:
    """Sends batches, and first of all again what nobody acknowledged; over several lives of a server."""

    def __init__(self, seed: int, book: Book, name: str) -> None:
        self.traffic = Traffic(seed, book, name)
        self._book = book
        self._unsaid: list[dict[str, Any]] = []

    def step(self, wire: Wire, complain: Callable[[str], None]) -> None:
        """One request."""
        if not self._unsaid:
            self._unsaid = self.traffic.batch() + self.traffic.some_again(2)
        status, answer = wire.post("/v1/batch", {"batch": self._unsaid})
        if status == 200 and b'"errors"' not in answer:
            self._book.acknowledged.update([event["messageId"] for event in self._unsaid])
            self._unsaid = []
        elif status != 503:
            complain(f"collect answered {status}: {answer[:200]!r}")


class Asker:
    """Asks for decisions; each must be an answer."""

    def __init__(self, seed: int) -> None:
        self._dice = Dice("asker", seed)

    def step(self, wire: Wire, complain: Callable[[str], None]) -> None:
        """One request, and now and then a look at the accounts."""
        shopper = {"userId": f"user-{self._dice.below(SHOPPERS)}"}
        status, answer = wire.post("/v1/decide", {"shopper": shopper, "context": CONSENT})
        if status != 200:
            complain(f"decide answered {status}: {answer[:200]!r}")
        if self._dice.chance(5):
            _, metrics = wire.get("/metrics")
            if not balanced(metrics.decode()):
                complain("the accounts of events do not add up")


def balanced(metrics: str) -> bool:
    """Whether what was received is what became of it."""
    numbers = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("cashwrap_events"))
    fates = sum(float(numbers[f'cashwrap_events_total{{fate="{fate}"}}']) for fate in _FATES)
    return float(numbers["cashwrap_events_received_total"]) == fates


class Crowd:
    """Several clients at once, each on a thread, until the server is gone or ``stop``."""

    def __init__(self, url: str, key: str, clients: list[Sender | Asker], wrong: list[str]) -> None:
        self._stopping = threading.Event()
        self._wrong = wrong
        self._threads = [
            threading.Thread(target=self._run, args=(Wire(url, key), client), daemon=True) for client in clients
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, wire: Wire, client: Sender | Asker) -> None:
        try:
            while not self._stopping.is_set():
                client.step(wire, self._wrong.append)
        except (OSError, http.client.HTTPException):
            return  # the server is gone: what had no answer is not promised
        finally:
            wire.close()

    def stop(self) -> None:
        """Let everybody finish."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait(self, seconds: float) -> bool:
        """Give them time; whether somebody is still there."""
        self._threads[0].join(seconds)
        return self._threads[0].is_alive()
