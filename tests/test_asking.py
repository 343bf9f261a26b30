"""A playbook's experiments as questions: who is compared, by what, and with which part each metric plays."""

import pytest
from msgspec.structs import replace

from cashwrap.analysis.asking import ask, ask_holdout
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.declarations import Condition, DesignDecl
from cashwrap.errors import InvalidInput
from cashwrap.metrics import BUILT_IN
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, examine

SHOP = Tenant("shop", "live")
DAY = 86_400_000
TEXT = """
shop: {currency: EUR, time_zone: UTC, rates: {USD: {2026-01-01: 0.92, 2026-07-01: 0.950}, GBP: 1.17}}
holdout: {share: 5%, unit: [user, anonymous]}
layers:
  checkout: {unit: [cart]}
events:
  Help Opened: {fields: {topic: text, seconds: number, fee: money}}
segments:
  back:
    description: came back
    when: sessions > 1
placements:
  hero: {component: message}
metrics:
  pieces: {mean: Product Added, of: quantity, window: 3d, description: pieces added}
  helped: {proportion: [Help Opened, Cart Viewed], better: lower}
  basket: {ratio: Order Completed, of: subtotal, per: Order Completed}
  rebate: {ratio: Order Completed, of: discount, per: {sum: Order Completed, of: subtotal}, caps: [1%, 99%]}
  slow: {quantile: Help Opened, of: seconds, at: 90%, better: lower}
  wait: {quantile: Experience Viewed, of: latency, at: 50%}
  way: {funnel: [Checkout Started, Order Completed]}
  gave_up: {proportion: Product Added, unless: Order Completed}
  fees: {mean: Help Opened, of: fee}
  carded:
    mean: Order Completed
    of: net
    where: method == "card" && amount > 50
experiences:
  thanks:
    in: hero
    variations: {warm: {text: {en: a}}, brief: {text: {en: b}}}
    experiment:
      arms: {warm: 30%, brief: 20%, control: 50%}
      goal: pieces
      metrics: [helped, conversion, basket, rebate, slow, wait, way, gave_up, fees, carded]
      guardrails: {payment_failures: 10%, pieces: 1%}
      design: {days: 20, looks: 5, window: 4d, maturity: 2w, detect: 2.5%, alpha: 1%, power: 90%}
      traffic: {start: 1%, 2026-12-03: 50%}
      salt: thanks-2
      layer: checkout
  plain:
    in: hero
    show: {text: {en: a}}
    experiment: {control: 50%}
  everybody:
    in: hero
    show: {text: {en: a}}
  uncontrolled:
    in: hero
    variations: {one: {text: {en: a}}, two: {text: {en: b}}}
    experiment: {arms: {one: 60%, two: 40%}}
  lonely:
    in: hero
    show: {text: {en: a}}
    experiment: {control: 0%}
"""


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"a.yaml": TEXT})
    assert found is not None, faults
    return found


def metrics(question: Question) -> dict[str, Metric]:
    return {each.name: each for each in question.metrics}


def test_an_experiment_is_asked_as_declared(playbook: Playbook) -> None:
    asked = ask(playbook, "thanks", SHOP)
    assert (asked.experiment, asked.tenant, asked.salt, asked.unit) == ("thanks", SHOP, "thanks-2", "cart")
    assert list(asked.arms.items()) == [("control", 5000), ("warm", 3000), ("brief", 2000)]
    assert asked.design == DesignDecl(
        days=20, looks=5, window=4 * DAY, maturity=14 * DAY, detect=250, alpha=100, power=9000
    )
    assert asked.epochs == (1_796_256_000_000,)
    assert (asked.currency, asked.segments) == ("EUR", ("back",))
    assert asked.rates == {
        "USD": ((1_767_225_600_000, "0.92"), (1_782_864_000_000, "0.950")),
        "GBP": ((0, "1.17"),),
    }
    assert asked.measures == {"fee": "money", "seconds": "number"}


def test_the_salt_is_the_one_that_assigns(playbook: Playbook) -> None:
    salts = {each.name: each.trial.salt for each in playbook.experiences.ordered if each.trial is not None}
    assert {name: ask(playbook, name, SHOP).salt for name in ("thanks", "plain")} == {
        name: salts[name] for name in ("thanks", "plain")
    }


def test_what_is_left_out_asks_for_profit(playbook: Playbook) -> None:
    asked = ask(playbook, "plain", SHOP)
    assert (asked.unit, asked.design, asked.epochs, asked.salt) == ("shopper", DesignDecl(), (), "plain")
    roles = {each.name: each.role for each in asked.metrics}
    assert roles.keys() == BUILT_IN.keys()
    assert (asked.metrics[0].name, roles["profit"], roles["order_value"]) == ("profit", "primary", "description")
    assert {role for name, role in roles.items() if name not in {"profit", "order_value", "drop_off"}} == {"secondary"}


