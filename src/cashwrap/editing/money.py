"""Which changes of a playbook move money: what a second person has to agree to. Pure.

Money moves where an offer or a group of offers says something else, where it is granted to others (the experience that
grants it, one that stood before it and lets more shoppers through, the segments and features that its conditions read,
the holdout and the caps that keep it back), and where the shop says what prices are (its currency, its markets and
their rules, its clock, by which days of limits are counted). It is meant widely: a change that is held up for a second
look costs minutes. Stopping needs no draft: a switch does it (docs/decisions/0044).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from cashwrap.condition import ast, parse
from cashwrap.declarations import Condition, Declarations
from cashwrap.differences import Change

Why = Literal["offer", "grants", "audience", "market"]
"""``offer``: what it takes off, or how often. ``grants``: an experience that grants one, or gives way to one.
``audience``: a segment, feature or the like that says to whom. ``market``: what holds for prices in the whole shop."""
_OFFERS = frozenset({"offers", "offer_groups"})
_SHOP = frozenset({"currency", "markets", "no_personal_prices", "personal_prices", "time_zone", "country_header"})
_READ = ("segments", "features", "predictions", "traits", "events")
_KEPT_BACK = ("holdout", "attention")
_SHOWN = ("show.", "variations.")
"""What an experience says, and not to whom."""


class Moved(Struct, frozen=True):
    """A change that moves money, and in what way."""

    change: Change
    why: Why


def money_moves(before: Declarations, after: Declarations, changes: Sequence[Change]) -> list[Moved]:
    """Those of a difference's changes that move money, in its order."""
    read = _read(before) | _read(after)
    granting = {name for said in (before, after) for name in _granting(said)}
    first = _first(before)
    return [
        Moved(change, why)
        for change in changes
        if (why := "grants" if _gives_way(change, first) else _why(change, granting, read)) is not None
    ]


def _why(change: Change, granting: set[str], read: set[str]) -> Why | None:
    if change.section in _OFFERS:
        return "offer"
    if change.section == "experiences" and change.name in granting:
        return "grants"
    if change.section == "shop" and any(_of_market(key.key, read) for key in change.keys):
        return "market"
    if change.section in _KEPT_BACK and granting:
        return "audience"
    if change.section == "placements" and change.name in read:
        return "grants"
    return "audience" if change.section in _READ and change.name in read else None


def _of_market(key: str, read: set[str]) -> bool:
    first = key.partition(".")[0]
    return first in _SHOP or (first == "networks" and "request.networks" in read)


def _granting(said: Declarations) -> Iterator[str]:
    """The experiences that grant an offer."""
    for name, each in said.experiences.items():
        if each.offer is not None or each.best_of is not None:
            yield name


def _gives_way(change: Change, first: set[str]) -> bool:
    """Whether it lets shoppers through to an offer below. What is new only takes some of them."""
    if change.section != "experiences" or change.name not in first or change.what == "added":
        return False
    return not change.keys or any(not key.key.startswith(_SHOWN) for key in change.keys)


def _first(said: Declarations) -> set[str]:
    """The experiences that may win over one that grants an offer in their placement; those that grant are among them.

    Of one priority each may be first: by its place, or drawn by its weight.
    """
    least: dict[str, int] = {}
    for name in _granting(said):
        each = said.experiences[name]
        least[each.placement] = min(each.priority, least.get(each.placement, each.priority))
    return {
        name
        for name, each in said.experiences.items()
        if each.placement in least and each.priority >= least[each.placement]
    }


def _read(said: Declarations) -> set[str]:
    """Everything that is named by who is granted an offer, by who is shown something before it, and by what that
    names: segments, features, predictions, events."""
    conditions = [said.experiences[name].when for name in _first(said)]
    conditions += [each.when for each in said.offers.values()]
    found = set(_words(conditions))
    found |= {said.experiences[name].placement for name in _granting(said)}
    waiting = list(found)
    while waiting:
        fresh = set(_behind(said, waiting.pop())) - found
        found |= fresh
        waiting += fresh
    return found


def _behind(said: Declarations, name: str) -> Iterator[str]:
    """What stands behind a name: of a segment its condition's words, of a feature its events."""
    segment, feature, prediction = said.segments.get(name), said.features.get(name), said.predictions.get(name)
    if segment is not None:
        yield from _words([segment.when])
    if feature is not None:
        yield from feature.events
        yield from _words(_conditions(feature))
    if prediction is not None:
        yield from (*prediction.at, *prediction.events, *prediction.features)


def _conditions(value: Struct) -> Iterator[Condition]:
    for field in value.__struct_fields__:
        each = getattr(value, field)
        if isinstance(each, Condition):
            yield each


def _words(conditions: Iterable[Condition | None]) -> Iterator[str]:
    """The names in some conditions, however they are written, and what each is made of: ``segments.vip`` reads ``vip``,
    and ``category_views.max`` reads ``category_views``."""
    for condition in conditions:
        for node in ast.walk(parse(condition.text)) if condition is not None else ():
            match node:
                case ast.Attribute(path):
                    yield from (path, path.partition(".")[2], *path.split("."))
                case ast.Literal(str(text)):
                    yield text


def by_reason(moved: Iterable[Moved]) -> Mapping[Why, list[Change]]:
    """The same, grouped for a page."""
    found: dict[Why, list[Change]] = {}
    for each in moved:
        found.setdefault(each.why, []).append(each.change)
    return found
