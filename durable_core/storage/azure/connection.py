"""The connection of ``AzureStorage``: endpoints, credentials, and the one HTTP session that all clients share.

Reads the ``AzureWebJobsStorage`` settings; knows nothing of rows and messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.utils import parse_connection_string
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from ...errors import ConfigurationError
from .bodies import sendable
from .errors import REQUEST_LOGGER
from .rest.authorization import Authorization, BearerToken, SharedAccessSignature, SharedKey, SharedKeyLite
from .rest.service import Service

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_MAX_CONNECTIONS = 64
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
    """Both services over one session, each by the SDK's client and by the service's own protocol.

    Made and used on one running event loop.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        settings = {name.lower(): value for name, value in settings.items()}
        text = _expand(settings.get("", ""))
        plain = "http://" in text or "endpointsprotocol=http;" in text.lower()
        # trust_env stays off: aiohttp would ask the environment and .netrc in a thread, at every request.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEP_IDLE_PLAIN if plain else _KEEP_IDLE_TLS
            ),
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_TIMEOUT, sock_read=_READ_TIMEOUT),
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
            "logger": REQUEST_LOGGER,
            "proxies": getproxies(),
        }
        queue_options: dict[str, Any] = {"initial_backoff": 0, "increment_base": 0, "random_jitter_range": 0, **options}
        self._credential: AsyncTokenCredential | None = None
        if text:
            self.tables = TableServiceClient.from_connection_string(text, **options)
            self.queues = QueueServiceClient.from_connection_string(text, **queue_options)
            for_tables, for_queues = _by_connection_string(text)
        else:
            self._credential = credential = _credential(settings)
            self.tables = TableServiceClient(_endpoint(settings, "table"), credential=credential, **options)
            self.queues = QueueServiceClient(_endpoint(settings, "queue"), credential=credential, **queue_options)
            for_tables = for_queues = BearerToken(credential)
        self.table_service = self._service(self.tables, for_tables)
        self.queue_service = self._service(self.queues, for_queues)

    async def close(self) -> None:
        await self.tables.close()
        await self.queues.close()
        if self._credential is not None:
            await self._credential.close()
        await self._session.close()

    def _service(self, client: TableServiceClient | QueueServiceClient, authorization: Authorization) -> Service:
        """The service at the address of the SDK's client, with the version that the client speaks."""
        address = client.url.partition("?")[0]  # that of the queue client ends with its shared access signature
        return Service(self._session, address, client.api_version, authorization, _proxy(address))


class _Transport(AioHttpTransport):
    """Sends a large transaction as a stream."""

    def _get_request_data(self, request: Any) -> Any:
        data = cast("object", super()._get_request_data(request))  # pyright: ignore[reportUnknownMemberType]
        if isinstance(data, str):
            data = data.encode()
        return sendable(data) if isinstance(data, bytes) else data


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


def _by_connection_string(text: str) -> tuple[Authorization, Authorization]:
    """For tables and for queues: by the key in it, or by its shared access signature, in the SDKs' order."""
    parts = parse_connection_string(text)
    if "accountkey" in parts:
        account, key = parts["accountname"], parts["accountkey"]
        return SharedKeyLite(account, key), SharedKey(account, key)
    signature = SharedAccessSignature(parts["sharedaccesssignature"].lstrip("?"))
    return signature, signature


def _proxy(address: str) -> str | None:
    """The proxy that the environment names for an address, as aiohttp and the SDKs read it."""
    parts = urlsplit(address)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


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
