"""A playbook for browsers and edges: what a decision at data level ``request`` needs, signed, and nothing else."""

from cashwrap.bundle.document import LIFE, Bundle, BundleTrial, bundle_of, bundle_trial, encode
from cashwrap.bundle.salts import Prefix, prefix

__all__ = [
    "LIFE",
    "Bundle",
    "BundleTrial",
    "Prefix",
    "bundle_of",
    "bundle_trial",
    "encode",
    "prefix",
]
