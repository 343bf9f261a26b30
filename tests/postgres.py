"""A PostgreSQL server of our own for tests: Debian's binaries on a temporary directory and a free port of loopback."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


def binary(name: str) -> str | None:
    """Where a server's program is; Debian keeps some off the path."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(installed[-1]) if installed else shutil.which(name)


MISSING = "no PostgreSQL server is installed (Debian: postgresql)"
installed = binary("postgres") is not None


class Server:
    """``address`` is of a database that is there already; ``database`` makes another one."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        self.folder = folder
        self._fsync = "on" if fsync else "off"
        self.port = _free_port()
        self.address = f"postgresql://{_owner()}@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-D", "data", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += f" -c fsync={self._fsync}"
        self._run("pg_ctl", "-D", "data", "-w", "-t", "30", "-l", "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is as a crash of the server."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        with psycopg.connect(self.address, autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{name}"')
        return self.address.removesuffix("postgres") + name

    @contextmanager
    def hung(self) -> Iterator[None]:
        """The server's processes stand still, and its connections stay open."""
        with psycopg.connect(self.address, autocommit=True) as db:
            backends = [row[0] for row in db.execute("SELECT pid FROM pg_stat_activity WHERE datname IS NOT NULL")]
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        stopped = [pid for pid in (postmaster, *backends) if _signalled(pid, signal.SIGSTOP)]
        try:
            yield
        finally:
            for pid in stopped:
                _signalled(pid, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        command = [binary(program) or program, *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, check=False, timeout=60)
        assert done.returncode == 0, f"{program} failed; see {self.folder}/log"


@contextmanager
def server(*, fsync: bool = False) -> Iterator[Server]:
    """Stopped when the block ends. Without ``fsync`` it is quick, and keeps nothing through a power cut."""
    with tempfile.TemporaryDirectory(prefix="cashwrap-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        running = Server(folder, fsync=fsync)
        try:
            yield running
        finally:
            running.stop("immediate")


def _owner() -> str:
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signalled(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
