"""Memory that several processes of one server share: versions, small keyed cells, and what each says of itself.

It is anonymous (no name that another program could open), made before the processes and inherited by them, and empty
after a restart of them all. Whoever changes a cell holds a record lock, which the kernel takes back from a process that
dies; versions and boards have one writer each and need none.
"""

import fcntl
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

VERSIONS = 1 << 19
"""Versions, 4 MB: 50,000 cached profiles share one with another's writes one time in ten."""
WAYS = 8
"""Cells that a name may be in."""
LOCKS = 256
"""Parts of the cells that may change at the same time."""
_WORD = 8
_LENGTH = struct.Struct("<I")
_HALF = struct.Struct("<II")
_NOTHING = bytes(_WORD)


class Memory:
    """Bytes shared with every process forked after this one was made."""

    def __init__(self, size: int) -> None:
        """``size`` in bytes; what is never touched takes no memory."""
        self.file = os.memfd_create("cashwrap", os.MFD_CLOEXEC)
        os.ftruncate(self.file, size)
        self.bytes = memoryview(mmap.mmap(self.file, size))


class VersionArray:
    """Port ``hot.Stamps``: a counter for each shopper and identifier, many sharing one. Only one process advances them.

    An aligned word is written as one, so a reader sees the old version or the new one.
    """

    def __init__(self, count: int = VERSIONS) -> None:
        """``count`` is a power of two."""
        self._words = Memory(count * _WORD).bytes.cast("Q")
        self._mask = count - 1

    def slot(self, digest: bytes) -> int:
        """Where the version is of what these random bytes name."""
        return int.from_bytes(digest[:4], "little") & self._mask

    def __getitem__(self, slot: int) -> int:
        """The version there."""
        return self._words[slot]

    def advance(self, digests: Iterable[bytes]) -> None:
        """These have changed; to be called when that is durable, and before anybody is told so."""
        words = self._words
        for digest in digests:
            words[self.slot(digest)] += 1

    def renew(self) -> None:
        """Anything may have changed: whoever advanced them before may have died in between."""
        words = self._words
        for slot in range(len(words)):
            words[slot] += 1


class Cells:
    """A bounded table of small values by name, for every process at once.

    A name may be in one of ``WAYS`` cells; where all are taken the one changed longest ago makes way. Names are kept as
    hashes under a secret that is as old as the table.
    """

    def __init__(self, count: int, size: int, secret: bytes) -> None:
        """``count`` cells (a multiple of ``WAYS``), each for values of up to ``size`` bytes; ``secret`` is random."""
        self.size = size
        self._sets = count // WAYS
        self._room = -(-(size + _LENGTH.size) // _WORD) * _WORD
        memory = Memory(count * (2 * _WORD + self._room))
        self._file = memory.file
        self._tags = memory.bytes[: count * _WORD]
        self._times = memory.bytes[count * _WORD : 2 * count * _WORD].cast("Q")
        self._values = memory.bytes[2 * count * _WORD :]
        self._secret = secret
        self._within = threading.Lock()
        """A record lock is the process's: among its threads it keeps nobody out."""

    def has(self, name: str) -> bool:
        """Whether there may be a value, without waiting for anybody."""
        return self._way(*self._place(name)) >= 0

    def read(self, name: str) -> bytes:
        """The value, empty where there is none."""
        at, tag = self._place(name)
        if self._way(at, tag) < 0:
            return b""
        with self._locked(at):
            way = self._way(at, tag)
            return self._value(at + way) if way >= 0 else b""

    def change(self, name: str, edit: Callable[[bytes], bytes], now: int) -> None:
        """Put what ``edit`` makes of the value (empty where there is none) in its place, all others kept out.

        ``now`` orders the cells by age; any unit.
        """
        at, tag = self._place(name)
        with self._locked(at):
            way = self._way(at, tag)
            value = edit(self._value(at + way) if way >= 0 else b"")
            if len(value) > self.size:
                raise ValueError("a value is larger than its cell")
            if way < 0:
                way = self._oldest(at)
                self._tags[(at + way) * _WORD : (at + way + 1) * _WORD] = _NOTHING  # nobody takes the old for the new
            start = (at + way) * self._room
            _LENGTH.pack_into(self._values, start, len(value))
            self._values[start + _LENGTH.size : start + _LENGTH.size + len(value)] = value
            self._times[at + way] = now
            self._tags[(at + way) * _WORD : (at + way + 1) * _WORD] = tag

    def _place(self, name: str) -> tuple[int, bytes]:
        """The first of the cells that the name may be in, and its tag."""
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).digest()
        return int.from_bytes(digest[_WORD:], "little") % self._sets * WAYS, digest[:_WORD]

    def _way(self, at: int, tag: bytes) -> int:
        """Which of the cells holds the tag; -1 for none."""
        there = self._tags[at * _WORD : (at + WAYS) * _WORD].tobytes()
        found = there.find(tag)
        while found % _WORD and found >= 0:
            found = there.find(tag, found + 1)
        return found // _WORD

    def _oldest(self, at: int) -> int:
        return min(range(WAYS), key=lambda way: self._times[at + way])

    def _value(self, cell: int) -> bytes:
        start = cell * self._room
        (length,) = _LENGTH.unpack_from(self._values, start)
        return bytes(self._values[start + _LENGTH.size : start + _LENGTH.size + length])

    @contextmanager
    def _locked(self, at: int) -> Iterator[None]:
        where = at // WAYS % LOCKS
        with self._within:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, where)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, where)


class Board:
    """What each of some processes last said of itself, as bytes, and whether somebody wants to hear it anew.

    Each place has one writer. It writes into the half that nobody reads and then names that half, so a reader sees
    something whole, of a writer who died in the middle what it said before.
    """

    def __init__(self, places: int, size: int) -> None:
        """``size`` in bytes is the most that a process can say."""
        self.places = places
        self.size = size
        self._words = Memory((1 + 2 * places) * _WORD).bytes.cast("Q")
        """The number asked for; then of each place the number it answered, and how often it has written."""
        self._halves = Memory(places * 2 * (size + _HALF.size)).bytes

    def ask(self) -> int:
        """Want to hear from all; the number that ``answered`` is to be asked with."""
        self._words[0] += 1
        return self._words[0]

    def asked(self, place: int) -> bool:
        """Whether somebody wants to hear from this place."""
        return self._words[0] != self._words[1 + 2 * place]

    def answered(self, number: int) -> bool:
        """Whether all have spoken since."""
        return all(self._words[1 + 2 * place] >= number for place in range(self.places))

    def write(self, place: int, told: bytes) -> None:
        """Say something new. Raises ``ValueError`` where it is too much."""
        if len(told) > self.size:
            raise ValueError(f"{len(told)} bytes are more than the {self.size} there is room for")
        number, turn = self._words[0], self._words[2 + 2 * place] + 1
        start = (2 * place + turn % 2) * (self.size + _HALF.size)
        self._halves[start + _HALF.size : start + _HALF.size + len(told)] = told
        _HALF.pack_into(self._halves, start, len(told), zlib.crc32(told))
        self._words[2 + 2 * place] = turn
        self._words[1 + 2 * place] = number

    def read(self, place: int) -> bytes:
        """What the place said last; empty where it never spoke."""
        for _ in range(10):
            turn = self._words[2 + 2 * place]
            start = (2 * place + turn % 2) * (self.size + _HALF.size)
            length, check = _HALF.unpack_from(self._halves, start)
            told = bytes(self._halves[start + _HALF.size : start + _HALF.size + min(length, self.size)])
            if zlib.crc32(told) == check:  # else it was written twice while it was read
                return told if turn else b""
        return b""
