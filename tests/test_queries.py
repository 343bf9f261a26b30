"""The SQL beside the code: every statement has one name, is used, and every migration has its number."""

import re
from pathlib import Path

import pytest

from cashwrap.adapters import backup, queries, sqlite, vault
from cashwrap.adapters.queries import migrations, statements


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(queries, "_FOLDER", tmp_path)
    return tmp_path


def test_a_statement_runs_to_the_next_name_without_its_comments(folder: Path) -> None:
    (folder / "a.sql").write_text("-- About.\n\n-- name: one\n-- why\nSELECT 1\nWHERE 2;\n\n-- name: two\nSELECT 2;\n")
    assert statements("a.sql") == {"one": "SELECT 1\nWHERE 2;", "two": "SELECT 2;"}


def test_a_name_given_twice_is_refused(folder: Path) -> None:
    (folder / "a.sql").write_text("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="share a name"):
        statements("a.sql")


@pytest.mark.parametrize("names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_migrations_without_a_gap_or_a_tie(folder: Path, names: list[str]) -> None:
    (folder / "m").mkdir()
    for name in names:
        (folder / "m" / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="numbered"):
        migrations("m")


def test_migrations_come_in_order(folder: Path) -> None:
    (folder / "m").mkdir()
    for number in (2, 1, 10, 3, 4, 5, 6, 7, 8, 9):
        (folder / "m" / f"{number:04}_x.sql").write_text(f"SELECT {number};")
    assert migrations("m") == [f"SELECT {number};" for number in range(1, 11)]


@pytest.mark.parametrize(
    ("module", "file"), [(sqlite, "store.sql"), (vault, "vault.sql"), (backup, "backup.sql")], ids=str
)
def test_every_statement_is_used_and_every_used_one_exists(module: object, file: str) -> None:
    source = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    named = set(statements(file))
    assert {name for name in named if f'"{name}"' not in source} == set()
    assert set(re.findall(r'_SQL\["(\w+)"\]', source)) <= named
