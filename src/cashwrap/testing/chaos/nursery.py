"""The parent's side of a process that has imported everything and forks servers to be killed: one is ready in tens of
milliseconds. ``child.py`` is the other side.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.errors import Unavailable
from cashwrap.testing.chaos.race import Race

PATIENCE = 10.0
"""Seconds that the process that forks may take to end."""


class Job(Struct, frozen=True):
    """What a child is to do: serve a data folder until it is killed (at a crash point, where one is named), race, or
    run the errand of a crash point."""

    data: str
    playbook: str = ""
    crash: str = ""
    reserve: int = 0
    race: Race | None = None
    errand: str = ""
    late: bool = False
    """The planted bug: answer before the commit."""


class Word(Struct, frozen=True, omit_defaults=True):
    """What is said about a child."""

    kind: Literal["born", "ready", "done", "gone"]
    pid: int = 0
    text: str = ""


class Nursery:
    """The parent's side. One child at a time; what it logs goes to ``errors``."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors.open("ab")
        command = [sys.executable, "-m", "cashwrap.testing.chaos.child"]
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
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
