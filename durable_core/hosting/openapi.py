"""The OpenAPI description of the management API, built from the very routes that serve it.

A route without a description, or a description without a route, is an error when it is built: it cannot drift. The
tests fuzz the API from it and hold every answer against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast, get_args

from ..entities import MAX_ENTITY_KEY, MAX_OPERATION
from ..instance_ids import MAX_INSTANCE_ID, MAX_TEXT
from ..limits import MAX_RATE
from ..models import JSON, RuntimeStatus
from ..runtime.listing import Order
from ..runtime.start import IfExists
from ..streams import MAX_STREAM_NAME
from ..telemetry.open_metrics import CONTENT_TYPE
from .dashboard_files import CONTENT_TYPES
from .http_routes import OPERATIONS, SCHEDULE_OPERATIONS, Endpoint
from .http_streams import EVENT_STREAM
from .openapi_schemas import SCHEMAS

_OPTIONAL = re.compile(r"/\{\w+\?\}")
_VARIABLE = re.compile(r"\{(\w+)\}")

_EXPLAINED = {
    400: "The request is refused; nothing was done",
    401: "No function key, or a URL that is forged or has expired",
    403: "The URL does not permit this, or the app's own code refuses the call",
    404: "There is no such instance, operation or route",
    405: "The URL is for another method, which the header Allow names",
    409: "The state of the instance does not permit this",
    410: "The instance has ended, or the URL was used or belongs to an earlier execution",
    422: "The handler of the update raised",
    413: "The body is over DURABLE_MAX_PAYLOAD",
    500: "The app failed; see the app's log",
    503: "The storage does not respond at the moment",
}
OF_EVERY_ROUTE = ("code", "clientId", "taskHub", "connection")
_ALWAYS = (400, 401, 403, 500, 503)


def openapi_description(base_url: str) -> JSON:
    """The description as a JSON value. ``base_url``: the absolute URL of the API's base."""
    return {**_description(), "servers": [{"url": base_url}]}


@cache
def _description() -> dict[str, JSON]:
    paths: dict[str, dict[str, JSON]] = {}
    undescribed = dict(_OPERATIONS)
    for endpoint in Endpoint:
        for method in endpoint.value.methods:
            described = undescribed.pop((endpoint, method))
            for template in _templates(endpoint.value.template):
                operation = dict(described)
                operation["operationId"] = _operation_id(endpoint, method, template)
                operation["parameters"] = [
                    *(_in_template(endpoint, name) for name in _VARIABLE.findall(template)),
                    *operation.get("parameters", ()),
                ]
                operation["security"] = [] if endpoint.value.keyless else [{"functionKey": []}, {"code": []}]
                paths.setdefault(f"/{template}", {})[method.lower()] = operation
    assert not undescribed, f"descriptions of no route: {list(undescribed)}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "durable_core management API",
            "version": "1",
            "description": "Start, watch and manage orchestration instances. See docs/http-api.md.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "code": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


@cache
def query_parameters(endpoint: Endpoint, method: str) -> Mapping[str, str]:
    """The query parameters that a route takes: each name in lower case, with its spelling.

    With those described come the ones that the Functions host reads (its keys) and that clients of Durable Functions
    send with every request.
    """
    described = cast("Sequence[Mapping[str, str]]", _OPERATIONS[endpoint, method].get("parameters", ()))
    names = [each["name"] for each in described if each["in"] == "query"]
    return {name.lower(): name for name in (*names, *OF_EVERY_ROUTE)}


def _templates(template: str) -> list[str]:
    """A route with an optional end is two paths."""
    if not _OPTIONAL.search(template):
        return [template]
    return [_OPTIONAL.sub("", template), template.replace("?}", "}")]


def _operation_id(endpoint: Endpoint, method: str, template: str) -> str:
    parts = [endpoint.name.lower(), method.lower() if len(endpoint.value.methods) > 1 else ""]
    is_with_end = template.count("{") == endpoint.value.template.count("{")
    parts.append("named" if "?" in endpoint.value.template and is_with_end else "")
    return "_".join(part for part in parts if part)


