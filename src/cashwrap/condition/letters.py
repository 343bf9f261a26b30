"""Characters that make a text read as something else than it is: controls, invisible ones, and accents on their own."""

import re
import unicodedata

HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f"  # controls; tab, line ends and form feed are white space
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\uffff\U000e0000-\U000e0fff]"
)
"""What nobody sees, or what turns the direction of the text around it. The two joiners are needed to write Persian."""


def is_plain(text: str) -> bool:
    """Whether a text shows what it holds: composed (NFC), without hidden characters, no accent first."""
    if text.isascii() and text.isprintable():
        return True
    return not HIDDEN.search(text) and unicodedata.is_normalized("NFC", text) and not is_accent(text[:1])


def is_accent(character: str) -> bool:
    """Whether a character is drawn onto the one before it."""
    return unicodedata.category(character).startswith("M") if character else False


def first_change(text: str) -> int:
    """Where a text that is not composed first differs from its composed form."""
    composed = unicodedata.normalize("NFC", text)
    pairs = zip(text, composed, strict=False)
    return next((at for at, (mine, theirs) in enumerate(pairs) if mine != theirs), len(composed))


def escaped(character: str) -> str:
    """A character as an escape of a string."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
