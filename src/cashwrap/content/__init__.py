"""What a placement shows: messages and typed content, compiled once and rendered to plain strings."""

from cashwrap.content.catalogue import Catalogue
from cashwrap.content.components import MAX_RECENT, Render, Rendering, compile_content, methods_of
from cashwrap.content.message import Message, Placeholder, parse_message
from cashwrap.content.reads import examine_content, placeholders
from cashwrap.content.text import OFFER_AMOUNT, OFFER_CURRENCY, OFFER_EXPIRES, OFFER_NAME
from cashwrap.content.texts import Ineligible, Shop

__all__ = [
    "MAX_RECENT",
    "OFFER_AMOUNT",
    "OFFER_CURRENCY",
    "OFFER_EXPIRES",
    "OFFER_NAME",
    "Catalogue",
    "Ineligible",
    "Message",
    "Placeholder",
    "Render",
    "Rendering",
    "Shop",
    "compile_content",
    "examine_content",
    "methods_of",
    "parse_message",
    "placeholders",
]
