"""Making codes for an offer: what the command and the console share. Codes are kept as digests, and told once."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.condition.environment import did_you_mean
from cashwrap.errors import InvalidInput
from cashwrap.ledger import Code
from cashwrap.model import Millis, Tenant
from cashwrap.offers.codes import code_digest, new_code, read_code
from cashwrap.offers.terms import Offer
from cashwrap.ports import Ledger
from cashwrap.request import zone_of
from cashwrap.world import World

AT_ONCE = 1_000
"""Codes that are made good with one write."""
MOST = 1_000_000
"""Codes that are made at once."""


class WantedCodes(Struct, frozen=True):
    """What codes are asked for: ``uses`` is how often each may be used, ``None`` for as the offer says; ``expires`` the
    last day they are good, as ``2026-12-31``, empty for never."""

    count: int = 1
    uses: int | None = None
    expires: str = ""


def ledger_of(world: World) -> Ledger:
    """The ledger. Raises ``InvalidInput`` (``no_ledger``)."""
    if world.ledger is None:
        raise InvalidInput("there is no ledger here", code="no_ledger")
    return world.ledger


def offer_with_codes(offers: Mapping[str, Offer], name: str) -> Offer:
    """The offer that codes are to open. Raises ``InvalidInput`` (``no_such_offer``, ``no_codes``)."""
    found = offers.get(name)
    if found is None:
        hint = did_you_mean(name, offers) or "see 'cashwrap offers list'"
        raise InvalidInput(f"the playbook has no offer {name!r}; {hint}", code="no_such_offer")
    if found.codes == "none":
        raise InvalidInput(f"{name} takes no codes; give it 'codes: single' or 'codes: shared'", code="no_codes")
    return found


def code_like(offer: Offer, wanted: WantedCodes, zone: str) -> Code:
    """What each of these codes is, but for its digest. Without ``uses`` it is good once where the offer's ``codes`` is
    ``single``, and as often as its limits say where it is ``shared``. Raises ``InvalidInput`` (``invalid_date``)."""
    often = wanted.uses if wanted.uses is not None else 1 if offer.codes == "single" else 0
    return Code(b"", offer.name, often, _end_of(wanted.expires, zone) if wanted.expires else 0)


def make_codes(world: World, tenant: Tenant, like: Code, count: int) -> Iterator[str]:
    """New codes, each good when it comes. Raises ``Unavailable``: then those that came are good, and no others."""
    ledger = ledger_of(world)
    for start in range(0, count, AT_ONCE):
        texts = [new_code(world.random) for _ in range(min(AT_ONCE, count - start))]
        digests = [code_digest(world.vault, tenant, read_code(text) or "") for text in texts]
        ledger.add_codes(tenant, [replace(like, digest=digest) for digest in digests])
        yield from texts


def _end_of(day: str, zone: str) -> Millis:
    """When a day is over where the shop is."""
    try:
        ends = datetime.strptime(day, "%Y-%m-%d").replace(hour=23, minute=59, second=59, tzinfo=zone_of(zone) or UTC)
    except ValueError:
        raise InvalidInput(f"{day!r} is no day; write it as 2026-12-31", code="invalid_date") from None
    return (int(ends.timestamp()) + 1) * 1000
