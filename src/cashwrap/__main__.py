"""``python -m cashwrap`` is the command ``cashwrap``."""

from cashwrap.cli.main import main

if __name__ == "__main__":
    main()
