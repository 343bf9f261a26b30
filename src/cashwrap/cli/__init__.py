"""The command ``cashwrap``: the only place where the parts meet. ``main`` is its entry point."""
