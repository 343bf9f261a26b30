"""How often the statistics of a report are wrong, on simulated shops: `make proof`, four minutes on two free cores.

Every figure is of the product's own functions, called as a report calls them. Units are those of a shop: 3 % convert,
orders are skewed, some come back and cost money, traffic grows and has weekends. `tests/test_error_rates.py` always
runs a small part of it.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise, repeat
from math import exp
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from cashwrap.analysis.statistics.compare import Difference, compare, interval, p_value, relative_interval
from cashwrap.analysis.statistics.guardrails import standing
from cashwrap.analysis.statistics.moments import Array, Moments, measured, moments
from cashwrap.analysis.statistics.multiple import false_discovery
from cashwrap.analysis.statistics.power import Baseline, Trial, baseline, detectable
from cashwrap.analysis.statistics.ratio import Day, check, classic_p
from cashwrap.analysis.statistics.sequential import boundaries, repeated_p, sequence_critical

ALPHA = 0.05
SIMULATIONS = 2_000
SURE = 0.99
"""Of the binomial bound that a measured rate has to lie within."""
DAYS = 28
LOOKS = (7, 14, 21, 28)

# --- a shop ---

ONE, CONVERTED, REVENUE, PROFIT, SESSIONS, CART, DESKTOP = range(7)
METRICS = {
    "conversion": (CONVERTED, ONE),
    "revenue per unit": (REVENUE, ONE),
    "profit per unit, adjusted by cart and device": (PROFIT, ONE, CART, DESKTOP),
    "orders per session (ratio)": (CONVERTED, SESSIONS),
}
DAILY_METRICS = ("conversion", "profit per unit, adjusted by cart and device")
"""Those that are looked at every day; the others at four looks, to save time."""
MOBILE_CONVERTS, DESKTOP_CONVERTS, DESKTOP_SHARE = 0.02, 0.045, 0.4
CONVERSION = MOBILE_CONVERTS + DESKTOP_SHARE * (DESKTOP_CONVERTS - MOBILE_CONVERTS)
BASKET = exp(3.6 + 0.8**2 / 2)
RETURNED, MARGIN, HANDLING, RETURN_COSTS, MORE_SESSIONS = 0.08, 0.35, 3.0, 4.0, 1.2
TRAFFIC = np.array([(1 + day / DAYS) * (1.5 if day % 7 in {5, 6} else 1.0) for day in range(DAYS)])
"""How day compares with day: twice as many at the end as at the beginning, half as many again on weekends."""


class Shop(NamedTuple):
    """How many units come, which share of them is treated, and how much likelier those are to buy."""

    units: int = 40_000
    share: float = 0.5
    lift: float = 0.0


def shoppers(n: int, lift: float, chance: np.random.Generator) -> Array:
    """Units of one arm, a row each, with everything that any metric asks of them."""
    desktop = chance.random(n) < DESKTOP_SHARE
    cart = chance.lognormal(3.6, 0.8, n)
    converted = chance.random(n) < np.where(desktop, DESKTOP_CONVERTS, MOBILE_CONVERTS) * (1 + lift)
    sessions = 1.0 + chance.poisson(MORE_SESSIONS, n) + converted
    revenue, profit = np.zeros(n), np.zeros(n)
    orders = int(converted.sum())
    revenue[converted] = cart[converted] * chance.lognormal(-(0.3**2) / 2, 0.3, orders)
    back = chance.random(orders) < RETURNED
    profit[converted] = np.where(back, -RETURN_COSTS, MARGIN * revenue[converted] - HANDLING)
    revenue[converted] *= ~back
    return np.column_stack([np.ones(n), converted, revenue, profit, sessions, cart, desktop])


def truth(metric: str, lift: float) -> float:
    """By how much a metric differs for units that are likelier to buy."""
    sold = (1 - RETURNED) * BASKET
    earned = (1 - RETURNED) * (MARGIN * BASKET - HANDLING) - RETURNED * RETURN_COSTS
    more = CONVERSION * (1 + lift)
    ratio = more / (1 + MORE_SESSIONS + more) - CONVERSION / (1 + MORE_SESSIONS + CONVERSION)
    gains = (lift * CONVERSION, lift * CONVERSION * sold, lift * CONVERSION * earned, ratio)
    return dict(zip(METRICS, gains, strict=True))[metric]


def products(units: Array, days: Array) -> Array:
    """Sums of products of all columns, of the units up to each day."""
    edges = np.concatenate(([0], np.cumsum(days)))
    parts = [units[low:high] for low, high in pairwise(edges)]
    return np.cumsum([part.T @ part for part in parts], axis=0)


class Month(NamedTuple):
    """A simulated experiment: the products of control and treated units up to each day."""

    control: Array
    treated: Array

    def differences(self, columns: tuple[int, ...], days: Sequence[int]) -> list[Difference]:
        """What a report at the end of each of these days would compare."""
        return [
            compare(_moments(self.control[day - 1], columns), _moments(self.treated[day - 1], columns)) for day in days
        ]


def month(shop: Shop, chance: np.random.Generator) -> Month:
    """One experiment: every unit comes on some day and to some arm by chance."""
    daily = chance.multinomial(shop.units, TRAFFIC / TRAFFIC.sum())
    treated = chance.binomial(daily, shop.share)
    control = shoppers(int((daily - treated).sum()), 0.0, chance)
    arm = shoppers(int(treated.sum()), shop.lift, chance)
    return Month(products(control, daily - treated), products(arm, treated))


def _moments(sums: Array, columns: tuple[int, ...]) -> Moments:
    n = sums[ONE, ONE]
    mean = sums[ONE, columns] / n
    cov = (sums[np.ix_(columns, columns)] - n * np.outer(mean, mean)) / (n - 1)
    return moments(int(n), mean, cov)


# --- designs: the z that counts at each look ---

Critical = Callable[[Sequence[Difference]], Sequence[float]]


class Design(NamedTuple):
    """When it is looked, and what counts then."""

    days: tuple[int, ...]
    critical: Critical


def sequentially(found: Sequence[Difference], alpha: float = ALPHA) -> Sequence[float]:
    clock = [(look + 1) / len(found) for look in range(len(found))]
    return boundaries(clock, [1 / each.error**2 for each in found], alpha)


def at_any_time(found: Sequence[Difference]) -> Sequence[float]:
    return [sequence_critical(sum(each.units), ALPHA) for each in found]


def as_if_looked_once(found: Sequence[Difference]) -> Sequence[float]:
    return [1.959964] * len(found)


DAILY = tuple(range(1, DAYS + 1))
DESIGNS = {
    "group-sequential, 4 looks": Design(LOOKS, sequentially),
    "group-sequential, 28 looks": Design(DAILY, sequentially),
    "always-valid, looked at daily": Design(DAILY, at_any_time),
    "fixed, looked at once": Design((DAYS,), as_if_looked_once),
    "PLANTED BUG: fixed, looked at daily": Design(DAILY, as_if_looked_once),
}
Kind = tuple[str, str, str]
"""What was counted, under which design, of which metric."""


NEVER = 1.9
"""No design's interval is that narrow: what is nearer needs not be asked, which saves most of the time."""


