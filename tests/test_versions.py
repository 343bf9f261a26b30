"""Versions are kept, and the newest entry of the journal is what is live."""

import threading
from collections.abc import Callable

import msgspec
import pytest

from cashwrap import versions as versions_module
from cashwrap.adapters.memory import MemoryStore
from cashwrap.errors import InvalidInput, StoreError, Unavailable
from cashwrap.playbook import Playbook
from cashwrap.ports import Registry
from cashwrap.versions import JOURNAL, KIND, Release, Versions, listing, roll_back
from engines import START, TestClock
from variants import VARIANTS, Failing, files, name, playbook, publish, text

DAY = 86_400_000


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def registry() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def versions(registry: MemoryStore, clock: TestClock) -> Versions:
    return Versions(registry, clock)


class TestKeeping:
    def test_a_version_comes_back_as_it_was_written(self, versions: Versions, registry: MemoryStore) -> None:
        texts = {"shop.yaml": text(1, "é 😀\r\n"), "expect/a.yaml": "[]\n"}
        versions.keep(playbook(1), texts)
        fresh = Versions(registry, TestClock())
        assert fresh.files(name(1)) == texts
        assert fresh.load(name(1)).hash == name(1)

    def test_of_one_hash_the_newest_text_is_kept(self, versions: Versions) -> None:
        versions.keep(playbook(1), files(1, "old"))
        versions.keep(playbook(1), files(1, "new"))
        assert versions.files(name(1)) == files(1, "new")
        assert len(versions.all()) == 1
        assert versions.holds(files(1, "new"))
        assert not versions.holds(files(1, "old"))

    def test_the_list_says_when_by_what_by_whom_and_why(self, versions: Versions, clock: TestClock) -> None:
        publish(versions, 1, who="ann", message="first")
        clock.wait(days=1)
        publish(versions, 2)
        clock.wait(days=1)
        roll_back(versions, "", "bo", "wrong price")
        versions.keep(playbook(3), files(3))
        told = [
            (each.version.hash, [(one.by, one.who, one.message) for one in each.releases]) for each in versions.all()
        ]
        assert told == [
            (name(1), [("rollback", "bo", "wrong price"), ("publish", "ann", "first")]),
            (name(2), [("publish", "", "")]),
            (name(3), []),
        ]
        assert [release.at for release in versions.releases()] == [START, START + DAY, START + 2 * DAY]
        assert listing(versions)["live"] == name(1)

    def test_a_way_back_passes_over_the_names_that_upgrades_gave(self, versions: Versions) -> None:
        """Versions 2 and 3 stand for one playbook, which a newer cashwrap named anew."""
        publish(versions, 1)
        publish(versions, 2)
        versions.keep(playbook(3), files(3))
        versions.go_live(name(3), "upgrade", instead_of=name(2))
        assert versions.before() == name(1)
        publish(versions, 1)
        assert versions.before() == name(3)

    def test_what_is_asked_for_and_not_there_is_told(self, versions: Versions) -> None:
        for asked, code in (("live", "no_such_version"), ("0123", "no_such_version"), ("", "no_such_version")):
            with pytest.raises(InvalidInput) as raised:
                versions.find(asked)
            assert raised.value.code == code
        for call in (versions.files, versions.load, versions.version, lambda _: versions.before()):
            with pytest.raises(InvalidInput):
                call("0" * 16)

    def test_the_beginning_of_a_hash_names_it_where_it_is_the_only_one(
        self, versions: Versions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(versions, 1)
        assert versions.find(name(1)[:4]) == versions.find("live") == name(1)
        alike = versions._versions()[name(1)]
        monkeypatch.setattr(versions, "_versions", lambda: {f"abcd{at:012d}": alike for at in range(2)})
        with pytest.raises(InvalidInput) as raised:
            versions.find("abcd")
        assert raised.value.code == "ambiguous_version"
        assert versions.find("abcd000000000001") == "abcd000000000001"

    def test_damaged_files_are_told_and_not_compiled(self, versions: Versions, registry: MemoryStore) -> None:
        publish(versions, 1)
        registry.put(f"{KIND}:{name(1)}", "files", b"rubbish")
        with pytest.raises(StoreError):
            Versions(registry, TestClock()).load(name(1))

    def test_a_long_name_or_message_is_refused_before_anything_moves(self, versions: Versions) -> None:
        publish(versions, 1)
        versions.keep(playbook(2), files(2))
        with pytest.raises(InvalidInput):
            versions.go_live(name(2), "publish", message="x" * 501)
        live = versions.live()
        assert live is not None
        assert live.hash == name(1)

    def test_a_difference_that_was_looked_at_is_the_one_that_is_published(self, versions: Versions) -> None:
        publish(versions, 1)
        publish(versions, 2)
        versions.keep(playbook(3), files(3))
        with pytest.raises(InvalidInput) as raised:
            versions.go_live(name(3), "publish", instead_of=name(1))
        assert raised.value.code == "version_moved"
        assert versions.find("live") == name(2)

    def test_few_are_kept_compiled(self, versions: Versions) -> None:
        for variant in range(VARIANTS):
            publish(versions, variant)
        assert len(versions._compiled) == versions_module.COMPILED
        assert [versions.load(name(variant)).hash for variant in range(VARIANTS)] == [*map(name, range(VARIANTS))]


class TestLimits:
    def test_the_oldest_go_when_no_record_of_a_decision_names_them(
        self, versions: Versions, registry: MemoryStore, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_VERSIONS", 1)
        kept = playbook(0).settings.decision_retention
        assert kept == 14 * DAY
        publish(versions, 0)
        clock.wait(days=1)
        publish(versions, 1)
        clock.wait(days=15)
        publish(versions, 2)
        assert {each.version.hash for each in versions.all()} == {name(1), name(2)}, "1 was live until now"
        with pytest.raises(InvalidInput):
            versions.files(name(0))
        assert registry.documents(f"{KIND}:{name(0)}") == {}
        clock.wait(days=13)
        publish(versions, 3)
        assert {each.version.hash for each in versions.all()} == {name(1), name(2), name(3)}
        clock.wait(days=2)
        versions.prune()
        assert {each.version.hash for each in versions.all()} == {name(2), name(3)}

    def test_the_live_one_and_the_folders_newest_stay_however_old(
        self, versions: Versions, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_VERSIONS", 1)
        versions.keep(playbook(0), files(0))
        versions.go_live(name(0), "folder")
        publish(versions, 1)
        clock.wait(days=100)
        for variant in (2, 3):
            clock.wait(minutes=1)
            versions.keep(playbook(variant), files(variant))
        versions.prune()
        assert {each.version.hash for each in versions.all()} == {name(0), name(1), name(3)}

    def test_their_bytes_are_limited(
        self, versions: Versions, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_BYTES", 1)
        publish(versions, 0)
        clock.wait(days=1)
        publish(versions, 1)
        clock.wait(days=100)
        versions.prune()
        assert [each.version.hash for each in versions.all()] == [name(1)]

    def test_the_journal_is_limited_and_remembers_the_folder(
        self, versions: Versions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_RELEASES", 3)
        versions.keep(playbook(0), files(0))
        versions.go_live(name(0), "folder")
        for at in range(6):
            publish(versions, 1 + at % 2)
        assert [release.number for release in versions.releases()] == [1, 5, 6, 7]
        folder = versions.of_folder()
        assert folder is not None
        assert folder.hash == name(0)
        assert versions.lately_live(START) == {name(1), name(2)}, "what is left of older entries does not count"

    def test_who_was_live_lately(self, versions: Versions, clock: TestClock) -> None:
        assert versions.lately_live(START) is None
        for variant in range(3):
            publish(versions, variant)
            clock.wait(days=1)
        assert versions.lately_live(START - 1) is None, "nobody knows what was live before"
        assert versions.lately_live(START) == {name(0), name(1), name(2)}
        assert versions.lately_live(START + DAY + 1) == {name(1), name(2)}
        assert versions.lately_live(START + 9 * DAY) == {name(2)}


class TestMoving:
    def test_dying_at_any_write_leaves_the_old_or_the_new_one_live(
        self, registry: MemoryStore, clock: TestClock
    ) -> None:
        assert deaths(registry, clock, Versions) >= 3

    def test_many_threads_publish_and_all_agree_on_the_last(self, registry: MemoryStore, clock: TestClock) -> None:
        barrier = threading.Barrier(VARIANTS)
        done: list[Release] = []

        def run(variant: int) -> None:
            own = Versions(registry, clock)  # another process has nothing in common but the registry
            own.keep(playbook(variant), files(variant))
            barrier.wait()
            done.extend(own.go_live(name(variant), "publish") for _ in range(25))

        threads = [threading.Thread(target=run, args=(variant,)) for variant in range(VARIANTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        fresh = Versions(registry, clock)
        live = fresh.live()
        assert live is not None
        assert len(done) == VARIANTS * 25
        assert live.number == max(release.number for release in done)
        assert fresh.load(live.hash).hash == live.hash

    def test_of_two_that_take_one_number_the_later_is_live(self, registry: MemoryStore, clock: TestClock) -> None:
        overtake(registry, clock, Versions)

    def test_the_checker_sees_who_does_not_look_again(self, registry: MemoryStore, clock: TestClock) -> None:
        class Blind(Versions):
            def _append(self, release: Release) -> Release:
                live = self.live()
                numbered = msgspec.structs.replace(release, number=live.number + 1 if live else 1)
                self._registry.put(JOURNAL, versions_module._entry(numbered), msgspec.msgpack.encode(numbered))
                return numbered

        with pytest.raises(AssertionError):
            overtake(registry, clock, Blind)


def overtake(registry: MemoryStore, clock: TestClock, kind: Callable[[Registry, TestClock], Versions]) -> None:
    """Two processes take the same number; the one that writes last is the one whose version must be live."""
    first, second = sorted(range(2), key=name, reverse=True)  # the first one's entry sorts behind the second's
    publish(Versions(registry, clock), 2)

    class Late(Failing):
        """Another process publishes right before this one writes its entry."""

        def put(self, kind: str, name: str, document: bytes | None) -> None:
            if kind == JOURNAL and self._writes:
                self._writes = 0
                publish(Versions(registry, clock), first)
            self._registry.put(kind, name, document)

    release = publish(kind(Late(registry, 1), clock), second)
    fresh = Versions(registry, clock)
    assert fresh.live() == release
    assert [each.hash for each in fresh.releases()] == [name(2), name(first), name(second)]


def deaths(registry: MemoryStore, clock: TestClock, kind: Callable[[Registry, TestClock], Versions]) -> int:
    """Publish with a death at the first, the second ... write until none happens; what is live must load each time."""
    publish(Versions(registry, clock), 0)
    for writes in range(20):
        before = Versions(registry, clock).find("live")
        target = 1 + writes % 2
        try:
            publish(kind(Failing(registry, writes), clock), target)
        except Unavailable:
            after = Versions(registry, clock)
            assert after.find("live") in {before, name(target)}
            assert after.load(after.find("live")).hash == after.find("live")
        else:
            return writes
    raise AssertionError("it writes without end")


def test_the_checker_sees_a_journal_that_is_written_before_the_files(registry: MemoryStore, clock: TestClock) -> None:
    class Hasty(Versions):
        def keep(self, playbook: Playbook, files: object) -> None:
            self._append(Release(0, playbook.hash, 0, "publish"))
            super().keep(playbook, files)  # type: ignore[arg-type]

    with pytest.raises(InvalidInput):
        deaths(registry, clock, Hasty)
