"""What instance ids there can be: an id is a table key, so Azure Tables decides. Knows only errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from .errors import InvalidInputError, InvalidInstanceIdError

MAX_INSTANCE_ID = 256
"""Characters of an instance id."""

MAX_EVENT_NAME = 256
"""Characters of an event's name."""

MAX_ID_UNITS = 460
"""UTF-16 code units of an instance id. A key has 512 of them, as Azure counts; beside the id it holds the time,
execution, generation and task of a timer. Only ids of more than 204 characters outside the basic plane have more."""

HALF_PAIR = re.compile(r"[\ud800-\udfff]")
FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Azure refuses these in keys; but for the line and paragraph separators, on which Azurite's transactions fail."""


class StartedInstance(str):
    """The id of an instance, as ``start_new`` returns it: a text that also knows which execution it stands for.

    So the URLs made for it can be bound to that execution without another look at storage. A plain text of the same
    letters is equal to it, and knows no execution.
    """

    __slots__ = ("execution_id",)
    execution_id: str

    def __new__(cls, instance_id: str, execution_id: str = "") -> StartedInstance:
        self = super().__new__(cls, instance_id)
        self.execution_id = execution_id
        return self


class TriggeredRun(str):
    """The id of a run that a schedule was asked for, as ``trigger_schedule`` returns it: the schedule starts the run a
    moment later, or not at all. Who waits for its completion waits for its start as well."""

    __slots__ = ()


def execution_of(instance_id: str) -> str:
    """The execution that an id from ``start_new`` stands for; '' of any other text."""
    return instance_id.execution_id if isinstance(instance_id, StartedInstance) else ""


def utf16_units(text: str) -> int:
    """How long a text is as table keys count it: a character outside the basic plane counts two."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def check_instance_id(instance_id: str) -> None:
    """InvalidInstanceIdError if Azure Tables could not hold the id as a key."""
    if not isinstance(instance_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInstanceIdError(f"an instance id is a text, not {instance_id!r}: give str(...) of it")
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
            "cannot be in table keys"
        )


def check_event_name(name: str) -> None:
    """InvalidInputError for what can be no event's name."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_EVENT_NAME:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"an event name is a text of 1 to {MAX_EVENT_NAME} characters, not {name!r:.300}")
    if HALF_PAIR.search(name):
        raise InvalidInputError("an event name must not hold half a surrogate pair, which is no character")


MAX_TEXT = 4_000  # characters of a reason


MAX_TAGS = 16_000  # bytes of JSON of all tags together: a property of UTF-16 holds them


def check_text(text: str, what: str) -> None:
    """InvalidInputError for what is too long for its property, or no text: half a surrogate pair."""
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"{what} has at most {MAX_TEXT:,} characters, this one has {len(text):,}")
    if HALF_PAIR.search(text):
        raise InvalidInputError(f"{what} must not hold half a surrogate pair, which is no character")


def check_tags(tags: Mapping[str, str] | None) -> None:
    """InvalidInputError for tags that are no texts, or too many."""
    if tags is not None and not isinstance(tags, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"tags are texts by name: {{'customer': 'c-1'}}, say; not {tags!r}")
    for name, value in (tags or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"tags are texts by name; {name!r} is {value!r}")
    if tags and len(json.dumps(dict(tags))) > MAX_TAGS:
        raise InvalidInputError(
            f"tags take at most {MAX_TAGS:,} bytes of JSON together; longer data belongs into the input"
        )
