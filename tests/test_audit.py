"""The audit log: whatever is changed in it is found, whatever dies while it is written, and nobody is named."""

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.adapters import audit as module
from cashwrap.adapters.audit import LONGEST, FileAudit, MemoryAudit, _Chain, still
from cashwrap.adapters.vault import FileVault, MemoryVault
from cashwrap.audit import Note, Trail, pseudonym
from cashwrap.errors import InvalidInput, StoreError, Unavailable
from cashwrap.model import Tenant
from cashwrap.ports import AuditEntry, AuditLog, ShopperKey
from cashwrap.testing import AuditContract
from cashwrap.testing.audit import entry
from engines import SeededRandom, TestClock

FLIPS = 10_000
LIVE = Tenant("default", "live")


class MemoryMarks:
    """What a vault's file keeps apart, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def mark(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def keep_mark(self, name: str, value: bytes) -> None:
        self.kept[name] = value


VAULT = MemoryVault(SeededRandom(7))


def audit_in(folder: Path, entries: int = 0, marks: MemoryMarks | None = None) -> FileAudit:
    audit = FileAudit(folder, VAULT, marks or MemoryMarks())
    for number in range(1, entries + 1):
        audit.append(entry(number, store="default", reason=f"because {number}"))
    return audit


class TestMemoryAudit(AuditContract):
    @pytest.fixture
    def audit(self) -> AuditLog:
        return MemoryAudit()


class TestFileAudit(AuditContract):
    @pytest.fixture
    def audit(self, tmp_path: Path) -> Iterator[AuditLog]:
        vault = FileVault(tmp_path, SeededRandom())
        yield FileAudit(tmp_path, vault, vault)
        vault.close()


# --- what was changed is found ---


def unseen(audit: FileAudit, changed: bytes) -> bool:
    audit.path.write_bytes(changed)
    return audit.verify() == []


def missed_flips(audit: FileAudit, places: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """The flips that verify did not see, of bytes and by a mask."""
    original = audit.path.read_bytes()
    missed = []
    with audit.path.open("r+b", buffering=0) as file:
        for place, mask in places:
            os.pwrite(file.fileno(), bytes([original[place] ^ mask]), place)
            if audit.verify() == []:
                missed.append((place, mask))
            os.pwrite(file.fileno(), original[place : place + 1], place)
    assert audit.verify() == []
    return missed


def test_every_bit_of_every_byte_of_a_small_log(tmp_path: Path) -> None:
    audit = audit_in(tmp_path, 3)
    size = audit.path.stat().st_size
    assert missed_flips(audit, ((place, 1 << bit) for place in range(size) for bit in range(8))) == []


def test_ten_thousand_random_flips(tmp_path: Path) -> None:
    audit, chance = audit_in(tmp_path, 40), random.Random(11)
    size = audit.path.stat().st_size
    assert missed_flips(audit, ((chance.randrange(size), chance.randrange(1, 256)) for _ in range(FLIPS))) == []


def test_lines_removed_moved_repeated_and_cut(tmp_path: Path) -> None:
    audit = audit_in(tmp_path, 8)
    lines = audit.path.read_bytes().splitlines(keepends=True)
    for at in range(8):
        assert not unseen(audit, b"".join(lines[:at] + lines[at + 1 :])), f"line {at} removed"
        assert not unseen(audit, b"".join(lines[: at + 1] + lines[at:])), f"line {at} twice"
        assert not unseen(audit, b"".join(lines[:at])), f"cut before {at}"
        assert not unseen(audit, b"".join([*lines[:at], lines[at][:-9]])), f"cut inside {at}"
        assert not unseen(audit, b"".join([*lines[:at], b"{}\n", *lines[at:]])), f"inserted at {at}"
        for other in range(at):
            swapped = lines.copy()
            swapped[at], swapped[other] = swapped[other], swapped[at]
            assert not unseen(audit, b"".join(swapped)), f"{at} and {other} swapped"
    assert not unseen(audit, b"".join(lines) + b"x" * (2 * LONGEST) + b"\n")
    assert not unseen(audit, b"".join(lines) + b"x" * (2 * LONGEST))
    assert unseen(audit, b"".join(lines))
    audit.path.unlink()
    assert audit.verify() == ["the file ends too early: entries 1 to 8 are missing"]


def test_numbers_written_anew_and_entries_of_another_folder(tmp_path: Path) -> None:
    audit = audit_in(tmp_path, 5)
    text = audit.path.read_bytes()
    assert not unseen(audit, text.replace(b'{"number":4,', b'{"number":5,'))
    (tmp_path / "other").mkdir()
    other = FileAudit(tmp_path / "other", MemoryVault(SeededRandom(8)), MemoryMarks())
    for number in range(1, 6):
        other.append(entry(number, store="default", reason=f"because {number}"))
    lines, theirs = text.splitlines(keepends=True), other.path.read_bytes().splitlines(keepends=True)
    for at in range(5):
        assert not unseen(audit, b"".join([*lines[:at], theirs[at], *lines[at + 1 :]]))


def test_a_tail_cut_off_stays_seen_when_more_is_written(tmp_path: Path) -> None:
    audit = audit_in(tmp_path, 6)
    lines = audit.path.read_bytes().splitlines(keepends=True)
    audit.path.write_bytes(b"".join(lines[:4]))
    assert audit.append(entry(7)) == 7
    assert audit.verify() == [
        f"line 5 (byte {len(b''.join(lines[:4]))}) is entry 7: entries 5 to 6 are missing before it"
    ]


def test_the_head_replaced(tmp_path: Path) -> None:
    marks = MemoryMarks()
    audit = audit_in(tmp_path, 6, marks)
    head = marks.kept["audit head"]
    for replaced, told in (
        (b"3 " + head.split()[1], "another entry 3"),
        (b"9 " + head.split()[1], "entries 7 to 9 are missing"),
        (b"6 " + b"0" * 64, "another entry 6"),
        (b"5 " + b"0" * 64, "another entry 5"),
    ):
        marks.kept["audit head"] = replaced
        assert told in " ".join(audit.verify())
    del marks.kept["audit head"]
    assert audit.verify() == ["the file goes on to entry 6, but keys.db, an older one, knows of 0"]
    marks.kept["audit head"] = b"six"
    with pytest.raises(StoreError, match="damaged"):
        audit.verify()
    with pytest.raises(StoreError, match="damaged"):
        audit.append(entry(1))


def test_many_breaks_are_counted_and_not_all_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BREAKS", 3)
    audit = audit_in(tmp_path, 10)
    audit.path.write_bytes(audit.path.read_bytes().replace(b"because", b"BECAUSE"))
    told = audit.verify()
    assert len(told) == 4
    assert told[-1] == "and 7 more breaks"
    assert audit.entries() == []


# --- the tests see a verifier or a chain that is broken ---


def test_a_verifier_that_skips_the_last_line_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SkipsTheLast(_Chain):
        waiting: tuple[Any, int] | None = None

        def follow(self, found: Any, place: int) -> None:
            if self.waiting is not None:
                super().follow(*self.waiting)
            self.waiting = found, place

        def end(self) -> None:
            """Never looks at what waits."""

    audit = audit_in(tmp_path, 3)
    size = audit.path.stat().st_size
    monkeypatch.setattr(module, "_Chain", SkipsTheLast)
    assert missed_flips(audit, ((place, 1) for place in range(size)))


def test_a_chain_without_details_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = FileAudit._hash

    def hashed(self: FileAudit, body: bytes) -> str:
        head, _, rest = body.partition(b'"details":{')
        return honest(self, head + rest.partition(b"}")[2])

    monkeypatch.setattr(FileAudit, "_hash", hashed)
    audit = audit_in(tmp_path, 3)
    reason = audit.path.read_bytes().index(b"because")
    assert missed_flips(audit, iter([(reason, 1)])) == [(reason, 1)]


def test_a_log_without_a_head_is_caught(tmp_path: Path) -> None:
    class Forgetful(MemoryMarks):
        def keep_mark(self, name: str, value: bytes) -> None:
            if not self.kept:
                super().keep_mark(name, value)

    audit = audit_in(tmp_path, 2, Forgetful())
    lines = audit.path.read_bytes().splitlines(keepends=True)
    assert unseen(audit, lines[0]), "with no head, a cut tail cannot be seen"


# --- laws ---

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
entries = st.builds(
    AuditEntry,
    time=st.integers(0, 253_402_300_799_999),
    actor=texts,
    action=texts,
    subject=texts,
    details=st.dictionaries(texts, texts, max_size=4),
)


@settings(max_examples=60)
@given(st.lists(entries, min_size=1, max_size=5), st.data())
def test_what_is_written_is_read_and_any_other_file_is_told(written: list[AuditEntry], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as path:
        audit = audit_in(Path(path))
        for each in written:
            audit.append(each)
        assert [each for _, each in audit.entries()] == written
        assert audit.verify() == []
        original = audit.path.read_bytes()
        begin = data.draw(st.integers(0, len(original) - 1))
        end = data.draw(st.integers(begin, len(original)))
        changed = original[:begin] + data.draw(st.binary(max_size=20)) + original[end:]
        if not changed.startswith(original):
            assert not unseen(audit, changed)


def test_pages_of_a_long_log_are_found_by_halving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = audit_in(tmp_path, 200)
    monkeypatch.setattr(module, "_NEAR", 400)
    for after in range(201):
        assert [number for number, _ in audit.entries(after, 3)] == [*range(after + 1, min(after + 4, 201))]


# --- what dies while writing ---


def test_what_a_crash_left_of_a_line_is_removed_and_nothing_else(tmp_path: Path) -> None:
    marks = MemoryMarks()
    audit = audit_in(tmp_path, 3, marks)
    before = marks.kept["audit head"]
    whole = audit.path.read_bytes()
    audit.append(entry(4))
    added = audit.path.read_bytes()[len(whole) :]
    for written in range(len(added) + 1):  # the process dies after any byte, before the head is noted
        audit.path.write_bytes(whole + added[:written])
        marks.kept["audit head"] = before
        assert audit.verify() == []
        number = audit.append(entry(9))
        assert number == (5 if written >= len(added) - 1 else 4)
        assert audit.verify() == []
        assert [n for n, _ in audit.entries()] == list(range(1, number + 1))


def test_a_newline_cut_off_is_told_and_put_back(tmp_path: Path) -> None:
    audit = audit_in(tmp_path, 3)
    audit.path.write_bytes(audit.path.read_bytes()[:-1])
    assert audit.verify() == ["the file ends too early: entry 3 is missing"]
    assert audit.append(entry(4)) == 4
    assert audit.verify() == []


def test_a_disk_that_refuses_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = audit_in(tmp_path, 3)
    before, write, left = audit.path.read_bytes(), os.write, [20]

    def full(file: int, text: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        taken, left[0] = text[: left[0]], max(0, left[0] - len(text))
        return write(file, taken)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Unavailable) as caught:
            audit.append(entry(4))
    assert caught.value.code == "audit_unavailable"
    assert audit.path.read_bytes() == before
    assert audit.append(entry(4)) == 4
    assert audit.verify() == []


def test_an_entry_is_synced_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    marks = MemoryMarks()
    synced, keep = os.fsync, marks.keep_mark
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("synced"), synced(file))[1])
    monkeypatch.setattr(marks, "keep_mark", lambda name, value: (order.append("noted"), keep(name, value))[1])
    audit_in(tmp_path, 1, marks)
    assert order == ["synced", "synced", "noted"]  # the folder, the line, the head


APPENDER = """
import sys
from cashwrap.library import open_world
from cashwrap.ports import AuditEntry
from pathlib import Path
with open_world(Path(sys.argv[1]), serving=False, make=True) as world:
    for at in range(int(sys.argv[2])):
        number = world.audit.append(AuditEntry(at, sys.argv[3], "switch.off"))
        print(number, flush=True)
