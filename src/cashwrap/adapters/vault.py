"""Seals payloads with AES-256-GCM, one random key a shopper, so that destroying the key forgets the shopper.

What is sealed: a random 96-bit nonce, the cipher text, a 128-bit tag; the shopper's id is bound as associated data,
so a payload moved to another shopper does not open. Nonces are random rather than counted: a counter must be made
durable before each use or a crash repeats one, which gives GCM's authentication away, while random nonces stay far
below NIST SP 800-38D's limit of 2^32 messages a key, because no shopper comes near a million seals (at which two
nonces agree with a chance of about 10^-17).
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cashwrap.adapters.ballast import Ballast
from cashwrap.adapters.database import Database
from cashwrap.adapters.queries import statements
from cashwrap.errors import Forgotten, StoreError
from cashwrap.model import Millis
from cashwrap.ports import Random

FILE = "keys.db"
_SQL = statements("vault.sql")
_KEY_SIZE = 32
_NONCE_SIZE = 12
_SIP = 256
"""Nonces drawn at once: a system call costs more than the cipher does for a small payload."""
_DIGEST_SIZE = 16
_HOT_KEYS = 8_192
_PAGE = 1_000


class KeyTable(Protocol):
    """Where keys are kept: bytes for a key, ``None`` for the tombstone of one."""

    def find(self, shopper: bytes) -> bytes | None:
        """The key. Raises ``KeyError`` where there never was one."""

    def keep(self, keys: dict[bytes, bytes]) -> None:
        """Make them durable; a shopper who has a key or a tombstone keeps it."""

    def bury(self, shopper: bytes) -> None:
        """Replace the key, if any, by a tombstone, and leave no copy of it."""

    def keep_names(self, names: dict[bytes, Millis]) -> None:
        """Keep who was forgotten when, durably; of two times the later one."""

    def names(self, names: Sequence[bytes]) -> dict[bytes, Millis]:
        """When each was forgotten; others are left out."""


class AesGcmVault:
    """Port ``Vault`` over a table of keys. Every method may be called from any thread."""

    def __init__(self, keys: KeyTable, secret: bytes, random: Random, remember: int = _HOT_KEYS) -> None:
        """``remember`` keys stay in memory: none of them where another process may destroy keys."""
        self._keys = keys
        self._remember = remember
        self._keyed = blake2b(digest_size=_DIGEST_SIZE, key=secret)
        self._random = random
        self._nonces: list[bytes] = []
        self._lock = threading.Lock()
        self._fresh: dict[bytes, bytes] = {}
        """Keys made and not yet durable."""
        self._hot: dict[bytes, AESGCM] = {}
        """Keys in use, the oldest dropped first."""

    def seal(self, shopper: bytes, plain: bytes) -> bytes:
        """Encrypt and authenticate; 28 bytes longer than ``plain``. Raises ``Forgotten`` after ``destroy``."""
        nonce = self._nonce()
        return nonce + self._cipher(shopper, make=True).encrypt(nonce, plain, shopper)

    def _nonce(self) -> bytes:
        """12 random bytes of its own for every seal, drawn from the system in larger sips."""
        try:
            return self._nonces.pop()
        except IndexError:
            sip = self._random.token(_NONCE_SIZE * _SIP)
            self._nonces.extend(sip[at : at + _NONCE_SIZE] for at in range(0, len(sip), _NONCE_SIZE))
            return self._nonces.pop()

    def open(self, shopper: bytes, sealed: bytes) -> bytes:
        """Undo ``seal``. Raises ``Forgotten`` where there is no key, ``StoreError`` where bytes were changed."""
        cipher = self._cipher(shopper, make=False)
        try:
            return cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], shopper)
        except (InvalidTag, ValueError) as error:
            raise StoreError("a sealed payload was changed or belongs to another shopper") from error

    def digest(self, *parts: str) -> bytes:
        """16 bytes of keyed BLAKE2b over the parts, each behind its length."""
        hashed = self._keyed.copy()
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            hashed.update(len(encoded).to_bytes(4, "big") + encoded)
        return hashed.digest()

    def persist(self) -> None:
        """Make keys made since the last call durable. Raises ``Unavailable``; the keys then wait for the next."""
        with self._lock:
            fresh = dict(self._fresh)
        if not fresh:
            return
        self._keys.keep(fresh)
        with self._lock:
            for shopper in fresh:
                self._fresh.pop(shopper, None)

    def destroy(self, shopper: bytes) -> bool:
        """Destroy the shopper's key, durably. ``True`` where there was one; none is ever made again."""
        with self._lock:
            existed = shopper in self._fresh or self._stored(shopper) is not None
        self._keys.bury(shopper)
        with self._lock:
            self._fresh.pop(shopper, None)
            self._hot.pop(shopper, None)
        return existed

    def destroyed(self, shopper: bytes) -> bool:
        """Whether the key was destroyed, and is not just missing, as it may be from an older copy of the keys."""
        try:
            return self._keys.find(shopper) is None
        except KeyError:
            return False

    def bury(self, names: Iterable[bytes], at: Millis) -> None:
        """Keep, durably, that whoever had these names (keyed hashes) was forgotten at this time."""
        self._keys.keep_names(dict.fromkeys(names, at))

    def buried(self, names: Sequence[bytes]) -> dict[bytes, Millis]:
        """When the last one who had each name was forgotten; names of nobody are left out."""
        return self._keys.names(names)

    def _cipher(self, shopper: bytes, *, make: bool) -> AESGCM:
        cipher = self._hot.get(shopper)
        if cipher is not None:
            return cipher
        with self._lock:
            cipher = self._hot[shopper] = AESGCM(self._key(shopper, make=make))
            if len(self._hot) > self._remember:
                del self._hot[next(iter(self._hot))]
            return cipher

    def _key(self, shopper: bytes, *, make: bool) -> bytes:
        if shopper in self._fresh:
            return self._fresh[shopper]
        try:
            key = self._keys.find(shopper)
        except KeyError:
            key = self._random.token(_KEY_SIZE) if make else None
            if key is not None:
                self._fresh[shopper] = key
        if key is None:
            raise Forgotten("the key of this shopper was destroyed: nothing sealed for them can be read or added")
        return key

    def _stored(self, shopper: bytes) -> bytes | None:
        try:
            return self._keys.find(shopper)
        except KeyError:
            return None


