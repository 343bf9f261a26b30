"""Orders by who told of them: the shop's backend, a browser, or both. Read from the log, which has every event once.

Of each order of the last two days one number is kept: a keyed digest of its id, with who reported it and when. So
browser and backend meet exactly, in whatever order they come, and no id of an order is held.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from msgspec import Struct

from cashwrap.errors import CashwrapError, Forgotten
from cashwrap.folding import read_events
from cashwrap.history.examples import IMPORTED
from cashwrap.metrics import ORDER
from cashwrap.model import Event, Millis, Tenant
from cashwrap.ports import Record, Store, Vault

MINUTE: Millis = 60_000
REMEMBERED: Millis = 48 * 60 * MINUTE
COUNTED: Millis = 24 * 60 * MINUTE
"""Orders of this time are compared ..."""
SETTLED: Millis = 15 * MINUTE
"""... that are older than this: a page or a backend may be late."""
MOST = 1_000_000
"""Orders that are remembered in all; the oldest go first."""
BACKEND, BROWSER, SILENT = 1, 2, 4
"""Who told; and that the shopper's choices let no browser tell."""
SLICE = 500
"""Records read at once."""
_BITS = 3
_NEEDLE = ORDER.encode()


class Loss(Struct, frozen=True):
    """Orders of the last day, but the newest quarter of an hour, by who told of them."""

    orders: int = 0
    """As the backend reported them."""
    unseen: int = 0
    """Of them: no browser told, though the shopper's choices allow it."""
    silent: int = 0
    """Of them: no browser told, nor might it have."""
    unconfirmed: int = 0
    """Orders that browsers told of and the backend did not report."""

    @property
    def asked(self) -> int:
        """Orders of the backend that a browser should have told of."""
        return self.orders - self.silent


class Orders:
    """The orders of one installation. One thread feeds it; others may ask while it does."""

    def __init__(self, digest: Callable[..., bytes], purposes: int, most: int = MOST) -> None:
        """``digest`` is a vault's; ``purposes`` are those of which a browser's order needs one."""
        self._digest = digest
        self._purposes = purposes
        self._most = most
        self._known: dict[Tenant, dict[int, int]] = {}
        self._line: deque[tuple[Tenant, int]] = deque()
        """All of them in the order they came in, the oldest first."""
        self.newest: dict[Tenant, Millis] = {}
        """When the last order of the backend was made, as far as it is remembered."""

    def take(self, tenant: Tenant, event: Event, now: Millis) -> int:
        """Take an event in; what it says for the first time: ``BACKEND``, ``BROWSER`` or 0."""
        order = event.properties.get("order_id")
        if event.name != ORDER or event.flags or not isinstance(order, str) or not order:
            return 0
        if event.source.startswith(IMPORTED):  # no browser could have told of it
            return 0
        if not now - REMEMBERED < event.time <= now + MINUTE:
            return 0
        name = int.from_bytes(self._digest("console order", tenant.name, order)[:8], "big")
        known = self._known.setdefault(tenant, {})
        value = known.get(name)
        if value is None:
            self._line.append((tenant, name))
            value = (event.time // MINUTE) << _BITS
        bit = BACKEND if event.trusted else BROWSER
        new = 0 if value & bit else bit
        if event.trusted:
            self.newest[tenant] = max(self.newest.get(tenant, 0), min(event.time, now))
            if not event.mask & self._purposes:
                value |= SILENT
        known[name] = value | bit
        if len(self._line) > self._most:
            self._drop()
        return new

    def prune(self, now: Millis) -> None:
        """Forget what is too old. What came late stands behind newer ones, and goes a little later."""
        oldest = (now - REMEMBERED) // MINUTE
        while self._line:
            tenant, name = self._line[0]
            if self._known[tenant][name] >> _BITS >= oldest:
                return
            self._drop()

    def loss(self, tenant: Tenant, now: Millis) -> Loss:
        """What browser and backend of a store have missed of each other."""
        first, last = (now - COUNTED) // MINUTE, (now - SETTLED) // MINUTE
        orders = unseen = silent = unconfirmed = 0
        for value in list(self._known.get(tenant, {}).values()):
            if not first <= value >> _BITS < last:
                continue
            if not value & BACKEND:
                unconfirmed += 1
                continue
            orders += 1
            if not value & BROWSER:
                silent += bool(value & SILENT)
                unseen += not value & SILENT
        return Loss(orders, unseen, silent, unconfirmed)

    def _drop(self) -> None:
        tenant, name = self._line.popleft()
        del self._known[tenant][name]


def orders_of(vault: Vault, record: Record) -> list[Event]:
    """The orders in a record of the log; none of who is forgotten, and of what cannot be read."""
    if record.kind != "events":
        return []
    try:
        plain = vault.open(record.shopper, record.payload)
        # Most records tell of no order: to search is far quicker than to decode.
        return [each for each in read_events(plain) if each.name == ORDER] if _NEEDLE in plain else []
    except Forgotten:
        return []
    except (CashwrapError, ValueError):
        return []


def first_since(store: Store, since: Millis) -> int:
    """The sequence after which the log's records were received at ``since`` or later, give or take what overlaps.

    Records ascend by when they were received, but for moments that processes share: a few steps find the place.
    """

    def older(after: int) -> int:
        """The first sequence after this one, where it is older; else 0."""
        found = next(iter(store.log(after)), None)
        return found.sequence if found is not None and found.received < since else 0

    low, step = 0, 1
    while found := older(low + step):
        low, step = found, step * 2
    high = low + step
    while low < high:
        middle = (low + high) // 2
        if found := older(middle):
            low = found
        else:
            high = middle
    return low


class Follower:
    """Reads the log's new records into ``orders``, a slice at a time; one thread calls it.

    ``told`` hears of everything that an order's event says for the first time: who tells, of which store, when the
    order was made, and the record's sequence.
    """

    def __init__(
        self, store: Store, vault: Vault, orders: Orders, told: Callable[[int, Tenant, Millis, int], None]
    ) -> None:
        self._store = store
        self._vault = vault
        self._orders = orders
        self._told = told
        self._position: int | None = None
        self.caught_up = False
        """Whether it has read all there is, at least once."""

    @property
    def position(self) -> int:
        """The sequence of the last record that was read."""
        return self._position or 0

    def step(self, now: Millis, limit: int = SLICE) -> bool:
        """Read some more; whether there may be more already."""
        if self._position is None:
            self._position = first_since(self._store, now - REMEMBERED)
        read = 0
        for record in islice(self._store.log(self._position), limit):
            read += 1
            for event in orders_of(self._vault, record):
                if bit := self._orders.take(record.tenant, event, now):
                    self._told(bit, record.tenant, min(event.time, now), record.sequence)
            self._position = record.sequence
        self._orders.prune(now)
        self.caught_up = self.caught_up or read < limit
        return read >= limit
