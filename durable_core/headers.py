"""Headers: a small mapping from names to JSON that goes with an instance to all that it calls.

They are for what belongs to the caller and not to the input: a tenant, a user, a correlation id. ``interceptors`` has
the code that reads and sets them for a whole app.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, cast

from .converter import Converter
from .errors import InvalidInputError
from .models import JSON

MAX_HEADERS = 4096
"""Highest number of bytes of the headers of one instance or call, as JSON."""

MAX_HEADER_NAME = 128
"""Highest number of characters of a header's name."""

NO_HEADERS: Mapping[str, JSON] = MappingProxyType({})

request_headers: ContextVar[Mapping[str, str]] = ContextVar("durable_core_request_headers", default=NO_HEADERS)
"""The headers of the HTTP request that is being answered, with names in lower case; empty outside of one."""

_CONVERTER = Converter()


def checked_headers(given: object, what: str) -> dict[str, JSON]:
    """The headers as plain JSON, independent of the given ones. ``what``: whose they are, in errors.

    InvalidInputError for what is no mapping of names to values, and for too many bytes; SerializationError for a value
    that is not JSON.
    """
    if not isinstance(given, Mapping):
        raise InvalidInputError(
            f"the headers of {what} are a mapping of names to JSON values, not a {type(given).__name__}"
        )
    headers: dict[str, JSON] = {}
    for name, value in cast("Mapping[Any, Any]", given).items():
        if not isinstance(name, str) or not 0 < len(name) <= MAX_HEADER_NAME:
            raise InvalidInputError(
                f"the headers of {what}: a name is a text of 1 to {MAX_HEADER_NAME} characters, not {name!r:.200}"
            )
        headers[name] = _CONVERTER.to_json(value, f"header '{name}' of {what}")
    _CONVERTER.to_json(headers, f"the headers of {what}")  # the names, too: half of a surrogate pair is no text
    size = len(text_of(headers))
    if size > MAX_HEADERS:
        raise InvalidInputError(
            f"the headers of {what} have {size:,} bytes of JSON; at most {MAX_HEADERS:,} go with every call: put what "
            "is larger into the input, or store it and send its name"
        )
    return headers


def text_of(headers: Mapping[str, JSON]) -> str:
    """The headers as they are stored; '' for none."""
    return json.dumps(dict(headers), separators=(",", ":")) if headers else ""


def headers_in(text: str) -> dict[str, JSON]:
    """New headers from their text."""
    return json.loads(text) if text else {}
