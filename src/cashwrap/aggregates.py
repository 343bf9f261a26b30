"""The aggregate algebra: what a feature remembers of a shopper's events, and how two memories become one.

Every aggregate answers five questions: ``init`` (nothing yet), ``update`` (one more event; may change the state it is
handed and returns the one to keep), ``merge`` (two states into a new one, touching neither), ``value`` (what it means
``now``) and ``next_change`` (when that meaning changes by itself). A state is plain data that survives msgpack:
ints, texts, bools, lists and dicts of them. Arithmetic is on integers only, ties are broken by (time, event id) or by
the key itself, so ``update`` and ``merge`` are associative and commutative: any order of arrival within seven days of
the newest event ends in the same value. A repeated event is the caller's to drop.

Bounds, all independent of order: a map keeps the 256 keys (64 in a tile of a window) whose seeded hash is smallest
(the bottom-k sketch of Cohen and Kaplan, 2007: a key that stays was never evicted, so what is counted for it is
exact); a window keeps whole tiles of time; a sum stops at 2^62.
"""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import mmh3
import msgspec

from cashwrap.model import Millis

State = Any
"""Plain data: None, bool, int, str, list, dict."""

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LATE = 7 * DAY
"""How far behind the newest event another may arrive and still count as if it had come in time."""
KEYS = 256
"""Keys a map keeps."""
TILE_KEYS = 64
"""Keys a map keeps in each tile of a window."""
LARGEST = 10**13
"""The largest amount (in minor units, or in the smallest step of a number) that one event may bring."""
STEPS = 64
"""Weights within one half-life: what decays is read in steps of about one percent."""
DECAYED_SCALE = 1000
"""A decayed count is read in thousandths."""

_STOP = 1 << 62  # so that a state stays within msgpack's 64 bits whatever is sent
_WEIGHT_BITS = 16
_HALVINGS = 24  # after so many an amount is below a ten millionth of itself: forgotten


def _step_weight(step: int) -> int:
    """2^(step/64) with 16 binary places, by integer roots alone: the same on every machine."""
    power: int = 1 << (step + STEPS * _WEIGHT_BITS)
    for _ in range(STEPS.bit_length() - 1):
        power = math.isqrt(power)  # rounding down at each root rounds the 64th root down, no more
    return power


class Aggregate(Protocol):
    """One measure's algebra."""

    def init(self) -> State:
        """The state of no events."""

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:
        """The state after one more event. ``state`` may be changed; keep what is returned."""

    def merge(self, a: State, b: State) -> State:
        """The state of both histories; neither is changed or shared."""

    def value(self, state: State, now: Millis) -> Any:
        """What the state means now; None over nothing where nothing has no meaning."""

    def next_change(self, state: State, now: Millis) -> Millis | None:
        """The earliest time after ``now`` at which ``value`` may differ without an event."""


def encode(state: State) -> bytes:
    """The state in one canonical form: equal states give equal bytes, whatever order they grew in."""
    return msgspec.msgpack.encode(_sorted(state))


def decode(data: bytes) -> State:
    """Undo ``encode``. Raises ``msgspec.DecodeError``."""
    return msgspec.msgpack.decode(data)


def _sorted(state: State) -> State:
    if isinstance(state, dict):
        return {key: _sorted(state[key]) for key in sorted(state)}
    if isinstance(state, list):
        return [_sorted(item) for item in state]
    return state


def add(a: int, b: int) -> int:
    """``a + b``, stopping where an integer would leave 64 bits."""
    total = a + b
    if -_STOP < total < _STOP:
        return total
    return _STOP if total > 0 else -_STOP


class Timeless:
    """What only an event changes."""

    def next_change(self, state: State, now: Millis) -> Millis | None:  # noqa: ARG002
        """Never."""
        return None


class Count(Timeless):
    """How many events. State: int. Over nothing 0."""

    def init(self) -> State:
        """0."""
        return 0

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:  # noqa: ARG002
        """One more."""
        return state + 1

    def merge(self, a: State, b: State) -> State:
        """Both."""
        return add(a, b)

    def value(self, state: State, now: Millis) -> int:  # noqa: ARG002
        """The number of events."""
        return int(state)


class Sum(Timeless):
    """The total of an integer amount. State: int. Over nothing 0."""

    def init(self) -> State:
        """0."""
        return 0

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:  # noqa: ARG002
        """Plus ``value``."""
        return add(state, value)

    def merge(self, a: State, b: State) -> State:
        """Both totals."""
        return add(a, b)

    def value(self, state: State, now: Millis) -> int:  # noqa: ARG002
        """The total, in the unit of what was added."""
        return int(state)


