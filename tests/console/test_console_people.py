"""The people: invited, given roles, disabled and removed, by an administrator and on the terminal."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.console.conftest import Browser, Site
from tests.console.doors import PASSWORD, cheap, clock_of, hidden, sign_in, signed_in, with_password
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.console.pages.people import PAGE
from cashwrap.console.people.people import Person, checked, display_name
from cashwrap.console.people.sessions import PROVEN
from cashwrap.console.roles import Grant
from cashwrap.errors import Conflict, InvalidInput

__all__ = ["cheap"]
HOSTILE = "<script>alert('x')</script>\u202eevil\"'>"


@pytest.fixture
def admin(site: Site) -> Browser:
    browser = site.browser("admin", name="boss")
    with_password(site, site.console.people.get("boss"))
    return browser


def link_of(page: str) -> str:
    """The path of the link a page shows."""
    found = page.split('id="f-link"')[1].split('value="')[1].split('"', maxsplit=1)[0]
    return found.removeprefix("https://testserver")


class TestInTheConsole:
    def test_somebody_is_invited_and_comes(self, site: Site, admin: Browser) -> None:
        fields = {"name": " Anna@Shop.example ", "role": "marketer", "store": "*", "environment": "live"}
        answer = admin.post("/people/invite", fields)
        path = link_of(answer.text)
        client = site.client()
        assert "anna@shop.example" in client.get(path).text
        given = {"link": path.partition("link=")[2], "password": PASSWORD, "again": PASSWORD}
        assert client.post("/console/welcome", data=given).status_code == 303
        assert site.console.people.get("anna@shop.example").grants == (Grant("marketer", "*", "live"),)
        assert sign_in(site.client(), "anna@shop.example").status_code == 303
        listed = admin.get("/people").text
        assert path.partition("link=")[2] not in listed
        assert "anna@shop.example" in listed

    def test_what_is_wrong_is_said_beside_what_was_entered(self, site: Site, admin: Browser) -> None:
        good = {"name": "anna", "role": "viewer", "store": "*", "environment": "*"}
        for fields, status, text in [
            ({"name": "no name"}, 400, "no name"),
            ({"store": "../etc"}, 400, "../etc"),
            ({"environment": "prod"}, 400, "live or test"),
            ({"role": "owner"}, 400, "no such role"),
            ({"name": "boss"}, 409, "has this name already"),
        ]:
            answer = admin.post("/people/invite", {**good, **fields})
            assert (answer.status_code, text in answer.text) == (status, True), fields
        assert [person.name for person in site.console.people.all()] == ["boss"]

    def test_roles_are_given_and_taken_and_end_sessions(self, site: Site, admin: Browser) -> None:
        other = site.browser("viewer", name="anna")
        admin.post("/people/anna/roles", {"role": "privacy", "store": "default", "environment": "live"})
        assert site.console.people.get("anna").grants == (Grant("privacy", "default", "live"), Grant("viewer"))
        assert other.get("/console/account").status_code == 303
        admin.post("/people/anna/roles", {"take": "viewer", "store": "*", "environment": "*"})
        assert site.console.people.get("anna").grants == (Grant("privacy", "default", "live"),)
        last = admin.post("/people/anna/roles", {"take": "privacy", "store": "default", "environment": "live"})
        assert (last.status_code, "at least one role" in last.text) == (400, True)

    def test_disabled_is_out_at_once_and_enabled_again(self, site: Site, admin: Browser) -> None:
        with_password(site, site.person("viewer", name="anna"))
        client = site.client()
        sign_in(client, "anna")
        admin.post("/people/anna/disable")
        assert (signed_in(client), sign_in(site.client(), "anna").status_code) == (False, 403)
        admin.post("/people/anna/enable")
        assert (signed_in(client), sign_in(site.client(), "anna").status_code) == (False, 303)

    def test_end_reset_and_remove(self, site: Site, admin: Browser) -> None:
        with_password(site, site.person("viewer", name="anna"))
        client = site.client()
        sign_in(client, "anna")
        admin.post("/people/anna/end")
        assert not signed_in(client)
        sign_in(client, "anna")
        path = link_of(admin.post("/people/anna/reset").text)
        assert not signed_in(client)
        assert sign_in(client, "anna").status_code == 303, "the old password stays until the link is used"
        admin.post("/people/anna/remove")
        assert site.console.people.find("anna") is None
        assert client.get(path).status_code == 400, "and so does the link end"
        assert admin.get("/people/anna").status_code == 404

    @pytest.mark.parametrize("what", ["roles", "disable", "enable", "end", "reset", "remove"])
    def test_nobody_changes_themselves(self, site: Site, admin: Browser, what: str) -> None:
        before = site.console.people.get("boss")
        answer = admin.post(f"/people/boss/{what}", {"role": "admin", "store": "*", "environment": "*"})
        assert (answer.status_code, "own_account" in answer.text) == (403, True)
        assert replace(site.console.people.get("boss"), signed_in=0) == replace(before, signed_in=0)

    def test_the_last_administrator_stays(self, site: Site, admin: Browser) -> None:
        with_password(site, site.person("admin", name="second"))
        admin.post("/people/second/disable")
        site.console.people.change("boss", lambda found: replace(found, epoch=found.epoch))
        for change in (
            lambda: site.console.people.remove("boss"),
            lambda: site.console.people.change("boss", lambda found: replace(found, disabled=True)),
            lambda: site.console.people.change("boss", lambda found: replace(found, grants=(Grant("admin", "one"),))),
            lambda: site.console.people.change("boss", lambda found: replace(found, password="")),
        ):
            with pytest.raises(Conflict) as error:
                change()
            assert error.value.code == "last_admin"

    def test_an_invited_administrator_does_not_count(self, site: Site, admin: Browser) -> None:
        site.person("admin", name="invited")
        with pytest.raises(Conflict):
            site.console.people.remove("boss")

    def test_one_proves_it_again_and_loses_nothing(
        self, site: Site, admin: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = clock_of(site, monkeypatch)
        clock.time += PROVEN + 1
        fields = {"name": "anna", "role": "viewer", "store": "it's <one>", "environment": "*"}
        asked = admin.post("/people/invite", fields)
        assert (asked.status_code, "Is it you?" in asked.text) == (403, True)
        assert hidden(asked.text, "store") == "it's <one>"
        assert 'action="/console/default/live/people/invite"' in asked.text
        wrong = admin.post("/people/invite", {**fields, "proof": "wrong wrong wrong"})
        assert (wrong.status_code, "wrong wrong" in wrong.text) == (403, False)
        done = admin.post("/people/invite", {**fields, "store": "one", "proof": PASSWORD})
        assert "f-link" in done.text
        assert "f-link" in admin.post("/people/invite", {**fields, "store": "one", "name": "ben"}).text
        part = admin.client.post("/console/default/live/people/invite", data={"csrf": admin.csrf, **fields})
        assert part.status_code == 400
        clock.time += PROVEN + 1
        part = admin.post("/people/invite", fields, **{"hx-request": "true"})
        assert (part.status_code, part.headers["hx-retarget"], "<html" in part.text) == (200, "#content", False)

    def test_the_list_is_paged_and_searched(self, site: Site, admin: Browser) -> None:
        for number in range(PAGE + 5):
            site.person("viewer", name=f"p{number:03}")
        first = admin.get("/people").text
        assert (first.count('scope="row"><a'), "after=p048" in first) == (PAGE, True)
        second = admin.get("/people", after="p048")
        assert second.text.count('scope="row"><a') == 6
        found = admin.get("/people", q="P01").text
        assert found.count('scope="row"><a') == 10

    def test_hostile_names_are_harmless(self, site: Site, admin: Browser) -> None:
        site.console.people.put(Person("anna", display=HOSTILE + "x" * 200, grants=(Grant("viewer", "<i>"),)))
        for page in (admin.get("/people").text, admin.get("/people/anna").text, admin.get("/people", q=HOSTILE).text):
            assert "<script>alert" not in page
            assert "<i>" not in page
            assert "&lt;script&gt;" in page


class TestOnTheTerminal:
    def run(self, *arguments: str, data: Path) -> str:
        answer = CliRunner().invoke(app, ["people", *arguments, "--data", str(data)], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def test_all_of_it(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        link = self.run("invite", "anna", "--role", "marketer", "--address", "https://shop.example/", data=data).strip()
        assert link.startswith("https://shop.example/console/welcome?link=")
        assert "invited" in self.run("list", data=data)
        self.run(
            "roles", "anna", "--role", "viewer", "--role", "analyst", "--store", "outlet", "--env", "live", data=data
        )
        assert '"role": "analyst"' in self.run("list", "--json", data=data)
        self.run("disable", "anna", data=data)
        assert "disabled" in self.run("list", data=data)
        self.run("enable", "anna", data=data)
        assert self.run("reset", "anna", data=data).startswith("http://127.0.0.1:8080/console/welcome?link=")
        self.run("remove", "anna", data=data)
        assert self.run("list", data=data) == ""

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["invite", "a b", "--role", "viewer"], "invalid_name"),
            (["invite", "anna", "--role", "king"], "unknown_role"),
            (["invite", "anna", "--role", "viewer", "--env", "prod"], "invalid_store"),
            (["disable", "nobody"], "no_such_person"),
        ],
    )
    def test_what_cannot_be(self, tmp_path: Path, arguments: list[str], code: str) -> None:
        tmp_path.mkdir(exist_ok=True)
        answer = CliRunner().invoke(app, ["people", *arguments, "--data", str(tmp_path)])
        assert (answer.exit_code, code in answer.stderr) == (1, True)

    def test_what_the_terminal_changes_counts_in_the_console_at_once(self, site: Site) -> None:
        browser = site.browser("viewer", name="anna")
        self.run("disable", "anna", data=site.folder)
        assert browser.get("/console/account").status_code == 303


def test_grants_are_kept_once_and_in_order() -> None:
    assert checked([Grant("viewer"), Grant("admin"), Grant("viewer")]) == (Grant("admin"), Grant("viewer"))
    with pytest.raises(InvalidInput):
        checked([])


def test_a_name_to_be_shown_is_one_line() -> None:
    assert display_name(" A\n\tb\x00c\u202e ") == "A bc"
    assert len(display_name("x" * 500)) == 100


def test_the_audit_log_names_nobody(site: Site) -> None:
    """It keeps for ever; people are named by a random id there."""
    admin = site.browser("admin", name="boss@shop.example")
    admin.post("/people/invite", {"name": "anna@shop.example", "role": "viewer", "store": "*", "environment": "*"})
    audit = site.console.world.audit
    assert audit is not None
    _, entry = audit.entries()[-1]
    assert entry.subject == site.console.people.get("anna@shop.example").actor
    assert entry.details["roles"] == "viewer@*/*"
