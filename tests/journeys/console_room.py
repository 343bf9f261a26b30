"""A shop with its console, as people use it: a real ``cashwrap serve``, shoppers over HTTP, browsers that sign in."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from cashwrap.adapters.system import SystemRandom
from cashwrap.keys import Keys
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.playbook.starter import starter_folder
from processes import process

PASSWORD = "four-kettles-on-a-shelf"
OWNER = "olga"
HERE = "/console/default/live"


@dataclass
class Room:
    """The server's address, and what its backend knows."""

    url: str
    data: Path
    playbook: Path
    secret: str
    link: str
    """Makes the owner, once."""
    sent: int = field(default=0)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, headers={"authorization": f"Bearer {self.secret}"}, timeout=30)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def send(self, shopper: dict[str, str], *events: dict[str, Any]) -> None:
        """Events of one shopper, from the shop's backend."""
        self.sent += 1
        batch = [{**event, **shopper, "messageId": f"{self.sent}-{at}"} for at, event in enumerate(events)]
        self.post("/v1/batch", {"batch": batch})

    def become_owner(self, page: Page) -> None:
        """By the link that the terminal showed."""
        page.goto(self.link)
        page.fill("[name=name]", OWNER)
        choose_password(page)

    def sign_in(self, page: Page, name: str) -> None:
        page.goto(f"{self.url}/console/login")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")
        expect(page).to_have_url(f"{self.url}{HERE}/now")


def choose_password(page: Page) -> None:
    """On the page that a one-time link opens."""
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("button.primary")
    expect(page.locator("h1")).to_have_text("Now")


CONSENT = {"type": "consent", "choices": {"personalization": "granted", "analytics": "granted"}}


def order(number: str, subtotal: float) -> dict[str, Any]:
    """What the backend says of an order."""
    return {"type": "track", "event": "Order Completed", "properties": {"order_id": number, "subtotal": subtotal}}


@contextmanager
def room(folder: Path, edit: Sequence[tuple[str, str]] = ()) -> Iterator[Room]:
    """A server over the starter playbook, with ``edit`` (a file's name, and what is put in its place or at its end)."""
    data, playbook = folder / "data", folder / "playbook"
    shutil.copytree(starter_folder(), playbook)
    for name, more in edit:
        with (playbook / name).open("a") as file:
            file.write(more)
    with open_world(data, make=True) as world:
        secret = Keys(world.registry).create("secret", Tenant(), (), SystemRandom())
        Keys(world.registry).create("secret", Tenant("default", "test"), (), SystemRandom())
    with process(playbook, data, "--console") as running:
        assert running.popen.stdout is not None
        link = next(line.strip() for line in running.popen.stdout if "/console/welcome?link=" in line)
        yield Room(running.url, data, playbook, secret, link)
