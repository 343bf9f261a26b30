"""A model as data: arrays, texts and a manifest that says what it is and where it comes from. Nothing is executed."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from cashwrap.model import Millis

Kind = Literal["recommender", "predictor", "uplift"]
Role = Literal["live", "candidate", "shadow"]
"""``live`` answers; a ``candidate`` answers in the arm of an experiment that names it; a ``shadow`` is asked beside the
live one, and its answers are counted and not shown."""
FORMAT = 1
"""Of the files: a model of another format is not loaded."""


class Artefact(Struct, frozen=True):
    """What a trainer hands over and a server loads. ``arrays`` are numpy arrays of numbers (never of objects), texts
    are what is no array, such as item ids (a JSON list) or trees (LightGBM's text)."""

    kind: Kind
    arrays: Mapping[str, Any]
    texts: Mapping[str, str]
    settings: Mapping[str, Any]
    """What the search chose: plain JSON values."""


class Lineage(Struct, frozen=True):
    """Where a model comes from, so that it can be made again."""

    source: str
    """``facts`` and ``log`` of the shop's own folder, or the name of a mapping."""
    digest: str
    """Over the rows it learned from, in order: 16 hex digits."""
    rows: int
    since: Millis = 0
    until: Millis = 0
    parts: Mapping[str, int] = {}
    """Rows by part: train, valid, test."""
    subjects: int = 0
    """Shoppers whose data is in it."""
    playbook: str = ""
    features: tuple[str, ...] = ()
    explored: float = 0.0
    """Share of rows from shoppers who saw nothing personal: the holdout."""
    cashwrap: str = ""


class Figure(Struct, frozen=True):
    """One number of an evaluation, with its 95 % interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


class Gate(Struct, frozen=True):
    """Whether a model may go on, and why not: stable codes with a sentence each."""

    passed: bool
    reasons: tuple[tuple[str, str], ...] = ()


class Manifest(Struct, frozen=True):
    """What stands beside a model's files. ``files`` are BLAKE2b-256 digests in hex; ``signature`` is over all else."""

    name: str
    kind: Kind
    version: str
    created: Millis
    settings: Mapping[str, Any]
    lineage: Lineage
    figures: Mapping[str, Figure] = {}
    gate: Gate = Gate(passed=False)
    files: Mapping[str, str] = {}
    format: int = FORMAT
    signature: str = ""
