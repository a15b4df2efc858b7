"""The context of an activity's attempt: its ids, its last heartbeat, and whether it is cancelled."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Protocol

from .models import JSON


class Listener(Protocol):
    """The receiver of an attempt's heartbeats. Its members may be used from any thread."""

    @property
    def is_cancelled(self) -> bool: ...

    def heartbeat(self, details: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityContext:
    """First parameter of an activity that declares it: ``def charge(ctx: ActivityContext, order: Order)``.

    instance_id, execution_id, task_id: the instance, its execution, and the number of the call within its generation.
    attempt: the number of the attempt, from 1.
    idempotency_key: the same for all attempts of this call, and different for every other call. Pass it to external
        systems (such as a payment provider), so that a repeated attempt has no second effect.
    last_heartbeat: the last heartbeat details of the attempt before this one, as JSON; None if there are none. After a
        crash of the host they may not be the very last ones: see ``heartbeat``.
    logger: logs to ``durable_core.activity``.
    """

    instance_id: str
    execution_id: str
    task_id: int
    attempt: int
    idempotency_key: str
    last_heartbeat: JSON = None
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.getLogger("durable_core.activity")
    )
    listener: Listener | None = field(default=None, repr=False, compare=False)

    def heartbeat(self, details: object = None) -> None:
        """Report that the attempt is alive and, in ``details``, its progress for an attempt that may follow.

        Cheap: call it as often as you like, from any thread. Only the last details are stored: at most once per second
        and per third of the ``heartbeat_timeout`` (10 s if there is none), and when the attempt fails. Does nothing if
        a test calls the activity directly. Raises SerializationError if the details cannot be written as JSON,
        PayloadTooLargeError.
        """
        if self.listener is not None:
            self.listener.heartbeat(details)

    @property
    def is_cancelled(self) -> bool:
        """Whether the result is no longer needed: the attempt has timed out, or its instance was cancelled or ended.

        A long activity should check it regularly, and return. An event in this process shows at once; an end in another
        process shows when a heartbeat is stored.
        """
        return self.listener is not None and self.listener.is_cancelled
