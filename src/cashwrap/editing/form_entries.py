"""Entries of a playbook as their forms have them: what a form says as an entry, and an entry as one shows it. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.condition import ConditionError
from cashwrap.declarations import CONTROL, MAIN, Component, Declarations
from cashwrap.editing.builder import Group, rows_of, said, text_of
from cashwrap.editing.form_fields import Entry, Field, Shop, Shown, Value, fields_of, read, show
from cashwrap.editing.form_reading import Read
from cashwrap.editing.form_rows import Change, changed, read_rows
from cashwrap.playbook.schema import MEASURES

Form = Mapping[str, Sequence[str]]
DEFINITIONS = {"segments": "segment", "experiences": "experience", "offers": "offer", "features": "feature"}
"""The sections that have a form, with the definition of their entries."""
_OWN = frozenset({"in", "when", "show", "variations", "experiment"})
"""Keys with a part of the form of their own."""
VARIATIONS = 20
NEW = "(new)"
"""Stands for the name of a variation that is not in the draft yet: no name is spelled like it."""


class Variation(Struct, frozen=True):
    """One content of an experience: its name (empty where it is the only one) and its fields."""

    place: int
    name: str
    was: str
    """What it is called in the draft; ``new`` where it is not there yet."""
    fields: tuple[Shown, ...]
    share: str = ""


class Edited(Struct, frozen=True):
    """An entry as a form has it. ``rows`` are its condition; ``refused`` says why the text typed for it cannot be read
    (``typed``), and ``focus`` which row is to have the focus."""

    entry: Entry
    rows: Group
    typed: str = ""
    refused: str = ""
    focus: tuple[int, ...] | None = None
    tool: str = ""
    were: tuple[str, ...] | None = None
    """What each variation is called in the draft, where the form says so."""


def shop_of(declared: Declarations) -> Shop:
    """What forms need to know of the shop."""
    return Shop(declared.settings.locale, declared.settings.locales)


# --- an entry as it stands, and as it is written ---


def opened(section: str, value: Value) -> Entry:
    """An entry as a mapping, whatever its short spelling: a segment may be its condition alone."""
    if isinstance(value, dict):
        return value
    return {"when": value} if section == "segments" and value is not None else {}


def closed(section: str, entry: Entry, before: Value) -> Value:
    """The entry as it is to be written: as short as it was."""
    if section == "segments" and set(entry) == {"when"} and not isinstance(before, dict):
        return entry["when"]
    return cast("Value", entry)


def condition_of(entry: Entry) -> str:
    """The text of its condition; empty where it has none."""
    when = entry.get("when")
    if isinstance(when, bool):
        return "true" if when else "false"
    return when if isinstance(when, str) else ""


def edited(entry: Entry) -> Edited:
    """An entry whose form is opened."""
    text = condition_of(entry)
    try:
        return Edited(entry, rows_of(text))
    except ConditionError as error:
        return Edited(entry, Group(), text, said(error))


# --- what a form says ---


def posted(section: str, form: Form, before: Entry, draft: Read) -> Edited:
    """The entry that a form says, where ``before`` is what it is in the draft; with what its button did."""
    shop, entry = shop_of(draft.declared), dict(before)
    if section == "features":
        entry = _measured(form, entry)
    entry = read(general(section), form, entry, shop, "e")
    found = _condition(form, draft) if "c.kind" in form else Edited(entry, Group())
    if "c.kind" in form:
        entry = _with_condition(entry, found, before)
    were = None
    if section == "experiences":
        entry, were = _experience(form, entry, draft, shop)
    if section == "segments":
        entry.pop("when" if entry.get("members") else "members", None)
    return Edited(entry, found.rows, found.typed, found.refused, found.focus, found.tool, were)


def _one(form: Form, name: str) -> str:
    return (form.get(name) or ("",))[-1].strip()


def _condition(form: Form, draft: Read) -> Edited:
    """The rows, or those of the text where that was changed."""
    rows, text = read_rows(form, draft.environment), _one(form, "text")
    if text != _one(form, "text_was"):
        try:
            return Edited({}, rows_of(text))
        except ConditionError as error:
            return Edited({}, rows, text, said(error))
    change = Change.of(_one(form, "do"))
    if change is None:
        return Edited({}, rows)
    done, focus = changed(rows, change)
    return Edited({}, done, focus=focus, tool=change.what)


def _with_condition(entry: Entry, found: Edited, before: Entry) -> Entry:
    """The entry with its condition, in its own spelling where that still says the same."""
    old = condition_of(before)
    text = found.typed if found.refused else text_of(found.rows)
    try:
        same = not found.refused and rows_of(old) == found.rows
    except ConditionError:
        same = old == text
    if same and "when" in before:
        return {**entry, "when": before["when"]}
    if not text:
        return {key: value for key, value in entry.items() if key != "when"}
    if "when" in entry or "in" not in entry:
        return {**entry, "when": text}
    first = {key: entry[key] for key in entry if key == "in"}
    return {**first, "when": text, **{key: value for key, value in entry.items() if key != "in"}}


def general(section: str) -> tuple[Field, ...]:
    """The fields of an entry that need no part of the form of their own."""
    own = _OWN | (frozenset(MEASURES) if section == "features" else frozenset())
    return tuple(field for field in fields_of(DEFINITIONS[section]) if field.key not in own)


# --- features ---


def measure_of(entry: Entry) -> tuple[str, str]:
    """How a feature measures, and the events as they are typed."""
    measure = next((each for each in MEASURES if each in entry), "")
    events = entry.get(measure)
    listed = events if isinstance(events, list) else [events] if events else []
    return measure, ", ".join(str(each) for each in listed)


def _measured(form: Form, entry: Entry) -> Entry:
    measure, events = _one(form, "measure"), [each.strip() for each in _one(form, "events").split(",") if each.strip()]
    if "measure" not in form or (measure, ", ".join(events)) == measure_of(entry):
        return entry
    rest = {key: value for key, value in entry.items() if key not in MEASURES}
    if measure not in MEASURES:
        return rest
    return {measure: events[0] if len(events) == 1 else cast("Value", events), **rest}


# --- experiences ---


def component_of(entry: Entry, declared: Declarations) -> Component | None:
    """What stands in the placement of an experience."""
    placement = declared.placements.get(str(entry.get("in", "")))
    return placement.component if placement is not None else None


def contents(entry: Entry) -> list[tuple[str, Entry]]:
    """What an experience shows: its variations by name, or its one content without a name."""
    several = entry.get("variations")
    if isinstance(several, dict):
        return [(name, each if isinstance(each, dict) else {}) for name, each in several.items()]
    one = entry.get("show")
    return [("", one if isinstance(one, dict) else {})]


def variations(entry: Entry, declared: Declarations, were: Sequence[str] | None = None) -> tuple[Variation, ...]:
    """The variations of an experience as its form shows them."""
    component = component_of(entry, declared)
    if component is None:
        return ()
    shares, shop = shares_of(entry), shop_of(declared)
    found = []
    for place, (name, content) in enumerate(contents(entry)):
        path = ("variations", name) if name else ("show",)
        fields = show(fields_of(component), content, shop, f"v.{place}.show", path)
        was = were[place] if were is not None else name
        found.append(Variation(place, name, was, fields, shares.get(name or MAIN, "")))
    return tuple(found)


def shares_of(entry: Entry) -> dict[str, str]:
    """Each arm's share as it is typed: without its per cent."""
    experiment = entry.get("experiment")
    if not isinstance(experiment, dict):
        return {}
    arms = experiment.get("arms")
    found = arms if isinstance(arms, dict) else {CONTROL: experiment.get("control")}
    return {name: str(share).removesuffix("%") for name, share in found.items() if share is not None}


