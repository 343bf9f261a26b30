"""What an experience shows: one reader for each component."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, cast

from cashwrap.content import locales
from cashwrap.content.shelf import CATALOGUE
from cashwrap.declarations import (
    Button,
    Component,
    Content,
    Field,
    Help,
    Installments,
    Layout,
    Message,
    Options,
    Products,
    ProductSource,
    RulesDecl,
    Texts,
)
from cashwrap.playbook.document import Node
from cashwrap.playbook.schema import DEFINITIONS, MODELS, PRODUCT_SOURCES, VERSIONS
from cashwrap.playbook.shape import Shape

_Fields = dict[str, Node]


def read_content(shape: Shape, component: Component, node: Node, locale: str) -> Content | None:
    """The typed content of a ``show``. ``None`` where it is no mapping at all."""
    before = len(shape.faults)
    fields = shape.fields(node, DEFINITIONS[component], f"content for {component}")
    if len(shape.faults) > before:
        return None
    content = _READERS[component](shape, fields, locale)
    return content if len(shape.faults) == before else None


def read_texts(shape: Shape, node: Node | None, locale: str) -> Texts:
    """A text by locale; one text alone is in the shop's own locale."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        return {locale: shape.text(node, "a text, or texts by locale,")}
    if not node.value:
        shape.fail(node, "bad_value", "give the text in at least one locale")
    for name, text in node.value.items():
        if not is_locale(name):
            message = f"{name!r} is not a locale; write en, de or pt-BR"
            shape.faults.error(shape.key_spot(text), "unknown_locale", message)
    return {name: shape.text(text, "a text") for name, text in node.value.items()}


@lru_cache(maxsize=1024)
def is_locale(tag: str) -> bool:
    """Whether this is a locale in its usual spelling, of a language whose rules are known."""
    return locales.canonical(tag) == tag and locales.rules(tag).language == tag.partition("-")[0]


def _message(shape: Shape, fields: _Fields, locale: str) -> Message:
    tone, progress = fields.get("tone"), fields.get("progress")
    return Message(
        text=read_texts(shape, fields["text"], locale),
        tone=shape.text(tone, "a tone") if tone is not None else None,
        tones=shape.mapped(fields.get("tones"), "tones", lambda node: read_texts(shape, node, locale)),
        progress=_progress(shape, progress) if progress is not None else None,
    )


def _progress(shape: Shape, node: Node) -> tuple[str, str]:
    fields = shape.fields(node, DEFINITIONS["progress"], "progress")
    if "of" not in fields or "to" not in fields:
        return ("", "0")
    return shape.text(fields["of"], "'of'"), shape.amount(fields["to"], "'to'")


def _options(shape: Shape, fields: _Fields, locale: str) -> Options:
    def by_method(key: str) -> dict[str, Texts]:
        return shape.mapped(fields.get(key), key, lambda node: read_texts(shape, node, locale))

    return Options(
        first=shape.texts(fields.get("first"), "a method id"),
        last=shape.texts(fields.get("last"), "a method id"),
        highlight=shape.texts(fields.get("highlight"), "a method id"),
        badge=by_method("badge"),
        rename=by_method("rename"),
        hide=shape.texts(fields.get("hide"), "a method id"),
    )


def _products(shape: Shape, fields: _Fields, locale: str) -> Products:
    category, rules = fields.get("category"), fields.get("rules")
    source = shape.choice(fields["from"], PRODUCT_SOURCES, "a source of products") or "popular"
    for key in ("model", "version"):
        if key in fields and source in CATALOGUE:
            shape.faults.error(
                shape.key_spot(fields[key]), "bad_value", f"{source!r} asks no model, so it has no {key}"
            )
    usual = "next_item" if source == "session" else "basket"
    model = shape.choice(fields["model"], MODELS, "a model that recommends") if "model" in fields else usual
    version = shape.choice(fields["version"], VERSIONS, "a version") if "version" in fields else "live"
    return Products(
        source=cast("ProductSource", source),
        limit=shape.integer(fields.get("limit"), "a limit", (1, 24), 4),
        category=shape.text(category, "a category") if category is not None else None,
        title=read_texts(shape, fields.get("title"), locale),
        model=model or usual,
        version=cast("Literal['live', 'candidate']", version or "live"),
        rules=_rules(shape, rules) if rules is not None else RulesDecl(),
    )


def _rules(shape: Shape, node: Node) -> RulesDecl:
    fields = shape.fields(node, DEFINITIONS["rules"], "rules")
    count = shape.integer(fields.get("per_category"), "a number of products", (1, 24), 0)
    return RulesDecl(
        only=shape.texts(fields.get("only"), "a category"),
        never=shape.texts(fields.get("never"), "a category"),
        margin=shape.share(fields["margin"], "a margin") if "margin" in fields else None,
        least=shape.amount(fields["least"], "'least'") if "least" in fields else None,
        most=shape.amount(fields["most"], "'most'") if "most" in fields else None,
        cart_share=shape.share(fields["cart_share"], "a share of the cart") if "cart_share" in fields else None,
        per_category=count or None,
    )


def _button(shape: Shape, fields: _Fields, locale: str) -> Button:
    style = fields.get("style")
    return Button(
        text=read_texts(shape, fields["text"], locale),
        style=shape.text(style, "a style") if style is not None else "primary",
    )


def _field(shape: Shape, fields: _Fields, locale: str) -> Field:  # noqa: ARG001 - one signature for all
    state, prefill = shape.choice(fields["state"], ("show", "collapse"), "a state"), fields.get("prefill")
    return Field(
        state=cast("Literal['show', 'collapse']", state or "show"),
        prefill=shape.text(prefill, "a prefill") if prefill is not None else None,
    )


def _help(shape: Shape, fields: _Fields, locale: str) -> Help:
    style = fields.get("style")
    chosen = shape.choice(style, ("tooltip", "inline"), "a style of help") if style is not None else "inline"
    return Help(
        text=read_texts(shape, fields["text"], locale),
        style=cast("Literal['tooltip', 'inline']", chosen or "inline"),
    )


def _layout(shape: Shape, fields: _Fields, locale: str) -> Layout:  # noqa: ARG001 - one signature for all
    return Layout(tokens=shape.mapped(fields["tokens"], "tokens", lambda node: shape.word(node, "a token")))


def _installments(shape: Shape, fields: _Fields, locale: str) -> Installments:
    minimum = fields.get("minimum")
    return Installments(
        count=shape.integer(fields["count"], "a number of instalments", (2, 60), 2),
        minimum=shape.amount(minimum, "a minimum") if minimum is not None else "0",
        text=read_texts(shape, fields.get("text"), locale),
    )


_READERS: dict[Component, Callable[[Shape, _Fields, str], Content]] = {
    "message": _message,
    "options": _options,
    "products": _products,
    "button": _button,
    "field": _field,
    "help": _help,
    "layout": _layout,
    "installments": _installments,
}
