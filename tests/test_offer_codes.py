"""Codes: enough chance in them, forgiving to type, and known to us as digests only."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.adapters.system import SystemRandom
from cashwrap.adapters.vault import MemoryVault
from cashwrap.model import Tenant
from cashwrap.offers.codes import ALPHABET, BITS, LENGTH, code_digest, new_code, read_code, written
from engines import LIVE, SeededRandom

CODES = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH)


def test_a_code_has_sixty_bits_or_more() -> None:
    assert BITS >= 60
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


def test_every_bit_of_a_code_is_drawn() -> None:
    random = SystemRandom()
    codes = [read_code(new_code(random)) or "" for _ in range(2000)]
    assert len(set(codes)) == 2000
    for place in range(LENGTH):
        seen = Counter(code[place] for code in codes)
        assert len(seen) == 32
        assert max(seen.values()) < 125, "about 62 of each are expected"


def test_all_ones_and_all_zeros_have_every_character() -> None:
    class Fixed:
        def __init__(self, byte: bytes) -> None:
            self.byte = byte

        def token(self, size: int) -> bytes:
            return self.byte * size

    assert new_code(Fixed(b"\xff")) == "ZZZZ-ZZZZ-ZZZZZ"
    assert new_code(Fixed(b"\0")) == "0000-0000-00000"


@settings(max_examples=200, deadline=None)
@given(CODES, st.data())
def test_a_code_is_read_however_it_is_typed(code: str, data: st.DataObject) -> None:
    alike = {"0": "0oO", "1": "1iIlL"}
    typed = ""
    for character in code:
        typed += data.draw(st.sampled_from(alike.get(character, character + character.lower())))
        typed += data.draw(st.sampled_from(["", "", "-", " ", "\u2013", "\u00a0"]))
    assert read_code(typed) == code
    assert read_code(written(code)) == code


@pytest.mark.parametrize(
    "typed", ["", "7K2M", "7K2M-9QXC-4TZ8U", "7K2M-9QXC-4TZ8BB", "x" * 65, "-" * 13, "7K2M/9QXC/4TZ8B"]
)
def test_what_is_no_code(typed: str) -> None:
    assert read_code(typed) is None


def test_a_digest_is_of_one_store_and_one_folder() -> None:
    vault, other = MemoryVault(SeededRandom(1)), MemoryVault(SeededRandom(2))
    digests = {
        code_digest(vault, LIVE, "7K2M9QXC4TZ8B"),
        code_digest(vault, Tenant("default", "test"), "7K2M9QXC4TZ8B"),
        code_digest(vault, Tenant("other", "live"), "7K2M9QXC4TZ8B"),
        code_digest(vault, LIVE, "7K2M9QXC4TZ8C"),
        code_digest(other, LIVE, "7K2M9QXC4TZ8B"),
    }
    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {16}
