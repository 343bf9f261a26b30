"""Third-party clients, unmodified, against the true server. Without node theirs skip; in CI a skip is a failure."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import TestClock, memory_world
from servers import Server, serving

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(memory_world(TestClock())) as server:
        yield server


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node, with the clients installed."""
    found = shutil.which("node")
    if found is None or not all((MODULES / publisher).is_dir() for publisher in ("@segment", "@openfeature")):
        reason = "the JavaScript clients need node: npm --prefix tests/clients ci"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
