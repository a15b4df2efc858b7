"""Limits over all hosts of a hub: how much may go at once, and how often it may begin. Declared beside the code.

A limit is kept by *gates*: entities of the framework, one for each key of the limit. Nothing here does IO.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .entities import EntityId
from .errors import InvalidInputError
from .lazy_dataclass import dataclass
from .models import JSON
from .moments import problem_of_time

GATE = "durable.gate"
"""The name of the entities that keep limits."""

GATE_PREFIX = f"@{GATE}@"
ACQUIRE, RELEASE, TICK = "acquire", "release", "tick"
MAX_RATE = 1000
"""Beginnings of one period that a gate remembers."""

_NAME = re.compile(r"[^\W\d][\w.\-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many may go at once, and how many may begin in a period, over all hosts of a hub.

    name: of the limit; at most 64 letters, digits and . _ -. Several activities may share a limit.
    concurrency: how many hold a slot at once. None: any number.
    rate, per: how many slots are granted in any period of this length; at most 1000.
    key: makes of an activity's input the key, such as a tenant; each key has slots of its own. None: one key.
    fair: makes of the input the group that takes turns with the other groups of the key, such as a tenant of one API.
    each: how many of one group may hold a slot at once. None: any number.
    priority: makes of the input a whole number; in one group the highest goes first, then who came first. Of four
        grants of a group in a row at least one is for who waits longest.

    ``key``, ``fair`` and ``priority`` run in the orchestrator, and must be deterministic.
    Raises InvalidInputError for a limit that limits nothing, and for numbers that cannot be.
    """

    name: str
    concurrency: int | None = None
    rate: int | None = None
    per: timedelta = timedelta(seconds=1)
    key: Callable[[Any], object] | None = None
    fair: Callable[[Any], object] | None = None
    each: int | None = None
    priority: Callable[[Any], int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(
                f"{self.name!r:.200} cannot name a limit: a name must begin with a letter and have at most 64 letters, "
                "digits and . _ -"
            )
        for what, number in (("concurrency", self.concurrency), ("rate", self.rate), ("each", self.each)):
            if number is not None and (type(number) is not int or number < 1):
                raise InvalidInputError(f"{what}={number!r} of limit '{self.name}' must be a whole number, at least 1")
        if self.rate is not None and self.rate > MAX_RATE:
            raise InvalidInputError(
                f"rate={self.rate} of limit '{self.name}' is above {MAX_RATE}: give a lower rate and a shorter per"
            )
        if (problem := problem_of_time(self.per)) is not None:
            raise InvalidInputError(f"per={self.per!r} of limit '{self.name}' {problem}")
        if self.concurrency is None and self.rate is None and self.each is None:
            raise InvalidInputError(f"limit '{self.name}' limits nothing: give it a concurrency, a rate or each")
        for what, made_by in (("key", self.key), ("fair", self.fair), ("priority", self.priority)):
            if made_by is not None and not callable(made_by):
                raise InvalidInputError(f"{what}={made_by!r} of limit '{self.name}' must be a function of the input")

    def gate_of(self, key: str) -> EntityId:
        """The entity that keeps the limit for this key. A key that no table can hold is known by its hash."""
        try:
            return EntityId(GATE, f"{self.name}:{key}" if key else self.name)
        except InvalidInputError:
            return EntityId(GATE, f"{self.name}:sha256-{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:40]}")

    def request(self, slot: str, group: str, priority: int) -> dict[str, JSON]:
        """The input of the request for a slot."""
        asked: dict[str, JSON] = {"slot": slot}
        if self.concurrency is not None:
            asked["concurrency"] = self.concurrency
        if self.rate is not None:
            asked["rate"], asked["per"] = self.rate, self.per.total_seconds()
        if self.each is not None:
            asked["each"] = self.each
        if group:
            asked["group"] = group
        if priority:
            asked["priority"] = priority
        return asked


def asked_of(limit: Limit, slot: str, input_: object) -> tuple[str, dict[str, JSON]]:
    """The gate, and the request for a slot, for this input. InvalidInputError, and what the functions of the limit
    raise."""
    key = "" if limit.key is None else text_of(limit.key(input_), "key", limit)
    group = "" if limit.fair is None else text_of(limit.fair(input_), "group", limit)
    priority = 0 if limit.priority is None else checked_priority(limit.priority(input_), limit)
    return str(limit.gate_of(key)), limit.request(slot, group, priority)


def text_of(made: object, what: str, limit: Limit) -> str:
    """A key or a group as a text: InvalidInputError for what is no text and no number."""
    if isinstance(made, str):
        return made
    if isinstance(made, int) and not isinstance(made, bool):
        return str(made)
    raise InvalidInputError(f"the {what} of limit '{limit.name}' must be a text or a whole number, not {made!r:.200}")


def checked_priority(made: object, limit: Limit) -> int:
    if type(made) is not int:
        raise InvalidInputError(f"the priority of limit '{limit.name}' must be a whole number, not {made!r:.200}")
    return made
