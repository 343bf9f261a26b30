"""The console's process: started beside the server, started again when it dies, ended with it.

It is told over its standard input what the server knows it by, and reads on there: when the server is gone, however it
went, that input ends, and so does the console.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from cashwrap.ports import Random

log = logging.getLogger("cashwrap")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a console that died is started again: twice as long each time ..."""
STABLE = 60.0
"""... unless it had lived for so long."""
ENDING = 5.0
"""Seconds it may take to end."""
SOCKET, PULSE = "console.sock", "pulse.sock"
"""In the folder that only this account can open: where the console answers, and where it hears how the servers are."""


class Companion(Struct, frozen=True):
    """How a server and its console find each other. Made before the first process of several."""

    folder: Path
    token: str
    """Random, of this run: what the console proves itself with."""

    @property
    def socket(self) -> Path:
        """Where the console answers."""
        return self.folder / SOCKET

    @property
    def pulse(self) -> Path:
        """Where it hears how each serving process is."""
        return self.folder / PULSE


@contextlib.contextmanager
def companion(random: Random) -> Iterator[Companion]:
    """A place for the sockets, for as long as the server runs."""
    folder = Path(tempfile.mkdtemp(prefix="cashwrap-"))
    try:
        yield Companion(folder, random.token(32).hex())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Launch(Struct, frozen=True):
    """What a console is started with."""

    companion: Companion
    data: Path
    playbook: Path
    ledger: str = ""


async def keep_console(launch: Launch, server: str) -> None:
    """Have the console running until this is cancelled. ``server`` is the address that people and console use."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    while True:
        began = loop.time()
        process = await _start(launch, server)
        try:
            code = await process.wait()
        finally:
            await _end(process)
        pause = FIRST_PAUSE if loop.time() - began > STABLE else min(LONGEST_PAUSE, pause * 2)
        log.warning("the console ended with code %s; it starts again in %.0f s", code, pause)
        await asyncio.sleep(pause)


async def _start(launch: Launch, server: str) -> asyncio.subprocess.Process:
    where = ["--data", launch.data, "--playbook", launch.playbook, "--runtime", launch.companion.folder]
    command = [sys.executable, "-m", "cashwrap", "console", *where, "--server", server]
    env = os.environ | ({"CASHWRAP_LEDGER": launch.ledger} if launch.ledger else {})
    process = await asyncio.create_subprocess_exec(*map(str, command), stdin=asyncio.subprocess.PIPE, env=env)
    if process.stdin is not None:
        process.stdin.write(f"{launch.companion.token}\n".encode())
    return process


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), ENDING)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
