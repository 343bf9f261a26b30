"""Weights, arms, holdouts, caps and previews: what ``decide`` makes of them, against a naive rule."""

import random
from collections import Counter
from typing import Any, NamedTuple

import msgspec
import pytest

from cashwrap import decide as decide_module
from cashwrap.condition import Checked, Environment, Type, check, compile_condition
from cashwrap.decide import NOTHING_KILLED, Kills, decide
from cashwrap.declarations import (
    CapsDecl,
    Condition,
    Declarations,
    ExperienceDecl,
    ExperimentDecl,
    HoldoutDecl,
    LayerDecl,
    Message,
    PlacementDecl,
    Settings,
)
from cashwrap.experiences import Experiences, compile_experiences, slots_of
from cashwrap.experiments import draw, hash_unit
from cashwrap.explain import explain
from cashwrap.model import OUTCOMES, Decision, Exposure, Impressions, Inputs, Purpose, Tenant
from contents import contents_of

NOW = 1_760_000_000_000
ENVIRONMENT = Environment({"device": Type.STRING, "cart.total": Type.MONEY, "orders": Type.NUMBER})
HALF = ExperimentDecl({"main": 5_000, "control": 5_000})
UNITS = [f"anon-{number}" for number in range(400)]


def build(
    *experiences: ExperienceDecl, layers: tuple[str, ...] = (), **settings: Any
) -> tuple[Experiences, Declarations]:
    placements = {name: PlacementDecl(name, "message", format="banner") for name in ("top", "side")}
    if "caps" in settings:
        placements["top"] = PlacementDecl("top", "message", format="banner", caps=settings.pop("caps"))
    declarations = Declarations(
        settings=Settings(**settings),
        placements=placements,
        layers={name: LayerDecl(name) for name in layers},
        experiences={each.name: each for each in experiences},
    )
    conditions = {each.name: check(each.when.text, ENVIRONMENT) if each.when else None for each in experiences}
    return compile_experiences(declarations, conditions, contents_of(declarations), playbook="abc"), declarations


def experience(name: str, when: str | None = None, placement: str = "top", **changes: Any) -> ExperienceDecl:
    names = changes.pop("variations", ("main",))
    variations = {each: Message({"en": f"{name} {each}"}) for each in names}
    return ExperienceDecl(name, placement, Condition(when) if when else None, variations, **changes)  # type: ignore[arg-type]


def inputs(unit: str | None = "anon-1", **changes: Any) -> Inputs:
    given: dict[str, Any] = {
        "now": NOW,
        "tenant": Tenant(),
        "values": {"device": "mobile", "cart.total": 6000, "orders": 3},
        "level": "profile",
        "mask": sum(Purpose),
        "placements": ("top",),
        "units": {"anonymous": unit} if unit else {},
    }
    return Inputs(**(given | changes))


def top(experiences: Experiences, unit: str | None = "anon-1", **changes: Any) -> tuple[str | None, str | None, str]:
    answer = decide(experiences, inputs(unit, **changes)).placements["top"]
    return answer.experience, answer.variation, answer.reason


def exposures(decision: Decision, experiences: Experiences) -> list[tuple[str, str, str, int]]:
    """Experience, arm, outcome and propensity."""
    found = []
    for each in (Exposure(*numbers) for numbers in decision.exposures):
        named = experiences.names.experiences[each.experience]
        found.append((named.name, named.arms[each.arm], OUTCOMES[each.outcome], each.propensity))
    return found


# --- control ---


def test_control_sees_the_default_and_is_exposed_at_the_same_moment() -> None:
    experiences, _ = build(experience("a", experiment=HALF), experience("b"))
    seen = {unit: top(experiences, unit) for unit in UNITS}
    assert set(seen.values()) == {("a", "main", "match"), ("a", "control", "control")}
    for unit, (_, arm, reason) in seen.items():
        decision = decide(experiences, inputs(unit))
        outcome = "shown" if reason == "match" else "control"
        assert exposures(decision, experiences) == [("a", arm, outcome, 5_000)]
        assert (decision.placements["top"].content is None) == (arm == "control")


def test_control_may_see_the_next_that_fits_and_both_are_told() -> None:
    experiences, _ = build(
        experience("a", experiment=msgspec.structs.replace(HALF, control_sees="next")), experience("b")
    )
    in_control = next(unit for unit in UNITS if top(experiences, unit)[0] == "b")
    told = exposures(decide(experiences, inputs(in_control)), experiences)
    assert told == [("a", "control", "control", 5_000), ("b", "main", "shown", 10_000)]


