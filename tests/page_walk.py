"""Runs the commands of a Markdown page as a reader would: in order, in one shell, and looks at what they print.

A page marks its fences: ``sh`` is run; ``sh server`` runs beside the others until ``<!-- stop the server -->``;
``sh soon`` is repeated until it prints what the page promises; ``python`` is a program. Other words after ``sh`` are
for readers only. A fence right after one that was run, in ``text`` or ``json``, is what it prints; ``...`` there stands
for anything.
"""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, Self

PORT = "8377"
"""The port that pages write; a walk uses a free one in its place."""
STOP = "<!-- stop the server -->"
PATIENCE = 60.0
RUN = {"sh", "sh server", "sh soon", "python"}


class Block(NamedTuple):
    """A fence, or the marker ``stop``."""

    kind: str
    text: str
    line: int


class Step(NamedTuple):
    """What is run, and what it must print."""

    block: Block
    expected: str | None


def blocks(page: str) -> Iterator[Block]:
    """The fences and markers of a page, in order."""
    lines = iter(enumerate(page.splitlines(), 1))
    for number, line in lines:
        if line.strip() == STOP:
            yield Block("stop", "", number)
        elif line.startswith("```"):
            inside = []
            for _, each in lines:
                if each.startswith("```"):
                    break
                inside.append(each)
            yield Block(line[3:].strip(), "\n".join(inside), number)


def steps(page: str) -> list[Step]:
    """The blocks that are run, each with the output that follows it."""
    found = list(blocks(page))
    listed = []
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.kind in RUN or block.kind == "stop":
            shown = after is not None and after.kind in {"text", "json"} and block.kind in RUN - {"sh server"}
            listed.append(Step(block, after.text if shown and after is not None else None))
    return listed


def fits(printed: str, expected: str) -> bool:
    """Whether the output is as promised: ``...`` stands for anything, runs of spaces for one."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in expected.split("...")]
    return re.search(r".*?".join(parts), printed, re.DOTALL) is not None


class Walk:
    """One reader with a terminal, and a second one for the server."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        self._server: subprocess.Popen[str] | None = None
        self._shell = self._start(["bash", "--noprofile", "--norc"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._shell.kill()
            self._shell.communicate()

    def take(self, step: Step) -> None:
        """Run one step and hold it to its promise."""
        if step.block.kind == "stop":
            self.stop()
        elif step.block.kind == "sh server":
            self.serve(step.block.text)
        else:
            self._run(step)

    def _run(self, step: Step) -> None:
        text = step.block.text
        if step.block.kind == "python":
            text = f"python <<'PYTHON'\n{text}\nPYTHON"
        code, printed = self.run(text)
        end = time.monotonic() + PATIENCE
        while step.block.kind == "sh soon" and not fits(printed, step.expected or "") and time.monotonic() < end:
            code, printed = self.run(text)
        place = f"line {step.block.line}: {step.block.text}\nprinted: {printed}"
        if code:
            raise AssertionError(f"{place}\nand failed with {code}")
        if step.expected is not None and not fits(printed, step.expected):
            raise AssertionError(f"{place}\nand not: {step.expected}")

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output of a command in the first terminal."""
        mark = "--- done"
        shell = self._shell
        written, read = _pipes(shell)
        written.write(f"{{ {self._ported(command)}\n}} 2>&1 < /dev/null\nprintf '\\n{mark} %s\\n' $?\n")
        written.flush()
        printed = []
        for line in read:
            if line.startswith(mark):
                return int(line.removeprefix(mark)), "".join(printed)
            printed.append(line)
        raise AssertionError(f"the shell ended in {command}")

    def serve(self, command: str) -> None:
        """Run a server until it says that it is ready."""
        self._server = self._start(["bash", "-c", f"exec {self._ported(command)} 2>&1"])
        _, read = _pipes(self._server)
        told = []
        for line in read:
            told.append(line)
            if "is ready at" in line:
                return
        self._server.communicate()
        self._server = None
        raise AssertionError(f"the server ended: {''.join(told)}")

    def stop(self) -> None:
        """Ctrl-C in the second terminal: it must end well."""
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(signal.SIGINT)
        told, _ = server.communicate(timeout=PATIENCE)
        if server.returncode:
            raise AssertionError(f"the server ended with {server.returncode}: {told}")

    def _ported(self, command: str) -> str:
        return command.replace(PORT, str(self._port))

    def _start(self, command: list[str]) -> "subprocess.Popen[str]":
        env = {"PATH": self._path, "HOME": str(self._folder), "LANG": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "200"}
        return subprocess.Popen(
            command, cwd=self._folder, env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError(f"no pipes to {shlex.join(map(str, process.args))}")  # type: ignore[arg-type]
    return process.stdin, process.stdout
