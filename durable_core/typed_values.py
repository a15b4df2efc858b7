"""Values of types that JSON does not have, to JSON and back: models, dataclasses, dates and the like, by pydantic.

The only module that knows pydantic. It is imported when the first such value comes by: a host whose values are plain
JSON never pays for it, and none pays before it serves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from .errors import InvalidInputError, SerializationError
from .models import JSON, FailureDetails
from .user_code import raise_unless_failure


def dumped(value: object) -> JSON:
    """The value as plain JSON; raises whatever pydantic, or a model of the user's, raises."""
    return to_jsonable_python(value, by_alias=True, bytes_mode="base64")


def dumped_key(key: object) -> str:
    """The key of a dict as the text that it is in JSON."""
    return next(iter(dumped({key: None})))


def read(data: JSON, kind: Any) -> Any:
    """``data`` as a value of the annotated type. InvalidInputError with one problem per field.

    SerializationError if that type itself is one that cannot be read from JSON.
    """
    name = getattr(kind, "__name__", kind)
    try:
        return _reader(kind)(data)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in e['loc'][1:]) or 'value'}: {e['msg']}"  # [0]: see _reader
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InvalidInputError(f"not a valid {name}", problems) from error
    except PydanticUserError as error:
        raise SerializationError(f"no value of type {name} can be read from JSON: {error.message}") from error
    except BaseException as error:  # pydantic lets through what a validator raises, if it is no ValueError
        raise_unless_failure(error)
        failure = FailureDetails.from_exception(error)
        problem = f"its validator raised {failure.type}: {failure.message}"
        raise InvalidInputError(f"not a valid {name}", [problem]) from error


@lru_cache(maxsize=1024)
def _reader(kind: Any) -> Callable[[JSON], Any]:
    """How to read one type; made once, as building a validator takes milliseconds.

    The type is read as the only member of a tuple: a dataclass or TypedDict takes no configuration when it stands
    alone, but takes its container's, and it must read bytes as ``to_json`` writes them.
    """
    shape: Any = tuple.__class_getitem__((kind,))
    adapter: TypeAdapter[tuple[Any]] = TypeAdapter(shape, config=ConfigDict(val_json_bytes="base64"))
    return lambda data: adapter.validate_json(json.dumps([data]))[0]
