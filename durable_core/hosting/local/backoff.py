"""How long a listener waits between polls of an empty queue. Knows no clock and no queue."""

from __future__ import annotations

import random
from collections.abc import Callable

MIN_INTERVAL = 0.1


def _jitter() -> float:
    return random.uniform(0.8, 1.2)


class PollingBackoff:
    """Random exponential back-off of the Functions host: 100 ms, then twice as long at each empty poll.

    ``jitter`` gives a factor (0.8 to 1.2) for every wait but the first; the wait never exceeds ``maximum`` seconds.
    """

    def __init__(self, maximum: float, jitter: Callable[[], float] = _jitter) -> None:
        self._maximum = max(MIN_INTERVAL, maximum)
        self._jitter = jitter
        self._misses = 0

    def reset(self) -> None:
        """There was something: begin again with the shortest wait."""
        self._misses = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more empty poll."""
        factor = 1.0 if self._misses == 0 else self._jitter()
        # The exponent is capped so that a week of empty polls does not overflow a float.
        delay = factor * MIN_INTERVAL * 2.0 ** min(self._misses, 40)
        self._misses += 1
        return min(delay, self._maximum)
