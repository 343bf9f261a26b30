"""One server for the tests of a module; each test uses shoppers of its own."""

from collections.abc import Iterator

import pytest

from servers import Server, serving_folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_folder(tmp_path_factory.mktemp("data")) as server:
        yield server
