"""What models tell, as attributes: exact in conditions, unknown without consent or model, asked once, and recorded."""

import math
from decimal import Decimal

import pytest

from cashwrap import predicting
from cashwrap.attributes import ATTRIBUTES
from cashwrap.bundle import bundle_of
from cashwrap.bundle import encode as encode_bundle
from cashwrap.condition.environment import Type
from cashwrap.decide import NOTHING_KILLED, decide
from cashwrap.events import RequestFacts
from cashwrap.expectations import read_cases, run_cases
from cashwrap.explain import explain
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Gathered, Known, gather
from cashwrap.keys import ApiKey
from cashwrap.model import Decision, Inputs, Number, Purpose, Tenant, Touch
from cashwrap.playbook import Playbook, examine
from cashwrap.playbook.faults import Faults
from cashwrap.records import Kept, decode, encode
from cashwrap.request import DecideRequest, Page, PageContext
from cashwrap.tell import tell
from learned_models import Chance, Written
from walks import Shopper

HEAD = """
features:
  views: {count: Product Viewed}
predictions:
  gift: {at: Cart Viewed, events: [Order Completed], within: 2h, features: [views], purpose: advertising}
segments:
  wavering: abandon_propensity > 0.6
placements:
  line: {component: message}
  ad: {component: message, purpose: advertising}
  shelf: {component: products}
experiences:
"""


def playbook_of(when: str = "abandon_propensity > 0.6", more: str = "") -> Playbook:
    text = f"{HEAD}  stay:\n    in: line\n    when: '{when}'\n    show: {{text: Stay}}\n{more}"
    playbook, faults = examine({"a.yaml": text})
    assert playbook is not None, faults
    return playbook


def visitor(playbook: Playbook, *granted: str) -> Shopper:
    return Shopper(playbook, granted=granted or ("personalization",)).does("Product Viewed", product_id="mug")


def shown(playbook: Playbook, inputs: Inputs) -> str | None:
    return decide(playbook.experiences, inputs).placements["line"].experience


@pytest.mark.parametrize(
    ("chance", "value", "fits"),
    [
        (0.61, "0.6100", True),
        (0.6, "0.6000", False),
        (0.60004, "0.6000", False),
        (0.60006, "0.6001", True),
        (1, "1.0000", True),
        (None, None, False),
        (math.nan, None, False),
        (math.inf, None, False),
        (ZeroDivisionError(), None, False),
    ],
)
@pytest.mark.parametrize("when", ["abandon_propensity > 0.6", '"wavering" in segments'])
def test_a_chance_is_compared_as_it_is_written(when: str, chance: Chance, value: str | None, fits: bool) -> None:
    playbook = playbook_of(when)
    inputs = visitor(playbook).inputs(models=Written(abandon_propensity=chance))
    assert inputs.values.get("abandon_propensity") == (None if value is None else Decimal(value))
    assert shown(playbook, inputs) == ("stay" if fits else None)
    assert inputs.models == ({} if value is None else {"abandon_propensity": "3"})


def test_only_what_is_read_is_asked_and_only_by_what_a_profile_holds() -> None:
    playbook, models = playbook_of('abandon_propensity > 0.6 && device.type != "tablet"'), Written()
    models.chances = dict.fromkeys(["abandon_propensity", "purchase_propensity", "gift"], 0.9)
    page = PageContext(page=Page(type="payment"))
    visitor(playbook).inputs(page, models=models)
    assert models.asked == ["abandon_propensity"]
    [values] = models.values
    assert values["views"] == 1
    assert not {name for name in values if name.startswith(("page", "device", "cart", "consent", "segments"))}


def test_who_does_not_allow_it_is_not_asked_about() -> None:
    playbook, models = playbook_of(), Written(abandon_propensity=0.9, gift=0.9)
    for granted in (("analytics",), ("analytics", "advertising")):
        inputs = visitor(playbook, *granted).inputs(models=models)
        assert "abandon_propensity" not in inputs.values
    own = playbook_of("true", "  ad:\n    in: ad\n    when: gift > 0.5\n    show: {text: Ad}\n")
    assert "gift" not in visitor(own).inputs(models=models).values
    assert "gift" not in models.asked
    inputs = visitor(own, "personalization", "advertising").inputs(models=models)
    assert inputs.values["gift"] == Number("0.9000")


