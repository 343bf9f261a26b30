"""What ``check`` warns of is so: no shopper, sampled at every threshold, is a counter-example."""

import itertools
import random
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from cashwrap.adapters.system import SystemClock
from cashwrap.condition import Node, compile_condition
from cashwrap.condition.check import check
from cashwrap.condition.environment import Environment, Type
from cashwrap.decide import decide
from cashwrap.model import Inputs, Tenant, Value
from cashwrap.playbook import Fault, Playbook, boxes, examine, lint
from cashwrap.playbook.boxes import Boxes, within
from cashwrap.playbook.starter import starter_files

NOW = 1_780_000_000_000
LEAVES = [
    *(f"cart.total {op} {limit}" for op in ("<", "<=", ">", ">=", "==") for limit in ("9.99", "10", "50")),
    *(f"cart.count {op} {limit}" for op in ("<", ">=", "!=") for limit in (0, 1, 3)),
    *(f'device.type == "{name}"' for name in ("mobile", "desktop")),
    *(f"time.hour {op} {hour}" for op in ("<", ">=") for hour in (0, 9, 18, 23, 24)),
    *(f"time.weekday in {days}" for days in ("[1, 2]", "[6, 7]", "[8]")),
    *(f'"{name}" in cart.categories' for name in ("a", "b")),
    *(f'page.path.startsWith("{start}")' for start in ("/", "/a")),
    'page.path.contains("a")',
    'app.version >= version("2.10")',
    'app.version < version("2.9")',
    'location.country in ["DE", "AT"]',
    'location.country != "DE"',
    "size(cart.categories) > 1",
    "has(cart.total)",
    "(has(cart.total) || !has(cart.total))",
    "has(app.version)",
    "has(cart.categories)",
    *(f'now {op} timestamp("2026-05-28T20:26:{second}Z")' for op in ("<", ">=") for second in (39, 40, 41)),
    "checkout.step == page.path",
    *(f'"s{number}" in segments' for number in range(3)),
]  # fmt: skip
VALUES: dict[str, list[Value | None]] = {
    "cart.total": [None, 0, 998, 999, 1000, 1001, 4999, 5000, 5001],
    "cart.count": [None, 0, 1, 2, 3, 4],
    "device.type": [None, "mobile", "desktop", "other"],
    "time.hour": [None, 0, 8, 9, 17, 18, 22, 23],
    "time.weekday": [None, 1, 2, 3, 6, 7],
    "cart.categories": [None, frozenset(), frozenset("a"), frozenset("b"), frozenset("ab"), frozenset("abc")],
    "page.path": [None, "", "/", "/a", "/b", "/ba", "x"],
    "app.version": [None, "2.8", "2.9", "2.9.1", "2.10", "3", "odd"],
    "location.country": [None, "DE", "AT", "FR"],
    "now": [NOW, NOW + 1, NOW + 999, NOW + 1000],
    "checkout.step": [None, "/a", "x"],
}


def condition(rng: random.Random, depth: int = 2) -> str:
    if depth == 0 or rng.random() < 0.3:
        leaf = rng.choice(LEAVES)
        return f"!({leaf})" if rng.random() < 0.25 else leaf
    parts = [condition(rng, depth - 1) for _ in range(rng.randrange(2, 4))]
    return f"({rng.choice([' && ', ' || ']).join(parts)})"


def experience(rng: random.Random, number: int) -> Iterator[str]:
    """Half of them plain; the others with whatever may keep an experience back."""
    yield f"  e{number}:\n    in: spot\n    when: '{condition(rng)}'\n    priority: {rng.randrange(3)}\n"
    yield f'    show: {{text: {{en: "{"Hello" if rng.random() < 0.7 else "{first_name}"}"}}}}\n'
    yield rng.choice(["", "", "", "    weight: 2\n", "    attention: {day: 1}\n", "    experiment: {control: 50%}\n"])


def written(seed: int) -> str:
    rng = random.Random(seed)
    lines = ["traits: {first_name: text}\nplacements:\n  spot: {component: message}\nsegments:\n"]
    for number in range(3):
        leaf = rng.choice([leaf for leaf in LEAVES if "segments" not in leaf])
        when = f"{leaf} && {rng.choice(LEAVES[:30])}"
        lines.append(f"  s{number}:\n    description: some\n    when: '{when}'\n")
    lines.append("experiences:\n")
    lines += [part for number in range(8) for part in experience(rng, number)]
    return "".join(lines)


def compiled(text: str) -> Playbook:
    playbook, faults = examine({"a.yaml": text})
    assert playbook is not None, faults
    return playbook


def shoppers(rng: random.Random, count: int) -> Iterator[dict[str, Value]]:
    for _ in range(count):
        drawn = {name: rng.choice(values) for name, values in VALUES.items()}
        yield {name: value for name, value in drawn.items() if value is not None}


