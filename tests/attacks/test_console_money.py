"""Ways to have more shoppers granted an offer without a second person's word: each is seen."""

from collections.abc import Mapping

import pytest

from cashwrap.declarations import Declarations
from cashwrap.differences import difference
from cashwrap.editing import money, splice
from cashwrap.editing.money import money_moves
from cashwrap.editing.writing import Plain
from cashwrap.playbook import examine
from cashwrap.playbook.starter import starter_files
from cashwrap.versions import playbook_files

STARTER = playbook_files(starter_files())
MESSAGE: Plain = {"text": {"en": "Hello", "de": "Hallo"}}


def declared(files: Mapping[str, str]) -> Declarations:
    playbook, faults = examine(files)
    assert playbook is not None, faults
    return playbook.declarations


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[tuple[str, str, str]]:
    old, new = declared(before), declared(after)
    changes = difference(old, new)
    assert changes
    return {(each.change.section, each.change.name, each.why) for each in money_moves(old, new, changes)}


def granted_to(when: str, section: str, name: str, value: Plain, *, first: Plain = None) -> dict[str, str]:
    """The starter with five percent for some, and maybe something ``first`` that is shown before."""
    files = splice.put(STARTER, section, name, value)
    offer: Plain = {"kind": "loyalty", "when": when, "benefit": {"percent": 5}, "text": {"en": "Five", "de": "Fünf"}}
    files = splice.put(files, "offers", "five", offer)
    shown: Plain = {"in": "home_hero", "offer": "five", "priority": 5, "show": MESSAGE}
    files = splice.put(files, "experiences", "five_off", shown)
    return splice.put(files, "experiences", "first", first) if first is not None else files


SPELLINGS = ['"lucky" in segments', "segments.lucky", "segments . lucky", r'"l\u0075cky" in segments']


@pytest.mark.parametrize("when", [*SPELLINGS, 'cart.total > 5 && !("lucky" in segments)'])
def test_however_a_condition_spells_a_segment_it_is_read(when: str) -> None:
    files = granted_to(when, "segments", "lucky", "sessions >= 7")
    assert ("segments", "lucky", "audience") in moved(files, splice.put(files, "segments", "lucky", "sessions >= 1"))


def test_what_stands_before_an_offer_lets_nobody_through_unseen() -> None:
    first: Plain = {"in": "home_hero", "when": "segments.lucky", "priority": 9, "show": MESSAGE}
    files = granted_to("cart.total > 1", "segments", "lucky", "sessions >= 1", first=first)
    seen = ("experiences", "first", "grants")
    assert isinstance(first, Mapping)
    assert seen in moved(files, splice.remove(files, "experiences", "first"))
    assert seen in moved(files, splice.put(files, "experiences", "first", {**first, "priority": 1}))
    assert seen in moved(files, splice.put(files, "experiences", "first", {**first, "when": "sessions >= 9"}))
    assert seen in moved(files, splice.put(files, "experiences", "first", {**first, "enabled": False}))
    assert ("segments", "lucky", "audience") in moved(files, splice.put(files, "segments", "lucky", "sessions > 9"))


def test_what_only_says_something_else_needs_nobody() -> None:
    first: Plain = {"in": "home_hero", "when": "segments.lucky", "priority": 9, "show": MESSAGE}
    files = granted_to("cart.total > 1", "segments", "lucky", "sessions >= 1", first=first)
    assert isinstance(first, Mapping)
    other: Plain = {**first, "show": {"text": {"en": "Bye", "de": "Tschau"}}}
    assert moved(files, splice.put(files, "experiences", "first", other)) == set()
    assert moved(splice.remove(files, "experiences", "first"), files) == set()


def test_an_order_turned_round_is_seen_whichever_is_said_to_have_moved() -> None:
    """Of three where the offers go first, the fewest that moved is the one without an offer."""
    first: Plain = {"in": "home_hero", "when": "sessions >= 1", "priority": 5, "show": MESSAGE}
    files = granted_to("cart.total > 1", "segments", "lucky", "sessions >= 1", first=first)
    files = splice.move(files, "experiences", "first", "")
    found = moved(files, splice.move(files, "experiences", "first", "five_off"))
    assert {name for section, name, _ in found if section == "experiences"}


def test_what_keeps_offers_back_is_not_taken_away_unseen() -> None:
    large, small = (dict(STARTER) | {"held.yaml": f"holdout: {{share: {share}%}}\n"} for share in (20, 1))
    assert ("holdout", "", "audience") in moved(large, small)


def test_a_planted_bug_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that looks for names among the words of a text, as it was."""
    files = granted_to("segments.lucky", "segments", "lucky", "sessions >= 7")
    monkeypatch.setattr(money, "_words", lambda said: (word for each in said if each for word in each.text.split()))
    assert moved(files, splice.put(files, "segments", "lucky", "sessions >= 1")) == set()
