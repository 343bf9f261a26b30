"""Signing in: passwords, codes, one-time links, and how guessing is slowed down."""

import ast
import asyncio
import contextlib
import threading
from pathlib import Path

import pyotp
import pytest
from argon2 import Parameters, Type
from msgspec.structs import replace
from tests.console.conftest import Site
from tests.console.doors import (
    PASSWORD,
    cheap,
    clock_of,
    cookie_of,
    hidden,
    post,
    sign_in,
    signed_in,
    with_factor,
    with_password,
)
from tests.engines import SeededRandom, TestClock

from cashwrap.adapters.vault import MemoryVault
from cashwrap.console.pages.login import local
from cashwrap.console.people import links, lockout
from cashwrap.console.people.accounts import DEVICE
from cashwrap.console.people.links import first_link
from cashwrap.console.people.lockout import FREE, Lockout
from cashwrap.console.people.passwords import AT_ONCE, WAITING, Passwords, check_password
from cashwrap.console.people.second_factor import RECOVERY, STEP, SecondFactor
from cashwrap.console.words import translations
from cashwrap.errors import InvalidInput, StoreError, TooMuch

__all__ = ["cheap"]
NOW = 1_772_452_800_000


def actions(site: Site) -> list[str]:
    audit = site.console.world.audit
    assert audit is not None
    return [entry.action for _, entry in audit.entries()]


class TestPasswords:
    def test_only_the_right_one_opens(self) -> None:
        passwords = Passwords()
        kept = passwords.hash(PASSWORD)
        assert kept.startswith("$argon2id$")
        assert passwords.verify(kept, PASSWORD)
        assert not passwords.verify(kept, PASSWORD + " ")
        assert not passwords.verify("", "")
        assert not passwords.verify("no hash", PASSWORD)
        assert passwords.hash(PASSWORD) != kept
        passwords.close()

    def test_what_looks_the_same_is_the_same(self) -> None:
        passwords = Passwords()
        assert passwords.verify(passwords.hash("Ångström straße 12"), "Ångström straße 12")
        passwords.close()

    @pytest.mark.parametrize(
        ("password", "code"),
        [
            ("elevenchars", "password_too_short"),
            ("x" * 129, "password_too_long"),
            ("passwordpassword", "password_too_easy"),
            ("PassWord123456", "password_too_easy"),
            ("aaaaaaaaaaaaaa", "password_too_easy"),
            ("abababababab", "password_too_easy"),
            ("abcdefghijklmnop", "password_too_easy"),
            ("2345678901234567"[::-1], ""),
            ("my Cashwrap word", "password_too_easy"),
            ("anna.smith rides", "password_too_easy"),
            ("twelve chars", ""),
            ("nothing but letters", ""),
            ("🦩" * 3 + "flamingos in a row", ""),
        ],
    )
    def test_what_is_one(self, password: str, code: str) -> None:
        if not code:
            check_password(password, "anna.smith@shop.example", "Anna")
            return
        with pytest.raises(InvalidInput) as error:
            check_password(password, "anna.smith@shop.example", "Anna")
        assert error.value.code == code

    def test_few_are_hashed_at_once_and_few_wait(self) -> None:
        passwords, running, most, lock = Passwords(), 0, 0, threading.Lock()
        go = threading.Event()

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            go.wait(10)
            with lock:
                running -= 1

        async def flood() -> list[BaseException | None]:
            waiting = [asyncio.ensure_future(passwords.run(work)) for _ in range(WAITING + 5)]
            await asyncio.sleep(0)
            go.set()
            return await asyncio.gather(*waiting, return_exceptions=True)

        refused = [each for each in asyncio.run(flood()) if each is not None]
        assert [each.code for each in refused if isinstance(each, TooMuch)] == ["sign_in_busy"] * 5
        assert most <= AT_ONCE
        passwords.close()

    def test_new_parameters_are_taken_at_the_next_sign_in(self, site: Site) -> None:
        person = with_password(site, site.person("viewer", name="anna"))
        assert "m=8," in person.password
        accounts = site.console.accounts
        stronger = Passwords(Parameters(Type.ID, 19, 16, 32, 1, 16, 1))
        accounts.passwords = stronger
        client = site.client()
        sign_in(client, "anna")
        assert signed_in(client)
        assert "m=16," in site.console.people.get("anna").password
        stronger.close()


