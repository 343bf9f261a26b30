"""Each component's content: compiled once, rendered for one shopper, encoded. Pure: same inputs, same bytes."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from cashwrap.content import locales, shelf, wire
from cashwrap.content.catalogue import Catalogue
from cashwrap.content.message import parse_message
from cashwrap.content.text import Scope, compile_message
from cashwrap.content.texts import Ineligible, Localised, Shop, missing_translation
from cashwrap.declarations import (
    Button,
    Content,
    Field,
    Help,
    Installments,
    Layout,
    Message,
    Methods,
    Options,
    PlacementDecl,
    Products,
)
from cashwrap.errors import ContentError
from cashwrap.model import Inputs, Purpose, Value

Render = Callable[[Inputs, Catalogue], Raw | Ineligible]
"""Content for one shopper as encoded JSON, or why there is none."""


class Rendering(NamedTuple):
    """Compiled content. ``steady`` content is the same for all requests in one locale."""

    render: Render
    steady: bool = False


MAX_PRODUCTS = 24
"""Products one placement may show."""
MAX_INSTALLMENTS = 60
MAX_RECENT = 16
"""Answers remembered for one content. Requests choose the keys: at this limit all are forgotten."""
MAX_TOKENS = 200
"""Design tokens one layout may set."""

COMPUTED = {
    "message": frozenset({"remaining"}),
    "installments": frozenset({"count", "before", "amount", "last", "total"}),
}
"""Values a content works out itself, by component. All but counts are amounts."""
_COUNTS = frozenset({"count", "before"})

_encode = msgspec.json.Encoder().encode


def _raw(content: msgspec.Struct) -> Raw:
    return Raw(_encode(content))


def compile_content(show: Content, placement: PlacementDecl, shop: Shop) -> Rendering:
    """Content ready to render. Raises ContentError at the first mistake."""
    match show:
        case Message():
            return _message(show, shop)
        case Options():
            return Rendering(_options(show, placement, shop))
        case Products():
            return Rendering(_products(show, shop))
        case Button(text, style):
            token = _word(style, "style")
            return _labelled(Localised(text, shop), lambda said: wire.ButtonContent(said, token))
        case Help(text, style):
            return _labelled(Localised(text, shop), lambda said: wire.HelpContent(style, said))
        case Field():
            return Rendering(_field(show, shop), steady=show.prefill is None)
        case Layout():
            return Rendering(_layout(show), steady=True)
        case Installments():
            return Rendering(_installments(show, shop))


# --- message ---


def _message(show: Message, shop: Shop) -> Rendering:
    variants: dict[tuple[str, str | None], tuple[Localised, str | None]] = {}
    for tone, texts in show.tones.items():
        variant = Localised(texts, shop, COMPUTED["message"], f"tones.{tone}")
        variants.update(dict.fromkeys([(tag, tone) for tag in variant.tags()], (variant, tone)))
    base = Localised(show.text, shop, COMPUTED["message"])
    variants.update(dict.fromkeys([(tag, None) for tag in base.tags()], (base, show.tone)))
    progress = _progress(show.progress, shop) if show.progress is not None else None
    fixed = {} if progress is not None else _finished(variants)
    default = shop.settings.locale

    def render(inputs: Inputs, _: Catalogue) -> Raw | Ineligible:
        wanted = show.tone or inputs.values.get("traits.tone")
        tone = wanted if isinstance(wanted, str) else None
        for tag in locales.chain(inputs.locale, default):
            for key in ((tag, tone), (tag, None)):
                if key in fixed:
                    return fixed[key]
                if key in variants:
                    return _write(*variants[key], tag, inputs, progress)
        return missing_translation(inputs)

    one_tone = show.tone is not None or not show.tones
    return Rendering(render, steady=one_tone and len(fixed) == len(variants))


def _finished(
    variants: dict[tuple[str, str | None], tuple[Localised, str | None]],
) -> dict[tuple[str, str | None], Raw]:
    """The variants that are the same for everyone, encoded once."""
    found = {}
    for key, (text, tone) in variants.items():
        done = text.fixed(key[0])
        if done is not None:
            found[key] = _raw(wire.MessageContent(done.text, done.locale, tone))
    return found


Progress = Callable[[Inputs], wire.Progress | None]


def _progress(declared: tuple[str, str], shop: Shop) -> Progress:
    name, written = declared
    target = locales.minor(written, shop.settings.currency)
    if not target:
        raise ContentError(
            f"{written!r} is no amount of {shop.settings.currency} above zero", code="bad_amount", where="progress"
        )

    def measure(inputs: Inputs) -> wire.Progress | None:
        value = inputs.values.get(name)
        if type(value) is not int or shop.foreign(inputs):
            return None
        return wire.Progress(min(max(value, 0), target), target)

    return measure


def _write(text: Localised, tone: str | None, tag: str, inputs: Inputs, progress: Progress | None) -> Raw | Ineligible:
    reached = progress(inputs) if progress is not None else None
    if progress is not None and reached is None:
        return Ineligible("the progress has no value in the shop's currency")
    computed: dict[str, Value] = {"remaining": reached.target - reached.value} if reached else {}
    done = text.render_in(tag, inputs, computed)
    if isinstance(done, Ineligible):
        return done
    return _raw(wire.MessageContent(done.text, done.locale, tone, reached))


# --- button, help, field, layout ---


def _labelled(text: Localised, content: Callable[[str], msgspec.Struct]) -> Rendering:
    """Content that is one text and constants."""
    fixed = {tag: _raw(content(done.text)) for tag in text.tags() if (done := text.fixed(tag)) is not None}

    def render(inputs: Inputs, _: Catalogue) -> Raw | Ineligible:
        tag = text.find(inputs.locale)
        if tag in fixed:
            return fixed[tag]
        done = text.render(inputs)
        return done if isinstance(done, Ineligible) else _raw(content(done.text))

    return Rendering(render, text.steady)


def _field(show: Field, shop: Shop) -> Render:
    plain = _raw(wire.FieldContent(show.state))
    if show.prefill is None:
        return lambda _, __: plain
    prefill = Localised({shop.settings.locale: show.prefill}, shop, where="prefill")

    def render(inputs: Inputs, _: Catalogue) -> Raw | Ineligible:
        done = prefill.render(inputs)
        return plain if isinstance(done, Ineligible) else _raw(wire.FieldContent(show.state, done.text))

    return render


_WORD = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}|#[0-9A-Fa-f]{3,8}|-?[0-9]{1,5}(?:\.[0-9]{1,3})?(?:px|rem|em|%|ms|s)?")


def _word(text: str, where: str) -> str:
    if not _WORD.fullmatch(text):
        raise ContentError(
            f"{text!r} is no token; write a short word in small letters", code="unsafe_token", where=where
        )
    return text


def _layout(show: Layout) -> Render:
    if len(show.tokens) > MAX_TOKENS:
        raise ContentError(f"a layout may have {MAX_TOKENS} tokens", code="too_many_tokens", where="tokens")
    for name, value in show.tokens.items():
        _word(name, f"tokens.{name}")
        if not _TOKEN.fullmatch(value):
            raise ContentError(
                f"{value!r} is no token; write a word, a colour such as #0a7 or a length such as 12px",
                code="unsafe_token",
                where=f"tokens.{name}",
            )
    done = _raw(wire.LayoutContent(dict(show.tokens)))
    return lambda _, __: done


# --- installments ---


def _installments(show: Installments, shop: Shop) -> Render:
    currency = shop.settings.currency
    minimum = locales.minor(show.minimum, currency)
    if minimum is None:
        raise ContentError(f"{show.minimum!r} is no amount of {currency}", code="bad_amount", where="minimum")
    if not 2 <= show.count <= MAX_INSTALLMENTS:
        raise ContentError(f"write 2 to {MAX_INSTALLMENTS} payments", code="bad_count", where="count")
    amounts = COMPUTED["installments"] - _COUNTS
    own = Localised(show.text, shop, amounts)
    states_last = all("{last" in source for source in show.text.values())
    even, uneven = (
        compile_message(parse_message(source), amounts)
        for source in ("{count} × {amount}", "{before} × {amount} + {last}")
    )

    def say(inputs: Inputs, computed: Mapping[str, Value], *, split: bool) -> str | Ineligible | None:
        """The shop's own words, unless they would leave out that the last payment differs."""
        if show.text and (states_last or not split):
            done = own.render(inputs, computed)
            return done if isinstance(done, Ineligible) else done.text
        tag = locales.chain(inputs.locale, shop.settings.locale)[0]
        return (uneven if split else even)(Scope({}, tag, currency, shop.settings.time_zone, computed))

    def render(inputs: Inputs, _: Catalogue) -> Raw | Ineligible:
        if not inputs.mask & Purpose.CREDIT:
            return Ineligible("the purpose credit is not granted", "no_consent")
        total = inputs.values.get("cart.total")
        if type(total) is not int or total < max(minimum, show.count) or shop.foreign(inputs):
            return Ineligible("the cart's total is unknown, below the minimum or in another currency")
        amount, rest = divmod(total, show.count)
        last = amount + rest
        computed = {"count": show.count, "before": show.count - 1, "amount": amount, "last": last, "total": total}
        said = say(inputs, computed, split=rest > 0)
        if not isinstance(said, str):
            return said or Ineligible("the plan cannot be written")
        return _raw(wire.InstallmentsContent(said, show.count, amount, currency, last if rest else None))

    return render


