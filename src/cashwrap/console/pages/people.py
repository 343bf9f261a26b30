"""People and their roles."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
