"""Numbers and names as people read them: money in the shop's currency, shares, times, and how sure one can be.

A number is said as finely as it is known: its error is given two digits, and it has as many decimals as that error.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from msgspec import Struct

from cashwrap.analysis.question import Role, Worth
from cashwrap.analysis.results import Code, Effect, Interval, Point, RatioCheck, Report, Result, Standing
from cashwrap.analysis.statistics.ratio import BLOCKS, WARNS
from cashwrap.content.locales import exponent
from cashwrap.declarations import DesignDecl
from cashwrap.model import Millis

LOCALE = "en"
MINUS = "\u2212"
NONE = "\u2013"
"""In the place of a number that there is none of."""
FINEST = 4
"""Decimals at most, in whatever unit."""

NOT_A_RULE = "a posterior view, not a stopping rule"
ROLES: dict[Role, str] = {
    "primary": "primary",
    "secondary": "secondary",
    "guardrail": "guardrail",
    "description": "description only",
}
STANDINGS: dict[Standing, str] = {
    "holds": "holds",
    "broken": "broken",
    "open": "open",
}
HEADINGS: dict[Code, str] = {
    "ship": "Ship it",
    "roll_back": "Roll it back",
    "keep_running": "Keep running",
    "cannot_tell": "Cannot tell",
}
HOLDOUT_HEADINGS: dict[Code, str] = {
    "ship": "It pays",
    "roll_back": "It costs",
    "keep_running": "Too early to say",
    "cannot_tell": "Cannot tell",
}
METHODS = {
    "group_sequential": "group-sequential (alpha spending)",
    "always_valid": "always-valid confidence sequence",
    "fixed": "fixed sample, one look at the end",
}

When = Callable[[int], str]
"""What a point in time, or an age, is called."""

LOOKS = {
    "group_sequential": "The error is spent over the planned looks. Between looks nothing changes here, so that nobody "
    "can peek.",
    "always_valid": "The interval holds at every moment at once: looking often costs nothing but its width.",
    "fixed": "There is one look, at the planned end. Before it nothing is told.",
}

_TIMES: tuple[tuple[float, str], ...] = (
    (2 * 86_400_000, "days"),
    (2 * 3_600_000, "h"),
    (2 * 60_000, "min"),
    (1_000, "s"),
)
_LENGTHS = {"days": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1_000, "ms": 1}


# --- one metric's scale ---


class Scale(Struct, frozen=True):
    """How one metric's numbers are written: ``unit`` after each, ``factor`` into it, and how many decimals."""

    worth: Worth
    currency: str
    unit: str
    factor: float
    decimals: int

    def level(self, value: float) -> str:
        """A value as it is: ``EUR 3.12``, ``4.1%``, ``2.4 min``."""
        return self._said(value, "")

    def change(self, value: float) -> str:
        """A difference, with its sign; of shares in percentage points."""
        rounded = round(value * self.factor, self.decimals) if math.isfinite(value) else value
        sign = "+" if rounded > 0 else MINUS if rounded < 0 else "±"
        said = self._said(abs(value), sign)
        return f"{said.removesuffix('%')} pp" if self.worth == "share" and said.endswith("%") else said

    def between(self, interval: Interval) -> str:
        """An interval of differences, open where an end is infinite."""
        low, high = interval
        if math.isinf(low) and math.isinf(high):
            return "anything"
        if math.isinf(low):
            return f"at most {self.change(high)}"
        if math.isinf(high):
            return f"at least {self.change(low)}"
        unit = " pp" if self.worth == "share" else f" {self.unit}"
        return f"{self.change(low).removesuffix(unit)} to {self.change(high)}"

    def axis(self) -> str:
        """The unit that an axis of differences has."""
        return {"money": self.currency, "share": "percentage points", "milliseconds": self.unit, "count": ""}[
            self.worth
        ]

    def _said(self, value: float, sign: str) -> str:
        if math.isnan(value):
            return NONE
        if math.isinf(value):
            return f"{sign}∞"
        number = Decimal(f"{value * self.factor:.{self.decimals}f}")
        if self.worth == "money":
            return f"{sign}{_currency(number, self.currency)}"
        negative = MINUS if number < 0 else ""
        figures = format_decimal(abs(number), format=_pattern(self.decimals), locale=LOCALE)
        return f"{negative}{sign}{figures}{'%' if self.worth == 'share' else f' {self.unit}' if self.unit else ''}"


