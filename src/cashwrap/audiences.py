"""Audiences: how large each segment is, who is in it, and members pushed in from outside.

A pushed membership is an event like any other: logged, gated by the shopper's consent, part of what a rebuild sees.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from msgspec import Struct

from cashwrap.engine import Engine
from cashwrap.errors import InvalidEvent, InvalidInput, Unavailable
from cashwrap.events import Accounting
from cashwrap.inputs import Caller
from cashwrap.model import Event, Tenant
from cashwrap.names import digest_of
from cashwrap.request import ShopperRef

By = Literal["user", "anonymous", "email"]
"""What an outside list names its shoppers by."""
AT_ONCE = 1000
"""Members that are written with one commit."""
ADDED, REMOVED = "Audience Member Added", "Audience Member Removed"


def sizes(engine: Engine, tenant: Tenant) -> dict[str, object]:
    """Every segment of the playbook with the number of shoppers in it."""
    counted = engine.world.store.sizes(tenant)
    segments = engine.live.playbook.declarations.segments
    return {
        "audiences": [
            {"name": name, "size": counted.get(name, 0), "pushed": declared.pushed, "description": declared.description}
            for name, declared in sorted(segments.items())
        ]
    }


def members(engine: Engine, tenant: Tenant, name: str, after: str, limit: int) -> dict[str, object]:
    """One page of members: the shop's user id where there is one, and a name for the next page."""
    known(engine, name)
    try:
        start = bytes.fromhex(after)
    except ValueError:
        raise InvalidInput("after is the next of the page before", code="invalid_request") from None
    ids = engine.world.store.members(tenant, name, after=start, limit=limit)
    users = engine.lookup.users(tenant, ids)
    page = [{"id": shopper.hex(), "userId": users.get(shopper)} for shopper in ids]
    return {"members": page, "next": ids[-1].hex() if len(ids) == limit else None}


def push(
    engine: Engine, caller: Caller, name: str, add: Iterable[ShopperRef], remove: Iterable[ShopperRef]
) -> dict[str, object]:
    """Put shoppers into a pushed segment or take them out; answers when that is durable."""
    _must_be_pushed(engine, name)
    known_as = engine.live.normaliser.shopper_id
    events = [
        _event(engine, caller, kind, name, _Who(known_as(ref.user_id), known_as(ref.anonymous_id)))
        for kind, refs in ((ADDED, add), (REMOVED, remove))
        for ref in refs
    ]
    if any(event.anonymous_id is None and event.user_id is None for event in events):
        raise InvalidInput("each member needs a userId or an anonymousId that names somebody", code="missing_identity")
    return account(_kept(engine, caller, events))


class _Who(NamedTuple):
    """A member's id as events keep it."""

    user: str | None = None
    anonymous: str | None = None
    email: str | None = None


class Imported(Struct):
    """What became of an imported list: every member read met exactly one of the other fates."""

    read: int = 0
    added: int = 0
    removed: int = 0
    unknown: int = 0
    """Nobody is known by this id."""
    invalid: int = 0
    """This names nobody, such as ``null``, or is no id at all."""
    dropped_by_consent: int = 0
    failed: int = 0


def import_members(
    engine: Engine, caller: Caller, name: str, ids: Iterable[str], by: By, *, remove: bool = False
) -> Imported:
    """Put the shoppers of a list into a pushed segment, or take them out; durable when it returns.

    Only shoppers who are known already: a list makes nobody. Raises ``InvalidInput``, ``Unavailable``.
    """
    _must_be_pushed(engine, name)
    told, rest = Imported(), iter(ids)
    while page := list(islice(rest, AT_ONCE)):
        told.read += len(page)
        known = [each for each in _known_as(engine, page, by) if each is not None]
        told.invalid += len(page) - len(known)
        found = list(_present(engine, caller.key.tenant, known, by))
        told.unknown += len(known) - len(found)
        if not found:
            continue
        kind = REMOVED if remove else ADDED
        counted = _kept(engine, caller, [_event(engine, caller, kind, name, _Who(**{by: each})) for each in found])
        if remove:
            told.removed += counted.stored
        else:
            told.added += counted.stored
        told.dropped_by_consent += counted.dropped_by_consent
        told.failed += counted.received - counted.stored - counted.dropped_by_consent
    return told


def _known_as(engine: Engine, ids: Iterable[str], by: By) -> Iterator[str | None]:
    """Ids as events keep them; ``None`` for one that names nobody."""
    normaliser = engine.live.normaliser
    for each in ids:
        try:
            yield normaliser.email_hash(each) if by == "email" else normaliser.shopper_id(each)
        except InvalidEvent:
            yield None


def _present(engine: Engine, tenant: Tenant, ids: list[str], by: By) -> Iterator[str]:
    """Those of the ids that name a shopper."""
    vault = engine.world.vault
    digests = {each: digest_of(vault, (tenant, by, each)) for each in ids}
    found = engine.world.store.resolve(list(digests.values()))
    return (each for each in ids if digests[each] in found)


def _kept(engine: Engine, caller: Caller, events: list[Event]) -> Accounting:
    submission = engine.submit_and_wait(caller.key.tenant, events)
    if submission.error is not None:
        raise submission.error if isinstance(submission.error, Unavailable) else Unavailable("not kept; try again")
    return submission.accounting


def account(counted: Accounting) -> dict[str, object]:
    """What became of the pushed memberships, by fate."""
    return {name: getattr(counted, name) for name in counted.__struct_fields__}


def _event(engine: Engine, caller: Caller, kind: str, audience: str, who: _Who) -> Event:
    now = caller.facts.received
    return Event(
        id=f"{audience}:{engine.world.random.token(9).hex()}",
        name=kind,
        time=now,
        received=now,
        mask=0,
        source=caller.key.id,
        anonymous_id=who.anonymous,
        user_id=who.user,
        email_hash=who.email,
        properties={"audience": audience},
        trusted=True,
    )


def _must_be_pushed(engine: Engine, name: str) -> None:
    if not known(engine, name):
        raise InvalidInput(f"{name} is a condition; only segments with members: pushed take members", code="not_pushed")


def known(engine: Engine, name: str) -> bool:
    """Whether members are pushed into this segment. Raises ``InvalidInput`` for one that is not declared."""
    declared = engine.live.playbook.declarations.segments.get(name)
    if declared is None:
        raise InvalidInput(f"the playbook declares no segment {name!r}", code="no_such_segment")
    return declared.pushed
