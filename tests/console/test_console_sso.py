"""Single sign-on, against a real provider on this machine: who gets in, as whom, and every forgery that does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from httpx2 import Response
from msgspec.structs import replace
from starlette.testclient import TestClient
from tests.console.conftest import Site
from tests.console.doors import cheap, signed_in, with_password
from tests.console.provider import (
    CLIENT,
    SECRET,
    Provider,
    Sign,
    by_another_key,
    by_its_own_key,
    by_none,
    by_public_key,
    changed,
    nonsense,
    provider,
    signed,
)

from cashwrap.adapters.system import SystemClock
from cashwrap.console.app import application
from cashwrap.console.people import sso
from cashwrap.console.people.sessions import PROVEN
from cashwrap.console.people.sso import COOKIE, SingleSignOn, read_settings
from cashwrap.console.roles import Grant
from cashwrap.errors import CashwrapError, InvalidInput

__all__ = ["cheap"]
EMAIL = {"email": "Anna@Shop.example", "email_verified": True}


@dataclass
class Door:
    """A console with single sign-on."""

    site: Site
    provider: Provider
    sso: SingleSignOn
    back: httpx2.Client

    def client(self) -> TestClient:
        console = replace(self.site.console, sso=self.sso)
        return TestClient(
            application(console), "https://testserver", raise_server_exceptions=False, follow_redirects=False
        )

    def begin(self, client: TestClient, **query: str) -> str:
        """To the provider and, in the browser's name, back: the path with which it comes."""
        there = client.get("/console/sso/start", params=query).headers["location"]
        back = self.back.get(there).headers["location"]
        return back.removeprefix("https://testserver")

    def enter(self, client: TestClient, **query: str) -> Response:
        return client.get(self.begin(client, **query))


@pytest.fixture(scope="module")
def back() -> Iterator[httpx2.Client]:
    """The browser's way past the provider."""
    with httpx2.Client(trust_env=False, verify=False) as client:
        yield client


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with provider(SystemClock().now) as found:
        yield found


def settings_of(folder: Path, issuer: str, more: str = "") -> Path:
    file = folder / "sso.toml"
    (folder / "secret").write_text(SECRET + "\n")
    file.write_text(
        f'issuer = "{issuer}"\nclient = "{CLIENT}"\naddress = "https://testserver/"\nname = "Corp"\n'
        f'secret = {{file = "{folder / "secret"}"}}\n{more}'
    )
    return file


ROLES = """
[[roles]]
group = "shop-admins"
role = "admin"
[[roles]]
group = "outlet"
role = "marketer"
store = "outlet"
environment = "live"
"""


@pytest.fixture
def door(site: Site, running: Provider, back: httpx2.Client, tmp_path: Path) -> Door:
    running.claims, running.sign, running.issuer = dict(EMAIL), signed, ""
    running.codes.clear()
    running.asked.clear()
    settings = read_settings(settings_of(tmp_path, running.address, ROLES))
    return Door(site, running, SingleSignOn(settings, site.console.accounts, site.console.world), back)


def test_somebody_invited_gets_in_by_their_address(door: Door) -> None:
    door.site.person("viewer", name="anna@shop.example")
    client = door.client()
    assert "Sign in with Corp" in client.get("/console/login").text
    answer = door.enter(client, to="/console/default/live/now")
    assert answer.headers["location"].startswith("/console/login?to=%2Fconsole%2Fdefault%2Flive%2Fnow")
    assert signed_in(client)
    person = door.site.console.people.get("anna@shop.example")
    assert (person.subject, person.grants) == (f"{door.provider.address} u1", (Grant("viewer"),))
    asked = door.provider.asked[0]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3


def test_from_then_on_it_is_the_subject_that_counts(door: Door) -> None:
    door.site.person("viewer", name="anna@shop.example")
    door.enter(door.client())
    door.provider.claims = {"email": "married@shop.example", "email_verified": True}
    client = door.client()
    door.enter(client)
    assert signed_in(client)
    door.provider.claims = {**EMAIL, "sub": "u2"}
    other = door.client()
    assert "sso_unknown" in door.enter(other).text or not signed_in(other)
    assert not signed_in(other), "the address is given already"


