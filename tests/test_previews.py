"""Preview links: what they refuse to promise, and the command that makes them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.previews import LONGEST, Link, Wanted, make_link
from cashwrap.tokens import Tokens, tokens_of
from engines import LIVE, START
from test_exposures import PLAYBOOK, PROVEN

TOKENS = Tokens(b"k" * 32)
URL = "https://shop.example/basket"


def link(experience: str = "greeting", url: str = URL, **more: Any) -> Link:
    return make_link(PROVEN, TOKENS, LIVE, Wanted(experience, url, **more), START)


def test_a_link_says_what_it_shows_and_for_how_long() -> None:
    made = link()
    assert (made.experience, made.variation, made.placement) == ("greeting", "formal", "banner")
    assert made.url == f"{URL}?cw_preview={made.token}"
    opened = TOKENS.open_preview(made.token, LIVE, made.expires - 1)
    assert opened.forced == {"greeting": "formal"}
    assert link(variation="control").variation == "control"
    assert link("welcome").variation == "main"


def test_an_address_keeps_what_it_had_but_an_older_preview() -> None:
    made = link(url=f"{URL}?a=1&cw_preview=old&b=#top")
    assert made.url == f"{URL}?a=1&b=&cw_preview={made.token}#top"


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("no_such_experience", {"experience": "greetings"}),
        ("no_such_variation", {"variation": "casual"}),
        ("no_such_variation", {"experience": "welcome", "variation": "control"}),
        ("invalid_url", {"url": "ftp://shop.example/"}),
        ("invalid_url", {"url": "https://"}),
        ("invalid_duration", {"life": 0}),
        ("invalid_duration", {"life": LONGEST + 1}),
    ],
)
def test_what_cannot_be_shown_is_no_link(code: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        link(**wanted)
    assert refused.value.code == code


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(InvalidInput, match="did you mean greeting"):
        link("greating")


# --- the command ---


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """A playbook's folder and a data folder from which nothing was served yet."""
    (tmp_path / "playbook").mkdir()
    (tmp_path / "playbook/shop.yaml").write_text(PLAYBOOK)
    with open_world(tmp_path / "data", make=True):
        pass
    return str(tmp_path / "playbook"), str(tmp_path / "data")


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["preview", *arguments], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_a_link_that_the_folders_engine_opens(folders: tuple[str, str]) -> None:
    playbook, data = folders
    code, out, err = run("greeting", "--url", URL, "--playbook", playbook, "--data", data, "--for", "30m")
    assert code == 0
    assert "greeting as formal in banner, until " in err
    token = out.strip().removeprefix(f"{URL}?cw_preview=")
    with open_world(Path(data)) as world:
        engine = Engine(PROVEN, world)
        preview = engine.tokens.open_preview(token, LIVE, world.clock.now())
        engine.close()
        assert 29 * 60_000 < preview.expires - world.clock.now() <= 30 * 60_000


def test_the_command_for_programs_and_other_stores(folders: tuple[str, str]) -> None:
    playbook, data = folders
    where = ("--url", URL, "--playbook", playbook, "--data", data, "--store", "second", "--env", "test")
    code, out, _ = run("greeting", "--variation", "control", *where, "--json")
    made = msgspec.json.decode(out)
    assert (code, made["variation"], made["placement"]) == (0, "control", "banner")
    with open_world(Path(data), serving=False) as world:
        opened = tokens_of(world.vault).open_preview(made["token"], Tenant("second", "test"), world.clock.now())
    assert opened.forced == {"greeting": "control"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("greating",), "did you mean greeting? (no_such_experience)"),
        (("greeting", "--variation", "x"), "but formal, control (no_such_variation)"),
        (("greeting", "--for", "tomorrow"), "(invalid_duration)"),
        (("greeting", "--for", "31d"), "(invalid_duration)"),
    ],
)
def test_the_command_says_what_is_wrong(folders: tuple[str, str], arguments: tuple[str, ...], told: str) -> None:
    playbook, data = folders
    code, out, err = run(*arguments, "--url", URL, "--playbook", playbook, "--data", data)
    assert (code, out) == (1, "")
    assert told in err


def test_without_a_playbook_it_is_the_live_version(folders: tuple[str, str]) -> None:
    playbook, data = folders
    code, _, err = run("greeting", "--url", URL, "--data", data)
    assert (code, "(nothing_live)" in err) == (1, True)
    published = CliRunner().invoke(app, ["publish", playbook, "--data", data, "--yes"], catch_exceptions=False)
    assert published.exit_code == 0, published.output
    code, out, _ = run("greeting", "--url", URL, "--data", data)
    assert (code, out.startswith(f"{URL}?cw_preview=")) == (0, True)
