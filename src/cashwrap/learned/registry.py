"""The models of a data folder: made known, given roles, listed. What ``cashwrap models`` and ``cashwrap train`` do.

Files lie in ``World.models``; roles are one small document a model, so that a change is one write, and every process
sees it at its next refresh. Whoever changes one leaves the audit entry.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as installed

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import InvalidInput, StoreError
from cashwrap.learned import roles
from cashwrap.learned.artefact import Artefact, Figure, Gate, Lineage, Manifest, Role
from cashwrap.learned.files import MANIFEST, SUBJECTS, array_bytes, manifest_of, packed, signed, verify
from cashwrap.learned.forgetting import DUE, Due, dues_of, forget_again, key_of
from cashwrap.learned.roles import ROLES, Model, Wish
from cashwrap.learned.shadow import KIND as SHADOWS
from cashwrap.learned.shadow import Shadow, shadow_of, shadows
from cashwrap.learned.subjects import arranged, digests_of
from cashwrap.model import Tenant
from cashwrap.ports import ModelFiles, Registry
from cashwrap.world import World

KIND = "model"
"""Documents about a model's roles."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Draft(Struct, frozen=True):
    """A model that is to be made known."""

    name: str
    artefact: Artefact
    lineage: Lineage
    figures: Mapping[str, Figure]
    gate: Gate
    subjects: tuple[bytes, ...] = ()
    """The analytic ids whose data is in it; arrays ``<source>.user`` number them."""
    more: Mapping[str, bytes] = {}
    """Files beside it: ``card.md``, ``training.json``, ``drift.json``."""


class Listed(Struct, frozen=True):
    """A version with all that is known of it; without a ``manifest`` it cannot be used, and ``fault`` says why."""

    name: str
    version: str
    role: Role | None
    manifest: Manifest | None
    fault: str = ""
    due: Due | None = None
    shadow: Shadow | None = None


def files_of(world: World) -> ModelFiles:
    """Where models lie. Raises ``InvalidInput`` (``no_models``) for adapters that keep none."""
    if world.models is None:
        raise InvalidInput("these adapters keep no models: give the engine a data folder", code="no_models")
    return world.models


# --- made known ---


def register(world: World, tenant: Tenant, draft: Draft) -> str:
    """Keep a model and name its version; one that passed its gate is a shadow from now on.

    Versions that nobody needs any more go: the newest five stay, those in a role, and the one that was live before.
    Who was forgotten since the data was read is taken out again.

    Raises ``InvalidInput`` (``invalid_name``, ``model_format``), ``Unavailable``, and ``CashwrapError``
    (``extra_missing``).
    """
    files, name, now = files_of(world), draft.name, world.clock.now()
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name[:50]!r} cannot name a model: use a-z, 0-9 and _", code="invalid_name")
    moment = _EPOCH + timedelta(milliseconds=now)
    version = f"{moment:%Y%m%dT%H%M%S}{now % 1000:03}-{world.random.token(4).hex()}"  # names sort as they were made
    artefact, subjects = arranged(draft.artefact, digests_of(world.vault, tenant, draft.subjects))
    content = packed(artefact, draft.more) | {SUBJECTS: array_bytes(subjects)}
    lineage = replace(draft.lineage, subjects=len(subjects), cashwrap=installed("cashwrap"))
    manifest = Manifest(
        name, artefact.kind, version, now, artefact.settings, lineage, figures=draft.figures, gate=draft.gate
    )
    files.save(tenant, name, version, content | {MANIFEST: signed(manifest, content, tenant, world.vault)})
    forget_again(world, tenant, name, version)
    model = roles.registered(model_of(world.registry, tenant, name), Wish(version, draft.gate, now))
    _write(world.registry, model)
    _prune(world, model)
    return version


def _prune(world: World, model: Model) -> None:
    files, kept = files_of(world), roles.kept(model, versions_of(world, model.tenant, model.name))
    for version in versions_of(world, model.tenant, model.name):
        if version not in kept and version != model.history[-1].version:
            files.remove(model.tenant, model.name, version)
            world.registry.put(DUE, key_of(model.tenant, model.name, version), None)
            for name in world.registry.documents(SHADOWS):
                if name.startswith(f"{key_of(model.tenant, model.name, version)}/"):
                    world.registry.put(SHADOWS, name, None)


# --- roles ---


def shadow(world: World, tenant: Tenant, name: str, version: str = "", reason: str = "") -> Model:
    """Ask a version beside the live one; the newest where none is named. ``reason`` is that of who insists.

    Raises ``InvalidInput`` as ``roles.shadowed`` does, and ``StoreError`` (``no_such_model``, ``model_corrupt`` ...).
    """
    return _change(world, tenant, name, lambda model: roles.shadowed(model, _wish(world, model, version, reason)))


def candidate(world: World, tenant: Tenant, name: str, version: str = "", reason: str = "") -> Model:
    """Let an experiment's arm show a version; the shadow where none is named. Raises as ``roles.proposed`` does."""

    def change(model: Model) -> Model:
        wish = _wish(world, model, version or model.shadow, reason)
        return roles.proposed(model, wish, shadow_of(world.registry, tenant, name, wish.version))

    return _change(world, tenant, name, change)


