"""Converts users' values to JSON and back: pydantic models, dataclasses, and the types that pydantic can write.

``to_json`` makes a snapshot (``writing``): the recorded value does not change if the user's code changes the object
later. Every store and every JSON reader can hold the text: it has no NaN, no half surrogate pairs, no number of over
4,300 digits, and no more than ``MAX_DEPTH`` levels. Pickle is never used.

A value is written by its own type and read by the annotation of its receiver. ``from_json(to_json(x), type)`` is
``x`` for pydantic models, dataclasses, NamedTuple, TypedDict, enums, date and time types, Decimal, UUID, bytes, and
list, set, tuple and dict of them, Optional and unions whose members look different as JSON. Without an annotation the
receiver gets plain JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from .errors import PayloadTooLargeError, SerializationError
from .models import JSON
from .user_code import raise_unless_failure
from .writing import UnwritableError, written

MAX_DEPTH = 100  # of lists and objects inside each other: readers of JSON give up at about 200
MAX_PAYLOAD = 10 * 1024 * 1024

_SCALARS = frozenset({str, int, float})
LEAVES = frozenset({bool, type(None), str, int, float})
"""Types whose values need no conversion when they are read."""
_CONTAINERS = frozenset({list, dict})
_UNCHECKED = frozenset({Any, object, None})
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class _TooDeepError(Exception):
    pass


def is_plain(value: object) -> bool:
    """Whether this value is its own JSON, and surely within every limit: a fast path for most values."""
    if type(value) is int:
        return _LEAST <= value <= _GREATEST
    if type(value) is str:
        return len(value) <= 1024 and value.isascii()
    return value is None or type(value) is bool


class Converter:
    """Converts values to JSON and back. ``max_payload``: highest number of bytes of JSON of one value."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._max = max_payload

    def to_json(self, value: object, what: str = "") -> JSON:
        """A JSON value equal to ``value`` and independent of it. ``what`` names the value in errors.

        SerializationError if ``value`` cannot be written as JSON, PayloadTooLargeError if it exceeds the limit.
        """
        if is_plain(value):
            return value
        kind = type(value)
        plain: JSON = None
        try:
            plain = value if kind in _SCALARS else written(value)
            text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
            _check(plain, text)
        except BaseException as error:  # the code of a user's model may raise any exception
            raise_unless_failure(error)
            about = f"{what}: " if what else ""
            problem = f"{_place(error, plain)}{_reason(error)}"
            raise SerializationError(
                f"{about}a value of type {kind.__qualname__} cannot be written as JSON: {problem}"
            ) from error
        if len(text) > self._max:
            raise PayloadTooLargeError(what or "a value", len(text), self._max)
        return plain

    def from_json(self, data: JSON, kind: Any) -> Any:
        """``data`` as a value of the annotated type. InvalidInputError with one problem per field.

        SerializationError if no value of that type can be read from JSON.
        """
        if kind in _UNCHECKED:
            return data
        if type(data) is kind and kind in LEAVES:
            return data
        from .typed_values import read

        return read(data, kind)


def is_too_deep(value: JSON) -> bool:
    """Whether lists and objects are nested on more than ``MAX_DEPTH`` levels."""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _members(outer) if type(inner) in _CONTAINERS]
        if not level:
            return False
    return True


def _check(plain: JSON, text: str) -> None:
    """Refuse JSON that other readers would refuse: half surrogate pairs, and too many levels."""
    if "\\ud" in text:
        json.dumps(plain, ensure_ascii=False).encode()  # UnicodeEncodeError: a half of a pair
    if text.count("[") + text.count("{") > MAX_DEPTH and is_too_deep(plain):
        raise _TooDeepError


def _members(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container  # pyright: ignore[reportUnknownVariableType]


def _place(error: BaseException, plain: JSON) -> str:
    """The path to the fault in the value, as the beginning of the error text; '' if the fault is the value itself."""
    path: list[str] = []
    if isinstance(error, UnwritableError):
        path = error.path
    elif isinstance(error, ValueError):
        path = _path_to_fault(plain)
    return f"at {'.'.join(path)}: " if path else ""


def _path_to_fault(plain: JSON) -> list[str]:
    """The path to the first text or number in the value that JSON readers would refuse."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if type(plain) is dict:
        pairs = cast("dict[str, JSON]", plain).items()
    elif type(plain) is list:
        pairs = enumerate(cast("list[JSON]", plain))
    for key, item in pairs:
        inner = _path_to_fault(item)
        if inner or _is_faulty(key) or (type(item) not in _CONTAINERS and _is_faulty(item)):
            return [f"{key}".encode("ascii", "backslashreplace").decode()[:80], *inner]
    return []


def _is_faulty(leaf: JSON) -> bool:
    try:
        json.dumps(leaf, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return True
    return False


def _reason(error: BaseException) -> str:
    match error:
        case UnwritableError():
            return f"{error}"
        case UnicodeDecodeError():
            return (
                "a pydantic model holds bytes that are not UTF-8; give it "
                "model_config = ConfigDict(ser_json_bytes='base64', val_json_bytes='base64')"
            )
        case UnicodeEncodeError():
            return (
                "its text holds half a surrogate pair, which is not a character; decode its bytes with another encoding"
            )
        case _ if isinstance(error, _TooDeepError | RecursionError) or "depth exceeded" in str(error):
            return f"it is nested more than {MAX_DEPTH} levels deep, or holds itself; reduce the nesting"
        case _:
            return f"{error}; use pydantic models, dataclasses or plain JSON types"
