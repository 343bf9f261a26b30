"""Which changes of a playbook need a second person: all that moves money, and nothing that does not."""

from collections.abc import Mapping

import pytest

from cashwrap.declarations import Declarations
from cashwrap.differences import difference
from cashwrap.editing import money, splice
from cashwrap.editing.money import by_reason, money_moves
from cashwrap.editing.writing import Plain
from cashwrap.playbook import examine
from cashwrap.playbook.starter import starter_files
from cashwrap.versions import playbook_files

STARTER = playbook_files(starter_files())
OFFER = "best_offer_on_the_basket"


def declared(files: Mapping[str, str]) -> Declarations:
    playbook, faults = examine(files)
    assert playbook is not None, faults
    return playbook.declarations


LIVE = declared(STARTER)


def moved(files: Mapping[str, str]) -> list[tuple[str, str, str]]:
    after = declared(files)
    changes = difference(LIVE, after)
    assert changes
    return [(each.change.section, each.change.name, each.why) for each in money_moves(LIVE, after, changes)]


def changed(section: str, name: str, **keys: Plain) -> dict[str, str]:
    found = splice.entry(STARTER, section, name)
    assert found is not None
    assert isinstance(found.value, Mapping)
    return splice.put(STARTER, section, name, {**found.value, **keys})


MONEY: list[tuple[dict[str, str], tuple[str, str, str]]] = [
    (changed("offers", "same_again", benefit={"percent": 11, "most": 15}), ("offers", "same_again", "offer")),
    (changed("offers", "same_again", limits={"shopper": 4, "budget": 1}), ("offers", "same_again", "offer")),
    (changed("offers", "basket_waited", again_after="3d"), ("offers", "basket_waited", "offer")),
    (changed("offer_groups", "basket_discounts", pick="first"), ("offer_groups", "basket_discounts", "offer")),
    (changed("experiences", "waiting_basket_offer", priority=90), ("experiences", "waiting_basket_offer", "grants")),
    (changed("experiences", "waiting_basket_offer", enabled=False), ("experiences", "waiting_basket_offer", "grants")),
    (changed("experiences", "thank_regulars", offer="same_again"), ("experiences", "thank_regulars", "grants")),
    (changed("segments", "repeat_buyer", when="bought.max >= 1"), ("segments", "repeat_buyer", "audience")),
    (changed("features", "bought", window="30d"), ("features", "bought", "audience")),
    (changed("features", "spent", of="total"), ("features", "spent", "audience")),
    (splice.put(STARTER, "shop", "currency", "CHF"), ("shop", "", "market")),
    (splice.put(STARTER, "shop", "markets", ["DE"]), ("shop", "", "market")),
    (splice.put(STARTER, "shop", "no_personal_prices", ["DE"]), ("shop", "", "market")),
    (splice.remove(STARTER, "experiences", "waiting_basket_offer"), ("experiences", "waiting_basket_offer", "grants")),
    (splice.move(STARTER, "experiences", OFFER, ""), ("experiences", OFFER, "grants")),
]  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), MONEY, ids=[each[1][1] or each[1][0] for each in MONEY])
def test_what_moves_money_is_seen(files: dict[str, str], expected: tuple[str, str, str]) -> None:
    assert expected in moved(files)


@pytest.mark.parametrize(
    "files",
    [
        changed("experiences", "buy_as_usual", priority=31),
        changed("experiences", "thank_regulars", enabled=False),
        changed("segments", "peak_hours", when="time.hour >= 17 && time.hour < 22"),
        changed("segments", "mobile", when='device.type != "desktop"'),
        changed("features", "session_views", window="30d", session=False),
        splice.put(STARTER, "shop", "locales", ["en"]),
        splice.put(STARTER, "shop", "decision_records", "50%"),
        splice.remove(STARTER, "experiences", "three_instalments"),
    ],
)
def test_what_moves_none_needs_nobody(files: dict[str, str]) -> None:
    assert moved(files) == []


def test_a_new_offer_and_whom_it_is_for_are_one_whole() -> None:
    files = splice.put(STARTER, "segments", "lucky", "sessions >= 7")
    assert moved(files) == []
    offer: Plain = {"kind": "loyalty", "when": '"lucky" in segments', "benefit": {"percent": 5}, "text": {"en": "Five"}}
    files = splice.put(files, "offers", "five", offer)
    shown: Plain = {"in": "basket_message", "offer": "five", "show": {"text": {"en": "{offer.amount}"}}}
    files = splice.put(files, "experiences", "five_off", shown)
    assert {(section, name) for section, name, _ in moved(files)} == {
        ("offers", "five"), ("experiences", "five_off"), ("segments", "lucky"),
    }  # fmt: skip
    after = declared(files)
    assert set(by_reason(money_moves(LIVE, after, difference(LIVE, after)))) == {"offer", "grants", "audience"}


def test_a_planted_bug_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that forgets whom an offer is for."""
    monkeypatch.setattr(money, "_behind", lambda said, name: iter(()))
    assert ("features", "spent", "audience") not in moved(changed("features", "spent", of="total"))
