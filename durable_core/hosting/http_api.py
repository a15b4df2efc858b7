"""The management API: calls the client for each route and maps each outcome to an HTTP status.

Uses no web framework: ``HttpApi.handle`` takes an ``HttpRequest`` and always returns an ``HttpResponse``. The server
registers the routes of ``Endpoint`` and checks keys for those that are not keyless. Shapes follow the Durable Functions
extension; ``docs/http-api.md`` is the reference for users.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, assert_never
from urllib.parse import urlencode, urlsplit

from ..errors import (
    CapabilityError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidInstanceIdError,
)
from ..instance_ids import StartedInstance, check_instance_id, execution_of
from ..models import JSON, OrchestrationStatus, RuntimeStatus
from ..operate.explain import NOT_THERE
from ..registry import RESERVED
from ..telemetry.open_metrics import CONTENT_TYPE
from ..trace_context import caller_trace, valid_trace
from .callback_urls import ticket_of
from .dashboard_files import dashboard_file, dashboard_page
from .http_bodies import (
    RETRY_AFTER_SECONDS,
    create_check_status_response,
    create_http_management_payload,
    fork_of,
    listed_json,
    restart_of,
    schedule_json,
    status_json,
)
from .http_bulk import bulk_of
from .http_errors import failure_response, method_not_allowed
from .http_filters import list_filters, order_of, span_of, statuses_of
from .http_routes import OPERATIONS, SCHEDULE_OPERATIONS, methods_of
from .http_routes import Endpoint as Endpoint
from .http_types import HttpRequest, HttpResponse, error_response, json_response, parse_json
from .openapi import OF_EVERY_ROUTE, openapi_description, query_parameters
from .signed_urls import Capability, CapabilitySigner, Verb

if TYPE_CHECKING:
    from ..runtime.client import DurableClient

MAX_WAIT_SECONDS = 200.0
"""How long a request may wait for a result: Azure's load balancer cuts an answer that takes 230 s."""

MAX_PAGE = 1000
CONTINUATION_HEADER = "x-ms-continuation-token"
DEFAULT_BASE = "durabletask"

_STATUS_FLAGS = ("showHistory", "showHistoryOutput", "showInput", "returnInternalServerErrorOnFailure")


