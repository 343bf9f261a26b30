"""A model as files and back: arrays in numpy's own format, texts, and a manifest with their digests and its signature.

Nothing that is read is executed, and nothing is read that was not written here: every file has its BLAKE2b digest in
the manifest, and the manifest is signed with a key that only this data folder has, for its store, name and version.
"""

import io
import mmap
import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import prod
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import CashwrapError, InvalidInput, StoreError
from cashwrap.learned.artefact import FORMAT, Artefact, Manifest
from cashwrap.learned.extras import numpy
from cashwrap.model import Tenant
from cashwrap.ports import ModelFiles, Vault

MANIFEST, SUBJECTS = "manifest.json", "subjects.npy"
"""The files of every version; the second holds whose data is in it, see ``subjects``."""
ARRAY, TEXT = ".npy", ".txt"
_NUMBERS = frozenset("biuf")
"""Kinds of numpy types: truth, whole and real numbers."""
_LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest."""
_encode = msgspec.json.Encoder(order="deterministic").encode


class Opened(NamedTuple):
    """A version in memory: its arrays are mapped, not read."""

    manifest: Manifest
    artefact: Artefact


class _Format(Struct):
    format: int


def packed(artefact: Artefact, more: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The files of an artefact, and ``more`` beside them, such as ``card.md``; without a manifest yet.

    Raises ``InvalidInput`` (``model_format``) for what is no array of numbers or would be taken for one.
    """
    files = {f"{name}{TEXT}": text.encode() for name, text in artefact.texts.items()}
    files |= {f"{name}{ARRAY}": array_bytes(array) for name, array in artefact.arrays.items()}
    taken = [name for name in more or {} if name.endswith((ARRAY, TEXT)) or name == MANIFEST]
    if taken or SUBJECTS in files:
        name = taken[0] if taken else SUBJECTS
        raise InvalidInput(f"{name} cannot be a file beside a model: choose another name", code="model_format")
    return files | dict(more or {})


