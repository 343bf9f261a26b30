"""Reads the SQL that lives beside the code: named statements and ordered migrations.

A statement starts at a line ``-- name: some_name`` and ends at the next one. Other ``--`` lines are comments
for people.
"""

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_FOLDER = resources.files("cashwrap.adapters") / "sql"


def statements(file: str) -> dict[str, str]:
    """The statements of ``sql/<file>`` by name. Raises ``ValueError`` where two share a name."""
    _, *parts = _NAME.split((_FOLDER / file).read_text(encoding="utf-8"))
    names = parts[::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file}: two statements share a name")
    return {name: _without_comments(text) for name, text in zip(names, parts[1::2], strict=True)}


def migrations(folder: str) -> list[str]:
    """The scripts of ``sql/<folder>`` in order; the first one leads to schema version 1."""
    scripts = sorted((file.name, file) for file in (_FOLDER / folder).iterdir() if file.name.endswith(".sql"))
    numbers = [int(name.partition("_")[0]) for name, _ in scripts]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"{folder}: migrations are not numbered 1, 2, 3 ...: {numbers}")
    return [file.read_text(encoding="utf-8") for _, file in scripts]


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("--"))
