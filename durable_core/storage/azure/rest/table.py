"""``Table`` over the service's own protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

from ....errors import StorageError
from ...limits import check_entity, check_key, check_range, check_transaction
from ...ports import Operation, Props, Row, RowRange
from .entities import to_json, to_row
from .service import Answer, Service
from .transactions import answers, multipart

_PAGE = 1000
_KEYS = ("PartitionKey", "RowKey", "Timestamp")
_NOT_FOUND = 404
_READS = {
    "Accept": "application/json;odata=minimalmetadata",
    "DataServiceVersion": "3.0",
    "Accept-Encoding": "identity",
}
_WRITES = {**_READS, "Content-Type": "application/json;odata=nometadata"}
_INSERTS = {**_WRITES, "Prefer": "return-no-content"}
_NEXT_PARTITION, _NEXT_ROW = "x-ms-continuation-NextPartitionKey", "x-ms-continuation-NextRowKey"


class RestTable:
    """One table of a storage account. ``connect`` gives the Table service of the account."""

    def __init__(self, name: str, connect: Callable[[], Service]) -> None:
        self._name, self._connect = name, connect

    @property
    def name(self) -> str:
        return self._name

    async def insert(self, partition: str, key: str, props: Props) -> str:
        check_entity(partition, key, props)
        body = json.dumps(to_json(props, partition, key)).encode()
        return await self._write("insert", "POST", "", _INSERTS, body, partition, key)

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        return await self._update("merge", "PATCH", partition, key, props, etag)

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        return await self._update("replace", "PUT", partition, key, props, etag)

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        _check_keys(partition, key)
        headers = {**_READS, "If-Match": etag or "*"}
        what = self._what("delete", partition, key)
        answer = await self._send("DELETE", _row_of(partition, key), headers, None, what)
        if not answer.is_ok:
            raise answer.error(what)

    async def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> Row | None:
        _check_keys(partition, key)
        what = self._what("get", partition, key)
        query = "" if select is None else "$select=" + _selection(select)
        answer = await self._send("GET", _row_of(partition, key), _READS, None, what, query)
        if answer.status == _NOT_FOUND and answer.code != "TableNotFound":
            return None
        if not answer.is_ok:
            raise answer.error(what)
        return to_row(_json(answer, what), answer.headers.get("ETag"))

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
        what = self._what("read", partition, low)
        wanted = f"PartitionKey eq {_quoted(partition)}"
        if low:
            wanted += f" and RowKey ge {_quoted(low)}"
        if high is not None:
            wanted += f" and RowKey lt {_quoted(high)}"
        page_size = _PAGE if limit is None else min(limit, _PAGE)
        query = f"$filter={quote(wanted, safe='')}&$top={page_size}"
        if select is not None:
            query += "&$select=" + _selection(select)
        rows: list[Row] = []
        pages, more = 0, ""
        while True:
            answer = await self._send("GET", "()", _READS, None, what, query + more)
            if not answer.is_ok:
                raise answer.error(what)
            pages += 1
            rows += map(to_row, _json(answer, what)["value"])
            more = _continuation(answer)
            if not more or (limit is not None and len(rows) >= limit):
                return RowRange(rows if limit is None else rows[:limit], pages)

    async def transact(self, partition: str, operations: Sequence[Operation]) -> list[str | None]:
        check_transaction(partition, operations)
        service = self._connect()
        table = f"{service.origin}{service.path}/{self._name}"

        def url(key: str | None) -> str:
            return table if key is None else table + _row_of(partition, key)

        content_type, body = multipart(partition, operations, url)
        what = self._what("transact", partition, operations[0].key)
        answer = await service.send("POST", "/$batch", {**_READS, "Content-Type": content_type}, body, what)
        if not answer.is_ok:
            raise answer.error(what)
        found = answers(answer, operations)
        if isinstance(found, Answer):
            raise found.error(what)
        return found

    async def _update(self, verb: str, method: str, partition: str, key: str, props: Props, etag: str | None) -> str:
        check_entity(partition, key, props)
        body = json.dumps(to_json(props, partition, key)).encode()
        headers = {**_WRITES, "If-Match": etag or "*"}
        return await self._write(verb, method, _row_of(partition, key), headers, body, partition, key)

    async def _write(
        self, verb: str, method: str, row: str, headers: dict[str, str], body: bytes, partition: str, key: str
    ) -> str:
        what = self._what(verb, partition, key)
        answer = await self._send(method, row, headers, body, what)
        if not answer.is_ok:
            raise answer.error(what)
        return answer.headers["ETag"]

    async def _send(
        self, method: str, row: str, headers: dict[str, str], body: bytes | None, what: str, query: str = ""
    ) -> Answer:
        return await self._connect().send(method, f"/{self._name}{row}", headers, body, what, query)

    def _what(self, verb: str, partition: str, key: str) -> str:
        return f"{verb} {self._name} '{partition}' / '{key}'"


def _check_keys(partition: str, key: str) -> None:
    check_key(partition)
    check_key(key)


@lru_cache(maxsize=4096)  # an instance's rows are written many times
def _row_of(partition: str, key: str) -> str:
    """The part of the address that names a row, as on the wire."""
    return f"(PartitionKey='{_in_address(partition)}',RowKey='{_in_address(key)}')"


def _in_address(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")


@lru_cache(maxsize=256)
def _names(select: tuple[str, ...]) -> str:
    return quote(",".join((*_KEYS, *select)), safe=",")


def _selection(select: Sequence[str]) -> str:
    return _names(tuple(select))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _continuation(answer: Answer) -> str:
    """What the address of the next page has behind that of this one; '' after the last page."""
    partition, row = answer.headers.get(_NEXT_PARTITION), answer.headers.get(_NEXT_ROW)
    if partition is None:
        return ""
    more = f"&NextPartitionKey={quote(partition, safe='')}"
    return more if row is None else f"{more}&NextRowKey={quote(row, safe='')}"


def _json(answer: Answer, what: str) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", json.loads(answer.body))
    except ValueError as error:
        raise StorageError(f"{what}: the answer is no JSON; does a proxy answer for Azure Storage?") from error
