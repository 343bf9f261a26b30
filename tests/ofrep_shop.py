"""A true ``cashwrap serve`` for OpenFeature's published clients, with keys for a page and for a backend."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx

from cashwrap.keys import Keys
from cashwrap.library import open_world
from engines import LIVE, STARTER
from processes import Process, client, process

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

    def __init__(self, running: Process, folder: Path, data: Path, keys: tuple[str, str]) -> None:
        self.running = running
        self.url = running.url
        self.playbook = folder
        self.secret, self.public = keys
        self.backend = client(self.url, self.secret)
        self._data = data

    def key_for(self, origin: str) -> str:
        """A publishable key for another origin, once the server knows it."""
        text = made(self._data, "publishable", origin)
        assert eventually(lambda: self.bulk(text).status_code == 200)
        return text

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


def made(data: Path, kind: Literal["publishable", "secret"], *origins: str) -> str:
    """What ``cashwrap keys create`` does, without a process."""
    with open_world(data, serving=False, make=True) as world:
        return Keys(world.registry).create(kind, LIVE, origins, world.random)


@contextmanager
def ofrep_shop(folder: Path, *more: str, origin: str = "https://shop.example") -> Iterator[OfrepShop]:
    playbook, data = folder / "playbook", folder / "data"
    if not playbook.exists():
        shutil.copytree(STARTER, playbook)
    keys = made(data, "secret"), made(data, "publishable", origin)
    with process(playbook, data, *more) as running:
        shop = OfrepShop(running, playbook, data, keys)
        with shop.backend:
            yield shop
