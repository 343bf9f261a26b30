"""Who is in which arm: uniform, independent between salts, stable under growth, and never by chance."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.experiments import (
    SHARES,
    Assigned,
    Layout,
    Slot,
    Trial,
    assign,
    draw,
    hash_unit,
    lay_out,
    trial,
    unit_of,
)
from decision_oracle import murmur

UNITS = [f"anon-{number}" for number in range(20_000)]
CHI2_999 = {1: 10.83, 3: 16.27, 9: 27.88, 99: 148.2}
"""What chi-square passes once in a thousand times by chance, by degrees of freedom: the units are fixed, so a test
that is green stays green."""
Assigner = Callable[..., Assigned | None]


def a_trial(*shares: int, **changes: Any) -> Trial:
    """Arms ``a``, ``b`` ... with these shares, ``control`` with the rest, and the holdout."""
    names = [chr(ord("a") + number) for number in range(len(shares))]
    all_shares = (*shares, SHARES - sum(shares), 0)
    given: dict[str, Any] = {
        "salt": "e",
        "units": ("anonymous",),
        "arms": (*names, "control", "holdout"),
        "chances": tuple(Assigned(number, share) for number, share in enumerate(all_shares)),
        "layout": lay_out(all_shares, len(shares)),
    }
    return trial(Trial(**(given | changes)))


def arms(of: Trial, units: Sequence[str] = UNITS, *, now: int = 0, by: Assigner = assign) -> list[int | None]:
    found = (by(of, unit, now, {}) for unit in units)
    return [None if each is None else each.arm for each in found]


def chi_square(seen: Mapping[Any, int], expected: Mapping[Any, float]) -> float:
    return sum((seen.get(key, 0) - want) ** 2 / want for key, want in expected.items())


# --- the hash ---


def test_the_oracle_has_the_published_values() -> None:
    published = {b"": 0, b"hello": 0x248BFA47, b"hello, world": 0x149BBB7F, b"The quick brown fox jumps over the lazy dog": 0x2E4FF723}  # fmt: skip  # noqa: E501
    assert {text: murmur(text) for text in published} == published


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_hashes_as_the_oracle_says(salt: str, unit: str) -> None:
    assert hash_unit(salt, unit) == murmur(f"{salt}:{unit}".encode())


# --- uniform and independent ---


def test_arms_are_as_large_as_declared() -> None:
    of = a_trial(2_500, 2_500, 1_000)
    expected = {arm: chance.propensity * len(UNITS) / SHARES for arm, chance in enumerate(of.chances[:-1])}
    assert chi_square(Counter(arms(of)), expected) < CHI2_999[3]


def test_places_are_uniform() -> None:
    hundredths = Counter(hash_unit("e", unit) % SHARES // 100 for unit in UNITS)
    assert chi_square(hundredths, dict.fromkeys(range(100), len(UNITS) / 100)) < CHI2_999[99]


def independence(first: Sequence[object], second: Sequence[object]) -> float:
    """Chi-square of two assignments of the same units."""
    rows, columns = Counter(first), Counter(second)
    expected = {(a, b): rows[a] * columns[b] / len(first) for a in rows for b in columns}
    return chi_square(Counter(zip(first, second, strict=True)), expected)


def the_worst_pair(by: Assigner = assign) -> float:
    """The largest chi-square of independence between any two of eight experiments with salts that look alike."""
    found = [arms(a_trial(5_000, salt=f"e{number}"), by=by) for number in range(8)]
    return max(independence(one, other) for one, other in itertools.combinations(found, 2))


def test_salts_are_independent() -> None:
    assert the_worst_pair() < CHI2_999[1] + 4  # 28 pairs are looked at


def test_who_takes_part_says_nothing_of_the_arm() -> None:
    everyone = arms(a_trial(5_000))
    few = arms(a_trial(5_000, traffic=((0, 2_000),)))
    assert 0.19 < sum(arm is not None for arm in few) / len(few) < 0.21
    assert independence(everyone, [arm is None for arm in few]) < CHI2_999[1]


# --- stable ---


@given(st.integers(1, 9_999), st.integers(1, 9_999))
def test_more_traffic_moves_nobody_between_arms(one: int, other: int) -> None:
    less, more = sorted((one, other))
    units = UNITS[:300]
    before, after = (arms(a_trial(3_000, 3_000, traffic=((0, share),)), units) for share in (less, more))
    assert all(was is None or was == becomes for was, becomes in zip(before, after, strict=True))


def moved(before: Trial, after: Trial) -> set[tuple[int | None, int | None]]:
    return {pair for pair in zip(arms(before), arms(after), strict=True) if pair[0] != pair[1]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1_000,), (5_000,)),
        ((1_000, 1_000), (3_000, 3_000)),
        ((500, 500, 500), (2_000, 500, 3_000)),
        ((7_000, 1_000), (7_000, 2_500)),
        ((1_000, 1_000), (7_000, 1_000)),
    ],
)
def test_an_arm_that_grows_at_controls_cost_moves_nobody_between_the_others(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    control = len(before)
    for was, becomes in moved(a_trial(*before), a_trial(*after)):
        assert was == control
        assert becomes != control


@given(st.lists(st.integers(0, 2_500), min_size=1, max_size=4), st.booleans())
def test_a_layout_gives_every_arm_its_share(shares: list[int], rest: bool) -> None:
    last = SHARES - sum(shares)
    layout = lay_out((*shares, last), len(shares) if rest else -1)
    taken = Counter[int]()
    for (bound, owner), start in zip(zip(*layout, strict=True), (0, *layout.bounds), strict=False):
        assert bound > start
        taken[owner] += bound - start
    assert taken == Counter({arm: share for arm, share in enumerate((*shares, last)) if share})


def test_a_layer_keeps_its_experiments_apart() -> None:
    one = a_trial(5_000, salt="one", traffic=((0, 4_000),), slot=Slot("layer:checkout", 0))
    two = a_trial(5_000, salt="two", traffic=((0, 6_000),), slot=Slot("layer:checkout", 4_000))
    both = list(zip(arms(one), arms(two), strict=True))
    assert all((first is None) != (second is None) for first, second in both), "all of the layer is given away, once"
    assert 0.38 < sum(first is not None for first, _ in both) / len(both) < 0.42


def test_a_ramp_inside_a_layer_only_adds() -> None:
    steps = ((0, 100), (1_000, 2_500), (2_000, 4_000))
    of = a_trial(5_000, traffic=steps, slot=Slot("layer:checkout", 3_000))
    found = [arms(of, now=now) for now in (0, 1_000, 5_000)]
    for before, after in itertools.pairwise(found):
        assert all(was is None or was == becomes for was, becomes in zip(before, after, strict=True))
        assert sum(arm is not None for arm in before) < sum(arm is not None for arm in after)


def test_what_was_seen_stands_until_the_experiment_stops() -> None:
    of = a_trial(5_000, traffic=((0, 1), (1_000, 0)))
    assert assign(of, "anon-1", 0, {"e": "a"}) == assign(of, "anon-2", 0, {"e": "a"}) == (0, 5_000)
    assert assign(of, "anon-1", 0, {"e": "gone"}) is None, "an arm that is no longer there binds nobody"
    assert assign(of, "anon-1", 0, {"other": "a"}) is None
    assert assign(of, "anon-1", 1_000, {"e": "a"}) is None
    forgetful = msgspec.structs.replace(of, sticky=False)
    assert assign(forgetful, "anon-1", 0, {"e": "a"}) is None


def test_an_experiments_own_holdout_is_apart_from_its_arms() -> None:
    of = a_trial(5_000, holdout=1_000)
    held = [arm == 2 for arm in arms(of)]
    assert 0.09 < sum(held) / len(held) < 0.11
    assert independence(arms(a_trial(5_000)), held) < CHI2_999[1]


# --- nobody by chance ---


def test_the_chain_falls_back_as_declared_and_never_further() -> None:
    units = {"user": "u", "cart": "c"}
    assert unit_of(("anonymous", "user", "cart"), units, {}) == "u"
    assert unit_of(("cart", "user"), units, {}) == "c"
    assert unit_of(("anonymous",), units, {}) == ""
    assert unit_of(("traits.company", "cart"), units, {"traits.company": "acme"}) == "acme"
    assert unit_of(("orders",), {}, {"orders": 3}) == "3"
    assert unit_of(("cart.total", "flag"), {}, {"cart.total": None, "flag": True}) == ""
    assert assign(a_trial(5_000), "", 0, {}) is None


# --- weights ---


def test_the_first_drawn_is_in_proportion_to_its_weight() -> None:
    weights = {"a": 5, "b": 3, "c": 2}
    first = Counter(draw("place", unit, weights)[0] for unit in UNITS)
    assert chi_square(first, {name: weight * len(UNITS) / 10 for name, weight in weights.items()}) < CHI2_999[3]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=1), st.text(max_size=10))
def test_who_joins_or_leaves_changes_nothing_between_the_others(weights: dict[str, int], unit: str) -> None:
    ordered = draw("place", unit, weights)
    assert sorted(ordered) == sorted(weights)
    for gone in weights:
        rest = {name: weight for name, weight in weights.items() if name != gone}
        assert draw("place", unit, rest) == [name for name in ordered if name != gone]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=2), st.text(max_size=10))
def test_more_weight_never_loses_a_place(weights: dict[str, int], unit: str) -> None:
    for name, weight in weights.items():
        before, after = draw("place", unit, weights), draw("place", unit, {**weights, name: weight + 50})
        assert after.index(name) <= before.index(name)
        assert [each for each in after if each != name] == [each for each in before if each != name]


# --- the checkers must notice planted bugs ---


def _same_salt(of: Trial, unit: str, now: int, seen: Mapping[str, str]) -> Assigned | None:
    return assign(trial(msgspec.structs.replace(of, salt="x")), unit, now, seen)


def test_independence_notices_one_salt_for_all() -> None:
    assert the_worst_pair(_same_salt) > 1_000


def test_the_growth_law_notices_plain_ranges_one_after_the_other() -> None:
    def plain(*shares: int) -> Trial:
        of = a_trial(*shares)
        bounds = tuple(itertools.accumulate((*shares, SHARES - sum(shares))))
        return trial(msgspec.structs.replace(of, layout=Layout(bounds, tuple(range(len(bounds))))))

    assert (1, 0) in moved(plain(1_000, 1_000), plain(3_000, 3_000))
