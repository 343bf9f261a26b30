"""Which version of a model answers, which one is tried, and how that came: the rules, as values.

One version of a model is ``live``, one may be ``candidate`` and one ``shadow``; a version has one role at most. What is
refused says why with a stable code; a reason given by whoever insists is kept in the model's history.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Gate, Role
from cashwrap.learned.shadow import Shadow
from cashwrap.model import Millis, Tenant

Action = Literal["register", "shadow", "candidate", "promote", "rollback", "retire", "take_back"]
ROLES: tuple[Role, ...] = ("live", "candidate", "shadow")
KEPT = 5
"""Versions that are kept beside those in a role and the one that was live before."""
HISTORY = 200
"""Changes that are kept."""
FORMER = 20
"""Versions that were live before, as far as they are remembered."""


class Change(Struct, frozen=True):
    """One change of a model's roles; an empty ``version`` says that none has the role any more."""

    at: Millis
    action: Action
    version: str
    reason: str = ""
    """Why somebody insisted, or why it was taken back."""


class Model(Struct, frozen=True):
    """The roles of one model, by version; empty for none."""

    tenant: Tenant
    name: str
    live: str = ""
    candidate: str = ""
    shadow: str = ""
    former: tuple[str, ...] = ()
    """Those that were live before, the newest last: where ``rollback`` goes."""
    history: tuple[Change, ...] = ()

    def role(self, version: str) -> Role | None:
        """The role that a version has."""
        return next((role for role in ROLES if version and getattr(self, role) == version), None)


class Wish(Struct, frozen=True):
    """Which version is to have a role: whether it passed its gate, when, and why somebody insists."""

    version: str
    gate: Gate
    at: Millis
    reason: str = ""


def shadowed(model: Model, wish: Wish) -> Model:
    """With a version asked beside the live one. Raises ``InvalidInput``: ``already_live``, ``gate_failed``."""
    _may(model, wish)
    return _told(replace(_without(model, wish.version), shadow=wish.version), _change("shadow", wish))


def proposed(model: Model, wish: Wish, shadow: Shadow) -> Model:
    """With a version that an experiment's arm may show.

    Raises ``InvalidInput`` as ``shadowed`` does, and ``shadow_unproven`` where its answers as a shadow were too few,
    failed, or took too long.
    """
    _may(model, wish)
    if (doubt := shadow.doubt()) and not wish.reason:
        message = f"{_name(model, wish)} is not proven as a shadow: {doubt}. Wait, or say why it may go on: --force"
        raise InvalidInput(message, code="shadow_unproven")
    return _told(replace(_without(model, wish.version), candidate=wish.version), _change("candidate", wish))


def promoted(model: Model, wish: Wish) -> Model:
    """With a version live, and the one before remembered.

    Raises ``InvalidInput`` as ``shadowed`` does, and ``not_candidate`` where no experiment could have proven it.
    """
    _may(model, wish)
    if wish.version != model.candidate and not wish.reason:
        message = f"{_name(model, wish)} is not the candidate, so no experiment proved it: 'cashwrap models candidate"
        raise InvalidInput(f"{message} {model.name}', or say why it may go on: --force", code="not_candidate")
    former = [each for each in (*model.former, model.live) if each and each != wish.version][-FORMER:]
    changed = replace(_without(model, wish.version), live=wish.version, former=tuple(former))
    return _told(changed, _change("promote", wish))


def rolled_back(model: Model, sound: frozenset[str], at: Millis, reason: str = "") -> Model:
    """With the one live that was so before and is still ``sound``, or with none: then the catalogue answers.

    Raises ``InvalidInput`` (``nothing_before``).
    """
    if not model.live:
        raise InvalidInput(
            f"no version of {model.name} is live: there is nothing to go back from", code="nothing_before"
        )
    former = list(model.former)
    while former and former[-1] not in sound:
        former.pop()
    back = former.pop() if former else ""
    changed = replace(_without(model, back), live=back, former=tuple(former))
    return _told(changed, Change(at, "rollback", back, reason))


def retired(model: Model, version: str, at: Millis, reason: str = "") -> Model:
    """With a version in no role, to which nothing goes back. Raises ``InvalidInput`` (``no_role``)."""
    if model.role(version) is None and version not in model.former:
        raise InvalidInput(f"{model.name}@{version} has no role to be taken from", code="no_role")
    former = tuple(each for each in model.former if each != version)
    return _told(replace(_without(model, version), former=former), Change(at, "retire", version, reason))


def taken_back(model: Model, at: Millis, reason: str) -> Model:
    """Without a candidate: its arm harmed. Raises ``InvalidInput`` (``no_role``)."""
    if not model.candidate:
        raise InvalidInput(f"{model.name} has no candidate", code="no_role")
    return _told(replace(model, candidate=""), Change(at, "take_back", model.candidate, reason))


def registered(model: Model, wish: Wish) -> Model:
    """With a new version: a shadow at once where it passed its gate."""
    told = _told(model, _change("register", wish))
    return shadowed(told, wish) if wish.gate.passed else told


def kept(model: Model, versions: list[str]) -> frozenset[str]:
    """Which of its versions, oldest first, are to be kept."""
    return frozenset([*versions[-KEPT:], *(getattr(model, role) for role in ROLES), *model.former[-1:]]) - {""}


def _without(model: Model, version: str) -> Model:
    """No role for a version; roles of others stay."""
    gone: dict[str, str] = {role: "" for role in ROLES if getattr(model, role) == version}
    return replace(model, **gone)


def _told(model: Model, change: Change) -> Model:
    return replace(model, history=(*model.history, change)[-HISTORY:])


def _change(action: Action, wish: Wish) -> Change:
    return Change(wish.at, action, wish.version, wish.reason)


def _may(model: Model, wish: Wish) -> None:
    """Whether a version may have any role that it has not."""
    if wish.version == model.live:
        raise InvalidInput(f"{_name(model, wish)} is the live version", code="already_live")
    if not wish.gate.passed and not wish.reason:
        why = wish.gate.reasons[0][1] if wish.gate.reasons else "nobody judged it."
        message = f"{_name(model, wish)} did not pass its gate: {why} Say why it may go on all the same: --force"
        raise InvalidInput(message, code="gate_failed")


def _name(model: Model, wish: Wish) -> str:
    return f"{model.name}@{wish.version}"
