"""Callbacks: a task that a third party completes once, by a URL.

A ticket holds what the URL must identify. It is made of the instance's identity and history alone, so that it is the
same at every replay; the host signs it and makes the URL (``CallbackUrls``). The result is an external event with a
name that only this ticket has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from ..errors import OrchestratorCodeError
from ..lazy_dataclass import dataclass
from .tasks import Task
from .user_frames import caller

T_co = TypeVar("T_co", covariant=True)

LIFETIME = timedelta(days=90)
"""The time for which a URL is valid if the callback has no timeout."""


_PREFIX = "callback/"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTicket:
    """The right to complete one callback. ``nonce`` is the same at every replay, and unique to the ticket."""

    instance_id: str
    execution_id: str
    generation: int
    event_name: str
    nonce: str
    expires_at: datetime


class CallbackUrls(Protocol):
    """Makes URLs of tickets, and reads them: the host signs them, and the same ticket always gives the same URL."""

    def url_of(self, ticket: CallbackTicket) -> str:
        """The URL of a ticket. ConfigurationError if the app's base URL or its signing key is not known."""
        ...

    def ticket_of(self, url: str) -> CallbackTicket:
        """The ticket of a URL. CapabilityError if this app has not signed the URL, or it has expired."""
        ...


class Callback(Generic[T_co]):
    """``task`` ends when a third party posts JSON to ``url``. The URL needs no key and works once."""

    __slots__ = ("_is_replaying", "_line", "_ticket", "_urls", "task")

    def __init__(
        self,
        task: Task[T_co],
        ticket: CallbackTicket,
        urls: CallbackUrls | None,
        is_replaying: Callable[[], bool],
    ) -> None:
        self.task = task
        self._ticket = ticket
        self._urls = urls
        self._is_replaying = is_replaying
        self._line = caller()

    @property
    def url(self) -> str:
        """The URL for the third party. Treat it as a secret: a request with it completes the callback.

        Raises OrchestratorCodeError or ConfigurationError if the app has no address for callbacks.
        """
        if self._urls is None:
            if self._is_replaying():  # a replay outside of a host, such as in a test: this URL is never used
                return f"callback:{self._ticket.nonce}"
            raise OrchestratorCodeError(
                "this app has no address to which a callback could be sent: run it in a host (durable_core.hosting)",
                self._line,
            )
        return self._urls.url_of(self._ticket)

    def __repr__(self) -> str:
        return f"<Callback '{self._ticket.event_name}'>"


def make_ticket(
    instance_id: str, execution_id: str, generation: int, number: int, name: str, expires_at: datetime
) -> CallbackTicket:
    """The ticket of the ``number``-th callback of a generation."""
    identity = f"{instance_id}/{execution_id}/{generation}/{number}"
    return CallbackTicket(
        instance_id=instance_id,
        execution_id=execution_id,
        generation=generation,
        event_name=f"{_PREFIX}{name}/{generation}.{number}",
        nonce=hashlib.sha256(identity.encode()).hexdigest()[:24],
        expires_at=expires_at,
    )


def ticket_of_copy(ticket: CallbackTicket, instance_id: str, execution_id: str, generation: int) -> CallbackTicket:
    """The ticket of the same callback in another execution, of which this one is a copy, or that is a copy of this
    one."""
    number = int(ticket.event_name.rpartition(".")[2])
    name = name_of_callback(ticket.event_name) or ""
    return make_ticket(instance_id, execution_id, generation, number, name, ticket.expires_at)


def event_in_generation(event_name: str, generation: int) -> str:
    """The name of an event as it is in another generation: only those of callbacks hold the generation."""
    if not event_name.startswith(_PREFIX):
        return event_name
    name, _, place = event_name.rpartition("/")
    return f"{name}/{generation}.{place.rpartition('.')[2]}"


def name_of_callback(event_name: str) -> str | None:
    """The name that the code gave to the callback to which this event belongs; None if it belongs to none."""
    return event_name[len(_PREFIX) :].rpartition("/")[0] if event_name.startswith(_PREFIX) else None


def generation_of(event_name: str) -> int:
    """The generation of the callback to which this event belongs."""
    return int(event_name.rpartition("/")[2].partition(".")[0])
