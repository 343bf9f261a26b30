"""Who is no shopper: bots, the shop's own people, and quality assurance. Flagged events are kept out of profiles.

The list of crawlers is the package ``crawler-user-agents``.
"""

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.model import Millis

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_READ = 512
_HEADLESS = ("headlesschrome", "phantomjs", "puppeteer", "playwright", "selenium", "webdriver", "jsdom")


_LITERAL = re.compile(r"(?:[A-Za-z0-9 _/:;,!@'=-]|\\[^A-Za-z0-9])+")


class _Entry(Struct):
    pattern: str


@cache
def _crawlers() -> re.Pattern[str]:
    """The package's list as one pattern, its plain words as a tree: an unknown user agent must stay cheap.

    Gaps of any length get a limit, so that no header can make a match slow. The package's file is read directly:
    the package itself parses all of it at import.
    """
    spec = find_spec("crawleruseragents")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec is not None else Path()
    entries = msgspec.json.decode((folder / "crawler-user-agents.json").read_bytes(), type=list[_Entry])
    patterns = [entry.pattern.replace(r"[\s\S]*", r"[\s\S]{0,80}") for entry in entries]
    words = {re.sub(r"\\(.)", r"\1", pattern) for pattern in patterns if _LITERAL.fullmatch(pattern)}
    others = [pattern for pattern in patterns if not _LITERAL.fullmatch(pattern)]
    return re.compile("|".join([_tree(words), *others]))


def _tree(words: Iterable[str]) -> str:
    """A pattern for any of these words that looks at each beginning once."""
    tails: dict[str, list[str]] = {}
    for word in sorted(words):
        tails.setdefault(word[0], []).append(word[1:])
    branches = [re.escape(head) if "" in rest else re.escape(head) + _tree(rest) for head, rest in tails.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


@lru_cache(maxsize=4096)
def _is_bot(user_agent: str) -> bool:
    lower = user_agent.lower()
    return any(hint in lower for hint in _HEADLESS) or _crawlers().search(user_agent) is not None


def is_bot(user_agent: str | None) -> bool:
    """Whether a browser's user agent header is missing, a known crawler's, or a headless browser's."""
    return not user_agent or _is_bot(user_agent[:_READ])


def networks(ranges: Iterable[str]) -> tuple[Network, ...]:
    """Parse address ranges such as ``203.0.113.0/24``. Raises ``InvalidInput`` (``invalid_network``)."""
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in ranges)
    except ValueError as error:
        raise InvalidInput(f"{error}; write a range such as 203.0.113.0/24", code="invalid_network") from error


def is_internal(address: str | None, internal: tuple[Network, ...]) -> bool:
    """Whether an address belongs to the shop's own networks; an address that cannot be read does not."""
    if not internal or not address:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in internal)


def truncated(address: str | None) -> str | None:
    """An address cut to its network (/24, or /48 for IPv6): all that may be used to count requests."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    bits = 24 if mapped.version == 4 else 48
    return str(ipaddress.ip_network((mapped, bits), strict=False))


class RateWatch:
    """Notices a sender of more events than a person makes: a sliding count per sender, bounded in memory.

    The count over the last ``window`` milliseconds is this slot's plus the share of the last slot that is still
    inside (as in sliding-window rate limiters); senders not seen longest are forgotten first.
    """

    def __init__(self, limit: int = 600, window: Millis = 60_000, senders: int = 10_000) -> None:
        self._limit, self._window, self._senders = limit, window, senders
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def over(self, sender: str, now: Millis, events: int = 1) -> bool:
        """Count ``events`` of a sender at ``now``; whether that is more than the limit."""
        counted, over = self._judge(self._counts.pop(sender, None), now, events)
        self._counts[sender] = counted
        if len(self._counts) > self._senders:
            self._counts.popitem(last=False)
        return over

    def _judge(self, known: tuple[int, int, int] | None, now: Millis, events: int) -> tuple[tuple[int, int, int], bool]:
        """A sender's newest slot with its count and the count of the one before, and whether that is too much."""
        slot, inside = divmod(now, self._window)
        known_slot, current, last = known or (slot, 0, 0)
        if slot > known_slot:
            current, last = 0, current if slot == known_slot + 1 else 0
        current += events
        over = current * self._window + last * (self._window - inside) > self._limit * self._window
        return (max(slot, known_slot), current, last), over
