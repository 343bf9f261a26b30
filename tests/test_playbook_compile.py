"""A playbook as one value: its name, what is in it, what a decision needs of it, and the published schema."""

import gc
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.declarations import Button, Condition, Field, Message, Options, Products
from cashwrap.model import Purpose
from cashwrap.playbook import Playbook, examine, load_playbook
from cashwrap.playbook.json_schema import keys
from cashwrap.playbook.schema import DEFINITIONS, PLAYBOOK, encode
from cashwrap.playbook.starter import starter_files, starter_folder

SPEC = Path(__file__).parents[1] / "spec" / "schemas" / "playbook.json"

SMALL = """
shop: {currency: EUR, locale: de, locales: [de, en], country_header: CF-IPCountry, request_level: false}
events:
  Gift Wrapped: {fields: {fee: money}, purpose: analytics}
traits: {size: text}
features:
  orders: {count: Order Completed}
  wraps:
    count: Gift Wrapped
    where: fee > 2
    window: 2w
    purpose: analytics
segments:
  good: orders >= 2
  best: '"good" in segments && orders >= 9'
  listed: {members: pushed, description: From the CRM.}
placements:
  hero: {component: message}
  pay: {component: options, of: payment_methods}
  go: {component: button}
  code: {component: field}
  more: {component: products}
experiences:
  greet:
    in: hero
    when: '"good" in segments'
    priority: 5
    show: {text: Hallo}
  order:
    in: pay
    show: {first: [card], highlight: [card]}
  press:
    in: go
    show: {text: {de: Los, en: Go}, style: calm}
  fold:
    in: code
    enabled: false
    when: '"best" in segments'
    show: {state: collapse, prefill: "{size}"}
  sell:
    in: more
    show: {from: popular, limit: 2}
"""


def small(text: str = SMALL) -> Playbook:
    playbook, faults = examine({"a.yaml": text})
    assert playbook is not None, faults
    return playbook


def test_declarations_are_what_was_written() -> None:
    declared = small().declarations
    assert declared.settings.locale == "de"
    assert declared.settings.locales == ("de", "en")
    assert declared.settings.country_header == "CF-IPCountry"
    assert declared.settings.request_level is False
    assert declared.events["Gift Wrapped"].fields == {"fee": "money"}
    assert declared.events["Gift Wrapped"].purpose is Purpose.ANALYTICS
    assert declared.traits == {"size": "text"}
    wraps = declared.features["wraps"]
    assert (wraps.measure, wraps.events, wraps.window) == ("count", ("Gift Wrapped",), 14 * 86_400_000)
    assert isinstance(wraps.where, Condition)
    assert (wraps.where.text, wraps.where.spot.line, wraps.where.spot.column) == ("fee > 2", 10, 12)
    assert declared.segments["listed"].pushed
    assert declared.placements["pay"].of == "payment_methods"
    shows = {name: each.variations["main"] for name, each in declared.experiences.items()}
    assert shows == {
        "greet": Message({"de": "Hallo"}),
        "order": Options(first=("card",), highlight=("card",)),
        "press": Button({"de": "Los", "en": "Go"}, "calm"),
        "fold": Field("collapse", "{size}"),
        "sell": Products("popular", 2),
    }
    assert declared.experiences["greet"].priority == 5
    assert declared.experiences["fold"].enabled is False


def test_the_compiled_parts() -> None:
    playbook = small()
    assert playbook.digits == 2
    assert playbook.settings.currency == "EUR"
    assert playbook.segments.names == {"good", "best", "listed"}
    assert playbook.standing.names == {"good"}, "a switched off experience needs no segment"
    assert playbook.deciding.names == set(), "and this one depends on the profile alone"
    assert "cart.total" in playbook.money
    assert playbook.experiences.playbook == playbook.hash
    assert playbook.vocabulary.events["Gift Wrapped"].kinds() == {"fee": "money"}


# --- the version's name ---


def test_the_hash_is_stable() -> None:
    assert small().hash == small().hash
    assert len(small().hash) == 16
    assert int(small().hash, 16) >= 0


