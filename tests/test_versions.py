"""Versions are kept, the newest entry of the journal is live, and whoever published last wins: folder or command."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cashwrap import versions as versions_module
from cashwrap.adapters.memory import MemoryStore
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput, PlaybookError, StoreError, Unavailable
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Registry
from cashwrap.publishing import Draft, PlaybookSource, read_folder, write_folder
from cashwrap.serve.publish import Publisher
from cashwrap.versions import JOURNAL, KIND, Release, Versions, listing, roll_back, strayed
from engines import START, TestClock, memory_world

VARIANTS = 4
BROKEN = -1
DAY = 86_400_000


def text(variant: int, comment: str = "") -> str:
    when = "cart.totl > 1" if variant == BROKEN else f"cart.total > {variant}"
    return (
        f"# {comment}\nplacements:\n  note: {{component: message}}\n"
        f"experiences:\n  hello:\n    in: note\n    when: {when}\n    show: {{text: {{en: Hello}}}}\n"
    )


def files(variant: int, comment: str = "") -> dict[str, str]:
    return {"shop.yaml": text(variant, comment)}


@cache
def playbook(variant: int) -> Playbook:
    compiled, faults = examine(files(variant))
    assert compiled is not None, faults
    return compiled


def name(variant: int) -> str:
    return playbook(variant).hash


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def registry() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def versions(registry: MemoryStore, clock: TestClock) -> Versions:
    return Versions(registry, clock)


def publish(versions: Versions, variant: int, **more: str) -> Release:
    versions.keep(playbook(variant), files(variant))
    return versions.go_live(name(variant), "publish", **more)


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


class Failing:
    """A registry that fails, as a killed process would, at the write that is so many writes ahead."""

    def __init__(self, registry: Registry, writes: int) -> None:
        self._registry = registry
        self._writes = writes

    def documents(self, kind: str) -> dict[str, bytes]:
        return self._registry.documents(kind)

    def put(self, kind: str, name: str, document: bytes | None) -> None:
        self._writes -= 1
        if self._writes < 0:
            raise Unavailable("killed")
        self._registry.put(kind, name, document)


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


# --- the folder and the journal ---


class Rule(RuleBasedStateMachine):
    """Any sequence of edits, publishes, rollbacks, deaths and restarts, beside a model of three variables."""

    publisher = Publisher

    @initialize(variant=st.integers(0, VARIANTS - 1))
    def begin(self, variant: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = TestClock()
        self.world = memory_world(self.clock)
        self.engine: Engine | None = None
        self.edits = 0
        self.said: int | None = None
        self.history: list[int] = []
        self.write(variant)
        self.restart()

    def write(self, variant: int) -> None:
        self.edits += 1
        path = self.folder / "shop.yaml"
        path.write_text(text(variant, f"edit {self.edits}"))
        os.utime(path, ns=(self.edits * 1_000_000, self.edits * 1_000_000))
        self.variant = variant

    def taken_up(self) -> None:
        """The model's whole rule for a folder that is looked at."""
        if self.variant not in (BROKEN, self.said):
            self.said = self.variant
            self.history.append(self.variant)

    def follow(self) -> None:
        assert self.engine is not None
        for _ in range(3):  # seen, settled, nothing left
            self.source.look(self.engine)

    def elsewhere(self) -> Versions:
        """What a command sees: another process."""
        return Versions(self.world.registry, self.clock)

    @rule(variant=st.integers(BROKEN, VARIANTS - 1), looked=st.booleans())
    def edit(self, variant: int, looked: bool) -> None:
        self.write(variant)
        if looked:
            self.follow()
            self.taken_up()

    @rule()
    def look(self) -> None:
        self.follow()
        self.taken_up()

    @rule(variant=st.integers(0, VARIANTS - 1))
    def publish(self, variant: int) -> None:
        publish(self.elsewhere(), variant)
        self.history.append(variant)
        self.look()

    @rule()
    @precondition(lambda self: len(set(self.history)) > 1)
    def roll_back(self) -> None:
        roll_back(self.elsewhere(), "", "ann", "")
        self.history.append(next(each for each in reversed(self.history) if each != self.history[-1]))
        self.look()

    @rule(variant=st.integers(0, VARIANTS - 1), writes=st.integers(0, 4))
    def die_while_publishing(self, variant: int, writes: int) -> None:
        registry = Failing(self.world.registry, writes)
        try:
            publish(Versions(registry, self.clock), variant)
        except Unavailable:
            if self.elsewhere().find("live") != name(variant):
                self.look()
                return
        self.history.append(variant)
        self.look()

    @rule()
    def restart(self) -> None:
        """Also after a kill: nothing is told to the old one."""
        if self.engine is not None:
            self.engine.close()
        self.source = self.publisher(self.elsewhere(), PlaybookSource(self.folder))
        self.engine = Engine(self.source.first(), self.world)
        self.taken_up()

    @invariant()
    def what_is_live_is_what_the_rule_says(self) -> None:
        if self.engine is None:
            return
        expected = name(self.history[-1])
        assert self.elsewhere().find("live") == expected
        assert self.engine.live.playbook.hash == expected
        assert self.elsewhere().load(expected).hash == expected
        stray = strayed(self.elsewhere())
        assert stray == (name(self.said) if self.said != self.history[-1] and self.said is not None else None)

    def teardown(self) -> None:
        if self.engine is not None:
            self.engine.close()
            shutil.rmtree(self.folder)


