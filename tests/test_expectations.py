"""Cases in ``expect/``: read strictly, walked truly, and told apart where they fail."""

import re
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import expectations
from cashwrap.expectations import NOON, read_cases, run_cases
from cashwrap.playbook import Fault, Playbook, examine, load_playbook
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.starter import starter_files, starter_folder

PLAYBOOK = """
features:
  orders: {count: Order Completed}
  spent: {sum: Order Completed, of: subtotal}
segments:
  good: orders >= 2 && spent > 100
  phone: device.type == "mobile"
  crm: {members: pushed, description: From outside.}
placements:
  hero: {component: message}
  more: {component: products}
  pay: {component: options, of: payment_methods}
experiences:
  thanks:
    in: hero
    when: '"good" in segments'
    show: {text: "Thank you, {first_name}."}
  wallets:
    in: pay
    when: '"phone" in segments'
    show: {first: [apple_pay]}
  sell:
    in: more
    show: {from: popular}
"""


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"a.yaml": PLAYBOOK})
    assert found is not None, faults
    return found


def run(playbook: Playbook, text: str) -> list[Fault]:
    faults = Faults()
    cases = read_cases({"expect/a.yaml": textwrap.dedent(text)}, faults)
    run_cases(playbook, cases, faults)
    return list(faults.sorted())


def told(faults: list[Fault]) -> list[str]:
    return [f"{fault.line}:{fault.column} {fault.code}" for fault in faults]


GOOD = """
- name: A good customer
  given:
    consent: [personalization]
    user: u1
    traits: {first_name: Ada}
    events:
      - {event: Order Completed, ago: 3d, properties: {order_id: A, subtotal: 80, total: 80}}
      - {event: Order Completed, ago: 2d, properties: {order_id: B, subtotal: 80, total: 80}}
    context:
      device: {type: mobile}
      checkout: {paymentMethods: [card, apple_pay]}
  expect:
    segments: {in: [good, phone], out: [crm]}
    placements: {hero: thanks, pay: wallets}
"""


def test_a_case_that_holds_says_nothing(playbook: Playbook) -> None:
    assert run(playbook, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [
        ("consent: [personalization]", "consent: []", ["14:21 expectation_failed", "15:24 expectation_failed"]),
        ("total: 80}}\n    context", "total: 80}, browser: true}\n    context", ["14:21 expectation_failed", "15:24"]),
        ("traits: {first_name: Ada}", "traits: {}", ["15:24 expectation_failed"]),
        ("type: mobile", "type: desktop", ["14:27 expectation_failed", "15:37 expectation_failed"]),
        ("out: [crm]", "out: [good]", ["14:41 expectation_failed"]),
        ("hero: thanks", "hero: default", ["15:24 expectation_failed"]),
        ("paymentMethods", "deliveryMethods", ["15:37 expectation_failed"]),
        ("order_id: B", "order_id: A", ["14:21 expectation_failed", "15:24 expectation_failed"]),
    ],
)
def test_every_part_of_a_case_counts(playbook: Playbook, old: str, new: str, faults: list[str]) -> None:
    found = told(run(playbook, GOOD.replace(old, new, 1)))
    assert [fault[: len(wanted)] for fault, wanted in zip(found, faults, strict=True)] == faults


def test_a_failure_reads_like_a_reason(playbook: Playbook) -> None:
    (first, second) = run(playbook, GOOD.replace("subtotal: 80, total: 80", "subtotal: 20.50, total: 21"))
    why = "'spent > 100' does not hold as spent is 41.00 EUR"
    assert first.message == f"A good customer: expected inside segment good: {why}"
    assert second.message == (
        "A good customer: hero shows default, expected thanks (condition_false: its condition does not hold: "
        f"'\"good\" in segments' does not hold as {why})"
    )


def test_unknown_is_told_apart_from_false(playbook: Playbook) -> None:
    (fault,) = run(playbook, "- name: x\n  expect:\n    segments: {in: [phone]}\n")
    assert "is unknown as device.type is not known" in fault.message


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("name: x\n", ["1:1 wrong_type"]),
        ("- name: x\n", ["1:3 missing_key"]),
        ("- expect: {}\n", ["1:3 missing_key"]),
        ("- name: x\n  expects: {}\n  expect: {}\n", ["2:3 unknown_key"]),
        ("- name: x\n  given: {consent: [marketing]}\n  expect: {}\n", ["2:21 bad_value"]),
        ("- name: x\n  given: {now: yesterday}\n  expect: {}\n", ["2:16 bad_value"]),
        ("- name: x\n  given: {events: [{event: Product Viewed, ago: 3 days}]}\n  expect: {}\n", ["2:49 wrong_type"]),
        ("- name: x\n  given: {context: {cart: {count: -1}}}\n  expect: {}\n", ["2:20 bad_value"]),
        ("- name: x\n  given: {context: {cart: {totl: 1}}}\n  expect: {}\n", ["2:20 unknown_key"]),
        ("- name: x\n  expect: {segments: {in: [godo]}}\n", ["2:28 unknown_segment"]),
        ("- name: x\n  expect: {placements: {hreo: thanks}}\n", ["2:31 unknown_placement"]),
        ("- name: x\n  expect: {placements: {hero: thank}}\n", ["2:31 unknown_experience"]),
        ("- name: x\n  expect: {placements: {more: sell}}\n", ["2:31 not_judged"]),
        ("- name: x\n  given: {events: [{event: Product Veiwed}]}\n  expect: {}\n", ["2:20 expectation_failed"]),
        (
            "- name: x\n  given: {events: [{event: Product Viewed, properties: {price: NaN}}]}\n  expect: {}\n",
            ["2:20 expectation_failed"],
        ),
        ("- name: x\n  given: {now: 0001-01-01}\n  expect: {}\n", ["2:16 bad_value"]),
        ("- name: x\n  given: {now: 9999-12-31}\n  expect: {}\n", ["2:16 bad_value"]),
        ("- name: x\n  given: {events: [{event: Product Viewed, ago: 999999w}]}\n  expect: {}\n", ["2:49 bad_value"]),
        ("- name: &a x\n  expect: {}\n", ["1:9 yaml_anchor"]),
        ("", []),
    ],
)
def test_mistakes_in_cases_have_their_place(playbook: Playbook, text: str, faults: list[str]) -> None:
    assert told(run(playbook, text)) == faults


