"""What a change of a playbook changes, in the words of the playbook: by section, name and key.

Compared is what was declared and not how it was written, so that comments, spacing and files make no difference, just
as they make no new version. Two playbooks without a difference have the same hash, and the other way round.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Literal

import msgspec
from msgspec import NODEFAULT, Struct

from cashwrap.declarations import MAIN, Condition, Declarations, ExperienceDecl, Products, ScheduleDecl, Spot, TierDecl
from cashwrap.model import Purpose

SHORT = 40
"""Two values up to this length are told on one line."""
_NAMES: dict[tuple[type, str], str] = {
    (ExperienceDecl, "placement"): "in",
    (ExperienceDecl, "caps"): "attention",
    (ScheduleDecl, "start"): "from",
    (ScheduleDecl, "end"): "until",
    (ExperienceDecl, "best_of"): "offer.best_of",
    (TierDecl, "start"): "from",
    (Products, "source"): "from",
}
"""Where a playbook has another word than the field."""
_DURATIONS = {"window", "within", "half_life", "cool_down", "lasts", "again_after", "freeze", "holds", "maturity"}
_SHARES = {"share", "decision_records", "experiment.holdout", "at"}
_SHARES |= {f"experiment.design.{name}" for name in ("detect", "alpha", "power")}
_SHARES_OF_RULES = ("rules.margin", "rules.cart_share")
_OF_SHARES = ("experiment.arms.", "experiment.guardrails.")
_UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class KeyChange(Struct, frozen=True):
    """One key's value before and after, as a playbook writes it; ``None`` where it was not, or is no longer, said."""

    key: str
    old: str | None
    new: str | None


class Change(Struct, frozen=True):
    """What became of one thing that a playbook declares.

    ``name`` is empty for a section that is one thing, such as ``shop``. ``moved`` says that it is now written right
    after ``after`` (first of all, where that is ``None``), which decides between experiences that are equal otherwise.
    """

    section: str
    name: str
    what: Literal["added", "removed", "changed", "moved"]
    keys: tuple[KeyChange, ...] = ()
    after: str | None = None


def difference(old: Declarations, new: Declarations) -> list[Change]:
    """What ``new`` changes, section by section, in the order of ``new``; what it removes comes last in its section."""
    before, after = _sections(old), _sections(new)
    return [change for section in after for change in _section(section, before[section], after[section])]


def words(changes: Sequence[Change]) -> Iterator[str]:
    """A difference as lines for a person."""
    marks = {"added": "+", "removed": "-", "changed": "~", "moved": "~"}
    for change in changes:
        title = f"{change.section}.{change.name}" if change.name else change.section
        place = f" to after {change.after}" if change.after else " to the first place"
        yield f"{marks[change.what]} {title} {change.what}{place if change.what == 'moved' else ''}"
        for key in change.keys:
            yield from _key_lines(key, gone=change.what == "removed")


def _key_lines(change: KeyChange, *, gone: bool) -> Iterator[str]:
    old, new = change.old, change.new
    if old is None or new is None:
        yield f"    {change.key}: {_indented(old or new)}{'' if old is None or gone else ' -> not set'}"
    elif len(old) <= SHORT and len(new) <= SHORT and "\n" not in old + new:
        yield f"    {change.key}: {old} -> {new}"
    else:
        yield f"    {change.key}:"
        yield f"      - {_indented(old)}"
        yield f"      + {_indented(new)}"


def _indented(text: str | None) -> str:
    return (text or "").strip().replace("\n", "\n        ")


# --- what is compared ---


def _sections(declared: Declarations) -> dict[str, Mapping[str, object]]:
    """The sections of a playbook as it is written; one that is a single thing has one entry without a name."""
    settings = declared.settings
    shop = msgspec.structs.replace(settings, holdout=type(settings.holdout)(), attention={})
    return {
        "shop": {"": shop},
        "events": declared.events,
        "traits": declared.traits,
        "features": declared.features,
        "predictions": declared.predictions,
        "segments": declared.segments,
        "placements": declared.placements,
        "holdout": {"": settings.holdout},
        "attention": settings.attention,
        "layers": declared.layers,
        "offers": declared.offers,
        "offer_groups": declared.offer_groups,
        "metrics": declared.metrics,
        "experiences": declared.experiences,
    }


