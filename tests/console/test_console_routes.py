"""Every cell of the table of routes and roles, and what a change has to bring along."""

from tests.console.conftest import Site

from cashwrap.console.app import ROUTES
from cashwrap.console.roles import ROLES


def test_nobody_sees_anything_without_signing_in(site: Site) -> None:
    client = site.client()
    for route in ROUTES:
        if route.where != "public" and route.method == "GET" and "{" not in route.path:
            assert client.get(f"/console/default/live{route.path}").status_code == 303


def test_roles_hold_no_permission_that_is_none() -> None:
    assert all(permission for role in ROLES for permission in ROLES[role])


def test_home_leads_to_the_first_store(site: Site) -> None:
    assert site.browser("viewer").get("/console").headers["location"] == "/console/default/live/now"


def test_no_such_page(site: Site) -> None:
    answer = site.browser("viewer").get("/nowhere")
    assert (answer.status_code, "no_such_path" in answer.text) == (404, True)