class Average(Timeless):
    """Sum and count, divided by nobody here. State: [sum, count]. Over nothing None."""

    def init(self) -> State:
        """[0, 0]."""
        return [0, 0]

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:  # noqa: ARG002
        """``value`` more, and one more."""
        state[0] = add(state[0], value)
        state[1] += 1
        return state

    def merge(self, a: State, b: State) -> State:
        """Sums and counts."""
        return [add(a[0], b[0]), add(a[1], b[1])]

    def value(self, state: State, now: Millis) -> tuple[int, int] | None:  # noqa: ARG002
        """(sum, count): exact, where a quotient would round."""
        return (state[0], state[1]) if state[1] else None


class Rate(Average):
    """How many of the dividing events were followed by a counted one. State: [counted, dividing].

    ``update`` takes True for a counted event and False for a dividing one. With nothing to divide by: None.
    """

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:  # noqa: ARG002
        """One more above (True) or below (False) the line."""
        state[0 if value else 1] += 1
        return state


class Extreme(Timeless):
    """The smallest (``min``) or largest (``max``) amount. State: int or None. Over nothing None."""

    def __init__(self, pick: Callable[[int, int], int]) -> None:
        self._pick = pick

    def init(self) -> State:
        """None."""
        return None

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:  # noqa: ARG002
        """The better of what was kept and ``value``."""
        return value if state is None else self._pick(state, value)

    def merge(self, a: State, b: State) -> State:
        """The better of both."""
        return a if b is None else b if a is None else self._pick(a, b)

    def value(self, state: State, now: Millis) -> int | None:  # noqa: ARG002
        """The amount, in the unit of what came in."""
        return None if state is None else int(state)


