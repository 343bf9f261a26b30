"""Every error cashwrap raises, as one tree.

    CashwrapError
    ├── InvalidInput        what came from outside cannot be used (a client's fault)
    │   ├── InvalidEvent        one event; the rest of its batch goes on
    │   ├── ConditionError      a condition, with the position of the fault
    │   ├── ContentError        a text or token an experience shows, with the position of the fault
    │   └── PlaybookError       a playbook, with all of its faults
    ├── NotAllowed          the key, origin or token may not do this
    ├── Conflict            what is asked contradicts what was asked, or is being done, under the same name
    ├── TooMuch             a limit on size or rate; ``retry_after`` says when to come back
    └── StoreError          what we keep cannot be read or written
        ├── Unavailable         for now: nothing was acknowledged, try again
        │   └── DiskFull            until somebody makes room
        ├── Locked              another process serves this data folder
        └── Forgotten           the shopper's key was destroyed: the payload is gone for good

Each carries a stable ``code`` (snake case, part of the public contract, listed in docs/reference/errors.md)
and a message that says
what to do next. HTTP status codes are chosen in ``serve`` and nowhere else.
"""


class CashwrapError(Exception):
    """Something that cashwrap can explain: a stable ``code`` and a ``message`` for a person."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidInput(CashwrapError):
    """What came from outside cannot be used."""

    code = "invalid_input"


class InvalidEvent(InvalidInput):
    """One event cannot be used.

    ``path`` names the field at fault, such as ``properties.products[3].price``.
    """

    code = "invalid_event"

    def __init__(self, message: str, *, code: str | None = None, path: str = "") -> None:
        super().__init__(message, code=code)
        self.path = path


class ConditionError(InvalidInput):
    """A condition cannot be parsed or checked.

    ``offset`` counts characters from its start; ``hint`` proposes a mend.
    """

    code = "invalid_condition"

    def __init__(self, message: str, *, code: str | None = None, offset: int = 0, hint: str = "") -> None:
        super().__init__(message, code=code)
        self.offset = offset
        self.hint = hint


class ContentError(InvalidInput):
    """What an experience shows cannot be compiled.

    ``where`` names the part, such as ``text.de`` or ``badge.card.en``; ``offset`` counts characters from its
    start.
    """

    code = "invalid_content"

    def __init__(self, message: str, *, code: str | None = None, offset: int = 0, where: str = "") -> None:
        super().__init__(message, code=code)
        self.offset = offset
        self.where = where


class PlaybookError(InvalidInput):
    """A playbook cannot be published. ``faults`` lists every mistake as ``file:line:column code message``."""

    code = "invalid_playbook"

    def __init__(self, message: str, *, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class NotAllowed(CashwrapError):
    """The key, the origin or the token may not do this."""

    code = "not_allowed"


class Conflict(CashwrapError):
    """What is asked contradicts what was asked, or is being done, under the same name.

    ``idempotency_key_reused``: the key came with another body before. ``in_flight``: the first request with this key
    has no answer yet; ask again.
    """

    code = "conflict"


class TooMuch(CashwrapError):
    """A limit was passed. ``retry_after`` is in whole seconds, 0 where coming back does not help."""

    code = "too_much"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 0) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class StoreError(CashwrapError):
    """What we keep cannot be read or written."""

    code = "store_error"


class Unavailable(StoreError):
    """The store cannot persist or answer now.

    Nothing was acknowledged; the same request may be sent again.
    """

    code = "unavailable"


class DiskFull(Unavailable):
    """There is no room on the disk: nothing is taken until there is; decisions go on."""

    code = "disk_full"


class Locked(StoreError):
    """Another process serves this data folder."""

    code = "data_folder_locked"


class Forgotten(StoreError):
    """The shopper's key was destroyed; what was sealed under it cannot be read by anyone."""

    code = "forgotten"
