"""How a host's process collects garbage: seldom, and not among what was loaded for good.

A busy host makes some ten thousand objects a second that live for a few milliseconds, beside the hundred thousand of
its modules. With Python's own settings the collector takes a tenth of its time, and holds everything up for tens of
milliseconds whenever it goes through all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

THRESHOLDS = (10_000, 20, 20)


@contextmanager
def seldom_collecting() -> Generator[None]:
    """For as long as a host runs in this process; enter it when the app is loaded."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