def missed(found: Sequence[Difference], critical: Critical, real: float, *, relative: bool = False) -> bool:
    """Whether the interval of any look does not hold this value; one that there is not misses nothing."""
    if not any(_apart(each, real, relative=relative) > NEVER for each in found):
        return False
    for each, z in zip(found, critical(found), strict=True):
        bounds = relative_interval(each, z) if relative else interval(each, z)
        if bounds is not None and not bounds.low <= real <= bounds.high:
            return True
    return False


def _apart(found: Difference, real: float, *, relative: bool) -> float:
    if not relative:
        return abs(found.absolute - real) / found.error
    gradient = np.array((-(1 + real), 1.0))
    return float(abs(found.treatment - (1 + real) * found.control) / np.sqrt(gradient @ np.array(found.cov) @ gradient))


def misses(shop: Shop, designs: Sequence[str], metrics: Sequence[str], chance: np.random.Generator) -> Iterator[Kind]:
    """One experiment: which designs' intervals missed the truth at a look; without an effect that is a false find."""
    data = month(shop, chance)
    for metric in metrics:
        columns = METRICS[metric]
        asked = [name for name in designs if metric in DAILY_METRICS or DESIGNS[name].days != DAILY]
        days = DAILY if metric in DAILY_METRICS else LOOKS
        by_day = dict(zip(days, data.differences(columns, days), strict=True))
        real, base = truth(metric, shop.lift), truth(metric, 1.0)
        for name in asked:
            found = [by_day[day] for day in DESIGNS[name].days]
            if missed(found, DESIGNS[name].critical, real):
                yield "missed", name, metric
            if "ratio" not in metric and missed(found, DESIGNS[name].critical, real / base, relative=True):
                yield "missed relative", name, metric