_ACCEPTED = HttpResponse(status=202, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
_METHODS = {
    Verb.STATUS: "GET",
    Verb.DETAILS: "GET",
    Verb.VIEW: "GET",
    Verb.PURGE: "DELETE",
}  # the others: POST, so that no link preview can trigger them


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
        self._base = base.strip("/")
        self._metrics = metrics
        self._address = address.rstrip("/")
        self._before_base = re.compile(rf"^(.*?)/{re.escape(self._base)}/", re.IGNORECASE)

    async def handle(self, endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
        """Answer a request. Errors become responses; only a cancellation is raised."""
        admitted = self._admit(endpoint, request)
        if isinstance(admitted, HttpResponse):
            return admitted
        trace = caller_trace.set(valid_trace(request.headers.get("traceparent", "")))
        try:
            return await self._answer(endpoint, request, admitted)
        except Exception as error:  # noqa: BLE001  an unexpected error becomes a logged 500
            return failure_response(error)
        finally:
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
                allowed = listed = (_METHODS.get(capability.verb, "POST"),)
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
            case Endpoint.INSTANCES:
                return await self._list(request)
            case Endpoint.PURGE_INSTANCES:
                return await self._purge_many(request)
            case Endpoint.INSTANCE:
                return await self._status(request, instance_id, partial(self._status_location, request))
            case Endpoint.PURGE_INSTANCE:
                return await self._purge_one(instance_id, recursive=request.flag("recursive", False))
            case Endpoint.EVENT:
                return await self._raise_event(request, instance_id, request.route.get("eventName", ""))
            case Endpoint.REWIND:
                return await self._rewind(request, instance_id)
            case Endpoint.RESTART:
                return await self._restart(request, instance_id, request.json(self._max_payload))
            case Endpoint.FORK:
                return await self._fork(request, instance_id)
            case Endpoint.MANAGE:
                return await self._manage(request, instance_id)
            case Endpoint.QUERY:
                return await self._query(request, instance_id)
            case Endpoint.EXPLAIN:
                return await self._explain(instance_id)
            case Endpoint.TREE:
                return json_response(200, (await self._client.tree(instance_id)).to_json())
            case Endpoint.TIMELINE:
                return json_response(200, (await self._client.timeline(instance_id)).to_json())
            case Endpoint.BULK:
                return await self._bulk(request)
            case Endpoint.RECOVER:
                return json_response(200, asdict(await self._client.recover(full=request.flag("full", True))))
            case Endpoint.HUB:
                return json_response(200, (await self._client.hub_overview()).to_json())
            case Endpoint.TIMERS:
                return await self._timers(request)
            case Endpoint.SCHEDULES:
                return json_response(200, [schedule_json(found) for found in await self._client.list_schedules()])
            case Endpoint.SCHEDULE:
                return await self._schedule(request)
            case Endpoint.METRICS:
                return await self._show_metrics()
            case Endpoint.OPENAPI:
                return json_response(200, openapi_description(self.base_url(request)))
            case Endpoint.CAPABILITY:
                assert capability is not None  # verified by _admit
                return await self._with_capability(request, capability)
            case Endpoint.UI:
                return dashboard_file(request)
            case _:
                assert_never(endpoint)

    # ------------------------------------------------------------ start

    async def _start(self, request: HttpRequest) -> HttpResponse:
        name, given_id = request.route.get("name", ""), request.route.get("instanceId")
        if name.startswith(RESERVED):
            message = f"'{name}' is a built-in orchestrator, which cannot be started over HTTP"
            return error_response(400, "UnknownOrchestrator", message)
        timeout, polling = request.seconds("timeout"), request.seconds("pollingInterval")
        fail_with_500 = request.flag("returnInternalServerErrorOnFailure", False)
        key = None if given_id else request.headers.get("idempotency-key", "").strip().strip('"') or None
        try:
            instance_id = await self._client.start_new(
                name, given_id or key, request.json(self._max_payload), version=request.text("version") or None
            )
        except InvalidInstanceIdError as error:
            if key is None:
                raise
            raise InvalidInstanceIdError(f"the header Idempotency-Key is used as the instance id: {error}") from error
        except InstanceAlreadyExistsError:
            if key is None or (present := await self._client.get_status(key, show_input=False)).name != name:
                raise
            instance_id = StartedInstance(key, present.execution_id)  # the same request again, after a lost response
        return await self.result_or_check_status(
            instance_id,
            self.base_url(request),
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
                return json_response(_final_code(status, fail_with_500), status_json(status))
            execution_id = execution_id or status.execution_id
        seconds = max(1, math.ceil(retry_after))
        return create_check_status_response(
            self._signer, instance_id, base_url, retry_after=seconds, execution_id=execution_id
        )

    # ------------------------------------------------------------ status and list

    async def _status(
        self,
        request: HttpRequest,
        instance_id: str,
        location: Callable[[OrchestrationStatus], str],
        execution_id: str = "",
        *,
        details: bool = True,
    ) -> HttpResponse:
        if not details and _asks_for_details(request):
            message = (
                "this URL shows neither input nor history; ask the app for a URL that is created with details=True"
            )
            return error_response(403, "CapabilityRefused", message)
        show_history = request.flag("showHistory", False)
        fail_with_500 = request.flag("returnInternalServerErrorOnFailure", False)
        show_history_output, show_input = request.flag("showHistoryOutput", False), request.flag("showInput", details)
        wait = request.seconds("timeout") or 0.0
        status: OrchestrationStatus | None = None
        if wait > 0:
            awaited = StartedInstance(instance_id, execution_id)
            status = await self._client.wait_for_completion(awaited, min(wait, MAX_WAIT_SECONDS))
            status = status if show_input else replace(status, input_=None)
        if status is None or show_history:
            status = await self._client.get_status(
                instance_id,
                show_history=show_history,
                show_history_output=show_history_output,
                show_input=show_input,
            )
        if not status:
            raise InstanceNotFoundError(instance_id)
        if execution_id and status.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        shown = status_json(status, show_history=show_history)
        if status.is_terminal:
            return json_response(_final_code(status, fail_with_500), shown)
        return json_response(202, shown, {"Location": location(status), "Retry-After": str(RETRY_AFTER_SECONDS)})

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

    async def _timers(self, request: HttpRequest) -> HttpResponse:
        page = await self._client.list_timers(
            page_size=min(request.count("top", 100), MAX_PAGE),
            continuation_token=request.headers.get(CONTINUATION_HEADER) or None,
        )
        more = {CONTINUATION_HEADER: page.continuation_token} if page.continuation_token else {}
        return json_response(200, page.to_json(), more)

    # ------------------------------------------------------------ purge

    async def _purge_one(
        self, instance_id: str, execution_id: str | None = None, *, recursive: bool = False
    ) -> HttpResponse:
        deleted = await self._client.purge_instance_history(instance_id, execution_id=execution_id, recursive=recursive)
        if deleted:
            return json_response(200, {"instancesDeleted": deleted})
        status = await self._client.get_status(instance_id, show_input=False)
        if not status:
            raise InstanceNotFoundError(instance_id)
        message = f"instance '{instance_id}' is {status.runtime_status} and cannot be purged; terminate it first"
        return error_response(409, "InstanceNotCompleted", message)

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

    # ------------------------------------------------------------ requests to one instance

    async def _raise_event(
        self, request: HttpRequest, instance_id: str, event_name: str, execution_id: str | None = None
    ) -> HttpResponse:
        data = request.json(self._max_payload)
        await self._client.raise_event(instance_id, _named(event_name), data, execution_id=execution_id)
        return _ACCEPTED

    async def _query(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        text = request.text("args")
        args = parse_json(text.encode(errors="replace"), "query parameter 'args'") if text.strip() else None
        return json_response(200, await self._client.query(instance_id, request.route.get("queryName", ""), args))

    async def _explain(self, instance_id: str) -> HttpResponse:
        explanation = await self._client.explain(instance_id)
        if explanation.cause in NOT_THERE:
            return error_response(404, "InstanceNotFound", f"{explanation.sentence} {explanation.action}")
        return json_response(200, explanation.to_json())

    async def _manage(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        operation = request.route.get("operation", "").lower()
        if operation == "raiseevent":
            return await self._raise_event(request, instance_id, "")
        if operation not in OPERATIONS:
            known = ", ".join(sorted(OPERATIONS))
            return error_response(404, "NotFound", f"unknown operation '{operation}'; known operations: {known}")
        return await self._operate(request, instance_id, OPERATIONS[operation])

    async def _operate(
        self, request: HttpRequest, instance_id: str, verb: Verb, execution_id: str | None = None
    ) -> HttpResponse:
        reason = _reason(request)
        match verb:
            case Verb.TERMINATE:
                await self._client.terminate(instance_id, reason, execution_id=execution_id)
            case Verb.CANCEL:
                await self._client.cancel(instance_id, reason, execution_id=execution_id)
            case Verb.SUSPEND:
                await self._client.suspend(instance_id, reason, execution_id=execution_id)
            case Verb.RESUME:
                await self._client.resume(instance_id, reason, execution_id=execution_id)
            case _:
                raise AssertionError(f"'{verb}' is no operation of this route")
        return _ACCEPTED

    async def _rewind(self, request: HttpRequest, instance_id: str, execution_id: str | None = None) -> HttpResponse:
        done = await self._client.rewind(
            instance_id,
            _reason(request),
            force=request.flag("force", False),
            dry_run=request.flag("dryRun", False),
            execution_id=execution_id,
        )
        return json_response(200, done.to_json())

    async def _fork(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        wanted = fork_of(request.json(self._max_payload))
        done = await self._client.fork(
            instance_id,
            until_task=wanted.until_task,
            until_event=wanted.until_event,
            until_failure=wanted.until_failure,
            overrides=wanted.overrides,
            new_instance_id=wanted.instance_id,
            version=wanted.version,
            dry_run=wanted.dry_run,
        )
        if wanted.dry_run:
            return json_response(200, done.to_json())
        payload = create_http_management_payload(
            self._signer, done.instance_id, self.base_url(request), done.execution_id
        )
        return json_response(202, {**payload, "fork": done.to_json()}, {"Location": payload["statusQueryGetUri"]})

    async def _restart(
        self, request: HttpRequest, instance_id: str, body: JSON, execution_id: str | None = None
    ) -> HttpResponse:
        wanted = restart_of(body)
        started = await self._client.restart(
            instance_id,
            request.flag("restartWithNewInstanceId", True),
            new_instance_id=wanted.instance_id,
            client_input=wanted.input,
            version=wanted.version,
            execution_id=execution_id,
        )
        return create_check_status_response(self._signer, started, self.base_url(request))

    async def _bulk(self, request: HttpRequest) -> HttpResponse:
        asked = bulk_of(request.json(self._max_payload))
        filters = list_filters(asked.chosen)
        if asked.dry_run:
            preview = await self._client.preview_bulk(
                asked.action, **filters, event_name=asked.event_name, all=asked.every
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
            all=asked.every,
        )
        return create_check_status_response(self._signer, started, self.base_url(request))

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
            case "delete":
                await self._client.delete_schedule(schedule_id)
                return json_response(200, done)
            case _:
                known = ", ".join(SCHEDULE_OPERATIONS)
                return error_response(404, "NotFound", f"unknown operation '{operation}'; known operations: {known}")
        return json_response(202, done)

    # ------------------------------------------------------------ capability URLs

    async def _with_capability(self, request: HttpRequest, capability: Capability) -> HttpResponse:
        verb, instance_id, event_name = capability.verb, capability.instance_id, request.route.get("eventName", "")
        execution_id = capability.execution_id
        match verb:
            case Verb.STATUS | Verb.DETAILS:
                details = verb is Verb.DETAILS
                return await self._status(
                    request, instance_id, lambda _: self._same_url(request), execution_id, details=details
                )
            case Verb.VIEW:
                return await self._view(request, instance_id, execution_id)
            case Verb.EVENT if capability.event_name:
                _check_event(capability, event_name)
                data = request.json(self._max_payload)
                await self._client.raise_event_once(
                    instance_id, capability.event_name, data, nonce=capability.nonce, execution_id=execution_id
                )
                return _ACCEPTED
            case Verb.EVENT:
                return await self._raise_event(request, instance_id, event_name, execution_id)
            case Verb.PURGE:
                return await self._purge_one(instance_id, execution_id)
            case Verb.REWIND:
                return await self._rewind(request, instance_id, execution_id)
            case Verb.RESTART:
                if request.body.strip():
                    message = "this URL restarts with the same input, so its request has no body"
                    return error_response(403, "CapabilityRefused", message)
                return await self._restart(request, instance_id, None, execution_id)
            case Verb.CALLBACK:
                await self._client.redeem_callback(ticket_of(capability), request.json(self._max_payload))
                return _ACCEPTED
            case _:
                return await self._operate(request, instance_id, verb, execution_id)

    async def _view(self, request: HttpRequest, instance_id: str, execution_id: str) -> HttpResponse:
        """The dashboard of one instance, or one of the documents that it reads."""
        match request.route.get("eventName", "").lower():
            case "":
                return dashboard_page(request, "../../ui/" if urlsplit(request.url).path.endswith("/") else "../ui/")
            case "status":
                return await self._status(request, instance_id, lambda _: self._same_url(request), execution_id)
            case "timeline":
                await self._check_execution(instance_id, execution_id)
                return json_response(200, (await self._client.timeline(instance_id)).to_json())
            case "explain":
                await self._check_execution(instance_id, execution_id)
                return await self._explain(instance_id)
            case other:
                return error_response(404, "NotFound", f"the URL of a view has no part '{other[:100]}'")

    async def _show_metrics(self) -> HttpResponse:
        if self._metrics is None:
            return error_response(404, "NotFound", "metrics are of a running app; ask for them at its URL")
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return HttpResponse(status=200, headers=headers, body=(await self._metrics()).encode())

    async def _check_execution(self, instance_id: str, execution_id: str) -> None:
        """ExecutionGoneError if the id now belongs to another execution; '' stands for any."""
        if not execution_id:
            return
        status = await self._client.get_status(instance_id, show_input=False)
        if status and status.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)

    # ------------------------------------------------------------ URLs

    def base_url(self, request: HttpRequest) -> str:
        """The absolute URL of this API's base, in the form in which the caller has reached it."""
        before = self._before_base.match(urlsplit(request.url).path)
        return f"{self._address or request.origin}{before[1] if before else '/api'}/{self._base}"

    def _status_location(self, request: HttpRequest, status: OrchestrationStatus) -> str:
        """A status URI that needs no key and shows the same parts of the status as this request."""
        flags = {name: value for name in _STATUS_FLAGS if (value := request.text(name))}
        verb = Verb.DETAILS if _asks_for_details(request) else Verb.STATUS
        token = self._signer.issue(status.instance_id, verb, execution_id=status.execution_id)
        url = f"{self.base_url(request)}/c/{token}"
        return f"{url}?{urlencode(flags)}" if flags else url

    def _same_url(self, request: HttpRequest) -> str:
        """The URL of the request itself: a capability URL never creates one that expires later."""
        parts = urlsplit(request.url)
        return f"{self._address or request.origin}{parts.path}" + (f"?{parts.query}" if parts.query else "")


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


def _asks_for_details(request: HttpRequest) -> bool:
    """Whether a status URL that answers this request must be one for details."""
    return request.flag("showHistory", False) or request.flag("showInput", False)


def _check_event(capability: Capability, asked: str) -> None:
    if asked and asked.lower() != capability.event_name.lower():
        raise CapabilityError(f"this URL is for the event '{capability.event_name}' only")


def _reason(request: HttpRequest) -> str:
    reason = request.text("reason")
    return "" if reason == "{text}" else reason  # the placeholder of the management payload, not replaced


def _named(event_name: str) -> str:
    if event_name in ("", "{eventName}"):
        raise InvalidInputError("the name of the event is missing; append it to the path of the URL")
    return event_name


def _final_code(status: OrchestrationStatus, fail_with_500: bool) -> int:
    return 500 if fail_with_500 and status.runtime_status is RuntimeStatus.FAILED else 200
