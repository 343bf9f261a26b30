"""Every YAML example in the reference is one the reader takes: what a shop copies must work."""

import re
from pathlib import Path

import pytest

from cashwrap.expectations import read_cases
from cashwrap.playbook.document import read_document
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.read import read_documents

DOCS = Path(__file__).parents[1] / "docs" / "reference"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTIONS = (
    "shop:",
    "holdout:",
    "attention:",
    "layers:",
    "events:",
    "traits:",
    "features:",
    "segments:",
    "placements:",
    "metrics:",
    "experiences:",
)
EXAMPLES = [(path.name, block) for path in sorted(DOCS.glob("*.md")) for block in BLOCK.findall(path.read_text())]


@pytest.mark.parametrize(("name", "block"), EXAMPLES)
def test_an_example_is_read_without_a_complaint(name: str, block: str) -> None:
    faults = Faults()
    document = read_document(name, block, faults)
    if block.startswith(SECTIONS):
        read_documents({name: document}, faults)
    elif block.startswith("- name:"):
        read_cases({name: block}, faults)
    else:  # one line out of a file: a key repeats where two ways to write it stand side by side
        assert {fault.code for fault in faults.sorted()} <= {"duplicate_key"}
        return
    assert faults.sorted() == ()


def test_there_are_examples() -> None:
    assert {name for name, _ in EXAMPLES} >= {"playbook.md", "features.md", "content.md"}
