"""Signing in, the first owner and the way out."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
