"""Who is no shopper: bots, the shop's own people, and quality assurance. Flagged events are kept out of profiles.

The list of crawlers is the package ``crawler-user-agents``, compiled into one pattern.
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
_HEADLESS = (r"HeadlessChrome", r"PhantomJS", r"Puppeteer", r"Playwright", r"Selenium", r"WebDriver", r"jsdom")


def _bounded(pattern: str) -> str:
    """The package's pattern with every gap of any length limited, so that no header can make a match slow."""
    return pattern.replace(r"[\s\S]*", r"[\s\S]{0,80}")


class _Entry(Struct):
    pattern: str


@cache
def _crawler() -> re.Pattern[str]:
    """All patterns of the package as one; its file is read directly, the package itself parses it far slower."""
    spec = find_spec("crawleruseragents")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec is not None else Path()
    entries = msgspec.json.decode((folder / "crawler-user-agents.json").read_bytes(), type=list[_Entry])
    return re.compile("|".join(_bounded(entry.pattern) for entry in entries))


_HINT = re.compile("|".join(_HEADLESS), re.IGNORECASE)


@lru_cache(maxsize=4096)
def _is_bot(user_agent: str) -> bool:
    return _HINT.search(user_agent) is not None or _crawler().search(user_agent) is not None


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
        slot, inside = divmod(now, self._window)
        known, current, last = self._counts.pop(sender, (slot, 0, 0))
        if slot > known:
            current, last = 0, current if slot == known + 1 else 0
        current += events
        self._counts[sender] = (max(slot, known), current, last)
        if len(self._counts) > self._senders:
            self._counts.popitem(last=False)
        return current * self._window + last * (self._window - inside) > self._limit * self._window
