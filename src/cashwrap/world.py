"""The ports that one engine stands on, together."""

from msgspec import Struct

from cashwrap.ports import (
    AuditLog,
    CatalogueStore,
    Clock,
    Facts,
    FailedEvents,
    Http,
    Ledger,
    ModelFiles,
    Outbox,
    Random,
    Registry,
    Reserve,
    Store,
    Vault,
)


class World(Struct, frozen=True):
    """The ports an engine stands on; ``cli`` (or a test) chooses the adapters."""

    store: Store
    outbox: Outbox
    failed: FailedEvents
    registry: Registry
    catalogue: CatalogueStore
    vault: Vault
    clock: Clock
    random: Random
    facts: Facts | None = None
    """The fact table, where there is one."""
    ledger: Ledger | None = None
    """Where offers are held and spent; without one no offer is granted."""
    audit: AuditLog | None = None
    """Where it is kept who changed what."""
    reserve: Reserve | None = None
    """Space for what must go on when the disk is full."""
    models: ModelFiles | None = None
    """Where what was learned is kept."""
    http: Http | None = None
    """What webhooks are sent through; without one the machine's own network."""
