"""Experiments and what they found."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
