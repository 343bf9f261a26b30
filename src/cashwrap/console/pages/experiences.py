"""Experiences by placement, in the order in which they win."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
