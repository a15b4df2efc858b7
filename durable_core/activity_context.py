"""The context of an activity's attempt: its ids, its last heartbeat, its streams, and whether it is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from .errors import ConfigurationError
from .lazy_dataclass import dataclass
from .models import JSON
from .streams import StreamWriter

if TYPE_CHECKING:
    from .runtime.client import DurableClient


class Listener(Protocol):
    """The receiver of an attempt's heartbeats and streams. Its members may be used from any thread."""

    @property
    def is_cancelled(self) -> bool: ...

    def heartbeat(self, details: object) -> None: ...

    def stream(self, name: str, *, shared: bool) -> StreamWriter: ...


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
    name: of the activity.
    headers: those of the instance that calls it, or other ones that an interceptor has given the call.
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
    name: str = ""
    headers: Mapping[str, JSON] = field(default_factory=lambda: {}, repr=False)
    listener: Listener | None = field(default=None, repr=False, compare=False)
    host_client: DurableClient | None = field(default=None, repr=False, compare=False)

    @property
    def client(self) -> DurableClient:
        """The client of the app that runs the activity, for async activities: ``await ctx.client.raise_event(...)``.

        The activity may run again after a crash, and so do its requests: take ``ctx.idempotency_key`` as the id of an
        instance that it starts, with ``if_exists="return"``, and as the ``event_id`` of an event.
        Raises ConfigurationError in a plain function, which runs in a thread, where nothing can be awaited; and where a
        test has given no client.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "ctx.client is for async activities, since its methods are awaited: write 'async def'"
            ) from None
        if self.host_client is None:
            raise ConfigurationError(
                "this context has no client; a test gives one with ActivityEnvironment(client=...)"
            )
        return self.host_client

    def heartbeat(self, details: object = None) -> None:
        """Report that the attempt is alive and, in ``details``, its progress for an attempt that may follow.

        Cheap: call it as often as you like, from any thread. Only the last details are stored: at most once per second
        and per third of the ``heartbeat_timeout`` (10 s if there is none), and when the attempt fails. Does nothing if
        a test calls the activity directly. Raises SerializationError if the details cannot be written as JSON,
        PayloadTooLargeError.
        """
        if self.listener is not None:
            self.listener.heartbeat(details)

    def stream(self, name: str = "output", *, shared: bool = False) -> StreamWriter:
        """The writer of a stream of the instance, which ``DurableClient.stream`` reads while the activity runs.

        name: 1 to 256 characters. Calls with the same name return the same writer.
        shared: several calls of the instance may write to the stream, about four at a time. Not shared, it belongs to
            the first call that writes to it. A shared stream ends with its instance.

        Another attempt at the call writes its chunks anew, and readers get ``StreamRestarted`` first. An activity that
        writes no stream costs nothing. Raises InvalidInputError for a name that is none.
        """
        if self.listener is None:
            return StreamWriter(name)
        return self.listener.stream(name, shared=shared)

    @property
    def is_cancelled(self) -> bool:
        """Whether the result is no longer needed: the attempt has timed out, or its instance was cancelled or ended.

        A long activity should check it regularly, and return. An event in this process shows at once; an end in another
        process shows when a heartbeat is stored.
        """
        return self.listener is not None and self.listener.is_cancelled
