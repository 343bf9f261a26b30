"""Metrics, designs, guardrails and rates: read as they are written, and without a part in who sees what."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.condition import check
from cashwrap.declarations import Condition, DesignDecl, ExperimentDecl, MetricDecl, Spot
from cashwrap.events.vocabulary import compile_vocabulary
from cashwrap.experiments import assign
from cashwrap.metrics import BUILT_IN, FIELDS, derived_of, environment_of, fields_of, measures
from cashwrap.playbook import Playbook, examine
from cashwrap.playbook.lint import lint

NOW = 1_780_000_000_000
DAY = 86_400_000
TEXT = """
shop: {currency: EUR, time_zone: Europe/Berlin, rates: {USD: {2026-01-01: 0.92, 2026-07-01: "0.950"}, GBP: 1.17}}
events:
  Help Opened: {fields: {topic: text, seconds: number, fee: money, amount: money, step: number, latency: integer}}
placements:
  hero: {component: message}
metrics:
  pieces: {mean: Product Added, of: quantity, window: 3d, description: pieces added}
  helped: {proportion: [Help Opened, Cart Viewed], better: lower, unless: Order Completed}
  basket: {ratio: Order Completed, of: subtotal, per: [Order Completed, Order Refunded]}
  piece:
    ratio: Order Completed
    of: net
    where: trusted && method != "invoice"
    per:
      sum: Order Completed
      of: quantity
      where: amount >= 9.99
  slow: {quantile: Experience Viewed, of: latency, at: 97.5%}
  way: {funnel: [Checkout Started, Payment Info Entered, Order Completed]}
  spend: {mean: Order Completed, of: profit, caps: [0.5%, 99%]}
  waited:
    mean: Help Opened
    of: fee
    where: seconds > 2.5
experiences:
  thanks:
    in: hero
    variations: {warm: {text: {en: a}}, brief: {text: {en: b}}}
    experiment:
      arms: {warm: 30%, brief: 20%, control: 50%}
      goal: piece
      metrics: [pieces, helped, basket]
      guardrails: {payment_failures: 10%, slow: 2.5%, spend: 1%, way: 3%, waited: 100%}
      design: {days: 21, looks: 3, window: 10d, maturity: 2w, detect: 2.5%, alpha: 0.1%, power: 99%}