class TestSigningIn:
    def test_with_name_and_password(self, site: Site) -> None:
        with_password(site, site.person("viewer", name="anna"))
        client = site.client()
        answer = sign_in(client, " Anna ", to="/console/default/live/people")
        assert answer.headers["location"] == "/console/login?to=%2Fconsole%2Fdefault%2Flive%2Fpeople&began=1"
        assert client.get(answer.headers["location"]).headers["location"] == "/console/default/live/people"
        assert "person.sign_in" in actions(site)

    def test_every_failure_reads_the_same(self, site: Site) -> None:
        with_password(site, site.person("viewer", name="anna"))
        gone = with_password(site, site.person("viewer", name="gone"))
        site.console.people.put(replace(gone, disabled=True))
        site.person("viewer", name="invited")
        tries = [
            ("anna", "wrong wrong wrong"),
            ("nobody", PASSWORD),
            ("gone", PASSWORD),
            ("invited", PASSWORD),
            ("", ""),
        ]
        answers = [sign_in(site.client(), name, password) for name, password in tries]
        pages = {
            answer.text.replace(f'value="{name}"', "") for answer, (name, _) in zip(answers, tries, strict=True) if name
        }
        assert {answer.status_code for answer in answers} == {403}
        assert len(pages) == 1
        assert not any("set-cookie" in answer.headers for answer in answers)

    def test_as_much_is_hashed_for_a_name_that_is_not_there(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        with_password(site, site.person("viewer", name="anna"))
        hasher, verified = site.console.accounts.passwords._hasher, []
        real = hasher.verify
        monkeypatch.setattr(
            site.console.accounts.passwords,
            "_hasher",
            type(
                "Counting",
                (),
                {
                    "verify": lambda _, kept, given: verified.append(kept.split("$")[3]) or real(kept, given),
                    "hash": lambda _, text: hasher.hash(text),
                    "check_needs_rehash": lambda _, kept: False,
                },
            )(),
        )
        for name in ("anna", "nobody"):
            sign_in(site.client(), name, "wrong wrong wrong")
        assert len(verified) == 2
        assert verified[0] == verified[1], "with the same parameters"

    def test_a_browser_that_keeps_no_cookie_is_told(self, site: Site) -> None:
        with_password(site, site.person("viewer", name="anna"))
        client = site.client()
        where = sign_in(client, "anna").headers["location"]
        client.cookies.clear()
        assert "did not keep the sign-in cookie" in client.get(where).text

    def test_signing_out(self, site: Site) -> None:
        with_password(site, site.person("viewer", name="anna"))
        client = site.client()
        sign_in(client, "anna")
        text = client.cookies["__Host-cashwrap"]
        answer = post(client, "/console/logout")
        assert "Max-Age=0" in cookie_of(answer)
        assert site.console.sessions.find(text) is None
        assert actions(site)[-1] == "person.sign_out"

    @pytest.mark.parametrize(
        "to",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/console//evil.example",
            "javascript:alert(1)",
            "/consoleevil",
            "/console/../..//evil",
            "/elsewhere",
            "/console/a\r\nx: y",
            "/console/ü",
            "/console/login?to=/console/login",
            "/console/" + "a" * 600,
            "http:/console/x",
            "//[",
            "",
            "console/x",
        ],
    )
    def test_nobody_is_sent_elsewhere(self, to: str) -> None:
        assert local(to) == "/console"

    def test_somebody_is_sent_back(self) -> None:
        assert local("/console/default/live/now?a=1") == "/console/default/live/now?a=1"

    def test_names_are_harmless(self, site: Site) -> None:
        page = sign_in(site.client(), '"><script>alert(1)</script>', "x").text
        assert "<script>alert" not in page

    def test_entries_of_failures_end_somewhere(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cashwrap.console.people.accounts._TOLD_AN_HOUR", 3)
        monkeypatch.setitem(lockout.FREE, "account", 100)
        clock = clock_of(site, monkeypatch)
        for _ in range(6):
            sign_in(site.client(), "nobody")
        assert actions(site).count("person.sign_in_failed") == 3
        clock.wait(minutes=61)
        sign_in(site.client(), "nobody")
        audit = site.console.world.audit
        assert audit is not None
        _, entry = audit.entries()[-1]
        assert (entry.subject, entry.details["left_out"]) == ("unknown", "3")


class TestSecondFactor:
    def test_after_the_password_comes_a_code(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = clock_of(site, monkeypatch)
        _, phone = with_factor(site, with_password(site, site.person("viewer", name="anna")))
        client = site.client()
        page = sign_in(client, "anna")
        assert not signed_in(client)
        step = hidden(page.text, "step")
        code = phone.at(clock.time // 1000)
        assert client.post("/console/login/code", data={"step": step, "code": "000000"}).status_code == 403
        assert client.post("/console/login/code", data={"step": step, "code": code}).status_code == 303
        assert signed_in(client)
        again = hidden(sign_in(site.client(), "anna").text, "step")
        replayed = site.client().post("/console/login/code", data={"step": again, "code": code})
        assert (replayed.status_code, "used before" in replayed.text) == (403, True)
        assert client.post("/console/login/code", data={"step": step, "code": code}).status_code == 403, (
            "a step is good once"
        )

    def test_the_step_ends(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = clock_of(site, monkeypatch)
        _, phone = with_factor(site, with_password(site, site.person("viewer", name="anna")))
        step = hidden(sign_in(site.client(), "anna").text, "step")
        clock.wait(minutes=6)
        answer = site.client().post("/console/login/code", data={"step": step, "code": phone.at(clock.time // 1000)})
        assert "too long" in answer.text

    def test_codes_are_guessed_slowly(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = clock_of(site, monkeypatch)
        _, phone = with_factor(site, with_password(site, site.person("viewer", name="anna")))
        client, answers = site.client(), []
        for _ in range(FREE["code"] + 1):
            step = hidden(sign_in(client, "anna").text, "step")
            answers.append(client.post("/console/login/code", data={"step": step, "code": "000000"}).status_code)
        assert answers == [403] * FREE["code"] + [429]
        right = {"step": step, "code": phone.at(clock.time // 1000)}
        assert client.post("/console/login/code", data=right).status_code == 429, "not even the right one"

    def test_set_up_and_used_and_turned_off(self, site: Site) -> None:
        with_password(site, site.person("viewer", name="anna"))
        client = site.client()
        sign_in(client, "anna")
        page = post(client, "/console/account/second/begin").text
        assert "data:image/svg+xml" in page
        assert site.console.people.get("anna").totp == "", "nothing yet"
        begun = hidden(page, "begun")
        secret = page.split("<code>")[1].split("</code>")[0].replace(" ", "")
        assert post(client, "/console/account/second", {"begun": begun, "code": "000000"}).status_code == 403
        done = post(client, "/console/account/second", {"begun": begun, "code": pyotp.TOTP(secret).now()})
        codes = [each.split("</code>")[0] for each in done.text.split("<code>")[1:]]
        assert len(codes) == RECOVERY
        person = site.console.people.get("anna")
        assert secret not in str(person)
        assert not any(code in str(person) for code in codes)
        other = site.client()
        for code, opens in ((codes[0], True), (codes[0], False), (codes[1].upper().replace("-", " "), True)):
            step = hidden(sign_in(other, "anna").text, "step")
            answer = other.post("/console/login/code", data={"step": step, "code": code})
            assert (answer.status_code == 303) is opens
        assert len(site.console.people.get("anna").recovery) == RECOVERY - 2
        post(client, "/console/account/recovery")
        step = hidden(sign_in(other, "anna").text, "step")
        assert other.post("/console/login/code", data={"step": step, "code": codes[5]}).status_code == 403, "replaced"
        post(client, "/console/account/second/off")
        assert sign_in(site.client(), "anna").status_code == 303
        assert {"person.second_on", "person.second_off", "person.recovery"} <= set(actions(site))

    def test_what_was_begun_is_anothers_of_no_use(self, site: Site) -> None:
        clients = [site.client(), site.client()]
        for name, client in zip(("anna", "ben"), clients, strict=True):
            with_password(site, site.person("viewer", name=name))
            sign_in(client, name)
        begun = hidden(post(clients[0], "/console/account/second/begin").text, "begun")
        answer = post(clients[1], "/console/account/second", {"begun": begun, "code": "000000"})
        assert (answer.status_code, "invalid_form" in answer.text) == (400, True)

    def test_the_window_is_one_step_and_no_code_comes_twice(self) -> None:
        factor = SecondFactor(MemoryVault(SeededRandom()), SeededRandom())
        sealed = factor.draw("anna")
        phone, now = pyotp.TOTP(factor.secret("anna", sealed)), NOW // 1000 // STEP
        codes = {offset: phone.generate_otp(now + offset) for offset in (-2, -1, 0, 1, 2)}
        taken = {offset: factor.step("anna", sealed, code, 0, NOW) for offset, code in codes.items()}
        assert taken == {-2: None, -1: now - 1, 0: now, 1: now + 1, 2: None}
        assert factor.step("anna", sealed, codes[0], now, NOW) is None
        assert factor.step("anna", sealed, codes[-1], now, NOW) is None
        assert factor.step("anna", sealed, codes[1], now, NOW) == now + 1
        assert [factor.step("anna", sealed, text, 0, NOW) for text in ("", "12345", "1234567", "²²²²²²", "abcdef")] == [
            None
        ] * 5

    def test_a_secret_opens_for_its_person_only(self) -> None:
        factor = SecondFactor(MemoryVault(SeededRandom()), SeededRandom())
        sealed = factor.draw("anna")
        with pytest.raises(StoreError):
            factor.secret("ben", sealed)
        for at in range(0, len(sealed) - 1, 3):
            changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
            with pytest.raises(StoreError):
                factor.secret("anna", changed)


class TestLockout:
    def test_waits_double_and_end(self) -> None:
        clock = TestClock()
        lock, waits = Lockout(clock), []
        for _ in range(FREE["account"] + 14):
            while True:
                try:
                    lock.attempt(("account", "anna"))
                    break
                except TooMuch as error:
                    waits.append(error.retry_after)
                    clock.time += error.retry_after * 1000
        assert waits[:6] == [2, 3, 5, 9, 17, 33]
        assert max(waits) == lockout.LONGEST + 1
        clock.wait(days=1.1)
        lock.attempt(("account", "anna"))

    def test_success_forgets_but_an_address_only_the_one(self) -> None:
        lock = Lockout(TestClock())
        for _ in range(FREE["address"] - 1):
            lock.attempt(("address", "192.0.2.1"), ("account", f"{_}"))
        for _ in range(3):
            lock.attempt(("address", "192.0.2.1"), ("account", "own"))
            lock.succeeded(("address", "192.0.2.1"), ("account", "own"))
        lock.attempt(("address", "192.0.2.1"))
        with pytest.raises(TooMuch):
            lock.attempt(("address", "192.0.2.1"))

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lockout, "MOST", 50)
        lock = Lockout(TestClock())
        for at in range(500):
            lock.attempt(("account", "x" * 1000 + str(at)))
        assert len(lock._counts) == 50
        assert {len(key) for key in lock._counts} == {16}

    def test_a_network_is_one(self) -> None:
        assert lockout.network("2001:db8:1:2:aaaa::1") == lockout.network("2001:db8:1:2:bbbb::2")
        assert lockout.network("192.0.2.1") == "192.0.2.1"

    def test_an_account_waits_and_says_how_long(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = clock_of(site, monkeypatch)
        with_password(site, site.person("viewer", name="anna"))
        for _ in range(FREE["account"]):
            assert sign_in(site.client(), "anna", "wrong wrong wrong").status_code == 403
        answer = sign_in(site.client(), "anna")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert "person.lock" in actions(site)
        clock.time += 2000
        assert sign_in(site.client(), "anna").status_code == 303

    def test_a_browser_that_was_here_before_passes(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody who guesses keeps the owner out; and the cookie is no way to guess at others."""
        clock_of(site, monkeypatch)
        for name in ("anna", "ben"):
            with_password(site, site.person("viewer", name=name))
        owner = site.client()
        sign_in(owner, "anna")
        post(owner, "/console/logout")
        device = owner.cookies[DEVICE]
        for name in ("anna", "ben"):
            for _ in range(FREE["account"]):
                sign_in(site.client(), name, "wrong wrong wrong")
        assert sign_in(site.client(), "anna").status_code == 429
        assert sign_in(owner, "ben").status_code == 429, "it is anna's"
        forged = site.client()
        forged.cookies.set(DEVICE, device[:-1] + ("0" if device[-1] != "0" else "1"), domain="testserver.local")
        assert sign_in(forged, "anna").status_code == 429
        for _ in range(FREE["device"] - 1):
            assert sign_in(owner, "anna", "wrong wrong wrong").status_code == 403
        assert sign_in(owner, "anna").status_code == 303
        for _ in range(FREE["device"]):
            sign_in(owner, "anna", "wrong wrong wrong")
        assert sign_in(owner, "anna").status_code == 429, "a stolen one guesses as slowly"


class TestLinks:
    def test_the_first_makes_the_owner_once(self, site: Site) -> None:
        link = first_link(site.console.world, "https://testserver/")
        assert link is not None
        path = link.removeprefix("https://testserver")
        client = site.client()
        assert client.get(path).status_code == 200
        assert client.get(path).status_code == 200, "looking uses nothing up"
        text = path.partition("link=")[2]
        fields = {"link": text, "name": "Owner@Shop.example", "display": "O", "password": PASSWORD, "again": PASSWORD}
        assert client.post("/console/welcome", data={**fields, "again": "x"}).status_code == 400
        assert client.post("/console/welcome", data={**fields, "name": "no name"}).status_code == 400
        short = client.post("/console/welcome", data={**fields, "password": "short", "again": "short"})
        assert "at least 12 characters" in short.text
        assert client.post("/console/welcome", data=fields).status_code == 303
        assert signed_in(client)
        owner = site.console.people.get("owner@shop.example")
        assert owner.is_admin
        assert first_link(site.console.world, "https://testserver") is None
        assert "invalid_link" in site.client().post("/console/welcome", data=fields).text
        assert "person.owner" in actions(site)

    def test_a_new_one_replaces_the_old(self, site: Site) -> None:
        first, second = (first_link(site.console.world, "https://testserver") or "" for _ in range(2))
        statuses = [site.client().get(link.removeprefix("https://testserver")).status_code for link in (first, second)]
        assert statuses == [400, 200]

    def test_it_runs_out(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = clock_of(site, monkeypatch)
        text = site.console.accounts.links.make("")
        clock.time += links.LIFE
        assert "invalid_link" in site.client().get(f"/console/welcome?link={text}").text

    def test_nobody_becomes_owner_where_somebody_is(self, site: Site) -> None:
        text = site.console.accounts.links.make("")
        site.person("viewer", name="anna")
        fields = {"link": text, "name": "eve", "password": PASSWORD, "again": PASSWORD}
        answer = site.client().post("/console/welcome", data=fields)
        assert (answer.status_code, site.console.people.find("eve")) == (409, None)

    def test_its_text_is_kept_nowhere(self, site: Site) -> None:
        text = site.console.accounts.links.make("")
        kept = b"".join(file.read_bytes() for file in Path(site.folder).rglob("*") if file.is_file())
        assert text.encode() not in kept

    def test_two_at_once_use_it_once(self, site: Site) -> None:
        found, text = [], site.console.accounts.links.make("anna")
        gate = threading.Barrier(4)

        def use() -> None:
            gate.wait(10)
            with contextlib.suppress(InvalidInput):
                found.append(site.console.accounts.links.use(text))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1

    def test_a_link_sets_a_password_and_turns_the_second_factor_off(self, site: Site) -> None:
        person, _ = with_factor(site, with_password(site, site.person("viewer", name="anna")))
        before = site.client()
        before.cookies.set("__Host-cashwrap", site.console.sessions.begin(person)[0], domain="testserver.local")
        text = site.console.accounts.links.make("anna")
        client = site.client()
        fields = {"link": text, "name": "eve", "password": "another four herons", "again": "another four herons"}
        assert client.post("/console/welcome", data=fields).status_code == 303
        after = site.console.people.get("anna")
        assert (after.totp, site.console.people.find("eve")) == ("", None)
        assert signed_in(client)
        assert not signed_in(before)
        assert sign_in(site.client(), "anna").status_code == 403


class TestOwnAccount:
    def test_a_new_password_ends_every_other_session(self, site: Site) -> None:
        with_password(site, site.person("viewer", name="anna"))
        here, there = site.client(), site.client()
        for client in (here, there):
            sign_in(client, "anna")
        old = here.cookies["__Host-cashwrap"]
        new = "seven brown otters dive"
        wrong = post(here, "/console/account/password", {"current": "x", "password": new, "again": new})
        assert wrong.status_code == 403
        answer = post(here, "/console/account/password", {"current": PASSWORD, "password": new, "again": new})
        assert answer.status_code == 303
        assert here.cookies["__Host-cashwrap"] != old
        assert (signed_in(here), signed_in(there)) == (True, False)
        assert sign_in(site.client(), "anna", new).status_code == 303

    def test_language_and_look(self, site: Site) -> None:
        browser = site.browser("viewer", name="anna")
        browser.post("/console/account/look", {"language": "de", "theme": "dark", "display": " An\x00na\n<b> "})
        person = site.console.people.get("anna")
        assert (person.language, person.theme, person.display) == ("de", "dark", "Anna <b>")
        page = browser.get("/console/account").text
        assert ('lang="de"' in page, 'data-theme="dark"' in page, "Anna &lt;b&gt;" in page) == (True, True, True)
        assert browser.post("/console/account/look", {"language": "xx", "theme": "dark"}).status_code == 400


RAISED = ("InvalidInput", "NotAllowed", "Conflict", "TooMuch", "Unavailable")
SPEAKING = (
    *(f"people/{each}" for each in ("accounts", "people", "passwords", "links", "lockout", "sso")),
    "routing",
    *("pages/login", "pages/account", "pages/people"),
)


def messages(source: str) -> set[str]:
    """What errors say to a person: whole sentences, at a raise or in a variable called message."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        value = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED and node.args:
            value = node.args[0]
        elif isinstance(node, ast.Assign) and [each.id for each in node.targets if isinstance(each, ast.Name)] == [
            "message"
        ]:
            value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value[:1].isupper():
            found.add(value.value)
    return found


def test_who_signs_in_comes_back_to_the_very_page(site: Site) -> None:
    answer = site.client().get("/console/default/live/segments", params={"text": "a b"})
    assert answer.headers["location"] == "/console/login?to=%2Fconsole%2Fdefault%2Flive%2Fsegments%3Ftext%3Da%2Bb"


@pytest.mark.parametrize("module", SPEAKING)
def test_what_errors_say_is_said_in_german_too(module: str) -> None:
    said = messages((Path(__file__).parents[2] / f"src/cashwrap/console/{module}.py").read_text())
    assert said - set(translations("de")) == set()


def test_a_sentence_without_german_is_seen() -> None:
    source = 'raise NotAllowed("Planted here.", code="x")\nmessage = "And here."\nraise InvalidInput("a file: broken")'
    assert messages(source) - set(translations("de")) == {"Planted here.", "And here."}
