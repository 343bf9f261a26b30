"""What every keeper of learned models must do, as a pytest class to subclass.

A subclass defines the fixture ``models``: a fresh, empty one for each test.
"""

from collections.abc import Callable

from cashwrap.errors import CashwrapError, StoreError
from cashwrap.model import Tenant
from cashwrap.ports import ModelFiles
from cashwrap.testing.threads import together

LIVE, TEST = Tenant("acme", "live"), Tenant("acme", "test")
FILES = {"manifest.json": b"{}", "items.npy": b"\x93NUMPY", "card.md": b""}


class ModelFilesContract:
    """The promises of ``ModelFiles``."""

    def test_an_empty_one_answers_everywhere(self, models: ModelFiles) -> None:
        """Nothing is there, and removing it is no error."""
        assert models.versions(LIVE) == {}
        models.remove(LIVE, "next_item", "1")
        assert _code(lambda: models.read(LIVE, "next_item", "1", "card.md")) == "no_such_model"
        assert _code(lambda: models.path(LIVE, "next_item", "1", "card.md")) == "no_such_model"
        assert _code(lambda: models.rewrite(LIVE, "next_item", "1", FILES)) == "no_such_model"

    def test_what_was_saved_is_read(self, models: ModelFiles) -> None:
        """Every file, also an empty one, by its bytes and by its path."""
        models.save(LIVE, "next_item", "1", FILES)
        for file, content in FILES.items():
            assert models.read(LIVE, "next_item", "1", file) == content
            assert models.path(LIVE, "next_item", "1", file).read_bytes() == content
        assert _code(lambda: models.read(LIVE, "next_item", "1", "drift.json")) == "no_such_model"

    def test_versions_are_listed_in_order(self, models: ModelFiles) -> None:
        """By model and name."""
        for name, version in [("next_item", "2"), ("basket", "1"), ("next_item", "1")]:
            models.save(LIVE, name, version, FILES)
        assert models.versions(LIVE) == {"basket": ["1"], "next_item": ["1", "2"]}

    def test_stores_and_environments_never_meet(self, models: ModelFiles) -> None:
        """The same name and version of two tenants are two."""
        models.save(LIVE, "basket", "1", {"card.md": b"live"})
        assert models.versions(TEST) == {}
        models.save(TEST, "basket", "1", {"card.md": b"test"})
        models.remove(TEST, "basket", "1")
        assert models.read(LIVE, "basket", "1", "card.md") == b"live"

    def test_nothing_is_saved_twice(self, models: ModelFiles) -> None:
        """A version never changes by being saved again, also where two try at once."""
        models.save(LIVE, "basket", "1", {"card.md": b"first"})
        assert _code(lambda: models.save(LIVE, "basket", "1", {"card.md": b"second"})) == "model_exists"
        assert models.read(LIVE, "basket", "1", "card.md") == b"first"

    def test_what_is_rewritten_replaces_and_the_rest_stays(self, models: ModelFiles) -> None:
        """As often as it must be; the version keeps its name."""
        models.save(LIVE, "basket", "1", FILES)
        for content in (b"once", b"twice"):
            models.rewrite(LIVE, "basket", "1", {"items.npy": content})
            assert models.read(LIVE, "basket", "1", "items.npy") == content
            assert models.path(LIVE, "basket", "1", "items.npy").read_bytes() == content
            assert models.read(LIVE, "basket", "1", "manifest.json") == FILES["manifest.json"]
            assert models.versions(LIVE) == {"basket": ["1"]}

    def test_what_is_removed_is_gone(self, models: ModelFiles) -> None:
        """Of several versions the others stay."""
        models.save(LIVE, "basket", "1", FILES)
        models.save(LIVE, "basket", "2", FILES)
        models.rewrite(LIVE, "basket", "1", {"items.npy": b"new"})
        models.remove(LIVE, "basket", "1")
        assert models.versions(LIVE) == {"basket": ["2"]}
        assert _code(lambda: models.read(LIVE, "basket", "1", "card.md")) == "no_such_model"

    def test_many_may_save_at_once(self, models: ModelFiles) -> None:
        """Each version by a thread of its own."""
        together(*(_saving(models, f"{number}") for number in range(6)))
        assert models.versions(LIVE) == {"basket": [f"{number}" for number in range(6)]}


def _saving(models: ModelFiles, version: str) -> Callable[[], None]:
    return lambda: models.save(LIVE, "basket", version, FILES)


def _code(act: Callable[[], object]) -> str:
    """The code of the error that this raises; empty for none."""
    try:
        act()
    except StoreError as error:
        return error.code
    except CashwrapError as error:
        return f"{type(error).__name__}, which is no StoreError"
    return ""