# --- options ---


def methods_of(placement: PlacementDecl) -> Methods:
    """Which list an options placement orders."""
    return placement.of or ("delivery_methods" if placement.name == "delivery_methods" else "payment_methods")


def _options(show: Options, placement: PlacementDecl, shop: Shop) -> Render:
    of = methods_of(placement)
    names = {method: Localised(texts, shop, where=f"rename.{method}") for method, texts in show.rename.items()}
    badges = {method: Localised(texts, shop, where=f"badge.{method}") for method, texts in show.badge.items()}
    highlight = frozenset(show.highlight)
    steady = all(text.steady for text in (*names.values(), *badges.values()))
    recent: dict[tuple[str, tuple[str, ...], str | None], Raw] = {}

    def render(inputs: Inputs, _: Catalogue) -> Raw | Ineligible:
        offered = inputs.payment_methods if of == "payment_methods" else inputs.delivery_methods
        key = inputs.locale, offered, inputs.saved_method
        if key in recent:
            return recent[key]
        done = arranged(inputs, offered)
        if steady and isinstance(done, Raw):
            if len(recent) >= MAX_RECENT:
                recent.clear()
            recent[key] = done
        return done

    def arranged(inputs: Inputs, offered: tuple[str, ...]) -> Raw | Ineligible:
        order = arrange(show, offered)
        if not order:
            return Ineligible(f"the request offers no {of}")
        hidden = hide(show, order, inputs.saved_method)
        options = []
        for method in order:
            if method in hidden:
                continue
            name, badge = _said(names.get(method), inputs), _said(badges.get(method), inputs)
            if isinstance(name, Ineligible):
                return name
            if isinstance(badge, Ineligible):
                return badge
            options.append(wire.Option(method, name, method in highlight, badge))
        return _raw(wire.OptionsContent(options, hidden))

    return render


