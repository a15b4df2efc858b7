"""Starts that know each other by a key: debounced ones, and such as are made once in a window. Nothing here does IO."""

from __future__ import annotations

from datetime import timedelta

from .errors import InvalidInputError
from .instance_ids import check_text
from .lazy_dataclass import dataclass
from .moments import problem_of_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """Starts of one orchestrator with this key make one instance: each replaces its input and puts off its beginning.

    key: a text of at most 4,000 characters, such as the id of a document.
    period: the instance begins when no start has come for so long. max_wait: it begins at the latest so long after the
    first of these starts; None: there is no such limit.

    The names are those of Inngest, Trigger.dev and DBOS. Raises InvalidInputError for values that cannot be.
    """

    key: str
    period: timedelta
    max_wait: timedelta | None = None

    def __post_init__(self) -> None:
        _check_key(self.key, "Debounce")
        _check_time(self.period, "period", "Debounce")
        if self.max_wait is not None:
            _check_time(self.max_wait, "max_wait", "Debounce")
            if self.max_wait < self.period:
                raise InvalidInputError(
                    f"max_wait={self.max_wait!r} of a Debounce is below its period={self.period!r}, after which the "
                    "instance begins anyway: give a longer max_wait, or none"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduplicate:
    """Of the starts of one orchestrator with this key, one in each window makes an instance; the others return it.

    key: a text of at most 4,000 characters, such as the id of a webhook's delivery.
    window: so long after a start that has made an instance, a start with the key returns that instance, also after its
    end. A purge of the instance ends the window.

    Raises InvalidInputError for values that cannot be.
    """

    key: str
    window: timedelta

    def __post_init__(self) -> None:
        _check_key(self.key, "Deduplicate")
        _check_time(self.window, "window", "Deduplicate")


def check_together(
    debounce: object, deduplicate: object, *, instance_id: object, if_exists: str, start_at: object
) -> None:
    """InvalidInputError for options of a start that do not go together."""
    for what, value, kind in (("debounce", debounce, Debounce), ("deduplicate", deduplicate, Deduplicate)):
        if value is not None and not isinstance(value, kind):
            raise InvalidInputError(f"{what}={value!r:.200} must be a {kind.__name__}")
    if debounce is not None and deduplicate is not None:
        raise InvalidInputError("a start takes debounce or deduplicate, not both")
    name = "debounce" if debounce is not None else "deduplicate"
    if instance_id is not None:
        raise InvalidInputError(
            f"a start with {name} takes no instance id, since its key decides which instance it is: leave the id out, "
            "or use an id with if_exists instead"
        )
    if if_exists != "error":
        raise InvalidInputError(f"a start with {name} takes no if_exists, since it always returns an instance")
    if debounce is not None and start_at is not None:
        raise InvalidInputError("a start with debounce takes no start_at: its period says when the instance begins")


def _check_key(key: object, of: str) -> None:
    if not isinstance(key, str) or not key:
        raise InvalidInputError(f"key={key!r:.200} of a {of} must be a text that is not empty")
    check_text(key, f"the key of a {of}")


def _check_time(value: object, name: str, of: str) -> None:
    if value is None:
        raise InvalidInputError(f"{name} of a {of} must be given, as a datetime.timedelta")
    if (problem := problem_of_time(value)) is not None:
        raise InvalidInputError(f"{name}={value!r} of a {of} {problem}")
