"""What happens now."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