class Edge:
    """The first or last value by (time, event id). State: [time, event_id, value] or None. Over nothing None."""

    def __init__(self, *, last: bool) -> None:
        self._last = last

    def init(self) -> State:
        """None."""
        return None

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:
        """The new one where it is further out."""
        return self._better(state, [time, event_id, value])

    def merge(self, a: State, b: State) -> State:
        """The one further out."""
        better = self._better(a, b)
        return None if better is None else list(better)

    def value(self, state: State, now: Millis) -> tuple[Any, int] | None:
        """(value, whole days since)."""
        return None if state is None else (state[2], max(0, (now - state[0]) // DAY))

    def next_change(self, state: State, now: Millis) -> Millis | None:
        """When one more day will have passed."""
        return None if state is None else state[0] + (max(0, (now - state[0]) // DAY) + 1) * DAY

    def _better(self, a: State, b: State) -> State:
        if a is None or b is None:
            return a if b is None else b
        # One event may bring several values (its products): the value itself, as text, breaks that last tie.
        left, right = (a[0], a[1], str(a[2])), (b[0], b[1], str(b[2]))
        return b if (right > left) is self._last and right != left else a


class Decayed:
    """A sum whose parts halve with every half-life: forward decay (Cormode et al., 2009) in fixed point.

    State: {number of the half-life: sum of amount x 2^(part of it)}; nothing is multiplied away until it is read,
    so the order of events cannot matter. Time counts in steps of 1/64 half-life. ``scale`` is how fine the value is
    read. Over nothing 0.
    """

    def __init__(self, half_life: Millis, scale: int = 1) -> None:
        self._step = max(1, half_life // STEPS)
        self._scale = scale

    def init(self) -> State:
        """{}."""
        return {}

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:  # noqa: ARG002
        """``value`` more, as of ``time``."""
        epoch, step = divmod(time // self._step, STEPS)
        if epoch in state:
            state[epoch] = add(state[epoch], value * _WEIGHTS[step])
        elif not state or epoch > max(state) - _HALVINGS:
            state[epoch] = value * _WEIGHTS[step]
            _prune(state, max(state) - _HALVINGS + 1)
        return state

    def merge(self, a: State, b: State) -> State:
        """Both, half-life by half-life."""
        merged = dict(a)
        for epoch, total in b.items():
            merged[epoch] = add(merged.get(epoch, 0), total)
        if merged:
            _prune(merged, max(merged) - _HALVINGS + 1)
        return merged

    def value(self, state: State, now: Millis) -> int:
        """The decayed sum times ``scale``, rounded half up."""
        if not state:
            return 0
        epoch, step = divmod(now // self._step, STEPS)
        base = min(state)
        total = sum(part << (number - base) for number, part in state.items()) * self._scale
        shift = epoch - base
        if shift > 256:
            return 0
        below = _WEIGHTS[step] << max(0, shift)
        return int((2 * (total << max(0, -shift)) + below) // (2 * below))

    def next_change(self, state: State, now: Millis) -> Millis | None:
        """The next step, until all is forgotten."""
        if self.value(state, now) == 0:
            return None
        return (now // self._step + 1) * self._step


_WEIGHTS = tuple(_step_weight(step) for step in range(STEPS))


class Keyed:
    """One state for each key of a bounded set of keys. State: {key: inner state}. Over nothing {}.

    ``update`` takes a pair (key, what the inner aggregate takes). Beyond ``limit`` the keys with the smallest hash
    (seeded, so that nobody outside can choose them) stay.
    """

    def __init__(self, inner: Aggregate, seed: int, limit: int = KEYS) -> None:
        self.inner = inner
        self._seed = seed
        self._limit = limit
        self._full: tuple[State, str] = ({}, "")
        """The full state seen last and its key to drop first: looking through all of them costs most of a fold."""

    def init(self) -> State:
        """{}."""
        return {}

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:
        """The inner update for one key."""
        key, part = value
        if key in state:
            state[key] = self.inner.update(state[key], part, time, event_id)
            return state
        if len(state) >= self._limit:
            full, largest = self._full
            if full is not state or largest not in state:
                largest = max(state, key=self._rank)
                self._full = (state, largest)
            if self._rank(key) > self._rank(largest):
                return state
            del state[largest]
        state[key] = self.inner.update(self.inner.init(), part, time, event_id)
        return state

    def merge(self, a: State, b: State) -> State:
        """The inner merge for each key, within the limit."""
        merged = self.union((a, b))
        if len(merged) > self._limit:
            kept = set(sorted(merged, key=self._rank)[: self._limit])
            merged = {key: state for key, state in merged.items() if key in kept}
        return merged

    def union(self, states: Iterable[State]) -> State:
        """All keys of all states, without a limit: for reading."""
        merged: dict[str, State] = {}
        inner = self.inner
        for state in states:
            for key, part in state.items():
                merged[key] = inner.merge(merged[key] if key in merged else inner.init(), part)
        return merged

    def value(self, state: State, now: Millis) -> dict[str, Any]:
        """The inner value of each key."""
        inner = self.inner
        return {key: inner.value(part, now) for key, part in state.items()}

    def next_change(self, state: State, now: Millis) -> Millis | None:
        """The earliest of all keys."""
        return earliest(self.inner.next_change(part, now) for part in state.values())

    def _rank(self, key: str) -> tuple[int, str]:
        return mmh3.hash(key, self._seed, signed=False), key


def tile_size(window: Millis) -> Millis:
    """The grain of a window: 5 minutes up to 4 hours, 1 hour up to 2 days, else 1 day."""
    if window <= 4 * HOUR:
        return 5 * MINUTE
    return HOUR if window <= 2 * DAY else DAY


class Tiles:
    """The inner aggregate over the last ``window``, in whole tiles of time. State: {tile number: inner state}.

    An event counts as long as any part of its tile is inside: for at least ``window``, for less than one tile longer.
    Tiles outlive the window by ``late`` behind the newest event seen; what comes later than that is dropped.
    """

    def __init__(self, inner: Aggregate, window: Millis, *, size: Millis | None = None, late: Millis = LATE) -> None:
        self.inner = inner
        self._window = window
        self._size = size or tile_size(window)
        self._kept = (window + late) // self._size + 1

    def init(self) -> State:
        """{}."""
        return {}

    def update(self, state: State, value: Any, time: Millis, event_id: str) -> State:
        """The inner update for the tile of ``time``."""
        tile = time // self._size
        inner = self.inner
        if tile in state:
            state[tile] = inner.update(state[tile], value, time, event_id)
        elif not state or tile >= max(state) - self._kept:
            state[tile] = inner.update(inner.init(), value, time, event_id)
            _prune(state, max(state) - self._kept)
        return state

    def merge(self, a: State, b: State) -> State:
        """The inner merge, tile by tile."""
        inner = self.inner
        merged = {tile: inner.merge(part, inner.init()) for tile, part in a.items()}
        for tile, part in b.items():
            merged[tile] = inner.merge(merged[tile] if tile in merged else inner.init(), part)
        if merged:
            _prune(merged, max(merged) - self._kept)
        return merged

    def value(self, state: State, now: Millis) -> Any:
        """The inner value over the window that ends now."""
        return self.since(state, now - self._window, now)

    def since(self, state: State, start: Millis, now: Millis) -> Any:
        """The inner value over the tiles from the one that holds ``start``."""
        inner = self.inner
        return inner.value(self._inside(state, start), now)

    def next_change(self, state: State, now: Millis) -> Millis | None:
        """When the oldest tile inside leaves, or the inner value changes by itself."""
        start = now - self._window
        inside = [tile for tile in state if tile >= start // self._size]
        if not inside:
            return None
        leaves = (min(inside) + 1) * self._size + self._window
        return earliest((leaves, self.inner.next_change(self._inside(state, start), now)))

    def _inside(self, state: State, start: Millis) -> State:
        cut = start // self._size
        inside = [part for tile, part in state.items() if tile >= cut]
        inner = self.inner
        if len(inside) == 1:
            return inside[0]
        if isinstance(inner, Keyed):
            return inner.union(inside)
        return functools.reduce(inner.merge, inside, inner.init())


def earliest(times: Iterable[Millis | None]) -> Millis | None:
    """The smallest time that is one."""
    return min((time for time in times if time is not None), default=None)


def _prune(state: dict[int, Any], floor: int) -> None:
    for number in [number for number in state if number < floor]:
        del state[number]
