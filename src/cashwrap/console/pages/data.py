"""Data: what failed, what drifts, how fresh the products are."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