def inputs(values: dict[str, Value], number: int) -> Inputs:
    return Inputs(NOW, Tenant(), values, "profile", 255, None, units={"anonymous": f"shopper-{number}"})


def counter_example(seed: int) -> str:
    """A shopper who contradicts a warning, as text; empty where there is none."""
    playbook = compiled(written(seed))
    told: dict[str, str] = {}
    for fault in lint.lint(playbook, NOW):
        name = fault.message.split("'")[1]
        told[f"segments.{name}" if "segment" in fault.message.split("'")[0] else name] = fault.code
    for number, values in enumerate(shoppers(random.Random(seed), 300)):
        playbook.segments.evaluate(values, {})
        won = decide(playbook.experiences, inputs(values, number)).placements["spot"].experience
        for name, code in told.items():
            declared = [each for each in playbook.experiences.ordered if each.name == name]
            checked = declared[0].condition if declared else None
            result = compile_condition(checked)(values) if checked is not None else values.get(name)
            if code in {"never_true", "empty_segment"} and result is True:
                return f"{name} {code}: {values}"
            if code == "always_true" and result is not True:
                return f"{name} {code}: {values}"
            if code in {"shadowed", "duplicate_condition"} and won == name:
                return f"{name} {code}: {values}"
    return ""


@pytest.mark.parametrize("start", range(0, 120, 20))
def test_no_shopper_contradicts_a_warning(start: int) -> None:
    for seed in range(start, start + 20):
        assert counter_example(seed) == "", f"seed {seed}"


def test_the_sample_has_every_warning() -> None:
    """Else the test above would prove nothing."""
    codes = {fault.code for seed in range(120) for fault in lint.lint(compiled(written(seed)), NOW)}
    assert codes >= {"never_true", "empty_segment", "shadowed", "always_true"}


# --- exactness: with tests of one attribute only, what is never true is told ---

SMALL: dict[str, tuple[Type, list[Value | None], list[str]]] = {
    "a": (Type.NUMBER, [None, 0, 1, Decimal("1.5"), 2, 3], ["a > 1", "a < 2", "a == 1", "has(a)", "a in [1, 2]"]),
    "b": (Type.STRING, [None, "x", "xa", "y", "z"], ['b == "x"', 'b != "y"', 'b.startsWith("x")', "has(b)"]),
    "c": (Type.BOOL, [None, True, False], ["c", "c == false", "has(c)"]),
}


def nested(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(["", "!"]) + f"({rng.choice([leaf for _, _, tests in SMALL.values() for leaf in tests])})"
    return f"({rng.choice([' && ', ' && ', ' || ']).join(nested(rng, depth - 1) for _ in range(3))})"


def test_what_is_never_true_is_found() -> None:
    names = Environment({name: kind for name, (kind, _, _) in SMALL.items()})
    rows = list(itertools.product(*(values for _, values, _ in SMALL.values())))
    empty = 0
    for seed in range(300):
        checked = check(nested(random.Random(seed), 2), names)
        holds = compile_condition(checked)
        true = [holds(dict(zip(SMALL, row, strict=True))) is True for row in rows]
        found = Boxes([checked.node], {}, frozenset()).of(checked.node)
        assert found is not None
        assert (found == []) == (not any(true)), checked.source
        assert found != [{}] or all(true), checked.source
        empty += found == []
    assert 20 < empty < 280


# --- planted bugs: each makes the linter say what is not so ---


def planted_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "within", lambda box, other: within(other, box))


def planted_unknown_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Boxes._settle

    def settle(self: Boxes, same: list[Node], axis: int, places: tuple[int, int]) -> None:
        original(self, same, axis, (self._full[axis] & ~places[1], places[1]))

    monkeypatch.setattr(Boxes, "_settle", settle)


def planted_short_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "_RANGES", {"time.hour": (0, 17), "time.weekday": (1, 5)})


def planted_whole_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "_ceiling", lambda point: int(point) - 1)


def planted_blind_to_what_keeps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint._Placement, "always_wins", lambda *_: True)


def planted_one_alternative_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Boxes.of

    def of(self: Boxes, node: object) -> object:
        found = original(self, node)  # type: ignore[arg-type]
        return found[:1] if found else found

    monkeypatch.setattr(Boxes, "of", of)


