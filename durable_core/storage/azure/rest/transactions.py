"""A transaction as the Table service takes it: one multipart body with a part for each operation, and its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from uuid import uuid4

from ...ports import Delete, Insert, Merge, Operation
from .entities import to_json
from .service import Answer

_LINE = "\r\n"
_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)
_ETAG = re.compile(rb"^etag:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_ERROR_CODE = re.compile(rb"^x-ms-error-code:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_REFUSED = 400


def multipart(partition: str, operations: Sequence[Operation], url: Callable[[str | None], str]) -> tuple[str, bytes]:
    """Content type and body. url: the absolute address of a row by its key, and of the table for None."""
    boundary, changeset = f"batch_{uuid4()}", f"changeset_{uuid4()}"
    lines = [f"--{boundary}", f"Content-Type: multipart/mixed; boundary={changeset}", ""]
    for number, operation in enumerate(operations):
        lines += [f"--{changeset}", "Content-Type: application/http", "Content-Transfer-Encoding: binary"]
        lines += [f"Content-ID: {number}", "", *_part(partition, operation, url), ""]
    lines += [f"--{changeset}--", f"--{boundary}--", ""]
    return f"multipart/mixed; boundary={boundary}", _LINE.join(lines).encode()


def answers(answer: Answer, operations: Sequence[Operation]) -> list[str | None] | Answer:
    """The ETags of the rows, None for deletes; or the answer of the operation that was refused."""
    parts = answer.body.split(b"application/http")[1:]
    etags: list[str | None] = []
    for part in parts:
        found = _STATUS.search(part)
        status = int(found.group(1)) if found else 0
        if not found or status >= _REFUSED:
            return _refusal(part, status)
        etag = _ETAG.search(part)
        etags.append(etag.group(1).decode() if etag else None)
    if len(etags) != len(operations):
        return Answer(502, {}, b"the answer to the transaction is not complete")
    return [None if isinstance(each, Delete) else etag for each, etag in zip(operations, etags, strict=True)]


def _part(partition: str, operation: Operation, url: Callable[[str | None], str]) -> list[str]:
    if isinstance(operation, Delete):
        return [f"DELETE {url(operation.key)} HTTP/1.1", *_headers(operation.etag), "", ""]
    body = json.dumps(to_json(operation.props, partition, operation.key))
    length = f"Content-Length: {len(body)}"  # ASCII
    if isinstance(operation, Insert):
        first = [f"POST {url(None)} HTTP/1.1", "Prefer: return-no-content"]
    else:
        method = "PATCH" if isinstance(operation, Merge) else "PUT"
        first = [f"{method} {url(operation.key)} HTTP/1.1", f"If-Match: {operation.etag or '*'}"]
    return [*first, *_JSON, length, "", body]


_JSON = (
    "Content-Type: application/json;odata=nometadata",
    "Accept: application/json;odata=minimalmetadata",
    "DataServiceVersion: 3.0",
)


def _headers(etag: str | None) -> list[str]:
    return [f"If-Match: {etag or '*'}", "Accept: application/json;odata=minimalmetadata", "DataServiceVersion: 3.0"]


def _refusal(part: bytes, status: int) -> Answer:
    """The answer to one operation, from the part that holds it: headers, an empty line, a body, a boundary."""
    code = _ERROR_CODE.search(part)
    _, _, inner = part.partition(b"HTTP/1.")
    _, _, body = inner.partition(b"\r\n\r\n")
    start, end = body.find(b"{"), body.rfind(b"}")
    return Answer(
        status,
        {"x-ms-error-code": code.group(1).decode()} if code else {},
        body[start : end + 1] if 0 <= start < end else body,
    )
