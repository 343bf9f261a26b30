"""Statistics: pure functions of sufficient statistics and counts, numbers in, numbers out."""
