"""An experiment's report as a page shows it: numbers in the person's language, and where each bar lies. Pure.

A number is said as finely as its error deserves (``analysis.render.words.Scale``). Groups of fewer than ``SMALL`` are
said to be that, and no more; where one alone would follow from the others, the next smallest is kept back with it.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from babel.numbers import format_decimal, get_currency_symbol
from msgspec import Struct

from cashwrap.analysis.render.words import MINUS, NONE, Scale, scale, scale_of
from cashwrap.analysis.results import Effect, Interval, Problem, Report, Result, Slice, Step
from cashwrap.console.look import Look
from cashwrap.console.work.report_curves import UNITS, by_age, completed, over_time

SMALL = 20
"""Shoppers below which a group's figures are not told."""
SLICES = 60
"""Parts of the shoppers that a page shows, the largest."""
WIDTH = 240.0
"""Of a bar's drawing; zero is in its middle."""
_ROOM = 8.0


class Bar(Struct, frozen=True):
    """Where an interval lies on a drawing of ``WIDTH``; ``at`` is its middle, ``limit`` a guardrail's allowed harm."""

    low: float
    high: float
    at: float | None
    limit: float | None = None
    beyond: bool = False
    """It reaches further than is drawn."""


class Line(Struct, frozen=True):
    """One metric and arm."""

    label: str
    role: str
    arm: str
    control: str
    treated: str
    change: str
    between: str
    relative: str
    direction: str
    p: str
    q: str
    better: str
    standing: str = ""
    allowed: str = ""
    bar: Bar | None = None


class Part(Struct, frozen=True):
    """The effect in one part of the shoppers; a small one has no figures."""

    dimension: str
    value: str
    arm: str
    units: str
    change: str = ""
    between: str = ""
    shrunk: str = ""
    direction: str = "unclear"
    small: bool = False
    bar: Bar | None = None


class Arm(Struct, frozen=True):
    """Who was in an arm. ``returned`` is the share of decisions that came back as exposures."""

    arm: str
    share: str
    found: str
    units: str
    mature: str
    tainted: str
    decided: str
    returned: str
    ghosts: tuple[tuple[str, str], ...]


class Reached(Struct, frozen=True):
    """How far an arm came."""

    step: str
    arm: str
    units: str
    share: str
    part: float


class View(Struct, frozen=True):
    """Everything that the template of a report shows, but for its fixed words."""

    report: Report
    primary: tuple[Line, ...]
    guardrails: tuple[Line, ...]
    others: tuple[Line, ...]
    untold: tuple[tuple[str, Problem], ...]
    arms: tuple[Arm, ...]
    funnel: tuple[Reached, ...]
    parts: tuple[Part, ...]
    hidden: int
    """Parts that are not shown: the smallest."""
    timeline: Mapping[str, object] | None
    novelty: Mapping[str, object] | None
    curves: Mapping[str, object] | None
    stake: str
    stake_range: str
    harm: str
    counted: str
    whole: str
    ratio_p: str
    ratio: str
    """Of the check: ``off``, ``unlikely``, ``fine`` or nothing."""
    reach: str
    """What the ends of the bars stand for."""


