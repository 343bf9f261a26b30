"""Leaves an entry in the audit log for each change of the shop's rules and each look at a person.

An entry is durable *before* its change begins: what was changed without a trace would be worse than a trace of what
then failed, which a second entry tells (``<action>.failed``). Entries hold no personal data: a shopper is named by a
pseudonym, whose owner nobody can find once the shopper is forgotten (docs/decisions/0031).
"""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import CashwrapError
from cashwrap.events.scrub import scrub
from cashwrap.model import Tenant
from cashwrap.ports import AuditEntry, AuditLog, Clock, ShopperKey, Vault

log = logging.getLogger("cashwrap")

LONGEST = 200
"""Characters of a subject or a detail."""
MOST = 20
"""Details of an entry."""
T = TypeVar("T")


class Note(Struct, frozen=True):
    """What an entry will say; values are made fit by ``Trail``. ``tenant`` is whose it is, ``None`` for everybody's."""

    actor: str
    action: str
    subject: str = ""
    details: Mapping[str, object] = {}
    tenant: Tenant | None = None


class Trail:
    """Writes entries. Without a log (an engine with adapters of its own) nothing is written and all goes on."""

    def __init__(self, audit: AuditLog | None, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def leave(self, note: Note) -> None:
        """Make an entry durable. Raises ``Unavailable`` (``audit_unavailable``): then nothing is to be changed."""
        if self._audit is not None:
            self._audit.append(_entry(note, self._clock.now()))

    def around(self, note: Note, change: Callable[[], T]) -> T:
        """Leave an entry and then make a change; one that fails is told by a second entry.

        Raises as ``leave`` does, before anything was changed, and whatever the change raises.
        """
        self.leave(note)
        return self._told(note, change)

    def anyway(self, note: Note, change: Callable[[], T]) -> T:
        """The same for what nobody may hold up, such as forgetting a person: without an entry the log says so."""
        try:
            self.leave(note)
        except CashwrapError as error:
            log.error("%s of %s goes on without an audit entry: %s", note.action, note.subject, error.message)  # noqa: TRY400
        return self._told(note, change)

    def _told(self, note: Note, change: Callable[[], T]) -> T:
        try:
            return change()
        except Exception as failure:
            code = failure.code if isinstance(failure, CashwrapError) else "internal_error"
            failed = replace(note, action=f"{note.action}.failed", details={**note.details, "code": code})
            try:
                self.leave(failed)
            except CashwrapError as error:
                log.error("the audit log could not be told that %s failed: %s", note.action, error.message)  # noqa: TRY400
            raise


def pseudonym(vault: Vault, key: ShopperKey) -> str:
    """A shopper's name in the audit log: 16 hex digits that only this data folder can make of the shopper's random id.

    It outlives the shopper, but nothing leads to it any more: forgetting removes what leads from a name to the id.
    """
    tenant = key.tenant
    return vault.digest("audit shopper", tenant.store, tenant.environment, key.shopper.hex())[:8].hex()


def _entry(note: Note, now: int) -> AuditEntry:
    details = {} if note.tenant is None else {"store": note.tenant.store, "environment": note.tenant.environment}
    details |= {name: _fit(value) for name, value in note.details.items()}
    return AuditEntry(now, _fit(note.actor), note.action, _fit(note.subject), dict(list(details.items())[:MOST]))


def _fit(value: object) -> str:
    """A short text without addresses and card numbers, whoever put them into a name."""
    return scrub(str(value)[:LONGEST]).encode("utf-8", "replace").decode()
