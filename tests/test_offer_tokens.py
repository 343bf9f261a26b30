"""Offer tokens: whatever is changed in one opens nothing, and anybody can verify a true one with the published key."""

import base64
import random
from collections.abc import Iterator

import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from cashwrap.adapters.vault import MemoryVault
from cashwrap.errors import Conflict
from cashwrap.model import Disclosure, Grant, Line, Tenant
from cashwrap.offering.proof import LIFE, LONGEST, Claims, Proof, claims_of
from cashwrap.offers.cart import cart_hash
from cashwrap.request import Cart, cart_lines
from cashwrap.signing import BUNDLE, OFFER, Signer, jwks, signer_of
from engines import LIVE, START, SeededRandom
from offer_shop import CART, OfferShop, offer_shop

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
GRANT = Grant(
    offer="spring",
    benefit={"type": "percentage", "percent": "10"},
    amount=495,
    currency="EUR",
    expires=0,
    personal=True,
    disclosure=Disclosure("us-ny", "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA"),
)
UNITS = {"user": "mira", "cart": "cart-1"}


@pytest.fixture(scope="module")
def vault() -> MemoryVault:
    return MemoryVault(SeededRandom())


@pytest.fixture(scope="module")
def proof(vault: MemoryVault) -> Proof:
    return Proof(vault)


def token_of(proof: Proof, number: int = 0, grant: Grant = GRANT, tenant: Tenant = LIVE, now: int = START) -> str:
    jti = f"{number:024x}"
    claims = claims_of(grant, tenant, jti, now, sub=proof.sub(jti, tenant, UNITS), cart=cart_hash((), "EUR"))
    return proof.sign(claims)


def opens(proof: Proof, token: str, now: int = START, tenant: Tenant = LIVE) -> str:
    """Empty where it opens, else why not."""
    try:
        proof.open(token, tenant, now)
    except Conflict as error:
        return error.code
    return ""


def tampered(token: str, places: range | list[int], chance: random.Random) -> Iterator[str]:
    """The token with the character at each of these places changed; with one left out, doubled, and added to it."""
    for at in places:
        other = chance.choice(ALPHABET.replace(token[at], ""))
        yield token[:at] + other + token[at + 1 :]
    at = chance.randrange(len(token))
    yield token[:at] + token[at + 1 :]
    yield token[:at] + token[at] + token[at:]
    yield token + "="
    yield token + "A"
    yield " " + token


def accepted(proof: Proof, tokens: int, places: int = 0) -> tuple[int, int]:
    """Of all the ways to change so many tokens, at every place or at some: how many were tried, and how many opened."""
    chance, tried, opened = random.Random(3), 0, 0
    for number in range(tokens):
        token = token_of(proof, number)
        every = range(len(token))
        for changed in tampered(token, chance.sample(every, places) if places else every, chance):
            tried += 1
            opened += opens(proof, changed) != "bad_offer_token"
    return tried, opened


def test_no_token_opens_with_any_byte_changed(proof: Proof) -> None:
    tried, opened = accepted(proof, 10)
    assert tried > 6_000
    assert opened == 0


@pytest.mark.slow
def test_no_token_opens_with_any_byte_changed_in_60_and_with_some_in_3_000(proof: Proof) -> None:
    assert accepted(proof, 60)[1] == 0
    tried, opened = accepted(proof, 3_000, 10)
    assert tried == 45_000
    assert opened == 0


def test_a_signature_that_is_not_looked_at_is_seen(proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(token: str) -> Claims:
        part = token.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=Claims)

    monkeypatch.setattr(proof, "_read", trusting)
    _, payload, _ = token_of(proof).split(".")
    assert opens(proof, f"a.{payload}.b") == "", "planted: any signature opens, as the test above would see"


def test_the_other_signature_of_the_same_payload_opens_nothing(proof: Proof) -> None:
    """ECDSA has two for each: r and n - s. Verifiers take both; we take the one that we made."""
    token = token_of(proof)
    head, payload, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    text = base64.urlsafe_b64encode(other).rstrip(b"=").decode()
    assert opens(proof, f"{head}.{payload}.{text}") == "bad_offer_token"


