"""Learned models as files: both keepers keep the contract, and a crash leaves the old or the new, never half."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cashwrap import faults
from cashwrap.adapters.model_folder import FolderModels
from cashwrap.adapters.model_memory import MemoryModels
from cashwrap.errors import DiskFull, InvalidInput, Unavailable
from cashwrap.model import Tenant
from cashwrap.ports import ModelFiles
from cashwrap.testing import ModelFilesContract

LIVE = Tenant("acme", "live")
OLD, NEW = {"a.npy": b"old a", "b.npy": b"old b"}, {"a.npy": b"new a", "b.npy": b"new b"}


class TestMemoryModels(ModelFilesContract):
    @pytest.fixture
    def models(self) -> ModelFiles:
        return MemoryModels()


class TestFolderModels(ModelFilesContract):
    @pytest.fixture
    def models(self, tmp_path: Path) -> ModelFiles:
        return FolderModels(tmp_path / "models")


class OverwritesWhatIsThere(MemoryModels):
    def save(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        self.remove(tenant, name, version)
        super().save(tenant, name, version, files)


class ForgetsTheTenant(MemoryModels):
    def versions(self, tenant: Tenant) -> dict[str, list[str]]:
        return {**super().versions(LIVE), **super().versions(tenant)}


class TestTheContractItself:
    """Planted bugs: each must be seen."""

    def test_sees_a_model_that_changes(self) -> None:
        with pytest.raises(AssertionError):
            ModelFilesContract().test_nothing_is_saved_twice(OverwritesWhatIsThere())

    def test_sees_tenants_that_meet(self) -> None:
        with pytest.raises(AssertionError):
            ModelFilesContract().test_stores_and_environments_never_meet(ForgetsTheTenant())


def dies(point: str, act: Callable[[], None]) -> None:
    """What this does in a process of its own, killed at a crash point."""
    child = os.fork()
    if not child:
        try:
            faults.crash_at(point)
            act()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_killed_while_it_is_saved_it_is_not_there(tmp_path: Path) -> None:
    models = FolderModels(tmp_path)
    models.save(LIVE, "basket", "1", OLD)
    dies("models.written", lambda: models.save(LIVE, "basket", "2", NEW))
    assert models.versions(LIVE) == {"basket": ["1"]}
    assert b"new" not in bytes_in(tmp_path)
    models.save(LIVE, "basket", "2", NEW)
    assert models.read(LIVE, "basket", "2", "b.npy") == b"new b"


@pytest.mark.parametrize(("point", "left"), [("models.written", OLD), ("models.replaced", NEW)])
def test_killed_while_it_is_written_anew_it_is_old_or_new(point: str, left: dict[str, bytes], tmp_path: Path) -> None:
    models = FolderModels(tmp_path)
    models.save(LIVE, "basket", "1", OLD)
    dies(point, lambda: models.rewrite(LIVE, "basket", "1", NEW))
    assert {file: models.read(LIVE, "basket", "1", file) for file in OLD} == left
    assert models.versions(LIVE) == {"basket": ["1"]}  # finishes what was cut off
    assert (b"old" in bytes_in(tmp_path)) == (left is OLD)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a+1", ".hidden", "a" * 200])
def test_a_name_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    models = FolderModels(tmp_path / "models")
    for tenant, model, version, file in [
        (LIVE, name, "1", "a"),
        (LIVE, "basket", name, "a"),
        (LIVE, "basket", "1", name),
        (Tenant(name, "live"), "basket", "1", "a"),
    ]:
        with pytest.raises(InvalidInput) as refused:
            models.save(tenant, model, version, {file: b"x"})
        assert refused.value.code == "invalid_name"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["_lock"]


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    FolderModels(tmp_path / "models").save(LIVE, "basket", "1", OLD)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "models").rglob("*")} == {0}


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = FolderModels(tmp_path)
    models.save(LIVE, "basket", "1", OLD)
    for number, kind in ((28, DiskFull), (5, Unavailable)):
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", lambda _, number=number: (_ for _ in ()).throw(OSError(number, "no")))
            with pytest.raises(kind):
                models.save(LIVE, "basket", "2", NEW)
    assert models.versions(LIVE) == {"basket": ["1"]}
