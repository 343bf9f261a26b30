"""What a data folder holds, how much room is left, what waits to be told, and when somebody last made a backup."""

import os
import shutil
from pathlib import Path

from msgspec import Struct

from cashwrap.model import Millis, Tenant
from cashwrap.ports import AuditEntry, AuditLog
from cashwrap.webhooks import Webhook, Webhooks, host_of
from cashwrap.world import World

FILES = 20_000
"""Files of one folder that are looked at."""
WAITING = 10_000
"""Notices that are counted."""
BACK = 20_000
"""Entries of the audit log that are looked through for a backup: the newest."""
_PAGE = 2_000


class Part(Struct, frozen=True):
    """A file or a folder: bytes, and when it changed last (0 where there is nothing)."""

    name: str
    size: int
    changed: Millis


class Waiting(Struct, frozen=True):
    """A webhook and how many notices it has still to take; ``oldest`` is when the first of them came up."""

    name: str
    host: str
    count: int
    oldest: Millis


class Keeping(Struct, frozen=True):
    """The state of a data folder. ``room`` and ``whole`` are the disk's, in bytes."""

    parts: list[Part]
    room: int
    whole: int
    reserve: bool
    """Whether the reserve is there; a server without room has given it away."""
    backup: Millis
    """When the last backup was made, as far as the audit log's newest entries tell; 0 for never."""
    waiting: list[Waiting]


def kept(world: World, folder: Path, tenant: Tenant) -> Keeping:
    """How things stand now."""
    disk = shutil.disk_usage(folder)
    names = ("cashwrap.db", "keys.db", "ledger.db", "console.db", "facts", "models", "audit.jsonl")
    return Keeping(
        [part for name in names if (part := _part(folder, name)) is not None],
        disk.free,
        disk.total,
        (folder / "reserve").exists(),
        last_backup(world.audit),
        _waiting(world, tenant),
    )


def last_backup(log: AuditLog | None) -> Millis:
    """When ``backup.make`` was last noted, and did not fail."""
    made = before = 0
    for entry in _newest(log) if log is not None else ():
        if entry.action == "backup.make":
            made, before = entry.time, made
        elif entry.action == "backup.make.failed":
            made = before
    return made


def _newest(log: AuditLog) -> list[AuditEntry]:
    """The log's newest entries. It tells no length: where it ends is found by halving."""
    low, high = 0, 1
    while log.entries(high, 1):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if log.entries(middle, 1) else (low, middle)
    found: list[AuditEntry] = []
    after = max(0, high - BACK)
    while page := log.entries(after, _PAGE):
        found += [entry for _, entry in page]
        after = page[-1][0]
    return found


def _part(folder: Path, name: str) -> Part | None:
    path = folder / name
    if path.is_dir():
        files = [Path(where) / file for where, _, names in os.walk(path) for file in names][:FILES]
    else:
        files = [each for each in (path, path.with_name(f"{name}-wal")) if each.exists()]
    stats = [stat for each in files if (stat := _stat(each)) is not None]
    if not stats:
        return None
    return Part(name, sum(each.st_size for each in stats), max(int(each.st_mtime * 1000) for each in stats))


def _stat(path: Path) -> os.stat_result | None:
    """``None`` for a file that has gone meanwhile."""
    try:
        return path.stat()
    except OSError:
        return None


def _waiting(world: World, tenant: Tenant) -> list[Waiting]:
    own = Webhooks(world.registry, world.random).of(tenant)
    pending = [notice for _, notice in world.outbox.pending(WAITING)] if own else []

    def told(webhook: Webhook) -> Waiting:
        theirs = [notice.at for notice in pending if webhook.wants(notice)]
        return Waiting(webhook.name, host_of(webhook.url), len(theirs), min(theirs, default=0))

    return [told(webhook) for webhook in own]
