"""Settings: keys and webhooks of one store alone, stores, and the audit log as people read it."""

import re
from typing import Any

import pytest

from cashwrap.adapters.audit import MemoryAudit
from cashwrap.audit import Note
from cashwrap.console.trails import Wanted, found, newest, row_of
from cashwrap.errors import InvalidInput
from cashwrap.keys import Keys
from cashwrap.model import Tenant
from cashwrap.ports import AuditEntry
from cashwrap.webhooks import Webhooks

HOSTILE = "<script>alert(1)</script>\u202e"
HERE = Tenant()


def keys(site: Any) -> list[Any]:
    return Keys(site.console.world.registry).all()


class TestKeys:
    def test_a_key_is_shown_once_and_revoked(self, site: Any) -> None:
        admin = site.browser("admin")
        made = admin.post("/settings/keys", {"kind": "publishable", "origins": "https://shop.example http://a.test:80"})
        text = re.search(r"cwp_live_[a-z0-9]+_[\w-]+", made.text)
        assert text is not None
        key = Keys(site.console.world.registry).find(text[0])
        assert key.origins == ("https://shop.example", "http://a.test")
        listed = admin.get("/settings/keys").text
        assert key.id in listed
        assert text[0] not in listed
        assert admin.post(f"/settings/keys/{key.id}/revoke").status_code == 303
        assert key.id not in [each.id for each in keys(site)]
        actions = [entry.action for _, entry in site.console.world.audit.entries()]
        assert actions[-2:] == ["key.create", "key.revoke"]
        assert text[0] not in str(site.console.world.audit.entries())

    def test_another_stores_keys_are_out_of_reach(self, site: Any) -> None:
        other = Tenant("other", "live")
        Keys(site.console.world.registry).create("secret", other, (), site.console.world.random)
        key = next(each for each in keys(site) if each.tenant == other)
        admin = site.browser("admin", store="default")
        assert key.id not in admin.get("/settings/keys").text
        assert admin.post(f"/settings/keys/{key.id}/revoke").status_code == 404
        assert admin.post(f"/console/other/live/settings/keys/{key.id}/revoke").status_code == 403
        refused = admin.post("/settings/stores", {"store": "third", "environment": "live", "kind": "secret"})
        assert refused.status_code == 403
        assert len(keys(site)) == 2

    @pytest.mark.parametrize(
        ("path", "fields"),
        [
            ("/settings/keys", {"kind": "root"}),
            ("/settings/keys", {"kind": "secret", "origins": "javascript:alert(1)"}),
            ("/settings/stores", {"store": HOSTILE, "environment": "live", "kind": "secret"}),
            ("/settings/stores", {"store": "shop", "environment": "moon", "kind": "secret"}),
        ],
    )
    def test_what_is_no_key_is_refused(self, site: Any, path: str, fields: dict[str, str]) -> None:
        admin = site.browser("admin")
        answer = admin.post(path, fields)
        assert answer.status_code == 400
        assert "<script>" not in answer.text
        assert len(keys(site)) == 1

    def test_a_store_begins_with_its_first_key(self, site: Any) -> None:
        admin = site.browser("admin")
        made = admin.post("/settings/stores", {"store": "second", "environment": "test", "kind": "secret"})
        assert "cws_test_" in made.text
        assert "second" in admin.get("/settings/stores").text
        assert "second" not in site.browser("viewer", name="eve", store="default").get("/settings/stores").text

    def test_it_asks_again_who_one_is(self, site: Any) -> None:
        admin, sessions = site.browser("admin"), site.console.sessions
        text, session = sessions.begin(site.console.people.get("admin"), proven=0)
        admin.client.cookies.clear()
        admin.client.cookies.set("__Host-cashwrap", text, domain="testserver.local")
        admin.csrf = session.csrf
        assert admin.post("/settings/keys", {"kind": "secret"}).status_code == 403
        assert len(keys(site)) == 1