def scale(worth: Worth, currency: str, values: Iterable[float], errors: Iterable[float]) -> Scale:
    """The scale for values whose errors are these; all in the metric's own unit (minor units, shares of one, ms)."""
    sizes = [abs(value) for value in values if math.isfinite(value)]
    known = [error for error in errors if math.isfinite(error) and error > 0]
    unit, factor = _unit(worth, currency, max(sizes, default=0.0))
    finest = min(known) * factor if known else 0.0
    places = _places(finest) if known else _usual(worth, currency)
    if worth == "money" and places:
        places = max(places, exponent(currency))
    return Scale(worth, currency, unit, factor, places)


def scale_of(result: Result, currency: str) -> Scale:
    """The scale of a result's values and effects."""
    return scale(result.worth, currency, result.values.values(), [effect.error for effect in result.effects])


def scale_of_points(report: Report, points: Sequence[Point]) -> Scale:
    """The scale of the primary metric's effects at several moments."""
    primary = primary_of(report)
    ends = [(point.interval.high - point.interval.low) / 4 for point in points]
    return scale(primary.worth if primary else "count", report.currency, [point.effect for point in points], ends)


def _unit(worth: Worth, currency: str, size: float) -> tuple[str, float]:
    if worth == "money":
        return currency, 10.0 ** -exponent(currency)
    if worth == "share":
        return "%", 100.0
    if worth == "milliseconds":
        unit = next((unit for least, unit in _TIMES if size >= least), "ms")
        return unit, 1 / _LENGTHS[unit]
    return "", 1.0


def _places(error: float) -> int:
    """Decimals that show an error's first digit, and its second where the first is small."""
    if error < 10.0**-FINEST:
        return FINEST
    magnitude = math.floor(math.log10(error))
    first = error / 10.0**magnitude
    return min(max(-magnitude + (first < 2.5), 0), FINEST)


def _usual(worth: Worth, currency: str) -> int:
    return exponent(currency) if worth == "money" else 1 if worth in {"share", "milliseconds"} else 2


def _pattern(decimals: int) -> str:
    return "#,##0." + "0" * decimals if decimals else "#,##0"


def _currency(number: Decimal, currency: str) -> str:
    """An amount in major units with the decimals it has; a negative one has its minus before the currency's sign."""
    pattern = f"¤{_pattern(max(-int(number.as_tuple().exponent), 0))}"
    said = str(format_currency(abs(number), currency, pattern, locale=LOCALE, currency_digits=False))
    spaced = said.replace(currency, f"{currency}\xa0") if said.startswith(currency) else said
    return (MINUS if number < 0 else "") + spaced


# --- numbers that stand alone ---


def signed(value: float, worth: Worth, currency: str) -> str:
    """A difference with its sign, to two or three digits."""
    return scale(worth, currency, [value], [abs(value) / 5]).change(value)


def range_of(interval: Interval, worth: Worth, currency: str) -> str:
    """An interval of differences, as finely as its width deserves."""
    finite = [end for end in interval if math.isfinite(end)]
    return scale(worth, currency, finite, [(interval.high - interval.low) / 4]).between(interval)


def stake(value: float, interval: Interval | None, currency: str) -> str:
    """Money at stake in a year: rounded to what its interval leaves certain, since nobody knows it to the cent."""
    return rounded(value, _step(value, interval), currency)


def stake_range(value: float, interval: Interval, currency: str) -> str:
    """The interval of money at stake, rounded alike."""
    step = _step(value, interval)
    if math.isinf(interval.low) or math.isinf(interval.high):
        return scale("money", currency, [value], [step]).between(interval)
    return " to ".join(rounded(end, step, currency) for end in interval)


def rounded(value: float, step: float, currency: str) -> str:
    """Minor units as money, to the nearest step."""
    whole = round(value / step) * step
    if whole == 0:
        return _currency(Decimal(0), currency)
    sign = "+" if whole > 0 else MINUS
    major = Decimal(round(abs(whole))).scaleb(-exponent(currency))
    return sign + _currency(major.quantize(Decimal(1)) if step >= 10 ** exponent(currency) else major, currency)


def _step(value: float, interval: Interval | None) -> float:
    """One hundredth of the interval's half width, as a power of ten: about two digits of what is uncertain."""
    width = (interval.high - interval.low) / 2 if interval is not None else math.inf
    size = width if math.isfinite(width) and width > 0 else abs(value) / 10
    return 10.0 ** max(math.floor(math.log10(size)) - 1, 0) if size > 0 else 1.0


def relative(value: float | None) -> str:
    """A relative difference in percent, with its sign."""
    return NONE if value is None else _percent(value, 1)


