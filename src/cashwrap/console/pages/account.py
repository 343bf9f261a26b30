"""One's own account: password, second factor, language, look."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
