"""One shopper: addresses nobody can guess, what is known, what happened, and what they would see."""
