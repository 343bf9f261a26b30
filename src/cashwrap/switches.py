"""Kill switches: what an operator has turned off, effective with the next decision.

Kept as documents of the registry, so that the command line and the API write the same ones, and a server that polls
sees a switch thrown by another process.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.decide import Kills
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis
from cashwrap.ports import Registry

KIND = "kill"
Scope = Literal["all", "placement", "experience"]


class Switch(Struct, frozen=True):
    """One thing turned off: what, since when, and why."""

    scope: Scope
    name: str
    since: Millis
    reason: str = ""


class Switches:
    """The switches of a data folder; ``kills`` is what a decision reads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.kills = Kills()
        self.refresh()

    def refresh(self) -> None:
        """See switches thrown by another process."""
        thrown = self.all()
        self.kills = Kills(
            everything=any(switch.scope == "all" for switch in thrown),
            placements=frozenset(switch.name for switch in thrown if switch.scope == "placement"),
            experiences=frozenset(switch.name for switch in thrown if switch.scope == "experience"),
        )

    def all(self) -> list[Switch]:
        """Everything that is off, by scope and name."""
        documents = self._registry.documents(KIND)
        return [msgspec.json.decode(documents[name], type=Switch) for name in sorted(documents)]

    def set(self, switch: Switch, *, off: bool) -> None:
        """Turn something off, or on again. Raises ``InvalidInput`` where a scope lacks its name."""
        if (switch.scope == "all") != (not switch.name):
            raise InvalidInput("name the placement or experience; scope all takes no name", code="invalid_switch")
        name = f"{switch.scope}:{switch.name}"
        self._registry.put(KIND, name, msgspec.json.encode(switch) if off else None)
        self.refresh()
