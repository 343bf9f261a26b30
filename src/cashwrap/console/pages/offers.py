"""Offers: what is left, who redeems, what looks wrong."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
