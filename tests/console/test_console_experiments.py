"""Experiments: the list, the report and what it says, the files, and the switch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.console.conftest import Browser, Site
from tests.console.inline_jobs import InlineJobs, inline

import reports
from cashwrap.analysis import making
from cashwrap.analysis.results import Effect, Interval, Problem, Report, Slice
from cashwrap.analysis.statistics.guardrails import Harm
from cashwrap.console.console import Options, open_console
from cashwrap.console.look import look_of
from cashwrap.console.pages import experiments as page
from cashwrap.console.work import work
from cashwrap.console.work.report_view import bar, kept_back, view
from cashwrap.console.work.work import Brief, Harmful, Past, Survey
from cashwrap.errors import CashwrapError
from cashwrap.history import write_facts
from cashwrap.library import open_world
from cashwrap.model import Millis, Tenant
from cashwrap.publishing import draft_of
from cashwrap.switches import Switches
from cashwrap.testing.facts import write_columns
from cashwrap.versions import Versions

DAY: Millis = 86_400_000
NAN, INF = float("nan"), float("inf")
HOSTILE = reports.HOSTILE
PLAYBOOK = """
shop: {currency: EUR, locale: en}
holdout: {share: 10%}
placements:
  top: {component: message}
experiences:
  hello:
    in: top
    show: {text: {en: "Hi"}}
    experiment:
      control: 50%
      guardrails: {conversion: 5%}
      design: {days: 14, looks: 2, window: 1d}
  later:
    in: top
    schedule: {from: 2090-01-01T08:00}
    show: {text: {en: "Hi"}}
    experiment: {control: 50%}
  ended:
    in: top
    schedule: {until: 2020-01-01T08:00}
    show: {text: {en: "Hi"}}
    experiment: {control: 50%}
  asleep:
    in: top
    enabled: false
    show: {text: {en: "Hi"}}
    experiment: {control: 50%}
  plain:
    in: top
    show: {text: {en: "Hi"}}
"""
BEFORE = PLAYBOOK.replace(
    "  hello:", "  former:\n    in: top\n    show: {text: {en: Hi}}\n    experiment: {control: 50%}\n  hello:"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose experiment began 30 days ago and did harm, with its playbook live and one before it."""
    root = tmp_path_factory.mktemp("shop")
    folder, playbook, seen = root / "data", root / "playbook", 1000
    playbook.mkdir()
    with open_world(folder, make=True) as world:
        versions, now = Versions(world.registry, world.clock), world.clock.now()
        for text in (BEFORE, PLAYBOOK):
            (playbook / "p.yaml").write_text(text)
            draft = draft_of(playbook)
            versions.keep(draft.playbook, draft.files)
            versions.go_live(draft.playbook.hash, "folder")
        write_facts(world, folder / "facts")
    dice, ids = np.random.default_rng(5), np.arange(seen)
    treated = dice.random(seen) < 0.5
    exposed = now - 30 * DAY + dice.integers(0, 13 * DAY, seen)
    bought = dice.random(seen) < np.where(treated, 0.1, 0.3)
    exposure: dict[str, Any] = {"event": "Experience Viewed", "experiment": "hello", "experience": "hello"}
    exposure |= {"variation": np.where(treated, "main", "control"), "propensity": 5000, "playbook": "one"}
    exposure |= {"outcome": np.where(treated, "shown", "control"), "decision": [f"d{each}" for each in ids]}
    write_columns(folder / "facts", "seen", {"analytic_id": ids, "time": exposed, **exposure})
    orders = {"event": "Order Completed", "order": ids[bought], "subtotal": 5000, "currency": "EUR"}
    write_columns(folder / "facts", "orders", {"analytic_id": ids[bought], "time": exposed[bought] + 1000, **orders})
    return root


@pytest.fixture
def lab(shop: Path) -> Iterator[Site]:
    """A console over it, whose jobs run at once."""
    with ExitStack() as opened:
        console = opened.enter_context(open_console(Options(shop / "data", shop / "playbook")))
        yield Site(console, shop / "data", shop / "playbook", opened)
        for switch in Switches(console.world.registry).of(Tenant()):
            Switches(console.world.registry).set(switch, off=False)


@pytest.fixture
def told(lab: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[Report], Browser]:
    """A browser for whom ``hello`` found what a report of ours says."""

    def begin(report: Report) -> Browser:
        inline(lab)
        monkeypatch.setattr(work, "report", lambda *_: msgspec.msgpack.encode(report))
        return lab.browser("admin")

    return begin


# --- one report, all of it ---


def test_what_facts_say_comes_to_the_page(lab: Site) -> None:
    jobs = inline(lab)
    text = lab.browser("viewer").get("/experiments/hello").text
    assert "Roll it back" in text
    assert "it makes conversion worse by more than the 5% allowed" in text
    assert ("✕ broken" in text, "Stop this experiment" in text) == (True, False)
    assert [each[2:] for each in jobs.asked] == [(Tenant(), "hello")]


