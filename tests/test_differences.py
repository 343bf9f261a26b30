"""What a change changes: against a naive comparison, and in the words that a person reads."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import differences
from cashwrap.declarations import Declarations
from cashwrap.differences import Change, KeyChange, difference, moves, words
from cashwrap.playbook import Playbook, examine
from engines import starter

PLAYBOOK = """
shop: {currency: EUR, decision_records: 1%}
events:
  Parcel Locker Chosen:
    fields: {locker: text}
traits: {tier: text}
features:
  orders: {count: Order Completed}
  views: {count: Product Viewed, window: 30d}
predictions:
  gift: {at: Cart Viewed, events: [Order Completed], within: 2h}
segments:
  regular:
    when: orders >= 3
  vip: {members: pushed}
placements:
  note: {component: message}
  strip: {component: message}
  shelf: {component: products}
layers:
  checkout: {}
metrics:
  pieces: {mean: Order Completed, of: quantity, caps: [0%, 99%], window: 3d}
  spent: {ratio: Order Completed, of: net, per: Order Completed}
experiences:
  first:
    in: note
    when: cart.total > 10
    priority: 3
    show: {text: {en: Hello}}
  second:
    in: note
    when: '"regular" in segments'
    attention: {session: 1, cool_down: 7d}
    schedule: {from: 2026-12-01T08:00, days: [mon, fri], hours: 9-18}
    variations:
      formal: {text: {en: Good day}}
      casual: {text: {en: Hi}}
    experiment:
      arms: {control: 50%, formal: 25%, casual: 25%}
      holdout: 5%
      goal: spent
      guardrails: {pieces: 2%}
      design: {days: 30, maturity: 2w, detect: 2.5%}
  more:
    in: shelf
    show: {from: recommended, rules: {margin: 30%, never: [gifts]}}
  third:
    in: strip
    show: {text: {en: "A text that is much longer than what fits beside another one"}}
