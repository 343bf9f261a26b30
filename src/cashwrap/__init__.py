"""cashwrap: a self-hosted checkout personalization engine.

These are the public names. An ``Engine`` with a ``Playbook`` decides inside any Python program; ``World`` brings it
other adapters than its own, ``cashwrap.ports`` says what those must do, and ``cashwrap.testing`` proves that they do.
Everything else may change in a minor release.
"""

from cashwrap.engine import World
from cashwrap.errors import (
    CashwrapError,
    ConditionError,
    ContentError,
    Forgotten,
    InvalidEvent,
    InvalidInput,
    Locked,
    NotAllowed,
    PlaybookError,
    StoreError,
    TooMuch,
    Unavailable,
)
from cashwrap.library import Answer, Decision, Engine
from cashwrap.model import Event, Purpose, Tenant
from cashwrap.playbook import Playbook

__all__ = [
    "Answer",
    "CashwrapError",
    "ConditionError",
    "ContentError",
    "Decision",
    "Engine",
    "Event",
    "Forgotten",
    "InvalidEvent",
    "InvalidInput",
    "Locked",
    "NotAllowed",
    "Playbook",
    "PlaybookError",
    "Purpose",
    "StoreError",
    "Tenant",
    "TooMuch",
    "Unavailable",
    "World",
]
