"""Between users' values and JSON: pydantic models, dataclasses, and what pydantic can write. Never pickle.

``to_json`` takes a snapshot (``writing``): what is recorded does not change when the user's code changes the object
later. What it writes is text that every store and
every JSON reader can hold: no NaN, no half surrogate pairs, no number of over 4,300 digits, nothing nested deeper than
``MAX_DEPTH``.

A value is written by its own type and read by the annotation of who receives it. ``from_json(to_json(x), type)`` is
``x`` for pydantic models, dataclasses, NamedTuple, TypedDict, enums, date and time types, Decimal, UUID, bytes, and
list, set, tuple and dict of them, Optional and unions whose members look different as JSON. Untyped readers see JSON.
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
_LEAVES = frozenset({bool, type(None), str, int, float})
"""Types of which a value that is there already is what a reader of the type would give."""
_CONTAINERS = frozenset({list, dict})
_UNCHECKED = frozenset({Any, object, None})
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class _TooDeepError(Exception):
    pass


def is_plain(value: object) -> bool:
    """Whether this is its own JSON, and surely within every limit: most of what is passed to and fro is."""
    if type(value) is int:
        return _LEAST <= value <= _GREATEST
    if type(value) is str:
        return len(value) <= 1024 and value.isascii()
    return value is None or type(value) is bool


class Converter:
    """``max_payload``: bytes of JSON allowed for one value; the limit of every input, result, event and status."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._max = max_payload

    def to_json(self, value: object, what: str = "") -> JSON:
        """A JSON value equal to ``value`` and independent of it. ``what`` it is goes into errors.

        SerializationError if there is none, PayloadTooLargeError if it is over the limit.
        """
        if is_plain(value):
            return value
        kind = type(value)
        plain: JSON = None
        try:
            plain = value if kind in _SCALARS else written(value)
            text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
            _check(plain, text)
        except BaseException as error:  # a model of the user's may raise anything while it is written
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

        SerializationError if that type itself is one that cannot be read from JSON.
        """
        if kind in _UNCHECKED:
            return data
        if type(data) is kind and kind in _LEAVES:
            return data
        from .typed_values import read

        return read(data, kind)


def is_too_deep(value: JSON) -> bool:
    """Whether lists and objects lie inside each other on more than ``MAX_DEPTH`` levels."""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _members(outer) if type(inner) in _CONTAINERS]
        if not level:
            return False
    return True


def _check(plain: JSON, text: str) -> None:
    """Refuse what JSON's other readers would: half surrogate pairs, and too many levels."""
    if "\\ud" in text:
        json.dumps(plain, ensure_ascii=False).encode()  # UnicodeEncodeError: a half of a pair
    if text.count("[") + text.count("{") > MAX_DEPTH and is_too_deep(plain):
        raise _TooDeepError


def _members(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container  # pyright: ignore[reportUnknownVariableType]


def _place(error: BaseException, plain: JSON) -> str:
    """Where in the value the fault is, as the beginning of what is said of it; '' if it is the value itself."""
    path: list[str] = []
    if isinstance(error, UnwritableError):
        path = error.path
    elif isinstance(error, ValueError):
        path = _path_to_fault(plain)
    return f"at {'.'.join(path)}: " if path else ""


def _path_to_fault(plain: JSON) -> list[str]:
    """To the first text or number in it that JSON's readers would refuse."""
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
                "a pydantic model holds bytes that are no UTF-8; give it "
                "model_config = ConfigDict(ser_json_bytes='base64', val_json_bytes='base64')"
            )
        case UnicodeEncodeError():
            return (
                "its text holds half a surrogate pair, which is no character; decode the bytes it came from otherwise"
            )
        case _ if isinstance(error, _TooDeepError | RecursionError) or "depth exceeded" in str(error):
            return f"it is nested more than {MAX_DEPTH} levels deep, or holds itself; make it flatter"
        case _:
            return f"{error}; use pydantic models, dataclasses or plain JSON types"
