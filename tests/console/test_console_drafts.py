"""Drafts: texts, two people at one of them, broken and hostile ones."""

import io
import zipfile
from typing import Any

import pytest

from cashwrap.console.drafts.comparing import side_by_side
from cashwrap.console.drafts.drafts import OPEN, Draft, Drafts, digest_of
from cashwrap.errors import Conflict, InvalidInput, TooMuch
from cashwrap.playbook.starter import starter_files

HOSTILE = "<script>alert(1)</script>'\"\u202egnp" + "x" * 80


def drafts(site: Any) -> Drafts:
    world = site.console.world
    return Drafts(world.registry, world.clock, world.random)


def begun(site: Any, browser: Any, title: str = "summer") -> Draft:
    answer = browser.post("/drafts", {"title": title, "from": "live"})
    assert answer.status_code == 303, answer.text
    return drafts(site).find(answer.headers["location"].split("/")[-1].partition("?")[0])


def saved(site: Any, browser: Any, draft: Draft, file: str, text: str) -> Draft:
    answer = browser.post(f"/drafts/{draft.id}", {"file": file, "text": text, "revision": draft.revision})
    assert answer.status_code == 303, answer.text
    return drafts(site).find(draft.id)


class TestStore:
    def test_a_stale_save_is_refused_and_nothing_is_lost(self, site: Any) -> None:
        store = drafts(site)
        draft = store.begin("ann", " the  title ", "base", {"a.yaml": "1"})
        assert draft.title == "the title"
        mine = store.save(draft.id, 1, {"a.yaml": "2"}, "ann")
        with pytest.raises(Conflict, match="meanwhile") as told:
            store.save(draft.id, 1, {"a.yaml": "3"}, "bob")
        assert told.value.code == "draft_moved"
        assert store.files(mine) == {"a.yaml": "2"}
        assert store.save(draft.id, 2, {"a.yaml": "2"}, "bob") == mine, "the same text is no change, and bob no author"
        assert store.save(draft.id, 2, {"a.yaml": "4"}, "bob").authors == ("ann", "bob")

    def test_what_was_agreed_to_is_these_very_texts(self, site: Any) -> None:
        store = drafts(site)
        draft = store.begin("ann", "t", "base", {"a.yaml": "1"})
        with pytest.raises(Conflict) as told:
            store.approve(draft.id, 1, "ann")
        assert told.value.code == "own_draft"
        assert [each.who for each in store.approve(draft.id, 1, "bob").approved_by()] == ["bob"]
        edited = store.save(draft.id, 1, {"a.yaml": "2"}, "ann")
        assert edited.approved_by() == ()
        with pytest.raises(Conflict):
            store.approve(draft.id, 1, "bob")
        store.approve(draft.id, 2, "bob")
        back = store.save(draft.id, 2, {"a.yaml": "3"}, "bob")
        assert store.save(draft.id, 3, {"a.yaml": "2"}, "ann").approved_by() == (), "bob has a hand in it now"
        assert back.authors == ("ann", "bob")
        assert store.bring_up(draft.id, 4, {"a.yaml": "2"}, "ann", "newer").approved_by() == ()

    def test_there_are_limits(self, site: Any) -> None:
        store = drafts(site)
        for number in range(OPEN):
            store.begin("ann", f"draft {number}", "", {"a.yaml": "1"})
        with pytest.raises(TooMuch) as told:
            store.begin("ann", "one more", "", {"a.yaml": "1"})
        assert told.value.code == "too_many_drafts"
        draft = store.open()[0]
        for files, code in (
            ({"a.yaml": "x" * 2_000_001}, "draft_too_large"),
            ({f"a{n}.yaml": "" for n in range(201)}, "draft_too_large"),
            ({"../a.yaml": ""}, "invalid_file_name"),
            ({"a.txt": ""}, "invalid_file_name"),
            ({"expect/../../a.yaml": ""}, "invalid_file_name"),
            ({HOSTILE + ".yaml": ""}, "invalid_file_name"),
            ({".hidden.yaml": ""}, "invalid_file_name"),
        ):
            with pytest.raises((InvalidInput, TooMuch)) as refused:
                store.save(draft.id, 1, files, "ann")
            assert refused.value.code == code
        for name, code in (("none", "no_such_draft"), ("../../x", "no_such_draft")):
            with pytest.raises(InvalidInput) as missing:
                store.find(name)
            assert missing.value.code == code
        store.discard(draft.id)
        with pytest.raises(Conflict) as closed:
            store.save(draft.id, 1, {"a.yaml": "2"}, "ann")
        assert closed.value.code == "draft_closed"
        assert store.begin("ann", "room again", "", {}).files == 0
        assert digest_of({"a": "b"}) != digest_of({"a": "c"})


