"""Handles an instance that cannot go on in this host: wait for another host, or mark the instance as stuck.

Stuck is not failed: the content of its messages is kept in the inbox, and the first wake-up after the cause was removed
lets the instance go on.
"""

from __future__ import annotations

from ..errors import RowNotFoundError
from ..hub.inbox import InboxKind
from ..hub.instance_row import Instance
from ..hub.messages import ControlMessage, encode, put_off, waiting_since
from ..hub.payloads import dumps
from ..hub.taskhub import TaskHub
from ..log_context import durable_logger
from .clock import Clock
from .turn.decision import entry_of

logger = durable_logger("durable_core.runtime")

FIRST_WAIT = 2.0
LONGEST_WAIT = 30.0
MAX_REASON = 8000  # characters of a reason that are stored


class StuckMarker:
    PATIENCE = 600.0  # seconds that a rolling deployment may take before an instance is marked as stuck

    def __init__(self, hub: TaskHub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock

    def stamp(self) -> float:
        """Seconds since 1970, for ``ControlMessage.since``."""
        return self._clock.now().timestamp()

    def age(self, since: float) -> float:
        return max(self.stamp() - since, 0.0)

    def delay(self, waited: float) -> float:
        """Seconds until the next delivery, after ``waited`` seconds."""
        return min(max(waited / 2, FIRST_WAIT), LONGEST_WAIT)

    async def show(self, instance: Instance, reason: str, *, waits: bool = False) -> None:
        """Mark the instance as stuck, in its row and in the catalogue, once per reason.

        waits: its messages are still delivered again, for another host.
        """
        if instance.stuck == reason[:MAX_REASON]:
            return
        if waits:
            logger.warning("instance '%s' cannot go on in this host: %s", instance.instance_id, reason)
        else:
            logger.error("instance '%s' is stuck: %s", instance.instance_id, reason)
        try:
            await self._hub.instances.mark_stuck(instance.instance_id, reason)
        except RowNotFoundError:
            return  # purged
        await self._hub.catalog.note(entry_of(instance.but(stuck=reason, updated=self._clock.now())))

    async def put_off(self, body: str, *, work: str | None) -> None:
        """Send a message that this host cannot decode again, later: it is kept until a host can."""
        since = waiting_since(body) or self.stamp()
        await self._hub.give_back(put_off(body, since), self.delay(self.age(since)), work=work)

    async def wait_for_newer(self, body: str, delay: float, *, work: str | None) -> bool:
        """Return a message of a newer format to its queue, for a newer host; False after ``PATIENCE``."""
        since = waiting_since(body)
        if since is not None and self.age(since) > self.PATIENCE:
            return False
        await self._hub.give_back(put_off(body, self.stamp()), delay, work=work)
        return True

    async def save(self, instance: Instance, message: ControlMessage) -> None:
        """Put the whole message into the inbox (rule R6), where it is kept until the instance goes on."""
        body = encode(message)
        if message.outcomes:
            data = await self._hub.payloads.store(instance.instance_id, instance.execution_id, body)
        else:  # without user data: reading it must not need the codec, whose key may be wrong in this host
            data = dumps(body)
        key = "i" + self._hub.ids.ulid(self._clock.now())
        await self._hub.inbox.put(instance.instance_id, instance.execution_id, key, InboxKind.RESULTS, "", data)
