"""A decision token proves what was shown, to its own shopper, until it expires; nothing else is accepted."""

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap import tokens
from cashwrap.errors import NotAllowed
from cashwrap.model import Tenant
from cashwrap.tokens import MAX_TOKEN, Preview, Proof, Tokens

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NOW = 1_760_000_000_000
EXPOSURES = ((0, 3), (19, 1012, 1, 5000, 1))
PROOF = Proof(Tenant("shop", "live"), "decision-12", "0123456789abcdef", "profile", NOW + 60_000, EXPOSURES)
TOKENS = Tokens(KEY)
TOKEN = TOKENS.sign(PROOF, ["user-1", "anon-1"])


def refused(token: str, *, key: bytes = KEY, unit: str = "user-1", now: int = NOW) -> str:
    with pytest.raises(NotAllowed) as caught:
        Tokens(key).open(token, [unit], now)
    return caught.value.code


def test_a_token_opens_to_what_it_was_made_of() -> None:
    assert TOKENS.open(TOKEN, ["user-1"], NOW) == PROOF
    assert len(TOKEN) < 200
    assert set(TOKEN) <= set(string.ascii_letters + string.digits + "-_")


def test_a_token_names_nobody() -> None:
    assert "user-1" not in TOKEN
    assert b"user-1" not in tokens._bytes(TOKEN)


def test_another_key_another_shopper_and_a_late_one_are_refused() -> None:
    assert refused(TOKEN, key=OTHER_KEY) == "bad_token"
    assert refused(TOKEN, unit="user-2") == "token_of_another"
    assert refused(TOKEN, unit="") == "token_of_another"
    assert refused(TOKEN, now=PROOF.expires) == "token_expired"
    assert TOKENS.open(TOKEN, ["user-1"], PROOF.expires - 1) == PROOF


def test_the_same_unit_in_another_store_has_another_digest() -> None:
    assert TOKENS._digest(Tenant("a"), "u") != TOKENS._digest(Tenant("b"), "u")
    assert TOKENS._digest(Tenant("a", "bu"), "") != TOKENS._digest(Tenant("a", "b"), "u")


def every_change_is_refused() -> None:
    alphabet = string.ascii_letters + string.digits + "-_"
    for place, char in enumerate(TOKEN):
        for other in alphabet:
            if other != char:
                refused(TOKEN[:place] + other + TOKEN[place + 1 :])


def test_every_changed_character_is_refused() -> None:
    every_change_is_refused()


def test_every_flipped_byte_is_refused() -> None:
    signed = tokens._bytes(TOKEN)
    for place in range(len(signed)):
        for bit in range(8):
            changed = bytearray(signed)
            changed[place] ^= 1 << bit
            assert refused(tokens.base64.urlsafe_b64encode(changed).rstrip(b"=").decode()) == "bad_token"


@pytest.mark.parametrize(
    "token", ["", "a", "ab", TOKEN[:-1], TOKEN[:20], TOKEN + "A", TOKEN + "=", f" {TOKEN}", "é", "x" * (MAX_TOKEN + 1)]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refused(token) == "bad_token"


@given(st.text(max_size=100))
def test_any_text_is_refused_in_the_same_way(token: str) -> None:
    assert refused(token) == "bad_token"


@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=3),
    st.lists(st.lists(st.integers(0, 10**6), min_size=2, max_size=5).map(tuple), max_size=30),
)
def test_any_proof_comes_back_to_any_of_its_names(units: list[str], shown: list[tuple[int, ...]]) -> None:
    proof = Proof(Tenant("s"), "d", "p", "request", NOW + 1, tuple(shown))
    for unit in units:
        assert TOKENS.open(TOKENS.sign(proof, units), ["somebody", unit], NOW) == proof


def test_a_token_of_nobody_opens_for_nobody() -> None:
    assert refused(TOKENS.sign(PROOF, [])) == "token_of_another"


def test_a_preview_opens_in_its_store_until_it_expires() -> None:
    preview = Preview(Tenant("shop"), NOW + 60_000, {"thanks": "control"})
    token = TOKENS.sign_preview(preview)
    assert TOKENS.open_preview(token, Tenant("shop"), NOW) == preview
    for tenant, now, code in [(Tenant("other"), NOW, "bad_token"), (Tenant("shop"), NOW + 60_000, "token_expired")]:
        with pytest.raises(NotAllowed) as caught:
            TOKENS.open_preview(token, tenant, now)
        assert caught.value.code == code


def test_a_preview_is_no_decision_and_a_decision_no_preview() -> None:
    assert refused(TOKENS.sign_preview(Preview(Tenant("shop", "live"), NOW + 60_000, {}))) == "bad_token"
    with pytest.raises(NotAllowed, match="not made here"):
        TOKENS.open_preview(TOKEN, Tenant("shop"), NOW)


# --- the checkers must notice planted bugs ---


def _loose_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = tokens.base64.urlsafe_b64decode
    monkeypatch.setattr(tokens, "_bytes", lambda token: decode(token + "=" * (-len(token) % 4)))


def _short_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens.hmac, "compare_digest", lambda ours, theirs: ours[:1] == theirs[:1])


@pytest.mark.parametrize("plant", [_loose_base64, _short_signature])
def test_the_tamper_check_notices_a_planted_bug(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(tokens._bytes(TOKEN)) % 3, "choose a proof whose last character has spare bits"
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception, msgspec.ValidationError)):
        every_change_is_refused()
