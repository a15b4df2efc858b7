"""The walk that makes JSON of a value: a snapshot, which shares no list and no dict with the value.

It goes through lists, dicts, sets, tuples, dataclasses and the like by itself, and leaves pydantic models and all other
types to ``typed_values``, imported when the first of them comes by. What to do with a type is decided once. Generators,
coroutines and iterators are refused untouched: to read one would run it, and what it does would be done.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from .models import JSON

_PLAIN = frozenset({str, int, float, bool, type(None)})
_LISTS = (list, tuple, set, frozenset, deque)


class UnwritableError(Exception):
    """Why a value has no JSON. ``path``: keys, indices and names of fields that lead to the fault, outermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []

    def under(self, key: object) -> UnwritableError:
        """The same, seen from a container that has the fault under this key."""
        self.path.insert(0, f"{key}"[:80])
        return self


def written(value: object) -> JSON:
    """The value as JSON. UnwritableError, RecursionError, and whatever pydantic or a model of the user's raises."""
    kind = type(value)
    return value if kind in _PLAIN else _writer(kind)(value)


@lru_cache(maxsize=4096)
def _writer(kind: Any) -> Callable[[Any], JSON]:
    """How a value of this very type is written."""
    if issubclass(kind, Enum) or _is_pydantic(kind):
        return _typed
    if issubclass(kind, Iterator | AsyncIterator | Awaitable):
        return _refuse
    if issubclass(kind, dict):
        return _dict
    if issubclass(kind, _LISTS):
        return _list
    if dataclasses.is_dataclass(kind):
        return _dataclass
    return _typed


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_serializer__")


def _list(items: Iterable[object]) -> JSON:
    out: list[JSON] = []
    try:
        for item in items:
            out.append(item if type(item) in _PLAIN else _writer(type(item))(item))
    except UnwritableError as error:
        raise error.under(len(out)) from None
    return out


def _dict(value: dict[object, object]) -> JSON:
    out: dict[str, JSON] = {}
    key: object = None
    try:
        for key, item in value.items():
            name = key if type(key) is str else _key(key)
            out[name] = item if type(item) in _PLAIN else _writer(type(item))(item)
    except UnwritableError as error:
        raise error.under(key) from None
    return out


def _dataclass(value: Any) -> JSON:
    out: dict[str, JSON] = {}
    name = ""
    try:
        for name in _fields(cast("Any", type(value))):
            out[name] = written(getattr(value, name))
    except UnwritableError as error:
        raise error.under(name) from None
    return out


@lru_cache(maxsize=4096)
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _typed(value: object) -> JSON:
    from .typed_values import dumped

    _look_inside(value)
    return dumped(value)


def _key(key: object) -> str:
    from .typed_values import dumped_key

    _look_inside(key)
    return dumped_key(key)


def _refuse(value: object) -> JSON:
    raise UnwritableError(_why_not(value))


def _look_inside(value: object) -> None:
    """UnwritableError if a model holds what would run when pydantic reads it."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if _writer(kind) is _refuse:
        _refuse(value)
    for key, member in _members(value):
        try:
            _look_inside(member)
        except UnwritableError as error:
            raise error.under(key) from None


def _members(value: Any) -> Iterable[tuple[object, object]]:
    """What a value holds, by the keys that lead there; nothing if it is one by itself."""
    kind = cast("Any", type(value))
    if issubclass(kind, Enum):
        return ()
    if dataclasses.is_dataclass(kind):
        return [(name, getattr(value, name, None)) for name in _fields(kind)]
    if _is_pydantic(kind):
        fields: dict[object, object] = {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
        return fields.items()
    if issubclass(kind, dict):
        items = cast("dict[object, object]", value).items()
        return [*((key, key) for key, _ in items), *items]
    return enumerate(cast("Iterable[object]", value)) if issubclass(kind, _LISTS) else ()


def _why_not(value: object) -> str:
    name = getattr(value, "__qualname__", type(value).__qualname__)
    if isinstance(value, Generator):
        return f"the generator '{name}' has not been run; write 'yield from' before it, or make a list of it"
    if isinstance(value, Awaitable):
        return f"the coroutine '{name}' has not been run; write 'await' before it, in an 'async def'"
    if isinstance(value, AsyncIterator):
        return f"the asynchronous iterator '{name}' has not been run; make a list of it with 'async for'"
    return f"an iterator ('{name}') is empty once it was read; make a list of it"
