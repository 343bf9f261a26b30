"""From bytes to events: decode, check against the vocabulary, normalise, scrub, flag. No I/O.

body = read_body(raw, limits)                    # gzip, size
batch = decode_batch(body, limits)               # or decode_one(body, "track", limits)
events = normaliser.batch(batch, facts)          # list of Event or Refused, in order
"""

from cashwrap.events.accounting import Accounting
from cashwrap.events.agent import read_agent
from cashwrap.events.envelope import Batch, Envelope, Limits, Refused, decode_batch, decode_one, read_body
from cashwrap.events.normalise import Normaliser, RequestFacts
from cashwrap.events.surroundings import flags_of
from cashwrap.events.traffic import RateWatch, truncated
from cashwrap.events.vocabulary import EventType, Vocabulary, compile_vocabulary

__all__ = [
    "Accounting",
    "Batch",
    "Envelope",
    "EventType",
    "Limits",
    "Normaliser",
    "RateWatch",
    "Refused",
    "RequestFacts",
    "Vocabulary",
    "compile_vocabulary",
    "decode_batch",
    "decode_one",
    "flags_of",
    "read_agent",
    "read_body",
    "truncated",
]
