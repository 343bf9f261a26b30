"""Offers in decisions: granted only where they can be, before anyone is assigned, and told why where they are not."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bundle_world import MADE, TENANT
from cashwrap.bundle import bundle_of
from cashwrap.bundle import encode as encode_bundle
from cashwrap.content.locales import moment
from cashwrap.decide import Kills, decide, encode_answer
from cashwrap.differences import difference, words
from cashwrap.events import RequestFacts
from cashwrap.explain import explain
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Known, Past, gather
from cashwrap.keys import ApiKey
from cashwrap.model import Choice, ConsentState, Decision, Grant, Inputs, Line, Profile, Promise, Tenant, Value
from cashwrap.offers.grant import Granting
from cashwrap.offers.terms import Offer
from cashwrap.playbook import Playbook, examine
from cashwrap.playbook.lint import lint
from cashwrap.records import Kept, decode, encode
from cashwrap.request import Cart, CartItem, DecideRequest, ShopperRef, cart_lines
from cashwrap.serve.ofrep_answer import decided, etag, flag
from cashwrap.tell import tell

NOW = 1_780_000_000_000
GRANTED_ALL = ConsentState(person={"personalization": Choice(granted=True, time=1, source="test")})
HOUR = 3_600_000
CART = (Line("A", 2, 2_500), Line("B", 1, 1_000))
SHOP = """
shop: {currency: EUR, locale: en}
features: {orders: {count: Order Completed}}
placements:
  top: {component: message}
  side: {component: message}
"""
TWO = """
offers:
  ten: {benefit: {percent: 10}, group: one, text: {en: "Ten", de: "Zehn"}}
  five: {benefit: {amount: 5}, group: one, text: "Five"}
offer_groups: {one: {}}
"""
BEST = (
    TWO
    + """
experiences:
  best:
    in: top
    offer: {best_of: one}
    show: {text: {en: "{offer.name}: {offer.amount}", de: "{offer.name}: {offer.amount}"}}
"""
)


def compiled(text: str) -> Playbook:
    playbook, faults = examine({"shop.yaml": SHOP + text})
    assert playbook is not None, "\n".join(map(str, faults))
    return playbook


def inputs(playbook: Playbook, **changes: Any) -> Inputs:
    given: dict[str, Any] = {
        "now": NOW, "tenant": Tenant(), "values": {"cart.total": 6_000}, "level": "profile", "mask": 63,
        "placements": None, "locale": "en", "currency": "EUR", "units": {"anonymous": "u"}, "lines": CART,
    }  # fmt: skip
    made = Inputs(**(given | changes))
    values: dict[str, Value] = dict(made.values)
    playbook.segments.evaluate(values, {})
    return msgspec.structs.replace(made, values=values)


def asked(playbook: Playbook, **changes: Any) -> Decision:
    kills = changes.pop("kills", Kills())
    return decide(playbook.experiences, inputs(playbook, **changes), kills=kills)


def granted(playbook: Playbook, **changes: Any) -> dict[str, tuple[str | None, str | None, str]]:
    """Experience, offer with its amount, and reason, by placement."""
    return {
        name: (each.experience, f"{each.offer.offer} {each.offer.amount}" if each.offer else None, each.reason)
        for name, each in asked(playbook, **changes).placements.items()
    }


def why(playbook: Playbook, placement: str = "top", **changes: Any) -> list[str]:
    found = explain(playbook.experiences, inputs(playbook, **changes))
    return [f"{each.outcome}: {each.why}" for each in found[placement].considered]


# --- which one ---


def test_the_best_on_this_cart_is_granted() -> None:
    playbook = compiled(BEST)
    assert granted(playbook)["top"] == ("best", "ten 600", "match")
    assert granted(playbook, lines=CART[1:])["top"] == ("best", "five 500", "match")
    assert granted(playbook, lines=(Line("A", 1, 5_000),))["top"] == ("best", "ten 500", "match"), "a tie is as written"


def test_the_first_that_can_be_granted_where_the_group_says_so() -> None:
    playbook = compiled(BEST.replace("{one: {}}", "{one: {pick: first}}"))
    assert granted(playbook, lines=CART[1:])["top"] == ("best", "ten 100", "match")
    assert granted(playbook, closed={"ten": "used"})["top"] == ("best", "five 500", "match")


ONE = """
offers: {ten: {benefit: {percent: 10}, text: Ten}}
experiences:
  it: {in: top, offer: ten, show: {text: a}}