QUICK = settings(max_examples=100, stateful_step_count=20, deadline=None, derandomize=True, database=None)
Rule.TestCase.settings = QUICK
TestRule = Rule.TestCase


class Served:
    """A folder, a publisher and an engine over one memory, started again at will."""

    def __init__(self, folder: Path, variant: int = 0) -> None:
        self.folder = folder
        self.clock = TestClock()
        self.world = memory_world(self.clock)
        self.versions = Versions(self.world.registry, self.clock)
        self.times = 0
        self.write(variant)

    def write(self, variant: int, comment: str = "") -> None:
        self.times += 1
        path = self.folder / "shop.yaml"
        path.write_text(text(variant, comment))
        os.utime(path, ns=(self.times * 1_000_000, self.times * 1_000_000))

    def start(self, registry: Registry | None = None) -> None:
        self.publisher = Publisher(Versions(registry or self.world.registry, self.clock), PlaybookSource(self.folder))
        self.engine = Engine(self.publisher.first(), self.world)

    def look(self) -> str:
        for _ in range(2):
            self.publisher.look(self.engine)
        return self.engine.live.playbook.hash


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    found.start()
    yield found
    found.engine.close()


class TestServing:
    def test_a_comment_is_kept_and_is_no_change(self, served: Served) -> None:
        publish(served.versions, 1)
        served.write(0, "only a comment")
        assert served.look() == name(1)
        assert served.versions.files(name(0)) == files(0, "only a comment")
        assert strayed(served.versions) == name(0)

    def test_what_the_store_refused_is_tried_again(self, served: Served) -> None:
        failing = Failing(served.world.registry, 10)
        served.engine.close()
        served.start(failing)
        failing._writes = 1
        served.write(2)
        served.publisher.look(served.engine)
        with pytest.raises(Unavailable):
            served.publisher.look(served.engine)
        assert served.engine.live.playbook.hash == name(0)
        failing._writes = 100
        assert served.look() == name(2)

    def test_a_folder_with_mistakes_keeps_no_server_from_starting(self, served: Served) -> None:
        publish(served.versions, 1)
        served.write(BROKEN)
        served.engine.close()
        served.start()
        assert served.look() == name(1)
        assert "shop.yaml:7:11 unknown_attribute" in served.publisher.error
        served.write(0)
        assert served.look() == name(1), "it says again what it said before"
        assert served.publisher.error == ""

    def test_without_a_folder_or_a_version_nothing_starts(self, served: Served, tmp_path: Path) -> None:
        with pytest.raises(PlaybookError):
            Publisher(served.versions, PlaybookSource(tmp_path / "gone")).first()
        served.write(BROKEN)
        with pytest.raises(PlaybookError):
            Publisher(Versions(MemoryStore(), served.clock), PlaybookSource(tmp_path)).first()

    def test_a_version_that_cannot_be_used_is_told_and_changes_nothing(self, served: Served) -> None:
        versions = served.versions
        versions.keep(msgspec.structs.replace(playbook(1), hash="f" * 16), files(BROKEN))
        versions.go_live("f" * 16, "publish")
        assert served.look() == name(0)
        assert "unknown_attribute" in served.publisher.error
        with pytest.raises(PlaybookError):
            Versions(served.world.registry, served.clock).load("f" * 16)
        publish(versions, 2)
        assert served.look() == name(2)
        assert served.publisher.error == ""

    def test_a_newer_cashwrap_that_names_versions_anew_changes_no_rule(self, tmp_path: Path) -> None:
        served = Served(tmp_path)
        for variant, by in ((0, "folder"), (1, "publish")):
            old = msgspec.structs.replace(playbook(variant), hash=f"{variant}" * 16)
            Versions(served.world.registry, served.clock).keep(old, files(variant))
            served.versions.go_live(old.hash, by)  # type: ignore[arg-type]
        served.start()
        assert served.look() == name(1), "it is pinned under its old name"
        assert [each.by for each in served.versions.releases()] == ["folder", "publish", "upgrade"]
        served.engine.close()
        served.start()
        assert served.look() == name(1)
        assert len(served.versions.releases()) == 3
        served.engine.close()

    def test_the_folders_own_version_is_named_anew_without_a_pin(self, tmp_path: Path) -> None:
        served = Served(tmp_path)
        Versions(served.world.registry, served.clock).keep(
            msgspec.structs.replace(playbook(0), hash="0" * 16), files(0)
        )
        served.versions.go_live("0" * 16, "folder")
        served.start()
        assert served.look() == name(0)
        assert strayed(served.versions) is None
        served.engine.close()

    def test_what_tokens_mean_is_forgotten_days_after_their_playbook(self, served: Served) -> None:
        served.clock.wait(days=1)
        publish(served.versions, 1)
        served.look()
        known = served.world.registry.documents
        assert set(known("names")) == {name(0), name(1)}
        served.clock.wait(days=7)
        publish(served.versions, 2)
        served.look()
        assert set(known("names")) == {name(0), name(1), name(2)}
        served.clock.wait(days=2)
        publish(served.versions, 3)
        served.look()
        assert set(known("names")) == {name(1), name(2), name(3)}
        served.clock.wait(days=30)
        served.engine.close()
        served.start()
        served.look()
        assert set(known("names")) == {name(3)}

    def test_a_publish_and_a_change_of_the_folder_at_once_leave_one_that_all_agree_on(self, served: Served) -> None:
        other = Versions(served.world.registry, served.clock)
        stop = threading.Event()

        def command() -> None:
            for at in range(40):
                publish(other, 2 + at % 2)
            stop.set()

        thread = threading.Thread(target=command)
        thread.start()
        while not stop.is_set():
            served.write(served.times % 2)
            served.look()
        thread.join()
        served.look()
        live = other.live()
        assert live is not None
        assert served.look() == live.hash
        numbers = [release.number for release in other.releases()]
        assert numbers == sorted(numbers)


