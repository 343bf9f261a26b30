"""``cashwrap serve`` as a process of its own, for what only a process can show: kills, signals, files that change."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

COMMAND = [str(Path(sys.executable).parent / "cashwrap")]


def cashwrap(*arguments: str | Path) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


class Process:
    """One ``cashwrap serve``. ``errors`` is the file its log goes to."""

    def __init__(self, playbook: Path, data: Path, *more: str) -> None:
        self.errors = data.parent / "serve.log"
        command = [*COMMAND, "serve", "--playbook", str(playbook), "--data", str(data), "--port", "0", *more]
        with self.errors.open("a") as log:
            self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if line.startswith("cashwrap is ready at "):
                self.url = line.split()[-1]
                break
        else:
            self._end()
            raise AssertionError(self.errors.read_text())

    def kill(self) -> None:
        """As a power cut would, for the process."""
        self.popen.kill()
        self._end()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        code = self.popen.wait(60)
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        return code


@contextmanager
def process(playbook: Path, data: Path, *more: str) -> Iterator[Process]:
    running = Process(playbook, data, *more)
    try:
        yield running
    finally:
        if running.popen.poll() is None:
            running.stop()


def client(url: str, key: str, **more: Any) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30, **more)
