"""Drafts by forms: segments, experiences, offers and features without YAML, and for how many a condition holds.

A form is sent with every change of its shape (another row, another variation) and answers with itself; it works so
with a script and without one. Only ``save`` writes.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.responses import Response

from cashwrap.audit import Note
from cashwrap.console.ask import Ask
from cashwrap.console.drafts.entries import (
    FRESH,
    NONE,
    Opened,
    Page,
    Saving,
    open_draft,
    own_draft,
    page_of,
    prepare,
    save,
    value_of,
)
from cashwrap.console.drafts.planning import planned
from cashwrap.console.drafts.preview import preview
from cashwrap.console.groups.fitting import LONGEST, Fit, Fitting
from cashwrap.console.routing import Route
from cashwrap.console.words import later
from cashwrap.editing import splice
from cashwrap.editing.form_entries import DEFINITIONS, Form, edited, name_of, opened, posted
from cashwrap.errors import ConditionError, InvalidInput
from cashwrap.playbook import examine
from cashwrap.versions import playbook_files

_ONE = {"segment": "segments", "experience": "experiences", "offer": "offers", "feature": "features"}
DONE = {
    "saved": later("Saved in the draft. Shoppers see nothing of it until the draft is published."),
    "begun": later("A draft was made for it. Shoppers see nothing of it until the draft is published."),
    "renamed": later("Renamed in the draft."),
}


async def begin(ask: Ask) -> Response:
    """To the form of what was asked for, in the draft that the person works on or in a new one."""
    draft = await ask.run(own_draft, ask)
    for word, section in _ONE.items():
        if name := ask.query(word):
            return ask.go(f"/drafts/{draft}/{section}/{_path(name)}")
    return ask.go("/drafts")


def _path(name: str) -> str:
    """A name as a part of an address; none of another form is a name of anything."""
    if name != name_of(name):
        raise InvalidInput(f"There is no {name[:80]!r} here.", code="no_such_entry")
    return name


def form_of(section: str) -> Callable[[Ask], Awaitable[Response]]:
    """The page with an entry's form."""

    async def answer(ask: Ask) -> Response:
        page = await ask.run(_page, ask, section)
        done = ask.say(DONE[ask.query("done")]) if ask.query("done") in DONE else ""
        return _shown(ask, page, done=done)

    return answer


def _page(ask: Ask, section: str) -> Page:
    at, name = open_draft(ask, ask.param("draft")), ask.param("name")
    entry = opened(section, value_of(at, section, name))
    if section == "experiences" and name == NONE and ask.query("in"):
        entry = {"in": ask.query("in")}
    return page_of(ask, at, section, name, edited(entry))


def _shown(ask: Ask, page: Page, status: int = 200, *, problem: str = "", done: str = "") -> Response:
    return ask.page("form_entry.html", status, form=page, problem=problem, done=done)


def change_of(section: str) -> Callable[[Ask], Awaitable[Response]]:
    """What a sent form does."""

    async def answer(ask: Ask) -> Response:
        form = await ask.fields()
        do = (form.get("do") or ["save"])[0]
        if do in ("save", "preview"):
            return await _save(ask, section, form, do)
        if do in ("remove", "rename"):
            return await _restructure(ask, section, form, do)
        return _shown(ask, await ask.run(_reshaped, ask, section, form))

    return answer


def _reshaped(ask: Ask, section: str, form: Form) -> Page:
    """The form as it was sent, with what its button did."""
    at, name = open_draft(ask, ask.param("draft")), ask.param("name")
    before = opened(section, value_of(at, section, name))
    return page_of(ask, at, section, name, posted(section, form, before, at.read), form)


async def _save(ask: Ask, section: str, form: Form, do: str) -> Response:
    at, prepared = await ask.run(_prepared, ask, section, form)
    if prepared.files is None:
        return _shown(ask, prepared.page, 200 if ask.is_part else 422, problem=ask.say("Not saved yet: see below."))
    name, files, revision = prepared.name, prepared.files, _number(form, "revision")
    note = _note(ask, at, f"{section}/{name}")
    draft = await ask.change(note, lambda: save(ask, at, section, name, files, revision))
    if do == "preview":
        query = {"experience": name} if section == "experiences" else {}
        return ask.go(f"/drafts/{draft.id}/preview", **query)
    return ask.go(f"/drafts/{draft.id}/{section}/{name}", done="saved" if at.draft is not None else "begun")


