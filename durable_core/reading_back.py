"""Compares a written value with the value that was read back, and names the first place where they differ.

Uses fields and their annotations, and neither JSON nor pydantic's validators.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast

from .models import JSON

_SEQUENCES = (list, tuple, deque)
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset, deque})


SECRET = (
    "a secret is written as asterisks; let the activity read it from its settings, or pass a plain text and give "
    "the app a payload codec"
)


class UnwritableError(Exception):
    """A value cannot be written as JSON. ``path``: keys, indices and field names down to the fault, outermost first."""

    def __init__(self, reason: str, path: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.path = list(path)

    def under(self, key: object) -> UnwritableError:
        """This error, with the key of the container that holds the fault put before its path."""
        self.path.insert(0, f"{key}"[:80])
        return self


Write = Callable[[object], JSON]

_Pair: TypeAlias = tuple[object, object, object, bool]
"""The key, the written value, the value read back, and whether it is read without a type."""


def difference(
    value: Any, back: Any, write: Write, *, is_open: bool = False, is_whole: bool = True
) -> UnwritableError | None:
    """The first part of ``value`` that is lost or changed in ``back``; None if they are equal.

    A derived model or dataclass that was read as its base counts as equal if the fields of the base are equal and all
    of its own fields were written (``is_whole``). Without a type in the annotation (``is_open``), the reader gets plain
    JSON, which ``write`` makes.
    """
    if is_equal(value, back):
        return None
    try:
        return _within(value, back, write, is_open, is_whole)
    except UnwritableError as error:
        return error


def _within(value: Any, back: Any, write: Write, is_open: bool, is_whole: bool) -> UnwritableError | None:
    kind = cast("Any", type(back))
    pairs: list[_Pair] | None = None
    if fields_of(kind) is not None and (isinstance(value, kind) if is_whole else type(value) is kind):
        if type(value) is not kind:
            write(value)  # the fields that the derived class adds must be read back equal, too
        pairs = _fields_of_both(value, back, kind)
    elif _are_both(dict, value, back):
        if len(value) == len(back) and all(key in back for key in value):
            pairs = [(key, item, back[key], is_open) for key, item in value.items()]
    elif _are_both(_SEQUENCES, value, back) and (is_open or type(value) is kind) and len(value) == len(back):
        pairs = [(at, value[at], back[at], is_open) for at in range(len(value))]
    if pairs is not None:
        return _first(pairs, write, is_whole)
    return None if is_open and is_equal(write(value), back) else UnwritableError(_changed(value, back))


def _are_both(kinds: Any, value: object, back: object) -> bool:
    return isinstance(value, kinds) and isinstance(back, kinds)


def _fields_of_both(value: Any, back: Any, kind: Any) -> list[_Pair]:
    """The fields of ``kind``; and the extra fields of a model, if both values are exactly of this type."""
    pairs: list[_Pair] = [
        (name, getattr(value, name, None), getattr(back, name, None), is_untyped(kind, name))
        for name in fields_of(kind) or ()
    ]
    if type(value) is kind:
        extra, kept = extra_of(value), extra_of(back)
        pairs.extend((name, each, kept.get(name), True) for name, each in extra.items())
    return pairs


def _first(pairs: Sequence[_Pair], write: Write, is_whole: bool) -> UnwritableError | None:
    for key, one, other, is_open in pairs:
        found = difference(one, other, write, is_open=is_open, is_whole=is_whole)
        if found is not None:
            return found.under(key)
    return None


def is_secret(value: object) -> bool:
    """Whether the value hides its content when it is written, such as pydantic's SecretStr."""
    return hasattr(value, "get_secret_value")


def is_equal(value: Any, back: Any) -> bool:
    """Whether two values are equal, where NaN equals NaN and times are equal if they are the same moment.

    In the hour in which clocks are set back, Python finds a time unequal to the same moment in another time zone.
    """
    try:
        if value == back or (value != value and back != back):
            return True
        are_times = isinstance(value, datetime) and isinstance(back, datetime) and value.tzinfo and back.tzinfo
        return bool(are_times) and value.astimezone(UTC) == back.astimezone(UTC)
    except Exception:  # noqa: BLE001  values whose comparison raises do not count as equal
        return False


def _changed(value: object, back: object) -> str:
    if is_secret(value):
        return SECRET
    kind = type(value).__qualname__
    there = "another value" if type(back) is type(value) else f"a value of type {type(back).__qualname__}"
    return f"this {kind} would be read back as {there}, by its own type"


@lru_cache(maxsize=4096)
def fields_of(kind: Any) -> tuple[str, ...] | None:
    """The field names of a model, a dataclass or a NamedTuple; None for any other type."""
    if issubclass(kind, Enum):
        return None
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, tuple):
        return getattr(cast("Any", kind), "_fields", None)
    found = getattr(kind, "__pydantic_fields__", None) or getattr(kind, "model_fields", None)
    return tuple(cast("Mapping[str, object]", found)) if isinstance(found, Mapping) else None


def extra_of(value: Any) -> Mapping[str, object]:
    """The fields of a model beyond those that its class declares."""
    return getattr(value, "__pydantic_extra__", None) or {}


@lru_cache(maxsize=4096)
def is_untyped(kind: Any, name: str) -> bool:
    """Whether the annotation of a field has a part without a type, where plain JSON is read."""
    fields: Any = getattr(kind, "__pydantic_fields__", None) or {}
    if name in fields:
        return _leaves_open(fields[name].annotation)
    try:
        return _leaves_open(typing.get_type_hints(kind, include_extras=True).get(name, Any))
    except (NameError, TypeError):  # the annotation uses a name that is not defined at run time
        return True


def _leaves_open(annotation: Any) -> bool:
    if annotation in (Any, object) or isinstance(annotation, TypeVar | str):
        return True
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return False
    if origin is Annotated:
        return _leaves_open(typing.get_args(annotation)[0])
    kind = annotation if origin is None else origin
    if isinstance(kind, type) and (inspect.isabstract(kind) or (origin is None and kind in _CONTAINERS)):
        return True
    return any(_leaves_open(argument) for argument in typing.get_args(annotation) if argument is not Ellipsis)
