"""The filters of a list in the query of a request. InvalidInputError names the parameter and what it takes.

A filter that is present and empty, or that cannot be read, is refused: left out, it would match every instance.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast, get_args

from ..errors import InvalidInputError
from ..models import RuntimeStatus
from ..runtime.listing import Order
from .http_types import HttpRequest

_STATUSES = {status.value.lower(): status for status in RuntimeStatus}


def list_filters(request: HttpRequest) -> dict[str, Any]:
    """Every filter of a list but its order, as the client takes them. A bulk operation takes the same ones."""
    created_from, created_to = span_of(request, "createdTime")
    ended_from, ended_to = span_of(request, "ended")
    return {
        "created_time_from": created_from,
        "created_time_to": created_to,
        "runtime_status": statuses_of(request),
        "instance_id_prefix": filter_of(request, "instanceIdPrefix"),
        "tags": tags_of(request),
        "name": filter_of(request, "name"),
        "version": version_of(request),
        "stuck": flag_of(request, "stuck"),
        "retrying": flag_of(request, "retrying"),
        "jobs": flag_of(request, "jobs"),
        "ended_time_from": ended_from,
        "ended_time_to": ended_to,
    }


def filter_of(request: HttpRequest, name: str) -> str | None:
    """The text of a filter that may be given once; None if it is not given."""
    given = request.query.get(name.lower())
    if given is None:
        return None
    if len(given) > 1:
        raise InvalidInputError(f"query parameter '{name}' is given {len(given)} times; give it once")
    if not given[0].strip():
        raise InvalidInputError(f"query parameter '{name}' is empty; leave it out to list every instance")
    return given[0]


def version_of(request: HttpRequest) -> str | None:
    """The version of a filter: an empty one is that of orchestrators without a version."""
    given = request.query.get("version")
    return "" if given == [""] else filter_of(request, "version")


def flag_of(request: HttpRequest, name: str) -> bool | None:
    """A filter that is true or false; None if it is not given."""
    return None if filter_of(request, name) is None else request.flag(name, False)


def span_of(request: HttpRequest, name: str) -> tuple[datetime | None, datetime | None]:
    """The times of ``{name}From`` and ``{name}To``."""
    first, last = (
        None if filter_of(request, each) is None else request.moment(each) for each in (f"{name}From", f"{name}To")
    )
    if first and last and last < first:
        raise InvalidInputError(f"query parameter '{name}To' is before '{name}From'")
    return first, last


def order_of(request: HttpRequest) -> Order | None:
    order = filter_of(request, "order")
    if order is not None and order not in get_args(Order):
        raise InvalidInputError(
            f"query parameter 'order' must be one of {', '.join(get_args(Order))}; not {order[:200]}"
        )
    return cast("Order | None", order)


def tags_of(request: HttpRequest) -> dict[str, str] | None:
    """The tags that an instance must have: ``k:v`` or ``k=v``, separated at the first of these signs; repeatable."""
    tags: dict[str, str] = {}
    for text in request.query.get("tags", ()):
        at = min((found for sign in ":=" if (found := text.find(sign)) > 0), default=0)
        if not at:
            raise InvalidInputError(
                f"query parameter 'tags' must be a tag and its value, such as shop:berlin or shop=berlin, "
                f"not '{text[:200]}'; repeat it for several tags"
            )
        if tags.setdefault(text[:at], text[at + 1 :]) != text[at + 1 :]:
            raise InvalidInputError(f"query parameter 'tags' asks for two values of '{text[:at][:200]}'")
    return tags or None


def statuses_of(request: HttpRequest) -> list[RuntimeStatus] | None:
    names = request.several("runtimeStatus")
    if not names and "runtimestatus" in request.query:
        raise InvalidInputError("query parameter 'runtimeStatus' is empty; leave it out for every status")
    unknown = [name for name in names if name.lower() not in _STATUSES]
    if unknown:
        listed = ", ".join(RuntimeStatus)
        raise InvalidInputError(
            f"query parameter 'runtimeStatus' must be one or more of {listed}; not {', '.join(unknown)[:200]}"
        )
    return [_STATUSES[name.lower()] for name in names] or None