class Figures:
    """How numbers are written in a language."""

    def __init__(self, look: Look, currency: str) -> None:
        self.look = look
        self.currency = currency

    def level(self, scale: Scale, value: float) -> str:
        """A value as it is."""
        return self._said(scale, value, MINUS if value < 0 else "")

    def change(self, scale: Scale, value: float) -> str:
        """A difference with its sign; of shares in percentage points."""
        rounded = round(value * scale.factor, scale.decimals) if math.isfinite(value) else value
        return self._said(scale, value, _sign(rounded), points=True)

    def between(self, scale: Scale, interval: Interval) -> str:
        """An interval of differences, open where an end is infinite."""
        return self._between(interval, partial(self.change, scale))

    def relative(self, value: float | None) -> str:
        """A relative difference with its sign."""
        if value is None or math.isnan(value):
            return NONE
        return f"{_sign(round(value, 3))}{'∞' if math.isinf(value) else self.share(abs(value))}"

    def share(self, value: float | None, digits: int = 1) -> str:
        """A share of one."""
        return NONE if value is None or not math.isfinite(value) else self.look.percent(value, digits)

    def chance(self, value: float | None) -> str:
        """A chance, never quite nothing and never quite certain."""
        if value is None or math.isnan(value):
            return NONE
        if not 0.001 <= value <= 0.999:
            return f"{'<' if value < 0.5 else '>'} {self.share(0.001 if value < 0.5 else 0.999)}"
        return self.share(value, 1 if value < 0.1 or value > 0.9 else 0)

    def p(self, value: float | None) -> str:
        """A p or q value."""
        if value is None or math.isnan(value):
            return NONE
        return f"< {self.plain(0.0001, 4)}" if value < 0.0001 else self.plain(value, 4 if value < 0.01 else 3)

    def count(self, units: int) -> str:
        """How many shoppers; of a small group only that it is small."""
        if 0 < units < SMALL:
            return self.look.say("fewer than 20")
        return self.look.number(units)

    def plain(self, value: float, decimals: int) -> str:
        """With so many decimals."""
        pattern = f"#,##0.{'0' * decimals}" if decimals > 0 else "#,##0"
        return str(format_decimal(round(value, decimals), format=pattern, locale=self.look.language))

    def _said(self, scale: Scale, value: float, sign: str, *, points: bool = False) -> str:
        if math.isnan(value):
            return NONE
        if math.isinf(value):
            return f"{sign}∞"
        figures = sign + self.plain(abs(value) * scale.factor, scale.decimals)
        if scale.worth == "share":
            gap = "" if self.look.language == "en" and not points else "\u00a0"
            return f"{figures}{gap}{self.look.say('pp') if points else '%'}"
        if scale.worth == "money":
            symbol = get_currency_symbol(scale.currency, locale=self.look.language)
            bare = figures.removeprefix(sign)
            return f"{sign}{symbol}{bare}" if self.look.language == "en" else f"{figures}\u00a0{symbol}"
        return f"{figures}\u00a0{self.look.say(UNITS[scale.unit])}" if scale.unit else figures

    def _between(self, interval: Interval, said: Callable[[float], str]) -> str:
        low, high = interval
        if math.isnan(low) or math.isnan(high):
            return NONE
        if math.isinf(low) and math.isinf(high):
            return self.look.say("anything")
        if math.isinf(low):
            return self.look.say("at most %(end)s", end=said(high))
        if math.isinf(high):
            return self.look.say("at least %(end)s", end=said(low))
        return self.look.say("%(low)s to %(high)s", low=said(low), high=said(high))


def _sign(rounded: float) -> str:
    return "+" if rounded > 0 else MINUS if rounded < 0 else "±"


def view(report: Report, look: Look) -> View:
    """A report in somebody's language."""
    figures = Figures(look, report.currency)
    reach = _reach(report.results)
    lines = [line for result in report.results for line in _lines(report, result, figures, reach)]
    parts, hidden = _parts(report, figures)
    verdict = report.verdict
    mature, units = sum(each.mature for each in report.arms), sum(each.units for each in report.arms)
    return View(
        report=report,
        primary=tuple(line for line in lines if line.role == "primary"),
        guardrails=tuple(line for line in lines if line.role == "guardrail"),
        others=tuple(line for line in lines if line.role not in ("primary", "guardrail")),
        untold=tuple((each.label, each.problem) for each in report.results if each.problem is not None),
        arms=tuple(_arms(report, figures)),
        funnel=tuple(_reached(step, figures) for step in _by_step(report.funnel)),
        parts=parts,
        hidden=hidden,
        timeline=over_time(report, look.say),
        novelty=by_age(report, look.say),
        curves=completed(report.curves),
        stake=_stake(verdict.stake, verdict.stake_interval, figures),
        stake_range=_stake_range(verdict.stake, verdict.stake_interval, figures),
        harm=figures.chance(verdict.harm) if verdict.harm is not None else "",
        counted=figures.count(mature),
        whole=figures.count(units),
        ratio_p=figures.p(min(report.ratio.p, report.ratio.classic)) if report.ratio is not None else "",
        ratio=_ratio(report),
        reach=figures.share(reach, 0 if reach > 0.1 else 1),
    )


