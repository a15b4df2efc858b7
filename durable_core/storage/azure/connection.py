"""The connection of ``AzureStorage``: endpoints, credentials, and the one HTTP session that all clients share.

Reads the ``AzureWebJobsStorage`` settings; knows nothing of rows and messages.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_MAX_CONNECTIONS = 64
# The worker of Azure sets the root logger to INFO, and the SDK then writes two lines per storage request into the log
# of the user's functions. Its lines go to a logger of ours, which is silent unless the app sets its level.
_REQUEST_LOGGER = logging.getLogger("durable_core.storage.requests")
if _REQUEST_LOGGER.level == logging.NOTSET:
    _REQUEST_LOGGER.setLevel(logging.WARNING)
_LARGE_BODY = 1024 * 1024
_READ_TIMEOUT = 30.0
_CONNECT_TIMEOUT = 10.0
# Azurite drops an idle connection after 5 s, Azure much later. A request on a dropped one fails: close it earlier.
_KEEP_IDLE_PLAIN, _KEEP_IDLE_TLS = 4.0, 60.0

# The account that every emulator has; its key is published with Azurite.
_EMULATOR = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


class AzureConnection:
    """Both service clients over one session. Made and used on one running event loop."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        settings = {name.lower(): value for name, value in settings.items()}
        text = _expand(settings.get("", ""))
        plain = "http://" in text or "endpointsprotocol=http;" in text.lower()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEP_IDLE_PLAIN if plain else _KEEP_IDLE_TLS
            ),
            trust_env=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        transport = _Transport(
            session=self._session,
            session_owner=False,
            connection_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
        )
        # The SDK retries a reset connection once and an error response never: the runtime has its own back-off, and a
        # write that is sent twice finds its own first attempt.
        options: dict[str, Any] = {
            "transport": transport,
            "retry_total": 1,
            "retry_connect": 1,
            "retry_read": 1,
            "retry_status": 0,
            "logger": _REQUEST_LOGGER,
        }
        queue_options: dict[str, Any] = {"initial_backoff": 0, "increment_base": 0, "random_jitter_range": 0, **options}
        self._credential: AsyncTokenCredential | None = None
        if text:
            self.tables = TableServiceClient.from_connection_string(text, **options)
            self.queues = QueueServiceClient.from_connection_string(text, **queue_options)
        else:
            self._credential = credential = _credential(settings)
            self.tables = TableServiceClient(_endpoint(settings, "table"), credential=credential, **options)
            self.queues = QueueServiceClient(_endpoint(settings, "queue"), credential=credential, **queue_options)

    async def close(self) -> None:
        await self.tables.close()
        await self.queues.close()
        if self._credential is not None:
            await self._credential.close()
        await self._session.close()


class _Transport(AioHttpTransport):
    """Sends a large transaction as a stream: aiohttp warns of large bytes, which it would write in one go."""

    def _get_request_data(self, request: Any) -> Any:
        data = cast("object", super()._get_request_data(request))  # pyright: ignore[reportUnknownMemberType]
        if not isinstance(data, str | bytes) or len(data) <= _LARGE_BODY:
            return data
        return io.BytesIO(data.encode() if isinstance(data, str) else data)


def check_settings(settings: Mapping[str, str]) -> None:
    """ConfigurationError if no connection can be made of these settings. Opens none, and needs no event loop."""
    lowered = {name.lower(): value for name, value in settings.items()}
    text = _expand(lowered.get("", ""))
    if not text:
        _endpoint(lowered, "table")
        _endpoint(lowered, "queue")
        return
    try:
        TableServiceClient.from_connection_string(text)
        QueueServiceClient.from_connection_string(text)
    except ValueError:  # the error text is left out: it may quote a part of the string, which contains a key
        raise ConfigurationError(
            "the connection string in AzureWebJobsStorage cannot be used: a part of it is missing or misspelt; it "
            "looks like DefaultEndpointsProtocol=https;AccountName=...;AccountKey=...;EndpointSuffix=core.windows.net"
        ) from None


def _expand(text: str) -> str:
    """The SDKs do not both know the short form for an emulator on its usual ports."""
    return _EMULATOR if "usedevelopmentstorage=true" in text.replace(" ", "").lower() else text


def _endpoint(settings: Mapping[str, str], service: str) -> str:
    explicit = settings.get(f"{service}serviceuri")
    if explicit:
        if not explicit.startswith("https://"):
            raise ConfigurationError(f"AzureWebJobsStorage__{service}ServiceUri must begin with https://")
        return explicit
    account = settings.get("accountname")
    if not account:
        raise ConfigurationError(
            "set AzureWebJobsStorage to a connection string, or AzureWebJobsStorage__accountName to an account's name, "
            f"or AzureWebJobsStorage__{service}ServiceUri to its address"
        )
    return f"https://{account}.{service}.core.windows.net"


def _credential(settings: Mapping[str, str]) -> AsyncTokenCredential:
    # Imported only here: an app with a connection string does not need it.
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    client_id = settings.get("clientid")
    if settings.get("credential", "").lower() == "managedidentity":
        return ManagedIdentityCredential(client_id=client_id) if client_id else ManagedIdentityCredential()
    return DefaultAzureCredential(managed_identity_client_id=client_id) if client_id else DefaultAzureCredential()
