"""The command ``cashwrap``: the only place where the parts meet."""

from cashwrap.cli.main import main

__all__ = ["main"]