def ask(playbook: Playbook, hot: HotProfile, models: Written, now: int) -> Gathered:
    caller = Caller(ApiKey("k", "secret", Tenant(), b""), RequestFacts(now, "k", trusted=True))
    return gather(playbook, DecideRequest(), caller, Known({}, hot, models=models), now)


def test_a_second_visit_costs_nothing_until_a_model_changes() -> None:
    playbook, models = playbook_of(), Written(abandon_propensity=0.9)
    shopper = visitor(playbook)
    assert shopper.profile is not None
    hot = HotProfile(shopper.profile, b"", None)
    told = [ask(playbook, hot, models, shopper.now).inputs.values["abandon_propensity"] for _ in range(3)]
    assert (told, len(models.asked)) == ([Number("0.9")] * 3, 1)
    models.chances["abandon_propensity"] = 0.1
    models.turn += 1
    assert ask(playbook, hot, models, shopper.now).inputs.values["abandon_propensity"] == Number("0.1")


def test_a_prediction_is_recorded_and_explained_with_its_version() -> None:
    playbook = playbook_of()
    inputs = visitor(playbook).inputs(models=Written(abandon_propensity=0.75))
    decision = decide(playbook.experiences, inputs)
    kept = decode(encode(Kept("00" * 12, inputs, NOTHING_KILLED, 0, 0, decision)))
    assert kept.inputs == inputs
    again: Decision = decide(playbook.experiences, kept.inputs)
    assert again.placements == decision.placements
    [told] = tell(playbook, kept.inputs, explain(playbook.experiences, kept.inputs))["line"].considered
    assert told.condition is not None
    assert told.condition.written == {"abandon_propensity": "0.7500 (abandon_propensity@3)"}


def test_the_next_category_chooses_products() -> None:
    more = "  next:\n    in: shelf\n    show: {from: category, category: next_category}\n"
    playbook, models = playbook_of("true", more), Written()
    models.category = "mugs"
    inputs = visitor(playbook).inputs(models=models)
    assert inputs.values["next_category"] == "mugs"
    [seen] = models.seen
    assert [each.product for each in seen.touched] == ["mug"]
    assert seen.basket == ()


def test_every_attribute_of_models_is_brought_with_its_type() -> None:
    names = [each.path for each in ATTRIBUTES if each.source == "model"]
    playbook = playbook_of(" || ".join(f'{name} == "x"' if "category" in name else f"{name} > 0" for name in names))
    models = Written(**dict.fromkeys(names, 0.5))
    models.category = "mugs"
    values = visitor(playbook).inputs(models=models).values
    for each in ATTRIBUTES:
        if each.source == "model":
            assert isinstance(values[each.path], str if each.type is Type.STRING else Number)


def test_where_no_decision_asks_a_segment_does_not_know_it() -> None:
    playbook = playbook_of('"wavering" in segments')
    assert [each.code for each in playbook.warnings if each.code == "prediction_in_segment"]
    shopper = visitor(playbook)
    assert shopper.inputs(models=Written(abandon_propensity=0.9)).values["segments.wavering"] is True
    assert shopper.standing() == frozenset()


def test_one_shopper_is_scored_without_a_request() -> None:
    playbook, models = playbook_of(), Written(abandon_propensity=0.25, purchase_propensity=ValueError())
    shopper = visitor(playbook)
    assert shopper.profile is not None
    names = ["abandon_propensity", "purchase_propensity", "coupon_propensity", "gift"]
    told, inputs = predicting.score_profile(playbook, models, shopper.profile, shopper.now, Tenant(), names)
    assert told.values == {"abandon_propensity": Number("0.25")}
    assert told.missing == {"purchase_propensity": "no_answer", "coupon_propensity": "no_model", "gift": "no_consent"}
    assert [each.product for each in inputs.touched] == ["mug"]
    shopper.choose(personalization="denied")
    told, inputs = predicting.score_profile(playbook, models, shopper.profile, shopper.now, Tenant(), names)
    assert set(told.missing.values()) == {"no_consent"}
    assert (inputs.touched, inputs.earlier, inputs.bought, told.values) == ((), (), (), {})