def test_nobody_elses_key_and_no_other_kind_opens(proof: Proof, vault: MemoryVault) -> None:
    payload = token_of(proof).split(".")[1]
    plain = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    for signer in (Signer(b"\1" * 48, OFFER), signer_of(vault, BUNDLE)):
        assert opens(proof, signer.sign(plain)) == "bad_offer_token"
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"cashwrap-offer+jwt"}').rstrip(b"=").decode()
    assert opens(proof, f"{none}.{payload}.") == "bad_offer_token"
    assert opens(proof, "x" * (LONGEST + 1)) == "bad_offer_token"
    assert opens(proof, "\u00e9.a.b") == "bad_offer_token"


def test_a_token_is_good_for_its_store_and_its_time(proof: Proof) -> None:
    token = token_of(proof)
    assert opens(proof, token, START + LIFE - 1) == ""
    assert opens(proof, token, START + LIFE) == "offer_ended"
    assert opens(proof, token, tenant=Tenant("default", "test")) == "bad_offer_token"
    assert opens(proof, token, tenant=Tenant("other", "live")) == "bad_offer_token"
    soon = msgspec.structs.replace(GRANT, expires=START + 60_000)
    assert opens(proof, token_of(proof, grant=soon), START + 59_999) == ""
    assert opens(proof, token_of(proof, grant=soon), START + 60_000) == "offer_ended"


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({"user": "mira"}, True),
        ({"user": "mira", "cart": "cart-2"}, True),
        ({"cart": "cart-1"}, True),
        ({"user": "jonas", "cart": "cart-1"}, False),
        ({"user": "cart-1"}, False),
        ({"anonymous": "mira"}, False),
        ({}, False),
    ],
)
def test_whom_a_token_is_for(proof: Proof, units: dict[str, str], expected: bool) -> None:
    assert proof.is_for(proof.open(token_of(proof), LIVE, START), LIVE, units) is expected


def test_two_tokens_of_one_shopper_have_nothing_in_common(proof: Proof) -> None:
    one, two = (set(proof.open(token_of(proof, number), LIVE, START).sub.split(".")) for number in (1, 2))
    assert one.isdisjoint(two)


def test_an_outside_verifier_reads_it_with_the_published_key(proof: Proof, vault: MemoryVault) -> None:
    keys = KeySet.import_key_set(msgspec.json.decode(jwks(signer_of(vault), signer_of(vault, OFFER))))
    token = jwt.decode(token_of(proof), keys, algorithms=["ES256"])
    assert token.header["typ"] == "cashwrap-offer+jwt"
    claims = token.claims
    told = {name: claims[name] for name in ("iss", "offer", "amount", "currency")}
    assert told == {"iss": "default/live", "offer": "spring", "amount": 495, "currency": "EUR"}
    assert claims["exp"] - claims["iat"] == LIFE // 1000
    assert claims["cart"] == cart_hash((), "EUR")
    assert claims["personal"] is True
    assert claims["disclosure"]["id"] == "us-ny"
    assert "mira" not in base64.urlsafe_b64decode(token_of(proof).split(".")[1] + "==").decode()
    changed = token_of(proof)[:-3] + "AAA"
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(changed.encode(), keys, algorithms=["ES256"])


def test_what_decide_grants_is_what_an_outside_verifier_reads() -> None:
    with offer_shop() as shop:
        granted = shop.grant({"anonymousId": "anon-aaaaaaaaaaaaaaaa"}, "spring_spot")
        keys = KeySet.import_key_set(msgspec.json.decode(jwks(signer_of(shop.engine.world.vault, OFFER))))
        claims = jwt.decode(granted["token"], keys, algorithms=["ES256"]).claims
        lines = _lines(shop)
        assert claims["cart"] == cart_hash(lines, "EUR")
        assert claims["amount"] == 495
        assert claims["benefit"] == granted["benefit"]


def _lines(shop: OfferShop) -> tuple[Line, ...]:
    return cart_lines(msgspec.convert(CART, Cart), shop.engine.live.playbook.digits)
