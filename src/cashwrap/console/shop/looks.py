"""What variations show, as the component looks, before anybody decides: values for ``decision_parts.html``. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from cashwrap.declarations import (
    Button,
    Content,
    Field,
    Help,
    Installments,
    Layout,
    Message,
    Options,
    Products,
    ScheduleDecl,
)
from cashwrap.playbook.check import texts_of

ANY = ""
"""The language of what has no texts."""


class Look(Struct, frozen=True):
    """One variation in one language; ``content`` is what ``decision_parts.seen`` takes."""

    language: str
    content: Mapping[str, Any]
    tone: str = ""


def looks(content: Content) -> list[Look]:
    """A variation in every language that it has a text in."""
    languages = sorted({language for _, texts in texts_of(content) for language in texts}) or [ANY]
    return [look for language in languages for look in _in(content, language)]


def _in(content: Content, language: str) -> Iterator[Look]:
    match content:
        case Message(text, _, tones):
            if language in text or not tones:
                yield Look(language, {"type": "message", "text": text.get(language, ""), "progress": None})
            for tone, texts in tones.items():
                if language in texts:
                    yield Look(language, {"type": "message", "text": texts[language], "progress": None}, tone)
        case Options():
            yield Look(language, _options(content, language))
        case Products(_, _, _, title):
            yield Look(language, {"type": "products", "title": title.get(language, ""), "items": []})
        case Button(text, style):
            yield Look(language, {"type": "button", "text": text.get(language, ""), "style": style})
        case Field(state, prefill):
            yield Look(language, {"type": "field", "state": state, "prefill": prefill})
        case Help(text, style):
            yield Look(language, {"type": "help", "text": text.get(language, ""), "style": style})
        case Layout(tokens):
            yield Look(language, {"type": "layout", "tokens": tokens})
        case Installments(count, _, text):
            yield Look(language, {"type": "installments", "text": text.get(language, f"{count} x")})


def _options(content: Options, language: str) -> dict[str, Any]:
    """The methods that are named, in the order they come to; an ellipsis stands for all others."""

    def one(method: str) -> dict[str, Any]:
        return {
            "id": method,
            "name": content.rename.get(method, {}).get(language, method),
            "highlight": method in content.highlight,
            "badge": content.badge.get(method, {}).get(language, ""),
        }

    placed = {*content.first, *content.last, *content.hide}
    named = [each for each in (*content.highlight, *content.badge, *content.rename) if each not in placed]
    middle = [*map(one, dict.fromkeys(named)), {"id": "…", "name": "…", "highlight": False, "badge": ""}]
    options = [*map(one, content.first), *middle, *map(one, content.last)]
    return {"type": "options", "options": options, "hidden": list(content.hide)}


class Day(Struct, frozen=True):
    """One day of a week's line: the hours in which a schedule holds, each from one up to, not including, another."""

    day: int
    hours: tuple[tuple[int, int], ...]


def week(schedule: ScheduleDecl) -> list[Day]:
    """When a schedule holds, day by day from Monday. What comes after midnight belongs to the day on which it began."""
    return [Day(day, tuple(_hours(schedule, day))) for day in range(1, 8)]


def _hours(schedule: ScheduleDecl, day: int) -> Iterator[tuple[int, int]]:
    days = schedule.days or tuple(range(1, 8))
    first, stop = schedule.hours or (0, 24)
    if first < stop:
        if day in days:
            yield first, stop
        return
    before = (day - 2) % 7 + 1
    if before in days and stop:
        yield 0, stop
    if day in days:
        yield first, 24