def test_all_are_told_of_in_a_line_and_those_that_are_over_by_name(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "made", lambda *_: reports.win())
    survey = work.surveyed(lab.folder, Tenant(), ("hello", "plain"))
    assert (survey.briefs["hello"].code, survey.briefs["hello"].look) == ("ship", 4)
    assert survey.briefs["plain"].code == "no_experiment"
    assert [each.name for each in survey.past] == ["former"]
    assert work.exported(lab.folder, Tenant(), "hello", "sql").startswith(b"-- units by arm\n")


def test_harm_comes_as_it_is_found(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found = making.Harmed("hello", Harm("conversion", "main", "guardrail"), "why", ("basket",))
    monkeypatch.setattr(making, "harmed", lambda *_: iter([found]))
    assert work.guarded(lab.folder, Tenant()) == (Harmful("hello", "conversion", "main", "guardrail", ("basket",)),)


def test_a_win_says_everything_the_report_says(told: Callable[[Report], Browser]) -> None:
    text = told(reports.win()).get("/experiments/hello").text
    for said in (
        "Ship it: <bdi>wallets_first</bdi>",
        "At stake in a year",
        "Orders were told of twice.",
        "Guardrails: what must not become worse",
        "✓ holds",
        "The effect look by look",
        "The effect by days since the first exposure",
        "How far shoppers come",
        "By kind of shopper",
        "the parts differ",
        "shares as declared",
        "Could be found now",
        "Playbook releases",
        "The same figures by SQL",
        "/drafts/new?experience=hello",
    ):
        assert said in text, said


def test_figures_nobody_may_believe_are_said_to_be_so(told: Callable[[Report], Browser]) -> None:
    text = told(reports.blocked()).get("/experiments/hello").text
    assert "shares are off" in text
    assert text.index("The arms are not the sizes they were given.") < text.index("At stake in a year")


def test_one_reason_for_several_figures_is_said_once(told: Callable[[Report], Browser]) -> None:
    report, early = reports.win(), Problem("too_early", "No planned look has passed yet.")
    results = tuple(msgspec.structs.replace(each, problem=early, effects=()) for each in report.results)
    assert len(results) > 2
    assert told(msgspec.structs.replace(report, results=results)).get("/experiments/hello").text.count("too_early") == 1


@pytest.mark.parametrize("name", ["harm", "nothing", "headline"])
def test_every_report_has_a_page_in_both_languages(told: Callable[[Report], Browser], lab: Site, name: str) -> None:
    browser = told(reports.ALL[name]())
    assert browser.get("/experiments/hello").status_code == 200
    person = lab.console.people.find("admin")
    assert person is not None
    lab.console.people.put(msgspec.structs.replace(person, language="de"))
    answer = browser.get("/experiments/hello")
    assert (answer.status_code, "Aufbau, und wie weit es ist" in answer.text) == (200, True)


def test_hostile_names_stay_text(told: Callable[[Report], Browser]) -> None:
    text = told(reports.hostile()).get("/experiments/hello").text
    assert HOSTILE not in text
    assert "&lt;script&gt;alert" in text
    assert "<script>alert" not in text


def test_numbers_that_are_none_are_no_harm(told: Callable[[Report], Browser]) -> None:
    found = reports.win()
    effect = Effect("wallets_first", NAN, Interval(NAN, INF), INF, NAN, Interval(-INF, INF), NAN, chance_better=NAN)
    broken = [msgspec.structs.replace(each, effects=(effect,), values={"control": NAN}) for each in found.results]
    verdict = msgspec.structs.replace(found.verdict, stake=INF, stake_interval=Interval(-INF, INF), harm=NAN)
    plan = msgspec.structs.replace(found.plan, days_left=INF, detectable=NAN) if found.plan else None
    odd = msgspec.structs.replace(found, results=tuple(broken), verdict=verdict, plan=plan)
    answer = told(odd).get("/experiments/hello")
    assert answer.status_code == 200
    assert "nan" not in answer.text.lower().replace("finance", "")


# --- small groups ---


def test_small_groups_are_not_told_nor_found_by_difference() -> None:
    effect = reports.win().results[0].effects[0]
    groups = [("phone", 900), ("tablet", 40), ("watch", 7), ("desk", 800)]
    slices = tuple(Slice("device", name, "a", units, effect, 1.0, Interval(0.0, 2.0)) for name, units in groups)
    assert {each.value for each in slices if id(each) in kept_back(slices)} == {"tablet", "watch"}
    report = msgspec.structs.replace(reports.win(), slices=slices)
    shown = {each.value: each for each in view(report, look_of("en")).parts}
    assert (shown["watch"].units, shown["watch"].change, shown["watch"].bar) == ("fewer than 20", "", None)
    assert (shown["tablet"].small, shown["tablet"].change) == (True, "")
    assert shown["phone"].units == "900"
    whole = tuple(each for each in slices if each.value != "watch")
    assert not kept_back(whole)


def test_fifty_thousand_parts_are_sixty_lines() -> None:
    effect = reports.win().results[0].effects[0]
    many = tuple(Slice("segment", f"s{n}", "a", 100 + n, effect, 1.0, Interval(0.0, 2.0)) for n in range(50_000))
    found = view(msgspec.structs.replace(reports.win(), slices=many), look_of("en"))
    assert (len(found.parts), found.hidden) == (60, 49_940)
    assert {each.value for each in found.parts} == {f"s{n}" for n in range(49_940, 50_000)}


def test_bars_lie_where_their_numbers_say() -> None:
    found = bar(0.5, Interval(0.0, 1.0), 1.0, limit=-0.5)
    assert found is not None
    assert (found.low, found.at, found.high, found.limit, found.beyond) == (120.0, 176.0, 232.0, 64.0, False)
    wide = bar(3.0, Interval(-INF, INF), 1.0)
    assert wide is not None
    assert (wide.low, wide.at, wide.high, wide.beyond) == (8.0, None, 232.0, True)
    assert bar(None, None, 1.0) is None


# --- live ---


def test_an_open_page_gets_new_figures_only_where_they_changed(told: Callable[[Report], Browser], lab: Site) -> None:
    browser, jobs = told(reports.win()), lab.console.jobs
    whole = browser.part("/experiments/hello")
    assert 'id="report"' in whole.text
    seen = whole.text.partition("seen=")[2].partition('"')[0]
    same = browser.part("/experiments/hello", seen=seen)
    assert (same.headers.get("hx-retarget"), 'id="report"' in same.text) == ("#live", False)
    assert isinstance(jobs, InlineJobs)
    assert len(jobs.asked) == 1
    other = browser.part("/experiments/hello", seen="another")
    assert ("hx-retarget" in other.headers, 'id="report"' in other.text) == (False, True)


def test_while_it_is_worked_out_the_page_says_how_far(told: Callable[[Report], Browser], lab: Site) -> None:
    browser = told(reports.win())
    jobs = lab.console.jobs
    assert isinstance(jobs, InlineJobs)
    jobs.state = "running"
    text = browser.get("/experiments/hello").text
    assert ("reading the log" in text, "(40%)" in text, 'hx-trigger="load delay:1s"' in text) == (True, True, True)


@pytest.mark.parametrize(
    ("code", "said"),
    [("extra_missing", "cashwrap[analysis]"), ("job_too_long", "longer than ten minutes"), ("odd", "could not be")],
)
def test_a_report_that_fails_says_why(lab: Site, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    def fails(*_: object) -> bytes:
        raise CashwrapError(f"no {HOSTILE}", code=code)

    inline(lab)
    monkeypatch.setattr(work, "report", fails)
    answer = lab.browser("viewer").get("/experiments/hello")
    assert (answer.status_code, code in answer.text, said in answer.text) == (200, True, True)
    assert HOSTILE not in answer.text


def test_an_experiment_that_is_over_still_has_its_report(told: Callable[[Report], Browser]) -> None:
    text = told(reports.win()).get("/experiments/former").text
    assert "has this experiment no more" in text
    assert "Ship it" in text
    assert "Stop this experiment" not in text


def test_what_is_none_has_no_page(lab: Site) -> None:
    inline(lab)
    browser = lab.browser("viewer")
    for name in ("plain", "a b", "%3Cscript%3E", "x" * 300):
        answer = browser.get(f"/experiments/{name}")
        assert (answer.status_code, "no_such_experiment" in answer.text) == (404, True), name
    assert "no_such_experience" in browser.get("/experiments/never_was").text


def test_where_too_many_wait_the_last_report_is_shown(told: Callable[[Report], Browser], lab: Site) -> None:
    browser, jobs = told(reports.win()), lab.console.jobs
    assert isinstance(jobs, InlineJobs)
    assert browser.get("/experiments/hello").status_code == 200
    jobs.full = True
    assert "Ship it" in browser.get("/experiments/hello").text
    refused = browser.get("/experiments/holdout")
    assert (refused.status_code, "too_many_jobs" in refused.text) == (429, True)
    assert browser.get("/experiments").status_code == 200


# --- the list ---


def test_the_list_says_state_and_verdict(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    briefs = {
        "hello": Brief("ship", "main", 2, 2, 7, 1, 12.0, doubts=1),
        "later": Brief("no_exposures", problem="nobody yet"),
        "holdout": Brief("keep_running"),
    }
    past = (Past("gone", HOSTILE, 1, "abcd"),)
    monkeypatch.setattr(work, "surveyed", lambda *_: Survey(briefs, past))
    inline(lab)
    text = lab.browser("viewer").get("/experiments").text
    for said in ("Ship it", "1 doubt", "fewer than 20", "no report", "Too early to say", "planned", "over", "gone"):
        assert said in text, said
    assert "switched off in the playbook" in text
    assert "plain" not in text.partition("<main")[2]
    assert HOSTILE not in text


def test_the_list_is_searched_and_asks_until_it_is_counted(lab: Site) -> None:
    jobs = inline(lab)
    jobs.state = "running"
    browser = lab.browser("viewer")
    text = browser.part("/experiments", q="HELL").text
    assert ("hello" in text, "asleep" in text, 'hx-trigger="load delay:2s"' in text) == (True, False, True)
    assert "No experiment fits" in browser.get("/experiments", q=HOSTILE).text


def test_a_twenty_thousand_experiments_are_fifty_lines(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    inline(lab)
    monkeypatch.setattr(work, "surveyed", lambda *_: Survey({}, ()))
    playbook = lab.console.reading.engine().live.playbook
    declared = playbook.declarations.experiences
    for number in range(20_000):
        declared[f"x{number:06}"] = msgspec.structs.replace(declared["hello"], name=f"x{number:06}")
    try:
        text = lab.browser("viewer").get("/experiments", after="10000").text
    finally:
        for number in range(20_000):
            del declared[f"x{number:06}"]
    assert text.count("<tr>") <= 52
    assert "20,004" in text


# --- files ---


def test_a_report_comes_as_a_file(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "exported", lambda _, tenant, *asked: repr((tenant, *asked)).encode())
    inline(lab)
    browser = lab.browser("viewer")
    rows = browser.get("/experiments/hello/file", kind="csv")
    assert (rows.status_code, rows.headers["content-disposition"]) == (200, 'attachment; filename="hello.csv"')
    assert rows.text == repr((Tenant(), "hello", "csv"))
    assert browser.get("/experiments/hello/file", kind="exe").status_code == 400


def test_a_file_that_fails_says_why(lab: Site) -> None:
    inline(lab)
    answer = lab.browser("viewer").get("/experiments/never_was/file", kind="json")
    assert "no_such_experience" in answer.text


def test_a_file_that_is_not_made_yet_asks_again(lab: Site) -> None:
    inline(lab).state = "running"
    answer = lab.browser("viewer").get("/experiments/hello/file", kind="html")
    assert (answer.status_code, answer.headers["refresh"]) == (202, "2")


# --- the switch ---


def test_stopping_takes_a_reason_and_leaves_an_entry(told: Callable[[Report], Browser], lab: Site) -> None:
    browser = told(reports.harm())
    assert "missing_reason" in browser.post("/experiments/hello/stop", {"reason": " "}).text
    assert browser.post("/experiments/hello/stop", {"reason": HOSTILE}).status_code == 303
    (switch,) = Switches(lab.console.world.registry).of(Tenant())
    assert (switch.scope, switch.name, switch.reason, switch.by) == ("experience", "hello", HOSTILE, "person:admin")
    text = browser.get("/experiments/hello", done="stopped").text
    assert ("stopped" in text, "Switch it on again" in text, HOSTILE in text) == (True, True, False)
    assert browser.post("/experiments/hello/start").status_code == 303
    assert not Switches(lab.console.world.registry).of(Tenant())
    assert lab.console.world.audit is not None
    actions = [entry.action for _, entry in lab.console.world.audit.entries()][-2:]
    assert actions == ["switch.off", "switch.on"]
    assert browser.post("/experiments/former/stop", {"reason": "over"}).status_code == 404


def test_who_may_not_stop_does_not(lab: Site) -> None:
    inline(lab)
    assert lab.browser("analyst").post("/experiments/hello/stop", {"reason": "x"}).status_code == 403


def test_harm_is_shown_and_nothing_is_switched_off(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (Harmful("hello", HOSTILE, "main", "guardrail", ("basket",)),)
    monkeypatch.setattr(work, "guarded", lambda *_: found)
    inline(lab)
    browser = lab.browser("viewer")
    text = browser.get("/guard").text
    assert ("It breaks a guardrail." in text, "/models/basket" in text, HOSTILE in text) == (True, True, False)
    assert 'id="harm"' in browser.part("/guard").text
    assert not Switches(lab.console.world.registry).of(Tenant())


def test_names_that_could_be_experiments(lab: Site) -> None:
    assert page._NAME.fullmatch("wallets_first_on_mobile")
    assert not page._NAME.fullmatch("../x")
