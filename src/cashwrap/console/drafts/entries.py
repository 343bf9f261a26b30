"""One entry of a draft on its way through a form: read from the draft, changed as the form says, written back."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.console.ask import Ask
from cashwrap.console.drafts.building import Builder, Known, build, known_of
from cashwrap.console.drafts.drafts import Draft, Drafts
from cashwrap.console.words import later
from cashwrap.editing import splice
from cashwrap.editing.builder import problems
from cashwrap.editing.form_entries import (
    Edited,
    Form,
    Variation,
    closed,
    component_of,
    condition_of,
    experiment_fields,
    general,
    measure_of,
    name_of,
    opened,
    posted,
    shares_of,
    shop_of,
    variations,
)
from cashwrap.editing.form_fields import Entry, Shown, Value, show
from cashwrap.editing.form_reading import Read, read_draft, who_refers
from cashwrap.editing.writing import entry_of
from cashwrap.errors import InvalidInput
from cashwrap.metrics import BUILT_IN, DESCRIPTIONS
from cashwrap.model import Millis
from cashwrap.playbook import Fault
from cashwrap.playbook.schema import MEASURES

NONE = "new"
"""Stands for a draft that is made with the first save, and for the name of an entry that is."""
FRESH: Millis = 600_000
LISTED = 50
TITLES = {
    "segments": later("New segment: %(name)s"),
    "experiences": later("New experience: %(name)s"),
    "offers": later("New offer: %(name)s"),
    "features": later("New feature: %(name)s"),
}


class Opened(Struct, frozen=True):
    """A draft that is worked on: its texts, read, and the revision they are of. ``draft`` is ``None`` where there is
    none yet and the texts are those of what is live (``base``)."""

    draft: Draft | None
    base: str
    files: Mapping[str, str]
    read: Read

    @property
    def id(self) -> str:
        """How addresses name it."""
        return self.draft.id if self.draft is not None else NONE

    @property
    def revision(self) -> int:
        """What its texts are of."""
        return self.draft.revision if self.draft is not None else 0


class Neighbour(Struct, frozen=True):
    """Another experience of the same placement, in the order in which they are tried."""

    name: str
    priority: int


class Page(Struct, frozen=True):
    """Everything that a form shows. ``wrong`` has what is wrong by input, ``loose`` what belongs to none of them."""

    section: str
    name: str
    typed: str
    opened: Opened
    entry: Entry
    text: str
    fields: tuple[Shown, ...]
    builder: Builder | None
    variations: tuple[Variation, ...]
    component: str
    experiment: tuple[Shown, ...]
    shares: Mapping[str, str]
    measure: tuple[str, str]
    neighbours: tuple[Neighbour, ...]
    place: str
    referring: Sequence[tuple[str, str]]
    hints: Mapping[str, Sequence[object]]
    wrong: Mapping[str, str] = {}
    loose: tuple[str, ...] = ()


def drafts_of(ask: Ask) -> Drafts:
    """The drafts of this console."""
    world = ask.console.world
    return Drafts(world.registry, world.clock, world.random)


def own_draft(ask: Ask) -> str:
    """The draft that somebody works on: the newest open one that they began or changed; ``new`` where there is none."""
    actor = ask.note("").actor
    return next((each.id for each in drafts_of(ask).open() if actor in (each.by, *each.authors)), NONE)


def open_draft(ask: Ask, name: str) -> Opened:
    """A draft by its name, or what is live. For a thread. Raises ``InvalidInput`` (``no_such_draft``)."""
    if name == NONE:
        live = ask.console.versions.live()
        base = live.hash if live is not None else ""
        files = ask.console.versions.files(base) if base else {}
        return Opened(None, base, files, read_texts(ask, files))
    drafts = drafts_of(ask)
    draft = drafts.find(name)
    files = drafts.files(draft)
    return Opened(draft, draft.base, files, read_texts(ask, files))


def read_texts(ask: Ask, files: Mapping[str, str]) -> Read:
    """Texts read and checked; the same ones are not read again at once."""
    digest = hashlib.sha256(msgspec.msgpack.encode(sorted(files.items()))).hexdigest()
    return ask.console.remembered.get(("read", digest), FRESH, lambda: read_draft(files))


def known(ask: Ask, read: Read) -> Known:
    """What the builder may offer."""
    return known_of(read.declared, read.environment, ask.console.reading.engine().catalogues.of(ask.tenant))


# --- what a page shows ---


def value_of(opened: Opened, section: str, name: str) -> Value:
    """What the draft says of an entry; ``None`` for one that is not there. Raises ``InvalidInput``
    (``no_such_entry``)."""
    if name == NONE:
        return None
    found = splice.entry(opened.files, section, name)
    if found is None:
        raise InvalidInput(f"This draft has no {name} among its {section}.", code="no_such_entry")
    return cast("Value", found.value)


def page_of(ask: Ask, at: Opened, section: str, name: str, state: Edited, form: Form | None = None) -> Page:
    """The form of an entry, as it is in the draft or as it was posted."""
    entry, read = state.entry, at.read
    shop = shop_of(read.declared)
    experiment = entry.get("experiment")
    fields = show(general(section), entry, shop, "e")
    builder = None
    if section in ("segments", "experiences", "offers"):
        builder = replace(
            build(state.rows, known(ask, read), state.focus, state.typed, state.refused),
            tool=state.tool,
        )
    own = name if name != NONE else ""
    typed = (form.get("name") or [own])[-1] if form is not None else own
    return Page(
        section=section,
        name=own,
        typed=typed,
        opened=at,
        entry=entry,
        text=written(section, own or name_of(typed) or "name", entry, None),
        fields=fields,
        builder=builder,
        variations=variations(entry, read.declared, state.were) if section == "experiences" else (),
        component=component_of(entry, read.declared) or "",
        experiment=show(experiment_fields(), experiment, shop, "x", ("experiment",))
        if isinstance(experiment, dict)
        else (),
        shares=shares_of(entry),
        measure=measure_of(entry),
        neighbours=_neighbours(entry, read, own) if section == "experiences" else (),
        place=(form.get("place") or [""])[-1] if form is not None else "" if own else "first",
        referring=who_refers(read, section, own)[:LISTED] if own else (),
        hints=_hints(read, section),
    )


def written(section: str, name: str, entry: Entry, before: Value) -> str:
    """The YAML that an entry becomes."""
    return f"{section}:\n{entry_of(name, closed(section, entry, before), 2)}\n"


def _neighbours(entry: Entry, read: Read, own: str) -> tuple[Neighbour, ...]:
    there = [
        each for each in read.declared.experiences.values() if each.placement == entry.get("in") and each.name != own
    ]
    return tuple(Neighbour(each.name, each.priority) for each in sorted(there, key=lambda each: -each.priority))[
        :LISTED
    ]


def _hints(read: Read, section: str) -> dict[str, Sequence[object]]:
    """Names that inputs may offer, by their key."""
    declared = read.declared
    metrics = [name for name in [*BUILT_IN, *declared.metrics] if name not in DESCRIPTIONS]
    offers = [(f"offer:{name}", name) for name in declared.offers]
    groups = [(f"best_of:{name}", name) for name in declared.offer_groups]
    found: dict[str, Sequence[object]] = {
        "goal": metrics,
        "metrics": metrics,
        "guardrails": metrics,
        "offers": [*offers[:LISTED], *groups[:LISTED]],
        "layer": list(declared.layers),
        "group": list(declared.offer_groups),
        "placements": [(name, each.component) for name, each in declared.placements.items()],
    }
    if section == "features":
        events = read.checked.vocabulary.events
        fields = sorted({field for event in events.values() for field in event.kinds()})
        found |= {"events": sorted(events), "of": fields, "by": fields, "measures": MEASURES}
    return found


# --- what is saved ---


class Saving(Struct, frozen=True):
    """What a save would write, or why it cannot be: ``page`` with what is wrong where it is."""

    page: Page
    name: str
    files: Mapping[str, str] | None = None


def prepare(ask: Ask, at: Opened, section: str, name: str, form: Form) -> Saving:
    """What a posted form comes to. For a thread; writes nothing. Raises ``InvalidInput`` as ``splice`` does."""
    before = value_of(at, section, name)
    state = posted(section, form, opened(section, before), at.read)
    page = page_of(ask, at, section, name, state, form)
    target = name if name != NONE else name_of(page.typed.strip())
    mistakes = _mistakes(ask, page, state, target)
    if mistakes:
        return Saving(replace(page, wrong=mistakes), target)
    entry, after = _placed(page, state.entry)
    files = splice.put(at.files, section, target, closed(section, entry, before), after)
    found = read_texts(ask, files).of(section, target)
    wrong, loose = _sorted_out(page, [(path, each) for path, each in found if each.severity == "error"])
    if wrong or loose:
        return Saving(replace(page, wrong=wrong, loose=tuple(loose)), target)
    return Saving(page, target, files)


def _mistakes(ask: Ask, page: Page, state: Edited, target: str) -> dict[str, str]:
    """What can be told without writing anything."""
    found: dict[str, str] = {}
    if not target:
        found["name"] = ask.say("Give it a name.")
    elif target == NONE:
        found["name"] = ask.say("This word stands for one that is not there yet; choose another.")
    elif not page.name and splice.entry(page.opened.files, page.section, target) is not None:
        found["name"] = ask.say("There is already one of this name; choose another.")
    if page.builder is not None and not state.entry.get("members"):
        if state.refused:
            found["text"] = state.refused
        elif problems(state.rows, page.opened.read.environment):
            found["c"] = ask.say("Something is missing or wrong in the condition.")
        elif page.section == "segments" and not condition_of(state.entry):
            found["c"] = ask.say("A segment needs a condition: add one.")
    if page.section == "experiences" and not page.component:
        found["e.in"] = ask.say("Choose where it shows.")
    if page.section == "features" and not page.measure[0]:
        found["measure"] = ask.say("Choose how it measures.")
    return found


def _placed(page: Page, entry: Entry) -> tuple[Entry, str | None]:
    """The entry with the priority of its chosen place, and what it is to be written behind."""
    if page.place == "first" and page.neighbours:
        return {**entry, "priority": min(1000, page.neighbours[0].priority + 10)}, None
    for each in page.neighbours:
        if page.place == f"after:{each.name}":
            if each.priority or "priority" in entry:
                entry = {**entry, "priority": each.priority}
            return entry, each.name
    return entry, None


def _sorted_out(page: Page, found: list[tuple[tuple[str, ...], Fault]]) -> tuple[dict[str, str], list[str]]:
    """Messages by the input they are about, and those that are about none."""
    inputs = [*page.fields, *page.experiment, *(field for each in page.variations for field in each.fields)]
    flat = {each.path: each.name for top in inputs for each in _all(top)}
    wrong, loose = dict[str, str](), list[str]()
    for path, fault in found:
        name = next((flat[path[:length]] for length in range(len(path), 0, -1) if path[:length] in flat), "")
        name = name or {"when": "c", "in": "e.in"}.get(path[0] if path else "", "")
        if name and name not in wrong:
            wrong[name] = fault.message
        else:
            loose.append(fault.message)
    return wrong, loose


def _all(shown: Shown) -> list[Shown]:
    below = [*shown.fields, *(field for line in shown.rows for field in line.fields)]
    return [shown, *(each for field in below for each in _all(field))]


def save(ask: Ask, at: Opened, section: str, name: str, files: Mapping[str, str], revision: int) -> Draft:
    """Write a draft's texts; where there is none yet, begin it. Raises ``Conflict`` (``draft_moved``)."""
    drafts, actor = drafts_of(ask), ask.note("").actor
    if at.draft is None:
        return drafts.begin(actor, ask.say(TITLES[section], name=name), at.base, files)
    return drafts.save(at.draft.id, revision, files, actor)
