"""The commands for offers, and the offers of an engine inside a Python program."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from typer.testing import CliRunner, Result

from cashwrap import Engine
from cashwrap.cli.main import app
from cashwrap.errors import Conflict, InvalidInput
from cashwrap.library import open_world
from cashwrap.offers.codes import code_digest, read_code
from engines import LIVE
from offer_shop import CART, PLAYBOOK, playbook

ASKED: dict[str, Any] = {"cart": CART, "currency": "EUR"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "playbook").mkdir()
    (tmp_path / "playbook" / "shop.yaml").write_text(PLAYBOOK)
    run(tmp_path, "keys", "create", "secret", playbook=False)
    return tmp_path


def run(folder: Path, *arguments: str, playbook: bool = True) -> Result:
    places = ["--data", str(folder / "data"), *(["--playbook", str(folder / "playbook")] if playbook else [])]
    return CliRunner().invoke(app, [*arguments, *places])


def buys(folder: Path, code: str) -> None:
    with Engine(playbook(), folder / "data") as engine:
        held = engine.offers.reserve("r", {**ASKED, "code": code, "shopper": {"userId": "mira"}})
        engine.offers.redeem("d", held.id, "order-1")


def test_codes_are_printed_once_and_kept_as_digests(folder: Path) -> None:
    done = run(folder, "offers", "codes", "coded", "--count", "1200", "--expires", "2099-12-31")
    assert done.exit_code == 0, done.output
    codes = done.stdout.splitlines()
    assert len(set(codes)) == 1200
    buys(folder, codes[7])
    with open_world(folder / "data", serving=False) as world:
        assert world.ledger is not None
        known = world.ledger.code(LIVE, code_digest(world.vault, LIVE, read_code(codes[0]) or ""))
        assert known is not None
        assert (known.offer, known.uses, known.expires) == ("coded", 1, 4_102_441_200_000), "midnight in Berlin"
    kept = b"".join(path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file())
    assert not any(code.encode() in kept or (read_code(code) or "").encode() in kept for code in codes)
    assert b"offer.codes" in kept, "the audit log says who made them"


def test_codes_work_while_another_process_serves(folder: Path) -> None:
    with Engine(playbook(), folder / "data") as engine:
        [code] = run(folder, "offers", "codes", "shared").stdout.splitlines()
        for number in range(3):
            engine.offers.reserve(f"r{number}", {**ASKED, "code": code})
        with pytest.raises(Conflict):
            engine.offers.reserve("r9", {**ASKED, "code": code})


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["coded", "--expires", "31.12.2026"], "invalid_date"),
        (["codde"], "no_such_offer"),
        (["spring"], "no_codes"),
    ],
)
def test_what_makes_no_codes(folder: Path, arguments: list[str], code: str) -> None:
    done = run(folder, "offers", "codes", *arguments)
    assert done.exit_code == 1
    assert code in done.output


def test_offers_are_listed_and_their_lines_told(folder: Path) -> None:
    buys(folder, run(folder, "offers", "codes", "coded").stdout.strip())
    listed = run(folder, "offers", "list")
    assert "coded  promotion  1 used  0.00 held and 5.00 spent EUR" in listed.stdout
    assert "spring  promotion  0 of 10 used" in listed.stdout
    as_json = msgspec.json.decode(run(folder, "offers", "list", "--json").stdout)
    assert {each["name"] for each in as_json} == set(playbook().offers)
    lines = msgspec.json.decode(run(folder, "offers", "entries", "--json", playbook=False).stdout)
    assert [(each["kind"], each["held"], each["spent"]) for each in lines] == [
        ("reserve", 500, 0),
        ("redeem", -500, 500),
    ]
    assert len(run(folder, "offers", "entries", "--after", "1", playbook=False).stdout.splitlines()) == 1


def test_the_check_finds_a_counter_that_was_tampered_with(folder: Path) -> None:
    buys(folder, run(folder, "offers", "codes", "coded").stdout.strip())
    assert run(folder, "offers", "check", playbook=False).exit_code == 0
    with apsw.Connection(str(folder / "data" / "ledger.db")) as ledger:
        ledger.execute("UPDATE counters SET used = used + 1")
    done = run(folder, "offers", "check", playbook=False)
    assert done.exit_code == 1
    assert "ledger_wrong" in done.output


# --- inside a Python program ---


def test_a_program_grants_and_spends() -> None:
    with Engine(playbook()) as engine:
        granted = engine.decide("spring_spot", context=ASKED).placements["spring_spot"].offer
        assert granted is not None
        held = engine.offers.reserve("r", {**ASKED, "token": granted["token"]})
        assert engine.offers.redeem("d", held.id, "order-1", Decimal("4.00")).amount == "4.00"
        assert engine.offers.reservation(held.id).state == "redeemed"
        [told] = engine.offers.roll_back("b", order="order-1")
        assert told.state == "rolled_back"
        other = engine.decide("spring_spot", context=ASKED).placements["spring_spot"].offer
        assert other is not None
        again = engine.offers.reserve("r2", {**ASKED, "token": other["token"]})
        assert engine.offers.release("e", again.id).state == "released"
        assert {each.name: each.used for each in engine.offers.report()}["spring"] == 0
        with pytest.raises(InvalidInput):
            engine.offers.redeem("x", "nonsense", "order-1")


def test_a_program_looks_after_its_offers_in_the_background() -> None:
    plain = playbook("placements: {spot: {component: message}}\n")
    with Engine(plain) as engine:
        engine.publish(playbook())
        engine.consent({"personalization": True}, user_id="mira")
        granted = engine.decide("spring_spot", user_id="mira", context=ASKED).placements["spring_spot"].offer
        assert granted is not None
        engine.offers.reserve("r", {**ASKED, "token": granted["token"], "shopper": {"userId": "mira"}})
        ledger = engine.core.world.ledger
        assert ledger is not None
        until = time.monotonic() + 30
        while ledger.notices(10) and time.monotonic() < until:
            time.sleep(0.01)
        assert ledger.notices(10) == []
