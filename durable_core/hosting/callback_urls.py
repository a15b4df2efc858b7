"""URLs of callbacks: capabilities for one completion of one callback, at the app's own address.

The address is the setting ``DURABLE_BASE_URL``, else the ``WEBSITE_HOSTNAME`` that Azure and the local host set. It is
looked up when a URL is made, not before: the local host knows its port only once it listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ..engine.callbacks import CallbackTicket, generation_of
from ..errors import CapabilityError, ConfigurationError
from .signed_urls import Capability, CapabilitySigner, Verb

_LOCAL = ("localhost", "127.", "[::1]", "0.0.0.0")


class SignedCallbackUrls:
    """The ``CallbackUrls`` of an app. ``signer`` and ``base`` are called when needed: both may not be known before."""

    def __init__(self, signer: Callable[[], CapabilitySigner], base: Callable[[], str]) -> None:
        self._signer = signer
        self._base = base

    def url_of(self, ticket: CallbackTicket) -> str:
        """The URL of a callback. ConfigurationError if the app's address or its signing keys are not known."""
        token = self._signer().issue_exact(
            Capability(
                instance_id=ticket.instance_id,
                verb=Verb.CALLBACK,
                expires_at=int(ticket.expires_at.timestamp()),
                execution_id=ticket.execution_id,
                event_name=ticket.event_name,
                nonce=ticket.nonce,
            )
        )
        return f"{self._base()}/c/{token}"

    def ticket_of(self, url: str) -> CallbackTicket:
        """The callback of a URL. CapabilityError if the URL is not a callback URL of this app, or has expired."""
        return ticket_of(self._signer().verify(url.partition("?")[0].rstrip("/").rpartition("/")[2]))


def ticket_of(capability: Capability) -> CallbackTicket:
    """The callback of a capability. CapabilityError if it is not the capability of a callback."""
    if capability.verb is not Verb.CALLBACK:
        raise CapabilityError("this URL is not the URL of a callback")
    return CallbackTicket(
        instance_id=capability.instance_id,
        execution_id=capability.execution_id,
        generation=generation_of(capability.event_name),
        event_name=capability.event_name,
        nonce=capability.nonce,
        expires_at=datetime.fromtimestamp(capability.expires_at, UTC),
    )


def app_address(setting: str, environ: Mapping[str, str] = os.environ) -> str:
    """The public address of this app, without a path. ConfigurationError if no setting has it."""
    if setting:
        return setting.rstrip("/")
    host = environ.get("WEBSITE_HOSTNAME", "")
    if not host:
        raise ConfigurationError(
            "the address of this app is not known, so it cannot create callback URLs; set DURABLE_BASE_URL, "
            "for example to https://orders.example.com"
        )
    return f"http://{host}" if host.startswith(_LOCAL) else f"https://{host}"
