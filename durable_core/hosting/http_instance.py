"""The requests to one instance, whether by a key or by a capability URL: status, events, management, repair."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ..errors import (
    ExecutionGoneError,
    InstanceNotFoundError,
    InvalidInputError,
    UnknownOrchestratorError,
    UpdateNotEndedError,
)
from ..instance_ids import StartedInstance
from ..models import JSON, OrchestrationStatus, RuntimeStatus
from ..operate.explain import NOT_THERE
from .http_bodies import (
    create_check_status_response,
    create_http_management_payload,
    fork_of,
    restart_of,
    status_json,
)
from .http_routes import OPERATIONS, RETRY_AFTER_SECONDS
from .http_types import HttpRequest, HttpResponse, error_response, json_response, parse_json
from .public_urls import PublicUrls
from .signed_urls import CapabilitySigner, Verb

if TYPE_CHECKING:
    from ..runtime.client import DurableClient

MAX_WAIT_SECONDS = 200.0
"""How long a request may wait for a result: Azure's load balancer cuts an answer that takes 230 s."""

UPDATE_SECONDS = 60.0
"""How long a request waits for the answer of an update that says nothing else."""

ACCEPTED = HttpResponse(status=202, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})

_STATUS_FLAGS = ("showHistory", "showHistoryOutput", "showInput", "returnInternalServerErrorOnFailure")


