"""Which playbook a server runs: whoever published last wins, folder or command, also over restarts and deaths."""

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
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

from cashwrap import publishing
from cashwrap.adapters.memory import MemoryStore
from cashwrap.engine import Engine
from cashwrap.errors import PlaybookError, Unavailable
from cashwrap.ports import Registry
from cashwrap.publishing import PATIENCE, Draft, PlaybookSource, publish_with_folder, read_folder
from cashwrap.serve.publish import Publisher
from cashwrap.versions import Release, Versions, roll_back, strayed
from engines import TestClock, memory_world
from variants import BROKEN, VARIANTS, Failing, files, name, playbook, publish, text

NEVER = 1_000


class Killed(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


class Steps:
    """Counts the writes of a process, to the registry and to the folder, and kills it before the one of this number."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def registry(self, registry: Registry) -> Registry:
        steps = self

        class Counting:
            def documents(self, kind: str) -> dict[str, bytes]:
                return registry.documents(kind)

            def put(self, kind: str, name: str, document: bytes | None) -> None:
                steps.take()
                registry.put(kind, name, document)

        return Counting()

    def around(self, write: Callable[[Path, str], None]) -> Callable[[Path, str], None]:
        def step(path: Path, text: str) -> None:
            self.take()
            write(path, text)

        return step


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

    def console(self, variant: int, step: int = NEVER) -> None:
        """What the console does; the process is killed at this step of it."""
        steps = Steps(step)
        versions = Versions(steps.registry(self.world.registry), self.clock)
        draft = Draft(playbook(variant), files(variant, f"edit {self.edits}"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(publishing, "_replace", steps.around(publishing._replace))
            publish_with_folder(versions, self.folder, draft, seen=versions.find("live"), who="ann", message="")

    def is_clean(self) -> bool:
        return self.elsewhere().holds(read_folder(self.folder))

    def wrote(self, variant: int, *, clean: bool) -> None:
        self.history.append(variant)
        if clean:
            self.said = self.variant = variant

    def assert_the_folder_is_whole(self) -> None:
        said = read_folder(self.folder)["shop.yaml"]
        assert said.partition("\n")[2] == text(self.variant).partition("\n")[2]

    @rule(variant=st.integers(0, VARIANTS - 1), taken_back=st.booleans())
    def publish_from_the_console(self, variant: int, taken_back: bool) -> None:
        """The folder has it too where it held nothing unpublished, and makes no second entry of it."""
        self.edits += 1
        clean, new = self.is_clean(), not variant == self.said == self.history[-1]
        entries = len(self.elsewhere().releases())
        self.console(variant)
        self.wrote(variant, clean=clean)
        if taken_back and len(set(self.history)) > 1:  # before the server has seen the folder
            self.roll_back()
        else:
            self.look()
            assert not clean or len(self.elsewhere().releases()) == entries + new
        self.assert_the_folder_is_whole()

    @rule(variant=st.integers(0, VARIANTS - 1), step=st.integers(0, 8), restarted=st.booleans())
    def die_while_publishing_from_the_console(self, variant: int, step: int, restarted: bool) -> None:
        """Wherever it dies, the old one is live with the old folder, or the new one with the new folder."""
        self.edits += 1
        clean, before = self.is_clean(), self.elsewhere().releases()[-1].number
        with contextlib.suppress(Killed):
            self.console(variant, step)
            self.variant = variant if clean else self.variant  # it ended before its death
        if self.elsewhere().releases()[-1].number > before:
            self.wrote(variant, clean=clean)
        if restarted:
            self.restart()
        self.follow()
        self.clock.time += PATIENCE + 1
        self.look()
        self.assert_the_folder_is_whole()

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


QUICK = settings(max_examples=80, stateful_step_count=20, deadline=None, derandomize=True, database=None)
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


class Forgetful(Publisher):
    """Publishes the folder at every start."""

    def _begin(self, draft: Draft, live: Release | None) -> None:
        self._versions.keep(draft.playbook, draft.files)
        self._make_live(draft.playbook.hash)


class Stubborn(Publisher):
    """Publishes whatever is not live, however old the folder's change is."""

    def _is_new(self, digest: str) -> bool:
        return True


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


def test_the_model_sees_half_a_write_taken_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not wait for whoever writes the folder."""
    monkeypatch.setattr("cashwrap.serve.publish.settle_folder", lambda *_: True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Rule, settings=settings(QUICK, phases=[Phase.generate]))
