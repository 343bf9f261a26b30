"""Write what is generated here again from the code: ``make schemas``. Tests fail where a file and the code differ."""

from pathlib import Path

from cashwrap.playbook.schema import encode

HERE = Path(__file__).parent


def main() -> None:
    """Write every generated file."""
    (HERE / "schemas" / "playbook.json").write_bytes(encode())


if __name__ == "__main__":
    main()
