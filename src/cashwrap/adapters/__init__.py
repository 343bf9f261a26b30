"""Adapters, named by technology. They import ports, model and errors, and nothing above."""