# --- metrics ---


def direction(effect: Effect, result: Result) -> str:
    """What an interval says: ``better``, ``worse``, or ``unclear`` where it holds zero or says nothing."""
    low, high = effect.interval
    if math.isnan(low) or math.isnan(high) or math.isnan(effect.absolute) or low <= 0 <= high:
        return "unclear"
    gain = effect.absolute if result.better == "higher" else -effect.absolute
    return "better" if gain > 0 else "worse"


def _lines(report: Report, result: Result, figures: Figures, reach: float) -> Iterator[Line]:
    units = scale_of(result, report.currency)
    control = report.arms[0].arm if report.arms else "control"
    for effect in result.effects:
        yield Line(
            label=result.label,
            role=result.role,
            arm=effect.arm,
            control=_level(figures, units, result, control),
            treated=_level(figures, units, result, effect.arm),
            change=figures.change(units, effect.absolute),
            between=figures.between(units, effect.interval),
            relative=figures.relative(effect.relative),
            direction=direction(effect, result),
            p=figures.p(effect.p),
            q=figures.p(effect.q),
            better=figures.chance(effect.chance_better),
            standing=effect.standing or "",
            allowed=figures.share(result.margin) if result.margin is not None else "",
            bar=bar(effect.relative, effect.relative_interval, reach, _limit(result)),
        )


def _level(figures: Figures, units: Scale, result: Result, arm: str) -> str:
    return figures.level(units, result.values[arm]) if arm in result.values else NONE


def _limit(result: Result) -> float | None:
    if result.margin is None:
        return None
    return -result.margin if result.better == "higher" else result.margin


def bar(value: float | None, interval: Interval | None, reach: float, limit: float | None = None) -> Bar | None:
    """Where an interval lies, when ``reach`` is the end of the drawing; nothing where there is no number."""
    if value is None or interval is None or math.isnan(interval.low) or math.isnan(interval.high):
        return None
    return Bar(
        low=_place(interval.low, reach),
        high=_place(interval.high, reach),
        at=_place(value, reach) if math.isfinite(value) and abs(value) <= reach else None,
        limit=_place(limit, reach) if limit is not None and abs(limit) <= reach else None,
        beyond=interval.high > reach or interval.low < -reach,
    )


def _place(value: float, reach: float) -> float:
    return round(WIDTH / 2 + max(-1.0, min(1.0, value / reach)) * (WIDTH / 2 - _ROOM), 1)


def _reach(results: Iterable[Result]) -> float:
    effects = (effect for result in results for effect in result.effects)
    return _widest(end for effect in effects for end in effect.relative_interval or ())


