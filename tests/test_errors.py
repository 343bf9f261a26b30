"""Every code an error can carry is explained in the reference, found by reading the source and not by listing them."""

import ast
import re
from pathlib import Path

import pytest

from cashwrap import errors
from cashwrap.errors import CashwrapError, Forgotten, InvalidInput, Locked, NotAllowed, StoreError, TooMuch, Unavailable
from cashwrap.serve.wire import retry_after, status_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cashwrap"
ROW = re.compile(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", re.MULTILINE)
"""The first cell of a table's row: one code, or several."""
WRITTEN = re.compile(r'"code": ?"([a-z_]+)"')
HELPERS = {"_refused": 0, "failure_of": 2}
"""Functions of ours that take a code by position."""


def codes(text: str) -> set[str]:
    """The codes a source file can raise or write: ``code=``, a class's ``code``, JSON written out, our helpers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "code":
            found |= constants(node.value)
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if (
                    isinstance(line, ast.Assign)
                    and isinstance(line.targets[0], ast.Name)
                    and line.targets[0].id == "code"
                ):
                    found |= constants(line.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            found |= set(WRITTEN.findall(text))
        elif isinstance(node, ast.Call):
            found |= by_position(node)
    return found


def by_position(node: ast.Call) -> set[str]:
    name = (
        node.func.id
        if isinstance(node.func, ast.Name)
        else node.func.attr
        if isinstance(node.func, ast.Attribute)
        else ""
    )
    if name == "_fail" and len(node.args) == 4:
        return constants(node.args[2])
    at = HELPERS.get(name)
    return constants(node.args[at]) if at is not None and len(node.args) > at else set()


def constants(node: ast.expr) -> set[str]:
    if isinstance(node, ast.IfExp):
        return constants(node.body) | constants(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def documented() -> set[str]:
    return {code for page in (ROOT / "docs/reference").glob("*.md") for code in listed(page)}


def listed(page: Path) -> set[str]:
    return {code for cell in ROW.findall(page.read_text()) for code in re.findall(r"[a-z_]+", cell)}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_code_is_documented(path: Path) -> None:
    assert sorted(codes(path.read_text()) - documented()) == []


def test_no_code_of_the_page_of_errors_is_gone() -> None:
    raised = {code for path in SOURCE.rglob("*.py") for code in codes(path.read_text())}
    written = {word for path in SOURCE.rglob("*.py") for word in re.findall(r'"([a-z_]+)"', path.read_text())}
    page = listed(ROOT / "docs/reference/errors.md")
    assert page - raised - written == set()


def test_the_checker_sees_every_way_a_code_is_written() -> None:
    planted = """
class Odd(InvalidInput):
    code = "a_class"
raise Odd("x", code="a_keyword")
raise Odd("x", code="one" if x else "other")
send(b'{"code":"written_out","message":""}')
failure_of(tenant, event, "by_position")
self._fail(draft, event, "by_method", "message")
"""
    assert codes(planted) == {"a_class", "a_keyword", "one", "other", "written_out", "by_position", "by_method"}


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (NotAllowed("x", code="missing_key"), 401, 0),
        (NotAllowed("x", code="unknown_key"), 401, 0),
        (NotAllowed("x"), 403, 0),
        (TooMuch("x"), 413, 0),
        (TooMuch("x", retry_after=3), 429, 3),
        (Forgotten("x"), 410, 0),
        (Locked("x"), 503, 1),
        (StoreError("x"), 503, 1),
        (Unavailable("x"), 503, 1),
        (InvalidInput("x"), 400, 0),
        (InvalidInput("x", code="no_such_segment"), 404, 0),
        (CashwrapError("x"), 500, 0),
    ],
)
def test_each_error_has_one_status(error: CashwrapError, status: int, wait: int) -> None:
    assert (status_of(error), retry_after(error)) == (status, wait)


def test_every_error_of_the_tree_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CashwrapError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
