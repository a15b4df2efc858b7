"""Finds orchestrators that continue as new for ever without a wait, so that virtual time cannot pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ..errors import InstanceWaitsError
from ..hub.instance_row import Instance

MOST_AT_ONCE = 1_000  # generations of one instance at one moment


class Generations:
    """Counts the generations of each instance at the present virtual time. ``now``: the virtual time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._moment = now()
        self._counts: dict[str, int] = {}

    def began(self, instance: Instance, line: str) -> None:
        """Count one more generation; ``line``: the ``file:line`` of its ``continue_as_new``. InstanceWaitsError if
        there are too many."""
        if (now := self._now()) != self._moment:
            self._moment = now
            self._counts.clear()
        count = self._counts.get(instance.instance_id, 0) + 1
        self._counts[instance.instance_id] = 0 if count == MOST_AT_ONCE else count
        if count == MOST_AT_ONCE:
            raise InstanceWaitsError(
                instance.instance_id,
                f"instance '{instance.instance_id}' of orchestrator '{instance.name}' has continued as new {count:,} "
                f"times at {now:%Y-%m-%d %H:%M:%S} of virtual time, at {line}: no time passes between its generations, "
                "so it would never end; let it wait for a timer or an event before ctx.continue_as_new",
            )
