"""Learned models as folders of plain files: ``<store>@<environment>/<name>/<version>/<file>``.

A version is written beside its place, made durable, and moved there in one step, so that it is whole or not there. What
forgetting writes anew is another folder, ``<version>+1``, in place of the one before. A change that was cut off is
undone, or finished, by whoever changes or lists the folder next.
"""

import errno
import fcntl
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cashwrap.adapters.folder import sync
from cashwrap.errors import DiskFull, InvalidInput, StoreError, Unavailable
from cashwrap.faults import crash_point
from cashwrap.model import Tenant

UNFINISHED, LOCK = "_unfinished", "_lock"
"""Beside the tenants' folders, whose names never begin so."""
AGAIN = "+"
"""Before the number of times that a version was written anew."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_OURS = re.compile(_NAME.pattern + r"(\+[0-9]{1,9})?")


class FolderModels:
    """Port ``ModelFiles`` over a folder. Any thread of any process may call it."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first version."""
        self.folder = folder
        self._lock = threading.Lock()

    def save(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Write a version, durably and all or nothing.

        Raises ``Unavailable`` where it cannot be written, ``StoreError`` (``model_exists``) where it is there, and
        ``InvalidInput`` (``invalid_name``).
        """
        place = self._models(tenant) / _named(name)
        with self._turn():
            if self._found(tenant, name, version) is not None:
                raise StoreError(f"{name}@{version} is there already, and models never change", code="model_exists")
            unfinished = self._write(files, self.folder / UNFINISHED / _named(version))
            self._put(unfinished, place / version)

    def read(self, tenant: Tenant, name: str, version: str, file: str) -> bytes:
        """One file. Raises ``StoreError`` (``no_such_model``)."""
        try:
            return self.path(tenant, name, version, file).read_bytes()
        except OSError as error:
            raise _missing(name, version, file) from error

    def path(self, tenant: Tenant, name: str, version: str, file: str) -> Path:
        """Where a file is, as long as nobody writes the version anew. Raises ``StoreError`` (``no_such_model``)."""
        found = self._found(tenant, name, version)
        if found is None or not (found / _named(file)).is_file():
            raise _missing(name, version, file)
        return found / file

    def rewrite(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Put files in place of what was there, all or nothing, and leave no byte of what they replace.

        Raises as ``save`` and ``read`` do.
        """
        with self._turn():
            before = self._found(tenant, name, version)
            if before is None:
                raise _missing(name, version)
            number = _number(before) + 1
            kept = {path.name: path for path in before.iterdir() if path.name not in files}
            unfinished = self._write(files, self.folder / UNFINISHED / f"{version}{AGAIN}{number}")
            for file, path in kept.items():
                os.link(path, unfinished / file)
            sync(unfinished)
            self._put(unfinished, before.parent / unfinished.name)
            crash_point("models.replaced")
            self._finish()

    def versions(self, tenant: Tenant) -> dict[str, list[str]]:
        """The versions of every model, in the order of their names; of those written anew one each."""
        if not self.folder.is_dir():
            return {}
        with self._turn():
            models = self._models(tenant)
            found = {name.name: sorted({_version(each) for each in _folders(name)}) for name in _folders(models)}
            return {name: found[name] for name in sorted(found) if found[name]}

    def remove(self, tenant: Tenant, name: str, version: str) -> None:
        """Remove a version, durably; nothing where there is none."""
        if not self.folder.is_dir():
            return
        with self._turn():
            found = self._found(tenant, name, version)
            if found is not None:
                self._take(found)
                self._finish()

    def _models(self, tenant: Tenant) -> Path:
        return self.folder / f"{_named(tenant.store)}@{_named(tenant.environment)}"

    def _found(self, tenant: Tenant, name: str, version: str) -> Path | None:
        """The folder of a version: the one written last."""
        place = self._models(tenant) / _named(name)
        _named(version)
        found = [each for each in _folders(place) if _version(each) == version]
        return max(found, key=_number, default=None)

    # --- changes, one at a time ---

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Change the folder with nobody else at it, after what was cut off before is done with."""
        with self._lock:
            try:
                for place in (self.folder, self.folder / UNFINISHED):
                    place.mkdir(mode=0o700, exist_ok=True)
                handle = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX)
                    self._finish()
                    yield
                finally:
                    os.close(handle)
            except OSError as error:
                kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else Unavailable
                raise kind(f"{self.folder} cannot be changed now: {error.strerror or error}") from error

    def _finish(self) -> None:
        """Remove what never came into its place, and what was replaced there."""
        for models in filter(Path.is_dir, self.folder.glob("*@*/*")):
            newest: dict[str, int] = {}
            for path in _folders(models):
                newest[_version(path)] = max(newest.get(_version(path), 0), _number(path))
            for path in _folders(models):
                if _number(path) < newest[_version(path)]:
                    self._take(path)
        for leftover in (self.folder / UNFINISHED).iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    def _take(self, found: Path) -> None:
        """Out of its place in one step; ``_finish`` removes it."""
        found.rename(self.folder / UNFINISHED / f"{found.name}{AGAIN}gone")
        sync(found.parent)

    def _write(self, files: Mapping[str, bytes], unfinished: Path) -> Path:
        unfinished.mkdir(mode=0o700)
        for file, content in files.items():
            path = unfinished / _named(file)
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as written:
                written.write(content)
            sync(path)
        sync(unfinished)
        return unfinished

    def _put(self, unfinished: Path, place: Path) -> None:
        crash_point("models.written")
        for parent in (place.parent.parent, place.parent):
            parent.mkdir(mode=0o700, exist_ok=True)
        unfinished.rename(place)
        for folder in (place.parent, place.parent.parent, self.folder):
            sync(folder)


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"{name[:50]!r} cannot name a model, a version or a file: letters, digits, '.', '_' and '-' can"
        raise InvalidInput(message, code="invalid_name")
    return name


def _folders(place: Path) -> list[Path]:
    """The folders in a place that are named as models and versions are: what somebody else put there is not ours."""
    try:
        return [each for each in place.iterdir() if _OURS.fullmatch(each.name) and each.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _version(path: Path) -> str:
    return path.name.partition(AGAIN)[0]


def _number(path: Path) -> int:
    return int(path.name.partition(AGAIN)[2] or 0)


def _missing(name: str, version: str, file: str = "") -> StoreError:
    what = f"{file} of {name}@{version}" if file else f"{name}@{version}"
    return StoreError(f"there is no {what}: see 'cashwrap models list'", code="no_such_model")
