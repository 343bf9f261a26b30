"""Clients of a server that may die at any moment: they believe an answer only when they have read it."""

import http.client
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.money import MoneyBook
from cashwrap.testing.chaos.workload import CONSENT, SHOPPERS, Book, Traffic

TIMEOUT = 10.0
CART = {"items": [{"id": "p1", "quantity": 1, "price": 20}]}
_FATES = ("stored", "duplicate", "conflict", "failed", "dropped_by_consent", "refused")


class Wire:
    """One connection with a secret key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def post(self, path: str, body: object, key: str = "") -> tuple[int, bytes]:
        """Status and body; ``key`` makes it happen once. Raises ``OSError`` or ``HTTPException`` where the answer did
        not come whole."""
        once = {"idempotency-key": key} if key else {}
        self._connection.request("POST", path, msgspec.json.encode(body), {**self._headers, **once})
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


class Spender:
    """A backend that holds, redeems and gives back an offer, and asks again with the same key if it heard nothing."""

    def __init__(self, seed: int, book: MoneyBook) -> None:
        self._dice = Dice("spender", seed)
        self._book = book
        self._asked = 0
        self._open: tuple[str, dict[str, Any], str] | None = None
        """What was asked and not answered: its path, body and key."""

    def step(self, wire: Wire, complain: Callable[[str], None]) -> None:
        """One request, or the last one again."""
        if self._open is None:
            self._open = self._next(wire, complain)
            if self._open is None:
                return
        path, body, key = self._open
        number = bytes.fromhex(body.get("reservation", ""))
        self._book.doubtful.add(number)
        status, answer = wire.post(path, body, key)
        told = msgspec.json.decode(answer)
        if status == 503 or told.get("code") == "in_flight":
            return
        self._open = None
        self._book.doubtful.discard(number)
        if status == 200:
            self._book.states[bytes.fromhex(told["id"])] = told["state"]
            self._book.acknowledged += 1
        elif told.get("code") != "limit_reached":
            complain(f"{path} answered {status}: {answer[:200]!r}")

    def _next(self, wire: Wire, complain: Callable[[str], None]) -> tuple[str, dict[str, Any], str] | None:
        self._asked += 1
        key, what = f"key-{self._asked}-{self._dice.token(6).hex()}", self._dice.below(10)
        held = [name.hex() for name, state in self._book.states.items() if state == "reserved"]
        if held and what < 7:
            number = self._dice.pick(held)
            if what < 4:
                return "/v1/offers/redeem", {"reservation": number, "order": f"order-{number}"}, key
            return "/v1/offers/release", {"reservation": number}, key
        context = {"cart": CART, "currency": "EUR", **CONSENT}
        status, answer = wire.post("/v1/decide", {"placements": ["saving"], "context": context})
        if status != 200:
            complain(f"decide answered {status}: {answer[:200]!r}")
            return None
        offer = msgspec.json.decode(answer)["placements"]["saving"].get("offer")
        if offer is None:  # all of it is held or spent
            return None
        shopper = {"userId": f"user-{self._dice.below(SHOPPERS)}"}
        asked = {"cart": CART, "currency": "EUR", "token": offer["token"], "shopper": shopper}
        return "/v1/offers/reserve", asked, key


def balanced(metrics: str) -> bool:
    """Whether what was received is what became of it."""
    numbers = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("cashwrap_events"))
    fates = sum(float(numbers[f'cashwrap_events_total{{fate="{fate}"}}']) for fate in _FATES)
    return float(numbers["cashwrap_events_received_total"]) == fates


Client = Sender | Asker | Spender


class Crowd:
    """Several clients at once, each on a thread, until the server is gone or ``stop``."""

    def __init__(self, url: str, key: str, clients: Sequence[Client], wrong: list[str]) -> None:
        self._stopping = threading.Event()
        self._wrong = wrong
        self._threads = [
            threading.Thread(target=self._run, args=(Wire(url, key), client), daemon=True) for client in clients
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, wire: Wire, client: Client) -> None:
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
