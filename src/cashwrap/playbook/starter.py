"""The starter playbook, as ``cashwrap init`` writes it: package data, or the repository's own folder."""

from pathlib import Path

from cashwrap.errors import StoreError

_PACKAGED = Path(__file__).parents[1] / "starter"
_IN_REPOSITORY = Path(__file__).parents[3] / "playbooks" / "starter"


def starter_folder() -> Path:
    """Where the starter playbook lies."""
    for folder in (_PACKAGED, _IN_REPOSITORY):
        if folder.is_dir():
            return folder
    raise StoreError("the starter playbook is not part of this installation; install cashwrap again")


def starter_files() -> dict[str, str]:
    """Its files: path inside the playbook to text."""
    folder = starter_folder()
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
