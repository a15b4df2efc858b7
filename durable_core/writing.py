"""Makes JSON of a value: a snapshot, which shares no list and no dict with the value.

This module walks through lists, dicts, sets, tuples, dataclasses and the like, and leaves pydantic models and all other
types to ``typed_values``, which is imported at the first of them. The writer of each type is chosen once. Generators,
coroutines and iterators are refused without reading them, because reading would run their code. Values with fields are
read back as soon as they are written.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from .models import JSON
from .reading_back import UnwritableError, extra_of, fields_of

_PLAIN = frozenset({str, int, float, bool, type(None)})
NO_VALUE = "__durable_no_value__"
"""Name of the class attribute that says why objects of the class cannot be stored, and what to store instead."""

_LISTS = (list, tuple, set, frozenset, deque)


def written(value: object) -> JSON:
    """The value as JSON. UnwritableError, RecursionError, and any exception of pydantic or of a user's model."""
    kind = type(value)
    return value if kind in _PLAIN else _writer(kind)(value)


@lru_cache(maxsize=4096)
def _writer(kind: Any) -> Callable[[Any], JSON]:
    """The function that writes values of exactly this type."""
    if hasattr(kind, NO_VALUE):
        return _refuse
    if issubclass(kind, Enum) or _is_pydantic(kind):
        return _typed
    if issubclass(kind, Iterator | AsyncIterator | Awaitable):
        return _refuse
    if issubclass(kind, dict):
        return _dict
    if fields_of(kind) is not None and issubclass(kind, tuple):
        return _named_tuple
    if issubclass(kind, _LISTS):
        return _list
    if dataclasses.is_dataclass(kind):
        return _dataclass
    for base, exactly in ((str, str.__str__), (int, int.__int__), (float, float.__float__)):
        if issubclass(kind, base):
            return exactly
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
    if len(out) != len(value):
        raise UnwritableError(f"two of its keys are the same text in JSON: {_twins(value)}")
    return out


def _twins(value: dict[object, object]) -> str:
    seen: dict[str, object] = {}
    for key in value:
        if (other := seen.setdefault(_key(key), key)) is not key:
            return f"{other!r} and {key!r}"
    return ""


def _named_tuple(value: tuple[object, ...]) -> JSON:
    return _checked(value, _list(value))


def _dataclass(value: Any) -> JSON:
    out: dict[str, JSON] = {}
    name = ""
    try:
        for name in fields_of(cast("Any", type(value))) or ():
            out[name] = written(getattr(value, name))
    except UnwritableError as error:
        raise error.under(name) from None
    return _checked(value, out)


def _checked(value: object, plain: JSON) -> JSON:
    from .typed_values import check

    check(value, plain, written)
    return plain


def _typed(value: object) -> JSON:
    from .typed_values import dumped

    _look_inside(value)
    return dumped(value, written)


def _key(key: object) -> str:
    from .typed_values import dumped_key

    _look_inside(key)
    return str.__str__(key) if isinstance(key, str) and not isinstance(key, Enum) else dumped_key(key)


def _refuse(value: object) -> JSON:
    raise UnwritableError(_why_not(value))


def _look_inside(value: object) -> None:
    """UnwritableError if a model holds a generator, coroutine or iterator, whose code would run if pydantic read it."""
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
    """The members of a value with their keys; none for a value without members."""
    kind = cast("Any", type(value))
    if issubclass(kind, Enum):
        return ()
    if dataclasses.is_dataclass(kind):
        return [(name, getattr(value, name, None)) for name in fields_of(kind) or ()]
    if _is_pydantic(kind):
        fields: dict[object, object] = {**value.__dict__, **extra_of(value)}
        return fields.items()
    if issubclass(kind, dict):
        items = cast("dict[object, object]", value).items()
        return [*((key, key) for key, _ in items), *items]
    return enumerate(cast("Iterable[object]", value)) if issubclass(kind, _LISTS) else ()


def _why_not(value: object) -> str:
    name = getattr(value, "__qualname__", type(value).__qualname__)
    if (reason := getattr(type(value), NO_VALUE, None)) is not None:
        return reason
    if isinstance(value, Generator):
        return f"the generator '{name}' has not been run; write 'yield from' before it, or make a list of it"
    if isinstance(value, Awaitable):
        return f"the coroutine '{name}' has not been run; write 'await' before it, in an 'async def'"
    if isinstance(value, AsyncIterator):
        return f"the asynchronous iterator '{name}' has not been run; make a list of it with 'async for'"
    return f"the iterator '{name}' can be read only once; make a list of it"
