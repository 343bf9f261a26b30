"""Write everything that is made from the code: ``python -m spec.generate`` (or ``make schemas``)."""

import sys
from pathlib import Path

import msgspec
from spec import reference

from cashwrap.playbook.schema import encode
from cashwrap.serve.openapi import document
from cashwrap.serve.operations import VERSION

ROOT = Path(__file__).parents[1]


def outputs() -> dict[str, bytes]:
    """Every generated file: its path in the repository to its bytes."""
    openapi = msgspec.json.format(msgspec.json.encode(document(VERSION)), indent=2) + b"\n"
    pages = {
        "cli": reference.cli(),
        "http": reference.http(),
        "settings": reference.settings(),
        "attributes": reference.attribute_page(),
        "python": reference.python(),
    }
    return {
        "spec/schemas/playbook.json": encode(),
        "spec/schemas/openapi.json": openapi,
        **{f"docs/reference/{name}.md": text.encode() for name, text in pages.items()},
    }


def main() -> None:
    """Write what has changed, and say so."""
    for name, content in outputs().items():
        path = ROOT / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    main()
