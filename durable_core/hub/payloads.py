"""Stored values: JSON in one property; large values are compressed, still larger ones moved to payload rows.

A stored value is what a property holds:

    text that is JSON        small: readable in any table viewer
    bytes                    zlib of the JSON; with a payload codec what it makes of that (see ``encoding``)
    "@{execution}-{sha256}-{parts}"     a reference to payload rows of the instance's partition (no JSON begins with @)

Payload rows have the hash of their content in the key and are written before the row that refers to them: writing twice
is harmless, and a reference never dangles. A purge deletes them; a restart deletes those of the execution before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..compact_json import compact_writer
from ..errors import PayloadTooLargeError, RowExistsError, StorageError
from ..models import JSON
from ..storage.ports import Props, Table, Value
from .encoding import Encoding
from .keys import payload_key

NOTHING = "null"  # JSON that hides nothing
_REFERENCE = re.compile(r"@[0-9A-Za-z_.]{1,64}-[0-9a-f]{64}-[0-9]{1,4}")
PLAIN_CHARS = 4 * 1024  # above this, JSON is compressed
PROPERTY_BYTES = 60 * 1024
ROW_BYTES = 14 * PROPERTY_BYTES  # of one payload row: below Azure's 1 MiB with room for keys and names


dumps: Callable[[JSON], str] = compact_writer()
"""Compact JSON, ASCII only: so its length is its size, twice that in Azure's UTF-16."""


class PayloadGoneError(StorageError):
    """A reference to payload rows that were collected: the execution that it belongs to was purged or restarted."""


class Payloads:
    """Reads and writes stored values of one hub. ``max_payload`` bounds one value, in bytes of JSON."""

    def __init__(self, table: Table, max_payload: int, encoding: Encoding) -> None:
        self._table = table
        self._max = max_payload
        self.encoding = encoding

    def check(self, text: str, what: str) -> None:
        """PayloadTooLargeError if a caller's value is over the limit."""
        if len(text) > self._max:
            raise PayloadTooLargeError(what, len(text), self._max)

    async def store(self, instance_id: str, execution_id: str, value: JSON) -> Value:
        """The stored value of a JSON value; writes payload rows first where it needs them."""
        return await self.store_text(instance_id, execution_id, dumps(value))

    async def store_text(self, instance_id: str, execution_id: str, text: str) -> Value:
        if text == NOTHING or (len(text) <= PLAIN_CHARS and not self.encoding.hides):
            return text
        packed = self.encoding.pack(text)
        if len(packed) <= PROPERTY_BYTES:
            return packed
        return await self.put(instance_id, execution_id, packed)

    async def load(self, instance_id: str, stored: Value) -> JSON:
        """The JSON value of a stored value."""
        if type(stored) is str and stored[:1] != "@":  # the usual case: no reference, but the JSON itself
            return json.loads(stored)
        return json.loads(await self.load_text(instance_id, stored))

    async def load_text(self, instance_id: str, stored: Value) -> str:
        if isinstance(stored, bytes):
            return self.encoding.unpack(stored)
        text = str(stored)
        return self.encoding.unpack(await self.get(instance_id, text)) if is_reference(text) else text

    async def put(self, instance_id: str, execution_id: str, packed: bytes) -> str:
        """Write payload rows; returns the reference."""
        digest = hashlib.sha256(packed).hexdigest()
        pieces = [packed[at : at + ROW_BYTES] for at in range(0, len(packed), ROW_BYTES)]
        for part, piece in enumerate(pieces):
            try:
                await self._table.insert(instance_id, payload_key(execution_id, digest, part), split_bytes("p", piece))
            except RowExistsError:
                continue  # the same content, written before
        return f"@{execution_id}-{digest}-{len(pieces)}"

    async def get(self, instance_id: str, reference: str) -> bytes:
        execution_id, digest, parts = reference[1:].rsplit("-", 2)
        low = payload_key(execution_id, digest, 0)
        found = await self._table.read_range(instance_id, low, payload_key(execution_id, digest, int(parts)))
        if not found.rows:
            raise PayloadGoneError(f"payload {reference} of instance '{instance_id}' is gone")
        packed = b"".join(join_bytes("p", row.props) for row in found.rows)
        if hashlib.sha256(packed).hexdigest() != digest:
            raise StorageError(f"payload {reference} of instance '{instance_id}' is damaged")
        return packed


def check_reference(text: str) -> str:
    """The reference itself; ValueError if it is none."""
    if not _REFERENCE.fullmatch(text):
        raise ValueError("the text is not a reference to payload rows")
    return text


def is_reference(stored: object) -> bool:
    return isinstance(stored, str) and stored.startswith("@")


def execution_of(reference: str) -> str:
    return reference[1:].rsplit("-", 2)[0]


def split_bytes(name: str, packed: bytes) -> dict[str, Value]:
    """Bytes over as many properties ``{name}0, {name}1, ...`` as they need."""
    return {
        f"{name}{k}": packed[at : at + PROPERTY_BYTES]
        for k, at in enumerate(range(0, max(len(packed), 1), PROPERTY_BYTES))
    }


def join_bytes(name: str, props: Props) -> bytes:
    pieces: list[bytes] = []
    while isinstance(piece := props.get(f"{name}{len(pieces)}"), bytes):
        pieces.append(piece)
    return b"".join(pieces)


def size_of(props: Mapping[str, Any]) -> int:
    """What properties weigh in a row: text as UTF-16."""
    size = 0
    for value in props.values():
        size += 2 * len(value) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 8
    return size
