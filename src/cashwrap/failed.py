"""Failed events as an operator sees and settles them: listed, shown, repaired, tried again, discarded.

They stay until somebody acts. What is tried again goes the way of every event, by the consent and the playbook of
this moment, and its failure goes in the very commit that stores it: nothing is lost or counted twice, wherever a
process dies. Forgetting a shopper leaves nothing of theirs here.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from cashwrap import repair
from cashwrap.engine import Engine, World
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.events import Accounting, Normaliser
from cashwrap.model import Line, Tenant
from cashwrap.ports import Failure
from cashwrap.window import Submission

PAGE = 500
"""Events that are tried again before more are read."""
LEFT = 1000
"""Events that stay and are told one by one; all are counted."""
_CODE = re.compile("[a-z]{2,20}(_[a-z]{1,20}){0,5}")
FATES = ("stored", "duplicate", "conflict", "failed", "dropped_by_consent", "refused")


class Chosen(Struct, frozen=True):
    """Which ones: by number, or all of a code (of every code where it is empty); of one tenant, or of all."""

    numbers: tuple[int, ...] = ()
    code: str = ""
    tenant: Tenant | None = None

    def named(self) -> str:
        """For the audit log: numbers, a code as errors have, or all; never what somebody wrote in its place."""
        if self.numbers:
            return ", ".join(map(str, self.numbers[:30]))
        return self.code if _CODE.fullmatch(self.code) else "no code" if self.code else "all"

    def holds(self, failure: Failure) -> bool:
        """Whether this one is meant."""
        if self.tenant not in {None, failure.tenant}:
            return False
        return failure.sequence in self.numbers if self.numbers else self.code in {"", failure.code}


class Replayed(Struct):
    """What became of events that were tried again, by fate, and which of them stay: their number and why."""

    tried: int = 0
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    failed: int = 0
    dropped_by_consent: int = 0
    refused: int = 0
    unreadable: int = 0
    """Not tried: nothing but the reason is kept, the shopper is forgotten, or a field is still wrong."""
    left: dict[int, str] = {}
    next: int | None = None
    """Where to go on, if not all were looked at."""


def listed(world: World, chosen: Chosen, after: int = 0, limit: int = 1000) -> list[Failure]:
    """Those with a greater number, ascending."""
    found = []
    for failure in _all(world, chosen, after):
        found.append(failure)
        if len(found) >= limit:
            break
    return found


def find(world: World, number: int, tenant: Tenant | None = None) -> Failure:
    """One of them. Raises ``InvalidInput`` (``no_such_event``)."""
    found = world.failed.failure(number)
    if found is None or tenant not in {None, found.tenant}:
        raise InvalidInput(f"there is no failed event {number}; see 'cashwrap failed list'", code="no_such_event")
    return found


def reason(failure: Failure) -> dict[str, object]:
    """What anybody may know of it."""
    return {
        "number": failure.sequence,
        "received": failure.received,
        "store": failure.tenant.store,
        "environment": failure.tenant.environment,
        "code": failure.code,
        "path": failure.path,
        "message": failure.message,
        "size": failure.size,
        "payload": failure.payload is not None,
    }


def described(world: World, failure: Failure) -> dict[str, object]:
    """All that is kept of it, the event included; amounts in minor units. Raises as ``repair.opened`` does."""
    told = reason(failure)
    if failure.payload is None:
        return told
    unkept = repair.opened(world.vault, failure)
    event = unkept.event
    told["event"] = {
        "name": event.name,
        "id": event.id,
        "time": event.time,
        "userId": event.user_id,
        "anonymousId": event.anonymous_id,
        "properties": {name: _plain(value) for name, value in event.properties.items()},
        "traits": event.traits,
        "choices": event.choices,
        "trusted": event.trusted,
    }
    told["broken"] = unkept.broken
    return told


def mended(
    world: World, house: Normaliser, failure: Failure, sets: Mapping[str, str], unsets: Iterable[str]
) -> repair.Unkept:
    """One with fields set, or left out, not kept yet. Raises as ``repair.opened`` and ``repair.mended`` do."""
    return repair.mended(repair.opened(world.vault, failure), sets, unsets, house)


def mend(world: World, failure: Failure, unkept: repair.Unkept) -> Failure:
    """Keep it so; it is not tried yet. Raises ``InvalidInput`` (``no_such_event``) where it was settled meanwhile."""
    shopper = (failure.payload or b"")[: repair.SHOPPER]
    if not world.failed.rewrite(failure.sequence, repair.sealed(world.vault, shopper, unkept)):
        raise InvalidInput(f"failed event {failure.sequence} was settled meanwhile", code="no_such_event")
    return find(world, failure.sequence)


def replay(engine: Engine, chosen: Chosen, after: int = 0, most: int | None = None) -> Replayed:
    """Try events again; those that are stored, known already, or no longer allowed are settled, all others stay.

    ``most`` bounds how many are looked at. Raises ``InvalidInput`` (``no_such_event``) before anything is tried where
    a number names none, and ``Unavailable`` where no more can be stored now: ask again, for what is left.
    """
    check(engine.world, chosen)
    told, looked = Replayed(), 0
    page: list[Failure] = []
    for failure in _all(engine.world, chosen, after):
        if most is not None and looked >= most:
            told.next = after
            break
        after, looked = failure.sequence, looked + 1
        page.append(failure)
        if len(page) >= PAGE:
            _try(engine, page, told)
            page = []
    _try(engine, page, told)
    return told


def discard(world: World, chosen: Chosen) -> int:
    """Remove them for good; how many. Raises ``InvalidInput`` (``no_such_event``) where a number names none."""
    check(world, chosen)
    count = 0
    while found := listed(world, chosen, limit=PAGE):
        world.failed.discard([failure.sequence for failure in found])
        count += len(found)
    return count


def check(world: World, chosen: Chosen) -> None:
    """Raises ``InvalidInput`` (``no_such_event``) where a number names none."""
    for number in chosen.numbers:
        find(world, number, chosen.tenant)


def _plain(value: object) -> object:
    """Products by the names of their fields."""
    if not isinstance(value, list):
        return value
    return [
        {name: each for name, each in asdict(item).items() if each is not None} if isinstance(item, Line) else item
        for item in value
    ]


def _all(world: World, chosen: Chosen, after: int) -> Iterator[Failure]:
    """Every one that is meant, a page at a time; what comes in meanwhile at the end."""
    if chosen.numbers:
        named = (world.failed.failure(number) for number in sorted(set(chosen.numbers)) if number > after)
        yield from (failure for failure in named if failure is not None and chosen.holds(failure))
        return
    while page := world.failed.failures(after, PAGE):
        yield from (failure for failure in page if chosen.holds(failure))
        after = page[-1].sequence


def _try(engine: Engine, page: list[Failure], told: Replayed) -> None:
    """Hand all of a page to the writer and wait: they share few commits."""
    waiting: list[tuple[Submission, threading.Event]] = []
    now = engine.world.clock.now()
    try:
        for failure in page:
            try:
                event = repair.again(repair.opened(engine.world.vault, failure), failure, now)
            except CashwrapError as error:
                told.unreadable += 1
                _leave(told, failure.sequence, error.code)
                continue
            done = threading.Event()
            submission = Submission(failure.tenant, [event], (), _setter(done), failure.sequence)
            engine.keep(submission)
            waiting.append((submission, done))
    finally:
        for submission, done in waiting:
            done.wait()
            _count(told, submission.replays, submission.accounting)
    for submission, _ in waiting:
        if submission.error is not None:
            raise submission.error


def _setter(done: threading.Event) -> Callable[[Submission], None]:
    return lambda _: done.set()


def _count(told: Replayed, number: int, accounting: Accounting) -> None:
    if not accounting.received:
        return
    told.tried += 1
    fate = next(fate for fate in FATES if getattr(accounting, fate))
    setattr(told, fate, getattr(told, fate) + 1)
    if fate in {"conflict", "failed", "refused"}:
        _leave(told, number, fate)


def _leave(told: Replayed, number: int, why: str) -> None:
    if len(told.left) < LEFT:
        told.left[number] = why