def promote(world: World, tenant: Tenant, name: str, version: str = "", reason: str = "") -> Model:
    """Make a version live; the candidate where none is named. Raises as ``roles.promoted`` does."""
    return _change(
        world,
        tenant,
        name,
        lambda model: roles.promoted(model, _wish(world, model, version or model.candidate, reason)),
    )


def rollback(world: World, tenant: Tenant, name: str, reason: str = "") -> Model:
    """Go back to what was live before and is as it was written, else to none. Raises as ``roles.rolled_back`` does."""
    now = world.clock.now()
    return _change(
        world,
        tenant,
        name,
        lambda model: roles.rolled_back(model, frozenset(filter(_sound(world, model), model.former)), now, reason),
    )


def retire(world: World, tenant: Tenant, name: str, version: str, reason: str = "") -> Model:
    """Take a version out of its role. Raises as ``roles.retired`` does."""
    now = world.clock.now()
    return _change(world, tenant, name, lambda model: roles.retired(model, find(world, model, version), now, reason))


def take_back(world: World, tenant: Tenant, name: str, reason: str) -> Model:
    """Have no candidate any more: its arm harmed. Raises as ``roles.taken_back`` does."""
    now = world.clock.now()
    return _change(world, tenant, name, lambda model: roles.taken_back(model, now, reason))


def _change(world: World, tenant: Tenant, name: str, change: Callable[[Model], Model]) -> Model:
    if not versions_of(world, tenant, name):
        raise StoreError(f"there is no model {name!r} here: 'cashwrap train' makes one", code="no_such_model")
    before = model_of(world.registry, tenant, name)
    changed = change(before)  # which reads whole files: meanwhile a guard may take a candidate back
    while (now := model_of(world.registry, tenant, name)) != before:
        before, changed = now, change(now)
    _write(world.registry, changed)
    return changed


def _wish(world: World, model: Model, version: str, reason: str) -> Wish:
    found, files = find(world, model, version), files_of(world)
    manifest = manifest_of(files, world.vault, model.tenant, model.name, found)
    if wrong := verify(files, world.vault, model.tenant, model.name, found):
        code, _, message = wrong[0].partition(": ")
        raise StoreError(message, code=code)
    return Wish(found, manifest.gate, world.clock.now(), reason)


def _sound(world: World, model: Model) -> Callable[[str], bool]:
    return lambda version: not verify(files_of(world), world.vault, model.tenant, model.name, version)


# --- what there is ---


def find(world: World, model: Model, version: str) -> str:
    """A version by its name, its end, or its role; the newest for an empty text.

    Raises ``StoreError`` (``no_such_model``) and ``InvalidInput`` (``ambiguous_version``).
    """
    there = versions_of(world, model.tenant, model.name)
    if version in ROLES:
        version = getattr(model, version)
        found = [each for each in there if each == version]
    else:
        found = [each for each in there if each.startswith(version) or each.endswith(version)]
    if not found:
        raise StoreError(f"there is no such version of {model.name}: see 'cashwrap models list'", code="no_such_model")
    if len(found) > 1 and version:
        message = f"{len(found)} versions of {model.name} are named like {version}: write more of it"
        raise InvalidInput(message, code="ambiguous_version")
    return found[-1]


def versions_of(world: World, tenant: Tenant, name: str) -> list[str]:
    """A model's versions, oldest first."""
    return files_of(world).versions(tenant).get(name, [])


def listed(world: World, tenant: Tenant) -> list[Listed]:
    """Every version of every model of a store, the newest first."""
    known, asked, due = models_of(world.registry), shadows(world.registry), dues_of(world.registry)
    found = []
    for name, versions in sorted(files_of(world).versions(tenant).items()):
        model = known.get((tenant, name), Model(tenant, name))
        for version in reversed(versions):
            manifest, fault = _manifest(world, tenant, name, version)
            wanted = due.get((tenant.name, name, version))
            told = asked.get((tenant.name, name, version))
            found.append(Listed(name, version, model.role(version), manifest, fault, wanted, told))
    return found


def _manifest(world: World, tenant: Tenant, name: str, version: str) -> tuple[Manifest | None, str]:
    try:
        return manifest_of(files_of(world), world.vault, tenant, name, version), ""
    except StoreError as error:
        return None, f"{error.code}: {error.message}"


def model_of(registry: Registry, tenant: Tenant, name: str) -> Model:
    """A model's roles; none of a model that is not known."""
    return models_of(registry).get((tenant, name), Model(tenant, name))


def models_of(registry: Registry) -> dict[tuple[Tenant, str], Model]:
    """The roles of all models, by tenant and name."""
    return decoded(registry.documents(KIND))


def decoded(documents: Mapping[str, bytes]) -> dict[tuple[Tenant, str], Model]:
    """Documents of ``KIND`` as what they say."""
    return {(model.tenant, model.name): model for model in map(_model.decode, documents.values())}


def _write(registry: Registry, model: Model) -> None:
    registry.put(KIND, f"{model.tenant.name}/{model.name}", msgspec.json.encode(model))


_model: msgspec.json.Decoder[Model] = msgspec.json.Decoder(Model)
