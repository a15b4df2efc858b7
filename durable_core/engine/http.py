"""Durable HTTP calls, the engine's side: the request as the input of an activity, and polling by durable timers.

The requests are made by the built-in activity ``durable.http`` (``durable_core.runtime.http_activity``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast

from ..errors import InvalidInputError, OrchestratorCodeError, PayloadTooLargeError, TaskTimeoutError
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails, RetryPolicy, type_name
from ..moments import problem_of_time
from .call_options import check_retry
from .combinators import FlowTask
from .http_addresses import following, is_http, origin, shown
from .tasks import Orchestration, Task, TimerTask
from .user_frames import caller

if TYPE_CHECKING:
    from .context import OrchestrationContext

HTTP_ACTIVITY = "durable.http"
DEFAULT_POLL = timedelta(seconds=30)  # Durable Functions' default
SHORTEST_POLL = timedelta(seconds=1)  # a server that says 0 must not fill the history
LONGEST_POLL = timedelta(days=30)  # a server that says the year 9999 means "not now"


@dataclass(frozen=True, slots=True)
class DurableHttpResponse:
    """The response of a durable HTTP call, with the class name and fields of Durable Functions."""

    status_code: int
    headers: dict[str, str]
    content: str

    def header(self, name: str) -> str | None:
        """The value of a header, whose name may be in any letter case; None if there is no such header."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    def json(self) -> JSON:
        """The content, read as JSON. ValueError if it is not JSON."""
        return json.loads(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """The input of the activity. refusals_fail: whether 429 and 5xx are failures, to be tried again."""

    method: str
    uri: str
    headers: dict[str, str]
    content: str | None = None
    refusals_fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequestWithToken(HttpRequest):
    """A request to which the activity adds the token of a resource; '' for none.

    A class of its own, because the history holds the fields of a request: one without a token has none for it.
    """

    token_resource: str = ""


def call_http(
    ctx: OrchestrationContext,
    owner: object,
    method: str,
    uri: str,
    content: JSON,
    given_headers: object,
    *,
    retry: RetryPolicy | None,
    timeout: timedelta | None,
    poll: bool,
    token_resource: str | None = None,
) -> Task[DurableHttpResponse]:
    """See ``OrchestrationContext.call_http``."""
    line = caller()
    headers = header_texts(given_headers, line)
    if not isinstance(method, str) or not isinstance(uri, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OrchestratorCodeError(
            f"call_http takes the method and the address as texts, not {method!r} and {uri!r}", line
        )
    if not is_http(uri):
        raise OrchestratorCodeError(f"call_http takes an http or https address with a host, not {shown(uri)!r}", line)
    if (problem := problem_of_time(timeout)) is not None:
        raise OrchestratorCodeError(f"timeout={timeout!r} of call_http {problem}", line)
    if token_resource is not None and (not isinstance(token_resource, str) or not token_resource):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OrchestratorCodeError(f"token_resource={token_resource!r} of call_http must be a text", line)
    check_retry(retry, "call_http")
    if content is not None and not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    if retry is not None:
        retry = replace(retry, non_retriable=[*retry.non_retriable, InvalidInputError, PayloadTooLargeError])
    request = HttpRequest(
        method=method.upper(), uri=uri, headers=headers, content=content, refusals_fail=retry is not None
    )
    if token_resource is not None:
        request = HttpRequestWithToken(**_fields_of(request), token_resource=token_resource)
    return FlowTask(owner, _call(ctx, request, retry, timeout, poll))


def header_texts(headers: object, line: str) -> dict[str, str]:
    """Headers as texts; numbers are converted. OrchestratorCodeError for any other value."""
    if not isinstance(headers, Mapping):
        raise OrchestratorCodeError(
            f"the headers of call_http are a dict of texts, not a {type(headers).__name__}", line
        )
    found: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", headers).items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(name, str) or not (isinstance(value, str) or is_number):
            raise OrchestratorCodeError(
                f"the headers of call_http are a dict of texts, but {name!r} is a {type(value).__name__}", line
            )
        found[name] = f"{value}"
    return found


def next_request(request: HttpRequest, location: str, *, method: str, with_content: bool) -> HttpRequest | None:
    """The request to the address of a Location; None if that is not an http or https address."""
    uri = following(request.uri, location)
    if uri is None:
        return None
    if origin(uri) != origin(request.uri):  # another server gets neither headers nor a token
        request = replace(HttpRequest(**_fields_of(request)), headers={})
    headers = request.headers
    if not with_content:
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    return replace(request, method=method, uri=uri, headers=headers, content=request.content if with_content else None)


def _fields_of(request: HttpRequest) -> dict[str, Any]:
    """The fields that every request has."""
    return {field.name: getattr(request, field.name) for field in fields(HttpRequest)}


def _call(
    ctx: OrchestrationContext, request: HttpRequest, retry: RetryPolicy | None, timeout: timedelta | None, poll: bool
) -> Orchestration[DurableHttpResponse]:
    if timeout is None:
        return (yield from _ask(ctx, request, retry, None, poll))
    deadline = ctx.create_timer(timeout)
    try:
        response = yield from _ask(ctx, request, retry, deadline, poll)
    except Exception:
        deadline.cancel()
        raise
    deadline.cancel()
    return response


def _ask(
    ctx: OrchestrationContext, request: HttpRequest, retry: RetryPolicy | None, deadline: TimerTask | None, poll: bool
) -> Orchestration[DurableHttpResponse]:
    """Make the request and poll until the status is not 202."""
    while True:
        call = ctx.call_activity(HTTP_ACTIVITY, request, retry=retry, returns=DurableHttpResponse)
        if not (yield from _in_time(ctx, call, deadline)):
            raise _timeout(request)
        response = call.result
        location = response.header("Location")
        if not poll or response.status_code != 202 or location is None:
            return response
        following_request = next_request(request, location, method="GET", with_content=False)
        if following_request is None:
            return response
        request = following_request
        pause = ctx.create_timer(retry_after(response, ctx.current_utc_datetime))
        if not (yield from _in_time(ctx, pause, deadline)):
            pause.cancel()
            raise _timeout(request)


def _in_time(ctx: OrchestrationContext, task: Task[Any], deadline: TimerTask | None) -> Orchestration[bool]:
    """Wait for a task. Returns whether it ended before the deadline."""
    if deadline is None:
        yield from task
        return True
    return (yield from ctx.task_any([task, deadline])) is task


def _timeout(request: HttpRequest) -> TaskTimeoutError:
    message = f"the HTTP call {request.method} {shown(request.uri)} did not end in the time given to it"
    return TaskTimeoutError(message, FailureDetails(type_name(TaskTimeoutError), message), name=HTTP_ACTIVITY)


def retry_after(response: DurableHttpResponse, now: datetime) -> timedelta:
    """The pause that a server asks for by Retry-After (seconds or a date), within bounds; the default without one."""
    asked = (response.header("Retry-After") or "").strip()
    return min(max(_pause(asked, now), SHORTEST_POLL), LONGEST_POLL)


def _pause(asked: str, now: datetime) -> timedelta:
    if asked.isdecimal():
        return timedelta(seconds=int(asked)) if len(asked) < 10 else LONGEST_POLL
    try:
        date = parsedate_to_datetime(asked)
        return date.replace(tzinfo=date.tzinfo or UTC) - now
    except (ValueError, OverflowError):
        return DEFAULT_POLL
