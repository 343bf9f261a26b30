"""For how many a condition holds: counted on shoppers and decisions, hidden below twenty. A preview as a shopper."""

import re
from pathlib import Path

import msgspec
import pytest
from tests.console.conftest import Site
from tests.console.shopper_data import fill, take

from cashwrap.condition import Environment, Type
from cashwrap.console.groups.fitting import Fitting
from cashwrap.console.groups.groups import STEP, Veil
from cashwrap.console.shopper.links import ShopperLinks
from cashwrap.engine import Engine
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.request import DecideRequest
from cashwrap.versions import Versions

HERE = Tenant()
CROWD, BUYERS = 90, 60


class Exact(Veil):
    """A planted bug: every count as it is."""

    def count(self, question: str, count: int) -> int:
        return count


def crowd(folder: Path) -> None:
    """Ninety shoppers of whom sixty have ordered once and three twice, each with one decision on a phone or a desk."""
    events: list[dict[str, object]] = []
    for number in range(CROWD):
        user = f"customer-{number}"
        events.append({"type": "consent", "userId": user, "scope": "person", "choices": {"personalization": "granted"}})
        orders = 2 if number < 3 else 1 if number < BUYERS else 0
        events += [
            {"type": "track", "userId": user, "event": "Order Completed",
             "properties": {"order_id": f"{number}-{order}", "subtotal": 10, "currency": "EUR"}}
            for order in range(orders)
        ]  # fmt: skip
        events.append({"type": "track", "userId": user, "event": "Cart Viewed", "properties": {}})
    with open_world(folder) as world:
        versions = Versions(world.registry, world.clock)
        engine = Engine(versions.load(versions.find("live")), world)
        caller = Caller(
            ApiKey("backend", "secret", HERE, b""), RequestFacts(world.clock.now(), "backend", HERE, trusted=True)
        )
        try:
            take(engine, events)
            for number in range(CROWD):
                device = "mobile" if number < BUYERS else "desktop"
                body = {"shopper": {"userId": f"customer-{number}"}, "context": {"device": {"type": device}}}
                engine.decide(msgspec.convert(body, DecideRequest), caller)
            take(engine, events[-1:])
        finally:
            engine.close()


def test_shoppers_and_decisions_are_counted_and_few_of_them_hidden(site: Site) -> None:
    crowd(site.folder)
    mia = site.browser("marketer")
    console = site.console
    playbook = console.reading.engine().live.playbook
    names = Environment({"orders": Type.NUMBER, "device.type": Type.STRING})
    exact = Fitting(console.world, HERE, Exact(b""))
    told = Fitting(console.world, HERE, Veil(b"secret"))

    found = exact.fit("orders >= 1", playbook, names)
    assert (found.asked, found.everybody, found.decided) == (CROWD, CROWD, CROWD)
    assert found.shoppers.share == pytest.approx(BUYERS / CROWD)
    assert not found.visits
    phones = exact.fit('device.type == "mobile"', playbook, names)
    assert phones.decisions.share == pytest.approx(BUYERS / CROWD)
    assert phones.visits

    hidden = told.fit("orders >= 1", playbook, names)
    assert hidden.asked % STEP == 0
    assert not hidden.shoppers.few
    few = told.fit("orders >= 2", playbook, names)
    assert few.shoppers.few
    assert few.decisions.few
    assert told.fit("orders < 2", playbook, names).shoppers.nearly  # who is left is as few, and told as little
    assert "about" in mia.part("/drafts/new/fit", when="orders >= 1").text
    assert "fewer than 20" in mia.part("/drafts/new/fit", when="orders >= 2").text


def test_a_preview_as_a_shopper_is_theirs_and_noted(site: Site) -> None:
    fill(site.folder)
    world = site.console.world
    (key,) = world.store.shoppers(None, 10)
    mia = site.browser("marketer", name="mia")
    link = ShopperLinks(world.vault, world.clock, world.random).make(HERE, "mia", key.shopper)
    page = mia.get("/drafts/new/preview", shopper=link, device="desktop", total="80")
    assert page.status_code == 200
    assert "your look was noted" in page.text
    hero = re.search(r"<h2><bdi>Home hero</bdi>(.*?)</section>", page.text, re.DOTALL)
    assert hero is not None
    assert "welcome_back_by_name" in hero[1]
    assert "<script>alert" not in page.text
    entries = [entry for _, entry in world.audit.entries() if entry.action == "shopper.read"]
    assert len(entries) == 1
    assert key.shopper.hex() not in str(entries)
    of_another = site.browser("marketer", name="tom").get("/drafts/new/preview", shopper=link)
    assert of_another.status_code == 403
    assert site.browser("viewer").get("/drafts/new/preview", shopper=link).status_code == 403
