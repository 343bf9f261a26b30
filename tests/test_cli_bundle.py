"""``cashwrap bundle`` as an operator types it."""

import json
from pathlib import Path

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from cashwrap.cli.main import app

STARTER = Path(__file__).parents[1] / "playbooks" / "starter"


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_a_file_that_its_keys_open(tmp_path: Path) -> None:
    data, out, keys = tmp_path / "data", tmp_path / "bundle.jws", tmp_path / "jwks.json"
    run("keys", "create", "secret", "--data", data, "--store", "outlet", "--env", "test")
    run("kill", "placement", "home_hero", "--data", data, "--store", "outlet", "--env", "test")
    where = ("--playbook", STARTER, "--data", data, "--store", "outlet", "--env", "test")
    told = run("bundle", out, "--keys", keys, "--days", 3, *where)
    (jwk,) = json.loads(keys.read_text())["keys"]
    bundle = msgspec.json.decode(jws.deserialize_compact(out.read_text(), ECKey.import_key(jwk), ["ES256"]).payload)
    assert bundle["version"] in told
    assert bundle["expires"] - bundle["made"] == 3 * 86_400_000
    assert (bundle["store"], bundle["environment"], bundle["off"]) == ("outlet", "test", {"placements": ["home_hero"]})


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run("keys", "create", "secret", "--data", data)
    told = run("bundle", tmp_path / "nowhere" / "x", "--playbook", STARTER, "--data", data, code=1)
    assert "unwritable_file" in told
