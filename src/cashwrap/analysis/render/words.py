"""Numbers as people read them: money in the shop's currency, shares, times, and how sure one can be.

A number is said as finely as it is known: it has as many decimals as its error needs.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from msgspec import Struct

from cashwrap.analysis.question import Worth
from cashwrap.analysis.results import Interval, Result
from cashwrap.content.locales import exponent
from cashwrap.model import Millis

LOCALE = "en"
MINUS = "\u2212"
NONE = "\u2013"
"""In the place of a number that there is none of."""
FINEST = 4
"""Decimals at most, in whatever unit."""

NOT_A_RULE = "a posterior view, not a stopping rule"
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
