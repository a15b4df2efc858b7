"""What makes an instance stuck: every reason for which it cannot continue, and what happens to its messages.

Another host may be able to go on: the messages are sent back with a delay (``wait``). No host can: the instance is
marked as stuck, and the messages are kept in its inbox (``park``).
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import (
    CodecError,
    CodeHangsError,
    DamagedRowError,
    DeterminismError,
    NewerFormatError,
    NonDeterminismError,
    UnknownOrchestratorError,
)
from ...hub.instance_row import Instance
from ...hub.stuck_reasons import NO_ORCHESTRATOR, OTHER_BUILD
from ...storage.accounts import current_account
from ..stuck import LONGEST_WAIT, MAX_REASON
from .attempt import Attempt
from .delivery import handed_over, release
from .services import Services

NOT_REPLAYED = (
    UnknownOrchestratorError,
    NewerFormatError,
    DamagedRowError,
    DeterminismError,
    NonDeterminismError,
    CodeHangsError,
    CodecError,
)
"""Raised where an orchestrator cannot be replayed: see ``CannotProceed.cannot_replay``."""


class CannotProceed:
    """What a turn does instead of a commit when its instance cannot continue."""

    __slots__ = ("_services", "instance_id")

    def __init__(self, instance_id: str, services: Services) -> None:
        self.instance_id = instance_id
        self._services = services

    def waited(self, attempt: Attempt) -> float:
        """Seconds since the messages of this turn began to wait for a host that can continue the instance."""
        since = min((d.message.since for d in attempt.batch if d.message.since), default=None)
        return 0.0 if since is None else self._services.stuck_marker.age(since)

    async def hand_over(self, attempt: Attempt, delay: float = 0.0, since: float | None = None) -> None:
        """Send the content of the deliveries again as control messages, whole (rule R6), before any caller is
        released."""
        account = current_account()
        for delivery in attempt.batch:
            is_owed = attempt.redispatch_after is not None or attempt.unconfirmed_commit is not None
            message = handed_over(delivery, since, is_owed=is_owed)
            if account is not None:  # another host may receive the message
                message = replace(message, operations=account.take())
            await self._services.hub.send(message, delay)
            delivery.release()

    async def wait_shown(self, attempt: Attempt, instance: Instance, shown: str, reason: str) -> None:
        """Wait for another host, and show that; ``reason``: shown once it has been waited for in vain."""
        is_bare = _is_bare(attempt)
        if is_bare and instance.stuck == reason[:MAX_REASON]:
            await self._pass_on(attempt)  # the host that showed the reason had waited in vain, or was alone
            return
        if is_bare and instance.stuck == shown[:MAX_REASON] and not any(d.message.since for d in attempt.batch):
            release(attempt.batch)  # the message for which this was shown still waits
            return
        if self.waited(attempt) <= self._services.stuck_marker.PATIENCE:
            await self._services.stuck_marker.show(instance, shown, waits=True)
        await self.wait(attempt, reason, instance)

    async def wait(self, attempt: Attempt, reason: str, instance: Instance | None) -> None:
        """Send the messages back with a delay: another host, or a later build, may be able to continue the instance."""
        if instance is not None and self.waited(attempt) > self._services.stuck_marker.PATIENCE:
            await self.park(attempt, instance, reason)
            return
        await self._send_back(attempt)

    async def _send_back(self, attempt: Attempt) -> None:
        waited, stuck_marker = self.waited(attempt), self._services.stuck_marker
        await self.hand_over(attempt, stuck_marker.delay(waited), stuck_marker.stamp() - waited)

    async def _pass_on(self, attempt: Attempt) -> None:
        """For wake-ups of an instance that is shown as stuck, when perhaps no other message waits. The right host may
        have come since, and they are perhaps of an event that was raised there."""
        if self.waited(attempt) > LONGEST_WAIT:
            release(attempt.batch)  # recovery sends the next wake-up
        else:
            await self._send_back(attempt)

    async def cannot_decode(self, attempt: Attempt, error: CodecError) -> None:
        """Rows of the instance need a codec, or a key, that this app does not have; another host may have it."""
        instance = await self._services.hub.instances.get(self.instance_id)
        if instance is None:
            release(attempt.batch)
        elif instance.stuck == str(error) and _is_bare(attempt):
            await self._pass_on(attempt)
        else:  # and never into the inbox, which this app could only fill with what the others cannot read
            if not instance.is_terminal:
                await self._services.stuck_marker.show(instance, str(error))
            await self._send_back(attempt)

    async def park(self, attempt: Attempt, instance: Instance, reason: str) -> None:
        """Leave the instance alone, shown as stuck; what is in hand goes to its inbox, so that nothing is lost."""
        stuck_marker = self._services.stuck_marker
        for delivery in attempt.batch:
            message = replace(
                delivery.message, redelivered=delivery.redelivered or attempt.redispatch_after is not None
            )
            if message.execution_id == instance.execution_id and (not message.is_bare or message.redelivered):
                await stuck_marker.save(instance, message)
        await stuck_marker.show(instance, reason)
        release(attempt.batch)

    async def cannot_replay(self, attempt: Attempt, instance: Instance, error: Exception) -> None:
        """Wait for a host that can, or park the instance. A CodecError is raised: see ``_cannot_decode``."""
        services = self._services
        match error:
            case UnknownOrchestratorError():
                reason = f"{NO_ORCHESTRATOR}{error}"
                await self.wait_shown(attempt, instance, reason, reason)
            case NewerFormatError():
                await self.wait(attempt, str(error), instance)
            case DeterminismError() | DamagedRowError() | CodeHangsError():  # no other host can continue it
                await self.park(attempt, instance, services.hangs.reason(error))
            case NonDeterminismError() if instance.build == services.build or services.is_alone():
                await self.park(attempt, instance, str(error))
            case NonDeterminismError():  # perhaps the build that committed last knows better
                shown = f"{OTHER_BUILD}{error}"
                await self.wait_shown(attempt, instance, shown, str(error))
            case _:
                raise error


def _is_bare(attempt: Attempt) -> bool:
    """Whether nothing is lost with these messages: recovery can send their wake-ups."""
    return not attempt.terminate_pending and all(d.is_bare and not d.redelivered for d in attempt.batch)
