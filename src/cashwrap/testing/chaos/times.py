"""Time as it really is: clocks that jump, and events that come shuffled, twice and late."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from cashwrap import profiles
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.vault import MemoryVault
from cashwrap.engine import Engine, World
from cashwrap.model import Millis
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Changes, Store
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.testing.chaos.checks import ALL, look
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.stage import START, Plant, StageClock, acting, as_it_is
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.workload import PLAYBOOK, SHOPPERS, Book, Till, Traffic, caller

YEAR: Millis = 365 * 86_400_000
HOUR: Millis = 3_600_000
STEPS = (1, 999, 1_000, -1_000, -1, HOUR, -HOUR, 86_400_000, -86_400_000, YEAR, -YEAR, 10 * YEAR, -10 * YEAR)
"""Jumps of a clock: a leap second either way, summer time either way, days, and ten years."""
REQUESTS = 12
EVENTS = 14
WINDOWED = PLAYBOOK.replace(
    "segments:",
    """  lately: {count: Product Viewed, window: 7d}
  heat: {decayed: Product Viewed, half_life: 7d}
  in_session: {count: Product Viewed, session: true}
  by_product: {count: Product Viewed, by: product_id}
segments:""",
).replace("locale: en}", "locale: en, retention: {events: 18250d, idle_profiles: 18250d}}")
"""With windows, decay and sessions; and nothing is ever too old to be kept, however far a clock jumps."""


def windowed() -> Playbook:
    """The playbook of these runs: with windows, decay and sessions."""
    found, faults = examine({"chaos.yaml": WINDOWED})
    if found is None:
        raise AssertionError(faults)
    return found


class _Jumping:
    """A store during whose commits the clock jumps too."""

    def __init__(self, store: Store, jump: Callable[[], None]) -> None:
        self._store = store
        self._jump = jump

    def commit(self, changes: Changes) -> int:
        self._jump()
        newest = self._store.commit(changes)
        self._jump()
        return newest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def jumping_clocks(seed: int, runs: int, compiled: Playbook, plant: Plant = as_it_is) -> Tally:
    """So many runs with a clock that jumps between requests and in the middle of commits."""
    tally = Tally("clocks that jump")
    for number in range(runs):
        _jump_about(seed + number, compiled, plant, tally)
    return tally


def _jump_about(seed: int, compiled: Playbook, plant: Plant, tally: Tally) -> None:
    dice, clock, book = Dice("clock", seed), StageClock(), Book()

    def jump() -> None:
        if dice.chance(30):
            clock.time = max(0, clock.time + dice.pick(STEPS))
            tally.faults += 1

    store = MemoryStore()
    world = World(store, store, store, store, store, MemoryVault(dice), clock, dice)
    world = plant(structs.replace(world, store=_Jumping(store, jump)))
    with acting(world, compiled) as engine:
        till, traffic = Till(engine, book), Traffic(seed, book)
        for _ in range(REQUESTS):
            jump()
            if not till.send(traffic.batch()):
                tally.complain(seed, "events were refused because of the clock")
            clock.step()
            shopper = ShopperRef(user_id=f"user-{dice.below(SHOPPERS)}")
            if b'"placements"' not in engine.decide(DecideRequest(shopper=shopper), caller(world)):
                tally.complain(seed, "no decision because of the clock")
            tally.complain(seed, *_negative(engine, shopper, compiled, clock.time))
    found = look(world, compiled, book)
    tally.add(found, seed)
    tally.runs += 1


def _negative(engine: Engine, shopper: ShopperRef, compiled: Playbook, now: Millis) -> list[str]:
    hot = engine.find(shopper, caller(engine.world))
    if hot is None:
        return []
    values = profiles.attributes(hot.profile, compiled.features, now, ALL)
    return [f"{name} is {value}" for name, value in values.items() if isinstance(value, int | float) and value < 0]


# --- schedules ---


def schedules(seed: int, runs: int, compiled: Playbook) -> Tally:
    """So many schedules of the same kind of traffic: each comes in order once, and then shuffled, twice and late."""
    tally = Tally("shuffled, repeated and late events")
    for number in range(runs):
        _compare(seed + number, compiled, tally)
    return tally


def _compare(seed: int, compiled: Playbook, tally: Tally) -> None:
    dice, book = Dice("schedule", seed), Book()
    events = _dated(Traffic(seed, book), dice)
    shuffled = list(events)
    dice.shuffle(shuffled)
    shuffled += [dice.pick(events) for _ in range(dice.below(EVENTS))]
    in_order = _played(events, seed, compiled, Book(book.sent), None)
    told = [in_order, _played(shuffled, seed, compiled, book, tally)]
    tally.runs += 1
    tally.faults += len(shuffled)
    if told[0] != told[1]:
        names = [name for name in told[0] if told[0][name] != told[1].get(name)]
        tally.complain(seed, f"another order of arrival says something else about {', '.join(names)}")


def _dated(traffic: Traffic, dice: Dice) -> list[dict[str, Any]]:
    """Events of six days, with their times; each shopper logs in on their device at last."""
    events = []
    for number in range(EVENTS):
        event = traffic.batch(1)[0]
        event["timestamp"] = _iso(START - dice.below(6 * 24) * HOUR - number * 1_000)
        events.append(event)
    for shopper in range(SHOPPERS):
        event = traffic.batch(1)[0] | {"anonymousId": f"device-{shopper}", "userId": f"user-{shopper}"}
        said = traffic.book.sent[event["messageId"]]
        traffic.book.sent[event["messageId"]] = structs.replace(said, shopper=shopper)
        events.append(event | {"timestamp": _iso(START - shopper * 1_000)})
    return events


def _iso(moment: Millis) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat()


def _played(
    order: list[dict[str, Any]],
    seed: int,
    compiled: Playbook,
    book: Book,
    tally: Tally | None,
) -> dict[str, object]:
    """What all shoppers' profiles say after this order of arrival; with a tally, after the checks of every run."""
    dice, store = Dice("play", seed, len(order)), MemoryStore()
    clock = StageClock(START + HOUR)
    world = World(store, store, store, store, store, MemoryVault(dice), clock, dice)
    with acting(world, compiled) as engine:
        till, at = Till(engine, book), 0
        while at < len(order):
            size = 1 + dice.below(12)
            till.send(order[at : at + size])
            at += size
            clock.step(1_000)
    if tally is not None:
        tally.add(look(world, compiled, book), seed)
    return _told(world, compiled)


def _told(world: World, compiled: Playbook) -> dict[str, object]:
    """Every attribute of every shopper, as of one moment."""
    told: dict[str, object] = {}
    now = START + HOUR
    for key, row in world.store.load(world.store.shoppers(None, 1_000)).items():
        profile = profiles.decode(world.vault.open(key.shopper, row.state))
        values = profiles.attributes(profile, compiled.features, now, ALL)
        who = profile.user_id or profile.anonymous_ids[0]
        told |= {f"{name} of {who}": value for name, value in values.items()}
    return told