UNVOUCHED: list[dict[str, Any]] = [
    {"email_verified": False},
    {"email_verified": None},
    {"email_verified": "true"},
    {"email_verified": 1},
    {"email": None},
    {"email": ["anna@shop.example"]},
    {"email": "stranger@shop.example"},
]


def test_an_address_that_is_not_vouched_for_is_nobodys(door: Door) -> None:
    door.site.person("admin", name="anna@shop.example")
    for claims in UNVOUCHED:
        door.provider.claims = EMAIL | claims
        client = door.client()
        assert door.enter(client).status_code == 403, claims
        assert not signed_in(client), claims


def test_groups_make_an_account_and_say_its_roles_each_time(door: Door) -> None:
    with_password(door.site, door.site.person("admin", name="boss"))
    door.provider.claims = {**EMAIL, "groups": ["outlet", "other", 7], "name": "Anna <b>"}
    client = door.client()
    door.enter(client)
    person = door.site.console.people.get("anna@shop.example")
    assert (person.provided, person.grants, person.display) == (
        True,
        (Grant("marketer", "outlet", "live"),),
        "Anna <b>",
    )
    door.provider.claims["groups"] = ["shop-admins"]
    door.enter(door.client())
    assert door.site.console.people.get("anna@shop.example").grants == (Grant("admin"),)
    assert not signed_in(client), "roles changed: sessions ended"
    door.provider.claims["groups"] = []
    last = door.client()
    assert door.enter(last).status_code == 403
    assert not signed_in(last)
    assert door.site.console.people.get("anna@shop.example").grants == ()


def test_roles_given_here_stay_whatever_groups_say(door: Door) -> None:
    door.site.person("viewer", name="anna@shop.example")
    door.provider.claims = {**EMAIL, "groups": ["shop-admins"]}
    door.enter(door.client())
    assert door.site.console.people.get("anna@shop.example").grants == (Grant("viewer"),)


def test_disabled_stays_out(door: Door) -> None:
    person = door.site.person("viewer", name="anna@shop.example")
    door.site.console.people.put(replace(person, disabled=True))
    client = door.client()
    assert (door.enter(client).status_code, signed_in(client)) == (403, False)


FORGED: list[tuple[str, dict[str, Any], Sign]] = [
    ("no signature", {}, by_none),
    ("the public key as a secret", {}, by_public_key),
    ("another key of that name", {}, by_another_key),
    ("a key of its own", {}, by_its_own_key),
    ("changed after it was signed", {}, changed),
    ("nonsense", {}, nonsense),
    ("another audience", {"aud": "another"}, signed),
    ("several audiences and no party", {"aud": [CLIENT, "another"]}, signed),
    ("another party", {"aud": [CLIENT, "another"], "azp": "another"}, signed),
    ("no audience", {"aud": None}, signed),
    ("another issuer", {"iss": "https://evil.example"}, signed),
    ("another nonce", {"nonce": "guessed"}, signed),
    ("no nonce", {"nonce": None}, signed),
    ("over", {"exp": 1_700_000_000}, signed),
    ("no end", {"exp": None}, signed),
    ("an end that is no number", {"exp": "9999999999"}, signed),
    ("issued long ago", {"iat": 1_700_000_000}, signed),
    ("issued later", {"iat": 4_000_000_000, "exp": 4_000_000_300}, signed),
    ("nobody", {"sub": ""}, signed),
    ("somebody endless", {"sub": "x" * 256}, signed),
]


def test_a_token_that_cannot_be_believed(door: Door) -> None:
    door.site.person("admin", name="anna@shop.example")
    believed = []
    for name, claims, sign in FORGED:
        door.provider.claims, door.provider.sign = EMAIL | claims, sign
        client = door.client()
        answer = door.enter(client)
        if answer.status_code != 403 or "cannot be believed" not in answer.text or signed_in(client):
            believed.append(name)
    assert believed == []
    assert door.site.console.people.get("anna@shop.example").subject == ""


