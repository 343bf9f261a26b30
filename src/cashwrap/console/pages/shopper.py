"""One shopper: who they are to us, what they did, what was decided and why."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