"""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"closed": {"ten": "exhausted"}}, "offer ten is exhausted: its limits are reached"),
        ({"closed": {"ten": "used"}}, "offer ten was used by this shopper as often as it may be"),
        ({"closed": {"ten": "cooling"}}, "offer ten had its time for this shopper, and is not to begin anew yet"),
        ({"closed": {"ten": "something new"}}, "offer ten is closed to this shopper"),
        ({"promised": {"ten": Promise(NOW)}}, "offer ten has ended for this shopper"),
        ({"lines": ()}, "offer ten is worth nothing on this cart"),
        ({"currency": "USD"}, "offer ten is worth nothing on this cart"),
    ],
)
def test_what_cannot_be_granted_is_not_shown_and_says_why(changes: dict[str, Any], reason: str) -> None:
    playbook = compiled(ONE)
    assert granted(playbook)["top"] == ("it", "ten 600", "match")
    assert granted(playbook, **changes)["top"] == (None, None, "no_offer")
    assert why(playbook, **changes) == [f"no_offer: {reason}"]


def test_the_next_experience_has_its_turn() -> None:
    playbook = compiled(BEST + "  plain: {in: top, priority: -1, show: {text: hello}}\n")
    closed = {"ten": "used", "five": "exhausted"}
    assert granted(playbook, closed=closed)["top"] == ("plain", None, "match")


def test_an_offer_and_its_experience_must_both_be_for_the_shopper() -> None:
    text = """
offers:
  gold:
    when: orders >= 3 // whatever was spent
    benefit: {percent: 10}
experiences:
  it:
    in: top
    when: cart.total > 50 || device.type == "mobile"
    offer: gold
    show: {text: a}
"""
    playbook = compiled(text)
    both: Mapping[str, Value] = {"cart.total": 6_000, "orders": 3}
    assert granted(playbook, values=both)["top"] == ("it", "gold 600", "match")
    assert granted(playbook, values={**both, "orders": 2})["top"] == (None, None, "no_match")
    assert granted(playbook, values={**both, "cart.total": 5_000})["top"] == (None, None, "no_match")
    assert granted(playbook, values={"cart.total": 6_000})["top"] == (None, None, "no_match"), "unknown is not true"


def test_of_several_each_must_be_for_the_shopper_itself() -> None:
    playbook = compiled(
        BEST.replace("ten: {", "ten:\n    when: orders >= 3\n    ")
        .replace("10}, group: one, text: {", "10}\n    group: one\n    text: {")
        .replace('"Zehn"}}', '"Zehn"}')
    )
    assert granted(playbook, values={"orders": 3})["top"] == ("best", "ten 600", "match")
    assert granted(playbook, values={"orders": 2})["top"] == ("best", "five 500", "match")
    assert granted(playbook, values={})["top"] == ("best", "five 500", "match")


def test_what_is_switched_off_is_not_there() -> None:
    playbook = compiled(
        BEST.replace("ten: {", "ten: {enabled: false, ") + "  it: {in: side, offer: ten, show: {text: a}}\n"
    )
    assert granted(playbook)["top"] == ("best", "five 500", "match")
    assert granted(playbook)["side"] == (None, None, "no_match")
    assert playbook.offers["ten"].enabled is False
    assert [each.name for each in playbook.offer_groups["one"].offers] == ["five"]


# --- one of a group, in all placements ---

TWICE = (
    TWO
    + """
experiences:
  first: {in: top, offer: five, show: {text: a}}
  second: {in: side, offer: {best_of: one}, show: {text: b}}
