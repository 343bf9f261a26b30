"""Audiences: how large each segment is, who is in it, and members pushed in from outside.

A pushed membership is an event like any other: logged, gated by the shopper's consent, part of what a rebuild sees.
"""

from collections.abc import Iterable

from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput, Unavailable
from cashwrap.events import Accounting
from cashwrap.inputs import Caller
from cashwrap.model import Event, Tenant
from cashwrap.request import ShopperRef

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
    _known(engine, name)
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
    declared = _known(engine, name)
    if not declared:
        raise InvalidInput(f"{name} is a condition; only segments with members: pushed take members", code="not_pushed")
    events = [
        *(_event(engine, caller, ADDED, name, ref) for ref in add),
        *(_event(engine, caller, REMOVED, name, ref) for ref in remove),
    ]
    if any(event.anonymous_id is None and event.user_id is None for event in events):
        raise InvalidInput("each member needs a userId or an anonymousId that names somebody", code="missing_identity")
    submission = engine.submit_and_wait(caller.key.tenant, events)
    if submission.error is not None:
        raise submission.error if isinstance(submission.error, Unavailable) else Unavailable("not kept; try again")
    return account(submission.accounting)


def account(counted: Accounting) -> dict[str, object]:
    """What became of the pushed memberships, by fate."""
    return {name: getattr(counted, name) for name in counted.__struct_fields__}


def _event(engine: Engine, caller: Caller, kind: str, audience: str, ref: ShopperRef) -> Event:
    now, known_as = caller.facts.received, engine.live.normaliser.shopper_id
    return Event(
        id=f"{audience}:{engine.world.random.token(9).hex()}",
        name=kind,
        time=now,
        received=now,
        mask=0,
        source=caller.key.id,
        anonymous_id=known_as(ref.anonymous_id),
        user_id=known_as(ref.user_id),
        properties={"audience": audience},
        trusted=True,
    )


def _known(engine: Engine, name: str) -> bool:
    """Whether members are pushed into this segment. Raises ``InvalidInput`` for one that is not declared."""
    declared = engine.live.playbook.declarations.segments.get(name)
    if declared is None:
        raise InvalidInput(f"the playbook declares no segment {name!r}", code="no_such_segment")
    return declared.pushed
