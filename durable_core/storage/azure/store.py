"""``Table`` and ``Queue`` over Azure Storage, or over Azurite.

Speaks to the service through the asynchronous SDKs with one shared HTTP session. Checks Azure's limits before it
sends, because an emulator lets some of them pass. Knows nothing of orchestrations.

Only the service can check the size of a row after a merge; this module checks the size of the merged properties.
"""

from __future__ import annotations

import asyncio
import math
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableEntity, UpdateMode
from azure.data.tables.aio import TableClient
from azure.storage.queue import QueueMessage as SdkMessage
from azure.storage.queue.aio import QueueClient

from ...errors import RowNotFoundError, StorageError
from ..limits import (
    check_delay,
    check_entity,
    check_key,
    check_message,
    check_queue_name,
    check_range,
    check_receive,
    check_table_name,
    check_transaction,
)
from ..listeners import SendListeners
from ..ports import (
    Delete,
    Insert,
    Merge,
    OldestMessage,
    Operation,
    Props,
    Queue,
    QueueMessage,
    Row,
    RowRange,
    Table,
    Value,
    Write,
    one_by_one,
)
from .connection import AzureConnection, check_settings
from .errors import code_of, translate, translated

_KEYS = ("PartitionKey", "RowKey", "Timestamp")
_PAGE = 1000
_FOREVER = -1
_NO_ECHO: dict[str, Any] = {"response_preference": "return-no-content"}
_CONVERSIONS_OF_SDK = frozenset({str, bool, float, bytes})

_Entity: TypeAlias = dict[str, Any]


class AzureStorage:
    """A storage account. ``connection``: the ``AzureWebJobsStorage`` settings by their part after that name.

    '' is a connection string (``UseDevelopmentStorage=true``: Azurite on its usual ports); without it, ``accountName``
    or ``tableServiceUri`` and ``queueServiceUri``, with ``credential`` and ``clientId`` for an identity.
    """

    def __init__(self, connection: Mapping[str, str]) -> None:
        check_settings(connection)
        self._settings = dict(connection)
        self._connection: AzureConnection | None = None
        self._closed = False
        self._listeners = SendListeners()

    def table(self, name: str) -> Table:
        check_table_name(name)
        return AzureTable(name, self._connect)

    def queue(self, name: str) -> Queue:
        check_queue_name(name)
        return AzureQueue(name, self._connect, self._listeners)

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


class AzureTable:
    """One table of a storage account."""

    def __init__(self, name: str, connect: Callable[[], AzureConnection]) -> None:
        self._name, self._connect = name, connect
        self._made: tuple[AzureConnection, TableClient] | None = None

    @property
    def name(self) -> str:
        return self._name

    async def insert(self, partition: str, key: str, props: Props) -> str:
        check_entity(partition, key, props)
        call = self._client().create_entity(_entity(partition, key, props), **_NO_ECHO)
        return _etag(await translated(call, self._what("insert", partition, key)))

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        return await self._update("merge", UpdateMode.MERGE, partition, key, props, etag)

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        return await self._update("replace", UpdateMode.REPLACE, partition, key, props, etag)

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        _check_keys(partition, key)
        # The SDK takes a 404 as success; an error of our own type passes through it.
        call = self._client().delete_entity(partition, key, error_map={404: _Missing}, **_condition(etag))
        try:
            await translated(call, self._what("delete", partition, key))
        except _Missing as error:
            raise RowNotFoundError(self._what("delete", partition, key) + ": there is no such row") from error

    async def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> Row | None:
        _check_keys(partition, key)
        try:
            entity = await self._client().get_entity(partition, key, select=_selection(select))
        except ResourceNotFoundError as error:
            if code_of(error) == "TableNotFound":
                raise translate(error, self._what("get", partition, key)) from error
            return None
        except (AzureError, OSError) as error:
            raise translate(error, self._what("get", partition, key)) from error
        return _row(entity)

    async def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> RowRange:
        check_range(partition, limit)
        wanted = f"PartitionKey eq {_quote(partition)}"
        if low:
            wanted += f" and RowKey ge {_quote(low)}"
        if high is not None:
            wanted += f" and RowKey lt {_quote(high)}"
        return await translated(self._read_pages(wanted, _selection(select), limit), self._what("read", partition, low))

    async def transact(self, partition: str, operations: Sequence[Operation]) -> list[str | None]:
        check_transaction(partition, operations)
        call = self._client().submit_transaction([_sdk_operation(partition, each) for each in operations])
        answers = await translated(call, self._what("transact", partition, operations[0].key))
        return [
            None if isinstance(operation, Delete) else _etag(answer)
            for operation, answer in zip(operations, answers, strict=True)
        ]

    async def _read_pages(self, wanted: str, select: list[str] | None, limit: int | None) -> RowRange:
        page_size = _PAGE if limit is None else min(limit, _PAGE)
        found = self._client().query_entities(wanted, select=select, results_per_page=page_size)
        rows: list[Row] = []
        pages = 0
        async for page in found.by_page():
            pages += 1
            rows.extend([_row(entity) async for entity in page])
            if limit is not None and len(rows) >= limit:
                break
        return RowRange(rows if limit is None else rows[:limit], max(pages, 1))

    async def _update(
        self, verb: str, mode: UpdateMode, partition: str, key: str, props: Props, etag: str | None
    ) -> str:
        check_entity(partition, key, props)
        call = self._client().update_entity(_entity(partition, key, props), mode, **_condition(etag))
        return _etag(await translated(call, self._what(verb, partition, key)))

    def _client(self) -> Any:  # the SDK's own types are partly unknown to a strict checker
        connection = self._connect()
        if self._made is None or self._made[0] is not connection:
            self._made = connection, connection.tables.get_table_client(self._name)
        return self._made[1]

    def _what(self, verb: str, partition: str, key: str) -> str:
        return f"{verb} {self._name} '{partition}' / '{key}'"


