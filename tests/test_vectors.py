"""spec/vectors/{hashing,assignment,decisions}.json against Python, and planted bugs against the vectors."""

import importlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mmh3
import msgspec
import pytest

import decision_vectors
from bundle_world import Document, Names, compiled
from cashwrap import decide as decide_module
from cashwrap.bundle import prefix
from cashwrap.decide import decide
from cashwrap.experiments import Assigned, Trial, draw, hash_unit, share_at, unit_of
from cashwrap.experiments import assign as assign_module
from condition_vectors import decode

FILES = ("hashing", "assignment", "decisions")
VECTORS: dict[str, Document] = {
    name: json.loads((decision_vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in FILES
}
assigning = importlib.import_module("cashwrap.experiments.assign")


@cache
def names_of(playbook: str) -> Names:
    return Names(compiled(VECTORS["decisions"]["playbooks"][playbook]["source"]))


def hashed(case: Document) -> object:
    if "salt" not in case:
        return mmh3.hash(case["text"], case["seed"], signed=False)
    assert list(prefix(f"{case['salt']}:")) == case["prefix"]
    return hash_unit(case["salt"], case["unit"])


def assigned(case: Document) -> object:
    match case["group"]:
        case "unit":
            values = {name: decode(value) for name, value in case["values"].items()}
            return unit_of(case["chain"], case["units"], values)  # type: ignore[arg-type]
        case "traffic":
            return share_at(case["traffic"], case["now"])
        case "draw":
            return draw(case["salt"], case["unit"], case["weights"])
        case _:
            plain = VECTORS["assignment"]["trials"][case["trial"]]["declared"]
            made = decision_vectors.trial_of(plain)
            found = assigning.assign(made, case["unit"], case["now"], case["seen"])
            return None if found is None else found._asdict()


def decided(case: Document) -> object:
    """The answers and exposures of the engine's own decision; what only the server answers is left to it."""
    names = names_of(case["playbook"])
    inputs = names.real_inputs(case["inputs"])
    decision = decide(names.playbook.experiences, inputs, kills=names.kills(case.get("off", {})))
    expected = case["expected"]["placements"]
    server = {name for name, answer in expected.items() if answer["reason"] == "server"}
    said = {name: expected[name] if name in server else names.said(each) for name, each in decision.placements.items()}
    return {"placements": said, "exposures": names.exposed(decision.exposures, server)}


ANSWERS: dict[str, Callable[[Document], object]] = {"hashing": hashed, "assignment": assigned, "decisions": decided}


def failures(name: str) -> list[str]:
    """The cases of a file that Python answers otherwise."""
    wrong = []
    for case in VECTORS[name]["cases"]:
        try:
            found = ANSWERS[name](case)
        except Exception as error:
            found = repr(error)
        if found != case["expected"] or type(found) is not type(case["expected"]):
            wrong.append(f"{case}\n  found {found}")
    return wrong


@pytest.mark.parametrize("name", FILES)
def test_python_passes_every_vector(name: str) -> None:
    assert failures(name) == []


def test_the_files_are_what_the_generator_writes() -> None:
    for name, document in decision_vectors.documents().items():
        written = (decision_vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8")
        assert written == decision_vectors.text(document), f"run python tests/decision_vectors.py: {name} differs"


def test_there_are_enough_cases_of_every_kind() -> None:
    counts = {name: len(VECTORS[name]["cases"]) for name in FILES}
    assert counts["hashing"] >= 60
    assert counts["assignment"] >= 150
    assert counts["decisions"] >= 150
    answers = [one for case in VECTORS["decisions"]["cases"] for one in case["expected"]["placements"].values()]
    reasons = [answer["reason"] for answer in answers]
    for reason in ("match", "no_match", "control", "holdout", "capped", "no_content", "no_consent", "server"):
        assert reasons.count(reason) >= 10, reason
    for reason in ("preview", "killed", "quiet", "no_such_placement"):
        assert reasons.count(reason) >= 3, reason
    outcomes = [
        exposure[4]
        for case in VECTORS["decisions"]["cases"]
        for exposure in case["expected"]["exposures"]
        if exposure[2:]
    ]
    assert set(outcomes) == {0, 1, 2, 3}


# --- planted bugs: each must be caught ---


def without_a_ramp(trial: Trial, unit: str, now: int, seen: Mapping[str, str]) -> Assigned | None:
    return assign_module(msgspec.structs.replace(trial, traffic=((0, 10_000),)), unit, now, seen)


Planted = tuple[str, Any, str, Any]
BUGS: dict[str, Planted] = {
    "another seed": ("hashing", assigning, "_hash", lambda text, _seed, signed: mmh3.hash(text, 1, signed)),
    "a hash with a sign": ("hashing", assigning, "_hash", lambda text, seed, _signed: mmh3.hash(text, seed)),
    "a ramp is a step late": ("assignment", assigning, "share_at", lambda traffic, now: share_at(traffic, now - 1)),
    "a draw goes by name": ("assignment", assigning, "cmp_to_key", lambda _compare: str),
    "nobody is capped": ("decisions", decide_module.attention, "reached", lambda *_: None),
    "a draw is as written": ("decisions", decide_module, "draw", lambda _salt, _unit, weights: list(weights)),
    "everybody takes part": ("decisions", decide_module, "assign", without_a_ramp),
    "control always sees the default": ("decisions", decide_module, "_ends_here", lambda *_: True),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, module, attribute, broken = BUGS[bug]
    monkeypatch.setattr(module, attribute, broken)
    assert failures(name)
