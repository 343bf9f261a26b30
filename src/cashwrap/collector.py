"""The cyclic garbage collector, held back where much is built that lives long: it would walk all of it repeatedly."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """No collection inside the block; afterwards as it was before.

    What was built is moved to the oldest generation as it stands: the first collection would walk all of it at once.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.freeze()
            gc.unfreeze()
            gc.enable()