# ---------------------------------------------------------------- parameters


def _in_path(name: str, text: str, schema: Mapping[str, JSON] | None = None) -> JSON:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": schema or {"type": "string", "minLength": 1},
    }


def _in_query(name: str, text: str, schema: Mapping[str, JSON], *, required: bool = False) -> JSON:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": schema}


def _flag(name: str, default: bool) -> JSON:
    return _in_query(
        name, f"true or false; {str(default).lower()} if left out", {"type": "boolean", "default": default}
    )


_PATH: Mapping[str, JSON] = {
    "name": _in_path("name", "An orchestrator"),
    "instanceId": _in_path(
        "instanceId",
        "The instance id, without / \\ # ?, control characters and line separators",
        {"type": "string", "minLength": 1, "maxLength": MAX_INSTANCE_ID},
    ),
    "eventName": _in_path("eventName", "An event", {"type": "string", "minLength": 1, "maxLength": 256}),
    "scheduleId": _in_path("scheduleId", "The id of a schedule"),
    "operation": _in_path("operation", "What to do", {"type": "string", "enum": list(OPERATIONS)}),
    "entityName": _in_path(
        "entityName", "The name of an entity", {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,127}$"}
    ),
    "entityKey": _in_path(
        "entityKey",
        "The key of an entity, without / \\ # ?, control characters and line separators",
        {"type": "string", "minLength": 1, "maxLength": MAX_ENTITY_KEY},
    ),
    "streamName": _in_path("streamName", "A stream", {"type": "string", "minLength": 1, "maxLength": MAX_STREAM_NAME}),
    "queryName": _in_path("queryName", "The name of a query handler of the orchestrator"),
    "updateName": _in_path(
        "updateName", "An update handler of the orchestrator", {"type": "string", "minLength": 1, "maxLength": 256}
    ),
    "file": _in_path("file", "The name of a file", {"type": "string", "pattern": "^[a-z-]+[.][a-z]+$"}),
    "token": _in_path(
        "token", "A signed right to one verb on one instance", {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
    ),
}
_SCHEDULE_OPERATION = _in_path("operation", "What to do", {"type": "string", "enum": list(SCHEDULE_OPERATIONS)})


def _in_template(endpoint: Endpoint, name: str) -> JSON:
    return _SCHEDULE_OPERATION if (endpoint, name) == (Endpoint.SCHEDULE, "operation") else _PATH[name]


_SECONDS = {"type": "number", "minimum": 0}
_MOMENT = {"type": "string", "format": "date-time"}
_KEY = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_TAGS = {"type": "array", "items": {"type": "string", "pattern": "^[^:=]+[:=]"}}
_STATUSES = {"type": "array", "items": {"type": "string", "enum": [status.value for status in RuntimeStatus]}}
_REASON = _in_query("reason", "Shown with the instance", {"type": "string", "maxLength": 4000})
_REQUEST_ID = _in_query(
    "requestId",
    "A text of the caller's own, by which a repeated request is known",
    {"type": "string", "maxLength": 4000},
)
_VALUE: JSON = {"description": "Any JSON value, nested at most 100 levels deep; none: null"}
_SHOWN: Sequence[JSON] = (
    _in_query("timeout", "Seconds to wait for the end of the instance, at most 200", _SECONDS),
    _flag("showHistory", False),
    _flag("showHistoryOutput", False),
    _flag("showInput", True),
    _flag("returnInternalServerErrorOnFailure", False),
)
_RECURSIVE = _flag("recursive", False)
_STREAMED: Sequence[JSON] = (
    _in_query("from", "The offset of the last event that was read; Last-Event-ID goes first", {"type": "string"}),
    _flag("follow", True),
)
_LAST_EVENT: JSON = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was read",
    "schema": {"type": "string"},
}
_WITH_NEW_ID = _flag("restartWithNewInstanceId", True)
_CREATED_TO = _in_query("createdTimeTo", "Created at this time or before", _MOMENT)
_CONTINUATION: JSON = {
    "name": "x-ms-continuation-token",
    "in": "header",
    "description": "The continuation token of the page before",
    "schema": {"type": "string"},
}
_RUNTIME_STATUS = _in_query(
    "runtimeStatus", "One status, several separated by commas, or the parameter repeated", _STATUSES
)
_FILTERS: Sequence[JSON] = (
    _in_query("instanceIdPrefix", "The beginning of the instance ids", {"type": "string"}),
    _in_query("createdTimeFrom", "Created at this time or later", _MOMENT),
    _CREATED_TO,
    _RUNTIME_STATUS,
    _in_query("name", "The orchestrator", {"type": "string", "minLength": 1}),
    _in_query(
        "tags",
        "A tag and its value, k:v or k=v; repeat it for several",
        _TAGS,
    ),
    _in_query("version", "The version of the orchestrator; empty: without a version", {"type": "string"}),
    _in_query("stuck", "true: only stuck instances; false: only others", {"type": "boolean"}),
    _in_query("retrying", "true: only instances with a call that is tried again for long", {"type": "boolean"}),
    _in_query("jobs", "true: only jobs; false: only instances that are none", {"type": "boolean"}),
    _in_query("endedFrom", "Ended at this time or later", _MOMENT),
    _in_query("endedTo", "Ended at this time or before", _MOMENT),
)
_ORDER = _in_query(
    "order",
    "created: the newest first; ended: the latest end first, of Failed, Terminated and Canceled instances",
    {"type": "string", "enum": list(get_args(Order))},
)


