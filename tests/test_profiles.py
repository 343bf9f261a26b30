"""What a profile becomes: the same from any order of arrival, merged without losing a choice, forgotten by purpose."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import profiles
from cashwrap.model import Event, Line, Profile, Purpose, Where
from engines import START, starter

MINUTE = 60_000
ALL = int(Purpose.NECESSARY | Purpose.ANALYTICS | Purpose.PERSONALIZATION)
FEATURES = starter().features


def fresh(number: int = 1) -> Profile:
    return Profile(id=bytes([number]) * 16, analytic_id=bytes([number + 100]) * 16, created=START)


def event(number: int, name: str = "Product Viewed", *, minutes: int = 0, **fields: Any) -> Event:
    known = {"mask": ALL, "source": "key", "received": START + 60 * MINUTE, "trusted": True}
    return Event(id=f"m{number}", name=name, time=START + minutes * MINUTE, **{**known, **fields})


def folded(events: list[Event], profile: Profile | None = None) -> Profile:
    profile = profile or fresh()
    for each in events:
        profiles.fold(profile, each, FEATURES)
    return profile


def told(profile: Profile) -> dict[str, Any]:
    return {
        **profiles.attributes(profile, FEATURES, START + 50 * MINUTE, ALL),
        "lists": profiles.lists(profile),
        "zone": profiles.time_zone(profile),
        "where": {name: kept.value for name, kept in profile.where.items()},
        "consent": profile.consent,
        "touched": profile.touched,
    }


@st.composite
def histories(draw: st.DrawFn, first: int = 0) -> list[Event]:
    tracked = ["Product Viewed", "Product Added", "Order Completed", "Order Refunded"]
    names = st.sampled_from([*tracked, "wish", "unwish", "list", "identify", "consent"])
    events = []
    for number in range(first, first + draw(st.integers(0, 10))):
        name, minutes = draw(names), draw(st.integers(0, 40))
        product = draw(st.sampled_from(["mug", "pot", "cup"]))
        fields: dict[str, Any] = {"properties": {"product_id": product, "category": "coffee", "price": 500}}
        if name.startswith("Order"):
            order = {"order_id": draw(st.sampled_from("xy")), "currency": "EUR"}
            amount = draw(st.integers(0, 9)) * 100
            lines = [Line(product, 1, amount)]
            fields = {"properties": {**order, "subtotal": amount, "total": amount, "products": lines}}
        elif name in {"wish", "unwish"}:
            name = "Product Added to Wishlist" if name == "wish" else "Product Removed from Wishlist"
        elif name == "list":
            name = draw(st.sampled_from(["Audience Member Added", "Audience Member Removed"]))
            fields = {"properties": {"audience": "vip"}}
        elif name == "identify":
            fields = {"traits": {"first_name": draw(st.sampled_from(["Ada", "Eve"]))}, "where": Where(locale=product)}
        elif name == "consent":
            name, fields = "Consent Updated", {"choices": {"analytics": draw(st.sampled_from(["granted", "denied"]))}}
        events.append(event(number, name, minutes=minutes, **fields))
    return events


@settings(max_examples=60, deadline=None)
@given(st.data(), histories())
def test_any_order_of_arrival_ends_the_same(data: st.DataObject, events: list[Event]) -> None:
    shuffled = data.draw(st.permutations(events))
    assert told(folded(shuffled)) == told(folded(events))


@settings(max_examples=60, deadline=None)
@given(histories(), histories(first=100))
def test_a_merge_is_as_if_there_had_been_one_shopper(mine: list[Event], theirs: list[Event]) -> None:
    whole = folded([*mine, *theirs])
    merged = folded(mine)
    profiles.merge(merged, folded(theirs, fresh(2)), FEATURES)
    assert told(merged) == told(whole)
    assert merged.absorbed == [bytes([2]) * 16]


class _LastWins:
    """The planted bug: what arrives last wins, whenever it happened."""

    @staticmethod
    def stamp(where: dict[str, Any], name: str, new: Any) -> None:
        where[name] = new


def test_the_checker_sees_an_order_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        event(1, "identify", minutes=1, traits={"first_name": "Ada"}),
        event(2, "identify", minutes=2, traits={"first_name": "Eve"}),
    ]
    assert told(folded(events)) == told(folded(events[::-1]))
    monkeypatch.setattr(profiles, "_stamp", _LastWins.stamp)
    assert told(folded(events)) != told(folded(events[::-1]))


def test_two_people_never_merge() -> None:
    one, two = fresh(1), fresh(2)
    one.user_id, two.user_id = "one", "two"
    before = copy.deepcopy(one)
    assert not profiles.may_absorb(one, two)
    with pytest.raises(ValueError, match="never merge"):
        profiles.merge(one, two, FEATURES)
    assert one == before


def test_a_merge_keeps_every_explicit_choice_and_unknown_revokes_nothing() -> None:
    person = folded([event(1, "Consent Updated", choices={"personalization": "granted"}, scope="person")])
    device = folded([event(2, "Consent Updated", choices={"advertising": "denied"})], fresh(2))
    profiles.merge(person, device, FEATURES)
    assert person.consent.person["personalization"].granted is True
    assert person.consent.device["advertising"].granted is False


def test_a_merge_resets_what_the_device_had_refused() -> None:
    person = folded([event(1, "Consent Updated", choices={"personalization": "granted"}), event(2, traits={"a": "b"})])
    assert profiles.attributes(person, FEATURES, START, ALL)["traits.a"] == "b"
    device = folded([event(3, "Consent Updated", minutes=5, choices={"personalization": "denied"})], fresh(2))
    profiles.merge(person, device, FEATURES)
    assert person.traits == {}
    assert person.sessions == []


def test_withdrawal_forgets_the_purpose_and_keeps_the_order() -> None:
    order = {"order_id": "1", "currency": "EUR", "subtotal": 500, "total": 500}
    profile = folded(
        [
            event(1, "Order Completed", properties=order),
            event(2, "identify", traits={"first_name": "Ada"}, where=Where(country="DE")),
            event(3, "Product Added to Wishlist", properties={"product_id": "mug"}),
            event(4, "Product Added", properties={"product_id": "mug", "price": 100}),
        ]
    )
    profiles.withdraw(profile, Purpose.PERSONALIZATION, FEATURES)
    kept = profiles.encode(profile)
    for word in (b"Ada", b"DE", b"mug"):
        assert word not in kept
    assert profile.orders["1"].total == 500
    assert "spent" not in profiles.attributes(profile, FEATURES, START, int(Purpose.NECESSARY))


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (profiles.ANONYMOUS_IDS, lambda profile: profile.anonymous_ids),
        (profiles.CART_TOKENS, lambda profile: profile.cart_tokens),
        (profiles.EMAIL_HASHES, lambda profile: profile.email_hashes),
        (profiles.WISHLIST, lambda profile: profile.wishlist),
        (profiles.TRAITS, lambda profile: profile.traits),
    ],
    ids=["devices", "carts", "addresses", "wishes", "traits"],
)
def test_no_list_grows_without_end(limit: int, kept: Any) -> None:
    profile = fresh()
    for number in range(250):
        wish = event(
            number,
            "Product Added to Wishlist",
            properties={"product_id": f"p{number}"},
            traits={f"t{number}": number},
            anonymous_id=f"a{number}",
            cart_token=f"c{number}",
            email_hash=f"e{number}",
        )
        profiles.fold(profile, wish, FEATURES)
        assert len(kept(profile)) <= limit
    assert len(kept(profile)) == limit


def test_a_profile_survives_its_row() -> None:
    events = [event(n, minutes=n, properties={"product_id": "mug", "price": 100}) for n in range(5)]
    profile = folded(events)
    again = profiles.decode(profiles.encode(profile))
    assert again == profile
    assert profiles.encode(again) == profiles.encode(profile)
    with pytest.raises(msgspec.DecodeError):
        profiles.decode(b"no profile")


def test_nothing_of_a_profile_is_told_without_consent() -> None:
    profile = folded([event(1, "identify", traits={"first_name": "Ada"}), event(2)])
    profile.user_id = "jonas"
    values = profiles.attributes(profile, FEATURES, START, int(Purpose.NECESSARY))
    assert not {name for name in values if name.startswith(("traits", "session", "open_cart", "wishlist"))}
