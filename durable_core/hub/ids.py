"""New ids: of executions, commits, events and schedules' runs."""

from __future__ import annotations

import random
from datetime import datetime

from .times import epoch_ms

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Ids:
    """Random identifiers: unique, but not secret. With a seeded source they repeat, which simulations need."""

    def __init__(self, source: random.Random | None = None) -> None:
        # Seeded by the system once: asking it for every id gives up the GIL each time, which costs a busy host dearly.
        self._random = random.Random() if source is None else source

    def execution_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def commit_id(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def instance_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def unit(self) -> float:
        return self._random.random()

    def ulid(self, now: datetime) -> str:
        """26 characters that sort by time, then at random."""
        number = epoch_ms(now) << 80 | self._random.getrandbits(80)
        return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
