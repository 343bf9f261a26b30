"""The segments that an exposure is stamped with: who the shopper was then, as far as they allow to be known."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from cashwrap import memberships
from cashwrap.history import read_events, rebuild
from cashwrap.model import Event
from cashwrap.playbook import Playbook, examine
from engines import LIVE, Shop, TestClock, memory_world, shop_over

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile Safari/604.1"
PLAYBOOK = """
shop: {currency: EUR, locale: en}
placements:
  banner: {component: message}
features:
  orders:   {count: Order Completed}
  views:    {count: Product Viewed, window: 1h}
  measured: {count: Product Viewed, purpose: analytics}
  exposed:  {count: Experience Viewed}
segments:
  browsing:  views >= 1
  bought:    orders >= 1
  measures:  measured >= 1
  on_phone:  device.type == "mobile"
  been_here: exposed >= 1
  club:      {members: pushed}
  anybody:   orders >= 0
experiences:
  greeting: {in: banner, show: {text: {en: Good day.}}}
"""


def playbook(text: str = PLAYBOOK) -> Playbook:
    compiled, faults = examine({"shop.yaml": text})
    assert compiled is not None, faults
    return compiled


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), playbook()) as shop:
        yield shop


WHO = {"anonymousId": "anon-members-1"}


def viewed(shop: Shop, **properties: Any) -> dict[str, Any]:
    token = shop.decide(shopper=WHO)["token"]
    return shop.event(
        event="Experience Viewed", properties={"placement": "banner", "token": token, **properties}, **WHO
    )


def exposures(shop: Shop) -> list[Event]:
    """As the log keeps them."""
    world = shop.engine.world
    records = [record for record in world.store.log() if record.kind == "events"]
    events = [each for record in records for each in read_events(world.vault.open(record.shopper, record.payload))]
    return [each for each in events if each.name == "Experience Viewed"]


def stamped(shop: Shop, **how: Any) -> object:
    """What the next exposure is stamped with."""
    assert shop.keeps(viewed(shop), **how).stored == 1
    return exposures(shop)[-1].properties.get("segments")


def test_it_names_the_segments_that_hold_then(shop: Shop) -> None:
    shop.consents(WHO)
    assert stamped(shop) == ["anybody"], "itself is not yet seen: known is what was before"
    shop.keeps(shop.views(WHO))
    assert stamped(shop) == ["anybody", "been_here", "browsing", "measures"]
    shop.clock.wait(minutes=90)
    shop.keeps(shop.orders(WHO, "order-1", 20.0), trusted=True)
    assert stamped(shop) == ["anybody", "been_here", "bought", "measures"]


def test_the_log_says_the_same_as_the_live_shoppers(shop: Shop) -> None:
    shop.consents(WHO)
    shop.keeps(shop.views(WHO))
    stamped(shop)
    assert rebuild(shop.engine.world, shop.engine.live.playbook).differing == ()


def test_the_exposures_own_device_counts(shop: Shop) -> None:
    """The first event of a shopper may be the exposure: no profile tells of a device before it."""
    shop.consents(WHO)
    assert stamped(shop, agent=PHONE) == ["anybody", "on_phone"]


def test_nobody_may_send_them(shop: Shop) -> None:
    shop.consents(WHO)
    shop.keeps(viewed(shop, segments=["club", "bought"]))
    assert exposures(shop)[-1].properties["segments"] == ["anybody"]


def test_an_exposure_without_proof_has_none(shop: Shop) -> None:
    """One that was imported: its shopper is not now who they were then."""
    shop.consents(WHO)
    shop.keeps(viewed(shop))
    (proven,) = exposures(shop)
    claims: list[dict[str, object]] = [{"segments": ["club"], "placement": "banner"}, {"placement": "banner"}]
    told = [replace(proven, id=f"old-{len(each)}", source="import:old", properties=each) for each in claims]
    assert shop.engine.submit_and_wait(LIVE, told).accounting.stored == 2
    assert [each.properties.get("segments") for each in exposures(shop)] == [["anybody"], None, None]


@pytest.mark.parametrize("purpose", ["personalization", "analytics"])
def test_without_personalization_nobody_looks(shop: Shop, purpose: str) -> None:
    shop.consents(WHO, **{"personalization": "denied", "analytics": "denied", purpose: "granted"})
    token = shop.decide(shopper=WHO, context={"cart": {"token": "cart-of-nobody-else-0001"}})["token"]
    event = shop.event(event="Experience Viewed", properties={"placement": "banner", "token": token}, **WHO)
    assert shop.keeps(event).stored == 1
    assert exposures(shop)[-1].properties.get("segments") == (["anybody"] if purpose == "personalization" else None)


def test_there_are_so_many_at_most() -> None:
    more = "\n".join(f"  s{number:03}: orders >= 0" for number in range(memberships.SEGMENTS + 10))
    text = PLAYBOOK.replace("segments:\n", f"segments:\n{more}\n")
    with shop_over(memory_world(TestClock()), playbook(text)) as shop:
        shop.consents(WHO)
        assert stamped(shop) == ["anybody", *(f"s{number:03}" for number in range(memberships.SEGMENTS - 1))]
