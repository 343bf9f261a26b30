"""Experiments: who is in which arm (``assign``). Pure, and the same in every language: see spec/vectors."""

from cashwrap.experiments.assign import (
    SHARES,
    Assigned,
    Layout,
    Slot,
    Trial,
    assign,
    draw,
    hash_unit,
    in_holdout,
    lay_out,
    share_at,
    trial,
    unit_of,
)

__all__ = [
    "SHARES",
    "Assigned",
    "Layout",
    "Slot",
    "Trial",
    "assign",
    "draw",
    "hash_unit",
    "in_holdout",
    "lay_out",
    "share_at",
    "trial",
    "unit_of",
]
