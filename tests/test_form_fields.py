"""Forms from the schema: every key can be entered, and what was not changed stays the very value it was."""

from decimal import Decimal
from typing import Any

import pytest

from cashwrap.editing.form_fields import Entry, Shop, Shown, fields_of, read, show
from cashwrap.playbook.json_schema import keys
from cashwrap.playbook.schema import DEFINITIONS

SHOP = Shop("en", ("en", "de"))
FORMS = ("segment", "experience", "offer", "feature", "message", "options", "products", "button", "field", "help",
         "layout", "installments", "schedule", "caps", "experiment", "design", "benefit", "offer_limits", "tier",
         "rules", "progress")  # fmt: skip


def entered(shown: tuple[Shown, ...]) -> dict[str, list[str]]:
    """What a browser sends of a form as it was shown."""
    found: dict[str, list[str]] = {}
    for each in shown:
        for locale, text in each.texts:
            found[f"{each.name}.{locale}"] = [text]
        for line in each.rows:
            if each.field.kind != "table":
                found[f"{line.name}.key"] = [line.key]
            found |= entered(line.fields)
        found |= entered(each.fields)
        if each.field.kind == "choices":
            found[each.name] = ["", *each.values]
        elif not (each.texts or each.rows or each.fields):
            found[each.name] = [each.value]
    return found


def resent(definition: str, entry: Entry, **changes: str) -> Entry:
    """The entry after its form was sent with some inputs changed."""
    fields = fields_of(definition)
    form = entered(show(fields, entry, SHOP, "e")) | {f"e.{name}": [value] for name, value in changes.items()}
    return read(fields, form, entry, SHOP, "e")


@pytest.mark.parametrize("definition", FORMS)
def test_a_form_has_every_key_of_its_definition(definition: str) -> None:
    assert tuple(field.key for field in fields_of(definition)) == keys(DEFINITIONS[definition])


ENTRIES: list[tuple[str, Any]] = [
    ("message", {"text": "Hello", "tone": "calm", "x-own": {"kept": [1]}}),
    ("message", {"text": {"en": "Hi", "fr": "Salut"}, "tones": {"formal": {"de": "Guten Tag"}},
                 "progress": {"of": "cart.total", "to": Decimal("50.50")}}),
    ("options", {"first": ["a", "b"], "hide": "c", "badge": {"a": {"en": "New"}}, "rename": {"a": "Card"}}),
    ("products", {"from": "popular", "limit": 3, "rules": {"margin": "10%", "only": ["x"], "least": 5}}),
    ("layout", {"tokens": {"density": "compact", "columns": 2, "wide": True}}),
    ("offer", {"benefit": {"tiers": [{"from": 100, "percent": 5}, {"from": "200", "amount": 40}]},
               "limits": {"shopper": 3, "by_arm": False}, "enabled": False}),
    ("experiment", {"arms": {"control": "50%", "a": "50%"}, "traffic": {"start": "10%", "2026-12-01": "100%"},
                    "guardrails": {"conversion": "5%"}, "design": {"days": 28}, "unit": "cart"}),
    ("experiment", {"control": "50%", "traffic": "20%", "sticky": True}),
    ("schedule", {"days": ["mon", "tue"], "from": "2026-12-01T08:00", "hours": "9-18"}),
    ("feature", {"count": ["A", "B"], "window": "30d", "where": "total > 1"}),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "entry"), ENTRIES)
def test_a_form_sent_as_it_was_shown_changes_nothing(definition: str, entry: Entry) -> None:
    again = resent(definition, entry)
    assert again == entry
    assert list(again) == list(entry)
    for key, value in entry.items():
        assert again[key] is value or again[key] == value


def test_a_field_that_is_changed_changes_its_key_alone() -> None:
    entry: Entry = {"text": "Hello", "tone": "calm", "own": 1}
    assert resent("message", entry, tone="warm") == {"text": "Hello", "tone": "warm", "own": 1}
    assert resent("message", entry, tone="") == {"text": "Hello", "own": 1}
    assert resent("message", entry, **{"text.de": "Hallo"}) == {**entry, "text": {"en": "Hello", "de": "Hallo"}}


def test_maps_and_tables_grow_and_shrink_by_their_lines() -> None:
    entry: Entry = {"badge": {"a": {"en": "New"}}}
    more = resent("options", entry, **{"badge.1.key": "b", "badge.1.value.en": "Fast"})
    assert more == {"badge": {"a": {"en": "New"}, "b": {"en": "Fast"}}}
    assert resent("options", more, **{"badge.0.key": ""}) == {"badge": {"b": {"en": "Fast"}}}
    tiers = resent("benefit", {}, **{"tiers.0.from": "100", "tiers.0.percent": "5"})
    assert tiers == {"tiers": [{"from": 100, "percent": 5}]}


def test_what_cannot_be_understood_stays_as_it_was_typed() -> None:
    assert resent("products", {"from": "popular"}, limit="many") == {"from": "popular", "limit": "many"}
    assert resent("experiment", {}, control="half") == {"control": "half%"}
    assert resent("options", {}, **{"badge.0.key": "a"}) == {"badge": {"a": None}}


def test_shares_lists_steps_and_grants_are_written_as_the_language_has_them() -> None:
    assert resent("experiment", {}, control="12.5") == {"control": "12.5%"}
    assert resent("options", {}, first="a, b,c") == {"first": ["a", "b", "c"]}
    assert resent("experiment", {}, **{"traffic.0.value": "10"}) == {"traffic": "10%"}
    grown = resent("experiment", {"traffic": "10%"}, **{"traffic.1.key": "2026-12-01", "traffic.1.value": "50"})
    assert grown == {"traffic": {"start": "10%", "2026-12-01": "50%"}}
    assert resent("experience", {"in": "x"}, offer="best_of:g") == {"in": "x", "offer": {"best_of": "g"}}
    assert resent("experience", {"in": "x"}, offer="offer:o") == {"in": "x", "offer": "o"}


def test_a_switch_says_only_what_is_not_usual() -> None:
    assert resent("offer", {}, enabled="false") == {"enabled": False}
    assert resent("offer", {"enabled": False}, enabled="true") == {}
    assert resent("feature", {}, session="true") == {"session": True}
