"""What every audit log must do, as a pytest class to subclass with the fixture ``audit``: a fresh, empty one."""

import threading

from cashwrap.ports import AuditEntry, AuditLog


def entry(number: int, **details: str) -> AuditEntry:
    """An entry that says its number in every part."""
    return AuditEntry(1_772_452_800_000 + number, f"key{number}", "switch.off", f"experience {number}", details)


class AuditContract:
    """The promises of ``AuditLog``."""

    def test_an_empty_log_answers(self, audit: AuditLog) -> None:
        """Nothing is there, and nothing is broken."""
        assert audit.entries() == []
        assert audit.verify() == []

    def test_entries_are_numbered_by_one_and_come_back_whole(self, audit: AuditLog) -> None:
        """In the order they were appended, with whatever text they hold."""
        odd = AuditEntry(0, "command:root", "x", 'two\nlines, "quoted", \\ and \u2028 💶', {"": "", "ä": "\x00\x7f"})
        written = [entry(1), odd, entry(3, store="acme", environment="live")]
        assert [audit.append(each) for each in written] == [1, 2, 3]
        assert audit.entries() == list(enumerate(written, 1))
        assert audit.verify() == []

    def test_entries_are_read_a_page_at_a_time(self, audit: AuditLog) -> None:
        """From any number on, as many as asked for."""
        for number in range(1, 31):
            audit.append(entry(number))
        assert [number for number, _ in audit.entries(after=7, limit=5)] == [8, 9, 10, 11, 12]
        assert [number for number, _ in audit.entries(after=28)] == [29, 30]
        assert audit.entries(after=30) == []
        assert audit.entries(limit=0) == []

    def test_an_entry_is_a_copy(self, audit: AuditLog) -> None:
        """Whoever changes what they appended changes nothing in the log."""
        details = {"reason": "wrong price"}
        audit.append(AuditEntry(1, "a", "b", "c", details))
        details["reason"] = "none"
        assert audit.entries()[0][1].details == {"reason": "wrong price"}

    def test_many_threads_append_one_chain(self, audit: AuditLog) -> None:
        """No number is given twice, and none is left out."""
        numbers: list[int] = []

        def append() -> None:
            numbers.extend(audit.append(entry(n)) for n in range(10))

        threads = [threading.Thread(target=append) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(numbers) == list(range(1, 41))
        assert len(audit.entries()) == 40
        assert audit.verify() == []
