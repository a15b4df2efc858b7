"""``Table`` and ``Queue`` over Azure Storage, or over Azurite.

Speaks to the service with one shared HTTP session: by the service's own protocol (``rest``), with addresses, versions
and credentials of the SDKs' clients, or wholly by the SDKs (``sdk``). Checks Azure's limits before it sends, because
an emulator lets some of them pass. Knows nothing of orchestrations.

Only the service can check the size of a row after a merge; this package checks the size of the merged properties.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from azure.core.exceptions import AzureError, ResourceExistsError

from ...errors import StorageError
from ..limits import check_queue_name, check_table_name
from ..listeners import SendListeners
from ..ports import Queue, Table, Write, one_by_one
from .connection import AzureConnection, check_settings
from .errors import code_of, translate
from .rest.queue import RestQueue
from .rest.table import RestTable
from .sdk.queue import SdkQueue
from .sdk.table import SdkTable


class AzureStorage:
    """A storage account. ``connection``: the ``AzureWebJobsStorage`` settings by their part after that name.

    '' is a connection string (``UseDevelopmentStorage=true``: Azurite on its usual ports); without it, ``accountName``
    or ``tableServiceUri`` and ``queueServiceUri``, with ``credential`` and ``clientId`` for an identity.
    by_sdk: every operation passes the SDKs' whole pipeline, for what only that does, such as their tracing.
    """

    def __init__(self, connection: Mapping[str, str], *, by_sdk: bool = False) -> None:
        check_settings(connection)
        self._settings, self._by_sdk = dict(connection), by_sdk
        self._connection: AzureConnection | None = None
        self._closed = False
        self._listeners = SendListeners()

    def table(self, name: str) -> Table:
        check_table_name(name)
        if self._by_sdk:
            return SdkTable(name, self._connect)
        return RestTable(name, lambda: self._connect().table_service)

    def queue(self, name: str) -> Queue:
        check_queue_name(name)
        by_sdk = SdkQueue(name, self._connect, self._listeners)
        if self._by_sdk:
            return by_sdk
        return RestQueue(name, lambda: self._connect().queue_service, self._listeners, by_sdk)

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        for name in tables:
            check_table_name(name)
        for name in queues:
            check_queue_name(name)
        connection = self._connect()
        tables_client, queues_client = cast(Any, connection.tables), cast(Any, connection.queues)
        await asyncio.gather(
            *(_make(tables_client.create_table(name), f"create table '{name}'") for name in tables),
            *(_make(queues_client.create_queue(name), f"create queue '{name}'") for name in queues),
        )

    async def in_order(self, *writes: Write) -> None:
        await one_by_one(*writes)

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._listeners.add(queue, callback)

    def tell(self, topic: str, text: str) -> None:
        """Does nothing: in Azure processes do not know each other."""

    def hear(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None] | None:
        return None

    async def free_leases(self, queues: Sequence[str]) -> None:
        """Does nothing: in Azure the receiver of a message is unknown, and its lease expires."""

    async def close(self) -> None:
        """Close the clients and their session. Further calls raise StorageError."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _connect(self) -> AzureConnection:
        """The connection, made at the first call: a session belongs to the event loop that runs then."""
        if self._closed:
            raise StorageError("this storage is closed; open another one")
        if self._connection is None:
            self._connection = AzureConnection(self._settings)
        return self._connection


async def _make(call: Awaitable[object], what: str) -> None:
    try:
        await call
    except ResourceExistsError as error:
        if not code_of(error).endswith("AlreadyExists"):
            raise translate(error, what) from error
    except AzureError as error:
        raise translate(error, what) from error
