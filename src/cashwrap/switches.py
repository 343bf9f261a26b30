"""Kill switches: what an operator has turned off, effective with the next decision.

Kept as documents of the registry, so that the command line and the API write the same ones, and a server that polls
sees a switch thrown by another process.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.decide import NOTHING_KILLED, Kills
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Registry

KIND = "kill"
Scope = Literal["all", "placement", "experience"]


class Switch(Struct, frozen=True):
    """One thing turned off: what, since when, and why."""

    scope: Scope
    name: str
    since: Millis
    reason: str = ""
    tenant: Tenant = Tenant()
    """Whose decisions it turns off: those of one store in one environment."""
    by: str = ""
    """Who turned it off, as the audit log names them; empty where nobody said."""


class Switches:
    """The switches of a data folder; ``kills`` are what a decision reads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._all: list[Switch] = []
        self._kills: dict[Tenant, Kills] = {}
        self.refresh()

    def refresh(self) -> None:
        """See switches thrown by another process."""
        documents = self._registry.documents(KIND)
        self._all = [msgspec.json.decode(documents[name], type=Switch) for name in sorted(documents)]
        self._kills = {tenant: _kills(self.of(tenant)) for tenant in {switch.tenant for switch in self._all}}

    def kills(self, tenant: Tenant) -> Kills:
        """What is off for a store's decisions."""
        return self._kills.get(tenant, NOTHING_KILLED)

    def of(self, tenant: Tenant) -> list[Switch]:
        """What is off in a store, by scope and name."""
        return [switch for switch in self._all if switch.tenant == tenant]

    def set(self, switch: Switch, *, off: bool) -> None:
        """Turn something off, or on again. Raises ``InvalidInput`` where a scope lacks its name."""
        if (switch.scope == "all") != (not switch.name):
            raise InvalidInput("name the placement or experience; scope all takes no name", code="invalid_switch")
        tenant = switch.tenant
        name = f"{tenant.name}/{switch.scope}:{switch.name}"
        self._registry.put(KIND, name, msgspec.json.encode(switch) if off else None)
        self.refresh()


def _kills(thrown: list[Switch]) -> Kills:
    return Kills(
        everything=any(switch.scope == "all" for switch in thrown),
        placements=frozenset(switch.name for switch in thrown if switch.scope == "placement"),
        experiences=frozenset(switch.name for switch in thrown if switch.scope == "experience"),
    )