def test_control_alone_answers_where_nothing_else_fits() -> None:
    experiences, _ = build(
        experience("a", experiment=msgspec.structs.replace(HALF, control_sees="next")), experience("b", "orders > 9")
    )
    assert {top(experiences, unit) for unit in UNITS} == {("a", "main", "match"), ("a", "control", "control")}


def test_who_takes_no_part_does_not_see_it_at_all() -> None:
    some = msgspec.structs.replace(HALF, traffic=((0, 3_000),))
    experiences, _ = build(experience("a", experiment=some), experience("b"))
    seen = Counter(top(experiences, unit)[0] for unit in UNITS)
    assert 80 < seen["a"] < 160
    assert seen["a"] + seen["b"] == len(UNITS)
    assert top(experiences, None) == ("b", "main", "match"), "nobody is assigned by chance"


def test_an_arm_without_content_takes_nobody_into_the_test() -> None:
    """Else control would count shoppers whom the treatment cannot reach."""
    declared = experience("a", experiment=HALF)
    declared = msgspec.structs.replace(declared, variations={"main": Message({"en": "Hi {first_name}"})})
    experiences, _ = build(declared)
    assert {top(experiences, unit) for unit in UNITS} == {(None, None, "no_content")}


# --- holdouts, layers, one at a time ---


def test_the_shops_holdout_sees_the_default_everywhere_and_is_told_of_what_it_missed() -> None:
    experiences, _ = build(
        experience("a"), experience("b", placement="side", experiment=HALF), holdout=HoldoutDecl(2_000)
    )
    held = 0
    for unit in UNITS:
        decision = decide(experiences, inputs(unit, placements=None))
        reasons = {answer.reason for answer in decision.placements.values()}
        held += reasons == {"holdout"}
        assert reasons == {"holdout"} or "holdout" not in reasons
        if reasons == {"holdout"}:
            assert all(answer.content is None for answer in decision.placements.values())
            told = [("a", "holdout", "holdout", 2_000), ("b", "holdout", "holdout", 2_000)]
            assert exposures(decision, experiences) == told
    assert 50 < held < 110


def test_experiments_of_a_layer_never_meet() -> None:
    def one(name: str, share: int, place: str) -> ExperienceDecl:
        return experience(
            name, placement=place, experiment=ExperimentDecl(HALF.arms, layer="checkout", traffic=((0, share),))
        )

    experiences, _ = build(one("a", 6_000, "top"), one("b", 4_000, "side"), layers=("checkout",))
    seen = Counter()
    for unit in UNITS:
        decision = decide(experiences, inputs(unit, placements=None))
        seen[tuple(sorted({name for name, *_ in exposures(decision, experiences)}))] += 1
    assert set(seen) == {("a",), ("b",)}
    assert 200 < seen["a",] < 280


def test_one_experiment_a_shopper_if_the_shop_says_so() -> None:
    tests = [experience(name, placement=place, experiment=HALF) for name, place in (("a", "top"), ("b", "side"))]
    experiences, _ = build(*tests, one_experiment_per_shopper=True)
    seen = Counter[Any]()
    for unit in UNITS:
        told = exposures(decide(experiences, inputs(unit, placements=None)), experiences)
        seen[tuple(name for name, *_ in told)] += 1
    assert set(seen) == {("a",), ("b",)}
    assert min(seen.values()) > 150
    a_first = inputs("anon-1", placements=None, arms={"b": "main"})
    assert exposures(decide(experiences, a_first), experiences) == [("b", "main", "shown", 5_000)], (
        "the one already seen"
    )


# --- caps ---


def test_what_was_shown_often_enough_gives_way_and_leaves_a_ghost() -> None:
    experiences, _ = build(experience("a", caps=CapsDecl(session=1)), experience("b"))
    seen = {"experience:a": Impressions([NOW - 10], 1)}
    assert top(experiences) == ("a", "main", "match")
    decision = decide(experiences, inputs(impressions=seen))
    assert decision.placements["top"].experience == "b"
    assert exposures(decision, experiences) == [("a", "main", "capped", 10_000), ("b", "main", "shown", 10_000)]
    assert top(experiences, impressions=seen, session_start=NOW - 5) == ("a", "main", "match")


def test_a_cap_in_a_test_shows_what_control_sees() -> None:
    experiences, _ = build(experience("a", caps=CapsDecl(shopper=1), experiment=HALF), experience("b"))
    seen = {"experience:a": Impressions([NOW - 10], 1)}
    found = {top(experiences, unit, impressions=seen) for unit in UNITS}
    assert found == {("a", "main", "capped"), ("a", "control", "control")}


