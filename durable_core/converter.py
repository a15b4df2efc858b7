"""Between users' values and JSON: pydantic models, dataclasses, and what pydantic can write. Never pickle.

The only module that knows pydantic. ``to_json`` takes a snapshot: what is recorded does not change when the user's
code changes the object later.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from .errors import InvalidInputError, SerializationError
from .models import JSON

_SCALARS = frozenset({str, int, bool, type(None)})
_UNCHECKED = frozenset({Any, object, None})


class Converter:
    """Stateless; a class so that it can be replaced where it is passed in."""

    def to_json(self, value: object) -> JSON:
        """A JSON value equal to ``value`` and independent of it. SerializationError if there is none."""
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is float:
            if not math.isfinite(value):  # pyright: ignore[reportArgumentType]
                raise SerializationError(f"{value} is not JSON; use None or a string in its place")
            return value
        try:
            plain = to_jsonable_python(value, by_alias=True, bytes_mode="base64")
            json.dumps(plain, allow_nan=False)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            raise SerializationError(
                f"a value of type {kind.__qualname__} cannot be written as JSON: {error}; "
                "use pydantic models, dataclasses or plain JSON types"
            ) from error
        return plain

    def from_json(self, data: JSON, kind: Any) -> Any:
        """``data`` as a value of the annotated type. InvalidInputError with one problem per field."""
        if kind in _UNCHECKED:
            return data
        try:
            return _reader(kind)(data)
        except ValidationError as error:
            problems = [
                f"{'.'.join(str(part) for part in e['loc']) or 'value'}: {e['msg']}"
                for e in error.errors(include_url=False, include_context=False, include_input=False)
            ]
            raise InvalidInputError(f"not a valid {getattr(kind, '__name__', kind)}", problems) from error


@lru_cache(maxsize=1024)
def _reader(kind: Any) -> Callable[[JSON], Any]:
    """How to read one type; made once, as building a validator takes milliseconds."""
    if kind is type(None):
        return TypeAdapter(None).validate_python
    adapter: TypeAdapter[Any]
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        adapter = TypeAdapter(kind)
    else:
        try:
            adapter = TypeAdapter(kind, config=ConfigDict(val_json_bytes="base64"))
        except PydanticUserError:  # a dataclass or TypedDict that carries a configuration of its own
            adapter = TypeAdapter(kind)
    return lambda data: adapter.validate_json(json.dumps(data))