"""
)


def test_one_of_a_group_is_granted_and_may_be_shown_twice() -> None:
    playbook = compiled(TWICE)
    assert granted(playbook) == {"top": ("first", "five 500", "match"), "side": ("second", "five 500", "match")}
    assert [grant.offer for grant in asked(playbook).grants] == ["five"]
    other = asked(playbook, placements=("side", "top"))
    assert [grant.offer for grant in other.grants] == ["ten"], "the placement asked for first has its choice"
    assert other.placements["top"].reason == "no_offer"
    told = why(playbook, placement="top", placements=("side", "top"))
    assert told == ["no_offer: offer five gives way to ten, which was granted of the same group"]


def test_what_is_kept_back_takes_nothing_from_its_group() -> None:
    playbook = compiled(TWICE.replace("offer: five,", "offer: five, experiment: {control: 100%},"))
    assert granted(playbook) == {"top": ("first", None, "control"), "side": ("second", "ten 600", "match")}


# --- experiments ---


def test_all_arms_are_those_to_whom_it_could_have_been_granted() -> None:
    text = (
        TWO
        + """
experiences:
  it: {in: top, offer: five, show: {text: a}, experiment: {control: 50%}}
"""
    )
    playbook = compiled(text)
    arms: dict[str | None, int] = {}
    for number in range(200):
        units = {"anonymous": f"shopper-{number}"}
        able, unable = asked(playbook, units=units), asked(playbook, units=units, closed={"five": "used"})
        answer = able.placements["top"]
        arms[answer.variation] = arms.get(answer.variation, 0) + 1
        assert (answer.offer is not None) is (answer.variation == "main")
        assert len(able.exposures) == 1
        assert unable.exposures == ()
        assert unable.grants == ()
        assert unable.placements["top"].reason == "no_offer"
    assert set(arms) == {"main", "control"}
    assert min(arms.values()) > 60


def test_the_holdout_and_a_cap_are_granted_nothing_and_are_exposed() -> None:
    held = compiled("holdout: {share: 100%}\n" + BEST)
    assert granted(held)["top"] == ("best", None, "holdout")
    assert len(asked(held).exposures) == 1
    assert asked(held).grants == ()
    assert granted(held, closed={"ten": "used", "five": "used"})["top"] == (None, None, "no_offer")


def test_a_kill_switch_stops_the_offer_too() -> None:
    playbook = compiled(BEST)
    kills = Kills(experiences=frozenset({"best"}))
    assert granted(playbook, kills=kills)["top"] == (None, None, "killed")
    assert asked(playbook, kills=kills).grants == ()


def test_a_preview_grants_nothing_and_shows_what_would_be_said() -> None:
    playbook = compiled(BEST)
    made = asked(playbook, forced={"best": "main"})
    answer = made.placements["top"]
    assert answer.content is not None
    assert json.loads(bytes(answer.content))["text"] == "Ten: €6.00"
    assert (answer.reason, answer.offer, made.grants, made.exposures) == ("preview", None, (), ())


# --- time ---

LASTING = """
offers:
  waited:
    when: orders >= 3
    benefit: {percent: 10}
    lasts: 48h
    group: one
offer_groups: {one: {}}
experiences:
  it: {in: top, offer: waited, show: {text: "until {offer.expires}"}}
"""


def test_what_was_promised_stays_to_its_end_and_not_longer() -> None:
    playbook = compiled(LASTING)
    begun = asked(playbook, values={"orders": 3, "offer.promised": frozenset()}).grants[0]
    assert begun.expires == NOW + 48 * HOUR
    later = {"now": NOW + 24 * HOUR, "promised": {"waited": Promise(begun.expires)}}
    kept = asked(playbook, values={"orders": 0, "offer.promised": frozenset({"waited"})}, **later)
    assert [grant.expires for grant in kept.grants] == [begun.expires], "its end does not move"
    over = later | {"now": begun.expires}
    assert granted(playbook, values={"orders": 3}, **over)["top"] == (None, None, "no_offer")


def test_nothing_runs_that_nobody_remembers() -> None:
    playbook = compiled(LASTING.replace("    when: orders >= 3\n", ""))
    assert granted(playbook)["top"] == ("it", "waited 600", "match")
    assert granted(playbook, level="request")["top"] == (None, None, "no_offer")


def test_a_promise_is_known_to_conditions_through_the_lens() -> None:
    playbook = compiled(LASTING)
    promised = {"waited": Promise(NOW + HOUR), "gone": Promise(NOW), "endless": Promise(0)}
    body = {"context": {"cart": {"items": [{"id": "A", "price": 9.999, "quantity": 2}, {"id": "x\ty", "price": 1}]}}}
    request = msgspec.convert(body, DecideRequest, strict=False)
    caller = Caller(ApiKey("k", "secret", Tenant(), b""), RequestFacts(NOW, "k", trusted=True))
    known = Known({}, past=lambda mask: Past({"waited": "used"} if mask == 1 else {}, promised))
    made = gather(playbook, request, caller, known, NOW).inputs
    assert made.closed == {"waited": "used"}
    assert made.lines == (Line("A", 2, 1_000),), "rounded to the cent; what has a tab in its id is no product"
    assert "offer.promised" not in made.values, "without consent nothing is known of the person"


def test_a_cart_that_is_too_long_is_none() -> None:
    lines = [CartItem(str(number)) for number in range(501)]
    assert cart_lines(Cart(items=lines), 2) == ()
    assert len(cart_lines(Cart(items=lines[:500]), 2)) == 500


# --- the person, and the law ---


def test_a_personal_grant_says_so_with_the_words_of_its_market() -> None:
    text = """
