"""Named networks against the standard library's own membership."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cashwrap.networks import MAX_NETWORKS, NOWHERE, compile_networks, parse_network

SHOP = {"office": ["192.0.2.0/24", "2001:db8::/32"], "shops": ["192.0.2.128/25", "198.51.100.7"], "lab": ["::1"]}


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("192.0.2.1", {"office"}),
        ("192.0.2.200", {"office", "shops"}),
        ("192.0.2.255", {"office", "shops"}),
        ("192.0.3.0", set()),
        ("192.0.1.255", set()),
        ("198.51.100.7", {"shops"}),
        ("198.51.100.8", set()),
        ("2001:db8::1", {"office"}),
        ("2001:0DB8:0:0::0001", {"office"}),
        ("2001:db9::", set()),
        ("::ffff:192.0.2.1", {"office"}),
        ("::ffff:c000:201", {"office"}),
        ("::1", {"lab"}),
        ("fe80::1%eth0", set()),
        ("", set()),
        ("unknown", set()),
        ("192.0.2.1:443", set()),
        ("192.0.2.01", set()),
        ("1" * 5000, set()),
    ],
)
def test_an_address_is_in_the_networks_that_hold_it(address: str, names: set[str]) -> None:
    networks = compile_networks(SHOP)
    assert networks.of(address) == names
    assert networks.of(address) is networks.of(address)
    assert networks.names == {"office", "shops", "lab"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("192.0.2.1/24", "write 192.0.2.0/24"),
        ("office", "is not a network"),
        ("192.0.2.0/33", "is not a network"),
        ("", "is not a network"),
        ("x" * 1000, "is not a network"),
    ],
)
def test_a_wrong_network_is_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        compile_networks({"office": [text]})
    assert len(str(refused.value)) < 200


def test_the_number_of_networks_is_bounded() -> None:
    many = [str(IPv4Address(number)) for number in range(MAX_NETWORKS + 1)]
    assert compile_networks({"a": many[1:]}).of(many[5]) == {"a"}
    with pytest.raises(ValueError, match="may name 1000"):
        compile_networks({"a": many})


def test_a_mapped_network_is_the_plain_one() -> None:
    assert parse_network("::ffff:192.0.2.0/120") == ip_network("192.0.2.0/24")
    assert compile_networks({"all": ["::/0"]}).of("192.0.2.1") == NOWHERE
    assert compile_networks({"all": ["0.0.0.0/0", "::/0"]}).of("ffff:" * 7 + "ffff") == {"all"}


FEW4, FEW6 = st.integers(0, 2**6 - 1), st.integers(0, 2**6 - 1)
"""Addresses close together, so that networks overlap and end beside each other."""


@st.composite
def network(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        bits = draw(st.integers(0, 7))
        return f"{IPv4Address((0xC0000200 | draw(FEW4)) >> bits << bits)}/{32 - bits}"
    bits = draw(st.integers(0, 7))
    return f"{IPv6Address((0x20010DB8 << 96 | draw(FEW6)) >> bits << bits)}/{128 - bits}"


@settings(max_examples=150, deadline=None)
@given(
    named=st.dictionaries(st.sampled_from("abc"), st.lists(network(), max_size=4), max_size=3),
    four=st.lists(FEW4, max_size=5),
    six=st.lists(FEW6, max_size=5),
)
@example(named={"a": ["0.0.0.0/0"], "b": ["255.255.255.255"]}, four=[0], six=[0])
def test_agrees_with_the_standard_library(named: dict[str, list[str]], four: list[int], six: list[int]) -> None:
    networks = compile_networks(named)
    addresses = [IPv4Address(0xC0000200 + each - 8) for each in four] + [IPv4Address(0), IPv4Address(2**32 - 1)]
    for address in [*addresses, *(IPv6Address((0x20010DB8 << 96) + each - 8) for each in six)]:
        expected = {name for name, texts in named.items() if any(address in ip_network(text) for text in texts)}
        assert networks.of(str(address)) == expected
        if isinstance(address, IPv4Address):
            assert networks.of(f"::ffff:{address}") == expected
        else:
            assert networks.of(ip_address(address).exploded) == expected


def test_a_planted_end_that_is_left_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cashwrap.networks.bisect_right", lambda starts, address: sum(each < address for each in starts)
    )
    with pytest.raises(AssertionError):
        test_agrees_with_the_standard_library()
