"""Play a simulation against an engine in this process, on a clock that does not wait: weeks pass in seconds."""

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from cashwrap import Engine, Playbook
from cashwrap import World as Ports
from cashwrap.adapters.vault import MemoryVault
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.library import memory_world, open_world
from cashwrap.model import Millis, Tenant
from cashwrap.request import DecideRequest
from cashwrap.testing.shoppers.dice import Dice
from cashwrap.testing.shoppers.people import Shopper, World
from cashwrap.testing.shoppers.visits import Step

_AHEAD = 200
"""Requests handed over before their commits are waited for."""


class VirtualClock:
    """Port ``Clock`` that stands still until it is moved."""

    def __init__(self, now: Millis) -> None:
        self.time = now

    def now(self) -> Millis:
        """Milliseconds since 1970 UTC, as whoever plays has set them."""
        return self.time

    def monotonic(self) -> float:
        """The same in seconds."""
        return self.time / 1000


class _SeededRandom:
    """Port ``Random`` from a seed. For simulations only: who knows the seed knows every key."""

    def __init__(self, seed: int) -> None:
        self._dice = Dice(seed, 2)
        self._drawing = threading.Lock()

    def token(self, size: int) -> bytes:
        with self._drawing:
            words = [self._dice.draw().to_bytes(8, "big") for _ in range((size + 7) // 8)]
        return b"".join(words)[:size]


class Played:
    """What became of a simulation: who was shown what, and what became of their events."""

    def __init__(self) -> None:
        self.people: dict[int, Shopper] = {}
        """Everybody who came, by index."""
        self.arms: dict[str, dict[int, str]] = {}
        """By experience: the arm of each shopper that it won for, ``control`` too; the first one where it changed."""
        self.decided: dict[str, Counter[str]] = {}
        """By experience: how many decisions came to each of its arms, whoever they were for."""
        self.refused: Counter[str] = Counter()
        """Why some were refused, by code."""
        self._seen: dict[tuple[int, int], set[str]] = {}

    def exposed(self, experience: str) -> list[Shopper]:
        """The shoppers that an experience won for, whether they saw it or were in its control, as far as they allow
        analytics: those that a report can know of."""
        found = (self.people[index] for index in self.arms.get(experience, ()))
        return [who for who in found if "analytics" in who.grants]

    def beside(self, who: Shopper, visit: int) -> Collection[str]:
        """The effects a shopper saw on a visit, for ``truth``."""
        return self._seen.get((who.index, visit), ())

    def note(self, step: Step) -> None:
        """Take in an answered decision."""
        placements = (step.answer or {}).get("placements") or {}
        for answer in placements.values():
            if answer.get("experience"):
                arm = answer["variation"] if answer.get("content") is not None else answer["reason"]
                self.arms.setdefault(answer["experience"], {}).setdefault(step.shopper.index, arm)
                self.decided.setdefault(answer["experience"], Counter())[arm] += 1
        seen = self._seen.setdefault((step.shopper.index, step.visit), set())
        seen.update(each.name for each in step.shopper.effects if each.seen(placements.get(each.placement) or {}))


@contextmanager
def opened(
    playbook: Playbook, world: World | None = None, seed: int = 1, data: str | Path | None = None
) -> Iterator[Engine]:
    """An engine whose clock is the simulation's, with the shop's products in its catalogue.

    It keeps all in memory, and its chance follows from the seed; with ``data`` it is a data folder, which
    ``cashwrap report`` can read afterwards, and its keys are as random as everybody's.
    """
    world = world or World()
    with ExitStack() as stack:
        ports = _in_memory(seed) if data is None else stack.enter_context(open_world(Path(data), make=True))
        ports.catalogue.upsert(Tenant(), world.products())
        ports = msgspec.structs.replace(ports, clock=VirtualClock(world.start))
        yield stack.enter_context(Engine(playbook, world=ports))


def _in_memory(seed: int) -> Ports:
    random = _SeededRandom(seed)
    return msgspec.structs.replace(memory_world(), random=random, vault=MemoryVault(random))


def play(engine: Engine, steps: Iterable[Step], tenant: Tenant | None = None) -> Played:
    """Answer every step by this engine, each at its own time. Leave steps out to lose them on the way.

    The engine's clock must be a ``VirtualClock``, as ``opened`` gives it one; it is moved and never set back. Raises
    ``ValueError`` where it is another, and what ``engine.core.collect`` raises.
    """
    clock = engine.core.world.clock
    if not isinstance(clock, VirtualClock):
        raise ValueError("a simulation moves the clock: open the engine with a VirtualClock")  # noqa: TRY004 - a value
    player = _Player(engine, clock, tenant or Tenant())
    for step in steps:
        player.take(step)
    player.settle()
    return player.played


class _Player:
    """Sends as browsers and the shop's backend would, with a key for each."""

    def __init__(self, engine: Engine, clock: VirtualClock, tenant: Tenant) -> None:
        self.core, self.clock, self.played = engine.core, clock, Played()
        self._browser = ApiKey("simulated-browser", "publishable", tenant, b"")
        self._backend = ApiKey("simulated-backend", "secret", tenant, b"")
        self._waiting: list[threading.Event] = []

    def take(self, step: Step) -> None:
        """One request, at its time."""
        self.clock.time = max(self.clock.time, step.sent)
        self.played.people.setdefault(step.shopper.index, step.shopper)
        if step.kind == "decide":
            self.settle()
            request = msgspec.convert(step.body, DecideRequest)
            step.answer = msgspec.json.decode(self.core.decide(request, self._caller(step)))
            self.played.note(step)
        else:
            self._collect(step)

    def settle(self) -> None:
        """Wait until all that was sent is durable."""
        for each in self._waiting:
            each.wait()
        self._waiting.clear()

    def _collect(self, step: Step) -> None:
        if len(self._waiting) >= _AHEAD:
            self.settle()
        done = threading.Event()
        batch = self.core.parse(msgspec.json.encode(step.body), None)
        _, refused = self.core.collect(batch, self._caller(step), lambda _: done.set())
        self._waiting.append(done)
        self.played.refused.update(each.code for each in refused)

    def _caller(self, step: Step) -> Caller:
        key = self._backend if step.trusted else self._browser
        agent, gpc = step.headers["User-Agent"], step.headers.get("Sec-GPC") == "1"
        facts = RequestFacts(self.clock.time, key.id, key.tenant, key.trusted, None, agent, gpc)
        return Caller(key, facts)
