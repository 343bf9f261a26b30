"""Reports people look at: terminal, page, plots and files, each made of a ``Report`` and of nothing else."""