def _widest(ends: Iterable[float]) -> float:
    """The longest bar that is drawn whole: one wide interval must not make points of all others."""
    sizes = sorted(abs(end) for end in ends if math.isfinite(end) and end) or [1.0]
    return min(sizes[-1], 4 * sizes[len(sizes) // 2])


# --- who was counted ---


def _arms(report: Report, figures: Figures) -> Iterator[Arm]:
    found = report.ratio.found if report.ratio is not None else {}
    whole = sum(found.values())
    for each in report.arms:
        returned = each.seen / each.decided if each.seen is not None and each.decided else None
        yield Arm(
            arm=each.arm,
            share=figures.share(each.share / 10_000, 2),
            found=figures.share(found[each.arm] / whole, 2) if each.arm in found and whole >= SMALL else NONE,
            units=figures.count(each.units),
            mature=figures.count(each.mature),
            tainted=figures.count(each.tainted),
            decided=figures.look.number(each.decided) if each.decided is not None else NONE,
            returned=figures.share(min(1.0, returned)) if returned is not None else NONE,
            ghosts=tuple((why, figures.count(count)) for why, count in each.ghosts.items()),
        )


def _ratio(report: Report) -> str:
    if report.ratio is None:
        return ""
    codes = {doubt.code for doubt in report.doubts}
    return "off" if "sample_ratio" in codes else "unlikely" if "sample_ratio_warning" in codes else "fine"


def _by_step(funnel: Sequence[Step]) -> list[Step]:
    """The arms of each step beside each other."""
    order = list(dict.fromkeys(each.step for each in funnel))
    return sorted(funnel, key=lambda each: order.index(each.step))


def _reached(step: Step, figures: Figures) -> Reached:
    told = step.of >= SMALL and not 0 < step.units < SMALL
    part = step.units / step.of if told else 0.0
    share = figures.share(part) if told else NONE
    return Reached(step.step, step.arm, figures.count(step.units), share, round(part, 4))


# --- parts of the shoppers ---


def _parts(report: Report, figures: Figures) -> tuple[tuple[Part, ...], int]:
    primary = next((each for each in report.results if each.role == "primary"), None)
    if primary is None:
        return (), 0
    units = scale_of(primary, report.currency)
    kept = kept_back(report.slices)
    shown = sorted(report.slices, key=lambda each: (each.dimension, -each.units))
    if len(shown) > SLICES:
        largest = {id(each) for each in sorted(shown, key=lambda each: -each.units)[:SLICES]}
        shown = [each for each in shown if id(each) in largest]
    reach = _widest(end for each in shown for end in each.effect.interval)
    parts = (
        _small(each, figures) if id(each) in kept else _part(each, primary, units, figures, reach) for each in shown
    )
    return tuple(parts), len(report.slices) - len(shown)


def kept_back(slices: Sequence[Slice]) -> Collection[int]:
    """The identities of parts that are not told: the small, and where one alone is, the next smallest beside it."""
    found: set[int] = set()
    groups: dict[tuple[str, str], list[Slice]] = {}
    for each in slices:
        groups.setdefault((each.dimension, each.arm), []).append(each)
    for group in groups.values():
        ordered = sorted(group, key=lambda each: each.units)
        small = [each for each in ordered if each.units < SMALL]
        found.update(map(id, ordered[:2] if len(small) == 1 else small))
    return found


def _part(each: Slice, primary: Result, units: Scale, figures: Figures, reach: float) -> Part:
    return Part(
        dimension=each.dimension,
        value=each.value,
        arm=each.arm,
        units=figures.look.number(each.units),
        change=figures.change(units, each.effect.absolute),
        between=figures.between(units, each.effect.interval),
        shrunk=figures.change(units, each.shrunk),
        direction=direction(each.effect, primary),
        bar=bar(each.effect.absolute, each.effect.interval, reach),
    )


def _small(each: Slice, figures: Figures) -> Part:
    told = figures.look.say("fewer than 20") if each.units < SMALL else figures.look.say("kept back")
    return Part(each.dimension, each.value, each.arm, told, small=True)


# --- money at stake ---


def _stake(value: float | None, interval: Interval | None, figures: Figures) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return figures.change(_coarse(value, interval, figures), value)


def _stake_range(value: float | None, interval: Interval | None, figures: Figures) -> str:
    if value is None or interval is None:
        return ""
    return figures.between(_coarse(value, interval, figures), interval)


def _coarse(value: float, interval: Interval | None, figures: Figures) -> Scale:
    """Money to about two digits of what is uncertain of it: nobody knows a year to the cent."""
    money = scale("money", figures.currency, [value], [])
    width = (interval.high - interval.low) / 2 if interval is not None else math.inf
    size = (width if math.isfinite(width) and width > 0 else abs(value) / 10) * money.factor
    digits = 1 - math.floor(math.log10(size)) if 0 < size < math.inf else 0
    return Scale(money.worth, money.currency, money.unit, money.factor, min(money.decimals, digits))
