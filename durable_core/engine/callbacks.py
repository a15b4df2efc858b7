"""Callbacks: a task that a third party completes by a URL of its own, once.

A ticket says what a URL stands for. It follows from the instance's identity and history alone, so that it is the same
at every replay; how it is signed and what the URL looks like is for the host to say (``CallbackUrls``). The result
comes back as an external event with a name that only this ticket has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from ..errors import OrchestratorCodeError
from .tasks import Task
from .user_frames import caller

T_co = TypeVar("T_co", covariant=True)

LIFETIME = timedelta(days=90)
"""For how long a URL is valid where the callback has no time limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTicket:
    """The right to complete one callback. ``nonce`` is the same at every replay and in no other ticket."""

    instance_id: str
    execution_id: str
    generation: int
    event_name: str
    nonce: str
    expires_at: datetime


class CallbackUrls(Protocol):
    """How a host spells tickets as URLs: so that they cannot be forged, and the same ticket gives the same URL."""

    def url_of(self, ticket: CallbackTicket) -> str:
        """ConfigurationError where the app's own address, or a key to sign with, is not known."""
        ...

    def ticket_of(self, url: str) -> CallbackTicket:
        """CapabilityError if the URL is none of this app's, or has expired."""
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
        """Give it to the third party. Treat it as a secret: who has it can complete the callback."""
        if self._urls is None:
            if self._is_replaying():  # somewhere else, to look at a history: nobody gets this one
                return f"callback:{self._ticket.nonce}"
            raise OrchestratorCodeError(
                "this app has no address that a callback could be sent to: open it through durable_core.hosting",
                self._line,
            )
        return self._urls.url_of(self._ticket)

    def __repr__(self) -> str:
        return f"<Callback '{self._ticket.event_name}'>"


def make_ticket(
    instance_id: str, execution_id: str, generation: int, number: int, name: str, expires_at: datetime
) -> CallbackTicket:
    """The ticket of the callback that is the ``number``-th one of its generation."""
    identity = f"{instance_id}/{execution_id}/{generation}/{number}"
    return CallbackTicket(
        instance_id=instance_id,
        execution_id=execution_id,
        generation=generation,
        event_name=f"callback/{name}/{generation}.{number}",
        nonce=hashlib.sha256(identity.encode()).hexdigest()[:24],
        expires_at=expires_at,
    )


def generation_of(event_name: str) -> int:
    """The generation that a ticket's event belongs to."""
    return int(event_name.rpartition("/")[2].partition(".")[0])