def _said(text: Localised | None, inputs: Inputs) -> str | Ineligible | None:
    if text is None:
        return None
    done = text.render(inputs)
    return done if isinstance(done, Ineligible) else done.text


def arrange(show: Options, offered: Sequence[str]) -> list[str]:
    """The methods offered, each once: first ones, others as they came, last ones. Unknown ids are ignored."""
    known = dict.fromkeys(offered)
    first = dict.fromkeys(method for method in show.first if method in known)
    last = dict.fromkeys(method for method in show.last if method in known and method not in first)
    return [*first, *(method for method in known if method not in first and method not in last), *last]


def hide(show: Options, order: Sequence[str], saved: str | None) -> list[str]:
    """The methods to leave out: never the saved one, and one always stays."""
    wanted = [method for method in dict.fromkeys(show.hide) if method in order and method != saved]
    return wanted[: len(order) - 1]


# --- products ---


def _products(show: Products, shop: Shop) -> Render:
    if not 1 <= show.limit <= MAX_PRODUCTS:
        raise ContentError(f"show 1 to {MAX_PRODUCTS} products", code="bad_limit", where="limit")
    if show.source == "category" and not show.category:
        raise ContentError("name the category", code="missing_category", where="category")
    heading = Localised(show.title, shop, where="title") if show.title else None
    currency = shop.settings.currency
    rules = shelf.Rules.of(show.rules, currency)

    def render(inputs: Inputs, catalogue: Catalogue) -> Raw | Ineligible:
        said = _said(heading, inputs)
        if isinstance(said, Ineligible):
            return said
        missing = shelf.missing_model(show, catalogue)
        if missing is not None:
            return missing
        tags = locales.chain(inputs.locale, shop.settings.locale)
        items = [item_of(each, tags[0], currency) for each in shelf.pick(show, rules, inputs, catalogue, tags)]
        return _raw(wire.ProductsContent(items, said)) if items else Ineligible("no product fits")

    return render


def item_of(placed: shelf.Placed, tag: str, currency: str) -> wire.Item:
    """A product as pages receive it."""
    product = placed.product
    price = locales.money(product.price or 0, currency, tag)
    return wire.Item(
        product.id, placed.called, price, currency, _link(product.url), _link(product.image), placed.source
    )


_LINK = re.compile(r"(?:https?://|/(?!/))[^\s\\\x00-\x1f\x7f]{0,2000}")


def _link(url: str | None) -> str | None:
    """An address a page may link to: http, https or a path of the shop, never ``javascript:``."""
    return url if url is not None and _LINK.fullmatch(url) else None