class TestWriting:
    def test_a_folder_becomes_the_version_and_foreign_files_stay(self, tmp_path: Path) -> None:
        version = {"shop.yaml": "a\r\n", "expect/cases.yaml": "b"}
        (tmp_path / "expect").mkdir()
        for path, words in (("notes.txt", "n"), ("shop.yaml", "old"), ("more.yaml", "x"), ("expect/old.yml", "y")):
            (tmp_path / path).write_text(words)
        assert write_folder(tmp_path, version) == ["expect/old.yml", "more.yaml"]
        assert read_folder(tmp_path) == version
        assert (tmp_path / "notes.txt").read_text() == "n"
        before = (tmp_path / "shop.yaml").stat()
        assert write_folder(tmp_path, version) == []
        assert (tmp_path / "shop.yaml").stat() == before, "what is the same already is not touched"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["expect", "notes.txt", "shop.yaml"]

    @pytest.mark.parametrize(
        "leading", ["../shop.yaml", "/shop.yaml", "expect/../shop.yaml", "a/b.yaml", ".hidden.yaml", "notes.txt", ".."]
    )
    def test_a_name_that_leads_elsewhere_is_refused(self, tmp_path: Path, leading: str) -> None:
        with pytest.raises(InvalidInput):
            write_folder(tmp_path / "playbook", {leading: "x"})
        assert list(tmp_path.iterdir()) == []


class Forgetful(Publisher):
    """Publishes the folder at every start."""

    def _begin(self, draft: Draft, live: Release | None) -> None:
        self._publish(draft)


class Stubborn(Publisher):
    """Publishes whatever is not live, however old the folder's change is."""

    def _publish(self, draft: Draft) -> None:
        self._folder = ""
        super()._publish(draft)


class Deaf(Publisher):
    """Never looks what others published."""

    def _follow(self, engine: Engine) -> bool:
        live = self._versions.live()
        return live is not None and live.by == "folder" and super()._follow(engine)


@pytest.mark.parametrize("planted", [Forgetful, Stubborn, Deaf])
def test_the_model_sees_a_planted_bug(planted: type[Publisher]) -> None:
    class Planted(Rule):
        publisher = planted

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Planted, settings=settings(QUICK, phases=[Phase.generate]))
