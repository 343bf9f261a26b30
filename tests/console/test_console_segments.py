"""Sizes of segments: told so that nobody is found, kept over time, and drawn for people."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.console.conftest import Site

from cashwrap import profiles
from cashwrap.adapters.console_store import ConsoleStore
from cashwrap.console.console import Options, open_console
from cashwrap.console.groups.groups import STEP, Veil, portion
from cashwrap.console.groups.sampling import MOST, Looking
from cashwrap.console.groups.sizes import DAY, DAYS, HOUR, HOURS
from cashwrap.library import open_world
from cashwrap.model import Order, Profile, Stamped, Tenant
from cashwrap.ports import Changes, Row, ShopperKey, Transition
from cashwrap.publishing import draft_of
from cashwrap.versions import Versions
from cashwrap.world import World

VEIL = Veil(b"secret")
HERE = Tenant()


# --- what may be told ---


class Exact(Veil):
    """A planted bug: every count as it is."""

    def count(self, question: str, count: int) -> int:
        return count


class Stepped(Veil):
    """A planted bug: rounded alike for all questions, so that a step between two of them is a shopper."""

    def count(self, question: str, count: int) -> int:
        return count // STEP * STEP


@cache
def veiled(shown: int) -> set[int]:
    """Every true count that may be shown like this under some question."""
    return {
        count
        for count in range(shown + 2 * STEP)
        if any(shown == max(0, count - off) // STEP * STEP for off in range(STEP))
    }


def found(veil: Veil, could_be: Callable[[int], set[int]]) -> int:
    """How many of random pairs of questions, about a group and about the same group without one shopper, prove
    that this shopper was in it, or was not."""
    dice, proofs = random.Random(7), 0
    for number in range(500):
        count = dice.randint(1, 300)
        one = could_be(veil.count(f"one {number}", count))
        other = could_be(veil.count(f"other {number}", count - dice.randint(0, 1)))
        inside, outside = any(each - 1 in other for each in one), bool(one & other)
        proofs += not (inside and outside)
    return proofs


def test_random_pairs_of_questions_find_nobody() -> None:
    assert found(VEIL, veiled) == 0


@pytest.mark.parametrize(
    ("broken", "could_be"),
    [(Exact(b"s"), lambda shown: {shown}), (Stepped(b"s"), lambda shown: set(range(shown, shown + STEP)))],
)
def test_the_search_for_somebody_is_red_on_a_planted_bug(broken: Veil, could_be: Callable[[int], set[int]]) -> None:
    assert found(broken, could_be) > 10


def test_a_count_is_never_above_the_truth_and_never_below_twenty() -> None:
    for count in range(500):
        told = VEIL.count(f"any {count}", count)
        assert told % STEP == 0
        assert count - 2 * STEP < told <= count
        assert told == VEIL.count(f"any {count}", count)
        if count < STEP:
            assert told == 0


def test_a_part_is_told_of_rounded_numbers_and_its_rest_protected_too() -> None:
    assert portion(VEIL, "a", 3, 500, 500).few
    assert portion(VEIL, "a", 497, 500, 500).nearly
    exact = portion(VEIL, "b", 250, 500, 500)
    assert exact.low == exact.share == exact.high == VEIL.count("b", 250) / VEIL.count("b of", 500)
    sampled = portion(VEIL, "c", 700, 2_000, 100_000)
    assert sampled.low < sampled.share <= 0.35 < sampled.high
    assert sampled.high - sampled.low < 0.07


# --- over time ---


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[ConsoleStore]:
    store = ConsoleStore(tmp_path)
    yield store
    store.close()


def test_only_what_changed_is_kept_and_old_readings_are_thinned(kept: ConsoleStore) -> None:
    now = 1_000 * DAY
    old = [now - day * DAY + hour * HOUR for day in range(800, 20, -20) for hour in (0, 6)]
    new = [now - day * DAY for day in range(13, 0, -1)]
    for number, at in enumerate([*old, *new]):
        kept.keep_sizes("shop", at, {"vip": 20 * number} if number else {"vip": 0, "old": 20})
    kept.thin_sizes("shop", now - HOURS, now - DAYS)
    assert kept.readings("shop") == [*(at for at in old if at % DAY and at >= now - DAYS), *new]
    assert [at for at, _ in kept.sizes_of("shop", "vip")] == [old[7], *kept.readings("shop")]  # what still held then
    assert kept.sizes_at("shop", ["vip", "old", "none"], now - 400 * DAY + DAY) == {"vip": 20 * 41, "old": 20}
    assert kept.newest_sizes("shop") == {"vip": 20 * (len(old) + len(new) - 1), "old": 20}
    assert kept.newest_sizes("other") == {}


# --- pages ---


def fill(world: World, counts: dict[str, int], *, tenant: Tenant = HERE, orders: int = 0) -> None:
    """Shoppers in segments: as many as the largest count, the first ones in every segment; half of them on a phone."""
    dice, changes = random.Random(1), Changes()
    for number in range(max(counts.values())):
        shopper = dice.randbytes(16)
        device = Stamped("mobile" if number % 2 else "desktop", 1, "1")
        bought = {"o": Order("o", 1, "EUR", state="completed")} if number < orders else {}
        profile = Profile(shopper, dice.randbytes(16), 1, where={"device": device}, orders=bought)
        sealed = world.vault.seal(shopper, profiles.encode(profile))
        changes.rows[ShopperKey(tenant, shopper)] = Row(sealed, b"")
        changes.transitions += [
            Transition(tenant, shopper, segment, entered=True, at=1)
            for segment, count in counts.items()
            if number < count
        ]
    world.vault.persist()
    world.store.commit(changes)


@pytest.fixture
def busy(site: Site) -> Site:
    with open_world(site.folder) as world:
        fill(world, {"mobile": 300, "returning": 297, "high_value": 19, "new_visitor": 120}, orders=100)
        fill(world, {"mobile": 7}, tenant=Tenant("other", "live"))
    return site


def test_the_list_has_sizes_shares_and_readers_and_no_small_number(busy: Site) -> None:
    page = busy.browser("viewer").get("/segments").text
    told = busy.console.sizes.veil.count('device.type == "mobile"', 300)
    assert all(name in page for name in ("mobile", "high_value", "buy_on_phones"))
    assert "fewer than 20" in page
    assert ">19<" not in page
    assert f"<span>{told}</span>" in page
    assert (
        busy.browser("viewer", name="else", store="other").get("/console/other/live/segments").text.count(">280<") == 0
    )


def test_largest_first_and_search(busy: Site) -> None:
    browser = busy.browser("viewer")
    page = browser.get("/segments", sort="size").text
    assert page.index(">mobile<") < page.index(">new_visitor<") < page.index(">cart_abandoner<")
    assert "cart_abandoner" not in browser.get("/segments", q="VISITOR").text
    assert "No segment fits" in browser.get("/segments", q="<script>alert(1)</script>").text
    assert "<script>alert" not in browser.get("/segments", q='"><script>alert(1)</script>').text


def test_one_segment_with_its_condition_its_readers_and_its_curve(busy: Site) -> None:
    busy.console.sizes.record(HERE)
    page = busy.browser("viewer").get("/segments/of/mobile").text
    assert "As it is written" in page
    assert "data-plot" in page
    assert "wallets_first_on_phones" in page
    assert busy.browser("viewer").get("/segments/of/none").status_code == 404


def test_members_are_told_by_rounded_shares_and_small_parts_not_at_all(busy: Site) -> None:
    browser = busy.browser("viewer")
    part = browser.part("/segments/of/mobile/members").text
    assert "desktop" in part
    assert "all but fewer than 40" in part  # returning: all but three
    assert "high_value" not in part  # nineteen of them
    assert "1 order" in part
    assert "Fewer than 20 shoppers are in it" in browser.part("/segments/of/high_value/members").text
    assert "<html" in browser.get("/segments/of/mobile/members").text
    with open_world(busy.folder) as world:
        ids = world.store.members(HERE, "mobile")
    assert not any(shopper.hex() in part for shopper in ids)


def test_a_sample_is_fair_stays_the_same_and_is_bounded(site: Site) -> None:
    with open_world(site.folder) as world:
        fill(world, {"mobile": 5_000, "returning": 1_500}, orders=2_500)
    browser = site.browser("viewer")
    part = browser.part("/segments/of/mobile/members").text
    assert "From a sample of" in part
    assert part == browser.part("/segments/of/mobile/members").text
    looking = Looking(site.console.world, HERE, site.console.sizes.veil)
    shape = looking.shape("mobile", "mobile", 5_000, 24)
    assert MOST / 2 < shape.seen <= MOST
    returning = next(each.portion for each in shape.overlap if each.name == "returning")
    for told, true in ((returning, 0.3), (shape.orders[0].portion, 0.5), (shape.orders[1].portion, 0.5)):
        assert abs(told.share - true) < 0.08
        assert told.low < told.share < told.high < told.low + 0.1


def test_trend_and_hours(busy: Site) -> None:
    recorder = busy.console.sizes
    recorder.record_all()
    recorder.record_all()  # the same hour: nothing more
    assert len(recorder._store.readings(HERE.name)) == 1
    assert recorder.before(HERE, ["mobile"], HOURS)["mobile"] in (260, 280, 300)
    assert "steady" in busy.browser("viewer").get("/segments").text


def test_it_reads_at_once_and_then_waits_for_the_hour(busy: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    async def stop(seconds: float) -> None:
        waited.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", stop)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(busy.console.sizes.run())
    assert len(busy.console.sizes._store.readings(HERE.name)) == 1
    assert 0 < waited[0] <= HOUR / 1000 + 1


# --- a large shop ---

HOSTILE = "<script>alert('x')</script>" + "\u202e" + "\"'" * 5 + "x" * 150


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A thousand segments, one with a hostile description."""
    folder = tmp_path_factory.mktemp("large")
    playbook = folder / "playbook"
    playbook.mkdir()
    text = "".join(f"  s{number:04}: cart.total > {number}\n" for number in range(1_000))
    described = json.dumps(HOSTILE)
    (playbook / "shop.yaml").write_text(
        f"placements:\n  hero: {{component: message}}\nsegments:\n{text}"
        f"  zz:\n    when: cart.total > 1\n    description: {described}\n"
    )
    with open_world(folder / "data", make=True) as world:
        versions, draft = Versions(world.registry, world.clock), draft_of(playbook)
        versions.keep(draft.playbook, draft.files)
        versions.go_live(draft.playbook.hash, "folder")
    with ExitStack() as opened:
        console = opened.enter_context(open_console(Options(folder / "data", playbook)))
        yield Site(console, folder / "data", playbook, opened)
    shutil.rmtree(folder)


def test_a_long_list_is_paged_and_keeps_its_search(large: Site) -> None:
    browser = large.browser("viewer")
    first = browser.get("/segments", q="s0").text
    assert first.count("<tr>") == 51
    assert "1 to 50 of 1,000" in first
    assert "q=s0&amp;after=50" in first
    last = browser.get("/segments", q="s0", after="980").text
    assert "s0999" in last
    assert "Next page" not in last
    for strange in ("-1", "x", "9" * 30, "²"):
        assert browser.get("/segments", after=strange).status_code == 200


def test_hostile_texts_stay_texts(large: Site) -> None:
    for path, query in (("/segments", {"q": "zz"}), ("/segments/of/zz", {})):
        page = large.browser("viewer").get(path, **query).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_german(busy: Site) -> None:
    browser = busy.browser("viewer")
    person = busy.console.people.find("viewer")
    assert person is not None
    busy.console.people.put(replace(person, language="de"))
    assert "weniger als 20" in browser.get("/segments").text
