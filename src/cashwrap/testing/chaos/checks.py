"""What must be true after any fault, checked on all outputs: the log, the profiles, the keys, the ledger."""

from collections import Counter

from msgspec import Struct

from cashwrap import profiles
from cashwrap.engine import World
from cashwrap.errors import CashwrapError, Forgotten, StoreError
from cashwrap.history import read_events, rebuild
from cashwrap.model import Event, Profile, Purpose
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.testing.chaos.money import wrong_money
from cashwrap.testing.chaos.workload import TENANT, Book, Said

_NOTICES = {profiles.RESERVED, profiles.REDEEMED, profiles.RELEASED}
"""Events that the ledger's notices make."""
ALL = int(Purpose.PERSONALIZATION | Purpose.ANALYTICS | Purpose.NECESSARY)


class Findings(Struct):
    """What one look at a data folder found. All is well where ``wrong`` is empty."""

    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    """Acknowledged and not there."""
    double: int = 0
    """There more than once."""
    wrong: list[str] = []


def look(world: World, playbook: Playbook, book: Book) -> Findings:
    """Compare a world with the book: each acknowledged event once in the log, and once in its shopper's profile; what
    the log says is what the profiles say, byte for byte; every row opens; the ledger adds up."""
    found = Findings(acknowledged=len(book.acknowledged))
    try:
        events = _events(world, found)
        _compare_log(events, book, found)
        differing = [key for key in rebuild(world, playbook).differing if not _half_forgotten(world, key, book)]
        if differing:
            found.wrong.append(f"{len(differing)} profiles differ from what the log says")
        _compare_profiles(world, playbook, events, book, found)
        back = [shopper for shopper in book.buried if not _is_buried(world, shopper)]
        if back:
            found.wrong.append(f"{len(back)} forgotten shoppers could be written for again")
        failures = world.failed.failures()
        if failures:
            found.wrong.append(f"{len(failures)} events failed: {failures[0].code}")
        if world.ledger is not None:
            found.acknowledged += book.money.acknowledged
            found.wrong += wrong_money(world.ledger, TENANT, book.money)
    except CashwrapError as error:
        found.wrong.append(f"{type(error).__name__}: {error.message}")
    return found


def _events(world: World, found: Findings) -> list[tuple[ShopperKey, Event]]:
    """Every event of the log that may be read."""
    events = []
    for record in world.store.log():
        if record.kind != "events":
            continue
        try:
            inside = read_events(world.vault.open(record.shopper, record.payload))
        except Forgotten:
            if not _is_buried(world, record.shopper):
                found.wrong.append(f"record {record.sequence} has no key and nobody forgot it")
            continue
        except StoreError as error:
            found.wrong.append(f"record {record.sequence}: {error.message}")
            continue
        events += [(ShopperKey(record.tenant, record.shopper), event) for event in inside]
    found.stored = len(events)
    return events


def _is_buried(world: World, shopper: bytes) -> bool:
    """Whether a tombstone says that the key was destroyed, and not merely lost: a lost one would be made anew."""
    try:
        world.vault.seal(shopper, b"")
    except Forgotten:
        return True
    return False


def _compare_log(events: list[tuple[ShopperKey, Event]], book: Book, found: Findings) -> None:
    events = [(key, event) for key, event in events if event.name not in _NOTICES]
    times = Counter(event.id for _, event in events)
    lost = [name for name in book.acknowledged if not times[name] and not _is_forgotten(book, name)]
    double = [name for name, count in times.items() if count > 1]
    unknown = [name for name in times if name not in book.sent]
    found.lost, found.double = len(lost), len(double)
    for what, names in (("lost", lost), ("there twice", double), ("never sent", unknown)):
        if names:
            found.wrong.append(f"{len(names)} events {what}, such as {min(names)}")
    for _, event in events:
        said = book.sent.get(event.id)
        if said is not None and event.properties.get("total") != said.total:
            found.wrong.append(f"event {event.id} says another total than was sent")


def _is_forgotten(book: Book, name: str) -> bool:
    return book.sent[name].shopper in book.forgotten


def _compare_profiles(
    world: World, playbook: Playbook, events: list[tuple[ShopperKey, Event]], book: Book, found: Findings
) -> None:
    """Counts and sums of each shopper, over all profiles of theirs, against the book: no code of the fold is asked."""
    wanted: dict[int, list[Said]] = {}
    for name in {event.id for _, event in events} & book.sent.keys():
        wanted.setdefault(book.sent[name].shopper, []).append(book.sent[name])
    told: dict[int, Counter[str]] = {}
    for key, row in world.store.load(sorted({key for key, _ in events})).items():
        profile = profiles.decode(world.vault.open(key.shopper, row.state))
        values = profiles.attributes(profile, playbook.features, world.clock.now(), ALL)
        mine = told.setdefault(_shopper_of(profile), Counter())
        mine.update({name: _number(values.get(name)) for name in ("orders", "spent", "views")})
    for shopper, said in wanted.items():
        if (
            shopper in book.forgotten
        ):  # a forgetting that was cut off has taken some devices' events, and may be resumed
            continue
        orders = [each.total for each in said if each.total is not None]
        right = Counter(orders=len(orders), spent=sum(orders), views=len(said) - len(orders))
        if told.get(shopper, Counter()) != right:
            found.wrong.append(f"shopper {shopper} has {dict(told.get(shopper, {}))} and not {dict(right)}")


def _half_forgotten(world: World, key: ShopperKey, book: Book) -> bool:
    """Whether it is of somebody whom one began to forget: events of merged devices go first."""
    row = world.store.load([key]).get(key)
    return row is not None and _shopper_of(profiles.decode(world.vault.open(key.shopper, row.state))) in book.forgotten


def _shopper_of(profile: Profile) -> int:
    names = [*profile.anonymous_ids, profile.user_id or ""]
    return int(next(name for name in names if name).rpartition("-")[2])


def _number(value: object) -> int:
    """A count or an amount in minor units."""
    return int(str(value)) if isinstance(value, int) else 0
