"""The management API: calls the client for each route and maps each outcome to an HTTP status.

Uses no web framework: ``HttpApi.handle`` takes an ``HttpRequest`` and always returns an ``HttpResponse``. The server
registers the routes of ``Endpoint`` and checks keys for those that are not keyless. Shapes follow the Durable Functions
extension; ``docs/http-api.md`` is the reference for users.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, assert_never

from ..errors import (
    InstanceAlreadyExistsError,
    InvalidInputError,
    InvalidInstanceIdError,
)
from ..headers import request_headers
from ..instance_ids import StartedInstance, check_instance_id, execution_of
from ..jobs import JOB_PREFIX
from ..marks import RESERVED
from ..models import JSON, RuntimeStatus
from ..telemetry.open_metrics import CONTENT_TYPE
from ..trace_context import caller_trace, valid_trace
from . import http_entities
from .dashboard_files import dashboard_file
from .http_bodies import (
    backfill_json,
    create_check_status_response,
    listed_json,
    schedule_json,
    status_json,
)
from .http_bulk import bulk_of
from .http_capabilities import CapabilityRoutes, method_of
from .http_errors import failure_response, method_not_allowed
from .http_filters import list_filters, order_of, span_of, statuses_of
from .http_instance import MAX_WAIT_SECONDS, InstanceRoutes, final_code
from .http_routes import DEFAULT_BASE, RETRY_AFTER_SECONDS, SCHEDULE_OPERATIONS, methods_of
from .http_routes import Endpoint as Endpoint
from .http_start import limit_of_start, options_of_start
from .http_streams import StreamRoutes
from .http_types import HttpRequest, HttpResponse, error_response, json_response
from .openapi import OF_EVERY_ROUTE, openapi_description, query_parameters
from .public_urls import PublicUrls
from .signed_urls import Capability, CapabilitySigner, Verb

if TYPE_CHECKING:
    from ..runtime.client import DurableClient
    from ..runtime.start import StartOptions

MAX_PAGE = 1000
MOST_PRICED = 10_000  # instances: 50 reads of the catalogue
CONTINUATION_HEADER = "x-ms-continuation-token"


class HttpApi:
    """The API of one task hub.

    max_payload: bytes of JSON that a body may have.
    base: the route of the API, below the host's route prefix.
    address: the public address of the app, such as https://orders.example.com, for all URLs that it creates; '' takes
        the address that each request was sent to.
    metrics: makes the text of ``GET /metrics``; None: the API serves no app, and has none.
    """

    def __init__(
        self,
        client: DurableClient,
        signer: CapabilitySigner,
        *,
        max_payload: int,
        base: str = DEFAULT_BASE,
        address: str = "",
        metrics: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._client = client
        self._signer = signer
        self._max_payload = max_payload
        self._metrics = metrics
        self._urls = PublicUrls(base, address)
        self._instance = InstanceRoutes(client, signer, self._urls, max_payload)
        self._streams = StreamRoutes(client)
        self._capabilities = CapabilityRoutes(client, self._instance, self._streams, self._urls, max_payload)

    async def handle(self, endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
        """Answer a request. Errors become responses; only a cancellation is raised."""
        admitted = self._admit(endpoint, request)
        if isinstance(admitted, HttpResponse):
            return admitted
        trace = caller_trace.set(valid_trace(request.headers.get("traceparent", "")))
        headers = request_headers.set(request.headers)
        try:
            return await self._answer(endpoint, request, admitted)
        except Exception as error:  # noqa: BLE001  an unexpected error becomes a logged 500
            return failure_response(error)
        finally:
            request_headers.reset(headers)
            caller_trace.reset(trace)

    def refusal(self, endpoint: Endpoint, request: HttpRequest) -> HttpResponse | None:
        """The response to a request that is refused without its body; None if the body must be read."""
        admitted = self._admit(endpoint, request)
        return admitted if isinstance(admitted, HttpResponse) else None

    def _admit(self, endpoint: Endpoint, request: HttpRequest) -> Capability | HttpResponse | None:
        """What the token of the URL allows, None for a route without a token; or the response that refuses."""
        if endpoint is Endpoint.UI:
            return None  # a file, whatever is asked of it
        capability: Capability | None = None
        try:
            request.check_encoding()
            allowed = endpoint.value.methods
            listed = methods_of(endpoint.value.template)
            if endpoint is Endpoint.CAPABILITY:
                capability = self._signer.verify(request.route.get("token", ""))
                allowed = listed = (method_of(capability.verb),)
                follows = request.route.get("eventName")
                if request.method in allowed and follows and capability.verb not in (Verb.EVENT, Verb.VIEW):
                    return error_response(404, "NotFound", "nothing may follow the token in this URL")
            if request.method not in allowed:
                return method_not_allowed(request.method, listed)
            _check(endpoint, request)
        except Exception as error:  # noqa: BLE001  as above
            return failure_response(error)
        return capability

    async def _answer(self, endpoint: Endpoint, request: HttpRequest, capability: Capability | None) -> HttpResponse:
        instance_id = request.route.get("instanceId", "")
        if instance_id:
            check_instance_id(instance_id)
        match endpoint:
            case Endpoint.START:
                return await self._start(request)
            case Endpoint.JOB:
                return await self._start(request, is_job=True)
            case Endpoint.INSTANCES:
                return await self._list(request)
            case Endpoint.PURGE_INSTANCES:
                return await self._purge_many(request)
            case Endpoint.INSTANCE:
                return await self._instance.status(request, instance_id)
            case Endpoint.PURGE_INSTANCE:
                return await self._instance.purge(instance_id, recursive=request.flag("recursive", False))
            case Endpoint.EVENT:
                return await self._instance.raise_event(request, instance_id, request.route.get("eventName", ""))
            case Endpoint.REWIND:
                return await self._instance.rewind(request, instance_id)
            case Endpoint.RESTART:
                return await self._instance.restart(request, instance_id, request.json(self._max_payload))
            case Endpoint.FORK:
                return await self._instance.fork(request, instance_id)
            case Endpoint.MANAGE:
                return await self._instance.manage(request, instance_id)
            case Endpoint.QUERY:
                return await self._instance.query(request, instance_id)
            case Endpoint.UPDATE:
                return await self._instance.update(request, instance_id)
            case Endpoint.EXPLAIN:
                return await self._instance.explain(instance_id)
            case Endpoint.TREE:
                return await self._instance.tree(instance_id)
            case Endpoint.PRICE:
                return json_response(200, (await self._client.price(instance_id)).to_json())
            case Endpoint.TIMELINE:
                return await self._instance.timeline(instance_id)
            case Endpoint.STREAMS:
                return await self._streams.names(instance_id)
            case Endpoint.STREAM:
                return await self._streams.read(request, instance_id, request.route.get("streamName", ""))
            case Endpoint.BULK:
                return await self._bulk(request)
            case Endpoint.RECOVER:
                return json_response(200, asdict(await self._client.recover(full=request.flag("full", True))))
            case Endpoint.HUB:
                return json_response(200, (await self._client.hub_overview()).to_json())
            case Endpoint.PRICES:
                return await self._prices(request)
            case Endpoint.TIMERS:
                return await self._timers(request)
            case Endpoint.SCHEDULES:
                return json_response(200, [schedule_json(found) for found in await self._client.list_schedules()])
            case Endpoint.SCHEDULE:
                return await self._schedule(request)
            case Endpoint.ENTITIES:
                return await http_entities.list_all(self._client, request)
            case Endpoint.SIGNAL_ENTITY:
                return await http_entities.signal(self._client, request, self._max_payload)
            case Endpoint.ENTITY:
                return await http_entities.read(self._client, request)
            case Endpoint.DELETE_ENTITY:
                return await http_entities.delete(self._client, request)
            case Endpoint.METRICS:
                return await self._show_metrics()
            case Endpoint.OPENAPI:
                return json_response(200, openapi_description(self._urls.base(request)))
            case Endpoint.CAPABILITY:
                assert capability is not None  # verified by _admit
                return await self._capabilities.answer(request, capability)
            case Endpoint.UI:
                return dashboard_file(request)
            case _:
                assert_never(endpoint)

    # ------------------------------------------------------------ start

    async def _start(self, request: HttpRequest, *, is_job: bool = False) -> HttpResponse:
        """is_job: the name in the path is that of an activity, which is to run by itself."""
        name, given_id = request.route.get("name", ""), request.route.get("instanceId")
        if name.removeprefix(JOB_PREFIX).startswith(RESERVED):
            what = "activity" if is_job else "orchestrator"
            message = f"'{name}' is a built-in {what}, which cannot be started over HTTP"
            return error_response(400, "UnknownOrchestrator", message)
        timeout, polling = request.seconds("timeout"), request.seconds("pollingInterval")
        fail_with_500 = request.flag("returnInternalServerErrorOnFailure", False)
        key = None if given_id else request.headers.get("idempotency-key", "").strip().strip('"') or None
        options, limit = options_of_start(request), limit_of_start(request)
        input_ = request.json(self._max_payload)
        try:
            if is_job:
                instance_id = await self._client.enqueue(name, input_, given_id or key, **options)
            else:
                version = request.text("version") or None
                more: StartOptions = {**options, "version": version}
                if limit is not None:
                    more["limit"] = limit
                instance_id = await self._client.start_new(name, given_id or key, input_, **more)
        except InvalidInstanceIdError as error:
            if key is None:
                raise
            raise InvalidInstanceIdError(f"the header Idempotency-Key is used as the instance id: {error}") from error
        except InstanceAlreadyExistsError:
            started = JOB_PREFIX + name if is_job else name
            if key is None or (present := await self._client.get_status(key, show_input=False)).name != started:
                raise
            instance_id = StartedInstance(key, present.execution_id)  # the same request again, after a lost response
        return await self.result_or_check_status(
            instance_id,
            self._urls.base(request),
            wait=timeout or 0.0,
            retry_after=polling or RETRY_AFTER_SECONDS,
            fail_with_500=fail_with_500,
        )

    async def result_or_check_status(
        self, instance_id: str, base_url: str, *, wait: float, retry_after: float, fail_with_500: bool = False
    ) -> HttpResponse:
        """Wait up to ``wait`` seconds: the output if the instance completed, its status if it ended otherwise.

        Still active: 202 with the management payload, and ``retry_after`` seconds as the interval to poll by.
        """
        execution_id = execution_of(instance_id)
        if wait > 0:
            status = await self._client.wait_for_completion(instance_id, min(wait, MAX_WAIT_SECONDS))
            if status.runtime_status is RuntimeStatus.COMPLETED:
                return json_response(200, status.output)
            if status.is_terminal:
                return json_response(final_code(status, fail_with_500), status_json(status))
            execution_id = execution_id or status.execution_id
        seconds = max(1, math.ceil(retry_after))
        return create_check_status_response(
            self._signer, instance_id, base_url, retry_after=seconds, execution_id=execution_id
        )

    # ------------------------------------------------------------ status and list

    async def _list(self, request: HttpRequest) -> HttpResponse:
        show_details = request.flag("showDetails", True)
        page = await self._client.list_instances(
            **list_filters(request),
            page_size=min(request.count("top", 100), MAX_PAGE),
            continuation_token=request.headers.get(CONTINUATION_HEADER) or None,
            show_input=request.flag("showInput", show_details),
            show_details=show_details,
            order=order_of(request),
        )
        more = {CONTINUATION_HEADER: page.continuation_token} if page.continuation_token else {}
        return json_response(200, [status_json(status) for status in page.instances], more)

    async def _prices(self, request: HttpRequest) -> HttpResponse:
        limit = min(request.count("limit", MOST_PRICED), MOST_PRICED)
        found = await self._client.prices(**list_filters(request), limit=limit)
        return json_response(200, found.to_json())

    async def _timers(self, request: HttpRequest) -> HttpResponse:
        page = await self._client.list_timers(
            page_size=min(request.count("top", 100), MAX_PAGE),
            continuation_token=request.headers.get(CONTINUATION_HEADER) or None,
        )
        more = {CONTINUATION_HEADER: page.continuation_token} if page.continuation_token else {}
        return json_response(200, page.to_json(), more)

    # ------------------------------------------------------------ purge

    async def _purge_many(self, request: HttpRequest) -> HttpResponse:
        created_from, created_to = span_of(request, "createdTime")
        if created_from is None:
            raise InvalidInputError("query parameter 'createdTimeFrom' is required to purge more than one instance")
        begun = request.headers.get(CONTINUATION_HEADER) or None
        done = await self._client.purge_slice(
            created_from,
            created_to,
            statuses_of(request),
            continuation_token=begun,
            recursive=request.flag("recursive", False),
        )
        more = {CONTINUATION_HEADER: done.continuation_token} if done.continuation_token else {}
        if done.deleted or more or begun:
            return json_response(200, {"instancesDeleted": done.deleted, "isComplete": not more}, more)
        return error_response(404, "InstanceNotFound", "no ended instance matches this filter")

    async def _bulk(self, request: HttpRequest) -> HttpResponse:
        asked = bulk_of(request.json(self._max_payload))
        filters = list_filters(asked.chosen)
        if asked.dry_run:
            preview = await self._client.preview_bulk(
                asked.action, **filters, event_name=asked.event_name, recursive=asked.recursive, all=asked.every
            )
            sample: list[JSON] = [listed_json(status) for status in preview.sample]
            found: JSON = {"matched": preview.matched, "isComplete": preview.is_complete, "sample": sample}
            return json_response(200, found)
        started = await self._client.bulk(
            asked.action,
            **filters,
            reason=asked.reason,
            event_name=asked.event_name,
            event_data=asked.data,
            recursive=asked.recursive,
            all=asked.every,
        )
        return create_check_status_response(self._signer, started, self._urls.base(request))

    async def _schedule(self, request: HttpRequest) -> HttpResponse:
        schedule_id, operation = request.route.get("scheduleId", ""), request.route.get("operation", "").lower()
        done: dict[str, JSON] = {"scheduleId": schedule_id}
        match operation:
            case "pause":
                await self._client.pause_schedule(schedule_id, request.text("reason"))
            case "resume":
                await self._client.resume_schedule(schedule_id)
            case "trigger":
                done["instanceId"] = await self._client.trigger_schedule(schedule_id)
            case "backfill":
                start, end = request.moment("from"), request.moment("to")
                if start is None or end is None:
                    raise InvalidInputError("a backfill needs the period, both ends included: from and to")
                at_once = request.count("maxConcurrency", 1)
                if request.flag("dryRun", False):
                    return json_response(
                        200, backfill_json(await self._client.preview_backfill(schedule_id, start, end))
                    )
                done["instanceId"] = await self._client.backfill_schedule(
                    schedule_id, start, end, max_concurrency=at_once
                )
            case "delete":
                await self._client.delete_schedule(schedule_id)
                return json_response(200, done)
            case _:
                known = ", ".join(SCHEDULE_OPERATIONS)
                return error_response(404, "NotFound", f"unknown operation '{operation}'; known operations: {known}")
        return json_response(202, done)

    async def _show_metrics(self) -> HttpResponse:
        if self._metrics is None:
            return error_response(404, "NotFound", "metrics are of a running app; ask for them at its URL")
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return HttpResponse(status=200, headers=headers, body=(await self._metrics()).encode())


def _check(endpoint: Endpoint, request: HttpRequest) -> None:
    """InvalidInputError if the route does not take a query parameter, or if a body is sent as anything but JSON.

    An ignored filter would match every instance; and a browser sends no JSON for a page of another site without a
    preflight request.
    """
    known = query_parameters(endpoint, request.method)
    if unknown := [name for name in request.query if name not in known]:
        listed = ", ".join(sorted(set(known.values()) - set(OF_EVERY_ROUTE))) or "none"
        raise InvalidInputError(
            f"query parameter '{unknown[0][:100]}' is not known to {request.method} {endpoint.value.template}, "
            f"which accepts: {listed}; nothing was done"
        )
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if (
        request.method == "POST"
        and request.body
        and media_type != "application/json"
        and not media_type.endswith("+json")
    ):
        raise InvalidInputError(
            f"the body has the Content-Type '{media_type[:100]}'; send JSON with Content-Type: application/json; "
            "nothing was done"
        )
