"""Learned models in memory, for tests and for engines without a data folder."""

import shutil
import weakref
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from cashwrap.errors import StoreError
from cashwrap.model import Tenant


class MemoryModels:
    """Port ``ModelFiles`` over a dictionary. What is to be mapped lies in a temporary folder meanwhile."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Tenant, str, str], dict[str, bytes]] = {}
        self._folder: Path | None = None
        self._paths = 0

    def save(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Keep a version. Raises ``StoreError`` (``model_exists``)."""
        if (tenant, name, version) in self._kept:
            raise StoreError(f"{name}@{version} is there already, and models never change", code="model_exists")
        self._kept[tenant, name, version] = dict(files)

    def read(self, tenant: Tenant, name: str, version: str, file: str) -> bytes:
        """One file. Raises ``StoreError`` (``no_such_model``)."""
        try:
            return self._kept[tenant, name, version][file]
        except KeyError as error:
            raise StoreError(f"there is no {file} of {name}@{version}", code="no_such_model") from error

    def path(self, tenant: Tenant, name: str, version: str, file: str) -> Path:
        """A copy of it as it is now. Raises ``StoreError`` (``no_such_model``)."""
        content = self.read(tenant, name, version, file)
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="cashwrap-models-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._paths += 1
        path = self._folder / f"{self._paths}-{file}"
        path.write_bytes(content)
        return path

    def rewrite(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Put files in place of what was there. Raises ``StoreError`` (``no_such_model``)."""
        if (tenant, name, version) not in self._kept:
            raise StoreError(f"there is no {name}@{version}", code="no_such_model")
        self._kept[tenant, name, version] |= files

    def versions(self, tenant: Tenant) -> dict[str, list[str]]:
        """The versions of every model, in the order of their names."""
        found: dict[str, list[str]] = {}
        for kept in sorted(key[1:] for key in self._kept if key[0] == tenant):
            found.setdefault(kept[0], []).append(kept[1])
        return found

    def remove(self, tenant: Tenant, name: str, version: str) -> None:
        """Remove a version; nothing where there is none."""
        self._kept.pop((tenant, name, version), None)