segments:
  regular: orders >= 2
  also: '"regular" in segments || cart.total > 100000'
offers:
  mine:
    when: '"also" in segments'
    benefit: {percent: 10}
experiences:
  it: {in: top, offer: mine, show: {text: a}}
"""
    playbook = compiled(text)
    assert playbook.offers["mine"].personal
    here = {"orders": 2, "location.country": "US", "location.region": "NY"}
    grant = asked(playbook, values=here).grants[0]
    assert grant.personal
    assert grant.disclosure is not None
    assert grant.disclosure.text == "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA."
    german = asked(playbook, values={"orders": 2, "location.country": "DE"}, locale="de").grants[0].disclosure
    assert german is not None
    assert german.text.startswith("Dieser Preis")


def test_the_experience_makes_a_public_offer_personal() -> None:
    text = """
offers: {all: {benefit: {percent: 10}}}
experiences:
  mine:
    in: top
    when: orders >= 2
    offer: all
    show: {text: a}
"""
    playbook = compiled(text)
    assert not playbook.offers["all"].personal
    assert asked(playbook, values={"orders": 2}).grants[0].personal
    elsewhere = compiled(text + "  anyone: {in: side, offer: all, show: {text: b}}\n")
    shown = asked(elsewhere, values={"orders": 2}, placements=("side", "top"))
    assert not shown.grants[0].personal, "who would get it anyway was granted nothing by their data"
    assert len({id(answer.offer) for answer in shown.placements.values()}) == 1


def test_where_no_personal_prices_are_allowed_none_is_made() -> None:
    playbook = compiled(BEST.replace("ten: {", "ten: {lasts: 1d, ").replace("offers:", "offers:", 1))
    banned = msgspec.structs.replace(playbook.settings, no_personal_prices=("FR",))
    experiences = msgspec.structs.replace(playbook.experiences, settings=banned)
    made = inputs(playbook, values={"location.country": "FR"})
    assert [grant.offer for grant in decide(experiences, made).grants] == ["five"], "the public one stays"
    told = explain(experiences, made)["top"].considered[0]
    assert told.outcome == "shown"


def test_planted_a_grant_without_its_disclosure_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Granting.judge

    def silent(self: Granting, offer: Offer, *, personal: bool) -> Grant | str:
        found = judge(self, offer, personal=personal)
        return found if isinstance(found, str) else msgspec.structs.replace(found, disclosure=None)

    monkeypatch.setattr(Granting, "judge", silent)
    with pytest.raises(AssertionError):
        test_a_personal_grant_says_so_with_the_words_of_its_market()


# --- what is told ---


def test_texts_say_the_offer_in_the_readers_language() -> None:
    playbook = compiled(BEST)

    def said(**changes: Any) -> str:
        content = asked(playbook, **changes).placements["top"].content
        assert content is not None
        return str(json.loads(bytes(content))["text"])

    assert said() == "Ten: €6.00"
    assert said(locale="de-AT").replace("\xa0", " ") == "Zehn: € 6,00"
    assert moment(NOW, "Europe/Berlin", "en").replace("\u202f", " ") == "May 28, 2026, 10:26 PM"
    assert moment(NOW, "Europe/Berlin", "de") == "28.05.2026, 22:26"


def test_the_answer_tells_money_in_major_units_and_carries_the_token() -> None:
    playbook = compiled(BEST)
    body = json.loads(encode_answer(asked(playbook), "id", "t", offers={"ten": "signed"}))
    assert body["placements"]["top"]["offer"] == {
        "name": "ten", "benefit": {"type": "percentage", "percent": "10"}, "amount": "6.00", "currency": "EUR",
        "personal": False, "token": "signed",
    }  # fmt: skip
    assert "offer" not in body["placements"]["side"]
    told = tell(playbook, inputs(playbook), explain(playbook.experiences, inputs(playbook)))
    assert json.loads(msgspec.json.encode(told["top"].answer))["offer"]["amount"] == "6.00"


def test_a_decision_with_a_grant_is_recorded_whole_and_made_again() -> None:
    playbook = compiled(LASTING)
    made = inputs(
        playbook, values={"orders": 3, "location.country": "DE"}, shipping=490, delivery="standard",
        closed={"x": "used"}, promised={"waited": Promise(NOW + HOUR)},
    )  # fmt: skip
    decision = decide(playbook.experiences, made)
    kept = decode(encode(Kept("ab", made, Kills(), 0, NOW, decision)))
    assert kept.inputs == made
    assert kept.decision.grants == decision.grants
    assert kept.decision.grants[0].disclosure is not None
    assert decide(playbook.experiences, kept.inputs) == decision


def test_browsers_read_nothing_of_an_offer() -> None:
    playbook = compiled(BEST)
    bundle = encode_bundle(bundle_of(playbook, TENANT, MADE))
    assert json.loads(bundle)["placements"][0]["experiences"][0]["show"] == [["server"]]
    assert not any(word in bundle for word in (b"ten", b"five", b"Zehn", b"offer"))


def test_a_change_of_an_offer_is_told_in_its_words() -> None:
    old = compiled(BEST)
    text = BEST.replace("percent: 10}", "percent: 12.5, most: 20}, lasts: 2d, limits: {total: 5}")
    new = compiled(text.replace("{best_of: one}", "five"))
    assert list(words(difference(old.declarations, new.declarations))) == [
        "~ offers.ten changed",
        "    benefit.percent: 10 -> 12.5",
        "    benefit.most: 20",
        "    limits.total: 5",
        "    lasts: 2d",
        "~ experiences.best changed",
        "    offer.best_of: one -> not set",
        "    offer: five",
    ]


# --- what is probably not meant ---

GRANTED = "experiences:\n  e: {in: top, offer: a, show: {text: b}}\n"
FEW = "    benefit: {amount: 5}\n    limits: {day: 1}\n"
YOUNG = "  e:\n    in: top\n    when: '\"young\" in segments'\n    offer: a\n    show: {text: b}\n"
KNOWN = "  known:\n    in: top\n    when: orders > 1\n    show: {text: b}\n"
ALL = "  all: {in: top, offer: a, show: {text: b}}\n"
LINTED: list[tuple[str, list[str]]] = [
    ("offers:\n  a: {benefit: {amount: 5}, limits: {total: 1}}\n", ["unreachable_offer"]),
    ("offers:\n  a: {benefit: {amount: 5}, codes: shared, limits: {total: 1}}\n", []),
    ("offers:\n  a: {benefit: {amount: 5}, codes: single}\n", ["unlimited_offer"]),
    ("offers:\n  a: {benefit: {amount: 5}, enabled: false}\n", []),
    (f"offers:\n  a:\n    lasts: 1d\n{FEW}{GRANTED}", ["offer_needs_profile"]),
    (f"offers:\n  a:\n    when: orders > 1\n    lasts: 1d\n{FEW}{GRANTED}", []),
    (f"offers:\n  a:\n    when: location.country == 'DE'\n{FEW}{GRANTED}", ["offer_by_residence"]),
    (f"offers:\n  a:\n    when: session.age_minutes > 3\n{FEW}{GRANTED}", []),
    (
        f"traits: {{age: integer}}\nsegments:\n  young: traits.age < 30\noffers:\n  a:\n{FEW}experiences:\n{YOUNG}",
        ["offer_by_protected_class"],
    ),
    (f"offers:\n  a:\n{FEW}experiences:\n{KNOWN}{ALL}", ["offer_withheld"]),
    (f"offers:\n  a:\n{FEW}experiences:\n{ALL}{KNOWN}", []),
    (f"offers:\n  a:\n{FEW}experiences:\n{KNOWN.replace('orders > 1', 'cart.total > 1')}{ALL}", []),
]


@pytest.mark.parametrize(("text", "codes"), LINTED)
def test_what_is_probably_not_meant_is_warned_of(text: str, codes: list[str]) -> None:
    assert [fault.code for fault in lint(compiled(text), NOW) if "offer" in fault.code] == codes


def test_no_offer_reads_data_of_a_purpose_that_its_placement_does_not_declare() -> None:
    """Also where another offer of the group is for everyone, so that the experience itself asks for nothing."""
    text = (
        SHOP.replace("orders: {count: Order Completed}", "orders: {count: Order Completed, purpose: credit}")
        + """
