"""A place for fault runs, in memory where the machine has such a file system: what is tested is not the true disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made inside


@contextmanager
def room() -> Iterator[Path]:
    with TemporaryDirectory(prefix="cashwrap-chaos-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)
