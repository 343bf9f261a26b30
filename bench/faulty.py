"""``cashwrap serve`` over a store that can be made slow, hung or dead while it runs.

    python -m bench.faulty --playbook P --data D --port N --fault FILE

It makes the same world as the command line does, with one layer around the store. The file says how the store is:
empty or absent for healthy, ``slow`` (every call takes 50 ms), ``hung`` (no call returns until the file says otherwise)
or ``dead`` (every call raises). It is read often enough to be in force within a tenth of a second.
"""

import argparse
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import structs

from cashwrap.cli.world import open_world
from cashwrap.engine import Engine, World
from cashwrap.errors import Unavailable
from cashwrap.publishing import PlaybookSource
from cashwrap.serve import hot
from cashwrap.serve.run import ServeOptions, serve

SLOW = 0.05
LOOK = 0.02


class Fault:
    """How the store is, as the file says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._now = ""
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            text = self._file.read_text().strip() if self._file.exists() else ""
            if text != self._now:
                with self._changed:
                    self._now = text
                    self._changed.notify_all()
            time.sleep(LOOK)

    def suffer(self) -> None:
        """What a call of the store goes through before it is served."""
        if self._now == "slow":
            time.sleep(SLOW)
        if self._now == "hung":
            with self._changed:
                self._changed.wait_for(lambda: self._now != "hung")
        if self._now == "dead":
            raise Unavailable("the store is dead, as the benchmark wants it")
        if self._now == "broken":
            raise OSError("the store is broken, as the benchmark wants it")


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
    parser.add_argument("--patience", type=float, default=hot.PATIENCE, help="seconds that collect waits for a commit")
    options = parser.parse_args()
    hot.PATIENCE = options.patience
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s")
    source = PlaybookSource(options.playbook)
    first = source.load()
    with open_world(options.data, make=True) as world:
        engine = Engine(first, faulty(world, Fault(options.fault)))
        try:
            serve(engine, source, ServeOptions(port=options.port, rate=0), ready)
        finally:
            engine.close()


def ready(address: str) -> None:
    print(f"cashwrap is ready at {address}", flush=True)


if __name__ == "__main__":
    main()
