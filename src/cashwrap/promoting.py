"""Who changes which version of a model answers: what commands and the console both do, with its audit entry.

The rules are in ``learned.roles``; ``allowed`` asks them beforehand what they would say.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.audit import Note, Trail
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.learned import registry, roles
from cashwrap.learned.files import checked
from cashwrap.learned.registry import Listed
from cashwrap.learned.roles import Model, Wish
from cashwrap.learned.shadow import Shadow
from cashwrap.model import Millis, Tenant
from cashwrap.world import World

Act = Literal["shadow", "candidate", "promote", "retire"]
_CHANGES: dict[Act, Callable[[World, Tenant, str, str, str], Model]] = {
    "shadow": registry.shadow,
    "candidate": registry.candidate,
    "promote": registry.promote,
    "retire": registry.retire,
}


class _Evaluation(Struct, frozen=True):
    main: str = ""


class _Training(Struct, frozen=True):
    """As much of ``training.json`` as a list needs."""

    evaluation: _Evaluation = _Evaluation()


def give(world: World, actor: str, tenant: Tenant, act: Act, asked: str, force: str = "") -> Model:
    """Give a version a role, or take its role: ``asked`` is ``NAME`` or ``NAME@VERSION``. ``force`` is the reason of
    whoever insists, and is kept.

    Raises as ``registry.shadow``, ``candidate``, ``promote`` and ``retire`` do.
    """
    name, _, version = asked.partition("@")
    note = Note(actor, f"model.{act}", asked, {"forced": bool(force)}, tenant)
    return _around(world, note, partial(_CHANGES[act], world, tenant, name, version, force))


def go_back(world: World, actor: str, tenant: Tenant, name: str) -> Model:
    """Make the version live that was live before. Raises as ``registry.rollback`` does."""
    note = Note(actor, "model.rollback", name, {}, tenant)
    return _around(world, note, partial(registry.rollback, world, tenant, name))


def _around(world: World, note: Note, change: Callable[[], Model]) -> Model:
    return Trail(world.audit, world.clock).around(note, change)


def refusal(model: Model, listed: Listed, act: Act, now: Millis) -> InvalidInput | None:
    """Why a version would not be given this role, nobody insisting; ``None`` where it would be.

    Only whether its files are whole is asked when it is done.
    """
    gate = listed.manifest.gate if listed.manifest is not None else None
    if gate is None:
        return InvalidInput(listed.fault, code=listed.fault.partition(":")[0])
    wish = Wish(listed.version, gate, now)
    foreseen: dict[Act, Callable[[], Model]] = {
        "shadow": lambda: roles.shadowed(model, wish),
        "candidate": lambda: roles.proposed(model, wish, listed.shadow or Shadow()),
        "promote": lambda: roles.promoted(model, wish),
        "retire": lambda: roles.retired(model, listed.version, now),
    }
    try:
        foreseen[act]()
    except InvalidInput as error:
        return error
    return None


def main_figure(world: World, tenant: Tenant, listed: Listed) -> str:
    """The name of the metric that a version's gate asked about; empty where none is kept, or it was changed."""
    manifest = listed.manifest
    if manifest is None or "training.json" not in manifest.files:
        return ""
    try:
        text = checked(registry.files_of(world), tenant, manifest, "training.json")
        return msgspec.json.decode(text, type=_Training).evaluation.main
    except (CashwrapError, msgspec.DecodeError):
        return ""
