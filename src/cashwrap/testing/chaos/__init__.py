"""Faults on purpose: a disk that forgets, a server that is killed, and what must still be true afterwards.

``cashwrap selftest --chaos`` runs all of it on a user's own machine, on a temporary folder beside their data; the tests
run it with planted bugs too, which each checker must see. Every run follows from a seed.
"""