@pytest.mark.parametrize(
    "plant",
    [
        planted_backwards,
        planted_unknown_is_false,
        planted_short_days,
        planted_whole_amounts,
        planted_blind_to_what_keeps_back,
        planted_one_alternative_is_enough,
    ],
)
def test_planted_bugs_have_counter_examples(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(counter_example(seed) for seed in range(120))


# --- what each warning looks like ---

HEAD = "placements:\n  spot: {component: message}\nexperiences:\n"


def told(text: str, now: int = NOW) -> list[str]:
    return [f"{fault.line} {fault.code}" for fault in lint.lint(compiled(text), now)]


def shown(name: str, *more: str) -> str:
    return "".join([f"  {name}:\n", *(f"    {line}\n" for line in ("in: spot", *more, "show: {text: {en: Hello}}"))])


def test_each_warning_at_its_place() -> None:
    text = (
        "segments:\n  none:\n    description: nobody\n    when: cart.count < 0\n"
        + HEAD
        + shown("first", "when: cart.count > 2", "priority: 9")
        + shown("again", "when: '!(cart.count <= 2)'")
        + shown("narrow", 'when: cart.count > 5 && device.type == "mobile"')
        + shown("never", "when: cart.total > 5 && cart.total < 5.01 && cart.count > 0")
        + shown("empty", "when: '\"none\" in segments'")
        + shown("always", "when: has(cart.total) || !has(cart.total)")
        + shown("last")
    )
    assert told(text) == [
        "4 empty_segment",
        "15 duplicate_condition",
        "19 shadowed",
        "23 never_true",
        "27 never_true",
        "31 always_true",
        "33 duplicate_condition",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("attention: {session: 1}", "priority: -1"),
        ("experiment: {control: 10%}", "priority: -1"),
        ("weight: 1", "weight: 9"),
        ("enabled: false", "priority: -1"),
        ("priority: -1", "when: cart.count > 1"),
        ("when: cart.count > 0", "when: cart.count >= 0"),
        ("when: cart.total > 0", "when: cart.count > 0"),
    ],
)
def test_nothing_is_said_of_what_can_win(first: str, second: str) -> None:
    assert told(HEAD + shown("a", first) + shown("b", second)) == []


def test_a_fallback_for_a_text_that_needs_a_name_is_no_duplicate() -> None:
    named = shown("a", "when: cart.count > 1").replace("Hello", '"Hello, {first_name}"')
    assert told("traits: {first_name: text}\n" + HEAD + named + shown("b", "when: cart.count > 1")) == []


def test_a_text_that_lacks_the_shops_language_does_not_win_everywhere() -> None:
    assert told(HEAD + shown("a").replace("en:", "de:") + shown("b")) == []


def test_schedules_and_experiments_that_are_over() -> None:
    ended = "schedule: {from: 2026-01-01T00:00, until: 2026-02-01T00:00}"
    text = HEAD + shown("old", ended) + shown("new", ended.replace("2026", "2096"))
    assert told(text) == ["4 schedule_over"]
    ramp = "experiment: {control: 50%, traffic: {start: 1%, 2026-01-01: 0%}}"
    assert told(HEAD + shown("a", ramp)) == ["4 unreachable_variation"]
    assert told(HEAD + shown("a", ramp), now=0) == []
    assert told(HEAD + shown("a", "experiment: {control: 100%}")) == ["4 unreachable_variation"]
    assert told(HEAD + shown("a", "experiment: {control: 50%, holdout: 100%}")) == ["4 unreachable_variation"]


def test_a_condition_that_only_held_in_the_past_is_never_true_again() -> None:
    text = HEAD + shown("a", 'when: now < timestamp("2026-02-01T00:00:00Z") || cart.count < 0')
    assert told(text) == ["6 never_true"]
    assert told(text, now=0) == []


def test_a_shoppers_own_clock_ends_last_in_the_west() -> None:
    text = HEAD + shown("a", "schedule: {until: 2026-02-01T00:00, zone: shopper}")
    midnight = 1_769_904_000_000
    assert told(text, now=midnight + 12 * 3_600_000 - 1) == []
    assert told(text, now=midnight + 12 * 3_600_000) == ["4 schedule_over"]


def test_a_condition_too_large_is_left_alone() -> None:
    wide = " && ".join(f'(page.path.contains("{n}") || page.type.contains("{n}"))' for n in range(7))
    assert told(HEAD + shown("a", f"when: '{wide}'")) == []


def test_what_was_not_compared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "MAX_COMPARISONS", 10)
    many = "".join(shown(f"e{number}", f"when: cart.count > {100 - number}") for number in range(30))
    assert told(HEAD + many) == ["2 not_compared"]


def test_the_starter_is_clean() -> None:
    playbook, _ = examine({name: text for name, text in starter_files().items() if "/" not in name})
    assert playbook is not None
    assert lint.lint(playbook, SystemClock().now()) == ()


def test_a_warning_is_a_fault_of_the_playbook() -> None:
    (fault,) = lint.lint(compiled(HEAD + shown("a") + shown("b")), NOW)
    assert fault == Fault("a.yaml", 7, 3, "duplicate_condition", fault.message, "warning")
