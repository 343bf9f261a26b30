"""Models: the registry, a version's card, what may be done with it and what is refused, and trainings."""

from typing import Any

import msgspec
import pytest
from tests.console.conftest import Site
from tests.console.inline_jobs import inline

from cashwrap.console.pages.models import _dots
from cashwrap.console.work import work
from cashwrap.console.work.work import Card, Drifted, Shift, Trained
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.learned import registry
from cashwrap.learned.artefact import Figure, Gate, Lineage
from cashwrap.learned.forgetting import DUE, Due, key_of
from cashwrap.learned.shadow import KIND, Shadow
from cashwrap.learning.results import Bin, Evaluation, Training, Versus
from cashwrap.model import Tenant
from learned_world import FAILED, draft

HOSTILE = '<script>alert("1")</script>'
NAN, INF = float("nan"), float("inf")
LIVE = Tenant()


def kept(site: Site, **fields: Any) -> str:
    return registry.register(site.console.world, LIVE, draft(**fields))


def training(**fields: Any) -> Training:
    evaluation = Evaluation(
        task="prediction",
        main="auc",
        count=400,
        figures={"auc": Figure(0.71, 0.69, 0.73), "calibration_error": Figure(0.02)},
        versus=(Versus("auc", "base_rate", 0.71, 0.5, 0.21, 0.19, 0.23),),
        reliability=(Bin(0.1, 0.12, 200), Bin(0.6, 0.5, 12)),
        notes=(f"A note {HOSTILE}",),
    )
    lineage = Lineage("log", "0123456789abcdef", 400, features=("sessions", HOSTILE))
    whole = Training("next_item", lineage, {"k": 1}, (), evaluation, Gate(passed=True), 1.0, 1_000_000)
    return msgspec.structs.replace(whole, **fields)


def proven(site: Site, version: str) -> None:
    """So many quick answers as a shadow that nothing speaks against it."""
    told = Shadow(asked=400, compared=400, agreed=360.0)
    for _ in range(400):
        told.told(0.0001)
    site.console.world.registry.put(KIND, f"{key_of(LIVE, 'next_item', version)}/one", msgspec.json.encode(told))


def actions(site: Site) -> list[tuple[str, str, str]]:
    assert site.console.world.audit is not None
    entries = [entry for _, entry in site.console.world.audit.entries()]
    return [(each.actor, each.action, each.subject) for each in entries if each.action.startswith("model.")]


# --- what there is ---


