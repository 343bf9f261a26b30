"""A text in several languages: which one a shopper gets, and what it says."""

from collections.abc import Collection, Mapping

from msgspec import Struct

from cashwrap.content import locales
from cashwrap.content.message import parse_message
from cashwrap.content.text import Scope, Writer, compile_message
from cashwrap.declarations import Settings
from cashwrap.errors import ContentError
from cashwrap.model import Inputs, Reason, Value


class Ineligible(Struct, frozen=True):
    """Why content cannot be shown now; ``why`` is for the person who asks for an explanation."""

    why: str
    reason: Reason = "no_content"


class Shop(Struct, frozen=True):
    """What every content is compiled with. ``money`` names the attributes that hold amounts."""

    settings: Settings = Settings()
    money: frozenset[str] = frozenset()

    def foreign(self, inputs: Inputs) -> bool:
        """Whether the request is in another currency than the shop's, in which our amounts mean nothing."""
        return inputs.currency not in {"", self.settings.currency}


class Rendered(Struct, frozen=True):
    """A finished text and the locale it was written in."""

    text: str
    locale: str


class Localised:
    """One text in its languages, compiled. A text without placeholders is finished at once."""

    __slots__ = ("_fixed", "_shop", "_writers")

    def __init__(
        self, texts: Mapping[str, str], shop: Shop, computed: Collection[str] = (), where: str = "text"
    ) -> None:
        """``computed`` names amounts the content itself works out. Raises ContentError at the first mistake."""
        self._shop = shop
        self._fixed: dict[str, Rendered] = {}
        self._writers: dict[str, Writer] = {}
        money = shop.money.union(computed)
        for tag, source in texts.items():
            self._add(tag, source, money, f"{where}.{tag}")

    def _add(self, tag: str, source: str, money: Collection[str], where: str) -> None:
        locale = locales.canonical(tag)
        if not locale:
            raise ContentError(f"{tag!r} is no locale; write one such as en or de-AT", code="bad_locale", where=where)
        try:
            message = parse_message(source)
        except ContentError as error:
            raise ContentError(error.message, code=error.code, offset=error.offset, where=where) from None
        if message.fixed is None:
            self._writers[locale] = compile_message(message, money)
        else:
            self._fixed[locale] = Rendered(message.fixed, locale)

    def tags(self) -> list[str]:
        """The locales there is a text for."""
        return [*self._fixed, *self._writers]

    @property
    def steady(self) -> bool:
        """Whether nothing but the locale makes a difference."""
        return not self._writers

    def fixed(self, tag: str) -> Rendered | None:
        """The text that is the same for everyone, where it is."""
        return self._fixed.get(tag)

    def find(self, requested: str) -> str | None:
        """The locale whose text a shopper gets; ``None`` where none fits."""
        for tag in locales.chain(requested, self._shop.settings.locale):
            if tag in self._fixed or tag in self._writers:
                return tag
        return None

    def render(self, inputs: Inputs, computed: Mapping[str, Value] | None = None) -> Rendered | Ineligible:
        """The text for a shopper."""
        tag = self.find(inputs.locale)
        return self.render_in(tag, inputs, computed) if tag is not None else missing_translation(inputs)

    def render_in(self, tag: str, inputs: Inputs, computed: Mapping[str, Value] | None = None) -> Rendered | Ineligible:
        """The text in a locale that ``find`` named."""
        fixed = self._fixed.get(tag)
        if fixed is not None:
            return fixed
        settings = self._shop.settings
        scope = Scope(
            values=inputs.values,
            tag=locales.closest(tag, inputs.locale),
            currency=settings.currency,
            time_zone=settings.time_zone,
            computed=computed or {},
        )
        text = self._writers[tag](scope)
        return Rendered(text, tag) if text is not None else Ineligible(f"a placeholder of {tag} has no value")


def missing_translation(inputs: Inputs) -> Ineligible:
    """There is no text in the shopper's language nor in the shop's."""
    return Ineligible(f"no text for locale {locales.canonical(inputs.locale) or 'unknown'}")
