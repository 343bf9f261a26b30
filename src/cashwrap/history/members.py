"""A list of shoppers from a CSV file, as a CRM exports it: one column of ids or e-mail addresses."""

from collections.abc import Iterator
from pathlib import Path

from cashwrap.audiences import By
from cashwrap.errors import InvalidInput
from cashwrap.history.rows import BadRow, bounded, table_rows, unpacked

_HEADERS: dict[By, frozenset[str]] = {
    "user": frozenset({"userid", "user", "customerid", "customer", "id"}),
    "anonymous": frozenset({"anonymousid", "anonymous", "id"}),
    "email": frozenset({"email", "emailaddress", "mail"}),
}
"""Column names that say what they hold, in lower case without punctuation."""


def read_members(path: Path, by: By, column: str = "") -> Iterator[str | BadRow]:
    """The ids in a file, in order; what is no row is told with its line.

    A first line that names its columns says where they are (``column``, else a usual name); a file of one column needs
    none. Raises ``InvalidInput``: ``missing_column``, ``unreadable_file``, ``truncated_file``.
    """
    at: int | None = None
    try:
        with path.open("rb") as raw:
            for item in table_rows(bounded(unpacked(raw)), ","):
                if isinstance(item, BadRow):
                    yield item
                    continue
                cells = [str(cell).strip() for cell in item.row]
                if at is None:
                    at, is_header = _place(cells, by, column)
                    if is_header:
                        continue
                if at < len(cells):
                    yield cells[at]
                else:
                    yield BadRow(item.place, "wrong_field_count", f"the row has no column {at + 1}")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}", code="unreadable_file") from error


def _place(first: list[str], by: By, column: str) -> tuple[int, bool]:
    """Which column holds the ids, and whether the first line names columns."""
    plain = ["".join(filter(str.isalnum, name.lower())) for name in first]
    wanted = [at for at, name in enumerate(first) if name == column]
    usual = [] if column else [at for at, name in enumerate(plain) if name in _HEADERS[by]]
    if wanted or usual:
        return (wanted or usual)[0], True
    if column or len(first) > 1:
        named = repr(column) if column else f"that holds the {by} ids"
        raise InvalidInput(
            f"the first line names no column {named}; it has {', '.join(first[:20])}: say --column NAME",
            code="missing_column",
        )
    return 0, False
