"""Whose data is in a model: keyed digests of analytic ids, so that a forgotten shopper's models are found and cleaned.

``subjects.npy`` holds them ascending, 8 bytes each. An array named ``<source>.user`` says whose each session of that
source is, as the place of the digest there, and -1 for nobody's that is known.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from cashwrap.errors import InvalidInput, StoreError
from cashwrap.learned.artefact import Artefact
from cashwrap.learned.extras import numpy
from cashwrap.model import Tenant
from cashwrap.ports import Vault

USER = ".user"
POSTINGS = ".postings"
"""Of a source that holds sessions; one that does not say whose they are cannot be cleaned."""
SHIFT = 16
"""Bits of a posting below its session, as ``recommend.neighbours`` packs them."""
_SIZE = 8
_HEAD = 10
"""Bytes before the description of an array in numpy's format 1.0; the last two say how long that is."""


def digests_of(vault: Vault, tenant: Tenant, analytic_ids: Iterable[bytes]) -> list[int]:
    """What stands for shoppers in this store's models, and leads nobody back to them."""
    return [
        int.from_bytes(vault.digest("model subject", tenant.store, tenant.environment, each.hex())[:_SIZE], "little")
        for each in analytic_ids
    ]


def arranged(artefact: Artefact, digests: Sequence[int]) -> tuple[Artefact, Any]:
    """An artefact whose sessions name places in the ascending array of digests, and that array.

    Sessions come with places in ``digests`` as given, which may be in any order; without digests they are nobody's, and
    do not say whose they are. Raises ``InvalidInput`` (``model_format``) where they name none of them.
    """
    np = numpy()
    ascending, places = np.unique(np.array(digests, "<u8"), return_inverse=True)
    renumbered = np.append(places, -1).astype(np.int32)  # whoever is -1 stays that
    arrays = {}
    for name, array in artefact.arrays.items():
        if not name.endswith(USER):
            arrays[name] = array
        elif len(digests):
            if len(array) and not -1 <= array.min() <= array.max() < len(digests):
                raise InvalidInput(f"{name} names shoppers that are not among its subjects", code="model_format")
            arrays[name] = renumbered[array]
    return Artefact(artefact.kind, arrays, artefact.texts, artefact.settings), ascending


def places_of(subjects: Any, digests: Collection[int]) -> Any:
    """Where these shoppers are among the ascending subjects; those who are not are left out."""
    np = numpy()
    wanted = np.array(sorted(digests), "<u8")
    places = np.searchsorted(subjects, wanted)
    there = places < len(subjects)
    places, wanted = places[there], wanted[there]
    return places[subjects[places] == wanted]


def holds(raw: bytes, digests: Collection[int]) -> bool:
    """Whether ``subjects.npy`` has any of these shoppers, or is no such list. Without numpy: who serves without models
    forgets in them all the same."""
    begin = _HEAD + int.from_bytes(raw[_HEAD - 2 : _HEAD], "little")
    head, body = raw[:begin], raw[begin:]
    if len(body) % _SIZE or b"'<u8'" not in head or f"({len(body) // _SIZE},)".encode() not in head:
        return True
    return not frozenset(digests).isdisjoint(memoryview(body).cast("Q"))


def without(arrays: Mapping[str, Any], subjects: Any, places: Any) -> tuple[dict[str, Any], Any]:
    """The arrays that change where the shoppers at these places are taken out, and the subjects that are left.

    Their sessions stay as numbers, and are empty: no item leads to them, and they lead to none. Raises ``StoreError``
    (``model_format``) where nothing says whose sessions are.
    """
    np = numpy()
    if any(f"{name.removesuffix(POSTINGS)}{USER}" not in arrays for name in arrays if name.endswith(POSTINGS)):
        raise StoreError("it does not say whose its sessions are", code="model_format")
    gone = np.zeros(len(subjects) + 1, np.bool_)  # the last one is for -1: nobody
    gone[places] = True
    renumbered = np.append((~gone[:-1]).cumsum() - 1, -1).astype(np.int32)
    renumbered[places] = -1
    changed = {}
    for name, array in arrays.items():
        if name.endswith(USER):
            changed[name] = renumbered[array]
            changed |= _emptied(arrays, name.removesuffix(USER), gone[array])
    return changed, subjects[~gone[:-1]]


def _emptied(arrays: Mapping[str, Any], source: str, sessions: Any) -> dict[str, Any]:
    """Neighbours' sessions by item and items by session (``recommend.neighbours.Index``) without these sessions."""
    np = numpy()
    offsets, items, starts, postings = (
        arrays[f"{source}.{name}"] for name in ("offsets", "items", "starts", "postings")
    )
    lengths = np.diff(offsets)
    listed = sessions[postings >> SHIFT]
    left = np.where(sessions, 0, lengths)
    return {
        f"{source}.items": items[~np.repeat(sessions, lengths)],
        f"{source}.offsets": np.append(0, left.cumsum()).astype(offsets.dtype),
        f"{source}.postings": postings[~listed],
        f"{source}.starts": starts - np.append(0, listed.cumsum())[starts].astype(starts.dtype),
    }
