"""Work for a console's jobs, and nothing else: the other process imports this."""

import os
import time
from pathlib import Path

from cashwrap.console.work.jobs import tell
from cashwrap.errors import InvalidInput


def double(data: Path, number: int) -> int:
    tell(0.5, "doubling")
    return 2 * number


def refuse(data: Path) -> None:
    raise InvalidInput("this cannot be", code="cannot_be")


def fail(data: Path) -> None:
    raise RuntimeError("a fault of ours")


def die(data: Path) -> None:
    os._exit(3)


def swell(data: Path) -> int:
    return len(bytearray(3 * 1024**3))


def unsendable(data: Path) -> object:
    return lambda: None


def sleep(data: Path) -> None:
    (data / "pid").write_text(str(os.getpid()))
    time.sleep(60)


def nice(data: Path) -> int:
    return os.nice(0)