# ---------------------------------------------------------------- answers


def _body(required: bool = False) -> JSON:
    return {"required": required, "content": {"application/json": {"schema": _VALUE}}}


def _ok(text: str, schema: Mapping[str, JSON] | str, headers: Sequence[str] = ()) -> dict[str, JSON]:
    chosen: JSON = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    answer: dict[str, JSON] = {"description": text, "content": {"application/json": {"schema": chosen}}}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return answer


_ACCEPTED: JSON = {"description": "The request is accepted and durable"}


def _answers(fine: Mapping[int, JSON], *refusals: int) -> JSON:
    """The good answers by status, and the refusals, which have one shape."""
    answers: dict[str, JSON] = {str(status): answer for status, answer in fine.items()}
    for status in sorted({*refusals, *_ALWAYS} - set(fine)):
        # What the host refuses itself has no body.
        answers[str(status)] = _ok(_EXPLAINED[status], "Error")
    return answers


_DELETED = _ok("Deleted", "Deleted")
_REWOUND = _ok("What the rewind has done, or would do", "Rewound")
_TAKEN = {"description": "The request is accepted and durable; of a restart: the management payload"}
_STARTED = _ok("Started", "ManagementPayload", ("Location", "Retry-After"))
_ENDED = _ok("The instance has ended", "Status")
_EVENT: JSON = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
}
_EVENTS: JSON = {
    "description": "Events: the chunks as JSON, 'restarted' where an activity runs again, 'ended' at last",
    "content": {EVENT_STREAM: {"schema": _EVENT}},
}
_NOTHING_FOLLOWS: JSON = {"description": "The reader was told of the end, and nothing follows it"}
_PAGE: JSON = {CONTENT_TYPES["html"]: {}}
_ENDED_OR_PAGE: JSON = {**_ENDED, "content": {**_ENDED["content"], **_PAGE, **_EVENTS["content"]}}
_ACTIVE = _ok("The instance has not ended", "Status", ("Location", "Retry-After"))
_FAILED = _ok(
    "The instance failed and returnInternalServerErrorOnFailure was set; or the app failed",
    {"description": "A status, or an error"},
)

