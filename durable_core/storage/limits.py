"""The limits of Azure Table and Queue Storage, checked before anything is sent or written.

Both adapters call these checks, so that a write that passes on the embedded store passes in Azure, and a write that
only an emulator accepts is refused. Every refusal is a ``LimitExceededError`` whose text gives the limit and what to
do. Pure: no IO, no clock. Knows neither adapter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from ..errors import LimitExceededError
from .ports import (
    MAX_DELAY_SECONDS,
    MAX_ENTITY_BYTES,
    MAX_KEY_CHARS,
    MAX_MESSAGE_BYTES,
    MAX_PROPERTIES,
    MAX_PROPERTY_BYTES,
    MAX_RECEIVE,
    MAX_TRANSACTION_BYTES,
    MAX_TRANSACTION_ROWS,
    Delete,
    Operation,
    Props,
    Value,
)

_BAD_IN_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_QUEUE_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_PROPERTY_NAME = re.compile(r"[^\W\d]\w{0,254}")
_RESERVED_NAMES = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_SHORT = 1024  # characters: far below every limit
_FIRST_YEAR = 1601  # Edm.DateTime begins here

_INT64 = range(-(2**63), 2**63)
_BYTES_OF_A_FIXED_VALUE = 8
# Bytes that a batch adds to the JSON of each row: MIME headers, the URL with its keys, annotations of types.
_BATCH_BYTES_PER_ROW = 1200
_BATCH_BYTES_PER_PROPERTY = 64
_JSON_WORST_CASE = 6  # one character as \uXXXX


def check_table_name(name: str) -> None:
    if not _TABLE_NAME.fullmatch(name) or name.lower() == "tables":
        raise LimitExceededError(
            f"table name {name!r} must be 3 to 63 letters and digits, begin with a letter and not be 'tables'"
        )


def check_queue_name(name: str) -> None:
    if not _QUEUE_NAME.fullmatch(name):
        raise LimitExceededError(
            f"queue name {name!r} must be 3 to 63 lower-case letters, digits and single hyphens, "
            "and begin and end with a letter or digit"
        )


@lru_cache(maxsize=4096)  # an instance's rows are written many times
def check_key(key: str) -> int:
    """Check a partition or row key: its length and its characters. Returns its bytes."""
    bad = _BAD_IN_KEY.search(key)
    if bad is not None:
        raise LimitExceededError(
            f"key {_shorten(key)} holds {bad.group()!r} at position {bad.start()}; "
            "a key must not contain / \\ # ? or control characters; escape or hash it"
        )
    if (size := utf16_bytes(key, "a key")) > 2 * MAX_KEY_CHARS:
        raise LimitExceededError(
            f"key {_shorten(key)} has {len(key)} characters, over the limit of {MAX_KEY_CHARS}; hash its long part"
        )
    return size


def check_range(partition: str, limit: int | None) -> None:
    """Check the arguments of a range read."""
    check_key(partition)
    if limit is not None and limit < 1:
        raise LimitExceededError(f"a range read takes at least one row, not {limit}")


def check_props(props: Props) -> int:
    """Check each property and their number; return the bytes they take of an entity's 1 MiB."""
    if len(props) > MAX_PROPERTIES:
        raise LimitExceededError(
            f"{len(props)} properties are over the limit of {MAX_PROPERTIES} of a row; spread them over several rows"
        )
    size = 0
    for name, value in props.items():
        size += _name_bytes(name)
        if type(value) is str and len(value) <= _SHORT and value.isascii():
            size += 2 * len(value) + 4
        elif type(value) is int and value in _INT64:
            size += _BYTES_OF_A_FIXED_VALUE
        else:
            size += _value_bytes(name, value)
    return size


def check_entity(partition: str, key: str, props: Props) -> int:
    """Check a whole row; return its size in bytes as Azure counts it."""
    size = key_bytes(partition, key) + check_props(props)
    if size > MAX_ENTITY_BYTES:
        check_entity_size(key, size)
    return size


def check_entity_size(key: str, size: int) -> None:
    if size > MAX_ENTITY_BYTES:
        raise LimitExceededError(
            f"row {_shorten(key)} would take {size:,} bytes, over the limit of {MAX_ENTITY_BYTES:,}; "
            "spread it over several rows"
        )


def key_bytes(partition: str, key: str) -> int:
    """The bytes of a row without properties; checks its keys."""
    return 4 + check_key(partition) + check_key(key)


def check_transaction(partition: str, operations: Sequence[Operation]) -> list[int]:
    """Check a transaction as a whole, and every row in it; return the rows' sizes (0 for a delete)."""
    if not operations:
        raise LimitExceededError("a transaction needs at least one operation; leave the call out")
    if len(operations) > MAX_TRANSACTION_ROWS:
        raise LimitExceededError(
            f"{len(operations)} operations are over the limit of {MAX_TRANSACTION_ROWS} of a transaction; split it"
        )
    check_key(partition)
    seen: set[str] = set()
    sizes: list[int] = []
    for operation in operations:
        if operation.key in seen:
            raise LimitExceededError(
                f"key {_shorten(operation.key)} occurs twice in one transaction; merge its operations into one"
            )
        seen.add(operation.key)
        if isinstance(operation, Delete):
            check_key(operation.key)
            sizes.append(0)
        else:
            sizes.append(check_entity(partition, operation.key, operation.props))
    size = _payload_bound(operations)
    if size > MAX_TRANSACTION_BYTES:
        size = _payload_bytes(operations)
    if size > MAX_TRANSACTION_BYTES:
        raise LimitExceededError(
            f"the transaction takes {size:,} bytes on the wire, over the limit of {MAX_TRANSACTION_BYTES:,}; split it"
        )
    return sizes


