"""The condition language: a bounded, typed, side-effect-free subset of CEL with three-valued logic."""