def relative_range(interval: Interval | None) -> str:
    """An interval of relative differences."""
    if interval is None:
        return NONE
    low, high = interval
    if math.isinf(low) and math.isinf(high):
        return "anything"
    if math.isinf(low):
        return f"at most {_percent(high, 1)}"
    if math.isinf(high):
        return f"at least {_percent(low, 1)}"
    return f"{_percent(low, 1)} to {_percent(high, 1)}"


def _percent(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return NONE if math.isnan(value) else f"{MINUS if value < 0 else '+'}∞"
    percent = round(value * 100, decimals)
    sign = "+" if percent > 0 else MINUS if percent < 0 else "±"
    return f"{sign}{format_decimal(abs(percent), format=_pattern(decimals), locale=LOCALE)}%"


def share(value: float, decimals: int = 1) -> str:
    """A share of one in percent."""
    return NONE if math.isnan(value) else f"{value * 100:.{decimals}f}%"


def chance(value: float | None) -> str:
    """A chance in percent, never quite nothing and never quite certain."""
    if value is None:
        return NONE
    if value < 0.001:
        return "less than 0.1%"
    if value > 0.999:
        return "more than 99.9%"
    return share(value, 1 if value < 0.1 or value > 0.9 else 0)


def brief(said: str) -> str:
    """The same chance for a column."""
    return said.replace("less than ", "<").replace("more than ", ">")


def p_value(value: float | None) -> str:
    """A p or q value: three decimals, and no smaller than anybody believes."""
    if value is None:
        return NONE
    return "<0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def critical(value: float) -> str:
    """A z to compare with; before the first look nothing is far enough."""
    return f"{value:.2f}" if math.isfinite(value) else "none yet"


def number(value: int | float) -> str:
    """A count with separators."""
    return str(format_decimal(round(value), locale=LOCALE))


def plural(count: int, one: str, many: str = "") -> str:
    """A count and its noun."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"


def duration(length: Millis) -> str:
    """A length of time in its largest whole unit."""
    for unit, name in ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")):
        if length >= unit:
            count = length / unit
            return f"{count:.3g} {name}{'' if count == 1 else 's'}"
    return f"{length} ms" if length else "none"


def day(when: Millis) -> str:
    """The day of a moment, in UTC."""
    return str(format_date(datetime.fromtimestamp(when / 1000, UTC), "medium", LOCALE))


def short_day(when: Millis) -> str:
    """The day without its year, for an axis."""
    return str(format_date(datetime.fromtimestamp(when / 1000, UTC), "MMM d", LOCALE))


def moment(when: Millis) -> str:
    """A moment to the minute, in UTC."""
    there = datetime.fromtimestamp(when / 1000, UTC)
    return f"{day(when)}, {format_time(there, 'HH:mm', locale=LOCALE)} UTC"


def parts(value: int) -> str:
    """A share of 10,000 in percent, with no more digits than it has."""
    return f"{value / 100:g}%"


# --- what things are called ---


def is_holdout(report: Report) -> bool:
    """Whether this is the headline of all personalization, and no single experiment."""
    return report.experiment in {"", "holdout"}


def title(report: Report) -> str:
    """What the report is about."""
    return "What personalization earned" if is_holdout(report) else report.experiment


def heading(report: Report) -> str:
    """The verdict in two or three words."""
    return (HOLDOUT_HEADINGS if is_holdout(report) else HEADINGS)[report.verdict.code]


def control_of(report: Report) -> str:
    """The arm that the others are compared with: the first one."""
    return report.arms[0].arm if report.arms else "control"


def label(result: Result) -> str:
    """What a metric is called at the beginning of a line."""
    return result.label[:1].upper() + result.label[1:]


def direction(effect: Effect, result: Result) -> str:
    """What an interval says: ``better``, ``worse``, or ``unclear`` where it holds zero."""
    if effect.interval.low <= 0 <= effect.interval.high:
        return "unclear"
    gain = effect.absolute if result.better == "higher" else -effect.absolute
    return "better" if gain > 0 else "worse"


def primary_of(report: Report) -> Result | None:
    """The metric that the verdict is about."""
    return next((result for result in report.results if result.role == "primary"), None)


def design_said(design: DesignDecl) -> str:
    """A design in one line."""
    looks = "" if design.method != "group_sequential" else f", {plural(design.looks, 'look')}"
    return (
        f"{METHODS[design.method]}{looks} over {plural(design.days, 'day')}; error {parts(design.alpha)}, "
        f"power {parts(design.power)} for a relative change of {parts(design.detect)}"
    )


def ratio_said(check: RatioCheck) -> str:
    """What the ratio check found, plainly; its two thresholds are those that block and warn."""
    p = f"p {written(check.p)}, however often one looks; for one look alone, p {written(check.classic)} by chi-square"
    if check.p < BLOCKS:
        return f"Units did not come in the declared shares ({p}). Trust no number until that is explained."
    if min(check.p, check.classic) < WARNS:
        return f"Units came in unlikely shares ({p}). See what is suspected before you believe the figures."
    return f"Units came in the declared shares, as far as chance lets them ({p})."


def written(p: float) -> str:
    """A p value within a sentence: ``= 0.041``, ``< 0.0001``."""
    said = p_value(p)
    return said.replace("<", "< ") if said.startswith("<") else f"= {said}"


def notes(report: Report) -> tuple[str, ...]:
    """What to know about single metrics: what their values were capped at, and how much covariates helped."""
    capped = []
    for result in report.results:
        if result.caps is not None:
            written = scale(result.worth, report.currency, result.caps, [])
            low, high = (written.level(end) for end in result.caps)
            capped.append(f"{label(result)} at {low} and {high}")
    said = [f"Values of a single unit are capped: {'; '.join(capped)}."] if capped else []
    removed = max((effect.removed for result in report.results for effect in result.effects), default=0.0)
    if removed > 0:
        said.append(f"What was known before the exposure takes away up to {share(removed, 0)} of the variance.")
    return tuple(said)


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """The design and where it stands, each with its name."""
    yield "Design", design_said(report.design)
    window, maturity = duration(report.design.window), duration(report.design.maturity)
    more = f"; refunds and returns for {maturity} more" if report.design.maturity else ""
    yield "Outcomes count", f"for {window} after the first exposure{more}"
    if report.started is not None:
        yield "First exposure", moment(report.started)
    yield "Counted through", moment(report.through)
    if report.look is not None:
        yield "Ends", moment(report.look.ends)
        yield "Error spent so far", share(report.look.spent)
        yield "z that counts now", critical(report.look.critical)
    if report.playbooks:
        yield "Playbook releases", ", ".join(report.playbooks)
    yield "Made", moment(report.made)


def outlook(report: Report) -> Iterator[tuple[str, str]]:
    """How far it still is, each with its name."""
    plan = report.plan
    if plan is None:
        return
    yield "Wanted", f"a relative change of {share(plan.wanted)}"
    if plan.detectable is not None:
        yield "Could be found now", f"a relative change of {share(plan.detectable)} or more"
    if plan.units_needed is not None:
        yield "Units needed", number(plan.units_needed)
    yield "Units a day", number(plan.units_a_day)
    if plan.days_left is not None:
        yield "Days left", plural(max(0, round(plan.days_left)), "day") if plan.days_left > 0 else "none"


def next_steps(report: Report) -> tuple[str, ...]:
    """What to do now, in the order to do it."""
    steps = []
    if report.doubts:
        steps.append("Read the reasons for doubt first: each says what to mend.")
    steps += _HOLDOUT_STEPS[report.verdict.code] if is_holdout(report) else _STEPS[report.verdict.code]
    if report.look is not None and report.look.next is not None and report.verdict.code == "keep_running":
        steps.append(f"Look again on {day(report.look.next)}. Until then this report does not change.")
    return tuple(step.format(arm=report.verdict.arm or "the arm") for step in steps)


_STEPS: dict[Code, tuple[str, ...]] = {
    "ship": (
        "Give “{arm}” to everyone: make it the experience's content, and take the experiment out of the playbook.",
        "Keep some shoppers in the shop's holdout, so that what it earns can still be seen next quarter.",
    ),
    "roll_back": (
        "Take “{arm}” back: remove its variation from the playbook. Shoppers then see what control sees.",
        "Write down what was learned before the next idea: segments and guardrails below say where it hurt.",
    ),
    "keep_running": ("Change nothing: no arm, no share, no metric. What is changed on the way cannot be compared.",),
    "cannot_tell": (
        "Do not ship on this. Mend what stands in the way and start afresh with a new salt.",
        "Where nothing stands in the way, the difference is too small for this traffic: keep what is simpler.",
    ),
}
_HOLDOUT_STEPS: dict[Code, tuple[str, ...]] = {
    "ship": (
        "Leave personalization on, and leave the holdout as it is: it is the only proof that it goes on earning.",
        "Put the next effort where single experiments earn most.",
    ),
    "roll_back": (
        "All of it together costs more than it brings. Read the experiments' own reports, and pause what harms.",
        "Keep the holdout until this headline has turned.",
    ),
    "keep_running": ("Leave the holdout as it is. A share of a few percent takes weeks to tell.",),
    "cannot_tell": ("Mend what stands in the way. Until then, trust single experiments and not this headline.",),
}