def check_message(body: str, delay: float) -> bytes:
    """Check a message; return its bytes before base64."""
    check_delay(delay)
    try:
        data = body.encode()
    except UnicodeEncodeError as error:
        raise LimitExceededError(
            "a message contains half a surrogate pair, which is not valid text; send valid text"
        ) from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise LimitExceededError(
            f"the message has {len(data):,} bytes, over the limit of {MAX_MESSAGE_BYTES:,}; "
            "store its data in a row and send the row's key"
        )
    return data


def check_delay(delay: float) -> None:
    """Check a delay or a renewed lease, in seconds; 0 means visible at once."""
    if not 0 <= delay <= MAX_DELAY_SECONDS:
        raise LimitExceededError(
            f"{delay} seconds are outside 0 to {MAX_DELAY_SECONDS:,} (7 days); for longer, send again when it comes due"
        )


def check_receive(max_messages: int, lease: float) -> None:
    if not 1 <= max_messages <= MAX_RECEIVE:
        raise LimitExceededError(f"one receive takes 1 to {MAX_RECEIVE} messages, not {max_messages}; call it again")
    if not 0 < lease <= MAX_DELAY_SECONDS:
        raise LimitExceededError(
            f"a lease must be over 0 and at most {MAX_DELAY_SECONDS:,} seconds (7 days), not {lease}"
        )


def utf16_bytes(text: str, what: str) -> int:
    """Bytes of a text in UTF-16, which is how Azure counts it."""
    if text.isascii():
        return 2 * len(text)
    try:
        return len(text.encode("utf-16-le"))
    except UnicodeEncodeError as error:
        raise LimitExceededError(
            f"{what} contains half a surrogate pair, which is not valid text; write valid text"
        ) from error


@lru_cache(maxsize=4096)  # rows of all kinds use the same few names again and again
def _name_bytes(name: str) -> int:
    """The bytes of a property without its value."""
    if not _PROPERTY_NAME.fullmatch(name) or name in _RESERVED_NAMES:
        raise LimitExceededError(
            f"property name {_shorten(name)} must be letters, digits and _, at most 255 of them, "
            "not begin with a digit, "
            "and not be one of " + ", ".join(sorted(_RESERVED_NAMES))
        )
    return 8 + utf16_bytes(name, "a property's name")


def _value_bytes(name: str, value: Value) -> int:
    match value:
        case str():
            size = 2 * len(value) if value.isascii() else utf16_bytes(value, f"property '{name}'")
        case bool():
            return 1
        case bytes():
            size = len(value)
        case int():
            if value not in _INT64:
                raise LimitExceededError(f"property '{name}' is {value}, which needs over 64 bits; store it as text")
            return _BYTES_OF_A_FIXED_VALUE
        case float():
            return _BYTES_OF_A_FIXED_VALUE
        case datetime():
            if value.tzinfo is None or value.year < _FIRST_YEAR:
                raise LimitExceededError(
                    f"property '{name}' is {value}; a time needs a time zone and a year from {_FIRST_YEAR} on"
                )
            return _BYTES_OF_A_FIXED_VALUE
        case _:  # pyright: ignore[reportUnnecessaryComparison] - callers without types
            raise LimitExceededError(
                f"property '{name}' has the type {type(value).__name__}; store text, int, float, bool, "
                "bytes or datetime"
            )
    if size > MAX_PROPERTY_BYTES:
        raise LimitExceededError(
            f"property '{name}' takes {size:,} bytes (text counts as UTF-16), over the limit of "
            f"{MAX_PROPERTY_BYTES:,}; split it over several properties or rows"
        )
    return size + 4


def _payload_bound(operations: Sequence[Operation]) -> int:
    """No less than the bytes of a batch, without building its JSON."""
    total = len(operations) * _BATCH_BYTES_PER_ROW
    for operation in operations:
        if isinstance(operation, Delete):
            continue
        for name, value in operation.props.items():
            total += _BATCH_BYTES_PER_PROPERTY + 2 * _JSON_WORST_CASE * len(name)
            if isinstance(value, str | bytes):
                total += 2 * _JSON_WORST_CASE * len(value)
    return total


def _payload_bytes(operations: Sequence[Operation]) -> int:
    total = len(operations) * _BATCH_BYTES_PER_ROW
    for operation in operations:
        if isinstance(operation, Delete):
            continue
        for name, value in operation.props.items():
            total += _BATCH_BYTES_PER_PROPERTY + 2 * len(json.dumps(name))
            if isinstance(value, str):
                total += len(json.dumps(value))
            elif isinstance(value, bytes):
                total += 4 * (len(value) + 2) // 3
    return total


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57]) + "..."
