"""Sessions: how long they last, who may end them, and that a cookie of anybody else opens nothing."""

from pathlib import Path

import pytest
from tests.console.conftest import Site
from tests.console.doors import cheap, clock_of, post, sign_in, signed_in, with_password
from tests.engines import SeededRandom, TestClock

from cashwrap.adapters.console_store import ConsoleStore
from cashwrap.console.people.people import Person, ended
from cashwrap.console.people.sessions import COOKIE, IDLE, LONGEST, MOST, PROVEN, Sessions

__all__ = ["cheap"]
ANNA = Person("anna")


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def sessions(clock: TestClock) -> Sessions:
    return Sessions(clock, SeededRandom())


def test_it_lasts_while_it_is_used_and_no_longer_than_a_day(sessions: Sessions, clock: TestClock) -> None:
    text, session = sessions.begin(ANNA)
    for _ in range(LONGEST // (IDLE - 1)):
        clock.time += IDLE - 1
        assert sessions.find(text) is not None
    clock.time = session.began + LONGEST + 1
    assert sessions.find(text) is None


def test_it_ends_when_nobody_uses_it(sessions: Sessions, clock: TestClock) -> None:
    text, _ = sessions.begin(ANNA)
    clock.time += IDLE
    assert sessions.find(text) is not None
    clock.time += IDLE + 1
    assert sessions.find(text) is None
    clock.time -= IDLE
    assert sessions.find(text) is None


def test_every_changed_byte_of_a_cookie_opens_nothing(sessions: Sessions) -> None:
    text, _ = sessions.begin(ANNA)
    forged = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text))]
    forged += [text[:-1], text + "A", text.swapcase(), "", "A" * 43, "ü" * 43, "\udce4"]
    assert [each for each in forged if sessions.find(each) is not None] == []
    assert sessions.find(text) is not None


def test_texts_are_never_kept_and_never_repeat(tmp_path: Path, clock: TestClock) -> None:
    store = ConsoleStore(tmp_path)
    sessions = Sessions(clock, SeededRandom(), store)
    texts = {sessions.begin(ANNA)[0] for _ in range(5)}
    store.close()
    assert len(texts) == 5
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert not any(text.encode() in kept for text in texts)


def test_a_restart_signs_nobody_out(tmp_path: Path, clock: TestClock) -> None:
    store = ConsoleStore(tmp_path)
    first = Sessions(clock, SeededRandom(), store)
    text, session = first.begin(ANNA, address="192.0.2.1", agent="Firefox")
    gone, over = first.begin(ANNA)
    first.end(over)
    store.close()
    again = ConsoleStore(tmp_path)
    second = Sessions(clock, SeededRandom(2), again)
    assert (second.find(text), second.find(gone)) == (session, None)
    clock.time += IDLE + 1
    assert Sessions(clock, SeededRandom(3), again).of("anna") == []
    again.close()


def test_one_more_than_the_most_ends_the_oldest(sessions: Sessions, clock: TestClock) -> None:
    texts = []
    for _ in range(MOST + 1):
        clock.time += 1
        texts.append(sessions.begin(ANNA)[0])
    assert [text for text in texts if sessions.find(text) is None] == [texts[0]]
    assert sessions.find(sessions.begin(Person("ben"))[0]) is not None


def test_who_has_proved_it_is_believed_for_a_while(sessions: Sessions, clock: TestClock) -> None:
    _, session = sessions.begin(ANNA, proven=0)
    assert not sessions.is_proven(session)
    session = sessions.prove(session)
    clock.time += PROVEN
    assert sessions.is_proven(session)
    clock.time += 1
    assert not sessions.is_proven(session)
    clock.time = session.proven - 1
    assert not sessions.is_proven(session), "a clock set back proves nothing"


def test_a_session_of_somebody_removed_is_not_their_successors(site: Site) -> None:
    browser = site.browser("viewer", name="anna")
    assert browser.get("/console/account").status_code == 200
    site.console.people.remove("anna")
    later = site.console.world.clock.now() + 1
    site.console.people.put(Person("anna", made=later, grants=site.person("admin", name="other").grants))
    assert browser.get("/console/account").status_code == 303


def test_an_expired_session_goes_to_the_form_and_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clock_of(site, monkeypatch)
    browser = site.browser("viewer")
    clock.time += IDLE + 1
    answer = browser.get("/people")
    assert answer.headers["location"] == "/console/login?to=%2Fconsole%2Fdefault%2Flive%2Fpeople"
    assert browser.post("/console/account/look").status_code == 401
    assert browser.part("/people").status_code == 401


def test_a_session_begun_by_somebody_else_is_not_taken_over(site: Site) -> None:
    """An attacker who can set a victim's cookie gains nothing: signing in begins a new session and ends theirs."""
    with_password(site, site.person("viewer", name="victim"))
    planted, attackers = site.console.sessions.begin(site.person("viewer", name="attacker"))
    client = site.client()
    client.cookies.set(COOKIE, planted, domain="testserver.local")
    sign_in(client, "victim")
    assert client.cookies[COOKIE] != planted
    assert site.console.sessions.find(planted) is None
    assert [each.person for each in site.console.sessions.of("victim")] == ["victim"]
    assert attackers not in site.console.sessions.of("attacker")


def test_own_sessions_are_listed_and_ended(site: Site) -> None:
    person = with_password(site, site.person("viewer", name="anna"))
    clients = [site.client() for _ in range(3)]
    for at, client in enumerate(clients):
        client.headers["user-agent"] = f"<b>Browser {at}</b>"
        sign_in(client, "anna")
    page = clients[0].get("/console/account").text
    assert "&lt;b&gt;Browser 2&lt;/b&gt;" in page
    assert "<b>Browser" not in page
    second = next(each for each in site.console.sessions.of(person.name) if "Browser 1" in each.agent)
    post(clients[0], "/console/account/sessions/end", {"mark": second.mark})
    assert [signed_in(client) for client in clients] == [True, False, True]
    post(clients[0], "/console/account/sessions/end", {"mark": "others"})
    assert [signed_in(client) for client in clients] == [True, False, False]


def test_nobody_ends_anothers_session(site: Site) -> None:
    other = site.browser("viewer", name="ben")
    mark = site.console.sessions.of("ben")[0].mark
    site.browser("viewer", name="anna").post("/console/account/sessions/end", {"mark": mark})
    assert other.get("/console/account").status_code == 200


def test_a_change_of_epoch_ends_all(site: Site) -> None:
    browser = site.browser("viewer", name="anna")
    site.console.people.change("anna", ended)
    assert browser.get("/console/account").status_code == 303
