"""Converts recorded JSON to the values that orchestrator code receives, and its values to JSON."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from ..converter import Converter, is_plain
from ..errors import PayloadTooLargeError, SerializationError
from ..models import JSON
from .user_frames import caller

_UNTYPED = (Any, object, None)
_SCALARS = frozenset({str, int, float, bool})


class Written(NamedTuple):
    """The result of a built-in orchestrator that is JSON already, made of values that were checked one by one: it is
    stored as it is, whatever its size."""

    data: JSON


def read(converter: Converter, data: object, kind: Any) -> Any:
    """``data`` as ``kind``, sharing nothing with the history, which code that changes a value must not change."""
    found = type(data)
    if kind is found and kind in _SCALARS:
        return data
    if kind in _UNTYPED:
        return copied(data) if found is list or found is dict else data
    return converter.from_json(data, kind)


def write(converter: Converter, value: object, what: str, name: str = "") -> JSON:
    """A value of the code as JSON. SerializationError and PayloadTooLargeError, with the line of the call."""
    if is_plain(value):
        return value
    about = f"{what} '{name}'" if name else what
    try:
        return converter.to_json(value, about)
    except SerializationError as error:
        raise SerializationError(f"{error} (at {caller()})") from error.__cause__
    except PayloadTooLargeError as error:
        raise PayloadTooLargeError(f"{about} (at {caller()})", error.size, error.limit) from None


def copied(data: object) -> JSON:
    """A JSON value that shares no list and no dict with the given one."""
    kind = type(data)
    if kind is dict:
        return {key: copied(value) for key, value in cast("dict[str, JSON]", data).items()}
    if kind is list:
        return [copied(value) for value in cast("list[JSON]", data)]
    return data