def _prepared(ask: Ask, section: str, form: Form) -> tuple[Opened, Saving]:
    at = open_draft(ask, ask.param("draft"))
    return at, prepare(ask, at, section, ask.param("name"), form)


async def _restructure(ask: Ask, section: str, form: Form, do: str) -> Response:
    """Remove an entry, or give it another name."""
    name, typed = ask.param("name"), (form.get("new_name") or [""])[-1].strip()
    new = name_of(typed)
    if do == "rename" and not new:
        raise InvalidInput(ask.say("Give it a name."), code="invalid_name")
    at = await ask.run(open_draft, ask, ask.param("draft"))
    change = (lambda: splice.remove(at.files, section, name)) if do == "remove" else (
        lambda: splice.rename(at.files, section, name, new)
    )  # fmt: skip
    files = await ask.run(change)
    note = _note(ask, at, f"{section}/{name}", change=do)
    revision = _number(form, "revision")
    draft = await ask.change(note, lambda: save(ask, at, section, name, files, revision))
    if do == "remove":
        return ask.go(f"/drafts/{draft.id}")
    return ask.go(f"/drafts/{draft.id}/{section}/{new}", done="renamed")


def _note(ask: Ask, at: Opened, entry: str, **details: object) -> Note:
    if at.draft is None:
        return ask.note("draft.begin", "live", entry=entry, **details)
    return ask.note("draft.save", at.draft.id, entry=entry, **details)


def _number(form: Form, name: str) -> int:
    text = (form.get(name) or [""])[-1]
    return int(text) if text.isdecimal() and len(text) < 10 else -1


# --- for how many ---


async def fit(ask: Ask) -> Response:
    """For how many shoppers and decisions a condition holds."""
    text = ask.query("when")
    found, problem = await ask.run(_fit, ask, text)
    template = "form_fit_part.html" if ask.is_part else "form_fit.html"
    return ask.page(template, fit=found, problem=problem, text=text)


def _fit(ask: Ask, text: str) -> tuple[Fit | None, str]:
    if not text.strip():
        return None, ask.say("Without a condition it is for everyone.")
    if len(text) > LONGEST:
        return None, ask.say("This condition is too long to count here; save it as a segment and look there.")
    at = open_draft(ask, ask.param("draft"))
    files = playbook_files(at.files)
    key = ("fitting", at.id, at.revision, at.base)
    playbook = ask.console.remembered.get(key, FRESH, lambda: examine(files)[0])
    if playbook is None:
        return None, ask.say("The draft has a mistake elsewhere; mend it, and this can be counted.")
    fitting = Fitting(ask.console.world, ask.tenant, ask.console.sizes.veil)
    try:
        known = ("fit", ask.tenant, key, text)
        return ask.console.remembered.get(known, 60_000, lambda: fitting.fit(text, playbook, at.read.environment)), ""
    except ConditionError:
        return None, ask.say("Once the condition is whole, it is counted here.")


# --- for how long ---


async def plan(ask: Ask) -> Response:
    """How long the experiment of a saved experience would take; asked again until it is worked out."""
    name = ask.query("experience")
    at = await ask.run(open_draft, ask, ask.param("draft"))
    await ask.run(value_of, at, "experiences", name)
    key = f"plan {ask.tenant.name} {at.id} {at.base} {at.revision} {name}"
    job = await ask.run(partial(ask.console.jobs.ask, fresh=FRESH), key, planned, ask.tenant, dict(at.files), name)
    template = "form_plan_part.html" if ask.is_part else "form_plan.html"
    address = ask.url(f"/drafts/{at.id}/plan", experience=name)
    return ask.page(template, job=job, plan=job.result, name=name, address=address)


ROUTES: list[Route] = [
    Route("GET", "/drafts/new", begin, "draft.write"),
    Route("GET", "/drafts/{draft}/fit", fit, "draft.write"),
    Route("GET", "/drafts/{draft}/plan", plan, "draft.write"),
    Route("GET", "/drafts/{draft}/preview", preview, "see"),
    *(
        Route("GET", f"/drafts/{{draft}}/{section}/{{name}}", form_of(section), "draft.write")
        for section in DEFINITIONS
    ),
    *(
        Route("POST", f"/drafts/{{draft}}/{section}/{{name}}", change_of(section), "draft.write", "playbook")
        for section in DEFINITIONS
    ),
]