class _Content(Struct, frozen=True):
    """One content as the form has it: its place there, its name in the draft and now."""

    place: int
    was: str
    name: str
    entry: Entry


def _experience(form: Form, entry: Entry, draft: Read, shop: Shop) -> tuple[Entry, tuple[str, ...] | None]:
    """The experience of a form, and what its variations are called in the draft."""
    if "e.in" in form:
        entry = {"in": _one(form, "e.in"), **{key: value for key, value in entry.items() if key != "in"}}
    component, do = component_of(entry, draft.declared), _one(form, "do")
    found = _contents(form, entry, component, shop) if component is not None else None
    if found is not None:
        entry = _with_contents(entry, found)
    if do == "experiment":
        entry["experiment"] = usual_experiment(entry)
    elif do == "no_experiment" or _one(form, "has_experiment") == "no":
        entry.pop("experiment", None)
    elif "has_experiment" in form:
        entry["experiment"] = _experiment(form, entry, found, shop)
    return entry, tuple(each.was for each in found) if found is not None else None


def _contents(form: Form, entry: Entry, component: Component, shop: Shop) -> list[_Content]:
    """The contents of a form, with what its buttons did; those keys left behind that another component had."""
    fields, do, there = fields_of(component), _one(form, "do"), dict(contents(entry))
    known, elsewhere = {field.key for field in fields}, _one(form, "was_component") not in ("", component)
    were = form.get("v.was") or list(there)
    found: list[_Content] = []
    for place, was in enumerate(were[:VARIATIONS]):
        kept = read(fields, form, there.get(was, {}), shop, f"v.{place}.show")
        kept = {key: value for key, value in kept.items() if key in known or not elsewhere}
        if do != f"drop:{place}":
            found.append(_Content(place, was, _one(form, f"v.{place}.name") or was, kept))
    if do == "variation" and found and len(found) < VARIATIONS:
        taken = {each.name for each in found}
        names = (name for number in range(1, 99) if (name := _ORDINALS.get(number, f"arm_{number}")) not in taken)
        found = [replace(each, name=each.name or next(names)) for each in found]
        found.append(_Content(VARIATIONS, NEW, next(names), dict(found[-1].entry)))
    return found


