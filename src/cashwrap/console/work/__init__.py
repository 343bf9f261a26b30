"""What takes longer than a page may, in a process of its own, and its results as pages show them."""
