"""Models: what there is, what each earned, which one is live."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
