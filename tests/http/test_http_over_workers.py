"""What HTTP promises, once more against an engine that does not write itself: the very tests of one process."""

from collections.abc import Iterator

import pytest
from test_http_admin import *  # noqa: F403
from test_http_collect import *  # noqa: F403

from cashwrap.serve.rates import Rates
from crews import crew
from servers import Server

del globals()["test_audiences"]  # it sweeps by hand, which only the process that writes can


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with crew(tmp_path_factory.mktemp("crew"), workers=1) as team:
        team.shops[0].engine.account = team.writer.account  # type: ignore[method-assign] # where it is written
        server = Server(team.shops[0], Rates(team.clock, 0, proxies=frozenset({"127.0.0.1"})))
        try:
            yield server
        finally:
            server.close()