offers:
  a: {benefit: {amount: 5}, group: g}
  b:
    when: orders > 2
    benefit: {amount: 7}
    group: g
offer_groups: {g: {}}
experiences:
  e: {in: top, offer: {best_of: g}, show: {text: a}}
"""
    )
    playbook, faults = examine({"shop.yaml": text})
    assert playbook is None
    assert [fault.code for fault in faults if fault.severity == "error"] == ["purpose_not_allowed"]
    allowed, _ = examine(
        {"shop.yaml": text.replace("top: {component: message}", "top: {component: message, purpose: credit}")}
    )
    assert allowed is not None


def test_a_segment_may_ask_for_what_was_promised() -> None:
    """A profile's attributes are remembered for a second, and promises are not among them."""
    text = LASTING.replace(
        "experiences:",
        """segments:
  has_it: '"waited" in offer.promised'
experiences:
  other:
    in: side
    when: '"has_it" in segments'
    show: {text: b}""",
    )
    playbook = compiled(text)
    hot = HotProfile(Profile(bytes(16), bytes(16), 0, consent=GRANTED_ALL), b"", None)
    caller = Caller(ApiKey("k", "secret", Tenant(), b""), RequestFacts(NOW, "k", trusted=True))
    for promised in ({}, {"waited": Promise(NOW + HOUR)}, {"waited": Promise(NOW)}):
        past = Past({}, promised)
        known = Known({}, hot, past=lambda _, past=past: past)  # type: ignore[misc]
        found = gather(playbook, DecideRequest(), caller, known, NOW)
        shown = decide(playbook.experiences, found.inputs, narrowed=found.narrowed).placements["side"].experience
        assert shown == ("other" if past.promised and past.promised["waited"].expires > NOW else None)


