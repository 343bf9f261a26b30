"""Experiments, layers, holdout, caps and named networks: read as they are written, and compiled so that they act."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.declarations import CapsDecl, ExperimentDecl, HoldoutDecl
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller, Known, gather
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant, Value
from cashwrap.playbook import Playbook, examine
from cashwrap.playbook.document import read_document
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.lint import lint
from cashwrap.playbook.shape import Shape
from cashwrap.request import DecideRequest

FULL = """
shop:
  time_zone: Europe/Berlin
  decision_records: 2.5%
  one_experiment_per_shopper: true
  networks: {office: [192.0.2.0/24, "2001:db8::/32"], depot: 198.51.100.7}
holdout: {share: 5%, unit: [user, cart], salt: group-2}
attention:
  banner: {session: 2, day: 4, cool_down: 7d}
  all: {day: 50}
layers:
  checkout: {unit: [anonymous, cart]}
  plain:
traits: {city: text}
placements:
  basket: {component: message, format: banner, attention: {session: 3}}
  hero: {component: message}
experiences:
  thanks:
    in: basket
    weight: 3
    attention: {session: 1, shopper: 5, cool_down: 30d}
    variations:
      formal: {text: {en: Thank you}}
      casual: {text: {en: Thanks}}
    experiment:
      arms: {control: 40%, formal: 30.25%, casual: 29.75%}
      goal: revenue
      traffic: {start: 1%, 2026-12-03: 5%, 2026-12-05T08:00: 25%}
      layer: checkout
      holdout: 5%
      control_sees: next
      salt: thanks-2
      sticky: false
  short:
    in: hero
    when: '"office" in request.networks'
    show: {text: {en: Hello}}
    experiment: {control: 12.5%, unit: [traits.city, anonymous], traffic: 10%, layer: plain}
