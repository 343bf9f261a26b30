"""Take a forgotten shopper out of every model: what holds rows of theirs is written anew, and is to be trained again.

What remains of them in a model is a share of sums over many shoppers. Who is forgotten while a model is being trained
is remembered for a week by digest, so that the model that comes of it is cleaned as soon as it is kept.
"""

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import CashwrapError, StoreError
from cashwrap.learned.files import (
    ARRAY,
    MANIFEST,
    SUBJECTS,
    array_bytes,
    array_of,
    manifest_of,
    opened,
    signed,
    unchanged,
)
from cashwrap.learned.subjects import digests_of, holds, places_of, without
from cashwrap.model import Millis, Tenant
from cashwrap.ports import ModelFiles, Registry
from cashwrap.world import World

log = logging.getLogger("cashwrap")

DUE, BURIED = "retrain", "forgotten subjects"
"""Kinds of documents: versions that are to be made again, and digests by the day."""
REMEMBERED = 7
"""Days that a training may take."""
_TURNS = 5
"""How often a version is looked at again where others write it anew at the same time."""
_DAY: Millis = 86_400_000
_SIZE = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Due(Struct, frozen=True):
    """Why a version is to be made again: so many who were in it are forgotten, the last one ``at`` this time."""

    shoppers: int
    at: Millis
    written: int = 0
    """How often its files were written anew: who has an older one in memory reads them again."""


class _Version(NamedTuple):
    tenant: Tenant
    name: str
    version: str


def forget(world: World, tenant: Tenant, analytic_ids: Collection[bytes]) -> list[str]:
    """Take shoppers out of all models, durably: the versions that held any, as ``name@version``.

    A version that cannot be written anew is removed.
    """
    if world.models is None:
        return []
    digests = bury(world, tenant, analytic_ids)
    found = _holding(world, world.models, tenant, digests)
    for each in found:
        _clean(world, world.models, each, digests)
        forget_again(world, *each)
    return [f"{each.name}@{each.version}" for each in found]


def bury(world: World, tenant: Tenant, analytic_ids: Collection[bytes]) -> list[int]:
    """Remember, for as long as a training may take, who was forgotten; their digests. ``forget_again`` heeds them."""
    digests = digests_of(world.vault, tenant, analytic_ids)
    days, today = world.registry.documents(BURIED), _date(world.clock.now())
    more = b"".join(each.to_bytes(_SIZE, "little") for each in sorted(digests))
    world.registry.put(BURIED, today, days.get(today, b"") + more)
    for day in days:
        if day < _date(world.clock.now() - REMEMBERED * _DAY):
            world.registry.put(BURIED, day, None)
    return digests


def holding(world: World, tenant: Tenant, analytic_ids: Collection[bytes]) -> list[str]:
    """The versions that hold any of these shoppers' data, as ``name@version``."""
    if world.models is None:
        return []
    found = _holding(world, world.models, tenant, digests_of(world.vault, tenant, analytic_ids))
    return [f"{each.name}@{each.version}" for each in found]


def forget_again(world: World, tenant: Tenant, name: str, version: str) -> None:
    """Take out of a version that was just kept, or written anew, whoever was forgotten since its data was read.

    Two may write a version anew at once, each without another shopper, and the later brings back whom the earlier took
    out. Both were remembered before, so whoever looks last sees it.
    """
    if world.models is None:
        return
    days = world.registry.documents(BURIED).values()
    gone = {int.from_bytes(day[at : at + _SIZE], "little") for day in days for at in range(0, len(day), _SIZE)}
    one = _Version(tenant, name, version)
    for _ in range(_TURNS):
        if (
            not gone
            or version not in world.models.versions(tenant).get(name, ())
            or not _may_hold(world, world.models, one, gone)
        ):
            return
        _clean(world, world.models, one, gone)


def dues_of(registry: Registry) -> dict[tuple[str, str, str], Due]:
    """Which versions are to be made again, by tenant's name, model and version."""
    found = {}
    for key, document in registry.documents(DUE).items():
        tenant, name, version = key.rsplit("/", 2)
        found[tenant, name, version] = _due.decode(document)
    return found


def key_of(tenant: Tenant, name: str, version: str) -> str:
    """What documents about a version are kept under, or begin with."""
    return f"{tenant.name}/{name}/{version}"


def _holding(world: World, files: ModelFiles, tenant: Tenant, digests: Collection[int]) -> list[_Version]:
    return [
        _Version(tenant, name, version)
        for name, versions in files.versions(tenant).items()
        for version in versions
        if _may_hold(world, files, _Version(tenant, name, version), digests)
    ]


def _may_hold(world: World, files: ModelFiles, one: _Version, digests: Collection[int]) -> bool:
    """Whether a version holds any of these shoppers, or is so broken that nobody can tell."""
    try:
        raw = files.read(*one, SUBJECTS)
    except StoreError:
        return True
    try:
        manifest = manifest_of(files, world.vault, *one)
    except StoreError:  # it answers nowhere, and its list may be as it was written all the same
        return holds(raw, digests)
    return not unchanged(manifest, SUBJECTS, raw) or holds(raw, digests)


def _clean(world: World, files: ModelFiles, one: _Version, digests: Collection[int]) -> None:
    """Write a version anew without these shoppers, and say that it is to be trained again."""
    try:
        _rewrite(world, files, one, digests)
    except CashwrapError:  # somebody else may have put it in its place a moment ago: what is there now counts
        try:
            _rewrite(world, files, one, digests)
        except CashwrapError as error:
            message = "%s@%s cannot be written without a forgotten shopper, and is removed: %s"
            log.error(message, *one[1:], error.message)  # noqa: TRY400
            files.remove(*one)
            world.registry.put(DUE, key_of(*one), None)


def _rewrite(world: World, files: ModelFiles, one: _Version, digests: Collection[int]) -> None:
    registry, key = world.registry, key_of(*one)
    due = dues_of(registry).get((one.tenant.name, one.name, one.version), Due(0, 0))
    manifest, artefact = opened(files, world.vault, *one)
    subjects = array_of(files, one.tenant, manifest, SUBJECTS)
    places = places_of(subjects, digests)
    changed, left = without(artefact.arrays, subjects, places)
    content = {f"{name}{ARRAY}": array_bytes(array) for name, array in changed.items()}
    content[SUBJECTS] = array_bytes(left)
    again = Due(due.shoppers + len(places), world.clock.now(), due.written + 1)
    registry.put(DUE, key, _encode(again))  # before: cut off after it, the model is due all the same
    files.rewrite(*one, content | {MANIFEST: signed(manifest, content, one.tenant, world.vault)})
    registry.put(DUE, key, _encode(replace(again, written=again.written + 1)))  # after: who has it, reads it again


def _date(now: Millis) -> str:
    return (_EPOCH + timedelta(milliseconds=now)).date().isoformat()


_encode = msgspec.json.Encoder().encode
_due: msgspec.json.Decoder[Due] = msgspec.json.Decoder(Due)