def test_caps_of_placement_format_and_everything_reach_all_their_experiences() -> None:
    caps = {"banner": CapsDecl(day=3), "all": CapsDecl(day=9)}
    experiences, _ = build(experience("a"), experience("b", placement="side"), attention=caps, caps=CapsDecl(day=1))
    assert experiences.names.experiences[0].counted == ("placement:top", "format:banner", "all")
    assert experiences.names.experiences[1].counted == ("format:banner", "all")
    for key, count, expected in (("placement:top", 1, {"top"}), ("format:banner", 3, {"top", "side"}), ("all", 9, {"top", "side"})):  # fmt: skip  # noqa: E501
        seen = {key: Impressions([NOW - 1] * count, count)}
        found = decide(experiences, inputs(impressions=seen, placements=None)).placements
        assert {name for name, answer in found.items() if answer.reason == "capped"} == expected


@pytest.mark.parametrize(
    ("caps", "why"),
    [
        (CapsDecl(session=1), "experience a was shown as often as it may be in one visit (session: 1)"),
        (CapsDecl(day=1), "experience a was shown as often as it may be in 24 hours (day: 1)"),
        (CapsDecl(shopper=1), "experience a was shown as often as it may ever be (shopper: 1)"),
        (CapsDecl(cool_down=1_000), "experience a was sent away, and its quiet is not over (cool_down)"),
    ],
)
def test_an_explanation_names_the_limit(caps: CapsDecl, why: str) -> None:
    experiences, _ = build(experience("a", caps=caps))
    seen = {"experience:a": Impressions([NOW - 10], 1, NOW - 5)}
    [told] = explain(experiences, inputs(impressions=seen))["top"].considered
    assert (told.outcome, told.why) == ("capped", why)


# --- weights ---


def test_weights_share_a_placement_out_and_stay() -> None:
    experiences, _ = build(
        experience("a", weight=3),
        experience("b", weight=1),
        experience("last", priority=-1),
        experience("c", "orders > 9"),
    )
    seen = Counter(top(experiences, unit)[0] for unit in UNITS)
    assert set(seen) == {"a", "b"}
    assert 260 < seen["a"] < 340
    for unit in UNITS[:50]:
        name = top(experiences, unit)[0]
        assert top(experiences, unit)[0] == name
        told = exposures(decide(experiences, inputs(unit)), experiences)
        assert told == [(name, "main", "shown", 7_500 if name == "a" else 2_500)]
    assert top(experiences, None)[0] == "a", "without a unit, as written"


# --- previews, quiet ---


def test_a_preview_shows_what_it_names_and_counts_for_nobody() -> None:
    experiences, _ = build(experience("a", "orders > 9", experiment=HALF, priority=-5), experience("b"))
    decision = decide(experiences, inputs(forced={"a": "main"}))
    assert decision.placements["top"].reason == "preview"
    assert b"a main" in bytes(decision.placements["top"].content or b"")
    assert decision.exposures == ()
    assert top(experiences, forced={"a": "control"}) == ("a", "control", "preview")
    assert top(experiences, forced={"other": "main"}) == ("b", "main", "match")


def test_nothing_changes_around_who_types_payment_data() -> None:
    experiences, _ = build(experience("a"))
    assert top(experiences, quiet=True) == (None, None, "quiet")


# --- against the naive rule ---


