"""Checks of instance ids, event names, tags and reasons. An id is a table key, so Azure Tables sets the rules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from .errors import InvalidInputError, InvalidInstanceIdError

MAX_INSTANCE_ID = 256
"""Highest number of characters of an instance id."""

MAX_EVENT_NAME = 256
"""Highest number of characters of an event name."""

MAX_ID_UNITS = 460
"""Highest number of UTF-16 code units of an instance id. Azure allows 512 in a key, and the key of a timer also holds
time, execution, generation and task. Only ids with more than 204 characters outside the basic plane can exceed this."""

HALF_PAIR = re.compile(r"[\ud800-\udfff]")
FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that Azure refuses in keys; and line and paragraph separators, on which Azurite's transactions fail."""


class StartedInstance(str):
    """The id of an instance, as ``start_new`` returns it: a text with the id of the started execution.

    By it, URLs for the instance are bound to that execution without reading the storage again. A plain text with the
    same characters is equal to it, but has no execution.
    """

    __slots__ = ("execution_id",)
    execution_id: str

    def __new__(cls, instance_id: str, execution_id: str = "") -> StartedInstance:
        self = super().__new__(cls, instance_id)
        self.execution_id = execution_id
        return self


class TriggeredRun(str):
    """The id of a run that ``trigger_schedule`` has requested. The schedule starts the run a moment later, or not at
    all; to wait for its completion is to wait for its start as well."""

    __slots__ = ()


def execution_of(instance_id: str) -> str:
    """The execution of an id that ``start_new`` has returned; '' for any other text."""
    return instance_id.execution_id if isinstance(instance_id, StartedInstance) else ""


def utf16_units(text: str) -> int:
    """The length of a text in UTF-16 code units, in which Azure counts keys."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def check_instance_id(instance_id: str) -> None:
    """InvalidInstanceIdError if Azure Tables could not hold the id as a key."""
    if not isinstance(instance_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInstanceIdError(f"an instance id is a text, not {instance_id!r}: convert it with str(...)")
    if not instance_id:
        raise InvalidInstanceIdError("an instance id must not be empty; leave it out to get a random one")
    if len(instance_id) > MAX_INSTANCE_ID:
        raise InvalidInstanceIdError(
            f"an instance id has at most {MAX_INSTANCE_ID} characters, this one has {len(instance_id)}"
        )
    if not instance_id.isascii() and (units := utf16_units(instance_id)) > MAX_ID_UNITS:
        raise InvalidInstanceIdError(
            f"an instance id has at most {MAX_ID_UNITS} UTF-16 code units, of which an emoji takes two; "
            f"this one has {units}"
        )
    if found := FORBIDDEN_IN_KEYS.search(instance_id):
        raise InvalidInstanceIdError(
            f"an instance id must not hold {found.group()!r}: / \\ # ?, control characters and line separators "
            "are not allowed in table keys"
        )


def check_event_name(name: str) -> None:
    """InvalidInputError if this cannot be the name of an event."""
    check_name(name, "an event name")


def check_name(name: str, what: str) -> None:
    """InvalidInputError if this is not a text of 1 to 256 characters. ``what`` names it, such as "an event name"."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_EVENT_NAME:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"{what} is a text of 1 to {MAX_EVENT_NAME} characters, not {name!r:.300}")
    if HALF_PAIR.search(name):
        raise InvalidInputError(f"{what} must not hold half a surrogate pair, which is not a character")


MAX_TEXT = 4_000  # characters of a reason


MAX_TAGS = 16_000  # bytes of JSON of all tags together, which are stored in one property as UTF-16


def check_text(text: str, what: str) -> None:
    """InvalidInputError if a text is too long for its property, or holds half a surrogate pair."""
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"{what} has at most {MAX_TEXT:,} characters, this one has {len(text):,}")
    if HALF_PAIR.search(text):
        raise InvalidInputError(f"{what} must not hold half a surrogate pair, which is not a character")


def check_tags(tags: Mapping[str, str] | None) -> None:
    """InvalidInputError for tags whose names or values are not texts, or that are too long together."""
    if tags is not None and not isinstance(tags, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"tags are a dict of texts such as {{'customer': 'c-1'}}, not {tags!r}")
    for name, value in (tags or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"tags are a dict of texts, but {name!r} is {value!r}")
    if tags and len(json.dumps(dict(tags))) > MAX_TAGS:
        raise InvalidInputError(
            f"tags take at most {MAX_TAGS:,} bytes of JSON together; put longer data into the input"
        )
