"""Several processes over one data folder: one writes, the others parse, gate and decide (decision 30)."""
