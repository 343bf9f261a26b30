"""Many metrics at once: how many of those that stand out are likely to be false."""

from collections.abc import Sequence

from scipy.stats import false_discovery_control


def false_discovery(ps: Sequence[float | None]) -> tuple[float | None, ...]:
    """For each p the smallest share of false finds among all finds at which it would be one; ``None`` stays ``None``.

    Benjamini and Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x. It holds for independent metrics and for
    those that rise and fall together, as a shop's mostly do: Benjamini and Yekutieli (2001), theorem 1.2,
    doi:10.1214/aos/1013699998.
    """
    known = [p for p in ps if p is not None]
    found = iter(false_discovery_control(known, method="bh") if known else ())
    return tuple(None if p is None else float(next(found)) for p in ps)
