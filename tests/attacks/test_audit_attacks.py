"""Whoever writes a person into the audit log, where nothing can be forgotten, or changes it unseen."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from cashwrap.adapters.audit import FILE
from engines import TestClock, folder_world
from servers import serving_folder

CANARY = "canary-ada"
CALLS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PUT", "/v1/kill", {"scope": "experience", "name": CANARY, "off": True, "reason": CANARY}),
    ("PUT", "/v1/kill", {"scope": "placement", "name": CANARY, "off": False}),
    ("GET", f"/v1/audiences/{CANARY}/members", None),
    ("DELETE", f"/v1/webhooks/{CANARY}", None),
    ("GET", f"/v1/decisions/{CANARY}", None),
    ("GET", f"/v1/shoppers?userId={CANARY}", None),
    ("DELETE", f"/v1/shoppers?userId={CANARY}", None),
    ("POST", "/v1/previews", {"experience": CANARY, "url": f"https://{CANARY}/"}),
    ("POST", "/v1/playbook/rollback", {"hash": CANARY[:16], "who": CANARY, "message": CANARY}),
    ("POST", "/v1/failed/replay", {"code": CANARY}),
    ("POST", "/v1/failed/discard", {"code": CANARY}),
    ("POST", "/v1/failed/1/repair", {"set": {f"properties.{CANARY}": CANARY}}),
    ("GET", f"/v1/failed/{CANARY}", None),
]


@pytest.mark.parametrize("call", CALLS, ids=[f"{method} {path}" for method, path, _ in CALLS])
def test_no_request_writes_a_name_of_its_own_into_the_log(
    tmp_path: Path, call: tuple[str, str, dict[str, Any] | None]
) -> None:
    method, path, body = call
    with serving_folder(tmp_path) as server:
        more = {} if body is None else {"json": body}
        assert server.admin(method, path, **more).status_code < 500
        log = tmp_path / FILE
        assert not log.exists() or CANARY not in log.read_text()


def test_a_chain_made_anew_without_the_key_is_found(tmp_path: Path) -> None:
    """An insider who has the log and this source, but not ``keys.db``."""
    with serving_folder(tmp_path) as server:
        for off in (True, False, True):
            server.admin("PUT", "/v1/kill", json={"scope": "all", "off": off})
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len(lines) >= 3
    changed, before = [], "0" * 64
    for line in lines:
        text = re.sub(r'"previous":"[0-9a-f]*"', f'"previous":"{before}"', line.replace("switch.off", "switch.on"))
        said = text[: text.index(',"hash"')]
        before = hashlib.blake2b(said.encode(), digest_size=32).hexdigest()
        changed.append(f'{said},"hash":"{before}"}}')
    (tmp_path / FILE).write_text("\n".join(changed) + "\n")
    with folder_world(tmp_path, TestClock()) as world:
        assert world.audit is not None
        assert world.audit.verify()
