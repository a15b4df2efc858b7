"""What an activity may know and say of the call it answers. The runner fills it in and listens."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Protocol

from .models import JSON


class Listener(Protocol):
    """Who hears of an attempt's heartbeats: whoever runs it. Its members may be used from any thread."""

    @property
    def is_cancelled(self) -> bool: ...

    def heartbeat(self, details: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityContext:
    """First parameter of an activity that asks for it: ``def charge(ctx: ActivityContext, order: Order)``.

    attempt: from 1; a retry counts it up.
    idempotency_key: the same for every attempt of this call and for no other call, ever. Hand it to the outside
        world (a payment provider, say) so that a repeated attempt has no second effect.
    last_heartbeat: the details that the attempt before this one gave last, as JSON; None if it gave none. It is there
        after a failure, a timeout, and a crash of the host (then perhaps not the very last: see ``heartbeat``).
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
        """Say that the activity is alive and, for the attempt that may follow, how far it has come.

        Cheap: call it as often as is natural, from any thread. The details are stored now and then, the last ones
        win: at most once per second and per third of the ``heartbeat_timeout`` (10 s if there is none), and when the
        attempt fails. Heard by nobody where a test calls the activity. SerializationError if the details are not JSON,
        PayloadTooLargeError.
        """
        if self.listener is not None:
            self.listener.heartbeat(details)

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the result any more: the attempt has timed out, or its instance has ended.

        A long activity should look now and then, and return. An end that happens in this process shows at once, one
        that happens elsewhere when a heartbeat is stored.
        """
        return self.listener is not None and self.listener.is_cancelled