class Naive(NamedTuple):
    """The rule, as a person would follow it: no index, no shortcuts."""

    declared: Declarations
    conditions: dict[str, Checked | None]

    def top(self, case: Inputs, kills: Kills) -> tuple[str | None, str | None, str]:
        unit = case.units.get("anonymous", "")
        held = unit and hash_unit("holdout", unit) % 10_000 < self.declared.settings.holdout.share
        ghost = None
        killed = False
        for each in self.order(case, unit, kills):
            if each.name in kills.experiences:
                killed = killed or ghost is None
                continue
            arm = self.arm(each, case, unit)
            if arm is None:
                continue
            if held:
                return each.name, "holdout", "holdout"
            shows_next = each.experiment is None or each.experiment.control_sees == "next"
            if arm == "control":
                kept_back = each.name, arm, "control"
            elif self.capped(each, case):
                kept_back = each.name, arm, "capped"
            else:
                return each.name, arm, "match"
            ghost = ghost or kept_back
            if not shows_next:
                return kept_back
        return ghost or (None, None, "killed" if killed else "no_match")

    def order(self, case: Inputs, unit: str, kills: Kills) -> list[ExperienceDecl]:
        true = [each for each in self.declared.experiences.values() if self.holds(each, case)]
        true.sort(key=lambda each: -each.priority)
        ordered: list[ExperienceDecl] = []
        while true:
            group = [true.pop(0)]
            while group[0].weight and true and true[0].weight and true[0].priority == group[0].priority:
                group.append(true.pop(0))
            if unit and len(group) > 1:
                alive = {each.name: each for each in group if each.name not in kills.experiences}
                first = draw("top", unit, {name: each.weight for name, each in alive.items()})
                group = [*(alive[name] for name in first), *(each for each in group if each.name not in alive)]
            ordered += group
        return ordered

    def holds(self, each: ExperienceDecl, case: Inputs) -> bool:
        condition = self.conditions[each.name]
        return condition is None or compile_condition(condition)(case.values) is True

    def arm(self, each: ExperienceDecl, case: Inputs, unit: str) -> str | None:
        experiment = each.experiment
        if experiment is None:
            return "main"
        share = experiment.traffic[0][1]
        if not share:
            return None
        if each.name in case.arms:
            return case.arms[each.name]
        if not unit:
            return None
        hashed = hash_unit(each.name, unit)
        place = hashed % 10_000
        if experiment.layer is not None:
            slot = slots_of(self.declared)[each.name]
            place = hash_unit(f"layer:{experiment.layer}", unit) % 10_000 - slot.start
        if not 0 <= place < share:
            return None
        return "main" if hashed // 10_000 / (2**32 / 10_000) < experiment.arms["main"] / 10_000 else "control"

    def capped(self, each: ExperienceDecl, case: Inputs) -> bool:
        seen = case.impressions.get(f"experience:{each.name}")
        return seen is not None and each.caps.shopper is not None and seen.count >= each.caps.shopper


def random_shop(rng: random.Random) -> tuple[Experiences, Naive]:
    declared = []
    for number in range(rng.randint(1, 7)):
        experiment = None
        if rng.random() < 0.5:
            share = rng.choice([0, 3_000, 10_000])
            layer = "one" if rng.random() < 0.3 and share < 10_000 else None
            arms = {"main": rng.choice([2_000, 5_000]), "control": 0}
            arms["control"] = 10_000 - arms["main"]
            experiment = ExperimentDecl(
                arms, traffic=((0, share),), layer=layer, control_sees=rng.choice(["default", "next"])
            )
        declared.append(
            experience(
                f"e{number}",
                rng.choice([None, 'device == "mobile"', "orders > 3 || cart.total > 50", "!(orders > 3)", "false"]),
                priority=rng.choice([0, 0, 1]),
                weight=rng.choice([0, 1, 2]),
                caps=CapsDecl(shopper=rng.choice([None, 1])),
                experiment=experiment,
            )
        )
    experiences, declarations = build(*declared, layers=("one",), holdout=HoldoutDecl(rng.choice([0, 3_000])))
    conditions = {each.name: check(each.when.text, ENVIRONMENT) if each.when else None for each in declared}
    return experiences, Naive(declarations, conditions)


def random_case(rng: random.Random) -> Inputs:
    values = {"device": "mobile", "cart.total": rng.choice([1_000, 9_000]), "orders": rng.randint(0, 6)}
    return inputs(
        rng.choice([None, *UNITS[:30]]),
        values={name: value for name, value in values.items() if rng.random() < 0.8},
        arms={f"e{rng.randint(0, 6)}": rng.choice(["main", "control"])} if rng.random() < 0.3 else {},
        impressions={f"experience:e{number}": Impressions([NOW - 1], 1) for number in range(7) if rng.random() < 0.3},
    )


def the_naive_rule_agrees(shops: int = 400) -> None:
    rng = random.Random(3)
    for _ in range(shops):
        experiences, naive = random_shop(rng)
        for _ in range(8):
            case = random_case(rng)
            kills = Kills(experiences=frozenset({f"e{rng.randint(0, 6)}"})) if rng.random() < 0.3 else NOTHING_KILLED
            answer = decide(experiences, case, kills=kills).placements["top"]
            found = answer.experience, answer.variation, answer.reason
            assert found == naive.top(case, kills), (naive.declared.experiences, case, kills)
            assert explain(experiences, case, kills=kills)["top"].answer == answer, "who asks why changes nothing"


def test_decisions_agree_with_the_naive_rule() -> None:
    the_naive_rule_agrees()


def _never_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_module.attention, "reached", lambda *_: None)


def _everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    assign = decide_module.assign
    monkeypatch.setattr(decide_module, "assign", lambda trial, unit, now, seen: assign(trial, unit, now, {}))


def _no_holdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_module, "in_holdout", lambda *_: False)


@pytest.mark.parametrize("plant", [_never_capped, _everybody, _no_holdout])
def test_the_naive_rule_notices_a_planted_bug(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        the_naive_rule_agrees()