def test_metrics_play_one_part_each(playbook: Playbook) -> None:
    found = ask(playbook, "thanks", SHOP).metrics
    assert len({each.name for each in found}) == len(found)
    assert [(each.name, each.role, each.margin) for each in found[:3]] == [
        ("pieces", "primary", None),  # a goal that is a guardrail too stays the goal
        ("payment_failures", "guardrail", 0.1),
        ("helped", "secondary", None),
    ]
    assert metrics(ask(playbook, "thanks", SHOP))["profit"].role == "secondary"


def test_each_kind_is_compiled(playbook: Playbook) -> None:
    found = metrics(ask(playbook, "thanks", SHOP))
    pieces = found["pieces"]
    assert (pieces.label, pieces.kind, pieces.worth, pieces.window) == ("pieces added", "mean", "count", 3 * DAY)
    assert pieces.numerator == Part(("Product Added",), "quantity")
    helped = found["helped"]
    assert (helped.label, helped.worth, helped.better, helped.window) == ("helped", "share", "lower", 4 * DAY)
    assert helped.numerator == Part(("Help Opened", "Cart Viewed"), once=True)
    assert (found["basket"].worth, found["basket"].per) == ("money", Part(("Order Completed",)))
    rebate = found["rebate"]
    assert (rebate.worth, rebate.per, rebate.caps) == ("share", Part(("Order Completed",), "subtotal"), (0.01, 0.99))
    assert (found["slow"].worth, found["slow"].at) == ("count", 0.9)
    assert (found["wait"].worth, found["wait"].better) == ("milliseconds", "higher")
    assert (found["way"].numerator, found["way"].steps) == (None, ("Checkout Started", "Order Completed"))
    assert found["gave_up"].numerator == Part(("Product Added",), once=True, unless=("Order Completed",))
    assert found["fees"].worth == "money"
    carded = found["carded"].numerator
    assert carded is not None
    assert carded.where is not None
    assert carded.where.text == 'method == "card" && amount > 50'


def test_the_built_in_ones_say_what_they_are(playbook: Playbook) -> None:
    found = metrics(ask(playbook, "plain", SHOP))
    assert {name: (each.kind, each.worth, each.better) for name, each in found.items()} == {
        "profit": ("mean", "money", "higher"),
        "conversion": ("proportion", "share", "higher"),
        "revenue": ("mean", "money", "higher"),
        "abandonment": ("proportion", "share", "lower"),
        "time_to_order": ("time", "milliseconds", "lower"),
        "drop_off": ("funnel", "share", "higher"),
        "payment_failures": ("proportion", "share", "lower"),
        "offer_cost": ("mean", "money", "lower"),
        "decision_latency": ("quantile", "milliseconds", "lower"),
        "order_value": ("ratio", "money", "higher"),
    }
    assert found["conversion"].numerator == Part(("Order Completed",), where=Condition("trusted"), once=True)


def test_without_control_the_first_arm_is_what_others_are_compared_with(playbook: Playbook) -> None:
    assert list(ask(playbook, "uncontrolled", SHOP).arms) == ["one", "two"]


def test_the_holdout_is_asked_about_everything(playbook: Playbook) -> None:
    asked = ask_holdout(playbook, SHOP)
    assert (asked.experiment, asked.salt, asked.unit) == ("holdout", "", "shopper")
    assert list(asked.arms.items()) == [("holdout", 500), ("personalized", 9500)]
    assert asked.design.method == "always_valid"
    assert [each.name for each in asked.metrics] == list(BUILT_IN)
    assert asked.rates == ask(playbook, "plain", SHOP).rates


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("thank", "no_such_experience", "did you mean 'thanks'?"),
        ("zzz", "no_such_experience", "no experience 'zzz'"),
        ("everybody", "no_experiment", "has no experiment"),
        ("lonely", "one_arm", "nothing to compare"),
    ],
)
def test_what_cannot_be_asked_is_told(playbook: Playbook, name: str, code: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says.replace("?", r"\?")) as raised:
        ask(playbook, name, SHOP)
    assert raised.value.code == code


@pytest.mark.parametrize("share", ["0%", "100%"])
def test_a_shop_without_a_holdout_is_told(share: str) -> None:
    found, faults = examine({"a.yaml": f"holdout: {{share: {share}}}\nplacements: {{hero: {{component: message}}}}\n"})
    assert found is not None, faults
    with pytest.raises(InvalidInput, match="keeps nobody out") as raised:
        ask_holdout(found, SHOP)
    assert raised.value.code == "no_holdout"


def test_a_metric_that_an_old_playbook_names_is_told(playbook: Playbook) -> None:
    thanks = playbook.declarations.experiences["thanks"]
    assert thanks.experiment is not None
    old = replace(thanks, experiment=replace(thanks.experiment, goal="speed"))
    declared = replace(playbook.declarations, experiences={"thanks": old})
    with pytest.raises(InvalidInput) as raised:
        ask(replace(playbook, declarations=declared), "thanks", SHOP)
    assert raised.value.code == "no_such_metric"