"""


def appender(data: Path, count: int, name: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", APPENDER, str(data), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})


def opened(data: Path) -> FileAudit:
    vault = FileVault(data, SeededRandom())
    return FileAudit(data, vault, vault)


@pytest.mark.parametrize("nth", [1, 3])
def test_killed_between_the_line_and_its_head(tmp_path: Path, nth: int) -> None:
    first = appender(tmp_path, 9, "first", CASHWRAP_CRASH_AT=f"audit.appended:{nth}")
    told = first.communicate(timeout=60)[0].split()
    assert first.returncode == -signal.SIGKILL
    assert told == [str(number) for number in range(1, nth)]
    audit = opened(tmp_path)
    assert audit.verify() == []
    assert audit.append(entry(1)) == nth + 1
    assert audit.verify() == []


def test_several_processes_append_while_one_is_killed(tmp_path: Path) -> None:
    opened(tmp_path)
    running = [appender(tmp_path, 100_000, f"process {number}") for number in range(3)]
    told: list[int] = []
    for at in range(3):  # one after the other dies while the others go on
        stream = running[at].stdout
        assert stream is not None
        told += [int(stream.readline()) for _ in range(12)]
        running[at].kill()
        told += map(int, stream.read().split())
        running[at].wait(30)
        stream.close()
    audit = opened(tmp_path)
    assert audit.verify() == []
    kept = dict(audit.entries(limit=1_000_000))
    assert set(told) <= kept.keys()
    assert len(told) == len(set(told)) >= 36
    assert max(kept) - len(told) <= 3, "what nobody was told of: at most the line that each was writing"


def test_nothing_is_appended_while_a_backup_copies(tmp_path: Path) -> None:
    with still(tmp_path):
        """Without a file there is nothing to hold still."""
    audit_in(tmp_path, 1)
    with still(tmp_path):
        process = appender(tmp_path, 1, "late")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
    assert process.communicate(timeout=30)[0]


# --- entries around changes ---


class Broken(MemoryAudit):
    """A disk that is full."""

    def append(self, entry: AuditEntry) -> int:
        raise Unavailable("the audit log cannot be written", code="audit_unavailable")


def failing() -> None:
    raise InvalidInput("a webhook's url is https://host/path", code="invalid_url")


def test_the_entry_comes_before_the_change() -> None:
    audit = MemoryAudit()
    trail = Trail(audit, TestClock(5))
    seen = trail.around(Note("abc", "switch.off", "all", tenant=LIVE), lambda: len(audit.entries()))
    assert seen == 1
    details = {"store": "default", "environment": "live"}
    assert audit.entries() == [(1, AuditEntry(5, "abc", "switch.off", "all", details))]


@pytest.mark.parametrize("how", [Trail.around, Trail.anyway])
def test_a_change_that_fails_is_told(how: Callable[..., None]) -> None:
    audit = MemoryAudit()
    with pytest.raises(InvalidInput):
        how(Trail(audit, TestClock()), Note("abc", "webhook.put", "crm"), failing)
    assert [(each.action, each.details) for _, each in audit.entries()] == [
        ("webhook.put", {}),
        ("webhook.put.failed", {"code": "invalid_url"}),
    ]


def test_without_an_entry_nothing_is_changed_but_what_must_be(caplog: pytest.LogCaptureFixture) -> None:
    trail, done = Trail(Broken(), TestClock()), list[str]()
    with pytest.raises(Unavailable, match="audit"):
        trail.around(Note("abc", "switch.off"), lambda: done.append("switched"))
    trail.anyway(Note("abc", "shopper.forget", "1a2b"), lambda: done.append("forgotten"))
    assert done == ["forgotten"]
    assert "shopper.forget of 1a2b goes on without an audit entry" in caplog.text
    with pytest.raises(InvalidInput):
        trail.anyway(Note("abc", "shopper.forget"), failing)
    assert "could not be told that shopper.forget failed" in caplog.text


def test_without_a_log_all_goes_on() -> None:
    assert Trail(None, TestClock()).around(Note("abc", "switch.off"), lambda: 3) == 3


def test_addresses_and_cards_in_names_are_removed_and_long_ones_cut() -> None:
    audit = MemoryAudit()
    note = Note(
        "abc", "webhook.put", "ada@example.com", {"name": "4111 1111 1111 1111", "long": "x" * 999, "bad": "\ud800"}
    )
    Trail(audit, TestClock()).leave(note)
    [(_, kept)] = audit.entries()
    assert kept.subject == "[removed]"
    assert kept.details == {"name": "[removed]", "long": "x" * 200, "bad": "?"}


def test_a_pseudonym_is_the_folders_own_and_the_stores() -> None:
    key = ShopperKey(LIVE, b"\x01" * 16)
    name = pseudonym(VAULT, key)
    assert len(name) == 16
    assert name == pseudonym(VAULT, key)
    assert name not in key.shopper.hex()
    assert name != pseudonym(VAULT, ShopperKey(Tenant("default", "test"), key.shopper))
    assert name != pseudonym(MemoryVault(SeededRandom(9)), key)
