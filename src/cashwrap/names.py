"""How a shopper's names are kept, as keyed hashes of the folder's own, and those of the forgotten.

A name on a grave is another hash than the one it had in life, so that neither gives the other away. It keeps out what
happened to the forgotten and comes again by a retry, an import or a restored queue; whoever comes anew is welcome.
"""

from collections.abc import Iterable, Sequence

from cashwrap.hot import Identifier
from cashwrap.model import Millis
from cashwrap.ports import Vault

PROMPT: Millis = 600_000
"""An event that is older on arrival is looked up among the forgotten, whoever has its names by now."""


def digest_of(vault: Vault, identifier: Identifier) -> bytes:
    """The keyed hash under which an identifier is kept."""
    tenant, kind, value = identifier
    return vault.digest("identity", tenant.store, tenant.environment, kind, value)


def tombstone(vault: Vault, digest: bytes) -> bytes:
    """The name on the grave of whom this keyed hash named."""
    return vault.digest("forgotten", digest.hex())


class Graves:
    """Who was forgotten, as far as somebody has asked."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.found: dict[Identifier, Millis] = {}
        """When the last one who had a name was forgotten."""

    def ask(self, names: Iterable[Identifier]) -> None:
        """Look up these names."""
        asked = {tombstone(self._vault, digest_of(self._vault, name)): name for name in names}
        for grave, at in self._vault.buried(list(asked)).items() if asked else ():
            self.found[asked[grave]] = at

    def hold(self, names: Sequence[Identifier], time: Millis) -> bool:
        """Whether what happened at this time happened to somebody who was forgotten since."""
        return any(time < self.found[name] for name in names if name in self.found)
