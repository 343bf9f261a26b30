"""How a draft goes live: cases, the second person where money moves, the served folder, what went live meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from cashwrap.console.drafts.backtesting import backtest_draft
from cashwrap.console.drafts.drafting import compiled, examined, examined_apart
from cashwrap.console.drafts.drafts import Draft, Drafts
from cashwrap.console.work.jobs import Job
from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.history.tally import Audience, Backtest, Count, Granted, Move, Placement, Share
from cashwrap.model import Tenant
from cashwrap.publishing import draft_of, read_folder
from cashwrap.versions import Release, Versions

QUIET = ("shoppers.yaml", "The evening rush, by the shopper's own clock.", "The evening rush.")
"""A change that moves no money."""
MONEY = ("offers.yaml", "day: 100, budget: 3000", "day: 100, budget: 9000")


@pytest.fixture
def crew(site: Any) -> dict[str, Any]:
    """Browsers by name: two marketers, an analyst and an administrator."""
    marketers = {name: site.browser("marketer", name=name) for name in ("ann", "bob")}
    return {**marketers, "ivy": site.browser("analyst", name="ivy"), "site": site}


def store(site: Any) -> Drafts:
    world = site.console.world
    return Drafts(world.registry, world.clock, world.random)


def draft(crew: dict[str, Any], who: str, *changes: tuple[str, str, str]) -> Draft:
    site = crew["site"]
    made = crew[who].post("/drafts", {"title": f"{who}'s", "from": "live"})
    found = store(site).find(made.headers["location"].split("/")[-1].partition("?")[0])
    files = store(site).files(found)
    for file, old, new in changes:
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    return store(site).save(found.id, 1, files, f"person:{who}") if changes else found


def publish(crew: dict[str, Any], who: str, what: Draft, **fields: object) -> Any:
    values = {"revision": what.revision, "message": "why not", **fields}
    return crew[who].post(f"/drafts/{what.id}/publish", values)


def live(crew: dict[str, Any]) -> Release:
    found: Release = crew["site"].console.versions.live()
    return found


def trail(crew: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry.actor, entry.action) for _, entry in crew["site"].console.world.audit.entries()]


def text(site: Any, name: str) -> str:
    return (Path(site.playbook) / name).read_text()


class TestPublishing:
    def test_what_moves_no_money_goes_live_and_into_the_folder(self, crew: dict[str, Any]) -> None:
        site, what = crew["site"], draft(crew, "ann", QUIET)
        assert "disabled" not in crew["ann"].get(f"/drafts/{what.id}/publish").text
        assert "The evening rush." in crew["ann"].get(f"/drafts/{what.id}/changes").text
        before = live(crew)
        answer = publish(crew, "ann", what)
        assert answer.status_code == 303, answer.text
        assert live(crew).by == "console"
        assert (live(crew).who, live(crew).message) == ("ann", "why not")
        assert live(crew).hash == draft_of(site.playbook).playbook.hash != before.hash
        assert "The evening rush." in text(site, "shoppers.yaml")
        assert store(site).find(what.id).state == "published"
        assert trail(crew)[-1] == ("person:ann", "playbook.publish")
        listed = crew["ann"].get("/versions")
        assert live(crew).hash in listed.text
        assert "the console" in listed.text
        assert site.console.versions.writing() is None

    def test_a_folder_with_unpublished_changes_is_left_alone(self, crew: dict[str, Any]) -> None:
        site = crew["site"]
        path = site.playbook / "shop.yaml"
        path.write_text(path.read_text() + "# mine, not published\n")
        answer = publish(crew, "ann", draft(crew, "ann", QUIET))
        assert answer.headers["location"].endswith("done=published")
        assert live(crew).by == "publish"
        assert text(site, "shop.yaml").endswith("# mine, not published\n")
        page = crew["ann"].get("/versions", done="published")
        assert "cashwrap checkout live" in page.text

    def test_a_folder_that_cannot_be_written_keeps_nothing_from_going_live(
        self, crew: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site, wrote = crew["site"], []

        def full(path: Path, _: str) -> None:
            wrote.append(path)
            if len(wrote) == 3:
                raise OSError(28, "No space left on device")

        before = read_folder(site.playbook)
        monkeypatch.setattr("cashwrap.publishing._replace", full)
        assert publish(crew, "ann", draft(crew, "ann", QUIET)).status_code == 303
        assert live(crew).by == "publish"
        assert read_folder(site.playbook) == before
        assert site.console.versions.writing() is None

    def test_mistakes_and_failing_cases_keep_it_from_going_live(self, crew: dict[str, Any]) -> None:
        before = live(crew)
        for change, told in (
            (("shoppers.yaml", "when: sessions >= 2 || orders >= 1", "when: sesions >= 2"), "sesions"),
            (("offers.yaml", "benefit: {percent: 10, most: 15}", "benefit: {percent: 90, most: 1500}"), "cases say"),
        ):
            what = draft(crew, "ann", change)
            page = crew["ann"].get(f"/drafts/{what.id}/publish").text
            assert "disabled" in page
            assert told in page
            assert ("/offers/same_again" in page) == (told == "cases say")  # to the form of what was changed
            assert publish(crew, "ann", what).status_code == 400
        assert live(crew) == before

    def test_an_analyst_writes_and_does_not_publish(self, crew: dict[str, Any]) -> None:
        what = draft(crew, "ivy", QUIET)
        assert publish(crew, "ivy", what).status_code == 403
        assert publish(crew, "ann", what).status_code == 303

    def test_only_comments_need_no_new_version(self, crew: dict[str, Any]) -> None:
        before = live(crew)
        what = draft(crew, "ann", ("shop.yaml", "# Your shop.", "# Our shop."))
        assert publish(crew, "ann", what).status_code == 303
        assert live(crew).number == before.number
        assert text(crew["site"], "shop.yaml").startswith("# Our shop.")


class TestTwoPeople:
    def test_money_needs_a_second_person_who_did_not_write_it(self, crew: dict[str, Any]) -> None:
        what, before = draft(crew, "ann", MONEY), live(crew)
        refused = publish(crew, "ann", what)
        assert refused.status_code == 409
        assert "needs_second_person" in refused.text
        shown = crew["ann"].get(f"/drafts/{what.id}/publish").text
        assert "same_again" in shown
        assert "Ask for a second person" in shown
        assert crew["ann"].post(f"/drafts/{what.id}/submit", {"revision": what.revision}).status_code == 303
        own = crew["ann"].post(f"/drafts/{what.id}/approve", {"revision": what.revision})
        assert own.status_code == 409
        assert "own_draft" in own.text
        assert crew["ivy"].post(f"/drafts/{what.id}/approve", {"revision": what.revision}).status_code == 403
        assert "ann&#39;s" in crew["bob"].get("/drafts").text
        assert live(crew) == before
        assert crew["bob"].post(f"/drafts/{what.id}/approve", {"revision": what.revision}).status_code == 303
        assert publish(crew, "ann", what).status_code == 303
        assert ("person:bob", "draft.approve") in trail(crew)
        entry = crew["site"].console.world.audit.entries()[-1][1]
        assert entry.details["approved_by"] == "person:bob"

    def test_an_edit_takes_the_word_away(self, crew: dict[str, Any]) -> None:
        what = draft(crew, "ann", MONEY)
        assert crew["bob"].post(f"/drafts/{what.id}/approve", {"revision": what.revision}).status_code == 303
        files = store(crew["site"]).files(what)
        files["offers.yaml"] = files["offers.yaml"].replace("budget: 9000", "budget: 9900")
        edited = store(crew["site"]).save(what.id, what.revision, files, "person:ann")
        assert publish(crew, "ann", what).status_code == 409
        assert publish(crew, "ann", edited).status_code == 409

    def test_the_word_of_somebody_who_may_no_longer_give_it_does_not_count(self, crew: dict[str, Any]) -> None:
        site, what = crew["site"], draft(crew, "ann", MONEY)
        assert crew["bob"].post(f"/drafts/{what.id}/approve", {"revision": what.revision}).status_code == 303
        site.person("viewer", name="bob")
        assert publish(crew, "ann", what).status_code == 409

    def test_whoever_edits_after_agreeing_does_not_agree_to_their_own(self, crew: dict[str, Any]) -> None:
        site, what = crew["site"], draft(crew, "ann", MONEY)
        crew["bob"].post(f"/drafts/{what.id}/approve", {"revision": what.revision})
        files = store(site).files(what)
        edited = store(site).save(what.id, what.revision, files | {"metrics.yaml": ""}, "person:bob")
        back = store(site).save(what.id, edited.revision, files, "person:ann")
        assert back.digest == what.digest
        assert publish(crew, "ann", back).status_code == 409
        assert crew["bob"].post(f"/drafts/{what.id}/approve", {"revision": back.revision}).status_code == 409


class TestMeanwhile:
    def test_what_went_live_meanwhile_is_brought_together(self, crew: dict[str, Any]) -> None:
        site, what = crew["site"], draft(crew, "ann", QUIET)
        other = ("shoppers.yaml", "description: On a phone.", "description: On a telephone.")
        assert publish(crew, "bob", draft(crew, "bob", other)).status_code == 303
        late = publish(crew, "ann", what)
        assert late.status_code == 409
        assert "version_moved" in late.text
        shown = crew["ann"].get(f"/drafts/{what.id}/update").text
        assert "do not touch each other" in shown
        fields = {"revision": what.revision, "live": live(crew).hash}
        assert crew["ann"].post(f"/drafts/{what.id}/update", fields).status_code == 303
        up = store(site).find(what.id)
        assert publish(crew, "ann", up).status_code == 303
        assert "On a telephone." in text(site, "shoppers.yaml")
        assert "The evening rush." in text(site, "shoppers.yaml")

    @pytest.mark.parametrize("side", ["mine", "theirs"])
    def test_what_both_changed_is_decided_by_somebody(self, crew: dict[str, Any], side: str) -> None:
        site, what = crew["site"], draft(crew, "ann", QUIET)
        other = (QUIET[0], QUIET[1], "Six to ten.")
        assert publish(crew, "bob", draft(crew, "bob", other)).status_code == 303
        shown = crew["ann"].get(f"/drafts/{what.id}/update").text
        assert "Six to ten." in shown
        assert "The evening rush." in shown
        fields = {"revision": what.revision, "live": live(crew).hash}
        assert crew["ann"].post(f"/drafts/{what.id}/update", fields).status_code == 400
        fields |= {"side:shoppers.yaml/segments/peak_hours": side}
        assert crew["ann"].post(f"/drafts/{what.id}/update", fields).status_code == 303
        wanted = "The evening rush." if side == "mine" else "Six to ten."
        assert wanted in store(site).files(store(site).find(what.id))["shoppers.yaml"]

    def test_a_base_that_is_no_longer_kept_asks_about_everything(self, crew: dict[str, Any]) -> None:
        site, what = crew["site"], draft(crew, "ann", QUIET)
        before = live(crew).hash
        assert publish(crew, "bob", draft(crew, "bob", ("shop.yaml", "100%", "50%"))).status_code == 303
        site.console.world.registry.put(f"version:{before}", "files", None)
        shown = crew["ann"].get(f"/drafts/{what.id}/update")
        assert shown.status_code == 200
        assert 'name="side:shoppers.yaml"' in shown.text


class TestWayBack:
    def test_one_click_and_everybody_has_what_was_live(self, crew: dict[str, Any]) -> None:
        before = live(crew)
        publish(crew, "bob", draft(crew, "bob", QUIET))
        assert "Back to this" in crew["ann"].get("/versions").text
        assert "The evening rush" in crew["ann"].get(f"/versions/{before.hash}").text
        assert crew["ivy"].post(f"/versions/{before.hash}/rollback").status_code == 403
        assert crew["ann"].post(f"/versions/{before.hash}/rollback", {"message": "wrong"}).status_code == 303
        assert (live(crew).hash, live(crew).by, live(crew).message) == (before.hash, "rollback", "wrong")
        assert trail(crew)[-1] == ("person:ann", "playbook.rollback")
        assert crew["ann"].post(f"/versions/{before.hash}/rollback").status_code == 400
        assert crew["ann"].post("/versions/ffffffff/rollback").status_code == 404

    def test_a_version_that_was_never_live_is_no_way_back(self, crew: dict[str, Any]) -> None:
        """Else money moved without a second person."""
        site, what = crew["site"], draft(crew, "ann", MONEY)
        playbook = draft_of(site.playbook).playbook
        found = examined(store(site).files(what), site.console.versions)
        versions: Versions = site.console.versions
        files = store(site).files(what)
        ready = compiled(files)[0]
        assert ready is not None
        assert ready.hash != playbook.hash
        versions.keep(ready, files)
        assert crew["ann"].post(f"/versions/{found.hash}/rollback").status_code == 409


def test_a_backtest_says_what_it_lacks(crew: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    what = draft(crew, "ann", QUIET)
    assert crew["ann"].get(f"/drafts/{what.id}/backtest").status_code == 200
    asked: list[tuple[object, ...]] = []

    def ask(name: str, work: object, *args: object, fresh: int = 0) -> Job:
        asked.append(args)
        return Job(name, 0)

    jobs = crew["site"].console.jobs
    monkeypatch.setattr(jobs, "ask", ask)
    assert crew["ann"].post(f"/drafts/{what.id}/backtest", {"since": "7d"}).status_code == 303
    assert asked[0][2] == "7d"
    assert crew["ann"].post(f"/drafts/{what.id}/backtest", {"since": "1000d"}).status_code == 400
    failed = Job("x", 0, state="failed", code="no_decisions", message="no decision is recorded here")
    monkeypatch.setattr(jobs, "find", lambda name: failed)
    assert "no decision is recorded" in crew["ann"].get(f"/drafts/{what.id}/backtest").text


def test_a_backtest_is_shown_and_small_groups_are_not(crew: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    what = draft(crew, "ann", MONEY)
    hostile = "<script>alert(1)</script>"
    report = Backtest(
        playbook="x", first=0, last=86_400_000, decisions=1_000, changed=100, shown=50, shoppers=400, touched=7,
        skipped={"preview": 3, "unheard": 1}, products_changed=2, playbooks={"a": 1, "b": 2},
        placements=[
            Placement("basket_message", 100, 40, 30, [Share(hostile, 4, 5, 3, 2)], [Move("", f"{hostile}/main", 4)])
        ],
        audiences=[Audience("vip", 13, 47), Audience("many", None, 400)],
        arms=[Count("x", "control", 3, 4)], ghosts=[], offers=[Granted("same_again", "EUR", 1, 2, 100, 25_000)],
    )  # fmt: skip
    job = Job("x", 0, state="done", result=report)
    monkeypatch.setattr(crew["site"].console.jobs, "find", lambda name: job)
    page = crew["ann"].get(f"/drafts/{what.id}/backtest").text
    assert "<script>alert" not in page
    assert "€250.00" in page
    assert page.count("fewer than 20") == 2, "the shoppers touched, and who was in vip"
    assert '<td class="number">40</td>' in page, "47 rounded down"
    assert "13" not in page.partition("vip")[2][:80]
    waiting = crew["bob"].get(f"/drafts/{what.id}/publish").text
    assert "fewer than 20" in waiting
    assert "I agree to this draft" in waiting
    part = crew["ann"].part(f"/drafts/{what.id}/backtest").text
    assert "<html" not in part
    for state in ("waiting", "running"):
        job = Job("x", 0, state=state, share=0.4)
        assert "hx-get" in crew["ann"].part(f"/drafts/{what.id}/backtest").text


def test_a_large_draft_is_looked_at_elsewhere(crew: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    site, what = crew["site"], draft(crew, "ann", ("shop.yaml", "# Your shop.", f"#{'x' * 400_000}\n# Our shop."))
    job, asked = Job("x", 0), list[str]()

    def ask(name: str, work: object, *args: object, fresh: int = 0) -> Job:
        asked.append(name)
        return job

    monkeypatch.setattr(site.console.jobs, "ask", ask)
    for path in ("", "/changes", "/publish"):
        assert "large draft" in crew["ann"].get(f"/drafts/{what.id}{path}").text
    assert len(set(asked)) == 1
    assert publish(crew, "ann", what).status_code == 503
    job = Job("x", 0, state="failed", code="job_died", message="it died")
    assert "it died" in crew["ann"].get(f"/drafts/{what.id}").text
    job = Job("x", 0, state="done", result=examined(store(site).files(what), site.console.versions))
    assert "no mistakes" in crew["ann"].get(f"/drafts/{what.id}").text
    assert publish(crew, "ann", what).status_code == 303


def test_the_work_of_jobs(crew: dict[str, Any]) -> None:
    site, what = crew["site"], draft(crew, "ann", MONEY)
    files = store(site).files(what)
    assert [each.why for each in examined_apart(site.folder, files).money] == ["offer"]
    with pytest.raises(InvalidInput) as told:
        backtest_draft(site.folder, files, Tenant(), "7d")
    assert told.value.code == "no_decisions"
    with pytest.raises(PlaybookError):
        backtest_draft(site.folder, {"shop.yaml": "shop: ["}, Tenant(), "7d")
