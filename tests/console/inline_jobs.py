"""Jobs that run where they are asked for, at once: what pages make of a result, without another process."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.console.conftest import Site

from cashwrap.adapters.system import SystemClock
from cashwrap.console.work.jobs import Job, Jobs, Work, _done
from cashwrap.errors import TooMuch
from cashwrap.model import Millis


class InlineJobs(Jobs):
    """``state`` makes every job stay in it; ``full`` refuses all."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, SystemClock())
        self.asked: list[tuple[Any, ...]] = []
        self.state: Any = ""
        self.full = False

    def ask(self, name: str, work: Work, *args: object, fresh: Millis = 0) -> Job:
        if self.full:
            raise TooMuch("20 jobs wait already; try again in a minute", code="too_many_jobs", retry_after=60)
        now = self._clock.now()
        last = self._jobs.get(name)
        if last is not None and not last.awaited and now - last.ended <= fresh:
            return last
        self.asked.append((name, work, *args))
        job = self._jobs[name] = Job(name, now)
        if last is not None:
            job.result, job.made = last.result, last.made
        if self.state:
            job.state, job.words, job.share = self.state, "reading the log", 0.4
        else:
            self._end(job, _done(work, self._data, args))
        return job


def inline(site: Site) -> InlineJobs:
    """Give a site such jobs."""
    jobs = InlineJobs(site.folder)
    site.console = replace(site.console, jobs=jobs)
    return jobs
