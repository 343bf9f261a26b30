"""A process that has imported everything and forks servers to be killed: one is ready in tens of milliseconds.

It runs as ``python -m cashwrap.testing.chaos.nursery`` and takes one job a line on its standard input. A child says on
the standard output when it is ready or what it found; when it is gone the nursery says so, and takes the next job.
"""

import gc
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.engine import Engine
from cashwrap.errors import Unavailable
from cashwrap.faults import crash_at
from cashwrap.library import memory_world, open_world
from cashwrap.publishing import PlaybookSource
from cashwrap.serve.publish import Publisher
from cashwrap.serve.run import ServeOptions, serve
from cashwrap.testing.chaos.race import Race, race
from cashwrap.testing.chaos.stage import compiled_playbook
from cashwrap.versions import Versions


class Job(Struct, frozen=True):
    """What a child is to do: serve a data folder until it is killed (at a crash point, where one is named), or race."""

    data: str
    playbook: str = ""
    crash: str = ""
    reserve: int = 0
    race: Race | None = None


class Word(Struct, frozen=True, omit_defaults=True):
    """What is said about a child."""

    kind: Literal["born", "ready", "done", "gone"]
    pid: int = 0
    text: str = ""


class Nursery:
    """The parent's side. One child at a time; what it logs goes to ``errors``."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors.open("ab")
        command = [sys.executable, "-m", "cashwrap.testing.chaos.nursery"]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        self._child = 0

    def start(self, job: Job) -> None:
        """Fork a child for the job."""
        stdin = self._process.stdin
        if stdin is None or self._child:
            raise AssertionError("one job at a time")
        stdin.write(msgspec.json.encode(job) + b"\n")
        stdin.flush()
        self._child = self.listen().pid

    def listen(self) -> Word:
        """The next word about the child. Raises ``Unavailable`` where the nursery itself died."""
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise Unavailable(f"the process that forks servers died; see {self._errors.name}")
        word = msgspec.json.decode(line, type=Word)
        if word.kind == "gone":
            self._child = 0
        return word

    def kill(self) -> Word:
        """End the child as ``kill -9`` does, and wait for it; fine where it died before."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
        return self.gone()

    def gone(self) -> Word:
        """Wait until the child is gone."""
        while self._child:
            word = self.listen()
        return word

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child:
            os.kill(self._child, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._errors.close()


def _say(word: Word) -> None:
    os.write(1, msgspec.json.encode(word) + b"\n")  # one write, so that two processes' words do not mix


def _run(job: Job) -> None:
    if job.race is not None:
        _say(Word("done", text=race(Path(job.data), job.race)))
        return
    crash_at(job.crash)
    with open_world(Path(job.data), reserve=job.reserve) as world:
        publisher = Publisher(Versions(world.registry, world.clock), PlaybookSource(Path(job.playbook)))
        engine = Engine(publisher.first(), world)
        serve(engine, publisher, ServeOptions(port=0, rate=0), lambda url: _say(Word("ready", text=url)))


def _warm() -> None:
    """Have done once what every server does at its start and what does not differ between them."""
    Engine(compiled_playbook(), memory_world()).close()
    gc.collect()
    gc.freeze()
    gc.disable()  # a child lives too short to need it, and would walk all that was imported


def main() -> None:
    """Take jobs until the input ends. A child that is gone keeps its process id until the next job, so that a kill that
    comes too late meets nobody else."""
    _warm()
    gone = 0
    for line in sys.stdin.buffer:
        job = msgspec.json.decode(line, type=Job)
        if gone:
            os.waitpid(gone, 0)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _run(job)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _say(Word("born", child))
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        by_signal = ended is not None and ended.si_code != os.CLD_EXITED
        _say(Word("gone", child, f"{-ended.si_status if by_signal else ended.si_status}" if ended else ""))
        gone = child


if __name__ == "__main__":
    main()
