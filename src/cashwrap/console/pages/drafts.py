"""Drafts of the playbook: texts, differences, cases, backtests, publishing, the way back."""

from cashwrap.console.routing import Route

ROUTES: list[Route] = []
