"""Offers over HTTP, once more against an engine that does not write itself: the very tests of one process."""

from collections.abc import Iterator

import pytest
from test_http_offers import *  # noqa: F403
from test_http_offers import PLENTY

from cashwrap.serve.rates import Rates
from crews import crew
from offer_shop import playbook
from servers import Server

del globals()["test_twenty_clients_spend_ten"]  # it tends by hand, which only the process that writes can


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with crew(tmp_path_factory.mktemp("crew"), 1, playbook(PLENTY)) as team:
        running = Server(team.shops[0], Rates(team.clock, 0))
        try:
            yield running
        finally:
            running.close()
