"""A model as files: what is read is what was written, by this folder, or nothing."""

import io
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cashwrap.adapters.model_folder import FolderModels
from cashwrap.adapters.vault import MemoryVault
from cashwrap.errors import CashwrapError, InvalidInput, StoreError
from cashwrap.learned import extras, files
from cashwrap.learned.artefact import FORMAT, Artefact
from cashwrap.learned.files import MANIFEST, SUBJECTS, array_bytes, opened, packed, signed, verify
from cashwrap.model import Tenant
from cashwrap.world import World
from engines import LIVE, SeededRandom
from learned_world import LINEAGE, artefact, kept, world_with

MORE = {"card.md": b"# A model", "training.json": b"{}"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_with(FolderModels(tmp_path / "models"))


def models(world: World) -> Any:
    return world.models


def read(world: World, version: str, name: str = "next_item", tenant: Tenant = LIVE) -> files.Opened:
    return opened(models(world), world.vault, tenant, name, version)


def refused(world: World, version: str, **where: Any) -> str:
    with pytest.raises(StoreError) as error:
        read(world, version, **where)
    return error.value.code


def test_what_was_kept_comes_back_mapped(world: World) -> None:
    version = kept(world, more=MORE, subjects=(b"a" * 16, b"b" * 16))
    manifest, back = read(world, version)
    assert (manifest.name, manifest.version, manifest.kind, manifest.format) == (
        "next_item",
        version,
        "recommender",
        FORMAT,
    )
    assert manifest.lineage.subjects == 2
    assert manifest.figures["recall@20"].low == 0.41
    assert set(manifest.files) == {"scores.npy", "empty.npy", "items.txt", SUBJECTS, *MORE}
    given = artefact()
    assert (back.texts, back.settings, back.kind) == (given.texts, given.settings, given.kind)
    assert back.arrays.keys() == given.arrays.keys()
    for name, array in given.arrays.items():
        assert back.arrays[name].dtype == array.dtype
        assert np.array_equal(back.arrays[name], array)
        assert not back.arrays[name].flags.writeable or not array.size
    assert back.arrays["scores"].base is not None, "it is mapped, not copied"
    assert verify(models(world), world.vault, LIVE, "next_item", version) == []


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["a"]), np.array([(1, 2.0)], "i4,f8"), np.array([1j])])
def test_only_numbers_are_written(array: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        array_bytes(array)
    assert error.value.code == "model_format"


@pytest.mark.parametrize("file", ["more.npy", "more.txt", MANIFEST])
def test_what_lies_beside_a_model_is_not_taken_for_it(file: str) -> None:
    with pytest.raises(InvalidInput):
        packed(artefact(), {file: b""})


def test_any_byte_that_changed_is_seen(world: World) -> None:
    version, dice = kept(world, more=MORE), random.Random(3)
    for file in (MANIFEST, "scores.npy", "empty.npy", "items.txt", SUBJECTS, "card.md"):
        path = models(world).path(LIVE, "next_item", version, file)
        sound = path.read_bytes()
        for at in {0, len(sound) - 1, *(dice.randrange(len(sound)) for _ in range(12))}:
            broken = bytearray(sound)
            broken[at] ^= 1 << dice.randrange(8)
            path.write_bytes(broken)
            found = verify(models(world), world.vault, LIVE, "next_item", version)
            assert found, f"{file}: {at}"
            assert {line.split(":")[0] for line in found} <= {"model_corrupt", "model_unsigned", "model_format"}
            if file in {MANIFEST, "scores.npy", "empty.npy", "items.txt"}:
                assert refused(world, version) in {"model_corrupt", "model_unsigned", "model_format"}
        for content in (b"", sound[:-1], sound + b"\0"):
            path.write_bytes(content)
            assert verify(models(world), world.vault, LIVE, "next_item", version), file
        path.unlink()
        assert verify(models(world), world.vault, LIVE, "next_item", version), file
        path.write_bytes(sound)
    assert verify(models(world), world.vault, LIVE, "next_item", version) == []


def put(world: World, version: str, name: str = "next_item", **changes: bytes) -> None:
    models(world).rewrite(LIVE, name, version, {key.replace("_", ".", 1): value for key, value in changes.items()})


def test_a_model_of_another_place_is_not_ours(world: World) -> None:
    version = kept(world)
    content = {
        file: models(world).read(LIVE, "next_item", version, file)
        for file in (MANIFEST, "scores.npy", "empty.npy", "items.txt", SUBJECTS)
    }
    test, later = Tenant("default", "test"), version[:-1] + "z"
    models(world).save(test, "next_item", version, content)
    models(world).save(LIVE, "basket", version, content)
    models(world).save(LIVE, "next_item", later, content)
    assert refused(world, version, tenant=test) == "model_unsigned"
    assert refused(world, version, name="basket") == "model_unsigned"
    assert refused(world, later) == "model_unsigned"
    assert refused(world, "1") == "no_such_model"


def test_what_another_folder_signed_is_refused(world: World) -> None:
    version = kept(world)
    manifest = read(world, version).manifest
    strange = MemoryVault(SeededRandom(2))
    put(world, version, manifest_json=signed(manifest, {}, LIVE, strange))
    assert refused(world, version) == "model_unsigned"


def test_a_newer_format_is_told_as_such(world: World) -> None:
    version = kept(world)
    manifest = msgspec.structs.replace(read(world, version).manifest, format=FORMAT + 1)
    put(world, version, manifest_json=signed(manifest, {}, LIVE, world.vault))
    assert refused(world, version) == "model_format"
    put(world, version, manifest_json=b"[" * 10_000)
    assert refused(world, version) == "model_corrupt"


def npy(array: Any, version: tuple[int, int] = (1, 0), *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=pickled)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        npy(np.array([{"a": 1}, None], object), pickled=True),
        npy(np.array(["text"])),
        npy(np.array([1], ">i4")),
        npy(np.asfortranarray(np.ones((2, 3)))),
        npy(np.ones(3), version=(2, 0)),
        npy(np.ones(3))[:-1],
        npy(np.ones(3)) + b"more",
        b"\x93NUMPY\x01\x00\x04\x00{}\n\n",
        b"PK\x03\x04 an archive",
        b"\x80\x04. a pickle",
    ],
)
def test_nothing_but_plain_arrays_is_read_even_if_it_was_signed(content: bytes, world: World) -> None:
    version = kept(world)
    manifest = signed(read(world, version).manifest, {"scores.npy": content}, LIVE, world.vault)
    models(world).rewrite(LIVE, "next_item", version, {"scores.npy": content, MANIFEST: manifest})
    assert refused(world, version) == "model_format"


def test_a_text_that_is_none_is_refused(world: World) -> None:
    version = kept(world)
    manifest = signed(read(world, version).manifest, {"items.txt": b"\xff"}, LIVE, world.vault)
    models(world).rewrite(LIVE, "next_item", version, {"items.txt": b"\xff", MANIFEST: manifest})
    assert refused(world, version) == "model_format"


def test_without_numpy_it_is_said_what_to_install(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = kept(world)

    def missing(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(CashwrapError, match=r"Install cashwrap\[models\]") as error:
        read(world, version)
    assert error.value.code == "extra_missing"


def test_an_artefact_holds_what_it_says() -> None:
    assert packed(Artefact("predictor", {}, {"a": "ä"}, {})) == {"a.txt": "ä".encode()}
    with pytest.raises(InvalidInput):
        packed(artefact(subjects=np.ones(1)))
    assert LINEAGE.subjects == 0
