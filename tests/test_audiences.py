"""Audiences: members pushed in from outside are in, until taken out, and only with their consent and by the backend."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cashwrap import audiences
from cashwrap.playbook import Playbook, examine, read_files
from cashwrap.request import ShopperRef
from engines import STARTER, Shop, TestClock, memory_world, shop_over

JONAS = {"userId": "jonas"}
VIP = """
segments:
  vip: {members: pushed, description: Kept in the CRM.}
experiences:
  vip_greeting:
    in: home_hero
    when: '"vip" in segments'
    show: {text: Your adviser is Mara.}
"""


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    compiled, faults = examine({**read_files(Path(STARTER)), "crm.yaml": VIP})
    assert compiled is not None, faults
    return compiled


@pytest.fixture
def shop(playbook: Playbook) -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), playbook) as shop:
        yield shop


def push(shop: Shop, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> dict[str, object]:
    people = [[ShopperRef(user_id=user) for user in users] for users in (add, remove)]
    return audiences.push(shop.engine, shop.caller(trusted=True), "vip", *people)


def members(shop: Shop) -> list[object]:
    shop.engine.writer.call(lambda: shop.engine.sweeper.run() and None)
    page = audiences.members(shop.engine, shop.tenant, "vip", "", 1000)["members"]
    assert isinstance(page, list)
    return [member["userId"] for member in page]


def test_who_is_pushed_in_is_in_until_taken_out(shop: Shop) -> None:
    shop.consents(JONAS, trusted=True)
    assert shop.explained(JONAS)["segments.vip"] is False
    assert push(shop, add=("jonas",))["stored"] == 1
    assert shop.explained(JONAS)["segments.vip"] is True
    assert members(shop) == ["jonas"]
    shop.clock.wait(minutes=1)
    assert push(shop, remove=("jonas",))["stored"] == 1
    assert shop.explained(JONAS)["segments.vip"] is False
    assert members(shop) == []


def test_without_consent_nobody_is_pushed_anywhere(shop: Shop) -> None:
    assert push(shop, add=("jonas",))["dropped_by_consent"] == 1
    assert members(shop) == []


@pytest.mark.parametrize("trusted", [False, True])
def test_nobody_may_send_a_membership_as_an_event(shop: Shop, *, trusted: bool) -> None:
    shop.consents(JONAS, trusted=True)
    who = {"userId": "jonas", "token": shop.token("jonas")} if not trusted else JONAS
    event = shop.event(event="Audience Member Added", properties={"audience": "vip"}, **who)
    _, refused = shop.batch(event, trusted=trusted)
    assert [each.code for each in refused] == ["undeclared_event"]
    assert members(shop) == []