def array_bytes(array: Any) -> bytes:
    """An array in numpy's format, as ``opened`` takes it. Raises ``InvalidInput`` (``model_format``)."""
    np = numpy()
    plain = np.ascontiguousarray(array)
    if plain.dtype.kind not in _NUMBERS:
        raise InvalidInput(f"a model holds arrays of numbers, and none of {plain.dtype}", code="model_format")
    file = io.BytesIO()
    little = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(file, little, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def signed(manifest: Manifest, files: Mapping[str, bytes], tenant: Tenant, vault: Vault) -> bytes:
    """``manifest.json`` with these files, beside those that it names already."""
    digests = {name: _digest(content) for name, content in files.items()}
    whole = replace(manifest, files={**manifest.files, **digests})
    return _encode(replace(whole, signature=_signature(whole, tenant, vault)))


def manifest_of(files: ModelFiles, vault: Vault, tenant: Tenant, name: str, version: str) -> Manifest:
    """What a version says of itself, if it was written here and by nobody else.

    Raises ``StoreError``: ``no_such_model``, ``model_format`` for one of a newer cashwrap, ``model_corrupt`` for one
    that is damaged, ``model_unsigned`` for one that was changed, or comes from another folder, store or model.
    """
    raw = files.read(tenant, name, version, MANIFEST)
    try:
        told = msgspec.json.decode(raw, type=_Format).format if len(raw) <= _LARGEST else 0
        if told != FORMAT:
            raise _fault("model_format", name, version, f"is of format {told}, and this cashwrap reads {FORMAT}")
        manifest = msgspec.json.decode(raw, type=Manifest)
        same = _encode(manifest) == raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _fault("model_corrupt", name, version, "has a damaged manifest") from error
    if not same:
        raise _fault("model_corrupt", name, version, "has a damaged manifest")
    if manifest.signature != _signature(manifest, tenant, vault) or (manifest.name, manifest.version) != (
        name,
        version,
    ):
        raise _fault("model_unsigned", name, version, "was not written by this data folder, or not as what it is here")
    return manifest


def opened(files: ModelFiles, vault: Vault, tenant: Tenant, name: str, version: str) -> Opened:
    """A version, with its arrays mapped into memory for as long as somebody holds them.

    Raises as ``manifest_of`` does, also for its files, and ``CashwrapError`` (``extra_missing``).
    """
    manifest = manifest_of(files, vault, tenant, name, version)
    arrays, texts = {}, {}
    for file in manifest.files:
        stem, dot, kind = file.rpartition(".")
        if dot + kind == ARRAY and file != SUBJECTS:
            arrays[stem] = array_of(files, tenant, manifest, file)
        elif dot + kind == TEXT:
            texts[stem] = _decoded(checked(files, tenant, manifest, file), manifest, file)
    return Opened(manifest, Artefact(manifest.kind, arrays, texts, manifest.settings))


def array_of(files: ModelFiles, tenant: Tenant, manifest: Manifest, file: str) -> Any:
    """One of a version's arrays, read-only, over the very bytes whose digest was taken. Raises as ``opened`` does."""
    fault = _Faults(manifest.name, manifest.version, file)
    mapped = _mapped(files, tenant, fault)
    if _digest(mapped) != manifest.files.get(file):
        raise fault("model_corrupt", "is not as it was written")
    return _array(mapped, fault)


def _array(mapped: mmap.mmap | bytes, fault: "_Faults") -> Any:
    np = numpy()
    head = io.BytesIO(mapped[:_HEAD])
    try:
        if np.lib.format.read_magic(head) != (1, 0):
            raise fault("model_format", "is in a format that is not written here")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    except ValueError as error:
        raise fault("model_format", "is no array") from error
    offset, size = head.tell(), prod(shape)
    fits = offset + size * dtype.itemsize == len(mapped)
    if dtype.kind not in _NUMBERS or not dtype.isnative or (fortran and len(shape) > 1) or not fits:
        raise fault("model_format", "is no plain array of numbers")
    if not size:
        return np.empty(shape, dtype)
    return np.frombuffer(mapped, dtype, size, offset).reshape(shape)


def subjects_of(files: ModelFiles, tenant: Tenant, name: str, version: str) -> Any:
    """Whose data is in a version, as ``subjects`` says, unchecked.

    Raises ``StoreError`` (``no_such_model``, ``model_format``), and ``CashwrapError`` (``extra_missing``).
    """
    fault = _Faults(name, version, SUBJECTS)
    return _array(_mapped(files, tenant, fault), fault)


def unchanged(manifest: Manifest, file: str, content: bytes) -> bool:
    """Whether a file is as its manifest says."""
    return _digest(content) == manifest.files.get(file)


def checked(files: ModelFiles, tenant: Tenant, manifest: Manifest, file: str) -> bytes:
    """One of a version's files, if it is as it was written. Raises ``StoreError`` (``model_corrupt``)."""
    try:
        content = files.read(tenant, manifest.name, manifest.version, file)
    except StoreError as error:
        raise _Faults(manifest.name, manifest.version, file)("model_corrupt", "is missing") from error
    if _digest(content) != manifest.files.get(file):
        raise _Faults(manifest.name, manifest.version, file)("model_corrupt", "is not as it was written")
    return content


def verify(files: ModelFiles, vault: Vault, tenant: Tenant, name: str, version: str) -> list[str]:
    """What is wrong with a version, as ``<code>: <sentence>``; nothing where it is as it was written."""
    try:
        manifest = manifest_of(files, vault, tenant, name, version)
    except StoreError as error:
        return [_line(error)]
    return [line for file in manifest.files for line in _wrong(files, tenant, manifest, file)]


def _wrong(files: ModelFiles, tenant: Tenant, manifest: Manifest, file: str) -> Iterable[str]:
    try:
        array_of(files, tenant, manifest, file) if file.endswith(ARRAY) else checked(files, tenant, manifest, file)
    except CashwrapError as error:
        yield _line(error)


def _line(error: CashwrapError) -> str:
    return f"{error.code}: {error.message}"


_HEAD = 16_384
"""Bytes in which an array's description ends."""
SMALL = 16 * 1024 * 1024
"""Bytes of a file up to which it is read and not mapped: one that is cut short while it is mapped ends the process, and
nobody but the folder's owner could do that to a file, yet a careless copy over it does."""


def _mapped(files: ModelFiles, tenant: Tenant, fault: "_Faults") -> mmap.mmap | bytes:
    try:
        with files.path(tenant, fault.name, fault.version, fault.file).open("rb") as opened_file:
            if os.fstat(opened_file.fileno()).st_size <= SMALL:
                return opened_file.read()
            return mmap.mmap(opened_file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return b""
    except (OSError, StoreError) as error:
        raise fault("model_corrupt", "is missing") from error


def _decoded(content: bytes, manifest: Manifest, file: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _Faults(manifest.name, manifest.version, file)("model_format", "is no text") from error


def _digest(content: bytes | mmap.mmap) -> str:
    return blake2b(content, digest_size=32).hexdigest()


def _signature(manifest: Manifest, tenant: Tenant, vault: Vault) -> str:
    said = _encode(replace(manifest, signature="")).decode()
    return vault.digest("model", tenant.store, tenant.environment, said).hex()


class _Faults(NamedTuple):
    """Says what is wrong with a file."""

    name: str
    version: str
    file: str

    def __call__(self, code: str, what: str) -> StoreError:
        return _fault(code, self.name, self.version, f"cannot be used: {self.file} {what}")


def _fault(code: str, name: str, version: str, what: str) -> StoreError:
    message = f"{name}@{version} {what}. 'cashwrap train' makes a new one, 'cashwrap models rollback {name}' goes back"
    return StoreError(message, code=code)
