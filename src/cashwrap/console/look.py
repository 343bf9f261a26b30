"""How pages are made: templates that escape whatever they show, in the person's language, with its numbers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from babel.core import Locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cashwrap.console.assets import version
from cashwrap.console.words import translations
from cashwrap.model import Millis, Minor
from cashwrap.offers.benefits import major


class Look:
    """Templates in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._locale = Locale(language)
        self._texts = translations(language)
        self._templates = Environment(
            loader=PackageLoader("cashwrap.console"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.i18n"],
        )
        self._templates.install_gettext_callables(self._one, self._many, newstyle=True)  # type: ignore[attr-defined]
        self._templates.filters |= {
            "number": self.number,
            "compact": self.compact,
            "percent": self.percent,
            "money": self.money,
            "moment": self.moment,
            "day": self.day,
            "lasted": self.lasted,
        }
        self._templates.globals |= {"language": language, "assets": f"/console/static/{version()}"}

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """A template with its values."""
        return self._templates.get_template(template).render(values)

    def say(self, text: str, **values: object) -> str:
        """A text in this language; ``%(name)s`` is filled in."""
        return self._one(text) % values if values else self._one(text)

    def number(self, value: float) -> str:
        """With the language's separators."""
        return format_decimal(value, locale=self._locale)

    def compact(self, value: float) -> str:
        """Short: 12K."""
        return format_compact_decimal(value, locale=self._locale, fraction_digits=1)

    def percent(self, share: float, digits: int = 1) -> str:
        """A share of one as per cent."""
        pattern = self._locale.percent_formats[None].pattern
        return format_percent(share, pattern.replace("##0", f"##0.{'#' * digits}") if digits else pattern, self._locale)

    def money(self, amount: Minor, currency: str) -> str:
        """Minor units as people read money."""
        return format_currency(major(amount, currency), currency, locale=self._locale)

    def moment(self, at: Millis) -> str:
        """Date and time, UTC."""
        return format_datetime(_time(at), "d MMM y, HH:mm:ss 'UTC'", locale=self._locale)

    def day(self, at: Millis) -> str:
        """A date."""
        return format_datetime(_time(at), "d MMM y", locale=self._locale)

    def lasted(self, millis: Millis) -> str:
        """A duration in its largest unit: 3 minutes."""
        return format_timedelta(millis // 1000, threshold=1.2, locale=self._locale)

    def _one(self, text: str) -> str:
        return self._texts.get(text, text)

    def _many(self, one: str, many: str, count: int) -> str:
        return self._one(one if count == 1 else many)


@cache
def look_of(language: str) -> Look:
    """The pages of a language."""
    return Look(language)


def _time(at: Millis) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
