"""Segments: what they mean, how large they are and were, how they overlap."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
