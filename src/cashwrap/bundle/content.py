"""What a variation shows, as far as a browser can say it exactly as the server would. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from cashwrap.content import Catalogue, Ineligible, Rendering, methods_of, parse_message
from cashwrap.content.locales import canonical
from cashwrap.declarations import (
    Button,
    Content,
    Field,
    Help,
    Installments,
    Layout,
    Message,
    Options,
    PlacementDecl,
    Products,
    Settings,
    Texts,
)
from cashwrap.model import NECESSARY, Inputs, Purpose, Tenant

Show = tuple[Any, ...]
"""``("same", content)``, ``("text", content by locale)``, ``("options", operations)``, ``("needs", purposes)`` for what
nobody sees without them and only the server can write, or ``("server",)``."""
SERVER: Show = ("server",)
_CATALOGUE = Catalogue()


def show(content: Content, placement: PlacementDecl, rendering: Rendering, settings: Settings) -> Show:
    """What a bundle says of one variation."""
    match content:
        case Message(progress=None):
            tones = [content.tones[content.tone]] if content.tone in content.tones else []
            return _texts([content.text, *tones], rendering, settings)
        case Button() | Help():
            return _texts([content.text], rendering, settings)
        case Layout() | Field(prefill=None):
            return ("same", _rendered(rendering, "", settings))
        case Options():
            return _options(content, placement)
        case Installments():
            return ("needs", int(Purpose.CREDIT))
        case Message() | Field() | Products():
            return SERVER


def _texts(sources: list[Texts], rendering: Rendering, settings: Settings) -> Show:
    """The content in each locale that there is a text for; the server's where a text holds a value."""
    tags = {canonical(tag) for texts in sources for tag in texts}
    if any(_fixed(texts) is None for texts in sources):
        return SERVER
    return ("text", {tag: _rendered(rendering, tag, settings) for tag in sorted(tags)})


def _fixed(texts: Texts) -> dict[str, str] | None:
    """The texts by locale as they are said; ``None`` where one of them holds a value."""
    parsed = {canonical(tag): parse_message(source).fixed for tag, source in texts.items()}
    found = {tag: text for tag, text in parsed.items() if text is not None}
    return found if len(found) == len(parsed) else None


def _rendered(rendering: Rendering, tag: str, settings: Settings) -> Raw:
    """What the server would show a shopper of whom nothing but the locale is known."""
    inputs = Inputs(0, Tenant(), {}, "request", NECESSARY, None, tag, settings.currency)
    found = rendering.render(inputs, _CATALOGUE)
    if isinstance(found, Ineligible):
        raise TypeError(f"a steady content has nothing to show: {found.why}")
    return found


def _options(content: Options, placement: PlacementDecl) -> Show:
    names, badges = _all_fixed(content.rename), _all_fixed(content.badge)
    if names is None or badges is None:
        return SERVER
    operations: dict[str, object] = {
        "first": content.first,
        "last": content.last,
        "hide": content.hide,
        "highlight": content.highlight,
        "names": names,
        "badges": badges,
    }
    return ("options", {"of": methods_of(placement), **{name: value for name, value in operations.items() if value}})


def _all_fixed(texts: Mapping[str, Texts]) -> dict[str, dict[str, str]] | None:
    found = {method: fixed for method, each in texts.items() if (fixed := _fixed(each)) is not None}
    return found if len(found) == len(texts) else None
