"""What every answer of the console carries, and what its cookies are."""

import re

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient
from tests.console.conftest import Site
from tests.console.doors import cheap, cookie_of, sign_in, with_password

from cashwrap.console import routing
from cashwrap.console.app import application
from cashwrap.console.people.accounts import DEVICE
from cashwrap.console.people.sessions import COOKIE
from cashwrap.console.routing import HEADERS

__all__ = ["cheap"]
FLAGS = {"path=/", "secure", "httponly", "samesite=lax"}


def test_every_answer_has_the_headers_and_lets_no_other_site_read_it(site: Site) -> None:
    admin = site.browser("admin")
    with_password(site, site.person("viewer", name="anna"))
    answers = [
        admin.get("/people"),
        admin.get("/people/nobody"),
        admin.get("/nowhere"),
        admin.get("/console/account"),
        admin.client.post("/console/account/look"),
        site.client().get("/console/login"),
        site.client().get("/console/welcome?link=x"),
        site.client().get("/console/sso/start"),
        site.client().get("/console/default/live/people"),
        sign_in(site.client(), "anna"),
        sign_in(site.client(), "anna", "wrong wrong wrong"),
        site.browser("viewer").get("/people"),
    ]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url
        assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_the_policy_lets_nothing_of_anybody_run() -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not re.search(r"unsafe|\*|http:", HEADERS["content-security-policy"])


def test_pages_hold_no_inline_script_or_style(site: Site) -> None:
    admin = site.browser("admin")
    for page in (
        admin.get("/people"),
        admin.get("/people/admin"),
        admin.get("/console/account"),
        site.client().get("/console/login"),
    ):
        assert re.findall(r"<script(?![^>]* src=)[^>]*>", page.text) == []
        assert re.findall(r"\s(?:style|on[a-z]+)=", page.text) == []


def test_another_origin_gets_no_leave(site: Site) -> None:
    client = site.client()
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = client.options("/console/login", headers=headers)
    assert answer.status_code in (404, 405)
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert client.post("/console/login", data={"name": "a", "password": "b"}, headers=headers).status_code == 403


def test_cookies_stay_with_the_browser_and_the_host(site: Site) -> None:
    with_password(site, site.person("viewer", name="anna"))
    answer = sign_in(site.client(), "anna")
    for name in (COOKIE, DEVICE):
        parts = [part.strip().lower() for part in cookie_of(answer, name).split(";")[1:]]
        assert set(parts) - {part for part in parts if part.startswith("max-age")} == FLAGS
        assert name.startswith("__Host-")
    assert "max-age" not in cookie_of(answer).lower(), "a session ends with the browser"
    assert len(cookie_of(answer).split(";")[0].partition("=")[2]) == 43, "256 bits"


def test_a_forged_cookie_opens_nothing(site: Site) -> None:
    person = site.person("viewer", name="anna")
    text, session = site.console.sessions.begin(person)
    client = site.client()
    for cookie in (text[:-1], text[::-1], text.lower(), session.id.hex(), session.csrf, "anna", "%00", "a" * 5000):
        client.cookies.clear()
        client.cookies.set(COOKIE, cookie, domain="testserver.local")
        assert client.get("/console/account").status_code == 303, cookie
    client.cookies.clear()
    client.cookies.set(COOKIE, text, domain="testserver.local")
    assert client.get("/console/account").status_code == 200


def test_two_cookies_of_one_name_open_nothing_twice(site: Site) -> None:
    """Whichever is read, it is one session or none."""
    text, _ = site.console.sessions.begin(site.person("viewer", name="anna"))
    answer = site.client().get("/console/account", headers={"cookie": f"{COOKIE}={text}; {COOKIE}=forged"})
    assert answer.status_code == 303


def test_tokens_are_compared_in_a_time_that_says_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = routing.hmac.compare_digest

    def noted(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return bool(real(left, right))

    monkeypatch.setattr(routing.hmac, "compare_digest", noted)
    browser = site.browser("viewer", name="anna")
    browser.post("/console/account/look", {"csrf": "ü", "language": "de"})
    browser.post("/console/account/look", {"csrf": "", "language": "de", "theme": "light"})
    browser.post("/console/account/look", {"language": "de", "theme": "light"})
    assert len([right for _, right in compared if right == browser.csrf.encode()]) == 3
    assert site.console.people.get("anna").language == "de"


def test_a_token_in_the_address_counts_for_nothing(site: Site) -> None:
    browser = site.browser("viewer", name="anna")
    answer = browser.client.post(f"/console/account/look?csrf={browser.csrf}", data={"language": "de", "theme": "dark"})
    assert (answer.status_code, "invalid_csrf" in answer.text) == (403, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods_change_nothing(site: Site, method: str) -> None:
    admin = site.browser("admin")
    site.person("viewer", name="anna")
    answer = admin.client.request(method, "/console/default/live/people/anna/remove")
    assert answer.status_code in (404, 405)
    assert site.console.people.find("anna") is not None


def test_a_form_too_large_is_refused_whole(site: Site) -> None:
    browser = site.browser("viewer", name="anna")
    answer = browser.post("/console/account/look", {"display": "x" * 2_100_000})
    assert (answer.status_code, "body_too_large" in answer.text) == (413, True)


def test_a_host_of_somebody_else_is_no_origin(site: Site) -> None:
    browser = site.browser("viewer", name="anna")
    fields = {"csrf": browser.csrf, "language": "de", "theme": "dark"}
    headers = {"host": "evil.example", "origin": "https://testserver"}
    assert browser.client.post("/console/account/look", data=fields, headers=headers).status_code in (303, 403)
    assert site.console.people.get("anna").theme == "system"


@pytest.mark.parametrize(
    "where", ["*/live", "default/*", "*/*", "default/prod", "..%2f/live", "%3Cscript%3E/live", f"{'x' * 65}/live"]
)
def test_what_is_no_store_is_no_page(site: Site, where: str) -> None:
    answer = site.browser("admin").get(f"/console/{where}/people")
    assert (answer.status_code, "<script>" in answer.text) == (404, False)


def test_an_address_is_the_servers_word_or_ones_own(site: Site) -> None:
    """A console without a server before it takes nobody's word for where they are: guessing would cost nothing."""
    with_password(site, site.person("viewer", name="anna"))
    for runtime, address in ((None, "testclient"), (site.folder, "192.0.2.7")):
        console = replace(site.console, options=replace(site.console.options, runtime=runtime))
        client = TestClient(application(console), "https://testserver", follow_redirects=False)
        client.headers["x-forwarded-for"] = "192.0.2.7"
        assert sign_in(client, "anna").status_code == 303
        assert site.console.sessions.of("anna")[0].address == address
        site.console.sessions.end(*site.console.sessions.of("anna"))