class TestWebhooks:
    def test_one_is_added_changed_and_removed(self, site: Any) -> None:
        admin, kept = site.browser("admin"), Webhooks(site.console.world.registry, site.console.world.random)
        fields = {"name": HOSTILE[:-1].replace("/", ""), "url": "https://x.example/h", "told": "segments"}
        made = admin.post("/settings/webhooks", fields)
        kept.refresh()
        assert kept.all()[0].secret in made.text
        listed = admin.get("/settings/webhooks").text
        assert "<script>" not in listed
        assert kept.all()[0].secret not in listed
        assert admin.post("/settings/webhooks", {"name": "b", "url": "ftp://x", "told": "segments"}).status_code == 400
        assert admin.post("/settings/webhooks", {"name": "b", "url": "https://x.example"}).status_code == 400
        assert admin.post("/settings/webhooks/remove", {"name": "nobody"}).status_code == 404
        assert admin.post("/settings/webhooks/remove", {"name": fields["name"]}).status_code == 303
        kept.refresh()
        assert kept.all() == []


class TestAudit:
    def test_it_is_read_newest_first_and_filtered(self, site: Any) -> None:
        trail, admin = site.console.trail, site.browser("privacy", name="eve", store="default")
        for number in range(120):
            trail.leave(site_note("ann" if number % 2 else "bob", f"draft.{'save' if number % 3 else 'begin'}", HERE))
        trail.leave(site_note("ann", "key.create", Tenant("other", "live"), subject=HOSTILE))
        trail.leave(site_note("ann", "model.train", None, subject=HOSTILE))
        page = admin.get("/settings/audit").text
        assert "key.create" not in page
        assert "model.train" in page
        assert "<script>" not in page
        assert page.count('class="code"') == 50
        older = re.search(r"before=(\d+)", page)
        assert older is not None
        assert admin.get("/settings/audit", before=older[1]).text.count('class="code"') == 50
        some = admin.get("/settings/audit", actor="person:ann", action="draft.begin").text
        assert "draft.save" not in some
        assert admin.get("/settings/audit", day="1999-01-01").text.count("draft.") == 0
        assert admin.get("/settings/audit", day="yesterday").status_code == 400
        csv = admin.get("/settings/audit/export", actor="person:ann")
        assert csv.headers["content-type"].startswith("text/csv")
        assert csv.text.count("\r\n") == 62
        assert site.browser("viewer").get("/settings/audit").status_code == 403

    def test_the_chain_is_checked(self, site: Any) -> None:
        eve = site.browser("privacy")
        site.console.trail.leave(site_note("ann", "draft.save", HERE))
        assert "as it was written" in eve.post("/settings/audit/verify").text
        path = site.folder / "audit.jsonl"
        path.write_bytes(path.read_bytes().replace(b"draft.save", b"draft.sane"))
        assert "not as it was written" in eve.post("/settings/audit/verify").text

    def test_pages_and_the_newest_are_found_in_any_number(self) -> None:
        for count in (0, 1, 2, 3, 127, 128, 129, 1_201):
            log = MemoryAudit()
            for number in range(count):
                log.append(AuditEntry(number, "person:ann", "draft.save", str(number), {}))
            assert newest(log) == count
            seen, before = list[int](), 0
            while True:
                page = found(log, Wanted(HERE), before)
                seen += [number for number, _ in page.entries]
                before = page.before
                if not before:
                    break
            assert seen == list(range(count, 0, -1))

    def test_no_cell_is_a_formula(self) -> None:
        assert row_of(1, AuditEntry(0, "=1+1", "@SUM", "-2", {}))[2:5] == ("'=1+1", "'@SUM", "'-2")
        with pytest.raises(InvalidInput):
            Wanted(HERE, day="2026-13-45").span()


def site_note(who: str, action: str, tenant: Tenant | None, subject: str = "x") -> Note:
    return Note(f"person:{who}", action, subject, {}, tenant)


def test_everybody_sees_what_the_shop_is_set_to(site: Any) -> None:
    page = site.browser("viewer").get("/settings").text
    assert "Europe/Berlin" in page
    assert "Apache-2.0" in page
    assert str(site.folder) not in page
    assert str(site.folder) in site.browser("admin").get("/settings").text