""".replace(
    "unit: [traits.city, anonymous], traffic: 10%, layer: plain", "unit: [traits.city, anonymous], traffic: 10%"
)


def compiled(text: str = FULL) -> Playbook:
    playbook, faults = examine({"a.yaml": text})
    assert playbook is not None, faults
    return playbook


def test_everything_is_read_as_written() -> None:
    declared = compiled().declarations
    shop = declared.settings
    assert (shop.decision_records, shop.one_experiment_per_shopper) == (250, True)
    assert shop.networks == {"office": ("192.0.2.0/24", "2001:db8::/32"), "depot": ("198.51.100.7",)}
    assert shop.holdout == HoldoutDecl(500, ("user", "cart"), "group-2")
    assert shop.attention == {"banner": CapsDecl(2, 4, None, 7 * 86_400_000), "all": CapsDecl(day=50)}
    assert {name: layer.unit for name, layer in declared.layers.items()} == {
        "checkout": ("anonymous", "cart"),
        "plain": ("anonymous", "user", "cart"),
    }
    basket = declared.placements["basket"]
    assert (basket.format, basket.caps) == ("banner", CapsDecl(session=3))
    thanks = declared.experiences["thanks"]
    assert list(thanks.variations) == ["formal", "casual"]
    assert (thanks.weight, thanks.caps) == (3, CapsDecl(1, None, 5, 30 * 86_400_000))
    assert thanks.experiment == ExperimentDecl(
        arms={"control": 4000, "formal": 3025, "casual": 2975},
        goal="revenue",
        traffic=((0, 100), (1_796_252_400_000, 500), (1_796_454_000_000, 2500)),
        layer="checkout",
        holdout=500,
        control_sees="next",
        salt="thanks-2",
        sticky=False,
    )
    short = declared.experiences["short"].experiment
    assert short == ExperimentDecl(
        {"control": 1250, "main": 8750}, unit=("traits.city", "anonymous"), traffic=((0, 1000),)
    )


def test_what_is_left_out_has_its_default() -> None:
    text = "placements:\n  a: {component: message}\nexperiences:\n  e:\n    in: a\n    show: {text: {en: x}}\n"
    declared = compiled(text).declarations
    experience = declared.experiences["e"]
    assert (experience.weight, experience.schedule, experience.experiment, experience.caps) == (
        0,
        None,
        None,
        CapsDecl(),
    )
    assert (declared.settings.decision_records, declared.settings.holdout.share, declared.layers) == (100, 0, {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("30.25%, casual: 29.75%", "30%, casual: 30%"),
        ("weight: 3", "weight: 4"),
        ("salt: thanks-2", "salt: thanks-3"),
        ("share: 5%", "share: 6%"),
        ("session: 2", "session: 1"),
        ("192.0.2.0/24", "192.0.3.0/24"),
        ("2026-12-03: 5%", "2026-12-04: 5%"),
        ("format: banner", "format: banner, purpose: analytics"),
        ("{unit: [anonymous, cart]}", "{unit: [cart]}"),
    ],
)
def test_each_is_a_part_of_the_version(old: str, new: str) -> None:
    assert FULL.count(old) == 1
    assert compiled(FULL.replace(old, new)).hash != compiled().hash


# --- shares ---


def share(text: str) -> tuple[int | None, list[str]]:
    faults = Faults()
    document = read_document("a.yaml", f"share: {text}\n", faults)
    assert document.root is not None
    assert isinstance(document.root.value, dict)
    found = Shape(document, faults).share(document.root.value["share"], "a share")
    return found, [fault.code for fault in faults.sorted()]


@given(st.integers(0, 10_000))
@settings(max_examples=200)
def test_a_share_is_exact_to_a_hundredth_of_a_percent(parts: int) -> None:
    written = f"{Decimal(parts) / 100}%"
    assert share(written) == (parts, [])
    assert share(f'"{written}"') == (parts, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("50", "wrong_type"),
        ("0.5", "wrong_type"),
        ("true", "wrong_type"),
        ("half", "wrong_type"),
        ("[50%]", "wrong_type"),
        ("50 %", "wrong_type"),
        ("1e1%", "wrong_type"),
        ('"50%\\n"', "wrong_type"),
        ("100.01%", "bad_value"),
        ("101%", "bad_value"),
        ("-1%", "bad_value"),
        ("0.001%", "bad_value"),
        ("1000%", "bad_value"),
    ],
)
def test_what_is_no_share_is_refused(text: str, code: str) -> None:
    assert share(text) == (None, [code])


# --- warnings ---


def test_an_experiment_without_control_and_a_layer_without_experiments_are_warned_of() -> None:
    text = FULL.replace("control: 40%, formal: 30.25%, casual: 29.75%", "formal: 50%, casual: 50%")
    _, faults = examine({"a.yaml": text})
    assert [(fault.line, fault.code, fault.severity) for fault in faults] == [
        (13, "unused_layer", "warning"),
        (26, "no_control", "warning"),
        (26, "no_design", "warning"),
        (39, "no_design", "warning"),
    ]


# --- networks ---


def networks_of(ip: str | None, kind: str, text: str = FULL) -> Value | None:
    playbook = compiled(text)
    facts = RequestFacts(1_780_000_000_000, "key", trusted=kind == "secret", ip=ip)
    caller = Caller(ApiKey("key", kind, Tenant(), b""), facts)  # type: ignore[arg-type]
    gathered = gather(playbook, DecideRequest(), caller, Known({}), facts.received)
    return gathered.inputs.values.get("request.networks")


def test_a_browser_is_in_the_networks_of_its_address() -> None:
    assert networks_of("192.0.2.9", "publishable") == {"office"}
    assert networks_of("::ffff:198.51.100.7", "publishable") == {"depot"}
    assert networks_of("203.0.113.1", "publishable") == frozenset()


def test_networks_are_unknown_where_the_address_says_nothing_of_the_shopper() -> None:
    assert networks_of("192.0.2.9", "secret") is None
    assert networks_of(None, "publishable") is None
    bare = "placements:\n  a: {component: message}\n"
    assert networks_of("192.0.2.9", "publishable", bare) is None


# --- damage ---

PUTS = [
    "",
    ":",
    "[",
    "}",
    "- ",
    "\n",
    "'",
    "null",
    "12",
    "{a: 1}",
    "100%",
    "0%",
    "2026-02-30",
    "start",
    "all",
    "[]",
    "{}",
]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(FULL)), st.integers(0, 40), st.sampled_from(PUTS))
def test_no_damage_crashes_the_reader(start: int, length: int, put: str) -> None:
    """Cut or replace any stretch: the answer is a playbook or faults, never an exception; and it can be linted."""
    playbook, faults = examine({"a.yaml": FULL[:start] + put + FULL[start + length :]})
    assert (playbook is None) == any(fault.severity == "error" for fault in faults)
    if playbook is not None:
        lint(playbook, 1_780_000_000_000)


# --- a placement's layer ---

SLOTS = """
layers: {payment: {unit: [anonymous]}, other: {}}
placements:
  top: {component: message, layer: payment}
experiences:
  one: {in: top, show: {text: {en: One}}, experiment: {control: 50%, traffic: 40%}}
  two: {in: top, show: {text: {en: Two}}, experiment: {control: 50%, traffic: 60%}}
  own: {in: top, show: {text: {en: Own}}, experiment: {control: 50%, layer: other}}
"""


def faults_of(text: str) -> list[str]:
    return [fault.code for fault in examine({"a.yaml": text})[1] if fault.code != "no_design"]


def test_the_experiments_of_a_placement_are_in_its_layer() -> None:
    playbook = compiled(SLOTS)
    layers = {
        name: each.experiment.layer for name, each in playbook.declarations.experiences.items() if each.experiment
    }
    assert layers == {"one": "payment", "two": "payment", "own": "other"}
    slots = {each.name: each.trial.slot for each in playbook.experiences.ordered if each.trial is not None}
    assert slots == {"one": ("layer:payment", 0), "two": ("layer:payment", 4_000), "own": ("layer:other", 0)}
    assert {each.trial.units for each in playbook.experiences.ordered[:2] if each.trial} == {("anonymous",)}


def test_a_placements_layer_is_checked_as_an_experiments_own() -> None:
    assert faults_of(SLOTS.replace("traffic: 60%", "traffic: 61%")) == ["layer_full"]
    assert faults_of(SLOTS.replace("traffic: 60%", "unit: [user], traffic: 60%")) == ["unit_of_layer"]
    misspelt = SLOTS.replace("message, layer: payment", "message, layer: paymnt")
    assert faults_of(misspelt) == ["unused_layer", "unknown_layer"]
