"""What an offer takes off, for whom, and what the law wants said beside it. Pure."""
