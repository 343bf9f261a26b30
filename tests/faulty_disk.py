"""The disk that forgets, by its short name in tests."""

from cashwrap.testing.chaos.disk import FaultyDisk

__all__ = ["FaultyDisk"]
