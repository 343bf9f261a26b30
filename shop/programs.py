"""What the demo needs to run programs beside itself: start, follow, stop, find a port. Standard library only."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

STOP_SECONDS = 12  # the engine answers what has begun and commits what waits; that takes less


class Trouble(Exception):
    """Something the reader can act on: the message says what to do next."""


class Child:
    """A program of the demo, in a session of its own: Ctrl-C reaches the demo, which stops its children in order.

    `tell` gets each line the program prints, `ready_mark` is what the line that ends with its address contains.
    """

    started = []

    def __init__(self, name, command, *, tell, ready_mark="ready at", env=()):
        self.name, self.address = name, ""
        self._tell, self._mark = tell, ready_mark
        self._told = collections.deque(maxlen=15)
        self._changed = threading.Event()
        self.process = subprocess.Popen(  # noqa: S603 - the demo's own programs
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", **dict(env)},
            start_new_session=True,
        )
        Child.started.append(self)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                text = line.rstrip()
                self._told.append(text)
                if self._mark in text and not self.address:
                    self.address = text.split()[-1].rstrip("/")
                    self._changed.set()
                else:
                    self._tell(self.name, text)
        self._changed.set()

    def wait_ready(self, seconds):
        """Return the address the program answers at. Raises `Trouble` with its last words."""
        self._changed.wait(seconds)
        if not self.address:
            raise Trouble(f"{self.name} did not start:\n{self.last_words()}")
        return self.address

    def wait_done(self):
        """Wait for a program that ends by itself, and for its last line. Raises `Trouble` when it failed."""
        self.process.wait()
        self._reader.join(5)
        if self.process.returncode != 0:
            raise Trouble(f"{self.name} failed:\n{self.last_words()}")

    @property
    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        self._reader.join(1)
        return "\n".join(f"    {line}" for line in self._told if line) or "    (it said nothing)"

    def stop(self):
        """Ask it to end, then insist. Only ever this program: its process group was made for it."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._reader.join(2)

    @classmethod
    def stop_all(cls):
        """Stop what was started, the latest first: the shop may still need the engine while it ends."""
        while cls.started:
            cls.started.pop().stop()


def run(what, command):
    """Run a short command to its end and return what it printed. Raises `Trouble`."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the demo's own programs
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise Trouble(f"{what} failed: {words}")
    return done.stdout


def free_port(wanted):
    """Return `wanted`, or the next port that nobody on this machine listens on; 0 means any."""
    for port in range(wanted, wanted + 100) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError, OverflowError):
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
    raise Trouble(
        f"the ports from {wanted} to {wanted + 99} are all taken; choose others with --port and --engine-port"
    )


def until(what, true, seconds):
    """Ask `true()` until it is. Raises `Trouble` after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Trouble(f"waited {seconds} s in vain: {what}")
        time.sleep(0.1)