def test_what_was_done_before_the_visit_is_apart() -> None:
    day = 86_400_000
    shopper = visitor(playbook_of())
    assert shopper.profile is not None
    before = Touch("pan", "view", shopper.now - 9 * day, "x")
    shopper.profile.touched = [before, *shopper.profile.touched]
    visit, earlier = predicting.lately(shopper.profile, shopper.now)
    assert [each.product for each in visit] == ["mug"]
    assert earlier == (before,)


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("gift: {at: Cart Viewed, events: Order Completed, within: 7d, without: true}", []),
        ("gift: {at: Cart Viewed}", ["missing_key"]),
        ("gift: {at: [], events: Order Completed}", ["empty"]),
        ("gift: {at: Cart Viewd, events: Order Completed}", ["unknown_event"]),
        ("gift: {at: Cart Viewed, events: Order Completed, within: 1s}", ["bad_value"]),
        ("gift: {at: Cart Viewed, events: Order Completed, features: [cart.total]}", ["bad_prediction"]),
        ("gift: {at: Cart Viewed, events: Order Completed, features: [coupon_propensity]}", ["bad_prediction"]),
        ("gift: {at: Cart Viewed, events: Order Completed, features: [nowhere]}", ["unknown_attribute"]),
        ("gift: {at: Cart Viewed, events: Order Completed, purpose: fun}", ["bad_value"]),
        ("sessions: {at: Cart Viewed, events: Order Completed}", ["reserved_name"]),
        ("purchase_propensity: {at: Cart Viewed, events: Order Completed}", ["reserved_name"]),
    ],
)
def test_a_prediction_that_cannot_be_meant_is_told(line: str, codes: list[str]) -> None:
    _, faults = examine({"a.yaml": f"predictions:\n  {line}\n"})
    assert [each.code for each in faults] == codes


def test_data_of_another_purpose_needs_the_placement_to_say_so() -> None:
    text = f"{HEAD}  stay:\n    in: line\n    when: gift > 0.5\n    show: {{text: Stay}}\n"
    _, faults = examine({"a.yaml": text})
    assert "purpose_not_allowed" in [each.code for each in faults]


def test_the_check_sees_who_is_asked_about_without_allowing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "purpose_of", lambda *_: Purpose.NECESSARY)
    with pytest.raises(AssertionError):
        test_who_does_not_allow_it_is_not_asked_about()


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("consent: [personalization], predicted: {abandon_propensity: 0.7}", []),
        ("consent: [personalization], predicted: {abandon_propensity: 0.6}", ["expectation_failed"]),
        ("predicted: {abandon_propensity: 0.7}", ["expectation_failed"]),
        ("consent: [personalization], predicted: {purchase: 0.7}", ["unknown_attribute", "expectation_failed"]),
        ("consent: [personalization], predicted: {abandon_propensity: true}", ["wrong_type"]),
    ],
)
def test_a_case_says_what_models_tell(given: str, codes: list[str]) -> None:
    views = "events: [{event: Product Viewed}]"
    text = f"- name: wavers\n  given: {{{views}, {given}}}\n  expect: {{placements: {{line: stay}}}}\n"
    faults = Faults()
    cases = read_cases({"a.yaml": text}, faults)
    run_cases(playbook_of(), cases, faults)
    assert [each.code for each in faults.sorted()] == codes


def test_a_browser_is_not_told_what_is_predicted() -> None:
    more = "  more:\n    in: shelf\n    show: {from: recommended}\n"
    playbook = playbook_of('abandon_propensity > 0.6 && device.type == "mobile"', more)
    written = encode_bundle(bundle_of(playbook, Tenant(), 0))
    assert b"propensity" not in written
    assert b"server" in written
