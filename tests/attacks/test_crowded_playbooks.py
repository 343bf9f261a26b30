"""Playbooks in which every experience compares with a value of its own: one for each product, price or page."""

import pytest

from cashwrap.condition import Environment, Type, check
from cashwrap.condition import index as indexing
from cashwrap.condition.index import build_index
from cashwrap.playbook import boxes, examine
from cashwrap.playbook.lint import lint
from engines import START
from test_index import agree

OWN = 300
ENVIRONMENT = Environment(
    {"cart.total": Type.NUMBER, "language": Type.STRING, "cart.products": Type.STRING_SET}, frozenset(), "EUR", 2
)


@pytest.mark.parametrize("cells", [0, 2_000, 50_000])
def test_what_has_no_masks_is_judged_all_the_same(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "MOST_CELLS", cells)
    assert agree(seed=8, playbooks=40, shoppers=10) > 100


def test_only_the_attribute_with_too_many_values_is_left_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks grow with the values of an attribute times the conditions: a hundred thousand of each are gigabytes."""
    monkeypatch.setattr(indexing, "MOST_CELLS", 50 * OWN)
    sources = [f'cart.total > {number} && language == "{("en", "de")[number % 2]}"' for number in range(OWN)]
    index = build_index([(number, check(source, ENVIRONMENT)) for number, source in enumerate(sources)])
    assert len(index.residuals) == OWN
    left = index.matches({"cart.total": 10, "language": "de"})
    assert left == sum(1 << number for number in range(OWN) if number % 2)
    assert [number for number in range(OWN) if left >> number & 1 and index.holds(number, {"cart.total": 10})] == [
        1, 3, 5, 7, 9,
    ]  # fmt: skip


def test_members_of_a_set_count_as_values(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [f'"product-{number}" in cart.products' for number in range(OWN)]
    conditions = [(number, check(source, ENVIRONMENT)) for number, source in enumerate(sources)]
    assert not build_index(conditions).residuals
    monkeypatch.setattr(indexing, "MOST_CELLS", 50 * OWN)
    index = build_index(conditions)
    assert len(index.residuals) == OWN
    cart = {"cart.products": frozenset({"product-7"})}
    assert [number for number in range(OWN) if index.holds(number, cart)] == [7]


def test_warnings_of_a_crowded_playbook_stay_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of each test alone is still told; what only their order on one line tells is not."""
    whens = {"low": "cart.total > 5", "high": "cart.total > 7", "again": "cart.total > 7", "none": "false"}
    whens |= {"never": "cart.total > 5 && !(cart.total > 5)", "sorted": "cart.total > 9 && cart.total < 8"}
    show = "    show: {text: {en: x}}\n"
    told = "".join(f"  {name}:\n    in: a\n    when: '{when}'\n{show}" for name, when in whens.items())
    text = f"shop: {{currency: EUR, locale: en}}\nplacements: {{a: {{component: message}}}}\nexperiences:\n{told}"
    playbook, faults = examine({"shop.yaml": text})
    assert playbook is not None, faults
    full = {(fault.code, fault.line) for fault in lint(playbook, START)}
    monkeypatch.setattr(boxes, "MOST_CELLS", 0)
    crowded = {(fault.code, fault.line) for fault in lint(playbook, START)}
    assert {code for code, _ in crowded} >= {"never_true", "duplicate_condition"}
    assert len(crowded) < len(full)
    assert {line for _, line in crowded} < {line for _, line in full}
