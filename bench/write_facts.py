"""How fast the log becomes facts: run as ``python -m bench.write_facts [EVENTS]``. Prints, asserts nothing.

A shop's week: requests of one to eight events of 20,000 shoppers, exposures and orders among them, sealed as the engine
seals them. First the whole log at once, then what a few minutes add, as a run beside a server does, then nothing new.
"""

import random
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from cashwrap import codec, profiles
from cashwrap.history import read_events, write_facts
from cashwrap.library import FACTS, open_world
from cashwrap.model import Event, Line, Profile, Tenant, Where
from cashwrap.ports import Changes, Record, Row, ShopperKey
from cashwrap.world import World

EVENTS = 200_000
SHOPPERS = 20_000
BEGIN = 1_772_409_600_000
WEEK = 7 * 86_400_000
TENANT = Tenant()
_chance = random.Random(5)
_SHOWN = {
    "placement": "banner", "experience": "greeting", "variation": "formal", "experiment": "greeting-2",
    "outcome": "shown", "propensity": 5_000, "decision": "ab" * 12, "playbook": "cd" * 8, "level": "session",
    "segments": ["new", "rich"], "latency": 31,
}  # fmt: skip


def event(number: int, time: int) -> Event:
    kind, who = number % 10, Where(device="mobile", os="ios", browser="safari", country="DE", path="/checkout")
    if kind == 9:
        lines = [Line(f"p{number % 300}", 2, 1_999, "mugs", "acme", "Mug", cost=900), Line("p7", 1, 500, cost=200)]
        money = {"total": 4_498, "subtotal": 4_100, "shipping": 398, "tax": 718, "currency": "EUR"}
        facts = "Order Completed", {"order_id": f"o{number}", "products": lines, "payment_method": "card", **money}
    elif kind > 6:
        facts = "Experience Viewed", dict(_SHOWN)
    elif kind > 4:
        facts = "Checkout Step Viewed", {"step": "payment", "cart_id": f"cart-{number // 50}"}
    else:
        facts = "Product Viewed", {"product_id": f"p{number % 300}", "price": 1_999, "category": "mugs"}
    name, properties = facts
    return Event(f"m{number}", name, time, time, 7, "key", f"anon-{number}", properties=properties, where=who)


def fill(world: World, people: list[ShopperKey], number: int, count: int, begin: int, length: int) -> int:
    """Append events in the order of time; the number of the next one."""
    end, vault = number + count, world.vault
    while number < end:
        changes = Changes()
        for _ in range(200):
            who = _chance.choice(people)
            size = min(_chance.randrange(1, 9), end - number)
            time = begin + length * (number - end + count) // count
            events = [event(number + each, time + each) for each in range(size)]
            number += size
            sealed = vault.seal(who.shopper, codec.encode(events))
            changes.records.append(Record(TENANT, who.shopper, time, "events", sealed, 7))
            if number == end:
                break
        vault.persist()
        world.store.commit(changes)
    return number


def shoppers(world: World) -> list[ShopperKey]:
    changes, vault = Changes(), world.vault
    for _ in range(SHOPPERS):
        profile = Profile(id=_chance.randbytes(16), analytic_id=_chance.randbytes(16), created=BEGIN)
        key = ShopperKey(TENANT, profile.id)
        changes.rows[key] = Row(vault.seal(key.shopper, profiles.encode(profile)), vault.seal(key.shopper, b""))
    vault.persist()
    world.store.commit(changes)
    return list(changes.rows)


def timed(what: str, world: World, folder: Path) -> None:
    clock, work = time.perf_counter(), time.process_time()
    count = write_facts(world, folder, metrics={})
    clock, work = time.perf_counter() - clock, time.process_time() - work
    rate = f"{count / clock:8,.0f} facts/s, {count / work:8,.0f} a CPU second" if count else ""
    print(f"{what:12} {count:8,} facts in {clock:6.2f} s ({work:5.2f} s of CPU)  {rate}")


def floor(world: World) -> None:
    """Reading alone: what every way to derive anything from the log has to do at least."""
    count, work = 0, time.process_time()
    for record in world.store.log():
        count += len(read_events(world.vault.open(record.shopper, record.payload)))
    work = time.process_time() - work
    print(f"reading      {count:8,} events {' ' * 29} {count / work:8,.0f} a CPU second")


def main() -> None:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with tempfile.TemporaryDirectory() as name:
        for module in ("pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet"):  # what a process needs once
            import_module(module)
        data = Path(name) / "data"
        with open_world(data, make=True) as world:
            people = shoppers(world)
            number = fill(world, people, 0, total, BEGIN, WEEK)
        write_facts_of(data, people, number)
        files = list((data / FACTS).rglob("*.parquet"))
        print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / total:,.0f} bytes a fact")


def write_facts_of(data: Path, people: list[ShopperKey], number: int) -> None:
    folder = data / FACTS
    with open_world(data, serving=False) as world:
        floor(world)
        timed("all at once", world, folder)
    for _ in range(3):
        with open_world(data) as world:
            number = fill(world, people, number, 2_000, BEGIN + WEEK, 300_000)
        with open_world(data, serving=False) as world:
            timed("some more", world, folder)
    with open_world(data, serving=False) as world:
        timed("nothing new", world, folder)


if __name__ == "__main__":
    main()
