"""``Table`` over the SDK's own client: its pipeline with all policies, and its serializer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from ....errors import RowNotFoundError
from ...limits import check_entity, check_key, check_range, check_transaction
from ...ports import Delete, Insert, Merge, Operation, Props, Row, RowRange, Value
from ..connection import AzureConnection
from ..errors import code_of, translate, translated
from .times import plain_time

_KEYS = ("PartitionKey", "RowKey", "Timestamp")
_PAGE = 1000
_NO_ECHO: dict[str, Any] = {"response_preference": "return-no-content"}
_CONVERSIONS_OF_SDK = frozenset({str, bool, float, bytes})

_Entity: TypeAlias = dict[str, Any]


class SdkTable:
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
    return Row(raw["PartitionKey"], raw["RowKey"], props, metadata["etag"], plain_time(metadata["timestamp"]))


def _from_sdk(value: Any) -> Value:
    if isinstance(value, tuple):  # EntityProperty: a 64-bit integer
        return cast(Value, value[0])
    return plain_time(value) if isinstance(value, datetime) else cast(Value, value)


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