class FileVault(AesGcmVault):
    """Keeps its keys in ``keys.db``, which only the owner may read. ``folder`` may be another than the store's."""

    def __init__(
        self,
        folder: str | Path,
        random: Random,
        *,
        vfs: str | None = None,
        ballast: Ballast | None = None,
        serving: bool = True,
    ) -> None:
        """Without ``serving`` another process may destroy keys at any time: each is read anew."""
        self._table = _KeyFile(Path(folder) / FILE, vfs=vfs, ballast=ballast)
        super().__init__(
            self._table, self._table.secret("digest", random.token(_KEY_SIZE)), random, _HOT_KEYS * serving
        )

    def mark(self, name: str) -> bytes | None:
        """A small note of another adapter, kept apart from what it is about."""
        return self._table.mark(name)

    def keep_mark(self, name: str, value: bytes) -> None:
        """Keep a note in place of what was there, durably. Raises ``Unavailable``."""
        self._table.keep_mark(name, value)

    def tombstones(self) -> Iterator[bytes]:
        """Everybody whose key was destroyed."""
        return self._table.tombstones()

    def bury_as(self, other: "FileVault") -> None:
        """Forget whom another file has forgotten: their keys, if they are here, and their names."""
        for shopper in other.tombstones():
            self.destroy(shopper)
        self._table.keep_names(other._table.all_names())

    def close(self) -> None:
        """Let go of the file. Keys that were never persisted are gone; nothing durable was sealed under them."""
        self._table.close()


class MemoryVault(AesGcmVault):
    """Keeps its keys in memory: for tests, under the same contract."""

    def __init__(self, random: Random) -> None:
        super().__init__(_KeyDict(), random.token(_KEY_SIZE), random)


class _KeyDict:
    def __init__(self) -> None:
        self._keys: dict[bytes, bytes | None] = {}
        self._names: dict[bytes, Millis] = {}

    def find(self, shopper: bytes) -> bytes | None:
        return self._keys[shopper]

    def keep(self, keys: dict[bytes, bytes]) -> None:
        self._keys = {**keys, **self._keys}

    def bury(self, shopper: bytes) -> None:
        self._keys[shopper] = None

    def keep_names(self, names: dict[bytes, Millis]) -> None:
        for name, at in names.items():
            self._names[name] = max(at, self._names.get(name, at))

    def names(self, names: Sequence[bytes]) -> dict[bytes, Millis]:
        return {name: self._names[name] for name in names if name in self._names}


class _KeyFile:
    def __init__(self, path: Path, *, vfs: str | None, ballast: Ballast | None) -> None:
        self._database = Database(path, "vault", vfs=vfs, ballast=ballast)
        self.close = self._database.close

    def find(self, shopper: bytes) -> bytes | None:
        with self._database.reading() as db:
            found = db.execute(_SQL["key"], (shopper,)).fetchone()
        if found is None:
            raise KeyError(shopper)
        key: bytes | None = found[0]
        return key

    def keep(self, keys: dict[bytes, bytes]) -> None:
        with self._database.writing() as db:
            db.executemany(_SQL["keep_key"], keys.items())

    def bury(self, shopper: bytes) -> None:
        with self._database.writing() as db:
            db.execute(_SQL["bury"], (shopper,))
        self._database.truncate()

    def tombstones(self) -> Iterator[bytes]:
        after = b""
        while True:
            with self._database.reading() as db:
                page: list[tuple[Any, ...]] = db.execute(_SQL["tombstones"], (after, _PAGE)).fetchall()
            if not page:
                return
            yield from (shopper for (shopper,) in page)
            after = page[-1][0]

    def keep_names(self, names: dict[bytes, Millis]) -> None:
        with self._database.writing() as db:
            db.executemany(_SQL["keep_name"], names.items())

    def names(self, names: Sequence[bytes]) -> dict[bytes, Millis]:
        with self._database.reading() as db:
            return _by_name(db.executemany(_SQL["name"], [(name,) for name in names]).fetchall())

    def all_names(self) -> dict[bytes, Millis]:
        with self._database.reading() as db:
            return _by_name(db.execute(_SQL["names"]).fetchall())

    def secret(self, name: str, proposal: bytes) -> bytes:
        """The folder's secret, which is ``proposal`` where there was none."""
        with self._database.writing() as db:
            db.execute(_SQL["keep_secret"], (name, proposal))
            return bytes(db.execute(_SQL["secret"], (name,)).get)

    def mark(self, name: str) -> bytes | None:
        with self._database.reading() as db:
            found = db.execute(_SQL["secret"], (name,)).get
        return None if found is None else bytes(found)

    def keep_mark(self, name: str, value: bytes) -> None:
        with self._database.writing() as db:
            db.execute(_SQL["put_secret"], (name, value))


def _by_name(rows: list[tuple[Any, ...]]) -> dict[bytes, Millis]:
    return dict(rows)