def test_comments_spacing_files_and_quotes_do_not_change_the_hash() -> None:
    head, middle, tail = SMALL.partition("placements:\n")
    split, _ = examine({"x.yaml": f"# one\n{head}", "y.yaml": f"\n\n{middle}{tail}"})
    assert split is not None
    assert split.hash == small().hash
    assert small(SMALL.replace("when: '\"good\" in segments'", 'when: "\\"good\\" in segments"')).hash == small().hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("orders >= 2", "orders >= 3"),
        ("priority: 5", "priority: 6"),
        ("Hallo", "Hallo!"),
        ("enabled: false", "enabled: true"),
        ("first: [card]", "last: [card]"),
        ("window: 2w", "window: 1w"),
        ("EUR", "USD"),
        ("component: button", "component: button, purpose: analytics"),
    ],
)
def test_whatever_means_something_changes_the_hash(old: str, new: str) -> None:
    assert small(SMALL.replace(old, new)).hash != small().hash


def test_the_order_of_experiences_changes_the_hash() -> None:
    head, _, tail = SMALL.partition("  press:\n")
    press, _, rest = tail.partition("  fold:\n")
    assert small(f"{head}  fold:\n{rest}  press:\n{press}").hash != small().hash


def test_planted_a_hash_that_sees_places_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.playbook.compile._without_spots", lambda value: value)
    assert small(f"# moved\n{SMALL}").hash != small().hash


# --- all or nothing ---


TARGETS = st.sampled_from(["orders >= 2", "Hallo", "payment_methods", "message", "Gift Wrapped", "collapse"])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["orders >= 2", "Hallo", "payment_methods", "message", "Gift Wrapped", "collapse"]),
    st.text("ab{[", max_size=3),
)
def test_a_playbook_or_faults_never_both(target: str, put: str) -> None:
    playbook, faults = examine({"a.yaml": SMALL.replace(target, put, 1)})
    assert (playbook is None) == any(fault.severity == "error" for fault in faults)


def test_compiling_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    small()
    assert gc.isenabled()
    gc.disable()
    try:
        small()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_ten_thousand_experiences_compile() -> None:
    """How fast is measured by the benchmark; here only that size alone breaks nothing."""
    lines = [
        f"  e{n}:\n    in: hero\n    when: cart.total > {n}\n    show: {{text: {{de: a, en: b}}}}\n"
        for n in range(10_000)
    ]
    playbook = small("shop: {locale: de}\nplacements:\n  hero: {component: message}\nexperiences:\n" + "".join(lines))
    assert len(playbook.declarations.experiences) == 10_000


# --- the schema ---


def test_the_published_schema_is_the_one_in_the_code() -> None:
    assert SPEC.read_bytes() == encode(), "run: make schemas"


def test_the_schema_is_sound_and_the_starter_fits_it() -> None:
    schema = msgspec.json.decode(encode())
    assert jsonschema_rs.meta.is_valid(schema)
    validator = jsonschema_rs.Draft202012Validator(schema)
    for name, text in starter_files().items():
        if name.endswith(".yaml") and "/" not in name:
            validator.validate(yaml.safe_load(text))
    validator.validate(yaml.safe_load(SMALL))


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    validator = jsonschema_rs.Draft202012Validator(msgspec.json.decode(encode()))
    for wrong in (
        {"shops": {}},
        {"features": {"a": {}}},
        {"experiences": {"a": {"in": "b"}}},
        {"traits": {"1": "text"}},
    ):
        assert not validator.is_valid(wrong)
        assert examine({"a.yaml": yaml.safe_dump(wrong)})[0] is None


def test_every_key_has_a_description() -> None:
    for name, definition in (*DEFINITIONS.items(), ("playbook", PLAYBOOK)):
        properties = definition["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == set(keys(definition))
        for key, schema in properties.items():
            assert "$ref" in schema or schema["description"], f"{name}.{key}"


def test_the_starter_loads_from_its_folder() -> None:
    assert load_playbook(starter_folder()).warnings == ()