def _section(section: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[Change]:
    moved = moves([name for name in old if name in new], [name for name in new if name in old])
    before: str | None = None
    for name, value in new.items():
        if name not in old:
            yield Change(section, name, "added", _keys({}, _flat(value)))
        elif not _same(old[name], value):
            yield Change(section, name, "changed", _keys(_flat(old[name]), _flat(value)))
        if name in moved:
            yield Change(section, name, "moved", after=before)
        before = name
    for name, value in old.items():
        if name not in new:
            yield Change(section, name, "removed", _keys(_flat(value), {}))


def moves(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The fewest names that must move to make one order of the same names into the other.

    All but a longest increasing subsequence of places: the one that ends lowest is kept for every length.
    """
    place = {name: at for at, name in enumerate(old)}
    ends: list[int] = []
    lengths = []
    for name in new:
        length = bisect_left(ends, place[name])
        ends[length : length + 1] = [place[name]]
        lengths.append(length)
    staying, wanted = set(), len(ends) - 1
    for name, length in zip(reversed(new), reversed(lengths), strict=True):
        if length == wanted:
            staying.add(name)
            wanted -= 1
    return set(new) - staying


def _keys(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[KeyChange, ...]:
    changed = [
        KeyChange(key, _written(key, old.get(key)), _written(key, new.get(key)))
        for key in {**old, **new}
        if key not in old or key not in new or old[key] != new[key]
    ]
    if not changed and list(old) != list(new):
        changed = [KeyChange("order", ", ".join(old), ", ".join(new))]
    return tuple(changed)


def _same(old: object, new: object) -> bool:
    """Whether two declared things say the same in the same order, wherever they are written."""
    if type(old) is not type(new):
        return False
    if isinstance(old, Spot):
        return True
    if isinstance(old, Struct):
        return all(_same(getattr(old, field), getattr(new, field)) for field in old.__struct_fields__)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return list(old) == list(new) and all(_same(value, new[key]) for key, value in old.items())
    return old == new


def _flat(value: object) -> dict[str, object]:
    """What is said about one thing, by dotted key; what is left at its default is not said."""
    found: dict[str, object] = {}
    _spread(value, "", found)
    return found


def _spread(value: object, key: str, into: dict[str, object]) -> None:
    if isinstance(value, Condition):
        into[key] = value.text
    elif isinstance(value, Struct):
        for name, each in _said(value):
            _spread(each, f"{key}.{name}" if key else name, into)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            _spread(each, f"{key}.{name}" if key else str(name), into)
    elif value is not None:
        into[key or "kind"] = value  # a trait is its kind and no more


def _said(value: Struct) -> Iterator[tuple[str, object]]:
    tag = value.__struct_config__.tag
    if tag is not None:
        yield "type", tag
    for field, name, default in _fields(type(value)):
        each = getattr(value, field)
        if field == "variations" and list(each) == [MAIN]:
            yield "show", each[MAIN]
        elif each != default:
            yield name, each


@cache
def _fields(kind: type[Struct]) -> list[tuple[str, str, object]]:
    """What a kind of thing may say: the field, its name in a playbook, and what it is when nothing is said."""
    found = []
    for field in msgspec.structs.fields(kind):
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if field.name not in {"name", "spot"}:
            found.append((field.name, _NAMES.get((kind, field.name), field.name), default))
    return found


# --- as a playbook writes it ---


def _written(key: str, value: object) -> str | None:
    """A value as text; ``None`` for none."""
    if value is None:
        return None
    last = key.rpartition(".")[2]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Purpose):
        return str(value.name).lower()
    if isinstance(value, int):
        return _number(key, last, value)
    if isinstance(value, tuple):
        return ", ".join(_rate(each) for each in value) if key.startswith("rates.") else _list(last, value)
    return str(value)


def _number(key: str, last: str, value: int) -> str:
    if last in _DURATIONS:
        unit, size = next((each for each in _UNITS if value % each[1] == 0), ("ms", 1))
        return f"{value // size}{unit}"
    if last == "percent":
        return _share(value).removesuffix("%")
    shared = key in _SHARES or key.startswith(_OF_SHARES) or key.endswith(_SHARES_OF_RULES)
    return _share(value) if shared else str(value)


def _list(last: str, value: tuple[object, ...]) -> str:
    if last == "days":
        return ", ".join(_DAYS[day - 1] for day in value if isinstance(day, int))
    if last == "hours":
        return "-".join(map(str, value))
    if last == "tiers":
        return "; ".join(_tier(each) for each in value)
    if last == "traffic":
        return ", ".join(_step(each) for each in value)
    if last == "caps":
        return ", ".join(_share(each) for each in value if isinstance(each, int))
    return ", ".join(map(str, value))


def _tier(tier: object) -> str:
    if not isinstance(tier, TierDecl):
        return str(tier)
    off = f"percent: {_share(tier.percent).removesuffix('%')}" if tier.percent else f"amount: {tier.amount}"
    return f"from: {tier.start}, {off}"


def _step(step: object) -> str:
    at, part = step if isinstance(step, tuple) else (0, 0)
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%MZ}: {_share(part)}" if at else _share(part)


def _rate(step: object) -> str:
    at, rate = step if isinstance(step, tuple) else (0, "")
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%MZ}: {rate}" if at else str(rate)


def _share(part: int) -> str:
    """A share of 10,000 in percent: ``5%``, ``0.25%``."""
    whole, rest = divmod(part, 100)
    return f"{whole}.{rest:02d}".rstrip("0") + "%" if rest else f"{whole}%"
