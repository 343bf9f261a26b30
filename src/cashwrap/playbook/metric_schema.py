"""The shape of metrics, of an experiment's design and of rates, as JSON Schema."""

from typing import get_args

from cashwrap.declarations import Better, Method
from cashwrap.playbook.json_schema import (
    CONDITION,
    DAY,
    DURATION,
    ONE_OR_MORE,
    SHARE,
    Schema,
    amount,
    choice,
    integer,
    list_of,
    map_of,
    object_of,
    ref,
    share,
    text,
)

METRIC_KINDS = ("mean", "proportion", "ratio", "quantile", "funnel")
BETTER: tuple[str, ...] = get_args(Better)
DESIGNS: tuple[str, ...] = get_args(Method)
MAX_DAYS = 365
MAX_LOOKS = 60
PARTS = ("count", "sum")

_WHERE: Schema = {**CONDITION, "description": "Which events count: a condition over what is known of them."}
RATES = map_of(
    "What one unit of another currency is worth in yours: a number, or such numbers by the day each holds from.",
    {
        "anyOf": [
            amount("Always."),
            map_of("From each day on, by the shop's clock.", amount("From that day on."), DAY),
        ]
    },
    "^[A-Z]{3}$",
)
METRIC_PART: Schema = {
    **object_of(
        "What a ratio is divided by: one of these.",
        count={"description": "The number of these events.", **ONE_OR_MORE},
        sum={"description": "The sum of a field over these events.", **ONE_OR_MORE},
        of=text("The field that is summed."),
        where=_WHERE,
    ),
    "oneOf": [{"required": [part]} for part in PARTS],
}
METRIC: Schema = {
    **object_of(
        "A number that is measured on every unit of an experiment: one kind, and the events it is about.",
        mean={
            "description": "What a unit comes to, on average: the number of these events, or of a field.",
            **ONE_OR_MORE,
        },
        proportion={"description": "The share of units with any of these events.", **ONE_OR_MORE},
        ratio={"description": "What all units come to together, divided by 'per'.", **ONE_OR_MORE},
        quantile={"description": "What a unit comes to, at the quantile 'at'.", **ONE_OR_MORE},
        funnel=list_of("Events in their order: the share of units that gets through all.", {"type": "string"}),
        of=text("The field that is summed; left out, events are counted."),
        where=_WHERE,
        unless={"description": "A unit with any of these events counts nothing.", **ONE_OR_MORE},
        per={
            "description": "What divides a ratio: events to count, or count or sum.",
            "anyOf": [ONE_OR_MORE, ref("metric_part")],
        },
        at=share("Which quantile, such as 90%."),
        caps=list_of(
            "Two quantiles, such as [1%, 99%]: a unit beyond them counts as much as they do.",
            {"type": "string", "pattern": SHARE},
        ),
        window=text(
            "How long after the exposure events count; left out, as long as the design says.", pattern=DURATION
        ),
        better=choice("Which way is better: higher (left out) or lower.", BETTER),
        description=text("What reports call it."),
    ),
    "oneOf": [{"required": [kind]} for kind in METRIC_KINDS],
}
DESIGN = object_of(
    "How the experiment is read, decided before it begins.",
    days=integer("How many days of exposures count.", minimum=1, maximum=MAX_DAYS),
    looks=integer("How often it is looked at, the last time at its end.", minimum=1, maximum=MAX_LOOKS),
    window=text("How long after an exposure its outcomes count.", pattern=DURATION),
    maturity=text("How long after that refunds and returns of its orders count.", pattern=DURATION),
    detect=share("The relative effect that is worth finding."),
    alpha=share("The chance of a false find, over all looks."),
    power=share("The chance of finding an effect of 'detect'."),
    method=choice("How looks are paid for: group_sequential (left out), always_valid or fixed.", DESIGNS),
)