_ORDINALS = {1: "first", 2: "second", 3: "third"}


def _with_contents(entry: Entry, found: Sequence[_Content]) -> Entry:
    """The entry with these contents in place of its own."""
    single = len(found) == 1 and not found[0].name
    content: Value = found[0].entry if single else {each.name or MAIN: each.entry for each in found}
    key, done = "show" if single else "variations", Entry()
    for old, value in entry.items():
        if old not in ("show", "variations"):
            done[old] = value
        elif key not in done:
            done[key] = content
    done.setdefault(key, content)
    return done


def even(names: Sequence[str]) -> dict[str, str]:
    """Control and these variations with the same share each; what does not divide is control's."""
    each = 10_000 // (len(names) + 1)
    return {CONTROL: _per_cent(10_000 - each * len(names)), **dict.fromkeys(names, _per_cent(each))}


def _per_cent(share: int) -> str:
    return f"{share / 100:g}%"


def usual_experiment(entry: Entry) -> Entry:
    """What an experiment on an experience begins with: half and half, four weeks with four looks, profit as its goal,
    and conversion guarded."""
    names = [name or MAIN for name, _ in contents(entry)]
    arms: Entry = {"control": "50%"} if "variations" not in entry else {"arms": cast("Value", even(names))}
    design: Entry = {"days": 28, "looks": 4, "window": "7d", "detect": "5%"}
    return {**arms, "goal": "profit", "guardrails": {"conversion": "5%"}, "design": design}


def experiment_fields() -> tuple[Field, ...]:
    """The fields of an experiment but its arms, which stand beside the variations."""
    return tuple(field for field in fields_of("experiment") if field.key not in ("arms", "control"))


def _experiment(form: Form, entry: Entry, found: Sequence[_Content] | None, shop: Shop) -> Entry:
    """The experiment of a form; where variations come or go, all arms have the same share again."""
    before = entry.get("experiment")
    experiment = read(experiment_fields(), form, before if isinstance(before, dict) else {}, shop, "x")
    control, old = _share(_one(form, "x.share.control")), experiment.get("arms")
    if "variations" not in entry:
        kept = {key: value for key, value in experiment.items() if key not in ("arms", "control")}
        if isinstance(old, dict):
            return {**experiment, "arms": {**old, CONTROL: control}} if old.get(CONTROL) != control else experiment
        return experiment if experiment.get("control") == control else {"control": control, **kept}
    typed = {each.name: _share(_one(form, f"x.share.{each.place}")) for each in found or ()}
    arms = {CONTROL: control, **typed} if control and typed and all(typed.values()) else even(list(typed))
    if _one(form, "do").startswith("drop:"):
        arms = even(list(typed))
    if arms == old:
        return experiment
    rest = {key: value for key, value in experiment.items() if key not in ("arms", "control")}
    return {"arms": cast("Value", arms), **rest}


def _share(typed: str) -> str:
    return typed if not typed or typed.endswith("%") else f"{typed}%"


# --- names ---

_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ø": "o", "æ": "ae"}
)


def name_of(typed: str) -> str:
    """A name as conditions can spell it, of what somebody calls a thing; empty where nothing of it can be used."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", typed):
        return typed
    plain = unicodedata.normalize("NFKD", typed.translate(_LETTERS)).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:64].rstrip("_")
    return f"_{name}"[:64] if name[:1].isdigit() else name
