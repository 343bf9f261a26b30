"""From what somebody typed to a shopper: an id of the shop's, a token it signed, a decision, a cart or an order."""

import re
from collections.abc import Iterator
from typing import Literal

from cashwrap import records
from cashwrap.engine import Engine
from cashwrap.errors import InvalidEvent, InvalidInput, Unavailable
from cashwrap.model import Tenant
from cashwrap.names import digest_of
from cashwrap.ports import ShopperKey

By = Literal["any", "user", "anonymous", "token", "decision", "cart", "order", "email"]
WAYS: tuple[By, ...] = ("any", "user", "anonymous", "token", "decision", "cart", "order", "email")
LONGEST = 2048
_DECISION = re.compile(f"[0-9a-f]{{{2 * records.ID}}}")


def search(engine: Engine, tenant: Tenant, by: str, text: str) -> ShopperKey:
    """Who that is.

    Raises ``InvalidInput`` (``missing_identity``, ``no_such_shopper``), and ``NotAllowed`` (``invalid_token``) for a
    token that the shop did not sign, or not lately.
    """
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise InvalidInput("type an id of the shopper, at most 2,048 characters", code="missing_identity")
    if by == "token" or (by == "any" and text.startswith("ey") and text.count(".") == 2):
        found = _named(engine, tenant, "user", engine.keys.verify(text, tenant, engine.world.clock.now()))
    else:
        found = next((key for key in _candidates(engine, tenant, by, text) if key is not None), None)
    if found is None or engine.lookup.fetch(found) is None:
        message = "nobody is known by this in this store and environment"
        raise InvalidInput(message, code="no_such_shopper")
    return found


def _candidates(engine: Engine, tenant: Tenant, by: str, text: str) -> Iterator[ShopperKey | None]:
    if by in {"any", "decision"} and _DECISION.fullmatch(text):
        kept = engine.world.store.decision(tenant, bytes.fromhex(text))
        yield ShopperKey(tenant, kept.shopper) if kept is not None else None
    for kind in ("user", "anonymous", "cart"):
        if by in {"any", kind}:
            yield _named(engine, tenant, kind, text)
    if by in {"any", "email"} and "@" in text:
        digest = engine.live.normaliser.email_hash(text)
        yield _resolved(engine, digest_of(engine.world.vault, (tenant, "email", digest))) if digest else None
    if by in {"any", "order"}:
        yield _of_order(engine, tenant, text)


def _named(engine: Engine, tenant: Tenant, kind: str, text: str) -> ShopperKey | None:
    """By an id as events keep it."""
    try:
        kept = engine.live.normaliser.shopper_id(text)
    except InvalidEvent:
        return None
    return _resolved(engine, digest_of(engine.world.vault, (tenant, kind, kept))) if kept else None


def _of_order(engine: Engine, tenant: Tenant, order: str) -> ShopperKey | None:
    """Who used an offer for this order: the books know no other ones."""
    ledger = engine.world.ledger
    if ledger is None:
        return None
    try:
        digests = [each.shopper for each in ledger.of_order(tenant, order) if each.shopper]
    except Unavailable:
        return None
    return next((key for digest in digests if (key := _resolved(engine, digest)) is not None), None)


def _resolved(engine: Engine, digest: bytes) -> ShopperKey | None:
    return engine.world.store.resolve([digest]).get(digest)
