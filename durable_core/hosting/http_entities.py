"""The routes of entities: signal, read, list and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..entities import EntityId
from ..errors import InvalidInputError
from .http_filters import span_of
from .http_types import HttpRequest, HttpResponse, error_response, json_response

if TYPE_CHECKING:
    from ..runtime.client import DurableClient

CONTINUATION_HEADER = "x-ms-continuation-token"
MAX_PAGE = 1000

_ACCEPTED = HttpResponse(status=202, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


async def signal(client: DurableClient, request: HttpRequest, max_payload: int) -> HttpResponse:
    """The body is the input. The header Idempotency-Key makes the request safe to repeat."""
    operation = request.text("op")
    if not operation:
        raise InvalidInputError("query parameter 'op' is required: the operation that the entity is to run")
    signal_id = request.headers.get("idempotency-key", "").strip().strip('"') or None
    await client.signal_entity(
        _entity_of(request),
        operation,
        request.json(max_payload),
        request.moment("scheduledTime"),
        signal_id=signal_id,
    )
    return _ACCEPTED


async def read(client: DurableClient, request: HttpRequest) -> HttpResponse:
    """The state; with ``showDetails`` the lock, the mailbox and scheduled operations, too."""
    entity = _entity_of(request)
    if request.flag("showDetails", False):
        details = await client.entity_details(entity)
        return _not_found(entity) if details is None else json_response(200, details.to_json())
    found = await client.read_entity(entity)
    return _not_found(entity) if found is None else json_response(200, found.state)


async def delete(client: DurableClient, request: HttpRequest) -> HttpResponse:
    await client.delete_entity(_entity_of(request))
    return _ACCEPTED


async def list_all(client: DurableClient, request: HttpRequest) -> HttpResponse:
    earliest, latest = span_of(request, "lastOperationTime")
    page = await client.list_entities(
        request.route.get("entityName", ""),
        last_operation_from=earliest,
        last_operation_to=latest,
        fetch_state=request.flag("fetchState", False),
        page_size=min(request.count("top", 100), MAX_PAGE),
        continuation_token=request.headers.get(CONTINUATION_HEADER) or None,
    )
    more = {CONTINUATION_HEADER: page.continuation_token} if page.continuation_token else {}
    return json_response(200, [entity.to_json() for entity in page.entities], more)


def _entity_of(request: HttpRequest) -> EntityId:
    return EntityId(request.route.get("entityName", ""), request.route.get("entityKey", ""))


def _not_found(entity: EntityId) -> HttpResponse:
    return error_response(404, "EntityNotFound", f"there is no entity {entity} in this task hub")