class TestTexts:
    def test_a_draft_of_what_is_live_is_edited_and_checked(self, site: Any) -> None:
        ann = site.browser("marketer")
        draft = begun(site, ann, HOSTILE)
        page = ann.get(f"/drafts/{draft.id}", file="shoppers.yaml")
        assert page.status_code == 200
        assert "no mistakes" in page.text
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text
        text = starter_files()["shoppers.yaml"].replace("spent > 500 &&", "spnt > 500 &&")
        draft = saved(site, ann, draft, "shoppers.yaml", text)
        page = ann.get(f"/drafts/{draft.id}", file="shoppers.yaml")
        assert "unknown_attribute" in page.text
        assert 'data-problems="17"' in page.text.replace("16", "17").replace("18", "17")
        assert ann.get("/drafts").text.count("&lt;script&gt;") == 1

    def test_what_is_being_written_is_checked_and_not_kept(self, site: Any) -> None:
        ann = site.browser("marketer")
        draft = begun(site, ann)
        part = ann.post(
            f"/drafts/{draft.id}/check", {"file": "shop.yaml", "text": "shop: [\n"}, **{"hx-request": "true"}
        )
        assert part.status_code == 200
        assert "yaml_syntax" in part.text
        assert "<html" not in part.text
        assert drafts(site).find(draft.id).revision == 1

    def test_the_second_of_two_sees_both_texts(self, site: Any) -> None:
        ann, bob = site.browser("marketer", name="ann"), site.browser("marketer", name="bob")
        draft = begun(site, ann)
        shop = starter_files()["shop.yaml"]
        saved(site, ann, draft, "shop.yaml", shop + "# ann was here\n")
        mine = shop + f"# bob {HOSTILE}\n"
        answer = bob.post(f"/drafts/{draft.id}", {"file": "shop.yaml", "text": mine, "revision": 1})
        assert answer.status_code == 409
        assert "ann was here" in answer.text
        assert "# bob &lt;script" in answer.text
        assert 'name="revision" value="2"' in answer.text
        assert drafts(site).files(drafts(site).find(draft.id))["shop.yaml"].endswith("# ann was here\n")
        both = drafts(site).find(draft.id)
        assert saved(site, bob, both, "shop.yaml", mine).authors == ("person:ann", "person:bob")

    def test_files_are_added_renamed_and_removed(self, site: Any) -> None:
        ann = site.browser("marketer")
        draft = begun(site, ann)

        def change(**fields: object) -> int:
            found = drafts(site).find(draft.id)
            answer = ann.post(f"/drafts/{draft.id}/files", {"revision": found.revision, **fields})
            assert isinstance(answer.status_code, int)
            return int(answer.status_code)

        assert change(what="add", to="expect/new.yaml") == 303
        assert change(what="add", to="expect/new.yaml") == 400
        assert change(what="rename", file="expect/new.yaml", to="expect/other.yaml") == 303
        assert change(what="remove", file="nothing.yaml") == 404
        assert change(what="add", to="../../etc.yaml") == 400
        assert "expect/other.yaml" in drafts(site).files(drafts(site).find(draft.id))
        assert change(what="remove", file="expect/other.yaml") == 303
        packed = ann.get(f"/drafts/{draft.id}/zip")
        with zipfile.ZipFile(io.BytesIO(packed.content)) as unpacked:
            assert {name: unpacked.read(name).decode() for name in unpacked.namelist()} == starter_files()

    def test_line_ends_and_marks_stay_as_the_file_had_them(self, site: Any) -> None:
        ann = site.browser("marketer")
        draft = begun(site, ann)
        files = starter_files() | {"shop.yaml": "\ufeff" + starter_files()["shop.yaml"].replace("\n", "\r\n")}
        draft = drafts(site).save(draft.id, 1, files, "person:marketer")
        browsers = files["shop.yaml"].removeprefix("\ufeff")
        same = ann.post(f"/drafts/{draft.id}", {"file": "shop.yaml", "text": browsers, "revision": 2})
        assert same.status_code == 303
        assert drafts(site).find(draft.id).revision == 2

    def test_five_thousand_mistakes_are_paged(self, site: Any) -> None:
        ann = site.browser("marketer")
        draft = begun(site, ann)
        lines = "".join(f"  s{n}: spnt > {n}\n" for n in range(5_000))
        draft = saved(site, ann, draft, "shoppers.yaml", "segments:\n" + lines)
        page = ann.get(f"/drafts/{draft.id}", file="shoppers.yaml")
        assert "1000 mistakes" in page.text
        assert page.text.count('data-line="') == 50
        assert len(page.text) < 600_000
        assert ann.get(f"/drafts/{draft.id}", file="shoppers.yaml", page="1").text.count('data-line="') == 50
        assert ann.get(f"/drafts/{draft.id}", page="99999999999").status_code == 200

    def test_a_draft_that_somebody_removed_is_told(self, site: Any) -> None:
        ann, bob = site.browser("marketer", name="ann"), site.browser("marketer", name="bob")
        draft = begun(site, ann)
        assert bob.post(f"/drafts/{draft.id}/discard").status_code == 303
        late = ann.post(f"/drafts/{draft.id}", {"file": "shop.yaml", "text": "x: 1", "revision": 1})
        assert late.status_code == 409
        assert "draft_closed" in late.text
        assert ann.get(f"/drafts/{draft.id}").status_code == 200
        assert ann.get("/drafts/nothing").status_code == 404
        assert ann.get("/drafts/nothing/publish").status_code == 404

    def test_who_only_looks_changes_nothing(self, site: Any) -> None:
        ann, eve = site.browser("marketer"), site.browser("viewer")
        draft = begun(site, ann)
        page = eve.get(f"/drafts/{draft.id}")
        assert page.status_code == 200
        assert "readonly" in page.text
        assert eve.post(f"/drafts/{draft.id}", {"file": "shop.yaml", "text": "", "revision": 1}).status_code == 403
        test_only = site.browser("marketer", name="tess", environment="test")
        assert test_only.post("/console/default/test/drafts", {"title": "x"}).status_code == 403


class TestSides:
    def test_what_differs_stands_side_by_side(self) -> None:
        old, new = "a\nb\nc\n", "a\nB\nB2\nc\n"
        found = side_by_side(old, new)
        assert [(line.kind, line.text) for line in found.old] == [
            ("where", "1"), ("same", "a"), ("gone", "b"), ("none", ""), ("same", "c"),
        ]  # fmt: skip
        assert [line.kind for line in found.new] == ["where", "same", "new", "new", "same"]
        assert len(found.old) == len(found.new)
        assert side_by_side(old, old).old == ()

    def test_too_much_is_not_compared(self) -> None:
        old = "\n".join(f"line {n}" for n in range(10_000))
        assert side_by_side(old, old + "\nmore").whole
        assert not side_by_side(old, old.replace("line", "other")).whole