class InstanceRoutes:
    """What a request to one instance does and answers: part of ``HttpApi``.

    max_payload: bytes of JSON that a body may have.
    """

    def __init__(self, client: DurableClient, signer: CapabilitySigner, urls: PublicUrls, max_payload: int) -> None:
        self._client = client
        self._signer = signer
        self._urls = urls
        self._max_payload = max_payload

    async def status(
        self,
        request: HttpRequest,
        instance_id: str,
        execution_id: str = "",
        *,
        location: str = "",
        details: bool = True,
    ) -> HttpResponse:
        """The status document. ``location``: where to ask for it again; '' makes a status URL.

        details: whether the request may ask for the input and the history.
        """
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
            return json_response(final_code(status, fail_with_500), shown)
        location = location or self._status_location(request, status)
        return json_response(202, shown, {"Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)})

    async def purge(
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

    async def raise_event(
        self, request: HttpRequest, instance_id: str, event_name: str, execution_id: str | None = None
    ) -> HttpResponse:
        data = request.json(self._max_payload)
        event_id = request.text("eventId") or None
        await self._client.raise_event(
            instance_id, _named(event_name), data, event_id=event_id, execution_id=execution_id
        )
        return ACCEPTED

    async def query(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        text = request.text("args")
        args = parse_json(text.encode(errors="replace"), "query parameter 'args'") if text.strip() else None
        name = request.route.get("queryName", "")
        try:
            answer = await self._client.query(instance_id, name, args)
        except UnknownOrchestratorError as error:  # the instance has it, so the request is not to blame
            message = f"instance '{instance_id}' can only be asked where its code is: {error}"
            return error_response(409, "UnknownOrchestrator", message)
        return json_response(200, answer)

    async def update(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        args, wait = request.json(self._max_payload), request.seconds("timeout")
        try:
            result = await self._client.update(
                instance_id,
                request.route.get("updateName", ""),
                args,
                update_id=request.text("updateId") or None,
                timeout=UPDATE_SECONDS if wait is None else min(wait, MAX_WAIT_SECONDS),
            )
        except UpdateNotEndedError as error:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return json_response(202, {"updateId": error.update_id, "message": str(error)}, headers)
        return json_response(200, result)

    async def explain(self, instance_id: str) -> HttpResponse:
        explanation = await self._client.explain(instance_id)
        if explanation.cause in NOT_THERE:
            return error_response(404, "InstanceNotFound", f"{explanation.sentence} {explanation.action}")
        return json_response(200, explanation.to_json())

    async def manage(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        operation = request.route.get("operation", "").lower()
        if operation == "raiseevent":
            return await self.raise_event(request, instance_id, "")
        if operation not in OPERATIONS:
            known = ", ".join(sorted(OPERATIONS))
            return error_response(404, "NotFound", f"unknown operation '{operation}'; known operations: {known}")
        return await self.operate(request, instance_id, OPERATIONS[operation])

    async def operate(
        self, request: HttpRequest, instance_id: str, verb: Verb, execution_id: str | None = None
    ) -> HttpResponse:
        reason, request_id = _reason(request), request.text("requestId") or None
        recursive = request.flag("recursive", True)
        if not recursive and verb not in (Verb.TERMINATE, Verb.CANCEL):
            raise InvalidInputError("query parameter 'recursive' is for terminate and cancel; nothing was done")
        of = {"execution_id": execution_id, "request_id": request_id}
        match verb:
            case Verb.TERMINATE:
                await self._client.terminate(instance_id, reason, recursive=recursive, **of)
            case Verb.CANCEL:
                await self._client.cancel(instance_id, reason, recursive=recursive, **of)
            case Verb.SUSPEND:
                await self._client.suspend(instance_id, reason, **of)
            case Verb.RESUME:
                await self._client.resume(instance_id, reason, **of)
            case _:
                raise AssertionError(f"'{verb}' is no operation of this route")
        return ACCEPTED

    async def rewind(self, request: HttpRequest, instance_id: str, execution_id: str | None = None) -> HttpResponse:
        done = await self._client.rewind(
            instance_id,
            _reason(request),
            force=request.flag("force", False),
            dry_run=request.flag("dryRun", False),
            request_id=request.text("requestId") or None,
            execution_id=execution_id,
        )
        return json_response(200, done.to_json())

    async def fork(self, request: HttpRequest, instance_id: str) -> HttpResponse:
        wanted = fork_of(request.json(self._max_payload))
        done = await self._client.fork(
            instance_id,
            until_task=wanted.until_task,
            until_event=wanted.until_event,
            until_failure=wanted.until_failure,
            event_number=wanted.event_number,
            overrides=wanted.overrides,
            new_instance_id=wanted.instance_id,
            version=wanted.version,
            suspended=wanted.suspended,
            dry_run=wanted.dry_run,
            request_id=wanted.request_id,
        )
        if wanted.dry_run:
            return json_response(200, done.to_json())
        payload = create_http_management_payload(
            self._signer, done.instance_id, self._urls.base(request), done.execution_id
        )
        return json_response(202, {**payload, "fork": done.to_json()}, {"Location": payload["statusQueryGetUri"]})

    async def restart(
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
        return create_check_status_response(self._signer, started, self._urls.base(request))

    async def tree(self, instance_id: str) -> HttpResponse:
        return json_response(200, (await self._client.tree(instance_id)).to_json())

    async def timeline(self, instance_id: str) -> HttpResponse:
        return json_response(200, (await self._client.timeline(instance_id)).to_json())

    def _status_location(self, request: HttpRequest, status: OrchestrationStatus) -> str:
        """A status URI that needs no key and shows the same parts of the status as this request."""
        flags = {name: value for name in _STATUS_FLAGS if (value := request.text(name))}
        verb = Verb.DETAILS if _asks_for_details(request) else Verb.STATUS
        token = self._signer.issue(status.instance_id, verb, execution_id=status.execution_id)
        url = f"{self._urls.base(request)}/c/{token}"
        return f"{url}?{urlencode(flags)}" if flags else url


def final_code(status: OrchestrationStatus, fail_with_500: bool) -> int:
    return 500 if fail_with_500 and status.runtime_status is RuntimeStatus.FAILED else 200


def _asks_for_details(request: HttpRequest) -> bool:
    """Whether a status URL that answers this request must be one for details."""
    return request.flag("showHistory", False) or request.flag("showInput", False)


def _reason(request: HttpRequest) -> str:
    reason = request.text("reason")
    return "" if reason == "{text}" else reason  # the placeholder of the management payload, not replaced


def _named(event_name: str) -> str:
    if event_name in ("", "{eventName}"):
        raise InvalidInputError("the name of the event is missing; append it to the path of the URL")
    return event_name
