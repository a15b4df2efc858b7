"""The body of ``POST /bulk``. The filter is that of ``GET /instances``, with the same names, values and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ..errors import InvalidInputError
from ..lazy_dataclass import dataclass
from ..models import JSON
from .http_routes import Endpoint
from .http_types import HttpRequest
from .openapi import OF_EVERY_ROUTE, query_parameters

_NO_FILTER = {"showinput", "showdetails", "top", "order"}
"""Query parameters of a list that choose no instances."""
_NAMES: Mapping[str, type | tuple[type, ...]] = {
    "filter": dict,
    "action": str,
    "reason": str,
    "eventName": str,
    "data": object,
    "recursive": bool,
    "dryRun": bool,
    "all": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkBody:
    """What a bulk request asks for. chosen: its filter as the query of a list."""

    action: str
    chosen: HttpRequest
    reason: str
    event_name: str
    data: JSON
    recursive: bool
    dry_run: bool
    every: bool


def bulk_of(body: JSON) -> BulkBody:
    """The body, checked but for what the client checks. InvalidInputError; nothing unknown is ignored."""
    if not isinstance(body, dict):
        raise InvalidInputError(
            'the body of a bulk operation must be an object, such as {"action": "terminate", "filter": {…}}; '
            "nothing was done"
        )
    given = cast("dict[str, JSON]", body)
    for name, value in given.items():
        kind = _NAMES.get(name)
        if kind is None:
            raise InvalidInputError(
                f"the body of a bulk operation has an unknown key '{name[:100]}'; known: {', '.join(_NAMES)}; "
                "nothing was done"
            )
        if not isinstance(value, kind):
            raise InvalidInputError(f"'{name}' in the body of a bulk operation has the wrong type; nothing was done")
    if "action" not in given:
        raise InvalidInputError("the body of a bulk operation has no 'action'; nothing was done")
    return BulkBody(
        action=cast("str", given["action"]),
        chosen=_as_query(cast("dict[str, JSON]", given.get("filter", {}))),
        reason=cast("str", given.get("reason", "")),
        event_name=cast("str", given.get("eventName", "")),
        data=given.get("data"),
        recursive=cast("bool", given.get("recursive", False)),
        dry_run=cast("bool", given.get("dryRun", False)),
        every=cast("bool", given.get("all", False)),
    )


def _as_query(given: Mapping[str, JSON]) -> HttpRequest:
    """The filter as a request for the list that it chooses. InvalidInputError for what is no filter of a list."""
    known = query_parameters(Endpoint.INSTANCES, "GET")
    names = {name: spelt for name, spelt in known.items() if spelt not in OF_EVERY_ROUTE and name not in _NO_FILTER}
    query: dict[str, list[str]] = {}
    for name, value in given.items():
        if names.get(name.lower()) != name:
            raise InvalidInputError(
                f"'{name[:100]}' is not a filter; filters are {', '.join(sorted(names.values()))}; nothing was done"
            )
        several = cast("list[JSON]", value) if isinstance(value, list) else [value]
        values = [_text(name, each) for each in several]
        if not values:
            raise InvalidInputError(f"the filter '{name}' is empty; leave it out to match every instance")
        query[name.lower()] = values
    return HttpRequest(method="GET", url="", query=query)


def _text(name: str, value: JSON) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if not value.strip() and name != "version":  # which is empty for an orchestrator without one
            raise InvalidInputError(f"the filter '{name}' is empty; leave it out to match every instance")
        return value
    raise InvalidInputError(f"the filter '{name}' must be a text, true, false or a list of texts; nothing was done")