def test_the_moment_and_the_time_zone_are_given(playbook: Playbook) -> None:
    text = "- name: x\n  given: {now: 2026-03-02T20:30:00+01:00}\n  expect: {}\n"
    (case,) = read_cases({"a": text}, Faults())
    assert case.now == 1_772_479_800_000
    (plain,) = read_cases({"a": "- name: x\n  expect: {}\n"}, Faults())
    assert plain.now == NOON


def test_too_many_cases_are_refused(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "MAX_CASES", 2)
    assert told(run(playbook, "- name: x\n  expect: {}\n" * 3)) == ["5:3 too_many"]


def test_planted_a_run_that_forgets_consent_is_seen(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold that kept everything would let a case pass that the shop will never see."""
    text = GOOD.replace("consent: [personalization]", "consent: []")
    assert told(run(playbook, text)) != []
    monkeypatch.setattr(expectations.consent, "gate", lambda *_: 63)
    monkeypatch.setattr(expectations.consent, "mask_of", lambda *_, **__: 63)
    assert told(run(playbook, text)) == []


STARTER = starter_files()["expect/shoppers.yaml"]
NUMBERS = ["99999999999999999999999999999", "-0.0001", "1.5", "999999w", "0001-01-01", "9999-12-31T23:59:59Z"]
ODD = st.sampled_from([*NUMBERS, *":[}'\n", "", "- ", "null", "true", "{a: 1}", "[[1]]", "a" * 300, "\\ud800"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_the_cases_crashes_the_run(starter: Playbook, data: st.DataObject) -> None:
    words = [match.span() for match in re.finditer(r"[\w.-]+", STARTER)]
    start, end = data.draw(st.sampled_from(words))
    faults = Faults()
    run_cases(starter, read_cases({"a": STARTER[:start] + data.draw(ODD) + STARTER[end:]}, faults), faults)


@pytest.fixture(scope="module")
def starter() -> Playbook:
    return load_playbook(starter_folder())


# --- experiments ---

TRIAL = """
placements:
  hero: {component: message}
experiences:
  greet:
    in: hero
    variations:
      warm: {text: {en: How good to see you}}
      brief: {text: {en: Hello}}
    experiment: {arms: {control: 50%, warm: 25%, brief: 25%}, holdout: 5%, SEES}
  plain:
    in: hero
    priority: -1
    when: device.type == "mobile"
    show: {text: {en: Welcome}}
  loose:
    in: hero
    priority: -2
    when: cart.count > 1
    show: {text: {en: More}}
    experiment: {control: 50%, sticky: false}
"""


def trial(sees: str = "default") -> Playbook:
    found, faults = examine({"a.yaml": TRIAL.replace("SEES", f"control_sees: {sees}")})
    assert found is not None, faults
    return found


def case(given: str, hero: str) -> str:
    return f"- name: x\n  given: {given}\n  expect:\n    placements: {{hero: {hero}}}\n"


@pytest.mark.parametrize(
    ("given", "hero"),
    [
        ("{in_arms: {greet: warm}}", "greet"),
        ("{in_arms: {greet: warm}}", "{shows: greet, variation: warm, reason: match}"),
        ("{in_arms: {greet: brief}}", "{variation: brief}"),
        ("{in_arms: {greet: control}}", "default"),
        ("{in_arms: {greet: control}}", "{shows: default, variation: control, reason: control}"),
        ("{in_arms: {greet: holdout}}", "{shows: default, variation: holdout, reason: control}"),
        ("{in_arms: {greet: warm}, context: {checkout: {quiet: true}}}", "{shows: default, reason: quiet}"),
    ],
)
def test_a_case_can_fix_the_arm_and_expect_it(given: str, hero: str) -> None:
    assert run(trial(), case(given, hero)) == []


def test_control_may_see_the_next_experience() -> None:
    control = "{in_arms: {greet: control}, context: {device: {type: mobile}}}"
    assert run(trial("next"), case(control, "{shows: plain, variation: main}")) == []
    assert run(trial("default"), case(control, "default")) == []


@pytest.mark.parametrize(
    ("given", "hero", "message"),
    [
        (
            "{in_arms: {greet: control}}",
            "greet",
            "hero shows default, expected greet (control: the shopper is in the arm",
        ),
        ("{in_arms: {greet: warm}}", "{variation: brief}", "the variation of hero is warm, expected brief"),
        ("{in_arms: {greet: warm}}", "{reason: control}", "the reason of hero is match, expected control"),
        ("{in_arms: {greet: warm}}", "default", "hero shows greet, expected default"),
    ],
)
def test_an_arm_that_is_not_as_expected_is_told(given: str, hero: str, message: str) -> None:
    (fault,) = run(trial(), case(given, hero))
    assert fault.code == "expectation_failed"
    assert message in fault.message


def test_the_anonymous_id_assigns_as_it_does_live() -> None:
    """Over many ids every arm comes up, and each id keeps its own."""
    seen = set()
    for number in range(60):
        who = f"{{as: shopper-{number}}}"
        (arm,) = [
            arm
            for arm in ("warm", "brief", "control", "holdout")
            if not run(trial(), case(who, f"{{variation: {arm}}}"))
        ]
        seen.add(arm)
    assert seen >= {"warm", "brief", "control"}


@pytest.mark.parametrize(
    ("given", "hero", "faults"),
    [
        ("{in_arms: {gret: warm}}", "default", ["2:27 unknown_experience"]),
        ("{in_arms: {greet: cold}}", "{reason: match}", ["2:28 unknown_arm"]),
        ("{in_arms: {plain: main}}", "{reason: match}", ["2:28 not_judged"]),
        ("{in_arms: {loose: main}}", "{reason: match}", ["2:28 not_judged"]),
        ("{in_arms: {greet: warm}}", "{shows: gret}", ["4:24 unknown_experience"]),
        ("{in_arms: {greet: warm}}", "{reason: matched}", ["4:33 bad_value"]),
        ("{in_arms: {greet: warm}}", "{show: greet}", ["4:25 unknown_key"]),
        ("{in_arms: {greet: warm}}", "{}", ["4:24 empty"]),
    ],
)
def test_mistakes_about_arms_are_told_at_their_place(given: str, hero: str, faults: list[str]) -> None:
    assert told(run(trial(), case(given, hero))) == faults


# --- offers ---

OFFERS = """
features: {orders: {count: Order Completed}}
placements: {hero: {component: message}}
offers:
  five: {benefit: {amount: 5}}
  waited: {benefit: {percent: 10}, lasts: 48h}
experiences:
  waiting: {in: hero, offer: waited, priority: 1, show: {text: "until {offer.expires}"}}
  anyone: {in: hero, offer: five, show: {text: "less"}}
"""
AGREED = "consent: [personalization], events: [{event: Product Viewed, properties: {product_id: A}}]"
BASKET = "context: {cart: {items: [{id: A, price: 40, quantity: 2}]}}"


def offering() -> Playbook:
    playbook, faults = examine({"shop.yaml": OFFERS})
    assert playbook is not None, faults
    return playbook


@pytest.mark.parametrize(
    ("given", "hero"),
    [
        (f"{{{BASKET}}}", "{shows: anyone, offer: five, amount: 5}"),
        (f"{{{AGREED}, {BASKET}}}", "{shows: waiting, offer: waited, amount: 8.00}"),
        (f"{{{AGREED}, {BASKET}, closed: {{waited: used}}}}", "{shows: anyone, offer: five}"),
        (f"{{{AGREED}, {BASKET}, promised: {{waited: 3h}}}}", "{offer: waited}"),
        ("{}", "{shows: default, reason: no_offer, offer: none}"),
    ],
)
def test_a_case_says_what_is_granted(given: str, hero: str) -> None:
    assert run(offering(), case(given, hero)) == []


@pytest.mark.parametrize(
    ("given", "hero", "message"),
    [
        (f"{{{BASKET}}}", "{offer: waited}", "hero grants five, expected waited"),
        (f"{{{BASKET}}}", "{offer: five, amount: 5.01}", "hero takes 5.00 off, expected 5.01"),
        ("{}", "{amount: 5}", "hero takes nothing off, expected 5"),
        (f"{{{BASKET}}}", "{offer: fife}", "'fife' is not an offer, did you mean 'five'?"),
        (f"{{{BASKET}, closed: {{fife: used}}}}", "{offer: five}", "'fife' is not an offer, did you mean 'five'?"),
        (f"{{{BASKET}, closed: {{five: gone}}}}", "{offer: five}", "'gone' is not a reason"),
        (
            f"{{{AGREED}, {BASKET}, closed: {{waited: cooling}}}}",
            "waiting",
            "hero shows anyone, expected waiting (no_offer: offer waited had its time for this shopper",
        ),
    ],
)
def test_a_case_that_is_granted_something_else_says_so(given: str, hero: str, message: str) -> None:
    (fault,) = run(offering(), case(given, hero))
    assert message in fault.message
