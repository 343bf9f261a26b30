"""One winner per placement, the shop's default at worst, the same bytes for the same inputs."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contents
from cashwrap import decide as decide_module
from cashwrap import experiences as experiences_module
from cashwrap.condition import Checked, Environment, Type, check, compile_condition
from cashwrap.condition.index import Index
from cashwrap.content import Ineligible, Rendering
from cashwrap.decide import NOTHING_KILLED, Kills, decide, defaults, encode_answer
from cashwrap.declarations import (
    Condition,
    Declarations,
    ExperienceDecl,
    Field,
    Installments,
    Layout,
    Message,
    Options,
    PlacementDecl,
)
from cashwrap.errors import ContentError
from cashwrap.experiences import Experience, Experiences, Variation, compile_experiences
from cashwrap.explain import explain
from cashwrap.model import Answer, Inputs, Purpose, Tenant
from contents import contents_of

ENVIRONMENT = Environment(
    {"device": Type.STRING, "cart.total": Type.MONEY, "orders": Type.NUMBER}, segments=frozenset({"vip"})
)
CONDITIONS = [
    None, 'device == "mobile"', 'device != "mobile"', "cart.total > 50", "orders >= 3 || cart.total > 100",
    '"vip" in segments', '!("vip" in segments)', "!(orders < 3) && cart.total < 200", "has(orders)", "false",
]  # fmt: skip
TEXTS = [
    {"en": "plain", "de": "schlicht"},
    {"fr": "only French"},
    {"en": "{first_name}"},
    {"en": "{cart.total, money} of {orders, plural, one {# order} other {# orders}}"},
]


def build(experiences: list[ExperienceDecl], placements: list[PlacementDecl] | None = None) -> Experiences:
    found = placements or [PlacementDecl(name, "message") for name in ("top", "side")]
    declarations = Declarations(
        placements={each.name: each for each in found}, experiences={each.name: each for each in experiences}
    )
    return compile_experiences(declarations, conditions_of(experiences), contents_of(declarations), playbook="abc")


def conditions_of(experiences: list[ExperienceDecl]) -> dict[str, Checked | None]:
    return {each.name: check(each.when.text, ENVIRONMENT) if each.when else None for each in experiences}


def experience(name: str, when: str | None = None, placement: str = "top", **changes: Any) -> ExperienceDecl:
    show = changes.pop("show", Message({"en": name}))
    given: dict[str, Any] = {"variations": {"main": show}} | changes
    return ExperienceDecl(name, placement, Condition(when) if when is not None else None, **given)


def inputs(**changes: Any) -> Inputs:
    given: dict[str, Any] = {
        "now": 1_760_000_000_000,
        "tenant": Tenant(),
        "values": {"device": "mobile", "cart.total": 6000, "orders": 3},
        "level": "profile",
        "mask": sum(Purpose),
        "placements": None,
        "units": {"anonymous": "u"},
    }
    return Inputs(**(given | changes))


def shown(experiences: Experiences, kills: Kills = NOTHING_KILLED, **changes: Any) -> dict[str, tuple[str | None, str]]:
    found = decide(experiences, inputs(**changes), kills=kills).placements
    return {name: (answer.experience, answer.reason) for name, answer in found.items()}


# --- who wins ---


def test_priority_wins_then_the_order_written() -> None:
    experiences = build([experience("a"), experience("b", priority=5), experience("c", priority=5)])
    assert shown(experiences)["top"] == ("b", "match")
    assert shown(experiences)["side"] == (None, "no_match")


def test_unknown_is_not_true_even_negated() -> None:
    experiences = build([experience("a", 'device != "mobile"'), experience("b", '!(device == "mobile")')])
    assert shown(experiences, values={})["top"] == (None, "no_match")
    assert shown(experiences, values={"device": "tablet"})["top"] == ("a", "match")


def test_what_cannot_be_written_falls_to_the_next_that_fits() -> None:
    first = experience("a", show=Message({"en": "Hi {first_name}"}))
    assert shown(build([first, experience("b")]))["top"] == ("b", "match")
    assert shown(build([first]))["top"] == (None, "no_content")
    assert shown(build([first]), values={"traits.first_name": "Ada"})["top"] == ("a", "match")


def test_a_disabled_experience_is_not_there_and_numbers_do_not_shift() -> None:
    experiences = build([experience("a", enabled=False), experience("b")])
    decision = decide(experiences, inputs())
    assert decision.placements["top"].experience == "b"
    assert decision.exposures == ((0, 1),)


def test_only_the_placements_asked_for_and_unknown_ones_say_so() -> None:
    experiences = build([experience("a")])
    assert shown(experiences, placements=("top", "nowhere")) == {
        "top": ("a", "match"),
        "nowhere": (None, "no_such_placement"),
    }
    assert shown(experiences, placements=()) == {}


def test_a_content_that_is_wrong_is_refused_when_compiled() -> None:
    with pytest.raises(ContentError) as caught:
        build([experience("a", show=Message({"en": "Hi {"}))])
    assert (caught.value.where, caught.value.offset) == ("text.en", 4)


# --- consent and levels ---


def test_without_the_purpose_a_placement_needs_it_stays_default() -> None:
    placements = [PlacementDecl("top", "message", purpose=Purpose.ADVERTISING), PlacementDecl("side", "message")]
    experiences = build([experience("a"), experience("b", placement="side")], placements)
    found = shown(experiences, mask=int(Purpose.PERSONALIZATION))
    assert found == {"top": (None, "no_consent"), "side": ("b", "match")}


def test_instalments_need_credit() -> None:
    experiences = build([experience("a", show=Installments(3))])
    assert shown(experiences)["top"] == ("a", "match")
    assert shown(experiences, mask=int(Purpose.PERSONALIZATION))["top"] == (None, "no_consent")


def test_at_level_default_nothing_is_decided() -> None:
    decision = decide(build([experience("a")]), inputs(level="default"))
    assert {answer.reason for answer in decision.placements.values()} == {"no_consent"}
    assert decision.level == "default"


def test_defaults_for_one_reason() -> None:
    decision = defaults(build([]), ("top", "nowhere"), "late", degraded=True)
    reasons = {name: answer.reason for name, answer in decision.placements.items()}
    assert reasons == {"top": "late", "nowhere": "no_such_placement"}
    assert decision.degraded


# --- kill switch ---


@pytest.mark.parametrize(
    ("kills", "top", "side"),
    [
        (Kills(), ("a", "match"), ("c", "match")),
        (Kills(everything=True), (None, "killed"), (None, "killed")),
        (Kills(placements=frozenset({"top"})), (None, "killed"), ("c", "match")),
        (Kills(experiences=frozenset({"a"})), ("b", "match"), ("c", "match")),
        (Kills(experiences=frozenset({"a", "b"})), (None, "killed"), ("c", "match")),
        (Kills(experiences=frozenset({"unknown"})), ("a", "match"), ("c", "match")),
    ],
)
def test_kill_switch(kills: Kills, top: tuple[str | None, str], side: tuple[str | None, str]) -> None:
    experiences = build([experience("a"), experience("b"), experience("c", placement="side")])
    shown(experiences)  # what was remembered before must not survive the switch
    assert shown(experiences, kills) == {"top": top, "side": side}


# --- nothing breaks a checkout ---


def broken(experiences: Experiences, name: str) -> Experiences:
    """The same with one rendering that fails."""

    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    ordered = tuple(
        msgspec.structs.replace(each, variations=(Variation("main", Rendering(fail)),)) if each.name == name else each
        for each in experiences.ordered
    )
    return msgspec.structs.replace(experiences, ordered=ordered)


def test_one_broken_rendering_costs_its_own_placement_the_default() -> None:
    experiences = broken(build([experience("a"), experience("b"), experience("c", placement="side")]), "a")
    decision = decide(experiences, inputs())
    assert decision.placements["top"] == Answer(None, None, None, "error")
    assert decision.placements["side"].experience == "c"
    assert decision.degraded
    assert not decide(experiences, inputs(placements=("side",))).degraded
    assert explain(experiences, inputs())["top"].considered[0].outcome == "error"


def test_broken_values_cost_every_placement_the_default() -> None:
    class Broken(dict[str, Any]):
        def get(self, *_: object) -> Any:
            raise OSError

    decision = decide(build([experience("a", "orders > 1")]), inputs(values=Broken()))
    assert {answer.reason for answer in decision.placements.values()} == {"error"}
    assert decision.degraded


# --- same inputs, same bytes ---


def random_playbook(rng: random.Random) -> list[ExperienceDecl]:
    return [
        experience(
            f"e{number}",
            rng.choice(CONDITIONS),
            rng.choice(["top", "side"]),
            priority=rng.choice([0, 0, 1, 2]),
            enabled=rng.random() < 0.9,
            show=Message(rng.choice(TEXTS)),
        )
        for number in range(rng.randint(0, 15))
    ]


def random_inputs(rng: random.Random) -> Inputs:
    values = {
        "device": rng.choice(["mobile", "desktop"]),
        "cart.total": rng.choice([0, 5001, 20_000, "5001"]),
        "orders": rng.choice([0, 3]),
        "segments.vip": rng.choice([True, False]),
        "traits.first_name": rng.choice(["Ada", "<b>"]),
    }
    kept = {name: value for name, value in values.items() if rng.random() < 0.7}
    return inputs(values=kept, locale=rng.choice(["", "de-AT", "en", "fr"]))


def random_kills(rng: random.Random) -> Kills:
    return Kills(
        placements=frozenset(["side"] if rng.random() < 0.1 else []),
        experiences=frozenset(f"e{number}" for number in range(15) if rng.random() < 0.1),
    )


def naive(declared: list[ExperienceDecl], case: Inputs, kills: Kills) -> dict[str, tuple[str | None, str]]:
    """The rule in words: of the enabled ones, by priority and order, the first that is true, alive and can be said."""
    found = {}
    for placement in ("top", "side"):
        result: tuple[str | None, str] = (None, "killed" if placement in kills.placements else "no_match")
        listed = [each for each in declared if each.placement == placement and each.enabled]
        for each in sorted(listed, key=lambda each: -each.priority):
            condition = conditions_of([each])[each.name]
            if placement in kills.placements or (condition and compile_condition(condition)(case.values) is not True):
                continue
            alone = build([each]).ordered[0].variations[0].content.render(case, decide_module.NO_CATALOGUE)
            reason = "killed" if each.name in kills.experiences else "no_content"
            if reason != "killed" and not isinstance(alone, Ineligible):
                result = (each.name, "match")
                break
            result = result if result[1] != "no_match" else (None, reason)
        found[placement] = result
    return found


def agree(seed: int, count: int) -> int:
    """Compares with the naive rule, and each decision with itself again; how many placements matched."""
    rng, matches = random.Random(seed), 0
    for _ in range(count):
        declared = random_playbook(rng)
        experiences, again = build(declared), build(declared)
        for _ in range(5):
            case, kills = random_inputs(rng), random_kills(rng)
            decision = decide(experiences, case, kills=kills)
            found = {name: (answer.experience, answer.reason) for name, answer in decision.placements.items()}
            assert found == naive(declared, case, kills)
            fresh = msgspec.structs.replace(case, values=dict(reversed(case.values.items())))
            once, twice = decision, decide(again, fresh, kills=kills)
            assert encode_answer(once, "d", "t") == encode_answer(twice, "d", "t")
            explained = explain(experiences, case, kills=kills)
            for name, answer in decision.placements.items():
                winners = [each.experience for each in explained[name].considered if each.outcome == "shown"]
                assert winners == ([answer.experience] if answer.experience else [])
            matches += sum(reason == "match" for _, reason in found.values())
    return matches


def test_decisions_agree_with_the_naive_rule() -> None:
    assert agree(seed=1, count=60) > 100


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_decisions_agree_with_the_naive_rule_anywhere(seed: int) -> None:
    agree(seed, count=1)


def test_what_is_remembered_is_bounded_and_by_locale() -> None:
    experiences = build([experience("a", show=Message({"en": "yes", "de": "ja"}))])
    for number in range(100):
        decide(experiences, inputs(locale=f"en-{number:03}"))
    found = [decide(experiences, inputs(locale=tag)).placements["top"].content for tag in ("de", "en", "de-CH")]
    assert [msgspec.json.decode(each)["text"] for each in found if each] == ["ja", "yes", "ja"]
    assert len(experiences.ordered[0].recent) <= 16


# --- the answer as bytes ---


def test_the_answer_has_the_shape_of_the_contract() -> None:
    placements = [
        PlacementDecl("methods", "options", "payment_methods"),
        PlacementDecl("box", "field"),
        PlacementDecl("look", "layout"),
    ]
    experiences = build(
        [
            experience("first", placement="methods", show=Options(first=("b",))),
            experience("fold", placement="box", show=Field("collapse")),
            experience("dark", "false", placement="look", show=Layout({"mode": "dark"})),
        ],
        placements,
    )
    decision = decide(experiences, inputs(payment_methods=("a", "b")))
    assert msgspec.json.decode(encode_answer(decision, "d1", "t1", degraded=True)) == {
        "decisionId": "d1",
        "playbook": "abc",
        "placements": {
            "methods": {
                "experience": "first",
                "variation": "main",
                "content": {"type": "options", "options": [{"id": "b"}, {"id": "a"}], "hidden": []},
                "reason": "match",
            },
            "box": {
                "experience": "fold",
                "variation": "main",
                "content": {"type": "field", "state": "collapse"},
                "reason": "match",
            },
            "look": {"experience": None, "variation": None, "content": None, "reason": "no_match"},
        },
        "token": "t1",
        "level": "profile",
        "degraded": True,
    }
    assert decision.exposures == ((0, 0), (1, 1))


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", '","reason":"match"},"x":{"a":"', "\\"])
def test_hostile_values_stay_inside_their_string(name: str) -> None:
    experiences = build([experience("a", show=Message({"en": "{first_name}"}))])
    decision = decide(experiences, inputs(values={"traits.first_name": name}))
    answer = msgspec.json.decode(encode_answer(decision, "d", None))
    assert answer["placements"]["top"]["content"]["text"] == name
    assert set(answer["placements"]) == {"top", "side"}


# --- explain ---


def test_explain_says_why_each_one_lost() -> None:
    experiences = build(
        [
            experience("false", "orders > 5", priority=9),
            experience("unknown", "cart.total > 1 && orders > 2", priority=8),
            experience("mute", show=Message({"en": "{first_name}"}), priority=7),
            experience("off", priority=6),
            experience("credit", show=Installments(3), priority=5),
            experience("winner", priority=4),
            experience("late", priority=3),
        ]
    )
    case = inputs(values={"orders": 3}, mask=int(Purpose.PERSONALIZATION))
    found = explain(experiences, case, kills=Kills(experiences=frozenset({"off"})))["top"]
    assert {each.experience: each.outcome for each in found.considered} == {
        "false": "condition_false",
        "unknown": "condition_unknown",
        "mute": "no_content",
        "off": "killed",
        "credit": "no_consent",
        "winner": "shown",
        "late": "outranked",
    }
    assert [each.experience for each in found.considered] == [
        "false", "unknown", "mute", "off", "credit", "winner", "late",
    ]  # fmt: skip
    parts = found.considered[1].condition
    assert parts is not None
    assert [(part.text, part.result, part.values) for part in parts.parts] == [
        ("cart.total > 1", None, {"cart.total": None}),
        ("orders > 2", True, {"orders": 3}),
    ]
    msgspec.json.encode(found)


def test_explain_where_everything_is_off() -> None:
    experiences = build([experience("a")])
    found = explain(experiences, inputs(placements=("top", "nowhere")), kills=Kills(everything=True))
    assert [each.outcome for each in found["top"].considered] == ["killed"]
    assert found["nowhere"].considered == []


# --- the checkers must notice planted bugs ---


def _priority_reversed(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = experiences_module._in_order
    monkeypatch.setattr(
        experiences_module,
        "_in_order",
        lambda declared, choices: {name: each[::-1] for name, each in plain(declared, choices).items()},
    )


def _kills_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = decide_module._Case
    monkeypatch.setattr(
        decide_module,
        "_Case",
        lambda experiences, case, catalogue, _, notes: plain(experiences, case, catalogue, Kills(), notes),
    )


def _span_one_bit_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Index.span

    def span(self: Index, first: int, stop: int) -> tuple[int, int]:
        offset, ones = plain(self, first, stop)
        return offset, ones << 1 | 1

    monkeypatch.setattr(Index, "span", span)


def _remembers_what_varies(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = contents.compile_content
    monkeypatch.setattr(
        contents, "compile_content", lambda *args: plain(*args)._replace(steady=True)
    )  # so a name of one shopper is shown to the next


def _ineligible_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Experience.answer

    def answer(self: Experience, variation: int, case: Inputs, catalogue: Any) -> Any:
        found = plain(self, variation, case, catalogue)
        nothing = msgspec.Raw(b"null")
        return Answer(None, None, nothing, found.reason) if isinstance(found, Ineligible) else found

    monkeypatch.setattr(Experience, "answer", answer)


@pytest.mark.parametrize(
    "plant",
    [_priority_reversed, _kills_ignored, _span_one_bit_too_wide, _remembers_what_varies, _ineligible_ends_the_search],
)
def test_the_comparison_notices_a_planted_bug(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        agree(seed=1, count=60)
