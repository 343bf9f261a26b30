"""API keys and identity tokens: only their hashes are kept, and nothing but the shop's own signature proves anybody."""

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.adapters.memory import MemoryStore
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.keys import KIND, TOKEN_LIFE, Keys, identity_key, sign_identity
from cashwrap.model import Tenant
from engines import LIVE, START, SeededRandom

RANDOM = SeededRandom()


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="module")
def keys(store: MemoryStore) -> Keys:
    return Keys(store)


@pytest.fixture(scope="module")
def secret(keys: Keys) -> str:
    return keys.create("secret", LIVE, (), RANDOM)


def test_a_key_names_what_it_is_and_is_kept_as_a_hash(store: MemoryStore, keys: Keys, secret: str) -> None:
    public = keys.create("publishable", Tenant("acme", "test"), ("https://Shop.example/",), RANDOM)
    assert public.startswith("cwp_test_")
    assert secret.startswith("cws_live_")
    found = keys.find(public)
    assert (found.trusted, found.tenant, found.origins) == (False, Tenant("acme", "test"), ("https://shop.example",))
    assert keys.find(secret).trusted
    for text in (public, secret):
        kept = b"".join(store.documents(KIND).values())
        assert text.encode() not in kept
        assert text.rpartition("_")[2].encode() not in kept


def test_only_the_whole_key_is_known(keys: Keys, secret: str) -> None:
    for wrong in (
        secret[:-1],
        secret + "x",
        secret.upper(),
        secret.replace("cws", "cwp"),
        secret[:-1] + "é",
        "a_b_c_d",
    ):
        with pytest.raises(NotAllowed) as refused:
            keys.find(wrong)
        assert refused.value.code == "unknown_key"
    for none in (None, ""):
        with pytest.raises(NotAllowed) as refused:
            keys.find(none)
        assert refused.value.code == "missing_key"


def test_a_revoked_key_is_refused_at_once_and_by_others_after_a_look(store: MemoryStore, keys: Keys) -> None:
    text = keys.create("publishable", LIVE, (), RANDOM)
    other = Keys(store)
    assert other.find(text) == keys.find(text)
    keys.revoke(keys.find(text).id)
    with pytest.raises(NotAllowed):
        keys.find(text)
    other.refresh()
    with pytest.raises(NotAllowed):
        other.find(text)


@pytest.mark.parametrize(
    "origin", ["*", "https://*", "shop.example", "https://", "https://shop.example/path", "ftp://x"]
)
def test_an_origin_is_written_out(keys: Keys, origin: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        keys.create("publishable", LIVE, (origin,), RANDOM)
    assert refused.value.code == "invalid_origin"


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65, "../x", "-x", "ä"])
def test_a_stores_name_cannot_run_into_another_ones(keys: Keys, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        keys.create("secret", Tenant(name, "live"), (), RANDOM)
    assert refused.value.code == "invalid_store"


def test_an_environment_is_live_or_test(keys: Keys) -> None:
    with pytest.raises(InvalidInput) as refused:
        keys.create("secret", Tenant("a", "staging"), (), RANDOM)
    assert refused.value.code == "unknown_environment"


# --- identity tokens ---


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def signed(secret: str, *, header: Any = None, key: bytes | None = None, **claims: Any) -> str:
    """A token made by hand, as docs/decisions/0002 describes it."""
    now = START // 1000
    header = header if header is not None else {"alg": "HS256", "kid": secret.split("_")[2]}
    known = {"sub": "jonas", "aud": "cashwrap", "store": "default", "iat": now, "exp": now + 600}
    text = f"{part(header)}.{part({**known, **claims})}"
    mac = hmac.digest(key or identity_key(secret), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def refused(keys: Keys, token: str, tenant: Tenant = LIVE, now: int = START) -> bool:
    try:
        keys.verify(token, tenant, now)
    except NotAllowed as error:
        return error.code == "invalid_token"
    return False


def test_a_shops_own_signature_proves_a_user(keys: Keys, secret: str) -> None:
    assert keys.verify(signed(secret), LIVE, START) == "jonas"
    assert keys.verify(sign_identity(secret, "mira", "default", START), LIVE, START) == "mira"
    assert identity_key(secret) == hmac.digest(secret.encode(), b"cashwrap identity v1", "sha256")


def test_a_token_lives_from_its_making_to_its_end(keys: Keys, secret: str) -> None:
    token = signed(secret)
    assert keys.verify(token, LIVE, START + 600_000) == "jonas"
    assert keys.verify(token, LIVE, START - 60_000) == "jonas", "a minute of clock difference is forgiven"
    assert refused(keys, token, now=START + 601_000)
    assert refused(keys, token, now=START - 62_000)
    now = START // 1000
    assert not refused(keys, signed(secret, exp=now + TOKEN_LIFE))
    assert refused(keys, signed(secret, exp=now + TOKEN_LIFE + 1))


NOW = START // 1000


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": ["cashwrap"]},
        {"store": "other"},
        {"store": None},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 201},
        {"exp": None},
        {"exp": "soon"},
        {"exp": NOW + 0.5},
        {"iat": None},
        {"iat": NOW + 3600, "exp": NOW + 4000},
        {"exp": 10**30},
    ],
)
def test_a_token_that_claims_something_else_proves_nobody(keys: Keys, secret: str, claims: dict[str, Any]) -> None:
    assert refused(keys, signed(secret, **claims))


def test_a_token_of_another_key_proves_nobody(keys: Keys, secret: str) -> None:
    public = keys.create("publishable", LIVE, (), RANDOM)
    elsewhere = keys.create("secret", Tenant("elsewhere", "live"), (), RANDOM)
    testing = keys.create("secret", Tenant("default", "test"), (), RANDOM)
    kid = {"alg": "HS256", "kid": secret.split("_")[2]}
    for token in (
        signed(public),
        signed(elsewhere),
        signed(elsewhere, store="elsewhere"),
        signed(testing),
        signed(public, header=kid),
        signed(elsewhere, header=kid),
        signed(secret, key=secret.encode()),
        signed(secret, key=b"\0" * 32),
        signed(secret, header={**kid, "alg": "none"}),
        signed(secret, header={**kid, "alg": "HS512"}),
        signed(secret, header={**kid, "crit": ["b64"], "b64": False}),
        signed(secret, header={**kid, "kid": "nobody"}),
        signed(secret, header={**kid, "kid": [1]}),
        signed(secret, header=[]),
        signed(secret, header=None) + "x",
        signed(secret).rpartition(".")[0] + ".",
        f"{part({**kid, 'alg': 'none'})}.{part({'sub': 'jonas'})}.",
    ):
        assert refused(keys, token), token
    keys.revoke(keys.find(elsewhere).id)
    assert refused(keys, signed(elsewhere, store="elsewhere"), Tenant("elsewhere", "live"))


def test_no_changed_byte_passes(keys: Keys, secret: str) -> None:
    token = signed(secret)
    for at in range(len(token)):
        for other in "Ax.-":
            if token[at] == other or at == len(token) - 1:  # base64 ignores bits of the last character
                continue
            assert refused(keys, token[:at] + other + token[at + 1 :]), at


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode() + ".x.y"))
def test_nothing_else_proves_anybody(keys: Keys, text: str) -> None:
    assert refused(keys, text)
    assert refused(keys, f"{text}.{text}.{text}")
    assert refused(keys, f"{part({'kid': text})}.{text}.{text}")


def test_a_long_token_is_refused_unread(keys: Keys) -> None:
    assert refused(keys, "x" * 1_000_000)
