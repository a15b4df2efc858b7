"""What a bulk operation is asked to do, and the form in which it is stored.

A stored filter is read strictly: a host that does not know a filter must not act on the instances that the other
filters match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from ...errors import InvalidInputError
from ...lazy_dataclass import dataclass
from ...models import JSON, RuntimeStatus
from ..listing import Query


class BulkAction(StrEnum):
    """What a bulk operation does to each instance. The values are stored."""

    TERMINATE = "terminate"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    RAISE_EVENT = "raiseEvent"
    REWIND = "rewind"
    RESTART = "restart"
    PURGE = "purge"


_OPEN = frozenset(status for status in RuntimeStatus if not status.is_terminal)
_ENDED = frozenset(status for status in RuntimeStatus if status.is_terminal)
_STATUSES: Mapping[BulkAction, frozenset[RuntimeStatus]] = {
    BulkAction.TERMINATE: _OPEN,
    BulkAction.CANCEL: _OPEN,
    BulkAction.SUSPEND: _OPEN - {RuntimeStatus.SUSPENDED},
    BulkAction.RESUME: frozenset({RuntimeStatus.SUSPENDED}),
    BulkAction.RAISE_EVENT: _OPEN,
    BulkAction.REWIND: _ENDED - {RuntimeStatus.COMPLETED},
    BulkAction.RESTART: _ENDED,
    BulkAction.PURGE: _ENDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """query: the instances, of the statuses that the action is possible for. reason: of a request to an instance.
    event_name, data: of ``raiseEvent``. recursive: of ``purge``."""

    action: BulkAction
    query: Query
    reason: str = ""
    event_name: str = ""
    data: JSON = None
    recursive: bool = False

    @classmethod
    def of(
        cls,
        action: str,
        query: Query,
        *,
        every: bool,
        reason: str = "",
        event_name: str = "",
        data: JSON = None,
        recursive: bool = False,
    ) -> BulkRequest:
        """A caller's request, checked. InvalidInputError.

        every: whether a filter that matches every instance is meant so.
        """
        known = {each.value.lower(): each for each in BulkAction}
        chosen = known.get(action.lower()) if isinstance(action, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if chosen is None:
            raise InvalidInputError(f"the action must be one of {', '.join(BulkAction)}; not {action!r:.100}")
        if query == Query() and not every:
            raise InvalidInputError(
                "the filter is empty and would match every instance; give a filter, or all=True to mean every instance"
            )
        if query.prefix.startswith(RESERVED_PREFIX):
            raise InvalidInputError(
                f"instances of the framework ('{RESERVED_PREFIX}…') are not changed in bulk; use the methods for one"
            )
        if (chosen is BulkAction.RAISE_EVENT) is not bool(event_name):
            raise InvalidInputError("the action raiseEvent needs the name of an event, and no other action takes one")
        if data is not None and chosen is not BulkAction.RAISE_EVENT:
            raise InvalidInputError("only the action raiseEvent takes data")
        if recursive and chosen is not BulkAction.PURGE:
            raise InvalidInputError("only the action purge can be recursive")
        possible = _STATUSES[chosen]
        if query.statuses is not None and not query.statuses <= possible:
            raise InvalidInputError(
                f"{chosen} is possible for instances that are {', '.join(sorted(possible))}; "
                f"not {', '.join(sorted(query.statuses - possible))}"
            )
        return cls(
            action=chosen,
            query=query.of_statuses(possible),
            reason=reason,
            event_name=event_name,
            data=data,
            recursive=recursive,
        )

    def stored(self) -> dict[str, JSON]:
        """The request as JSON."""
        stored: dict[str, JSON] = {
            "action": self.action.value,
            "query": _stored_query(self.query),
            "reason": self.reason,
            "event_name": self.event_name,
            "data": self.data,
        }
        return stored | {"recursive": True} if self.recursive else stored  # which an older host refuses to read

    @classmethod
    def from_stored(cls, stored: Mapping[str, JSON]) -> BulkRequest:
        """InvalidInputError if this version does not know all of it."""
        try:
            given: dict[str, Any] = dict(stored)
            action, query = BulkAction(given.pop("action")), _query_of(given.pop("query"))
            return cls(action=action, query=query, **given)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidInputError(
                f"this version of durable_core cannot read the bulk operation ({error}), and does nothing"
            ) from error


RESERVED_PREFIX = "durable."


def _stored_query(query: Query) -> dict[str, JSON]:
    """The filters that are set, each by its name."""
    shown: dict[str, JSON] = {}
    for each in fields(query):
        value: Any = getattr(query, each.name)
        if value == getattr(_ANY, each.name):
            continue
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, frozenset):
            value = sorted(str(status) for status in cast("frozenset[RuntimeStatus]", value))
        elif isinstance(value, Mapping):
            value = dict(cast("Mapping[str, str]", value))
        shown[each.name] = value
    return shown


def _query_of(stored: Mapping[str, Any]) -> Query:
    """TypeError, ValueError for a filter that this version does not know."""
    values: dict[str, Any] = {}
    for name, value in stored.items():
        if name.endswith(("_from", "_to")):
            values[name] = datetime.fromisoformat(value)
        elif name == "statuses":
            values[name] = frozenset(RuntimeStatus(status) for status in value)
        else:
            values[name] = value
    return Query(**values)


_ANY = Query()
