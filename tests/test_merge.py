"""Two changes of one playbook brought together: nothing of either is lost, and what both changed is asked about."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.editing import splice
from cashwrap.editing.merge import merged

BASE = {
    "s.yaml": "# ours\nsegments:\n  # first\n  a: spent > 1   # one\n  b: spent > 2\n  c: spent > 3\n",
    "e.yaml": "experiences:\n  x:\n    in: note\n  y:\n    in: note\n  z:\n    in: note\n",
    "expect/c.yaml": "[]\n",
}


def test_what_only_one_side_changed_is_taken_from_it() -> None:
    mine = splice.put(BASE, "segments", "a", "spent > 10")
    mine = splice.put(mine, "segments", "new", "spent > 4", after="a")
    theirs = splice.remove(splice.put(BASE, "segments", "b", "spent > 20"), "segments", "c")
    found = merged(BASE, mine, theirs, {})
    assert found.clashes == ()
    text = "# ours\nsegments:\n  # first\n  a: spent > 10   # one\n  new: spent > 4\n  b: spent > 20\n"
    assert found.files["s.yaml"] == text


def test_what_both_changed_is_decided() -> None:
    mine = splice.put(BASE, "segments", "a", "spent > 10")
    theirs = splice.put(BASE, "segments", "a", "spent > 11")
    found = merged(BASE, mine, theirs, {})
    assert [clash.key for clash in found.clashes] == ["s.yaml/segments/a"]
    assert (found.clashes[0].mine, found.clashes[0].theirs) == ("a: spent > 10   # one", "a: spent > 11   # one")
    assert "spent > 10" in found.files["s.yaml"]
    assert "spent > 11" in merged(BASE, mine, theirs, {"s.yaml/segments/a": "theirs"}).files["s.yaml"]
    gone = merged(BASE, splice.remove(BASE, "segments", "a"), theirs, {})
    assert gone.clashes[0].mine is None


def test_files_that_are_no_entries_are_decided_whole() -> None:
    for file, text in (("expect/c.yaml", "[] # mine\n"), ("s.yaml", "segments: [broken\n")):
        mine, theirs = BASE | {file: text}, BASE | {file: BASE[file] + "# theirs\n"}
        found = merged(BASE, mine, theirs, {})
        assert [clash.key for clash in found.clashes] == [file]
        assert found.files[file] == text
        assert merged(BASE, mine, theirs, {file: "theirs"}).files[file] == theirs[file]
    mine = {name: text for name, text in BASE.items() if name != "e.yaml"}
    assert "e.yaml" not in merged(BASE, mine, BASE | {"new.yaml": ""}, {}).files
    assert merged(BASE, mine, BASE | {"e.yaml": "experiences: {}\n"}, {}).clashes[0].mine is None


def test_an_order_that_one_side_changed_stays_changed() -> None:
    mine = splice.move(BASE, "experiences", "z", "")
    theirs = splice.put(BASE, "experiences", "y", {"in": "note", "priority": 3})
    found = merged(BASE, mine, theirs, {})
    assert splice.names(found.files, "experiences") == ["z", "x", "y"]
    assert found.clashes == ()


NAMES = st.sampled_from(["a", "b", "c", "d"])
Changes = list[tuple[str, int | None]]
CHANGES = st.lists(st.tuples(NAMES, st.one_of(st.none(), st.integers(10, 12))), max_size=3)


def after(files: dict[str, str], changes: Changes) -> dict[str, str]:
    for name, value in changes:
        if value is not None:
            files = splice.put(files, "segments", name, f"spent > {value}")
        elif splice.entry(files, "segments", name) is not None and len(splice.names(files, "segments")) > 1:
            files = splice.remove(files, "segments", name)
    return files


def said(files: dict[str, str]) -> dict[str, object]:
    entries = {name: splice.entry(files, "segments", name) for name in splice.names(files, "segments")}
    return {name: each.value for name, each in entries.items() if each is not None}


@given(CHANGES, CHANGES)
@settings(max_examples=60)
def test_every_entry_is_as_the_rule_says(first: Changes, second: Changes) -> None:
    mine, theirs = after(dict(BASE), first), after(dict(BASE), second)
    found = merged(BASE, mine, theirs, {})
    base, own, other, got = said(dict(BASE)), said(mine), said(theirs), said(found.files)
    clashing = set()
    for name in "abcd":
        old, left, right = base.get(name), own.get(name), other.get(name)
        if left != old and right not in (old, left):
            clashing.add(name)
        assert got.get(name) == (right if left == old else left)
    assert {clash.name for clash in found.clashes} == clashing
