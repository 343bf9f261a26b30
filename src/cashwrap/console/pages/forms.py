"""Drafts by forms: segments, experiences and experiments without YAML."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
