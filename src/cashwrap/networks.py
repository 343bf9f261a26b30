"""Named networks of a shop, such as its offices: which of them an address is in. Pure.

A condition asks ``"office" in request.networks``. The address itself never becomes an attribute; the last few thousand
are remembered in memory with their answer, and nowhere else.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_NETWORKS = 1_000
"""Networks of all names together."""
REMEMBERED = 4096
"""Addresses whose answer is at hand."""
MAX_ADDRESS = 64
"""Characters of an address; the longest has 45 and perhaps a scope."""
NOWHERE: frozenset[str] = frozenset()
_MAPPED = 96
"""IPv4 addresses in their IPv6 spelling (::ffff:192.0.2.1) are these leading bits and the address."""

Network = IPv4Network | IPv6Network


class Networks:
    """Compiled by ``compile_networks``. An IPv4 address is in IPv4 networks only, however it is spelt."""

    __slots__ = ("_four", "_remembered", "_six", "names")

    def __init__(self, networks: Iterable[tuple[str, Network]]) -> None:
        listed = list(networks)
        self.names = frozenset(name for name, _ in listed)
        self._four = _Ranges((name, network) for name, network in listed if network.version == 4)
        self._six = _Ranges((name, network) for name, network in listed if network.version == 6)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._of)

    def of(self, address: str) -> frozenset[str]:
        """The names of the networks that an address is in; a text that is no address is in none."""
        return self._remembered(address) if len(address) <= MAX_ADDRESS else NOWHERE

    def _of(self, address: str) -> frozenset[str]:
        try:
            found = ip_address(address)
        except ValueError:
            return NOWHERE
        plain = found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
        return (self._four if isinstance(plain, IPv4Address) else self._six).at(int(plain))


def compile_networks(named: Mapping[str, Iterable[str]]) -> Networks:
    """Networks in CIDR notation by name, such as ``{"office": ["192.0.2.0/24", "2001:db8::/32"]}``.

    A plain address is a network of its own. Raises ``ValueError`` for the first entry that is wrong, or too many.
    """
    found = [(name, parse_network(text)) for name, texts in named.items() for text in texts]
    if len(found) > MAX_NETWORKS:
        raise ValueError(f"a shop may name {MAX_NETWORKS} networks, these are {len(found)}")
    return Networks(found)


def parse_network(text: str) -> Network:
    """One network. Raises ``ValueError`` with what to write instead."""
    try:
        found = ip_network(text)
    except ValueError:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text[:60]!r} is not a network; write it as 192.0.2.0/24 or 2001:db8::/32") from None
        raise ValueError(f"{text!r} is an address inside a network; write {meant}, or the address alone") from None
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if mapped is not None and found.prefixlen >= _MAPPED:
        return IPv4Network((mapped, found.prefixlen - _MAPPED))
    return found


class _Ranges:
    """From each of ``starts`` up to the next an address is in the networks of the same place in ``names``."""

    __slots__ = ("names", "starts")

    def __init__(self, networks: Iterable[tuple[str, Network]]) -> None:
        turns: list[tuple[int, bool, str]] = []
        for name, network in networks:
            first = int(network.network_address)
            turns += [(first, True, name), (first + network.num_addresses, False, name)]
        self.starts: list[int] = []
        self.names: list[frozenset[str]] = []
        inside: dict[str, int] = {}
        for at, begins, name in sorted(turns):
            inside[name] = inside.get(name, 0) + (1 if begins else -1)
            names = frozenset(each for each, count in inside.items() if count)
            if self.starts and self.starts[-1] == at:
                self.names[-1] = names
            else:
                self.starts.append(at)
                self.names.append(names)

    def at(self, address: int) -> frozenset[str]:
        place = bisect_right(self.starts, address) - 1
        return self.names[place] if place >= 0 else NOWHERE