def test_an_empty_shop_says_what_would_be_here(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    inline(site)
    monkeypatch.setattr(work, "learnable", lambda *_: (("basket", "it was never trained"),))
    text = site.browser("viewer").get("/models").text
    assert ("No models yet" in text, "it was never trained" in text, "Train now" in text) == (True, True, False)
    assert "Train now" in site.browser("analyst").get("/models").text


def test_the_list_names_roles_gate_and_what_is_due(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    inline(site)
    monkeypatch.setattr(work, "learnable", lambda *_: ())
    version, failed = kept(site), kept(site, name="other", gate=FAILED)
    world = site.console.world
    world.registry.put(DUE, key_of(LIVE, "other", failed), msgspec.json.encode(Due(3, 1)))
    text = site.browser("viewer").get("/models").text
    for said in (
        version[-8:],
        "none: the catalogue answers",
        "✓ passed",
        "✕ refused",
        "not_better",
        ">due<",
        "None: all are",
    ):
        assert said in text, said
    assert 'id="due"' in site.browser("viewer").part("/models").text


def test_another_store_sees_none_of_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    inline(site)
    monkeypatch.setattr(work, "learnable", lambda *_: ())
    version = kept(site)
    browser = site.browser("admin")
    assert version[-8:] not in browser.get("/console/other/live/models").text
    assert browser.get("/console/other/live/models/next_item").status_code == 404
    assert browser.get(f"/console/other/live/models/next_item/version/{version}").status_code == 404


def test_what_is_no_model_has_no_page(site: Site) -> None:
    inline(site)
    kept(site)
    browser = site.browser("viewer")
    for path in (
        "/models/none",
        "/models/next_item/version/none",
        "/models/%3Cscript%3E",
        "/models/next_item/training",
    ):
        assert browser.get(path).status_code == 404, path


# --- a version ---


def test_a_card_says_what_the_registry_keeps(site: Site) -> None:
    inline(site)
    version = kept(site, more={"training.json": msgspec.json.encode(training())})
    text = site.browser("viewer").get(f"/models/next_item/version/{version}").text
    for said in (
        "Good enough to go on",
        "Better than telling everybody the average",
        "circle",
        "percentage points from",
    ):
        assert said in text, said
    assert "fewer than 20" in text
    assert ("&lt;script&gt;alert" in text, HOSTILE in text, "What next" in text) == (True, False, False)


def test_a_version_without_a_card_still_has_its_figures(site: Site) -> None:
    inline(site)
    version = kept(site, figures={"recall@20": Figure(0.5), HOSTILE: Figure(0.5)})
    answer = site.browser("viewer").get(f"/models/next_item/version/{version}")
    assert (answer.status_code, "has no card" in answer.text, HOSTILE in answer.text) == (200, True, False)
    assert "recall@20" in answer.text


def test_figures_that_are_no_numbers_are_said_to_be_damaged(site: Site) -> None:
    """JSON has no such number, so neither a manifest nor a training with one can be read."""
    inline(site)
    browser = site.browser("viewer")
    version = kept(site, figures={"recall@20": Figure(NAN, -INF, INF)})
    answer = browser.get(f"/models/next_item/version/{version}")
    assert (answer.status_code, "cannot be used" in answer.text, "model_corrupt" in answer.text) == (200, True, True)
    odd = msgspec.json.encode(training(seconds=INF))
    version = kept(site, name="other", more={"training.json": odd})
    assert "model_corrupt" in browser.get(f"/models/other/version/{version}").text


def test_a_missing_extra_and_a_slow_job_are_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, version = inline(site), kept(site)
    browser = site.browser("viewer")
    jobs.state = "running"
    assert 'hx-trigger="load delay:2s"' in browser.get(f"/models/next_item/version/{version}").text
    jobs.state = ""

    def lacks(*_: object) -> Card:
        raise CashwrapError("This needs lightgbm. Install cashwrap[learning]", code="extra_missing")

    monkeypatch.setattr(work, "card", lacks)
    text = browser.part(f"/models/next_item/version/{version}").text
    assert ("cashwrap[learning]" in text, "extra_missing" in text) == (True, True)


def test_files_are_verified(site: Site) -> None:
    inline(site)
    version = kept(site)
    browser = site.browser("viewer")
    address = f"/models/next_item/version/{version}"
    assert "Every file is as it was written" in browser.get(address, verify="1").text
    path = registry.files_of(site.console.world).path(LIVE, "next_item", version, "items.txt")
    path.write_text('["mug", "cup"]')
    text = browser.get(address, verify="1").text
    assert ("Not as it was written" in text, "model_corrupt" in text) == (True, True)


def test_drift_is_told_where_it_was_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    inline(site)
    version = kept(site)
    found = Drifted("retrain", 900, (Shift("feature", HOSTILE, "retrain", f"it moved {HOSTILE}"),))
    monkeypatch.setattr(work, "drifted", lambda *_: found)
    browser = site.browser("viewer")
    assert "Held against" not in browser.get(f"/models/next_item/version/{version}").text
    text = browser.get(f"/models/next_item/version/{version}", drift="1").text
    assert ("learn it again" in text, "900 newer rows" in text, HOSTILE in text) == (True, True, False)


def test_dots_lie_where_chances_do() -> None:
    card = Card("", "", "", True, "", (), (), (), (), (), "", ((0.0, 1.0, 4), (0.5, 0.5, 1), (NAN, 0.5, 1)), (), "", "")
    assert [(each.x, each.y) for each in _dots(card)] == [(20.0, 0.0), (130.0, 110.0)]
    assert _dots(None) == ()


# --- roles ---


def test_a_version_goes_all_the_way_and_back(site: Site) -> None:
    inline(site)
    version = kept(site)
    browser, world = site.browser("analyst"), site.console.world
    proven(site, version)
    assert browser.post("/models/next_item/change", {"act": "candidate", "version": version}).status_code == 303
    assert browser.post("/models/next_item/change", {"act": "promote", "version": version}).status_code == 303
    assert registry.model_of(world.registry, LIVE, "next_item").live == version
    text = browser.get("/models/next_item", done="promote").text
    assert ("It is live: every server" in text, "made live" in text, "Roll back" in text) == (True, True, True)
    assert browser.post("/models/next_item/rollback").status_code == 303
    assert registry.model_of(world.registry, LIVE, "next_item").live == ""
    asked = f"next_item@{version}"
    named = [("model.candidate", asked), ("model.promote", asked), ("model.rollback", "next_item")]
    assert actions(site) == [("person:analyst", *each) for each in named]
    again = browser.post("/models/next_item/rollback")
    assert (again.status_code, "nothing_before" in again.text) == (400, True)


@pytest.mark.parametrize(
    ("gate", "act", "code"),
    [
        (FAILED, "shadow", "gate_failed"),
        (Gate(passed=True), "candidate", "shadow_unproven"),
        (Gate(passed=True), "promote", "not_candidate"),
    ],
)
def test_what_is_refused_says_why_before_and_after(site: Site, gate: Gate, act: str, code: str) -> None:
    inline(site)
    version = kept(site, gate=gate)
    browser = site.browser("analyst")
    page = browser.get(f"/models/next_item/version/{version}").text
    assert "Why it may go on all the same" in page
    refused = browser.post("/models/next_item/change", {"act": act, "version": version})
    assert (refused.status_code, code in refused.text) == (400, True)
    insisted = browser.post("/models/next_item/change", {"act": act, "version": version, "reason": HOSTILE})
    assert insisted.status_code == 303
    model = registry.model_of(site.console.world.registry, LIVE, "next_item")
    assert model.history[-1].reason == HOSTILE
    assert HOSTILE not in browser.get("/models/next_item").text


def test_who_may_not_change_models_does_not(site: Site) -> None:
    inline(site)
    version = kept(site)
    browser = site.browser("marketer")
    for path in ("change", "rollback", "train"):
        assert browser.post(f"/models/next_item/{path}", {"act": "retire", "version": version}).status_code == 403
    assert actions(site) == []
    assert "What next" not in browser.get(f"/models/next_item/version/{version}").text


def test_an_unknown_act_is_refused(site: Site) -> None:
    inline(site)
    kept(site)
    answer = site.browser("admin").post("/models/next_item/change", {"act": "delete"})
    assert (answer.status_code, "invalid_request" in answer.text) == (400, True)


# --- training ---


def test_a_training_is_told_of_until_it_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, browser = inline(site), site.browser("analyst")
    jobs.state = "running"
    answer = browser.post("/models/basket/train")
    assert answer.headers["location"].endswith("/models/basket/training")
    assert jobs.asked[-1][2:] == (LIVE, "basket", "person:analyst")
    text = browser.get("/models/basket/training").text
    assert ("load delay:2s" in text, "(40%)" in text) == (True, True)
    jobs.state = ""
    done = Trained("v1", False, f"It says {HOSTILE}", (("not_better", HOSTILE),))
    monkeypatch.setattr(work, "trained", lambda *_: done)
    browser.post("/models/basket/train")
    text = browser.part("/models/basket/training").text
    assert ("It did not pass its gate" in text, "not_better" in text, HOSTILE in text) == (True, True, False)


def test_a_training_that_cannot_be_says_what_it_lacks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Trained:
        raise InvalidInput("too few baskets", code="too_few_items")

    inline(site)
    monkeypatch.setattr(work, "trained", fails)
    browser = site.browser("analyst")
    browser.post("/models/basket/train")
    text = browser.get("/models/basket/training").text
    assert ("too few baskets" in text, "cashwrap train basket" in text) == (True, True)


def test_a_training_leaves_the_entry_that_the_command_does(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the learning itself, which takes a minute and has its own tests."""

    def room(_: str, module: str) -> Any:
        return {"making": Making, "training": Making, "render.phrases": Making}[module]

    monkeypatch.setattr(work, "_learning", lambda module: room("learning", module))
    monkeypatch.setattr(work, "_update", lambda *_: None)
    told = work.trained(site.folder, LIVE, "next_item", "person:ana")
    assert (told.version, told.passed) == ("v9", True)
    assert actions(site) == [("person:ana", "model.train", "next_item")]


class _Made:
    training = training(version="v9")


class Making:
    """Stands where the learning room is."""

    @staticmethod
    def shop_of(*_: object) -> object:
        return None

    @staticmethod
    def own(*_: object) -> tuple[object, object]:
        return None, None

    @staticmethod
    def live_of(*_: object) -> None:
        return None

    @staticmethod
    def make(*_: object, **__: object) -> _Made:
        return _Made()

    @staticmethod
    def registered(_world: object, _tenant: Tenant, made: _Made) -> Training:
        return made.training

    @staticmethod
    def sentence(_: Training) -> str:
        return "It is good."