class _Missing(Exception):
    """A 404 that the SDK must not swallow, as it does with its own error types."""

    def __init__(self, response: object) -> None:
        super().__init__(response)


class AzureQueue:
    """One queue of a storage account. Bodies are base64 on the wire, as the Functions host expects."""

    def __init__(self, name: str, connect: Callable[[], AzureConnection], listeners: SendListeners) -> None:
        self._name, self._connect, self._listeners = name, connect, listeners
        self._made: tuple[AzureConnection, QueueClient] | None = None

    @property
    def name(self) -> str:
        return self._name

    async def send(self, body: str, delay: float = 0.0) -> None:
        text = b64encode(check_message(body, delay)).decode()
        call = self._client().send_message(text, visibility_timeout=math.ceil(delay), time_to_live=_FOREVER)
        await translated(call, f"send to {self._name}")
        self._listeners.notify(self._name, math.ceil(delay))

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        check_receive(max_messages, lease)
        found = self._client().receive_messages(messages_per_page=max_messages, visibility_timeout=math.ceil(lease))
        return await translated(self._first_page(found.by_page()), f"receive from {self._name}")

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        check_delay(lease)
        call = self._client().update_message(message.id, message.receipt, visibility_timeout=math.ceil(lease))
        renewed = await translated(call, f"extend message {message.id} of {self._name}")
        receipt = renewed.pop_receipt or message.receipt
        return QueueMessage(message.id, message.body, receipt, message.dequeue_count, message.inserted_at)

    async def delete(self, message: QueueMessage) -> None:
        call = self._client().delete_message(message.id, message.receipt)
        await translated(call, f"delete message {message.id} of {self._name}")

    async def count(self) -> int:
        properties = await translated(self._client().get_queue_properties(), f"count {self._name}")
        return properties.approximate_message_count or 0

    async def oldest(self) -> OldestMessage | None:
        found = await translated(self._client().peek_messages(max_messages=1), f"look into {self._name}")
        if not found:
            return None
        (message,) = found
        return OldestMessage(_plain(message.inserted_on), message.dequeue_count or 0)

    async def clear(self) -> None:
        await translated(self._client().clear_messages(), f"clear {self._name}")

    async def _first_page(self, pages: Any) -> list[QueueMessage]:
        # Only the first page: the SDK would receive until the queue is empty.
        async for page in pages:
            return [_message(each) async for each in page]
        return []

    def _client(self) -> Any:
        connection = self._connect()
        if self._made is None or self._made[0] is not connection:
            self._made = connection, connection.queues.get_queue_client(self._name)
        return self._made[1]


def _check_keys(partition: str, key: str) -> None:
    check_key(partition)
    check_key(key)


def _entity(partition: str, key: str, props: Props) -> _Entity:
    entity: _Entity = {name: _to_sdk(value) for name, value in props.items()}
    entity["PartitionKey"], entity["RowKey"] = str(partition), str(key)  # the SDK knows no subclasses of str
    return entity


def _to_sdk(value: Value) -> object:
    if type(value) in _CONVERSIONS_OF_SDK or isinstance(value, datetime):
        return value
    if isinstance(value, int):
        # Always 64 bits: without a type the SDK sends 32, and a property would change its type with its size.
        return EntityProperty(int(value), EdmType.INT64)
    return str(value) if isinstance(value, str) else value


def _row(entity: TableEntity) -> Row:
    raw = cast(_Entity, entity)
    metadata = cast(dict[str, Any], entity.metadata)
    props = {name: _from_sdk(value) for name, value in raw.items() if value is not None and name not in _KEYS}
    return Row(raw["PartitionKey"], raw["RowKey"], props, metadata["etag"], _plain(metadata["timestamp"]))


def _from_sdk(value: Any) -> Value:
    if isinstance(value, tuple):  # EntityProperty: a 64-bit integer
        return cast(Value, value[0])
    return _plain(value) if isinstance(value, datetime) else cast(Value, value)


def _plain(value: datetime) -> datetime:
    """The SDK's own subclass of datetime as an ordinary one."""
    return datetime.combine(value.date(), value.time(), UTC)


def _sdk_operation(partition: str, operation: Operation) -> Any:
    if isinstance(operation, Delete):
        keys = {"PartitionKey": str(partition), "RowKey": str(operation.key)}
        return "delete", keys, _condition(operation.etag)
    entity = _entity(partition, operation.key, operation.props)
    if isinstance(operation, Insert):
        return "create", entity, _NO_ECHO
    mode = UpdateMode.MERGE if isinstance(operation, Merge) else UpdateMode.REPLACE
    return "update", entity, {"mode": mode, **_condition(operation.etag)}


def _condition(etag: str | None) -> dict[str, Any]:
    if etag is None:
        return {"match_condition": MatchConditions.Unconditionally}
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _etag(answer: Mapping[str, Any]) -> str:
    return cast(str, answer["etag"])


def _selection(select: Sequence[str] | None) -> list[str] | None:
    return None if select is None else [*_KEYS, *select]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _message(found: SdkMessage) -> QueueMessage:
    inserted_at = found.inserted_on
    if inserted_at is None or found.pop_receipt is None:
        raise StorageError(f"message {found.id} has no pop receipt; receive it again")
    return QueueMessage(
        found.id, _decode(found.content or ""), found.pop_receipt, found.dequeue_count or 1, inserted_at
    )


def _decode(text: str) -> str:
    """The body of a message. A message sent by hand may not be base64, and must not block the other messages."""
    try:
        return b64decode(text, validate=True).decode()
    except ValueError:
        return text
