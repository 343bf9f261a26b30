"""The page Now: whole without a script, the store's own figures only, and live for as long as one may look."""

import asyncio
import re

import pytest
from msgspec.structs import replace
from tests.console.conftest import Site

from cashwrap.console.now.alerts import Alert
from cashwrap.console.pages import now as page
from cashwrap.console.roles import Grant
from cashwrap.console.streams import Streams
from cashwrap.errors import Unavailable
from cashwrap.events import Accounting
from cashwrap.model import Tenant
from cashwrap.pulse import Pulse, StorePulse, encode
from cashwrap.switches import Switch, Switches

HOSTILE = "<script>alert(1)</script>\u202e'\"" + "x" * 200
MINE, OTHER = Tenant(), Tenant("other", "live")


def pulse(site: Site, *, decisions: int = 0, other: int = 0, **more: object) -> bytes:
    now = site.console.world.clock.now()
    stores = {
        MINE.name: StorePulse(decisions, decisions // 2, {"match": decisions}, Accounting(decisions, decisions)),
        OTHER.name: StorePulse(other, 0, {"match": other}, Accounting(other, other)),
    }
    told = Pulse("server", 1, now - 500, now, stores, [0, decisions + other, 0, 0, 0, 0, 0, 0, 0], 0.1)
    return encode(replace(told, **more))


def test_nothing_heard_yet(site: Site) -> None:
    answer = site.browser("viewer").get("/now")
    assert answer.status_code == 200
    assert "Nothing needs you now." in answer.text
    assert "hears no server" in answer.text


def test_shows_what_was_heard_of_the_own_store_only(site: Site) -> None:
    live = site.console.live
    live._began -= 60_000
    live.heard = type(live.heard)(live._began)
    live.hear(pulse(site, decisions=600, other=54_321))
    text = site.browser("viewer").get("/now").text
    assert "<dd>10</dd>" in text, "600 decisions in a minute"
    assert "≤ 1 ms" in text
    assert "50%" in text, "half of them were degraded"
    figures = re.findall(r"<dd>([^<]*)</dd>", text)
    assert not [each for each in figures if re.fullmatch(r"9\d\d(\.\d+)?|5[45],\d+", each)], (
        "another store's, or the sum"
    )


def test_a_hostile_playbook_error_and_names_are_text(site: Site) -> None:
    Switches(site.console.world.registry).set(Switch("experience", HOSTILE, 0, HOSTILE), off=True)
    site.console.live.hear(pulse(site, playbook_error=HOSTILE, playbook=HOSTILE))
    browser = site.browser("admin", name="evil")
    person = site.console.people.find("evil")
    assert person is not None
    site.console.people.put(replace(person, display=HOSTILE))
    assert browser.post("/now/alerts/playbook_broken").status_code == 303
    text = browser.get("/now").text
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 2, "the error and who took it on"


@pytest.mark.parametrize("span", ["minutes", "day", "quarter"])
def test_every_span_draws(site: Site, span: str) -> None:
    assert site.browser("viewer").get("/now", span=span).text.count("data-plot=") == 4


def test_no_such_span(site: Site) -> None:
    answer = site.browser("viewer").get("/now", span="<script>")
    assert (answer.status_code, "no_such_span" in answer.text) == (404, True)


def test_who_may_take_an_alert_on(site: Site) -> None:
    site.console.live.hear(pulse(site, playbook_error="a mistake"))
    viewer, marketer = site.browser("viewer"), site.browser("marketer")
    assert "I take this on" not in viewer.get("/now").text
    assert viewer.post("/now/alerts/playbook_broken").status_code == 403
    assert "I take this on" in marketer.get("/now").text
    assert marketer.post("/now/alerts/playbook_broken").status_code == 303
    assert "Taken on by marketer" in viewer.get("/now").text
    entries = [entry for _, entry in site.console.world.audit.entries()]
    assert [(entry.action, entry.subject) for entry in entries][-1] == ("alert.acknowledge", "playbook_broken")


def test_what_has_cleared_cannot_be_taken_on(site: Site) -> None:
    answer = site.browser("marketer").post("/now/alerts/disk_full")
    assert (answer.status_code, "no_such_alert" in answer.text) == (404, True)


def test_the_stream_tells_figures_and_points_and_ends_with_its_session(site: Site) -> None:
    console, person = site.console, site.person("viewer")
    _, session = console.sessions.begin(person)
    console.live.hear(pulse(site, decisions=5))
    piece = page._piece(console, MINE, "de", may_stop=False).decode()
    assert piece.startswith("event: figures\ndata: ")
    assert '\n\nevent: points\ndata: {"plot-rates":' in piece
    may = [page._may_still(console, person.name, session, MINE, may_stop=False)]
    may.append(page._may_still(console, person.name, session, MINE, may_stop=True))
    console.people.put(replace(person, grants=(Grant("viewer", "other", "*"),)))
    may.append(page._may_still(console, person.name, session, MINE, may_stop=False))
    console.people.put(replace(person, epoch=1))
    may.append(page._may_still(console, person.name, session, MINE, may_stop=False))
    console.people.put(person)
    console.sessions.end(session)
    may.append(page._may_still(console, person.name, session, MINE, may_stop=False))
    assert may == [True, False, False, False, False]


def test_looking_at_a_stream_keeps_no_session_alive(site: Site) -> None:
    console, person = site.console, site.person("viewer")
    _, session = console.sessions.begin(person)
    console.sessions._seen[session.id] -= 3 * 3_600_000
    assert not page._may_still(console, person.name, session, MINE, may_stop=False)


def test_one_piece_serves_all_who_see_the_same() -> None:
    made: list[str] = []
    seen: list[bytes] = []

    async def run() -> None:
        streams = Streams(pause=0)

        async def make(name: str) -> bytes:
            made.append(name)
            return f"event: {name}\n\n".encode()

        async def still() -> bool:
            return True

        async def look(name: str) -> None:
            stream = streams.pieces(name, lambda: make(name), still)
            seen.extend([await anext(stream), await anext(stream)])
            await stream.aclose()  # type: ignore[attr-defined]

        await asyncio.gather(*(look(name) for name in "aaaab"))
        assert len(streams) == 0

    asyncio.run(run())
    assert sorted(made) == ["a", "b"]
    assert seen.count(b"event: a\n\n") == 4


def test_a_stream_ends_when_it_may_not_go_on_and_when_the_console_stops() -> None:
    async def run() -> list[bytes]:
        streams, allowed = Streams(pause=0), True

        async def make() -> bytes:
            return b"event: x\n\n"

        async def still() -> bool:
            return allowed

        first = streams.pieces("a", make, still)
        found = [await anext(first), await anext(first)]
        allowed = False
        loop = asyncio.get_running_loop()
        later, loop.time = loop.time() + 5, lambda: later  # type: ignore[method-assign]
        found += [piece async for piece in first]
        streams.close()
        return found + [piece async for piece in streams.pieces("b", make, still)]

    assert asyncio.run(run()) == [b"retry: 3000\n\n", b"event: x\n\n", b"event: ended\ndata: \n\n", b"retry: 3000\n\n"]


def test_there_is_room_for_so_many_streams() -> None:
    async def run() -> None:
        async def nothing() -> bytes:
            return b""

        async def still() -> bool:
            return True

        streams = Streams(most=1, pause=0)
        one = streams.pieces("a", nothing, still)
        await anext(one)
        with pytest.raises(Unavailable, match="too many pages"):
            streams.open("a", nothing, still)

    asyncio.run(run())


def test_every_alert_has_words(site: Site) -> None:
    """Planted: a code without a text shows as an empty heading."""
    values = {
        "lasted": 60_000,
        "expected": 3,
        "roles": "server",
        "message": "m",
        "step": 1,
        "share": 0.5,
        "before": 0.1,
        "count": 3,
        "millis": 50,
        "names": "x",
    }
    look = page.look_of("en")
    texts = look._templates.get_template("now_alerts.html").make_module({"csrf": ""})
    for code in CODES:
        alert = Alert(code, "bad", values)
        assert str(texts.title(alert)).strip(), code  # type: ignore[attr-defined]
        assert str(texts.next(alert)).strip(), code  # type: ignore[attr-defined]
    assert not str(texts.title(Alert("no_such", "bad", values))).strip()  # type: ignore[attr-defined]


CODES = (
    *("no_orders", "process_silent", "server_silent", "disk_full", "playbook_broken", "shedding", "no_room", "slow"),
    *("degraded", "fallbacks", "switched_off", "events_failing", "events_conflicting", "backlog"),
    *("no_backend_orders", "unconfirmed_orders", "unseen_orders", "webhooks_failing", "catalogue_stale"),
)
