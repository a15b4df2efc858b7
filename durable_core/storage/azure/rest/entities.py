"""Rows as the JSON of the Table service, and back.

Each property whose type JSON does not show has its type beside it, as in ``"seq": "5", "seq@odata.type": "Edm.Int64"``.
Integers are always of 64 bits: a property would otherwise change its type with its size.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

from ...ports import Props, Row, Value

_TYPE = "@odata.type"
_KEYS = frozenset({"PartitionKey", "RowKey", "Timestamp"})


def to_json(props: Props, partition: str, key: str) -> dict[str, object]:
    """The object to send for a row."""
    # str(): the C encoder of json writes an enum's value, but keys may be other subclasses of str.
    entity: dict[str, object] = {"PartitionKey": str(partition), "RowKey": str(key)}
    for name, value in props.items():
        kind = type(value)
        if kind is str or kind is bool:
            entity[name] = value
        else:
            _add(entity, name, value)
    return entity


def to_row(entity: Mapping[str, Any], etag: str | None = None) -> Row:
    """A row of an object as received. etag: of the answer's header, where the object has none."""
    props: dict[str, Value] = {}
    for name, value in entity.items():
        if name in _KEYS or value is None or ("odata." in name and (name.startswith("odata.") or name.endswith(_TYPE))):
            continue
        kind = entity.get(name + _TYPE)
        props[name] = value if kind is None else _from_edm(kind, value)
    timestamp = cast(str, entity["Timestamp"])
    found = cast("str | None", entity.get("odata.etag")) or etag or f"W/\"datetime'{quote(timestamp)}'\""
    return Row(entity["PartitionKey"], entity["RowKey"], props, found, _datetime(timestamp))


def _add(entity: dict[str, object], name: str, value: Value) -> None:
    match value:
        case bool() | str():
            entity[name] = bool(value) if isinstance(value, bool) else str(value)
        case int():
            entity[name], entity[name + _TYPE] = str(int(value)), "Edm.Int64"
        case float():
            entity[name], entity[name + _TYPE] = _double(value), "Edm.Double"
        case bytes():
            entity[name], entity[name + _TYPE] = b64encode(value).decode(), "Edm.Binary"
        case datetime():
            text = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
            entity[name], entity[name + _TYPE] = text, "Edm.DateTime"


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _datetime(text: str) -> datetime:
    """The service writes seven digits of a second; Python keeps six."""
    return datetime.fromisoformat(text)


_READ: dict[str, Callable[[Any], Value]] = {
    "Edm.Int64": int,
    "Edm.Int32": int,
    "Edm.Double": float,
    "Edm.Binary": b64decode,
    "Edm.DateTime": _datetime,
}


def _from_edm(kind: str, value: Any) -> Value:
    read = _READ.get(kind)
    return value if read is None else read(value)
