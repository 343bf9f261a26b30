"""cashwrap: a self-hosted checkout personalization engine.

These are the public names. An ``Engine`` stands on a ``World`` of ports and one ``Playbook``; ``cashwrap.adapters`` has
the ports' implementations, ``cashwrap.testing`` the contracts that any other must meet. Everything else may change in
a minor release.
"""

from cashwrap.engine import Engine, World
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
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Event, Purpose, Tenant
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.request import DecideRequest, PageContext, ShopperRef

__all__ = [
    "ApiKey",
    "Caller",
    "CashwrapError",
    "ConditionError",
    "ContentError",
    "DecideRequest",
    "Engine",
    "Event",
    "Forgotten",
    "InvalidEvent",
    "InvalidInput",
    "Locked",
    "NotAllowed",
    "PageContext",
    "Playbook",
    "PlaybookError",
    "Purpose",
    "RequestFacts",
    "ShopperRef",
    "StoreError",
    "Tenant",
    "TooMuch",
    "Unavailable",
    "World",
    "load_playbook",
]
