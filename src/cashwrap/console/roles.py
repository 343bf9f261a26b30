"""Who may do what: roles, the permissions they hold, and where a person holds them.

Denied is what no line allows. A route names one permission and where it must be held (``routing.Route``); the table
below is the only place that gives it to anybody.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from msgspec import Struct

from cashwrap.model import Tenant

Role = Literal["viewer", "marketer", "analyst", "privacy", "admin"]
Permission = Literal[
    "see",
    "shopper.read",
    "shopper.forget",
    "draft.write",
    "publish",
    "approve",
    "stop",
    "offer.codes",
    "models.change",
    "failed.read",
    "failed.settle",
    "audit.read",
    "keys.change",
    "people.change",
]
"""``see`` is everything that names no shopper. ``approve`` is the second person's word on what moves money; ``stop``
switches off, switches on again and rolls back. ``failed.read`` shows what a failed event holds of a person."""

ROLES: dict[Role, frozenset[Permission]] = {
    "viewer": frozenset({"see"}),
    "marketer": frozenset({"see", "shopper.read", "draft.write", "publish", "approve", "stop", "offer.codes"}),
    "analyst": frozenset({"see", "draft.write", "models.change", "failed.settle"}),
    "privacy": frozenset({"see", "shopper.read", "shopper.forget", "failed.read", "audit.read"}),
    "admin": frozenset(get_args(Permission)),
}
EVERYWHERE = "*"
PLAYBOOK = Tenant(EVERYWHERE, "live")
"""Where a permission must be held that changes the playbook: it decides for all stores, so for all of them."""
ALL = Tenant(EVERYWHERE, EVERYWHERE)
"""Where it must be held for what belongs to the whole installation, such as its people."""


class Grant(Struct, frozen=True, order=True):
    """A role in a store and environment; ``*`` stands for every one."""

    role: Role
    store: str = EVERYWHERE
    environment: str = EVERYWHERE

    @property
    def where(self) -> tuple[str, str]:
        """Store and environment."""
        return self.store, self.environment

    def covers(self, where: Tenant) -> bool:
        """Whether it holds there. What is asked for everywhere is covered by what is granted everywhere only."""
        return self.store in (EVERYWHERE, where.store) and self.environment in (EVERYWHERE, where.environment)


def may(grants: Iterable[Grant], permission: Permission, where: Tenant) -> bool:
    """Whether these grants allow it there."""
    return any(permission in ROLES[grant.role] and grant.covers(where) for grant in grants)


def told(grants: Iterable[Grant]) -> str:
    """Grants in an entry of the audit log, or a terminal: ``admin@*/* viewer@main/live``."""
    return " ".join(f"{each.role}@{each.store}/{each.environment}" for each in grants)