def test_an_experience_with_an_offer_shadows_nobody() -> None:
    playbook = compiled(BEST + "  plain: {in: top, priority: -1, show: {text: hello}}\n")
    assert "shadowed" not in {fault.code for fault in lint(playbook, NOW)}


def test_planted_assigning_those_who_could_get_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law of the arms is red where who cannot be granted an offer is exposed all the same."""
    judge = Granting.judge

    def generous(self: Granting, offer: Offer, *, personal: bool) -> Grant | str:
        self._inputs = msgspec.structs.replace(self._inputs, closed={})
        return judge(self, offer, personal=personal)

    monkeypatch.setattr(Granting, "judge", generous)
    with pytest.raises(AssertionError):
        test_all_arms_are_those_to_whom_it_could_have_been_granted()


def test_openfeature_is_told_of_the_offer_and_of_what_must_be_said() -> None:
    playbook = compiled(LASTING)
    made = asked(playbook, values={"orders": 3, "location.country": "DE"})
    told = [decided(encode_answer(made, "id", "t", offers={"waited": f"signed-{number}"})) for number in (1, 2)]
    metadata = flag(told[0], "top", frozenset()).metadata
    assert (metadata.offer, metadata.offer_amount, metadata.offer_currency) == ("waited", "6.00", "EUR")
    assert metadata.offer_token == "signed-1"
    assert metadata.disclosure is not None
    assert metadata.disclosure.startswith("This price was personalised")
    tags = {etag(each, key="k", shopper=ShopperRef(), version="v", now=NOW) for each in told}
    assert len(tags) == 1, "a new token is no new answer"
    assert flag(told[0], "side", frozenset()).metadata.offer is None
