"""Audiences: members pushed in from a CRM are events like any other, gated by consent, of one store only."""

from collections.abc import Iterator

import pytest

from cashwrap import audiences
from cashwrap.errors import InvalidInput, Unavailable
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, examine, read_files
from cashwrap.request import ShopperRef
from engines import STARTER, Shop, TestClock, memory_world, shop_over

A = {"anonymousId": "anon-audience-a"}


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    files = dict(read_files(STARTER))
    name = next(name for name, text in files.items() if "\nsegments:\n" in text)
    files[name] += "\n  vip:\n    description: Chosen by hand.\n    members: pushed\n"
    playbook, faults = examine(files)
    assert playbook is not None, faults
    return playbook


@pytest.fixture
def shop(playbook: Playbook) -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), playbook) as shop:
        yield shop


def push(shop: Shop, add: list[ShopperRef] = [], remove: list[ShopperRef] = []) -> dict[str, object]:  # noqa: B006
    return audiences.push(shop.engine, shop.caller(trusted=True), "vip", add, remove)


def members(shop: Shop) -> list[object]:
    shop.engine.writer.call(lambda: shop.engine.sweeper.run() and None)
    page = audiences.members(shop.engine, shop.tenant, "vip", "", 100)
    return [member["userId"] for member in page["members"]]  # type: ignore[attr-defined]


def test_members_are_pushed_in_and_taken_out(shop: Shop) -> None:
    for user in ("jonas", "mira"):
        shop.consents({"userId": user}, trusted=True)
    told = push(shop, [ShopperRef(user_id="jonas"), ShopperRef(user_id="mira")])
    assert (told["received"], told["stored"]) == (2, 2)
    assert sorted(map(str, members(shop))) == ["jonas", "mira"]
    assert next(each for each in audiences.sizes(shop.engine, shop.tenant)["audiences"] if each["name"] == "vip") == {  # type: ignore[attr-defined]
        "name": "vip",
        "size": 2,
        "pushed": True,
        "description": "Chosen by hand.",
    }
    shop.clock.wait(minutes=1)
    push(shop, remove=[ShopperRef(user_id="jonas")])
    assert members(shop) == ["mira"]
    shop.clock.wait(minutes=1)
    push(shop, [ShopperRef(user_id="jonas")])
    assert sorted(map(str, members(shop))) == ["jonas", "mira"]


def test_a_membership_acts_on_the_next_decision(shop: Shop) -> None:
    shop.consents(A)
    push(shop, [ShopperRef(anonymous_id=A["anonymousId"])])
    explained = shop.profile(anonymous=A["anonymousId"])
    assert explained is not None
    assert explained.lists["vip"].value is True


def test_who_has_not_consented_is_not_put_on_a_list(shop: Shop) -> None:
    told = push(shop, [ShopperRef(user_id="stranger")])
    assert (told["received"], told["dropped_by_consent"], told["stored"]) == (1, 1, 0)
    assert shop.profile(user="stranger") is None
    shop.consents({"userId": "refuser"}, trusted=True, personalization="denied", analytics="denied")
    assert push(shop, [ShopperRef(user_id="refuser")])["dropped_by_consent"] == 1


def test_a_push_spoils_no_later_repeat(shop: Shop) -> None:
    """Pushed events have no body of their own; the ids beside theirs must stay readable after a restart."""
    shop.consents(A)
    push(shop, [ShopperRef(anonymous_id=A["anonymousId"])])
    event = shop.views(A)
    shop.keeps(event)
    shop.engine.hot.profiles.clear()
    assert shop.keeps(event).duplicate == 1


@pytest.mark.parametrize("ref", [ShopperRef(), ShopperRef(user_id="null"), ShopperRef(anonymous_id="0000")])
def test_a_member_that_names_nobody_is_refused(shop: Shop, ref: ShopperRef) -> None:
    with pytest.raises(InvalidInput) as refused:
        push(shop, [ref])
    assert refused.value.code == "missing_identity"
    assert shop.engine.account().received == 0


def test_another_store_has_its_own_members(shop: Shop) -> None:
    other = Shop(shop.engine, shop.clock, Tenant("other", "live"))
    for each in (shop, other):
        each.consents({"userId": "jonas"}, trusted=True)
    push(shop, [ShopperRef(user_id="jonas")])
    assert members(shop) == ["jonas"]
    assert members(other) == []


def test_a_server_that_is_stopping_says_so(shop: Shop) -> None:
    shop.engine.close()
    with pytest.raises(Unavailable):
        push(shop, [ShopperRef(user_id="jonas")])
