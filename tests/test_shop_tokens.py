"""What the demo shop believes of an offer: the engine's own signature over the shop's own cart, and nothing else."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cashwrap.signing import BUNDLE, OFFER, Signer, jwks

ROOT = Path(__file__).parents[1]
VECTORS = json.loads((ROOT / "spec/vectors/offers.json").read_text())["cases"]
NOW = 1_790_000_000
CLAIMS = {"iss": "default/live", "exp": NOW + 60, "currency": "EUR", "cart": "c" * 64, "offer": "ten_off"}


@pytest.fixture(scope="module")
def shop() -> ModuleType:
    """The shop's module, by its file: the shop is no package of ours."""
    spec = importlib.util.spec_from_file_location("cashwrap_offers", ROOT / "shop/cashwrap_offers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def signer() -> Signer:
    return Signer(b"tests" * 10, OFFER)


Believe = Callable[..., dict[str, Any]]


@pytest.fixture
def believe(shop: ModuleType, signer: Signer, tmp_path: Path) -> Believe:
    keys = shop.Keys(tmp_path / "jwks.json", lambda: json.loads(jwks(signer)))

    def verified(token: str, **other: Any) -> dict[str, Any]:
        wanted = {"store": "default", "currency": "EUR", "cart": "c" * 64, "now": lambda: NOW, **other}
        found: dict[str, Any] = shop.verify(token, keys, **wanted)
        return found

    return verified


def signed(signer: Signer, **other: Any) -> str:
    return signer.sign(json.dumps({**CLAIMS, **other}).encode())


@pytest.mark.parametrize(
    "case", [case for case in VECTORS if case["group"] == "hash"], ids=lambda case: case["text"][-20:]
)
def test_a_cart_has_the_hash_that_the_engine_finds(shop: ModuleType, case: dict[str, Any]) -> None:
    items = [(line["id"], line.get("quantity", 1), line.get("price")) for line in case["lines"]]
    assert shop.cart_hash(items, case["currency"]) == case["expected"]


def test_what_the_engine_signed_is_believed(believe: Believe, signer: Signer) -> None:
    assert believe(signed(signer))["offer"] == "ten_off"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW}, "too old"),
        ({"exp": "tomorrow"}, "no end"),
        ({"exp": None}, "no end"),
        ({"currency": "USD"}, "another currency"),
        ({"cart": "d" * 64}, "another cart"),
        ({"iss": "other/live"}, "another store"),
        ({"iss": "defaultish/live"}, "another store"),
    ],
)
def test_what_was_signed_for_something_else_is_not(
    shop: ModuleType, believe: Believe, signer: Signer, claims: dict[str, Any], why: str
) -> None:
    with pytest.raises(shop.Refused, match=why):
        believe(signed(signer, **claims))


def test_a_signature_for_another_purpose_is_not(shop: ModuleType, believe: Believe) -> None:
    with pytest.raises(shop.Refused, match="something else"):
        believe(signed(Signer(b"tests" * 10, BUNDLE)))


def test_a_stranger_s_signature_is_not(shop: ModuleType, believe: Believe) -> None:
    with pytest.raises(shop.Refused, match="unknown key"):
        believe(signed(Signer(b"stranger!!" * 5, OFFER)))


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_changed_letter_is_found(shop: ModuleType, believe: Believe, signer: Signer, place: int) -> None:
    token = signed(signer)
    place %= len(token) - 1  # the last one of a signature has bits that mean nothing
    changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    with pytest.raises(shop.Refused):
        believe(changed)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 9000, None, 7, "é.é.é"])
def test_nonsense_is_refused_and_never_raises_otherwise(shop: ModuleType, believe: Believe, token: Any) -> None:
    with pytest.raises(shop.Refused):
        believe(token)


def test_no_algorithm_but_the_agreed_one(shop: ModuleType, believe: Believe, signer: Signer) -> None:
    head, body, _ = signed(signer).split(".")
    with pytest.raises(shop.Refused):
        believe(f"{head}.{body}.")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiY2FzaHdyYXAtb2ZmZXIrand0In0"
    with pytest.raises(shop.Refused):
        believe(f"{none}.{body}.")


class TestKeys:
    def test_they_are_fetched_once_and_then_known_without_the_engine(
        self, shop: ModuleType, signer: Signer, tmp_path: Path
    ) -> None:
        asked: list[int] = []

        def fetch() -> dict[str, Any]:
            asked.append(1)
            found: dict[str, Any] = json.loads(jwks(signer))
            return found

        keys = shop.Keys(tmp_path / "jwks.json", fetch)
        assert keys.named(signer.kid)
        assert keys.named(signer.kid)
        assert len(asked) == 1
        later = shop.Keys(tmp_path / "jwks.json", dict)  # another process, and nobody answers
        assert later.named(signer.kid)

    def test_an_unknown_one_makes_no_page_ask_again(self, shop: ModuleType, signer: Signer, tmp_path: Path) -> None:
        asked: list[int] = []

        def fetch() -> dict[str, Any]:
            asked.append(1)
            return {"keys": []}

        keys = shop.Keys(tmp_path / "jwks.json", fetch)
        for _ in range(5):
            with pytest.raises(shop.Refused):
                keys.named("nobody")
        assert len(asked) == 1

    def test_an_engine_that_is_away_is_asked_again(self, shop: ModuleType, signer: Signer, tmp_path: Path) -> None:
        answers = [{}, json.loads(jwks(signer))]
        keys = shop.Keys(tmp_path / "jwks.json", lambda: answers.pop(0))
        with pytest.raises(shop.Refused):
            keys.named(signer.kid)
        assert keys.named(signer.kid)

    @pytest.mark.parametrize("kept", ["", "{", "[]", '"x"'])
    def test_a_broken_file_is_no_obstacle(self, shop: ModuleType, signer: Signer, tmp_path: Path, kept: str) -> None:
        (tmp_path / "jwks.json").write_text(kept)
        assert shop.Keys(tmp_path / "jwks.json", lambda: json.loads(jwks(signer))).named(signer.kid)