_OF_A_START: Sequence[JSON] = (
    _in_query("timeout", "Seconds to wait for the result, at most 200", _SECONDS),
    _in_query("pollingInterval", "Seconds for the header Retry-After of the response", _SECONDS),
    _flag("returnInternalServerErrorOnFailure", False),
    _in_query("debounce", "The key of a debounced start, which has no instance id", _KEY),
    _in_query("debouncePeriod", "Seconds without a start with the key, after which the instance begins", _SECONDS),
    _in_query("debounceMaxWait", "Seconds from the first start, after which it begins at the latest", _SECONDS),
    _in_query("deduplicate", "The key of starts of which one in each window makes an instance", _KEY),
    _in_query("deduplicateWindow", "Seconds of that window", _SECONDS),
    _in_query("tags", "A tag of the instance and its value, k:v or k=v; repeat it for several", _TAGS),
    _in_query("startAt", "The instance does not begin before this time", _MOMENT),
    _in_query("runTimeout", "The time limit of the whole run, in seconds", _SECONDS),
    _in_query(
        "ifExists",
        "What to do if the instance id of the path is in use",
        {"type": "string", "enum": list(get_args(IfExists)), "default": "error"},
    ),
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Used as the instance id if the path has none: requests with the same key start one instance",
        "schema": {"type": "string", "maxLength": MAX_INSTANCE_ID},
    },
)
_NUMBER = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
_LIMIT: Sequence[JSON] = (
    _in_query(
        "limit",
        "The name of a limit: the instance waits for a slot of it before its code begins, and holds it to its end",
        {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"},
    ),
    _in_query("limitConcurrency", "How many slots of one key are held at once", _NUMBER),
    _in_query("limitRate", "How many slots of one key are granted in any limitPer", {**_NUMBER, "maximum": MAX_RATE}),
    _in_query("limitPer", "Seconds of the period of limitRate; 1 if left out", _SECONDS),
    _in_query("limitKey", "The key of the limit, such as a tenant; each key has slots of its own", _KEY),
    _in_query("limitGroup", "The group that takes turns with the other groups of the key", _KEY),
    _in_query("limitEach", "How many slots one group may hold at once", _NUMBER),
    _in_query(
        "limitPriority",
        "In one group the highest number goes first",
        {"type": "integer", "minimum": -999_999_999, "maximum": 999_999_999},
    ),
)

_OPERATIONS: Mapping[tuple[Endpoint, str], Mapping[str, JSON]] = {
    (Endpoint.START, "POST"): {
        "summary": "Start an instance",
        "parameters": [
            *_OF_A_START,
            _in_query(
                "version", "The version of the orchestrator; if left out, the default or newest one", {"type": "string"}
            ),
            *_LIMIT,
        ],
        "requestBody": _body(),
        "responses": _answers(
            {200: _ok("The instance ended in time: its output, or its status", _VALUE), 202: _STARTED, 500: _FAILED},
            409,
            413,
        ),
    },
    (Endpoint.JOB, "POST"): {
        "summary": "Run an activity by itself, as a job: an instance of the orchestrator job:NAME",
        "parameters": _OF_A_START,
        "requestBody": _body(),
        "responses": _answers(
            {200: _ok("The instance ended in time: its output, or its status", _VALUE), 202: _STARTED, 500: _FAILED},
            409,
            413,
        ),
    },
    (Endpoint.INSTANCES, "GET"): {
        "summary": "List instances, newest first",
        "parameters": [
            *_FILTERS,
            _ORDER,
            _flag("showInput", True),
            _flag("showDetails", True),
            _in_query("top", "Instances per page", {"type": "integer", "minimum": 1, "maximum": 1000}),
            _CONTINUATION,
        ],
        "responses": _answers(
            {
                200: _ok(
                    "A page; the header x-ms-continuation-token says that there are more",
                    {"type": "array", "items": {"$ref": "#/components/schemas/Status"}},
                )
            }
        ),
    },
    (Endpoint.PURGE_INSTANCES, "DELETE"): {
        "summary": "Purge the ended instances that match the filter",
        "parameters": [
            _in_query("createdTimeFrom", "Created at this time or later", _MOMENT, required=True),
            _CREATED_TO,
            _RUNTIME_STATUS,
            _RECURSIVE,
            _CONTINUATION,
        ],
        "responses": _answers(
            {
                200: _ok(
                    "The number of deleted instances; not complete after some 20 seconds: "
                    "send the request again with this header's token",
                    "DeletedSome",
                    ["x-ms-continuation-token"],
                )
            },
            404,
        ),
    },
    (Endpoint.INSTANCE, "GET"): {
        "summary": "The status of an instance",
        "parameters": _SHOWN,
        "responses": _answers({200: _ENDED, 202: _ACTIVE, 500: _FAILED}, 404),
    },
    (Endpoint.PURGE_INSTANCE, "DELETE"): {
        "summary": "Purge an instance that has ended",
        "parameters": [_RECURSIVE],
        "responses": _answers({200: _DELETED}, 404, 409),
    },
    (Endpoint.EVENT, "POST"): {
        "summary": "Raise an external event",
        "parameters": [
            _in_query(
                "eventId",
                "A text of the caller's own: of all events with the same one an execution receives the first",
                {"type": "string", "maxLength": MAX_TEXT},
            )
        ],
        "requestBody": _body(),
        "responses": _answers({202: _ACCEPTED}, 404, 410, 413),
    },
    (Endpoint.REWIND, "POST"): {
        "summary": "Let an instance that failed, was terminated or was canceled go on from before its end",
        "parameters": [_REASON, _flag("force", False), _flag("dryRun", False), _REQUEST_ID],
        "responses": _answers({200: _REWOUND}, 404, 409),
    },
    (Endpoint.RESTART, "POST"): {
        "summary": "Start the orchestrator of an instance again, with the same input or another one",
        "parameters": [_WITH_NEW_ID],
        "requestBody": _body(),
        "responses": _answers({202: _STARTED}, 404, 409, 413),
    },
    (Endpoint.FORK, "POST"): {
        "summary": "Start a new instance with a copy of the history of this one, up to a place",
        "requestBody": _body(required=True),
        "responses": _answers(
            {
                200: _ok("With dryRun: what the fork would do", "Forked"),
                202: _ok("Started: the management payload, and what the fork does", "ManagementPayload", ("Location",)),
            },
            404,
            409,
            413,
        ),
    },
    (Endpoint.MANAGE, "POST"): {
        "summary": "Terminate, cancel, suspend, resume",
        "parameters": [_REASON, _REQUEST_ID, _flag("recursive", True)],
        "responses": _answers({202: _ACCEPTED}, 404, 410),
    },
    (Endpoint.QUERY, "GET"): {
        "summary": "Ask a query handler of the orchestrator",
        "parameters": [_in_query("args", "JSON", {"type": "string"})],
        "responses": _answers({200: _ok("What the handler returned", _VALUE)}, 404, 409),
    },
    (Endpoint.UPDATE, "POST"): {
        "summary": "Have the orchestrator carry out an update, and wait for its result",
        "parameters": [
            _in_query("timeout", "Seconds to wait for the result, at most 200; 60 if left out", _SECONDS),
            _in_query(
                "updateId",
                "A text of the caller's own, by which a repeated update is known and gets the same answer",
                {"type": "string", "minLength": 1, "maxLength": 256},
            ),
        ],
        "requestBody": _body(),
        "responses": _answers(
            {
                200: _ok("What the handler returned", _VALUE),
                202: _ok(
                    "Not ended yet: it goes on; the same request with this updateId waits again",
                    {
                        "type": "object",
                        "required": ["updateId", "message"],
                        "properties": {"updateId": {"type": "string"}, "message": {"type": "string"}},
                    },
                    ("Retry-After",),
                ),
            },
            404,
            409,
            410,
            413,
            422,
        ),
    },
    (Endpoint.EXPLAIN, "GET"): {
        "summary": "Why an instance does not go on, and what to do",
        "responses": _answers({200: _ok("The cause in words and as data", "Explanation")}, 404),
    },
    (Endpoint.TREE, "GET"): {
        "summary": "The sub-orchestrations of an instance, and theirs",
        "responses": _answers({200: _ok("The instance with its sub-orchestrations", "Tree")}, 404),
    },
    (Endpoint.PRICE, "GET"): {
        "summary": "What the storage operations of an instance cost so far",
        "responses": _answers({200: _ok("The operations, the prices, and the amount", "Price")}, 404),
    },
    (Endpoint.TIMELINE, "GET"): {
        "summary": "Each call with queue time, run time and attempts, and what is under way now",
        "responses": _answers({200: _ok("The timeline of this generation", "Timeline")}, 404),
    },
    (Endpoint.STREAMS, "GET"): {
        "summary": "The names of the streams that activities of the instance have written",
        "responses": _answers(
            {200: _ok("The names", {"type": "array", "items": {"type": "string"}})},
            404,
        ),
    },
    (Endpoint.STREAM, "GET"): {
        "summary": "Follow a stream, as server-sent events",
        "parameters": [*_STREAMED, _LAST_EVENT],
        "responses": _answers({200: _EVENTS, 204: _NOTHING_FOLLOWS}, 404, 410),
    },
    (Endpoint.BULK, "POST"): {
        "summary": "One action on all instances that a filter matches, as a durable operation",
        "requestBody": _body(required=True),
        "responses": _answers({200: _ok("With dryRun: what it would touch", "BulkPreview"), 202: _STARTED}, 413),
    },
    (Endpoint.RECOVER, "POST"): {
        "summary": "Rebuild every message of the hub from its tables",
        "parameters": [_flag("full", True)],
        "responses": _answers({200: _ok("The numbers of what was done", "RecoveryReport")}),
    },
    (Endpoint.HUB, "GET"): {
        "summary": "The hub: the number of instances by status, queues, hosts",
        "responses": _answers({200: _ok("The hub at this moment", "Hub")}),
    },
    (Endpoint.PRICES, "GET"): {
        "summary": "What instances cost, by orchestrator: their number, the sum, the mean and p95",
        "parameters": [
            *_FILTERS,
            _in_query("limit", "Instances looked at, the newest", {"type": "integer", "minimum": 1, "maximum": 10000}),
        ],
        "responses": _answers({200: _ok("The orchestrators, the dearest first", "PriceList")}),
    },
    (Endpoint.TIMERS, "GET"): {
        "summary": "Timers, retries and deadlines that are more than ten minutes away, the earliest first",
        "parameters": [
            _in_query("top", "Timers per page", {"type": "integer", "minimum": 1, "maximum": 1000}),
            _CONTINUATION,
        ],
        "responses": _answers(
            {
                200: _ok(
                    "A page; the header x-ms-continuation-token says that there are more",
                    {"type": "array", "items": {"$ref": "#/components/schemas/Timer"}},
                )
            }
        ),
    },
    (Endpoint.SCHEDULES, "GET"): {
        "summary": "Every schedule, newest first",
        "responses": _answers({200: _ok("Schedules", {"type": "array", "items": {"type": "object"}})}),
    },
    (Endpoint.SCHEDULE, "POST"): {
        "summary": "Pause, resume, trigger, backfill or delete a schedule",
        "parameters": [
            _REASON,
            _in_query("from", "Of a backfill: the first due time that is to be run", _MOMENT),
            _in_query("to", "Of a backfill: the last one; due times to come are left to the schedule", _MOMENT),
            _in_query(
                "maxConcurrency", "Of a backfill: how many runs may go at once", {"type": "integer", "minimum": 1}
            ),
            _in_query("dryRun", "Of a backfill: only count its due times", {"type": "boolean", "default": False}),
        ],
        "responses": _answers(
            {
                200: _ok(
                    "Deleted; of a dry run of a backfill, its due times",
                    {
                        "anyOf": [
                            {"$ref": f"#/components/schemas/{each}"} for each in ("ScheduleRequest", "BackfillPreview")
                        ]
                    },
                ),
                202: _ok(
                    "Durable; of trigger, with the id of the run, of backfill with its own",
                    "ScheduleRequest",
                ),
            },
            404,
        ),
    },
    (Endpoint.ENTITIES, "GET"): {
        "summary": "Entities, by name and key",
        "parameters": [
            _in_query("lastOperationTimeFrom", "Changed at this time or later", _MOMENT),
            _in_query("lastOperationTimeTo", "Changed at this time or before", _MOMENT),
            _flag("fetchState", False),
            _in_query("top", "Entities per page", {"type": "integer", "minimum": 1, "maximum": 1000}),
            _CONTINUATION,
        ],
        "responses": _answers(
            {
                200: _ok(
                    "A page; the header x-ms-continuation-token says that there are more",
                    {"type": "array", "items": {"$ref": "#/components/schemas/Entity"}},
                )
            }
        ),
    },
    (Endpoint.SIGNAL_ENTITY, "POST"): {
        "summary": "Send an operation to an entity, which is made when it is first used",
        "parameters": [
            _in_query(
                "op",
                "The operation",
                {"type": "string", "minLength": 1, "maxLength": MAX_OPERATION},
                required=True,
            ),
            _in_query("scheduledTime", "When it is to run, at the earliest; at once if left out", _MOMENT),
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Of several signals with the same key, the entity runs the first only",
                "schema": {"type": "string", "maxLength": 4000},
            },
        ],
        "requestBody": _body(),
        "responses": _answers({202: {"description": "The operation is durable"}}, 413),
    },
    (Endpoint.ENTITY, "GET"): {
        "summary": "The state of an entity",
        "parameters": [_flag("showDetails", False)],
        "responses": _answers({200: _ok("The state; with showDetails: the entity, its lock and its mailbox", {})}, 404),
    },
    (Endpoint.DELETE_ENTITY, "DELETE"): {
        "summary": "Delete the state of an entity, after the operations that were sent to it before",
        "responses": _answers({202: {"description": "The request is durable"}}),
    },
    (Endpoint.METRICS, "GET"): {
        "summary": "Metrics of the hub and of the process that answers, as OpenMetrics text",
        "responses": {
            "200": {"description": "OpenMetrics", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}},
            **_answers({}, 404),
        },
    },
    (Endpoint.OPENAPI, "GET"): {
        "summary": "This description",
        "responses": _answers({200: _ok("OpenAPI 3.1", {"type": "object"})}),
    },
    (Endpoint.UI, "GET"): {
        "summary": "A file of the dashboard; without a name its page",
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "description": "The ETag of the file that the browser has",
                "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
            }
        ],
        "responses": {
            "200": {"description": "The file", "content": {name: {} for name in CONTENT_TYPES.values()}},
            "304": {"description": "The file has the ETag of the header If-None-Match"},
            **_answers({}, 404, 405),
        },
    },
    (Endpoint.CAPABILITY, "GET"): {
        "summary": "The status of the instance that the token is for, the dashboard of it (view), or a stream (stream)",
        "parameters": [
            *_SHOWN,
            *_STREAMED,
            _in_query("name", "With /streams of a view: the stream to follow", {"type": "string", "minLength": 1}),
            _LAST_EVENT,
        ],
        "responses": _answers(
            {200: _ENDED_OR_PAGE, 202: _ACTIVE, 204: _NOTHING_FOLLOWS, 500: _FAILED}, 403, 404, 405, 410
        ),
    },
    (Endpoint.CAPABILITY, "POST"): {
        "summary": "An event, a callback's result, or the operation that the token is for",
        "parameters": [_REASON, _WITH_NEW_ID],
        "requestBody": _body(),
        "responses": _answers({200: _REWOUND, 202: _TAKEN}, 403, 404, 405, 409, 410, 413),
    },
    (Endpoint.CAPABILITY, "DELETE"): {
        "summary": "Purge the instance that the token is for",
        "responses": _answers({200: _DELETED}, 404, 405, 409, 410),
    },
}
