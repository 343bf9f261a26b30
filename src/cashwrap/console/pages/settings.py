"""Settings: keys, stores and environments, the audit log."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