# --- many simulations on all cores ---


def chunk(
    one: Callable[[np.random.Generator], Iterator[Kind]], seed: np.random.SeedSequence, count: int
) -> Counter[Kind]:
    chance = np.random.default_rng(seed)
    return Counter(kind for _ in range(count) for kind in one(chance))


def simulated(one: Callable[[np.random.Generator], Iterator[Kind]], count: int, seed: int) -> Counter[Kind]:
    """How many of ``count`` simulations had each kind of outcome."""
    size = 50
    seeds = np.random.SeedSequence(seed).spawn(count // size)
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(chunk, repeat(one), seeds, repeat(size)), Counter())


# --- what is claimed ---


class Row(NamedTuple):
    """A measured rate, what it ought to be, and within which bounds chance leaves it."""

    what: str
    design: str
    metric: str
    rate: float
    claim: str
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether it is as claimed; a planted bug has to be seen."""
        return (self.low <= self.rate <= self.high) != ("PLANTED" in self.design)

    def __str__(self) -> str:
        verdict = ("yes" if "PLANTED" not in self.design else "no, as it should") if self.holds else "**FAILS**"
        bounds = f"{self.low * 100:.2f} to {self.high * 100:.2f}"
        cells = (self.what, self.design, self.metric, f"{self.rate * 100:.2f}", self.claim, bounds, verdict)
        return f"| {' | '.join(cells)} |"


def exactly(rate: float, count: int) -> tuple[str, float, float]:
    low, high = binom.interval(SURE, count, rate)
    return f"{rate * 100:g}", low / count, high / count


def at_most(rate: float, count: int) -> tuple[str, float, float]:
    return f"≤ {rate * 100:g}", 0.0, float(binom.ppf((1 + SURE) / 2, count, rate)) / count


def at_least(rate: float, count: int) -> tuple[str, float, float]:
    return f"≥ {rate * 100:g}", float(binom.ppf((1 - SURE) / 2, count, rate)) / count, 1.0


def asked_of(design: str) -> Sequence[str]:
    return DAILY_METRICS if DESIGNS[design].days == DAILY else tuple(METRICS)


def false_finds(count: int, shop: Shop, designs: Sequence[str], what: str) -> Iterator[Row]:
    """Experiments without any effect that find one at some look; their intervals cover when they do not."""
    counts = simulated(partial(misses, shop, designs, list(METRICS)), count, seed=1)
    for design in designs:
        claim = at_most if design.startswith("always") else exactly
        for metric in asked_of(design):
            yield Row(what, design, metric, counts["missed", design, metric] / count, *claim(ALPHA, count))


def coverage(count: int, shop: Shop, designs: Sequence[str]) -> Iterator[Row]:
    """With an effect: how often the intervals of all looks together hold the truth."""
    counts = simulated(partial(misses, shop, designs, list(METRICS)), count, seed=2)
    for design in designs:
        claim = at_least if design.startswith("always") else exactly
        for what, kind in (("coverage", "missed"), ("coverage, relative effect", "missed relative")):
            for metric in asked_of(design):
                if kind == "missed" or "ratio" not in metric:
                    rate = 1 - counts[kind, design, metric] / count
                    yield Row(what, design, metric, rate, *claim(1 - ALPHA, count))


@lru_cache
def control_of(metric: str) -> Baseline:
    """What a large control arm says of a metric."""
    units = shoppers(2_000_000, 0.0, np.random.default_rng(99))
    return baseline(measured(units[:, METRICS[metric]]))


def finds(shop: Shop, metric: str, chance: np.random.Generator) -> Iterator[Kind]:
    name = "group-sequential, 4 looks"
    found = month(shop, chance).differences(METRICS[metric], LOOKS)
    if missed(found, sequentially, 0.0):
        yield "found", name, metric


def power(count: int, units: int) -> Iterator[Row]:
    """An effect of the size said to be found with 80 % power, among as many units as that takes."""
    for metric in ("conversion", "profit per unit, adjusted by cart and device"):
        lift = detectable(control_of(metric), units, Trial(ALPHA, 0.8, "group_sequential", len(LOOKS)))
        counts = simulated(partial(finds, Shop(units, 0.5, lift or 0.0), metric), count, seed=3)
        kind = ("found", "group-sequential, 4 looks", metric)
        yield Row(f"power at {lift or 0:+.1%}", kind[1], metric, counts[kind] / count, *exactly(0.8, count))


def guarded(shop: Shop, margin: float, chance: np.random.Generator) -> Iterator[Kind]:
    """What a guardrail on conversion is said to be at any of four looks, and what its effect ± error would say."""
    found = month(shop, chance).differences(METRICS["conversion"], LOOKS)
    looks = list(zip(found, sequentially(found), strict=True))
    for each in sorted({standing(found, margin, "higher", critical) for found, critical in looks}):
        yield each, GUARDED, "conversion"
    naive = [(each.relative or 0.0) + critical * (each.relative_error or 0.0) for each, critical in looks]
    if any(high < -margin for high in naive):
        yield "broken", NAIVELY_GUARDED, "conversion"


GUARDED, NAIVELY_GUARDED = "group-sequential, 4 looks", "PLANTED BUG: relative effect ± its error"


def guardrails(count: int, margin: float) -> Iterator[Row]:
    """Exactly at its margin a guardrail may be said to hold, or to be broken, by half of the error each."""
    counts = simulated(partial(guarded, Shop(lift=-margin), margin), count, seed=4)
    for each, design in (("holds", GUARDED), ("broken", GUARDED), ("broken", NAIVELY_GUARDED)):
        rate = counts[each, design, "conversion"] / count
        yield Row(f"guardrail at its margin: {each}", design, "conversion", rate, *exactly(ALPHA / 2, count))
    counts = simulated(partial(guarded, Shop(), margin), count, seed=5)
    rate = counts["broken", GUARDED, "conversion"] / count
    yield Row("guardrail without harm: broken", GUARDED, "conversion", rate, *at_most(ALPHA / 2, count))


def ratios(lost: float, chance: np.random.Generator) -> Iterator[Kind]:
    daily = chance.multinomial(40_000, TRAFFIC / TRAFFIC.sum())
    assigned = chance.binomial(daily, 0.5)
    control, treated = daily - assigned, chance.binomial(assigned, 1 - lost)
    days = [
        Day({"control": int(a), "treated": int(b)}, {"control": 5_000, "treated": 5_000})
        for a, b in zip(control, treated, strict=True)
    ]
    found = check(days)
    if found.p < ALPHA:
        yield "alarm", "anytime-valid", ""
    if found.alarm == "blocks":
        yield "block", "anytime-valid", ""
    if found.classic < 0.01:
        yield "warn", "classic", ""
    if any(classic_p(days[: day + 1]) < ALPHA for day in range(DAYS)):
        yield "alarm", "classic", ""


def sample_ratios(count: int) -> Iterator[Row]:
    """Sound arms that are said to be off, looked at every day; and arms that lose some, which have to be."""
    counts = simulated(partial(ratios, 0.0), count, seed=6)
    rows = (
        ("ratio alarm at 5 %", "anytime-valid, looked at daily", ("alarm", "anytime-valid", ""), at_most(ALPHA, count)),
        (
            "ratio blocks at 0.1 %",
            "anytime-valid, looked at daily",
            ("block", "anytime-valid", ""),
            at_most(0.001, count),
        ),
        ("ratio warns at 1 %", "classic, looked at once", ("warn", "classic", ""), exactly(0.01, count)),
        (
            "ratio alarm at 5 %",
            "PLANTED BUG: classic, looked at daily",
            ("alarm", "classic", ""),
            at_most(ALPHA, count),
        ),
    )
    for what, design, kind, claim in rows:
        yield Row(what, design, "units by arm", counts[kind] / count, *claim)
    counts = simulated(partial(ratios, 0.06), count, seed=7)
    rate = counts["block", "anytime-valid", ""] / count
    yield Row(
        "ratio blocks, 6 % of an arm lost",
        "anytime-valid, looked at daily",
        "units by arm",
        rate,
        *at_least(0.8, count),
    )


SECONDARY, AFFECTED = 10, 3


def secondaries(units: int, chance: np.random.Generator) -> Iterator[Kind]:
    """Ten shares that rise and fall together; treatment changes three. What is a find at any of four looks?"""
    lift = np.where(np.arange(SECONDARY) < AFFECTED, 0.25, 0.0)
    data = []
    for change in (np.zeros(SECONDARY), lift):
        keen = chance.lognormal(-0.125, 0.5, (units, 1))
        values = chance.random((units, SECONDARY)) < np.minimum(0.05 * keen * (1 + change), 1)
        data.append(products(np.column_stack([np.ones(units), values]), np.full(DAYS, units // DAYS)))
    found = [Month(*data).differences((metric + 1, 0), LOOKS) for metric in range(SECONDARY)]
    looks = [_ps([each[:look] for each in found]) for look in range(1, len(LOOKS) + 1)]
    ever = {metric for ps, _ in looks for metric, q in enumerate(false_discovery(ps)) if q is not None and q <= ALPHA}
    careless = {metric for _, ps in looks for metric, p in enumerate(ps) if p <= ALPHA}
    for name, found in (("Benjamini-Hochberg", ever), ("each by itself, at each look", careless)):
        false = sum(metric >= AFFECTED for metric in found)
        for _ in range(round(_FINE * false / max(1, len(found)))):
            yield "false share", name, ""
        for _ in range(len(found) - false):
            yield "true finds", name, ""


_FINE = 2_520
"""Shares of up to ten finds are counted in parts of this, which all of them divide."""


def _ps(metrics: Sequence[Sequence[Difference]]) -> tuple[list[float], list[float]]:
    """Of every metric at its last look: the p that holds over all looks, and the one that knows of this look only."""
    once = [p_value(found[-1]) for found in metrics]
    # What is no find at one look is none at four, so that the costly p need not be known.
    return [_repeated(found) if p <= ALPHA else 1.0 for found, p in zip(metrics, once, strict=True)], once


def _repeated(found: Sequence[Difference]) -> float:
    known = [1 / each.error**2 for each in found]
    clock = [(look + 1) / len(LOOKS) for look in range(len(found))]
    return repeated_p(found[-1].absolute / found[-1].error, lambda alpha: boundaries(clock, known, alpha)[-1])


def discoveries(count: int) -> Iterator[Row]:
    """The share of false finds among the finds of a look or of any before it, on average."""
    counts = simulated(partial(secondaries, 14_000), count, seed=8)
    for name, design in (
        ("Benjamini-Hochberg", "4 looks, {}"),
        ("each by itself, at each look", "PLANTED BUG: 4 looks, {}"),
    ):
        rate = counts["false share", name, ""] / _FINE / count
        claim = at_most(ALPHA, count)
        yield Row("false discoveries", design.format(name), f"{SECONDARY} secondary metrics", rate, *claim)


def every_row(count: int) -> Iterator[Row]:
    """The whole proof."""
    yield from false_finds(count, Shop(), list(DESIGNS), "false finds")
    sound = ["group-sequential, 4 looks", "always-valid, looked at daily", "fixed, looked at once"]
    yield from false_finds(count, Shop(share=0.2), sound, "false finds, 80:20")
    yield from coverage(count, Shop(lift=0.15), sound[:2])
    yield from power(count, 160_000)
    yield from guardrails(count, 0.15)
    yield from sample_ratios(count)
    yield from discoveries(count)


def main() -> int:
    """Print the table; 1 where a claim does not hold."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SIMULATIONS
    columns = ("what", "design", "metric", "measured %", "claim %", "bound %", "holds")
    sys.stdout.write(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|\n")
    failed = 0
    for row in every_row(count):
        failed += not row.holds
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    sys.stdout.write(f"\n{count} simulations a row; {failed} claims do not hold.\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
