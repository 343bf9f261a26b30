"""``cashwrap models``: every change by command, told in words and as JSON, and left in the audit log."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.cli.world import operator
from cashwrap.engine import Engine
from cashwrap.learned import registry
from cashwrap.learned.forgetting import forget
from cashwrap.learned.shadow import ENOUGH
from cashwrap.learned.shadowing import SHARE, Shadows
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.request import ShopperRef
from engines import starter
from learned_world import FAILED, draft

SUBJECT = b"s" * 16
MORE = {"card.md": b"# Model card: basket\n", "training.json": b'{"evaluation": {"main": "recall@20"}}'}


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A folder of its own for each test that changes one."""
    return shutil.copytree(made, tmp_path / "data")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that passed its gate, and a newer one that did not."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with open_world(folder, make=True) as world:
        registry.register(world, Tenant(), draft(name="basket", more=MORE, subjects=(SUBJECT,)))
        registry.register(world, Tenant(), draft(name="basket", gate=FAILED))
    return folder


def versions(data: Path) -> dict[str, str]:
    """The one that passed, and the one that failed."""
    told = json.loads(run("models", "list", "--data", data, "--json"))
    found = {each["version"]["manifest"]["gate"]["passed"]: each["version"]["version"] for each in told}
    return {"passed": found[True], "failed": found[False]}


def roles(data: Path) -> dict[str, Any]:
    told = json.loads(run("models", "list", "--data", data, "--json"))
    return {each["version"]["version"]: each["version"]["role"] for each in told}


def proven(data: Path) -> None:
    """Enough answers of the shadow."""
    with open_world(data, serving=False) as world:
        shadows, version = Shadows(world), registry.model_of(world.registry, Tenant(), "basket").shadow
        instant = f"default/live/basket/{version}"
        for _ in range(SHARE * ENOUGH * 50):
            shadows.ask(instant, lambda: 0.5, lambda said: said)
            shadows._rests.clear()
            if shadows._sums and shadows._sums[instant].asked >= ENOUGH:
                break
        shadows.flush(ending=True)


def test_from_a_shadow_to_live_and_back(data: Path) -> None:
    names = versions(data)
    assert roles(data) == {names["passed"]: "shadow", names["failed"]: None}
    assert "shadow_unproven" in run("models", "candidate", "basket", "--data", data, code=1)
    proven(data)
    shown = run("models", "show", "basket@shadow", "--data", data)
    assert "# Model card: basket" in shown
    assert f"as a shadow: {ENOUGH} answers, 0 failed, 50% like the live one" in shown
    assert f"candidate  basket@{names['passed']}" in run("models", "candidate", "basket", "--data", data)
    told = json.loads(run("models", "promote", "basket", "--data", data, "--json"))
    assert (told["live"], told["candidate"]) == (names["passed"], "")
    assert "gate_failed" in run("models", "promote", f"basket@{names['failed']}", "--data", data, code=1)
    run("models", "promote", f"basket@{names['failed']}", "--force", "the test set was wrong", "--data", data)
    assert roles(data) == {names["passed"]: None, names["failed"]: "live"}
    assert "the test set was wrong" in run("models", "show", "basket", "--data", data)
    assert f"live       basket@{names['passed']}" in run("models", "rollback", "basket", "--data", data)
    assert "live       none" in run("models", "retire", "basket@live", "--data", data)
    run("models", "shadow", f"basket@{names['failed']}", "--force", "again", "--data", data)
    told = run("audit", "list", "--data", data, "--json")
    assert [each["action"] for each in json.loads(told)] == [
        "model.candidate",
        "model.candidate.failed",
        "model.candidate",
        "model.promote",
        "model.promote",
        "model.promote.failed",
        "model.promote",
        "model.rollback",
        "model.retire",
        "model.shadow",
    ]
    assert "the test set was wrong" not in told


def test_the_list_says_what_one_decides_by(data: Path) -> None:
    names = versions(data)
    told = run("models", "list", "--data", data)
    row = next(line for line in told.splitlines() if names["passed"] in line)
    assert "shadow" in row
    assert "recall@20 0.420 (0.410 to 0.430)" in row
    assert "not_better" in next(line for line in told.splitlines() if names["failed"] in line)
    assert "2 versions" in told
    assert "0 versions" in run("models", "list", "next_item", "--data", data)
    with open_world(data, serving=False) as world:
        assert forget(world, Tenant(), [SUBJECT]) == [f"basket@{names['passed']}"]
    assert "retrain: 1 shopper forgotten" in run("models", "list", "--data", data)
    assert "retrain: 1 shopper forgotten" in run("models", "show", f"basket@{names['passed']}", "--data", data)


def test_forget_names_the_models_that_knew_somebody(data: Path, tmp_path: Path) -> None:
    ref, book = ShopperRef(user_id="ada"), Path(__file__).parents[1] / "playbooks/starter"
    granted = {"type": "consent", "userId": "ada", "choices": {"personalization": "granted", "analytics": "granted"}}
    with open_world(data) as world:
        engine = Engine(starter(), world)
        caller = operator(Tenant(), world.clock)
        body = json.dumps({"batch": [granted]}).encode()
        engine.submit_and_wait(Tenant(), list(engine.live.normaliser.batch(engine.parse(body, None), caller.facts)))  # type: ignore[arg-type]
        found = engine.find(ref, caller)
        engine.close()
        assert found is not None
        version = registry.register(world, Tenant(), draft(subjects=(found.profile.analytic_id,)))
    told = run("forget", "--user", "ada", "--playbook", book, "--data", data)
    assert f"Taken out of next_item@{version}: due to be trained again." in told
    assert "retrain: 1 shopper forgotten" in run("models", "list", "next_item", "--data", data)


def test_what_is_damaged_is_found(data: Path) -> None:
    name = versions(data)["passed"]
    assert "2 of 2 versions are as they were written" in run("models", "verify", "--data", data)
    (card,) = (data / "models").rglob("card.md")
    card.write_text("# Better")
    told = run("models", "verify", "--data", data, code=1)
    assert "model_corrupt" in told
    assert "1 of 2 versions" in told
    assert list(json.loads(run("models", "verify", "basket", "--data", data, "--json", code=1))["broken"]) == [
        f"basket@{name}"
    ]
    manifest = card.parent / "manifest.json"
    manifest.write_text("{}")
    assert "model_corrupt" in run("models", "show", f"basket@{name}", "--data", data, code=1)
    assert "model_corrupt" in run("models", "list", "--data", data)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", "unknown"], "no_such_model"),
        (["show", "basket@live"], "no_such_model"),
        (["show", "basket@20"], "ambiguous_version"),
        (["promote", "unknown"], "no_such_model"),
        (["rollback", "basket"], "nothing_before"),
        (["retire", "basket"], "invalid_request"),
        (["shadow", "basket"], "gate_failed"),
        (["list", "--env", "prod"], "unknown_environment"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(made: Path, arguments: list[str], code: str) -> None:
    told = run("models", *arguments, "--data", made, code=1)
    assert f"({code})" in told
    assert len(told.splitlines()) == 1
