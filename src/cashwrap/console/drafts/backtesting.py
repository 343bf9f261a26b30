"""A draft against the decisions of the last days, in the process for long work."""

from collections.abc import Mapping
from pathlib import Path

from cashwrap.console.work.jobs import tell
from cashwrap.history.backtest import LIMIT, Scope, backtest
from cashwrap.history.tally import Backtest
from cashwrap.library import open_world
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import examine
from cashwrap.playbook.compile import refusal
from cashwrap.versions import playbook_files

SPANS: dict[str, Millis] = {"1d": 86_400_000, "7d": 7 * 86_400_000, "14d": 14 * 86_400_000}
"""How far back one may look."""
USUAL = "7d"


def backtest_draft(data: Path, files: Mapping[str, str], tenant: Tenant, span: str) -> Backtest:
    """What a draft would have decided. Raises as ``backtest`` does, and ``PlaybookError``."""
    playbook, faults = examine(playbook_files(files))
    if playbook is None:
        raise refusal(faults)
    with open_world(data, serving=False) as world:
        since = world.clock.now() - SPANS[span]
        scope = Scope(tenant, since, LIMIT, lambda done, of: tell(done / of if of else 0.0, "replaying"))
        return backtest(world, playbook, scope)
