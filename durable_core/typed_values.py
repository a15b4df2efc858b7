"""Converts values of types that JSON does not have, by pydantic: models, dataclasses, dates and the like.

The only module that imports pydantic. It is imported at the first such value, so that a host whose values are plain
JSON never imports pydantic, and every other host does so only after its start.

A value that would not be read back equal is refused: unless its type is known to be safe, a value is read back by its
own type as soon as it is written, and compared (``reading_back``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from .errors import InvalidInputError, SerializationError
from .models import JSON, FailureDetails
from .reading_back import SECRET, UnwritableError, Write, difference, is_equal, is_secret
from .user_code import raise_unless_failure

_SURE = frozenset({UUID, date, datetime, bytes, Decimal})
"""Types of which every value is read back equal."""

_SURE_KEYS = frozenset({int, bool, UUID, date})
_MINUTE = timedelta(minutes=1)

_IS_POLYMORPHIC = "polymorphic_serialization" in (
    getattr(to_jsonable_python, "__text_signature__", None) or ""
)  # pydantic 2.13
_WHOLE = {"polymorphic_serialization": True} if _IS_POLYMORPHIC else {"serialize_as_any": True}
"""A derived model keeps its own fields where its base is annotated."""

_FORMS: tuple[dict[str, Any], ...] = (
    *(() if _IS_POLYMORPHIC else ({"by_alias": True},)),  # the older way to write all fields drops fields' serializers
    {"by_alias": True} | _WHOLE,
    {"by_alias": True, "round_trip": True} | _WHOLE,  # without computed fields, and Json as the text that it was
    {"by_alias": False, "round_trip": True} | _WHOLE,  # where a model reads its fields by their names alone
)
"""Ways to write a model, in order of preference; the first one that the model's own type reads back is used."""


def dumped(value: object, write: Write) -> JSON:
    """A value that is not a container as JSON. UnwritableError; any exception that a user's model raises."""
    kind = type(value)
    if kind in _SURE:
        return _leaf(_exact(value))
    if is_secret(value):
        raise UnwritableError(SECRET)
    return _model(value, write) if hasattr(kind, "__pydantic_serializer__") else _leaf_read_back(value)


def dumped_key(key: object) -> str:
    """The key of a dict as a text, for JSON. UnwritableError if its type would not read it back from that text."""
    kind = cast("Any", type(key))
    text = next(iter(_leaf({key: None})))
    if kind in _SURE_KEYS:
        return text
    try:
        back = next(iter(_reader(dict.__class_getitem__((kind, type(None))))({text: None})))
    except (ValidationError, PydanticUserError):
        back = None
    if back is None or not is_equal(key, back):
        raise UnwritableError(
            f"a key of type {kind.__qualname__} would not be read back from a text, which every key is in JSON; "
            "use a text, a number or an enum of texts as key, or a list of pairs"
        )
    return text


def check(value: object, plain: JSON, write: Write) -> None:
    """UnwritableError if a dataclass or NamedTuple would not be read back equal by its own type.

    A type that pydantic cannot read is not checked: its values are read without a type, or never.
    """
    kind = type(value)
    try:
        back = _reader(kind)(plain)
    except ValidationError as error:
        raise _unread(kind, error) from error
    except (PydanticUserError, PydanticUndefinedAnnotation):
        return
    if (found := difference(value, back, write)) is not None:
        raise found


def _model(value: object, write: Write) -> JSON:
    """The model in the first form that its own type reads back.

    If there is none, the problem with the second to last form is raised: it is closest to the form that the type reads,
    unless the names of fields are the problem.
    """
    kind = type(value)
    problems: list[BaseException] = []
    for form in _FORMS:
        try:
            plain = cast("Any", kind).__pydantic_serializer__.to_python(value, mode="json", **form)
            found = difference(value, _reader(kind)(plain), write, is_whole=form.keys() >= _WHOLE.keys())
            if found is None:
                return plain
            problems.append(found)
        except ValidationError as error:
            problems.append(_unread(kind, error))
        except PydanticSerializationError as error:
            problems.append(UnwritableError(str(error)))
        except BaseException as error:  # noqa: BLE001  raised by the model's own code; another form may not run it
            raise_unless_failure(error)
            problems.append(error)
    raise problems[-2]


def _leaf(value: object) -> JSON:
    try:
        return to_jsonable_python(value, bytes_mode="base64")
    except PydanticSerializationError as error:
        raise UnwritableError(str(error)) from error


def _leaf_read_back(value: object) -> JSON:
    """The value as JSON, if its type, or the first base that pydantic knows (for a foreign datetime), reads it back."""
    kind = type(value)
    plain = _leaf(value)
    for base in kind.__mro__[:-1]:
        try:
            back = _reader(base)(plain)
        except PydanticUserError:
            continue
        except ValidationError as error:
            raise _unread(kind, error) from error
        if (found := difference(value, back, _leaf)) is not None:
            raise found
        return plain
    raise UnwritableError(f"no value of type {kind.__qualname__} can be read from JSON")


def _exact(value: Any) -> object:
    """An equal value in a form that JSON readers accept."""
    match value:
        case Decimal() if not value.is_finite():
            raise UnwritableError(f"JSON has no {value}")
        case datetime() if (offset := value.utcoffset()) is not None and offset % _MINUTE:
            return value.astimezone(UTC)  # ISO 8601 has offsets in whole minutes
        case _:
            return value


def _unread(kind: type, error: ValidationError) -> UnwritableError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = [str(part) for part in first["loc"][1:]]  # [0]: see _reader
    return UnwritableError(f"type {kind.__qualname__} would not read it back: {first['msg']}", path)


def read(data: JSON, kind: Any) -> Any:
    """``data`` as a value of the annotated type. InvalidInputError with one problem per field.

    SerializationError if no value of that type can be read from JSON.
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
    except BaseException as error:  # pydantic does not catch exceptions of validators other than ValueError
        raise_unless_failure(error)
        failure = FailureDetails.from_exception(error)
        problem = f"its validator raised {failure.type}: {failure.message}"
        raise InvalidInputError(f"not a valid {name}", [problem]) from error


@lru_cache(maxsize=1024)
def _reader(kind: Any) -> Callable[[JSON], Any]:
    """The function that reads one type; cached, because building a validator takes milliseconds.

    The type is read as the only member of a tuple: a dataclass or TypedDict accepts no configuration of its own, but
    uses that of its container, which makes it read bytes as ``to_json`` writes them.
    """
    shape: Any = tuple.__class_getitem__((kind,))
    adapter: TypeAdapter[tuple[Any]] = TypeAdapter(shape, config=ConfigDict(val_json_bytes="base64"))
    return lambda data: adapter.validate_json(json.dumps([data]))[0]