"""
PLAIN = TEXT[: TEXT.index("      goal:")]


def compiled(text: str = TEXT) -> Playbook:
    playbook, faults = examine({"a.yaml": text})
    assert playbook is not None, faults
    return playbook


def with_design(design: str) -> DesignDecl:
    experiment = compiled(f"{PLAIN}      design: {design}\n").declarations.experiences["thanks"].experiment
    assert experiment is not None
    return experiment.design


def plain(decl: MetricDecl) -> dict[str, object]:
    """What was declared, without where, and without what was left out."""
    fields = {name: getattr(decl, name) for name in decl.__struct_fields__ if name not in {"name", "spot"}}
    found = {name: each.text if isinstance(each, Condition) else each for name, each in fields.items()}
    left_out = MetricDecl("", "mean", ())
    return {name: each for name, each in found.items() if name == "kind" or each != getattr(left_out, name)}


def test_metrics_are_read_as_written() -> None:
    order = ("Order Completed",)
    assert {name: plain(each) for name, each in compiled().declarations.metrics.items()} == {
        "pieces": {
            "kind": "mean",
            "events": ("Product Added",),
            "of": "quantity",
            "window": 3 * DAY,
            "description": "pieces added",
        },
        "helped": {
            "kind": "proportion",
            "events": ("Help Opened", "Cart Viewed"),
            "unless": order,
            "better": "lower",
        },
        "basket": {"kind": "ratio", "events": order, "of": "subtotal", "per": ("Order Completed", "Order Refunded")},
        "piece": {
            "kind": "ratio",
            "events": order,
            "of": "net",
            "where": 'trusted && method != "invoice"',
            "per": order,
            "per_of": "quantity",
            "per_where": "amount >= 9.99",
        },
        "slow": {"kind": "quantile", "events": ("Experience Viewed",), "of": "latency", "at": 9750},
        "way": {"kind": "funnel", "events": ("Checkout Started", "Payment Info Entered", "Order Completed")},
        "spend": {"kind": "mean", "events": order, "of": "profit", "caps": (50, 9900)},
        "waited": {"kind": "mean", "events": ("Help Opened",), "of": "fee", "where": "seconds > 2.5"},
    }
    assert compiled().declarations.metrics["pieces"].spot == Spot("a.yaml", 8, 3)


def test_an_experiment_is_read_as_written() -> None:
    experiment = compiled().declarations.experiences["thanks"].experiment
    assert experiment == ExperimentDecl(
        arms={"warm": 3000, "brief": 2000, "control": 5000},
        goal="piece",
        metrics=("pieces", "helped", "basket"),
        guardrails={"payment_failures": 1000, "slow": 250, "spend": 100, "way": 300, "waited": 10_000},
        design=DesignDecl(days=21, looks=3, window=10 * DAY, maturity=14 * DAY, detect=250, alpha=10, power=9900),
    )


def test_what_is_left_out_has_its_default() -> None:
    experiment = compiled(PLAIN).declarations.experiences["thanks"].experiment
    assert experiment is not None
    assert (experiment.goal, experiment.metrics, experiment.guardrails) == ("profit", (), {})
    assert experiment.design == DesignDecl()


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("{days: 3}", DesignDecl(days=3, looks=3)),
        ("{days: 60}", DesignDecl(days=60, looks=4)),
        ("{method: fixed}", DesignDecl(method="fixed", looks=1)),
        ("{method: fixed, looks: 1, days: 1}", DesignDecl(method="fixed", looks=1, days=1)),
        ("{method: always_valid}", DesignDecl(method="always_valid")),
        ("{looks: 60, days: 60}", DesignDecl(looks=60, days=60)),
        ("{days: 365, alpha: 20%, detect: 100%}", DesignDecl(days=365, alpha=2000, detect=10_000)),
    ],
)
def test_a_design_has_what_its_method_needs(design: str, expected: DesignDecl) -> None:
    assert with_design(design) == expected


def test_rates_hold_by_the_shops_clock_and_are_exact() -> None:
    assert compiled().settings.rates == {
        "USD": ((1_767_222_000_000, "0.92"), (1_782_856_800_000, "0.950")),  # midnight in Berlin, winter and summer
        "GBP": ((0, "1.17"),),
    }


@given(st.decimals("0.000001", 999_999, places=6))
@settings(max_examples=50)
def test_a_rate_is_the_text_that_was_written(rate: Decimal) -> None:
    text = format(rate, "f")
    found = compiled(f"shop: {{rates: {{USD: {text}}}}}\nplacements: {{hero: {{component: message}}}}\n")
    assert found.settings.rates["USD"] == ((0, text),)


# --- what measures has no part in who sees what ---


def test_what_measures_moves_nobody() -> None:
    measured, unmeasured = (each.experiences.ordered[0] for each in (compiled(), compiled(PLAIN)))
    assert measured.trial == unmeasured.trial
    assert measured.trial is not None
    assert unmeasured.trial is not None
    for number in range(200):
        assert assign(measured.trial, str(number), NOW, {}) == assign(unmeasured.trial, str(number), NOW, {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("goal: piece", "goal: revenue"),
        ("days: 21", "days: 22"),
        ("slow: 2.5%", "slow: 3%"),
        ("of: profit", "of: net"),
        ("at: 97.5%", "at: 97%"),
        ("GBP: 1.17", "GBP: 1.18"),
    ],
)
def test_each_is_a_part_of_the_version(old: str, new: str) -> None:
    assert TEXT.count(old) == 1
    assert compiled(TEXT.replace(old, new)).hash != compiled().hash


# --- warnings ---


def codes(text: str) -> set[str]:
    playbook = compiled(text)
    return {fault.code for fault in (*playbook.warnings, *lint(playbook, NOW))}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("goal: piece", "goal: slow", "guardrail_is_goal"),
        ("goal: piece", "goal: order_value", "goal_describes"),
        ("metrics: [pieces, helped, basket]", "metrics: [pieces, helped]", "unused_metric"),
    ],
)
def test_what_is_probably_not_meant_is_told(old: str, new: str, code: str) -> None:
    assert codes(TEXT) == set()
    assert code in codes(TEXT.replace(old, new))


def test_an_experiment_without_a_planned_end_hears_which_one_it_has() -> None:
    (fault,) = [fault for fault in compiled(PLAIN).warnings if fault.code == "no_design"]
    assert fault.line == PLAIN[: PLAIN.index("experiment:")].count("\n") + 1
    assert fault.severity == "warning"
    assert "28 days" in fault.message
    assert "4 times" in fault.message


# --- what metrics may be of ---


def test_facts_have_the_fields_of_their_events() -> None:
    vocabulary = compile_vocabulary(compiled().declarations)
    order = fields_of(["Order Completed"], vocabulary)
    assert {
        "amount",
        "subtotal",
        "discount",
        "shipping",
        "tax",
        "cost",
        "quantity",
        "method",
        "trusted",
    } <= order.keys()
    assert {"total", "revenue", "value", "order_id", "email", "products", "net"}.isdisjoint(order)
    own = fields_of(["Help Opened"], vocabulary)
    assert own.items() >= {"seconds": "number", "fee": "money", "amount": "money"}.items()
    assert {"topic", "step"}.isdisjoint(own), "a text has no place, and a number none beside a column of texts"
    assert "latency" not in own, "what a token proves, only exposures have"
    assert fields_of(["Nothing"], vocabulary) == {}
    assert "latency" in fields_of(["Experience Viewed"], vocabulary)
    assert "propensity" not in fields_of(["Experience Viewed"], vocabulary)
    assert derived_of(["Order Completed"]).keys() == {"net", "profit"}
    assert derived_of(["Order Completed", "Cart Viewed"]) == {}


def test_facts_keep_what_some_metric_asks_for_and_has_no_column() -> None:
    assert measures(compiled().declarations.metrics) == {"fee", "seconds"}
    assert measures(BUILT_IN) == frozenset()


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_metric_would_pass_as_a_shops_own(name: str) -> None:
    """Its events exist, what it is of they have, and its conditions can be read."""
    metric, vocabulary = BUILT_IN[name], compile_vocabulary(compiled().declarations)
    for events, of, where in (
        (metric.events, metric.of, metric.where),
        (metric.per, metric.per_of, metric.per_where),
    ):
        assert set(events) <= vocabulary.events.keys()
        fields = fields_of(events, vocabulary)
        assert of is None or of in {**fields, **derived_of(events)}
        if where is not None:
            check(where.text, environment_of(fields, compiled().settings, 2))
    assert set(metric.unless) <= vocabulary.events.keys()
    assert fields_of(metric.events, vocabulary).keys() <= FIELDS.keys() | {"position", "price"}


def test_a_playbook_may_declare_a_hundred_metrics() -> None:
    def text(count: int) -> str:
        many = "".join(f"  m{number}: {{mean: Order Completed}}\n" for number in range(count))
        return f"metrics:\n{many}placements: {{hero: {{component: message}}}}\n"

    assert len(compiled(text(100)).declarations.metrics) == 100
    _, faults = examine({"a.yaml": text(101)})
    assert [fault.code for fault in faults if fault.severity == "error"] == ["too_many"]


@pytest.mark.parametrize("key", ["metrics", "guardrails"])
def test_an_experiment_may_name_twenty_metrics(key: str) -> None:
    def text(count: int) -> str:
        many = "".join(f"  m{number}: {{mean: Order Completed}}\n" for number in range(count))
        names = [f"m{number}" for number in range(count)]
        listed = f"[{', '.join(names)}]" if key == "metrics" else f"{{{', '.join(f'{name}: 1%' for name in names)}}}"
        return f"{PLAIN.replace('metrics:', f'metrics:{chr(10)}{many.rstrip()}')}      {key}: {listed}\n"

    compiled(text(20))
    _, faults = examine({"a.yaml": text(21)})
    assert [fault.code for fault in faults if fault.severity == "error"] == ["too_many"]