"""


def compiled(text: str) -> Playbook:
    playbook, faults = examine({"shop.yaml": text})
    assert playbook is not None, faults
    return playbook


def changed(*replacements: tuple[str, str]) -> list[str]:
    text = PLAYBOOK
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return list(words(difference(compiled(PLAYBOOK).declarations, compiled(text).declarations)))


def test_where_and_how_it_is_written_makes_no_difference() -> None:
    moved = "# a comment\n\n" + PLAYBOOK.replace("orders >= 3", "'orders >= 3'")
    assert difference(compiled(PLAYBOOK).declarations, compiled(moved).declarations) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("orders >= 3", "orders >= 4", ["~ segments.regular changed", "    when: orders >= 3 -> orders >= 4"]),
        ("priority: 3", "priority: 5", ["~ experiences.first changed", "    priority: 3 -> 5"]),
        ("    priority: 3\n", "", ["~ experiences.first changed", "    priority: 3 -> not set"]),
        ("in: strip", "in: note", ["~ experiences.third changed", "    in: strip -> note"]),
        ("window: 30d", "window: 36h", ["~ features.views changed", "    window: 30d -> 36h"]),
        ("cool_down: 7d", "cool_down: 10d", ["~ experiences.second changed", "    attention.cool_down: 1w -> 10d"]),
        ("decision_records: 1%", "decision_records: 0.5%", ["~ shop changed", "    decision_records: not set -> 0.5%"]),
        ("tier: text", "tier: integer", ["~ traits.tier changed", "    kind: text -> integer"]),
        (
            "formal: 25%, casual: 25%",
            "formal: 37.5%, casual: 12.5%",
            [
                "~ experiences.second changed",
                "    experiment.arms.formal: 25% -> 37.5%",
                "    experiment.arms.casual: 25% -> 12.5%",
            ],
        ),
        ("holdout: 5%", "holdout: 10%", ["~ experiences.second changed", "    experiment.holdout: 5% -> 10%"]),
        (
            "from: 2026-12-01T08:00, days: [mon, fri], hours: 9-18",
            "until: 2026-12-01T08:00, days: [mon], hours: 22-6",
            [
                "~ experiences.second changed",
                "    schedule.from: 2026-12-01T08:00 -> not set",
                "    schedule.days: mon, fri -> mon",
                "    schedule.hours: 9-18 -> 22-6",
                "    schedule.until: 2026-12-01T08:00",
            ],
        ),
        (
            "fits beside another one",
            "fits beside the other",
            [
                "~ experiences.third changed",
                "    show.text.en:",
                "      - A text that is much longer than what fits beside another one",
                "      + A text that is much longer than what fits beside the other",
            ],
        ),
        (
            "within: 2h",
            "within: 3h, without: true",
            ["~ predictions.gift changed", "    within: 2h -> 3h", "    without: true"],
        ),
        (
            "from: recommended, rules: {margin: 30%",
            "from: similar, rules: {margin: 2.5%, cart_share: 50%",
            [
                "~ experiences.more changed",
                "    show.from: recommended -> similar",
                "    show.rules.margin: 30% -> 2.5%",
                "    show.rules.cart_share: 50%",
            ],
        ),
        ("  vip: {members: pushed}\n", "", ["- segments.vip removed", "    pushed: true"]),
        (
            "of: quantity, caps: [0%, 99%]",
            "of: net, caps: [0.5%, 99%]",
            ["~ metrics.pieces changed", "    of: quantity -> net", "    caps: 0%, 99% -> 0.5%, 99%"],
        ),
        (
            "days: 30, maturity: 2w, detect: 2.5%",
            "days: 30, maturity: 1w, detect: 10%",
            [
                "~ experiences.second changed",
                "    experiment.design.maturity: 2w -> 1w",
                "    experiment.design.detect: 2.5% -> 10%",
            ],
        ),
        (
            "guardrails: {pieces: 2%}",
            "guardrails: {pieces: 12.5%}",
            ["~ experiences.second changed", "    experiment.guardrails.pieces: 2% -> 12.5%"],
        ),
        (
            "currency: EUR",
            "currency: EUR, rates: {USD: {2026-01-01: 0.92, 2026-07-01: 0.95}, GBP: 1.17}",
            [
                "~ shop changed",
                "    rates.USD: 2026-01-01T00:00Z: 0.92, 2026-07-01T00:00Z: 0.95",
                "    rates.GBP: 1.17",
            ],
        ),
        ("layers:\n", "layers:\n  home: {unit: cart}\n", ["+ layers.home added", "    unit: cart"]),
    ],
)  # fmt: skip
def test_a_change_in_words(old: str, new: str, told: list[str]) -> None:
    if "decision_records" in old:
        told = [told[0], "    decision_records: 0.5%"]  # one in a hundred is what it is without saying
    assert changed((old, new)) == told


def test_an_experience_that_moves_is_told_with_its_new_place() -> None:
    head, first, second, third = PLAYBOOK.replace("  second:", "|  second:").replace("  third:", "|  third:").replace(
        "  first:", "|  first:"
    ).split("|")  # fmt: skip
    old = compiled(PLAYBOOK).declarations
    new = compiled(head + third + "\n" + first + second).declarations
    assert list(words(difference(old, new))) == ["~ experiences.third moved to the first place"]
    new = compiled(head + second + third + "\n" + first).declarations
    assert list(words(difference(old, new))) == ["~ experiences.first moved to after third"]


def test_the_order_of_arms_is_a_difference() -> None:
    old = "formal: 25%, casual: 25%"
    told = changed((f"control: 50%, {old}", "control: 50%, casual: 25%, formal: 25%"))
    assert told[0] == "~ experiences.second changed"
    assert told[1].strip().startswith("order:")


def test_what_is_named_like_a_place_is_a_part_of_the_version() -> None:
    old = compiled(PLAYBOOK.replace("  first:", "  spot:"))
    new = compiled(PLAYBOOK.replace("  first:", "  spot:").replace("priority: 3", "priority: 4"))
    assert old.hash != new.hash
    assert next(words(difference(old.declarations, new.declarations))) == "~ experiences.spot changed"


def test_every_section_of_a_playbook_is_compared() -> None:
    assert set(differences._sections(Declarations())) == plain(Declarations()).keys()


# --- against a naive comparison ---


def naive(old: Declarations, new: Declarations) -> set[tuple[str, str, str]]:
    """Section, name and what became of it, from plain dictionaries; the settings as a whole."""
    before, after = plain(old), plain(new)
    found = set()
    for section in before:
        for name in {**before[section], **after[section]}:
            if name not in after[section]:
                found.add((section, name, "removed"))
            elif name not in before[section]:
                found.add((section, name, "added"))
            elif msgspec.json.encode(before[section][name]) != msgspec.json.encode(after[section][name]):
                found.add((section, name, "changed"))
    return found


def plain(declared: Declarations) -> dict[str, dict[str, Any]]:
    sections = without_spots(msgspec.to_builtins(declared))
    settings_ = sections.pop("settings")
    return {
        **sections,
        "holdout": {"": settings_.pop("holdout")},
        "attention": settings_.pop("attention"),
        "shop": {"": settings_},
    }


def without_spots(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_spots(each) for key, each in value.items() if key != "spot"}
    return [without_spots(each) for each in value] if isinstance(value, list | tuple) else value


PIECES = [
    ("orders >= 3", ["orders >= 4", "orders >= 3 || views > 2"]),
    ("priority: 3", ["priority: 5", "weight: 2"]),
    ("{en: Hello}", ["{en: Hello, de: Hallo}", "{en: Bye}"]),
    ("currency: EUR", ["currency: SEK", "currency: EUR, one_experiment_per_shopper: true"]),
    ("session: 1,", ["session: 2,", "day: 1,"]),
    ("arms: {control: 50%, formal: 25%,", ["arms: {formal: 25%, control: 50%,", "arms: {control: 45%, formal: 30%,"]),
    ("window: 30d", ["window: 31d", "window: 720h"]),
    ("  checkout: {}", ["  checkout: {unit: cart}", "  basket: {}"]),
    ("locker: text", ["locker: text, size: integer", "locker: integer"]),
    ("  vip: {members: pushed}\n", ["", "  vip: {members: pushed}\n  gold: {members: pushed}\n"]),
    ("layers:", ["holdout: {share: 5%}\nlayers:", "attention: {all: {day: 9}}\nlayers:"]),
    ("of: quantity, caps", ["of: net, caps", "of: quantity, better: lower, caps"]),
    ("  third:", ["  fourth: {in: note, show: {text: {en: New}}}\n  third:", "  renamed:"]),
]  # fmt: skip


def edited(choices: list[int]) -> Playbook:
    text = PLAYBOOK
    for (old, variants), choice in zip(PIECES, choices, strict=True):
        text = text.replace(old, [old, *variants][choice])
    return compiled(text)


CHOICES = st.lists(st.sampled_from([0, 0, 1, 2]), min_size=len(PIECES), max_size=len(PIECES))


@given(CHOICES, CHOICES)
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_the_naive_comparison(one: list[int], other: list[int]) -> None:
    check(edited(one), edited(other), difference)


def check(old: Playbook, new: Playbook, compare: Callable[[Declarations, Declarations], list[Change]]) -> None:
    changes = compare(old.declarations, new.declarations)
    told = {(each.section, each.name, each.what) for each in changes if each.what != "moved"}
    assert told == naive(old.declarations, new.declarations)
    assert (not changes) == (old.hash == new.hash), "no difference is the same version, and the other way round"
    assert all(each.keys for each in changes if each.what == "changed"), "a change says which key"
    back = compare(new.declarations, old.declarations)
    assert set(mirrored(changes)) == {key for each in back for key in told_keys(each)}


def mirrored(changes: list[Change]) -> list[tuple[str, str, KeyChange]]:
    """The same difference from the other side."""
    return [
        (section, name, KeyChange(key.key, key.new, key.old))
        for change in changes
        for section, name, key in told_keys(change)
    ]


def told_keys(change: Change) -> list[tuple[str, str, KeyChange]]:
    return [(change.section, change.name, key) for key in change.keys]


@given(st.permutations("abcdefg"))
@settings(max_examples=60, deadline=None)
def test_the_fewest_names_move(order: list[str]) -> None:
    old = sorted(order)
    moved = moves(old, order)
    assert [name for name in order if name not in moved] == [name for name in old if name not in moved]
    longest = max(size for size in range(8) for kept in combinations(order, size) if list(kept) == sorted(kept))
    assert len(moved) == len(order) - longest


def test_ten_thousand_are_compared_at_once() -> None:
    names = [f"n{number}" for number in range(10_000)]
    assert moves(names, [*names[1:], names[0]]) == {"n0"}


def test_a_playbook_does_not_differ_from_itself() -> None:
    assert difference(starter().declarations, starter().declarations) == []


class TestTheCheckerItself:
    """Planted bugs: each must be seen."""

    def test_sees_a_section_that_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = differences._sections
        monkeypatch.setattr(
            differences, "_sections", lambda each: {name: it for name, it in whole(each).items() if name != "layers"}
        )
        with pytest.raises(AssertionError):
            check(edited([0] * 13), edited([0] * 7 + [1] + [0] * 5), difference)

    def test_sees_an_order_that_is_not_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        same = differences._same
        monkeypatch.setattr(
            differences, "_same", lambda old, new: same(old, new) or differences._flat(old) == differences._flat(new)
        )
        with pytest.raises(AssertionError):
            check(edited([0] * 13), edited([0] * 5 + [1] + [0] * 7), difference)
