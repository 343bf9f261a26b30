"""A process that has imported everything and forks, for each job, a child to be killed.

It runs as ``python -m cashwrap.testing.chaos.child`` and takes one job a line on its standard input. A child says on
the standard output when it is ready or what it found; when it is gone that is said too, and the next job is taken.
"""

import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from cashwrap.engine import Engine
from cashwrap.faults import crash_at
from cashwrap.library import memory_world, open_world
from cashwrap.ports import Changes, Store
from cashwrap.publishing import PlaybookSource
from cashwrap.serve.publish import Publisher
from cashwrap.serve.run import ServeOptions, serve
from cashwrap.testing.chaos import errands
from cashwrap.testing.chaos.nursery import Job, Word
from cashwrap.testing.chaos.race import race
from cashwrap.testing.chaos.stage import compiled_playbook
from cashwrap.versions import Versions


class _Late:
    """The planted bug: a store that says so before it is so, and commits with the next request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting = Changes()

    def commit(self, changes: Changes) -> int:
        waiting, self._waiting = self._waiting, changes
        return self._store.commit(waiting)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _say(word: Word) -> None:
    os.write(1, msgspec.json.encode(word) + b"\n")  # one write, so that two processes' words do not mix


def _run(job: Job) -> None:
    if job.race is not None:
        _say(Word("done", text=race(Path(job.data), job.race)))
        return
    crash_at(job.crash)
    if job.errand:
        errands.run(job.errand, Path(job.data))
        return
    with open_world(Path(job.data), reserve=job.reserve) as made:
        world = structs.replace(made, store=_Late(made.store)) if job.late else made
        publisher = Publisher(Versions(world.registry, world.clock), PlaybookSource(Path(job.playbook)))
        engine = Engine(publisher.first(), world)
        serve(engine, publisher, ServeOptions(port=0, rate=0), lambda url: _say(Word("ready", text=url)))


def _warm() -> None:
    """Have done once what every server does at its start and what does not differ between them."""
    Engine(compiled_playbook(), memory_world()).close()
    gc.collect()
    gc.freeze()
    gc.disable()  # a child lives too short to need it, and would walk all that was imported


def main() -> None:
    """Take jobs until the input ends. A child that is gone keeps its process id until the next job, so that a kill that
    comes too late meets nobody else."""
    _warm()
    gone = 0
    for line in sys.stdin.buffer:
        job = msgspec.json.decode(line, type=Job)
        if gone:
            os.waitpid(gone, 0)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _say(Word("born", os.getpid()))  # by itself, so that nothing it says can come before
                _run(job)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        by_signal = ended is not None and ended.si_code != os.CLD_EXITED
        _say(Word("gone", child, f"{-ended.si_status if by_signal else ended.si_status}" if ended else ""))
        gone = child


if __name__ == "__main__":
    main()
