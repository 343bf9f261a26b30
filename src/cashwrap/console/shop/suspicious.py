"""Patterns in the books of offers that are worth a look: rules over lines and refusals, and nothing else. Pure.

A pattern says how often something happened and in how many groups, never who it was: digests go in, numbers come out.
None of them proves anything; docs/reference/console-pages.md says what each means and what to do.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from cashwrap.ledger import Move
from cashwrap.model import Millis

HOUR: Millis = 3_600_000
DAY: Millis = 24 * HOUR
Code = Literal["loop", "code_loop", "held_for_nothing", "refunds", "same_basket", "guessing", "rush"]

LOOPS = 5
"""Reservations of one shopper, or of one code, that came to nothing within ``LOOP_WITHIN``: a loop."""
LOOP_WITHIN: Millis = DAY
HELD = 50
"""Reservations of an offer that ended within ``HELD_WITHIN`` ..."""
HELD_WITHIN: Millis = 7 * DAY
HELD_SHARE = 20
"""... of which one in so many, or fewer, was redeemed: held for nothing."""
REFUNDS = 3
"""Redemptions of one shopper taken back within ``REFUND_WITHIN`` of being redeemed: refunds again and again."""
REFUND_WITHIN: Millis = 7 * DAY
ACCOUNTS = 10
"""Shoppers with the very same basket within an hour: one person with many accounts, or a very popular basket."""
GUESSES = 100
"""Codes in an hour that open nothing: somebody tries."""
RUSH = 20
"""Redemptions in an hour, at least, ..."""
RUSH_TIMES = 5
"""... that are so many times as many as usual in the week before: a rush."""


class Suspicion(Struct, frozen=True):
    """One pattern: of which offer (empty for all), how many shoppers, codes or baskets, how many times in all, and
    from when to when."""

    code: Code
    offer: str
    groups: int
    times: int
    first: Millis
    last: Millis


def suspicions(moves: Sequence[Move], refusals: Mapping[tuple[str, Millis], int]) -> list[Suspicion]:
    """Every pattern in these lines (ascending in time) and refusals (by reason and hour): the newest first."""
    found = [
        *_told("loop", _by_offer(_looping(moves, _shopper))),
        *_told("code_loop", _by_offer(_looping(moves, _code))),
        *_held_for_nothing(moves),
        *_told("refunds", _by_offer(_refunded(moves))),
        *_same_basket(moves),
        *_rushes(moves),
        *_guessing(refusals),
    ]
    return sorted(found, key=lambda each: (-each.last, each.code, each.offer))


def who(code: Code, offer: str, moves: Sequence[Move]) -> list[tuple[bytes, int]]:
    """The shoppers of a pattern, by digest, each with how many times: the most frequent first. For whoever may read
    shoppers; empty for a pattern that is not about shoppers."""
    runs = _looping(moves, _shopper) if code == "loop" else _refunded(moves) if code == "refunds" else {}
    found = [(digest, len(run)) for (of, digest), run in runs.items() if of == offer]
    return sorted(found, key=lambda each: (-each[1], each[0]))


Runs = dict[tuple[str, bytes], list[Millis]]
"""When a pattern happened, by offer and digest."""


def _shopper(move: Move) -> bytes:
    return move.reservation.shopper


def _code(move: Move) -> bytes:
    return move.reservation.code


def _looping(moves: Iterable[Move], of: Callable[[Move], bytes]) -> Runs:
    """Reserved and given back, again and again, by one shopper or with one code."""
    ended: defaultdict[tuple[str, bytes], list[Millis]] = defaultdict(list)
    for move in moves:
        if move.entry.kind in ("release", "expire") and of(move):
            ended[move.entry.offer, of(move)].append(move.entry.time)
    runs = {key: _run(times, LOOPS, LOOP_WITHIN) for key, times in ended.items()}
    return {key: run for key, run in runs.items() if run}


def _held_for_nothing(moves: Iterable[Move]) -> list[Suspicion]:
    """Offers that are held by many and redeemed by next to nobody, in the last week of the lines."""
    ended, redeemed = defaultdict[str, list[Millis]](list), Counter[str]()
    lines = list(moves)
    since = lines[-1].entry.time - HELD_WITHIN if lines else 0
    for move in lines:
        if move.entry.time < since:
            continue
        if move.entry.kind in ("release", "expire"):
            ended[move.entry.offer].append(move.entry.time)
        elif move.entry.kind == "redeem":
            redeemed[move.entry.offer] += 1
    return [
        Suspicion("held_for_nothing", offer, 1, len(times), times[0], times[-1])
        for offer, times in ended.items()
        if len(times) + redeemed[offer] >= HELD and redeemed[offer] * HELD_SHARE <= len(times) + redeemed[offer]
    ]


def _refunded(moves: Iterable[Move]) -> Runs:
    """Redeemed, and soon taken back, again and again by one shopper."""
    redeemed: dict[bytes, Millis] = {}
    back: defaultdict[tuple[str, bytes], dict[bytes, Millis]] = defaultdict(dict)
    for entry, reservation in moves:
        if entry.kind == "redeem":
            redeemed[entry.reservation] = entry.time
        soon = entry.time - redeemed.get(entry.reservation, entry.time) <= REFUND_WITHIN
        if entry.kind == "roll_back" and reservation.shopper and soon:
            back[entry.offer, reservation.shopper][entry.reservation] = entry.time
    return {key: sorted(each.values()) for key, each in back.items() if len(each) >= REFUNDS}


def _same_basket(moves: Iterable[Move]) -> list[Suspicion]:
    """The very same basket, by many shoppers within an hour."""
    seen: defaultdict[tuple[str, bytes, Millis], dict[bytes, Millis]] = defaultdict(dict)
    for entry, reservation in moves:
        if entry.kind == "reserve" and reservation.cart and reservation.shopper:
            seen[entry.offer, reservation.cart, entry.time // HOUR][reservation.shopper] = entry.time
    runs = ((offer, sorted(who.values())) for (offer, _, _), who in seen.items() if len(who) >= ACCOUNTS)
    return _told("same_basket", runs)


def _rushes(moves: Iterable[Move]) -> list[Suspicion]:
    """Hours with far more redemptions than the week before had on average, once there is a day to compare with."""
    by_hour: defaultdict[str, Counter[Millis]] = defaultdict(Counter)
    first: Millis | None = None
    for move in moves:
        first = move.entry.time if first is None else first
        if move.entry.kind == "redeem":
            by_hour[move.entry.offer][move.entry.time // HOUR] += 1
    found = []
    for offer, hours in by_hour.items():
        for hour, count in hours.items():
            begin = max(hour - 7 * 24, (first or 0) // HOUR)
            if count < RUSH or hour - begin < 24:
                continue
            usual = sum(hours[each] for each in range(begin, hour))
            if count * (hour - begin) >= RUSH_TIMES * usual:
                found.append(Suspicion("rush", offer, 1, count, hour * HOUR, (hour + 1) * HOUR - 1))
    return found


def _guessing(refusals: Mapping[tuple[str, Millis], int]) -> list[Suspicion]:
    """Hours in which very many codes opened nothing."""
    hours = sorted(
        (hour, count) for (why, hour), count in refusals.items() if why == "unknown_code" and count >= GUESSES
    )
    if not hours:
        return []
    total = sum(count for _, count in hours)
    return [Suspicion("guessing", "", len(hours), total, hours[0][0], hours[-1][0] + HOUR - 1)]


def _by_offer(runs: Runs) -> Iterator[tuple[str, list[Millis]]]:
    return ((offer, run) for (offer, _), run in runs.items())


def _told(code: Code, runs: Iterable[tuple[str, Sequence[Millis]]]) -> list[Suspicion]:
    """One pattern an offer, of all its groups."""
    by_offer: defaultdict[str, list[Sequence[Millis]]] = defaultdict(list)
    for offer, run in runs:
        by_offer[offer].append(run)
    return [
        Suspicion(
            code, offer, len(each), sum(map(len, each)), min(run[0] for run in each), max(run[-1] for run in each)
        )
        for offer, each in by_offer.items()
    ]


def _run(times: Sequence[Millis], least: int, within: Millis) -> list[Millis]:
    """The times that are among ``least`` or more within so long of each other."""
    ordered, found = sorted(times), set[int]()
    for start in range(len(ordered) - least + 1):
        if ordered[start + least - 1] - ordered[start] <= within:
            found.update(range(start, start + least))
    return [ordered[place] for place in sorted(found)]
