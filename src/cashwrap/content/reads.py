"""All texts of a content, as ``check`` needs them: every mistake at once, and every value they read."""

from collections.abc import Iterator

from cashwrap.content.components import COMPUTED, Rendering, compile_content
from cashwrap.content.message import Placeholder, parse_message
from cashwrap.content.texts import Shop
from cashwrap.declarations import (
    Button,
    Content,
    Field,
    Help,
    Installments,
    Message,
    Options,
    PlacementDecl,
    Products,
    Texts,
)
from cashwrap.errors import ContentError


def examine_content(show: Content, placement: PlacementDecl, shop: Shop) -> Rendering | list[ContentError]:
    """The content, compiled; else every mistake in its texts or, where there is none, the first other one."""
    try:
        return compile_content(show, placement, shop)
    except ContentError as error:
        first = error
    found = []
    for where, source in _sources(show):
        try:
            parse_message(source)
        except ContentError as error:
            found.append(ContentError(error.message, code=error.code, offset=error.offset, where=where))
    return found or [first]


def placeholders(show: Content) -> list[tuple[str, Placeholder]]:
    """The values the texts read from the shopper, each with the text that reads it.

    What the content works out itself (``remaining``) is left out. Raises ContentError where a text is wrong.
    """
    computed = COMPUTED.get(str(show.__struct_config__.tag), frozenset())
    return [
        (where, placeholder)
        for where, source in _sources(show)
        for placeholder in parse_message(source).placeholders
        if placeholder.name not in computed
    ]


def _sources(show: Content) -> Iterator[tuple[str, str]]:
    for where, texts in _texts(show):
        for tag, source in texts.items():
            yield f"{where}.{tag}", source
    if isinstance(show, Field) and show.prefill is not None:
        yield "prefill", show.prefill


def _texts(show: Content) -> Iterator[tuple[str, Texts]]:
    match show:
        case Message(text=text, tones=tones):
            yield "text", text
            yield from ((f"tones.{tone}", texts) for tone, texts in tones.items())
        case Options(badge=badge, rename=rename):
            yield from ((f"rename.{method}", texts) for method, texts in rename.items())
            yield from ((f"badge.{method}", texts) for method, texts in badge.items())
        case Products(title=title):
            yield "title", title
        case Button(text=text) | Help(text=text) | Installments(text=text):
            yield "text", text
