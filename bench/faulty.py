"""``cashwrap serve`` over a store that can be made slow, hung or dead while it runs.

    python -m bench.faulty --playbook P --data D --port N --fault FILE

It makes the same world as the command line does, with one layer around the store. The file says how the store is:
empty or absent for healthy, ``slow`` (every call takes 50 ms), ``hung`` (no call returns until the file says
otherwise), ``dead`` (every call raises what a store may raise) or ``broken`` (every call raises what it may not).
Beside it, with ``.now`` behind its name, stands what is in force.
"""

import argparse
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import structs

from cashwrap.engine import Engine, World
from cashwrap.errors import Unavailable
from cashwrap.library import open_world
from cashwrap.publishing import PlaybookSource
from cashwrap.serve import hot
from cashwrap.serve.publish import Publisher
from cashwrap.serve.run import ServeOptions, serve
from cashwrap.versions import Versions

SLOW = 0.05
LOOK = 0.02


class Fault:
    """How the store is, as the file says."""

    def __init__(self, file: Path, slow: float) -> None:
        self._file = file
        self._slow = slow
        self._now = ""
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            text = self._file.read_text().strip() if self._file.exists() else ""
            if text != self._now or not told(self._file).exists():
                with self._changed:
                    self._now = text
                    self._changed.notify_all()
                told(self._file).write_text(text)
            time.sleep(LOOK)

    def suffer(self) -> None:
        """What a call of the store goes through before it is served."""
        for state, longest in (("slow", self._slow), ("hung", None)):
            if self._now == state:
                with self._changed:
                    self._changed.wait_for(lambda state=state: self._now != state, longest)
        if self._now == "dead":
            raise Unavailable("the store is dead, as the benchmark wants it")
        if self._now == "broken":
            raise OSError("the store is broken, as the benchmark wants it")


def told(file: Path) -> Path:
    """Where the server says which fault is in force."""
    return file.with_suffix(".now")


def switch(file: Path, fault: str) -> None:
    """Make the store so, and return when it is."""
    told(file).unlink(missing_ok=True)
    file.write_text(f"{fault}\n")
    end = time.monotonic() + 30
    while not told(file).exists() or told(file).read_text() != fault:
        if time.monotonic() > end:
            raise TimeoutError(f"the server did not take up the fault {fault!r}")
        time.sleep(LOOK / 2)


class FaultyStore:
    """Every port that a store serves, each call through the fault."""

    def __init__(self, store: Any, fault: Fault) -> None:
        self._store = store
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        """The store's own method, with what it has to go through."""
        found: Callable[..., Any] = getattr(self._store, name)

        def call(*arguments: Any, **more: Any) -> Any:
            self._fault.suffer()
            return found(*arguments, **more)

        setattr(self, name, call)
        return call


def faulty(world: World, fault: Fault) -> World:
    """The same world over a store that can fail."""
    store: Any = FaultyStore(world.store, fault)
    return structs.replace(world, store=store, outbox=store, failed=store, registry=store, catalogue=store)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("playbook", "data", "fault"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slow", type=float, default=SLOW, help="seconds that a call takes when the store is slow")
    parser.add_argument("--patience", type=float, default=hot.PATIENCE, help="seconds that collect waits for a commit")
    options = parser.parse_args()
    hot.PATIENCE = options.patience
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s")
    source = PlaybookSource(options.playbook)
    with open_world(options.data, make=True) as world:
        failing = faulty(world, Fault(options.fault, options.slow))
        publisher = Publisher(Versions(failing.registry, world.clock), source)
        engine = Engine(publisher.first(), failing)
        try:
            serve(engine, publisher, ServeOptions(port=options.port, rate=0), ready)
        finally:
            engine.close()


def ready(address: str) -> None:
    print(f"cashwrap is ready at {address}", flush=True)


if __name__ == "__main__":
    main()