def test_several_audiences_with_us_as_the_party_are_fine(door: Door) -> None:
    door.site.person("viewer", name="anna@shop.example")
    door.provider.claims = {**EMAIL, "aud": [CLIENT, "another"], "azp": CLIENT}
    client = door.client()
    door.enter(client)
    assert signed_in(client)


class TestTheWayBack:
    def refused(self, door: Door, client: TestClient, path: str) -> bool:
        return client.get(path).status_code == 403 and not signed_in(client)

    @pytest.fixture(autouse=True)
    def anna(self, door: Door) -> None:
        door.site.person("viewer", name="anna@shop.example")

    def test_it_is_gone_once(self, door: Door) -> None:
        client = door.client()
        path = door.begin(client)
        cookie = client.cookies[COOKIE]
        assert client.get(path).status_code == 303
        assert COOKIE not in client.cookies
        other = door.client()
        other.cookies.set(COOKIE, cookie, domain="testserver.local")
        assert self.refused(door, other, path), "a replayed state, cookie and all"

    def test_it_is_the_browsers_that_went(self, door: Door) -> None:
        path = door.begin(door.client())
        assert self.refused(door, door.client(), path), "no cookie"
        other = door.client()
        door.begin(other)
        assert self.refused(door, other, path), "another browser's"

    def test_state_and_cookie_are_not_changed(self, door: Door) -> None:
        client = door.client()
        path = door.begin(client)
        state = parse_qs(urlsplit(path).query)["state"][0]
        assert self.refused(door, client, path.replace(state, state[:-1]))
        cookie = client.cookies.get(COOKIE) or ""
        client = door.client()
        path = door.begin(client)
        for at in range(0, len(cookie), 40):
            forged = door.client()
            forged.cookies.set(COOKIE, cookie[:at] + "_" + cookie[at + 1 :], domain="testserver.local")
            assert self.refused(door, forged, path)

    def test_a_code_of_somebody_else_is_of_no_use(self, door: Door) -> None:
        """Without the verifier that only this browser's cookie holds, the provider gives nothing for it."""
        stolen = parse_qs(urlsplit(door.begin(door.client())).query)["code"][0]
        client = door.client()
        path = door.begin(client)
        own = parse_qs(urlsplit(path).query)["code"][0]
        assert client.get(path.replace(own, stolen)).status_code == 503
        assert not signed_in(client)

    def test_it_takes_ten_minutes_at_most(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        client = door.client()
        path = door.begin(client)
        later = sso.LIFE + 1
        monkeypatch.setattr(door.sso, "_now", lambda: SystemClock().now() + later)
        assert self.refused(door, client, path)

    def test_another_issuer_that_answers_is_refused(self, door: Door) -> None:
        client = door.client()
        assert self.refused(door, client, door.begin(client) + "&iss=https%3A%2F%2Fevil.example")

    def test_a_refusal_there_is_told(self, door: Door) -> None:
        client = door.client()
        state = parse_qs(urlsplit(door.begin(client)).query)["state"][0]
        answer = client.get(f"/console/sso/return?error=access_denied&error_description=<script>&state={state}")
        assert (answer.status_code, "did not let you in" in answer.text, "<script>" in answer.text) == (
            403,
            True,
            False,
        )

    def test_it_leads_to_no_other_site(self, door: Door) -> None:
        answer = door.enter(door.client(), to="https://evil.example")
        assert answer.headers["location"] == "/console/login?to=%2Fconsole&began=1"


def test_new_keys_of_the_provider_are_fetched_once_a_minute(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.site.person("viewer", name="anna@shop.example")
    door.enter(door.client())
    door.provider.change_key()
    early = door.client()
    assert door.enter(early).status_code == 403, "keys just read are not read again"
    monkeypatch.setattr(sso, "_KEYS_AGAIN", -1)
    client = door.client()
    door.enter(client)
    assert signed_in(client)


def test_to_prove_it_anew_the_provider_asks_for_the_password(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.site.person("viewer", name="anna@shop.example")
    client = door.client()
    door.enter(client)
    session = door.site.console.sessions.of("anna@shop.example")[0]
    assert not door.site.console.sessions.is_proven(session), "it may have been days ago"
    door.enter(client, again="1")
    assert (door.provider.asked[-1]["prompt"], door.provider.asked[-1]["max_age"]) == ("login", "0")
    session = door.site.console.sessions.of("anna@shop.example")[0]
    assert door.site.console.sessions.is_proven(session)
    door.provider.claims = {**EMAIL, "auth_time": SystemClock().now() // 1000 - 2 * PROVEN // 1000}
    assert door.enter(client, again="1").status_code == 403


class TestTheProvider:
    def test_one_that_calls_itself_otherwise_is_not_believed(self, door: Door) -> None:
        door.provider.issuer = "https://evil.example"
        answer = door.client().get("/console/sso/start")
        assert (answer.status_code, "sso_away" in answer.text) == (503, True)

    def test_nobody_else_is_called(
        self, door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(door.sso, "_hosts", {"login.example"})
        before = list(door.provider.fetched)
        answer = door.client().get("/console/sso/start")
        assert (answer.status_code, "hosts" in answer.text, "'hosts'" in caplog.text) == (503, False, True)
        assert door.provider.fetched == before

    def test_one_that_is_away_costs_nobody_the_password(self, site: Site, tmp_path: Path, back: httpx2.Client) -> None:
        settings = read_settings(settings_of(tmp_path, "http://127.0.0.1:9"))
        door = Door(site, Provider(lambda: 0), SingleSignOn(settings, site.console.accounts, site.console.world), back)
        client = door.client()
        assert client.get("/console/sso/start").status_code == 503
        assert client.get("/console/login").status_code == 200

    def test_without_it_there_is_no_way(self, site: Site) -> None:
        assert site.client().get("/console/sso/start").status_code == 404
        assert "sso/start" not in site.client().get("/console/login").text

    def test_without_the_extra_it_says_which(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        def lacking(_: str) -> None:
            raise ImportError(name="authlib")

        monkeypatch.setattr(sso, "import_module", lacking)
        with pytest.raises(CashwrapError, match=r"authlib.*cashwrap\[sso\]") as error:
            door.sso.start("/console")
        assert error.value.code == "extra_missing"


class TestTheFile:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("issuer = 1", "issuer"),
            ('issuer = "http://login.example"\nclient = "c"\naddress = "https://a"', "no https address"),
            ('issuer = "https://login.example"\nclient = "c"\naddress = "ftp://a"', "no https address"),
            ('issuer = "https://l.example"\nclient = "c"\naddress = "https://a"\nsecert = "x"', "secert"),
            ('issuer = "https://l.example"\nclient = "c"\naddress = "https://a"\nsecret = "plain"', "secret"),
            ("issuer = ", "Invalid value"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, text: str, says: str) -> None:
        file = tmp_path / "sso.toml"
        file.write_text(text)
        with pytest.raises(InvalidInput, match=says) as error:
            read_settings(file)
        assert error.value.code == "invalid_sso"

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput):
            read_settings(tmp_path / "sso.toml")

    def test_the_secret_comes_from_the_environment_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_SECRET", "shh")
        assert sso.Secret(env="A_SECRET").read() == "shh"
        monkeypatch.delenv("A_SECRET")
        with pytest.raises(InvalidInput):
            sso.Secret(env="A_SECRET").read()

    def test_the_environment_names_it(self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(sso.FILE, str(settings_of(tmp_path, "https://login.example")))
        found = sso.single_sign_on(None, site.console.accounts, site.console.world)
        assert found is not None
        assert found.settings.issuer == "https://login.example"

    def test_a_wrong_file_costs_nobody_the_password(
        self, site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = tmp_path / "sso.toml"
        file.write_text("nonsense")
        assert sso.single_sign_on(file, site.console.accounts, site.console.world) is None
        assert "sso.toml" in caplog.text

    def test_a_secret_that_is_gone_is_for_the_log(self, door: Door, caplog: pytest.LogCaptureFixture) -> None:
        secret = door.sso.settings.secret
        assert secret is not None
        Path(secret.file).unlink()
        answer = door.client().get("/console/sso/start")
        assert (answer.status_code, secret.file in answer.text, secret.file in caplog.text) == (503, False, True)
