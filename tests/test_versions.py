"""Versions are kept, the newest entry of the journal is live, and whoever published last wins: folder or command."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

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
from cashwrap.errors import InvalidInput, StoreError, Unavailable
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Registry
from cashwrap.publishing import Draft, PlaybookSource
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
    def test_the_oldest_go_and_what_is_needed_stays(
        self, registry: MemoryStore, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_VERSIONS", 2)
        kept = Versions(registry, clock, needed=lambda: [name(1)])
        for variant in range(5):
            clock.wait(minutes=1)
            publish(kept, variant)
        assert {each.version.hash for each in kept.all()} == {name(1), name(3), name(4)}
        with pytest.raises(InvalidInput):
            kept.files(name(0))
        assert registry.documents(f"{KIND}:{name(0)}") == {}

    def test_the_live_one_and_the_folders_newest_stay_however_old(
        self, versions: Versions, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_VERSIONS", 1)
        versions.keep(playbook(0), files(0))
        versions.go_live(name(0), "folder")
        publish(versions, 1)
        for variant in (2, 3):
            clock.wait(minutes=1)
            versions.keep(playbook(variant), files(variant))
        versions.prune()
        assert {each.version.hash for each in versions.all()} == {name(0), name(1), name(3)}

    def test_their_bytes_are_limited(
        self, versions: Versions, clock: TestClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions_module, "MAX_BYTES", 1)
        for variant in range(3):
            clock.wait(minutes=1)
            publish(versions, variant)
        assert [each.version.hash for each in versions.all()] == [name(2)]

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
        first, second = sorted(range(2), key=name, reverse=True)  # the first one's entry sorts behind the second's
        publish(Versions(registry, clock), 2)

        class Late(Failing):
            """Another process publishes right before this one writes its entry."""

            def put(self, kind: str, key: str, document: bytes | None) -> None:
                if kind == JOURNAL and self._writes:
                    self._writes = 0
                    publish(Versions(registry, clock), first)
                self._registry.put(kind, key, document)

        release = publish(Versions(Late(registry, 1), clock), second)
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
