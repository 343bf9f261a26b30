"""A true ``cashwrap serve`` for OpenFeature's published clients, with keys for a page and for a backend."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from engines import STARTER
from processes import Process, cashwrap, client, process

FREE = "Standard delivery is free with this basket."
"""What ``basket_message`` says from a cart of 50 on."""
CONTEXT = {"cart": {"total": 60}}
DEFAULT = {"type": "message", "text": "our own"}
"""What the application falls back to."""


def eventually(holds: Callable[[], Any]) -> bool:
    pause = threading.Event()
    return any(holds() or pause.wait(0.02) for _ in range(500))


class OfrepShop:
    """The running server, its keys and its playbook."""

    def __init__(self, running: Process, folder: Path, data: Path, origin: str) -> None:
        self.running = running
        self.url = running.url
        self.playbook = folder
        self.secret = cashwrap("keys", "create", "secret", "--data", data).split()[-1]
        self.public = cashwrap("keys", "create", "publishable", "--origin", origin, "--data", data).split()[-1]
        self.backend = client(self.url, self.secret)
        assert eventually(lambda: self.bulk(self.public).status_code == 200), "the server sees new keys"

    def bulk(self, key: str, context: Any = None) -> httpx.Response:
        body = {"context": context or {}}
        return httpx.post(f"{self.url}/ofrep/v1/evaluate/flags", json=body, headers={"x-api-key": key})

    def content(self, placement: str) -> Any:
        """What decide shows there for a cart of sixty."""
        answer = self.backend.post("/v1/decide", json={"context": CONTEXT, "placements": [placement]}).json()
        return answer["placements"][placement]["content"]

    def says(self, text: str) -> None:
        """Edit the playbook: the message of ``basket_message`` is another one."""
        page = self.playbook / "experiences.yaml"
        changed = page.read_text().replace(FREE, text)
        assert changed != page.read_text()
        page.write_text(changed)

    def kill(self, placement: str, *, off: bool) -> None:
        body = {"scope": "placement", "name": placement, "off": off}
        assert self.backend.put("/v1/kill", json=body).status_code == 200

    def knows(self, user: str) -> None:
        """Somebody with consent and a past."""
        who = {"userId": user, "anonymousId": f"device-of-{user}"}
        choices = {"personalization": "granted", "analytics": "granted"}
        view = {"event": "Product Viewed", "properties": {"product_id": "mug"}}
        for path, body in (("/v1/consent", {"choices": choices}), ("/v1/identify", {}), ("/v1/track", view)):
            message = {**who, "messageId": f"{user}-{path}", **body}
            assert self.backend.post(path, json=message).json() == {"success": True}


@contextmanager
def ofrep_shop(folder: Path, *more: str, origin: str = "https://shop.example") -> Iterator[OfrepShop]:
    playbook, data = folder / "playbook", folder / "data"
    if not playbook.exists():
        shutil.copytree(STARTER, playbook)
    with process(playbook, data, *more) as running:
        shop = OfrepShop(running, playbook, data, origin)
        with shop.backend:
            yield shop
