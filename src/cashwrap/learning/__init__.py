"""Learn from what happened: data, split, search, fit, evaluation, gate. Needs the extra ``cashwrap[learning]``."""
