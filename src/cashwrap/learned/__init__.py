"""What was learned: models as files, which version is live, and what decisions ask of them."""
