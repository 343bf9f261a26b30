"""The public names are few, frozen here, and cost little to import."""

import subprocess
import sys

import cashwrap

PUBLIC = [
    "Answer",
    "CashwrapError",
    "ConditionError",
    "ContentError",
    "Decision",
    "Engine",
    "Event",
    "Forgotten",
    "InvalidEvent",
    "InvalidInput",
    "Locked",
    "NotAllowed",
    "Playbook",
    "PlaybookError",
    "Purpose",
    "StoreError",
    "Tenant",
    "TooMuch",
    "Unavailable",
    "World",
]
HEAVY = {"pyarrow", "prometheus_client", "rich", "starlette", "typer", "uvicorn", "uvloop"}
"""The server, the command line and the extras: a program that only embeds the engine does not pay for them."""


def loaded_by(code: str) -> set[str]:
    command = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert cashwrap.__all__ == PUBLIC, "a public name is a promise: change the list, CHANGELOG.md and the docs together"


def test_every_public_name_is_there_and_hides_no_module() -> None:
    modules = {name.removeprefix("cashwrap.") for name in loaded_by("import cashwrap.cli.main") if "cashwrap." in name}
    for name in PUBLIC:
        assert hasattr(cashwrap, name)
        assert name not in modules


def test_importing_it_loads_nothing_that_an_embedding_program_does_not_need() -> None:
    assert loaded_by("import cashwrap") & HEAVY == set()


def test_the_checker_sees_a_heavy_part() -> None:
    assert loaded_by("import cashwrap.cli.main") & HEAVY == HEAVY - {"pyarrow"}
