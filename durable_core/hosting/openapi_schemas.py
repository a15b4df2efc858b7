"""JSON schemas of what the management API answers. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from ..models import JSON, RuntimeStatus, WaitKind
from ..operate.timeline import RowKind, RowStatus

_TEXT: JSON = {"type": "string"}
_MOMENT: JSON = {"type": ["string", "null"], "description": "UTC, to the second", "format": "date-time"}
_EXACT: JSON = {"type": "string", "description": "UTC, to the microsecond", "format": "date-time"}
_COUNT: JSON = {"type": "integer", "minimum": 0}
_AMOUNT: JSON = {"type": "number", "minimum": 0}
_AMOUNT_OR_NONE: JSON = {"type": ["number", "null"], "minimum": 0}
_URIS = (
    "statusQueryGetUri",
    "sendEventPostUri",
    "terminatePostUri",
    "cancelPostUri",
    "rewindPostUri",
    "purgeHistoryDeleteUri",
    "restartPostUri",
    "suspendPostUri",
    "resumePostUri",
)
_COUNTS = (
    "timers_armed",
    "poisoned",
    "unreadable",
    "woken_up",
    "orphans",
    "open_instances",
    "entities",
    "locks_released",
)

SCHEMAS: Mapping[str, JSON] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": False,
                "properties": {
                    "code": _TEXT,
                    "message": _TEXT,
                    "problems": {"type": "array", "items": _TEXT},
                },
            }
        },
    },
    "BulkPreview": {
        "type": "object",
        "required": ["matched", "isComplete", "sample"],
        "additionalProperties": False,
        "properties": {
            "matched": _COUNT,
            "isComplete": {"type": "boolean"},
            "sample": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["instanceId", "name", "runtimeStatus", "createdTime"],
                    "additionalProperties": False,
                    "properties": {"instanceId": _TEXT, "name": _TEXT, "runtimeStatus": _TEXT, "createdTime": _MOMENT},
                },
            },
        },
    },
    "BackfillPreview": {
        "type": "object",
        "required": ["runs", "isComplete", "first", "last"],
        "additionalProperties": False,
        "properties": {
            "runs": {"type": "integer", "minimum": 0},
            "isComplete": {"type": "boolean"},
            "first": _MOMENT,
            "last": _MOMENT,
        },
    },
    "ScheduleRequest": {
        "type": "object",
        "required": ["scheduleId"],
        "additionalProperties": False,
        "properties": {"scheduleId": _TEXT, "instanceId": _TEXT},
    },
    "Failure": {
        "type": "object",
        "required": ["type", "message", "retriable"],
        "properties": {
            "type": _TEXT,
            "message": _TEXT,
            "retriable": {"type": "boolean"},
            "line": _TEXT,
            "cause": {"$ref": "#/components/schemas/Failure"},
        },
    },
    "Wait": {
        "type": "object",
        "required": ["kind", "name", "line"],
        "properties": {
            "kind": {"enum": list(get_args(WaitKind))},
            "name": _TEXT,
            "line": _TEXT,
            "taskId": {"type": "integer", "minimum": 1},
            "instanceId": _TEXT,
            "since": _MOMENT,
            "due": _MOMENT,
        },
    },
    "Status": {
        "type": "object",
        "required": ["name", "instanceId", "runtimeStatus", "input", "output", "createdTime", "lastUpdatedTime"],
        "properties": {
            "name": _TEXT,
            "instanceId": _TEXT,
            "runtimeStatus": {"enum": [status.value for status in RuntimeStatus]},
            "input": {},
            "customStatus": {},
            "output": {},
            "createdTime": _MOMENT,
            "lastUpdatedTime": _MOMENT,
            "historyEvents": {"type": "array", "items": {"type": "object"}},
            "version": _TEXT,
            "tags": {"type": "object", "additionalProperties": _TEXT},
            "scheduledStartTime": _MOMENT,
            "deadline": _MOMENT,
            "restartedFrom": {"$ref": "#/components/schemas/Origin"},
            "parent": {
                "type": "object",
                "required": ["instanceId"],
                "properties": {"instanceId": _TEXT, "taskId": {"type": "integer", "minimum": 1}},
            },
            "generation": {"type": "integer", "minimum": 1},
            "pauseReason": _TEXT,
            "endedTime": _MOMENT,
            "retrying": {"type": "integer", "minimum": 1},
            "forkedFrom": {"$ref": "#/components/schemas/Origin"},
            "stuckReason": _TEXT,
            "operations": {"$ref": "#/components/schemas/Operations"},
            "waits": {"type": "array", "minItems": 1, "maxItems": 8, "items": {"$ref": "#/components/schemas/Wait"}},
            "failure": {"$ref": "#/components/schemas/Failure"},
        },
    },
    "Operations": {
        "type": "object",
        "required": ["tableReads", "tableWrites", "queueOperations", "total"],
        "additionalProperties": False,
        "properties": dict.fromkeys(("tableReads", "tableWrites", "queueOperations", "total"), _COUNT),
    },
    "Prices": {
        "type": "object",
        "required": ["currency", "tableReads", "tableWrites", "queueOperations"],
        "additionalProperties": False,
        "properties": {
            "currency": _TEXT,
            **dict.fromkeys(("tableReads", "tableWrites", "queueOperations"), _AMOUNT),
            "date": {"type": "string", "format": "date"},
        },
    },
    "Price": {
        "type": "object",
        "required": ["instanceId", "executionId", "name", "runtimeStatus", "operations", "amount", "prices"],
        "additionalProperties": False,
        "properties": {
            "instanceId": _TEXT,
            "executionId": _TEXT,
            "name": _TEXT,
            "runtimeStatus": {"enum": [status.value for status in RuntimeStatus]},
            "operations": {"oneOf": [{"$ref": "#/components/schemas/Operations"}, {"type": "null"}]},
            "amount": _AMOUNT_OR_NONE,
            "inAzure": {"$ref": "#/components/schemas/PriceInAzure"},
            "prices": {"$ref": "#/components/schemas/Prices"},
        },
    },
    "PriceInAzure": {
        "description": "On the embedded store: what the same operations would cost in Azure.",
        "type": "object",
        "required": ["amount", "currency", "date"],
        "additionalProperties": False,
        "properties": {"amount": _AMOUNT, "currency": _TEXT, "date": {"type": "string", "format": "date"}},
    },
    "PriceList": {
        "type": "object",
        "required": ["orchestrators", "isComplete", "prices"],
        "additionalProperties": False,
        "properties": {
            "orchestrators": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "instances", "notCounted", "open", "operations", "total", "mean", "p95"],
                    "additionalProperties": False,
                    "properties": {
                        "name": _TEXT,
                        **dict.fromkeys(("instances", "notCounted", "open"), _COUNT),
                        "operations": {"$ref": "#/components/schemas/Operations"},
                        "total": _AMOUNT,
                        **dict.fromkeys(("mean", "p95"), _AMOUNT_OR_NONE),
                        "inAzure": {"$ref": "#/components/schemas/PriceInAzure"},
                    },
                },
            },
            "isComplete": {"type": "boolean"},
            "prices": {"$ref": "#/components/schemas/Prices"},
        },
    },
    "Origin": {
        "type": "object",
        "required": ["instanceId", "executionId"],
        "additionalProperties": False,
        "properties": {"instanceId": _TEXT, "executionId": _TEXT},
    },
    "Forked": {
        "type": "object",
        "required": ["instanceId", "executionId", "cutBefore", "again", "idempotencyKeys"],
        "additionalProperties": False,
        "properties": {
            "instanceId": _TEXT,
            "executionId": _TEXT,
            "cutBefore": _COUNT,
            "again": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}},
            "idempotencyKeys": {"type": "object", "additionalProperties": _TEXT},
            "callbacks": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {"name": _TEXT, "sourceUrl": _TEXT, "url": _TEXT},
                },
            },
            "decisions": {"type": "array", "items": _TEXT},
        },
    },
    "Rewound": {
        "type": "object",
        "required": ["instanceId", "cutBefore", "undone", "again", "timersMoveBy"],
        "additionalProperties": False,
        "properties": {
            "instanceId": _TEXT,
            "cutBefore": _COUNT,
            "undone": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}},
            "again": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}},
            "timersMoveBy": {"type": "number", "minimum": 0},
            "problems": {"type": "array", "items": _TEXT},
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["instanceId", "index", "name"],
                    "additionalProperties": False,
                    "properties": {"instanceId": _TEXT, "index": _COUNT, "name": _TEXT},
                },
            },
        },
    },
    "Task": {
        "type": "object",
        "required": ["taskId", "name", "line"],
        "additionalProperties": False,
        "properties": {"taskId": _COUNT, "name": _TEXT, "line": _TEXT},
    },
    "Explanation": {
        "type": "object",
        "required": ["instanceId", "cause", "sentence", "action", "needsSomebody", "details", "chain", "waits"],
        "additionalProperties": False,
        "properties": {
            "instanceId": _TEXT,
            "runtimeStatus": {"enum": [status.value for status in RuntimeStatus]},
            "cause": {"type": "string", "pattern": "^[a-z-]+$"},
            "sentence": _TEXT,
            "action": _TEXT,
            "needsSomebody": {"type": "boolean"},
            "details": {"type": "object"},
            "chain": {
                "type": "array",
                "maxItems": 8,
                "items": {
                    "type": "object",
                    "required": ["instanceId", "sentence"],
                    "additionalProperties": False,
                    "properties": {"instanceId": _TEXT, "sentence": _TEXT},
                },
            },
            "waits": {"type": "array", "maxItems": 8, "items": {"$ref": "#/components/schemas/Wait"}},
        },
    },
    "Tree": {
        "type": "object",
        "required": ["instanceId", "name", "children"],
        "additionalProperties": False,
        "properties": {
            "instanceId": _TEXT,
            "name": _TEXT,
            "runtimeStatus": {"enum": [status.value for status in RuntimeStatus]},
            "taskId": {"type": "integer", "minimum": 1},
            "parentClose": {"enum": ["cancel", "terminate"]},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
            "isComplete": {"const": False},
            "parent": {
                "type": "object",
                "required": ["instanceId", "name", "taskId"],
                "properties": {"instanceId": _TEXT, "name": _TEXT, "taskId": {"type": "integer", "minimum": 1}},
            },
        },
    },
    "Hub": {
        "type": "object",
        "required": [
            "hub",
            "store",
            "partitions",
            "now",
            "counts",
            "isComplete",
            "stuck",
            "retrying",
            "queues",
            "hosts",
        ],
        "properties": {
            "hub": _TEXT,
            "store": {"enum": ["embedded", "azure"]},
            "partitions": {"type": "integer", "minimum": 1},
            "now": _MOMENT,
            "counts": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
            "isComplete": {"type": "boolean"},
            "stuck": _COUNT,
            "retrying": _COUNT,
            "queues": {"type": "array", "items": {"$ref": "#/components/schemas/Queue"}},
            "hosts": {"type": "array", "items": {"$ref": "#/components/schemas/Host"}},
        },
    },
    "Queue": {
        "type": "object",
        "required": ["name", "kind", "depth"],
        "properties": {
            "name": _TEXT,
            "kind": {"enum": ["control", "work", "poison"]},
            "depth": _COUNT,
            "oldestSeconds": {"type": "number", "minimum": 0},
            "dequeueCount": _COUNT,
            "serves": {"type": "array", "items": _TEXT},
        },
    },
    "Host": {
        "type": "object",
        "required": ["id", "name", "pid", "build", "version", "queues", "startedTime", "lastSeenTime", "isAlive"],
        "properties": {
            "id": _TEXT,
            "name": _TEXT,
            "pid": _COUNT,
            "build": _TEXT,
            "version": _TEXT,
            "queues": {"type": "array", "items": _TEXT},
            "startedTime": _MOMENT,
            "lastSeenTime": _MOMENT,
            "stoppedTime": _MOMENT,
            "inFlight": _COUNT,
            "warm": _COUNT,
            "isAlive": {"type": "boolean"},
        },
    },
    "Timer": {
        "type": "object",
        "required": ["instanceId", "executionId", "generation", "taskId", "due", "isDeadline"],
        "properties": {
            "instanceId": _TEXT,
            "executionId": _TEXT,
            "generation": _COUNT,
            "taskId": _COUNT,
            "due": _MOMENT,
            "isDeadline": {"type": "boolean"},
        },
    },
    "Entity": {
        "type": "object",
        "required": ["entityId", "exists", "state", "createdTime", "lastOperationTime", "lockedBy", "stuckReason"],
        "properties": {
            "entityId": {
                "type": "object",
                "required": ["name", "key"],
                "properties": {"name": _TEXT, "key": _TEXT},
            },
            "exists": {"type": "boolean"},
            "state": {},
            "createdTime": _MOMENT,
            "lastOperationTime": _MOMENT,
            "lockedBy": {
                "type": ["object", "null"],
                "required": ["instanceId", "executionId", "section", "since"],
                "properties": {
                    "instanceId": _TEXT,
                    "executionId": _TEXT,
                    "section": _COUNT,
                    "since": _MOMENT,
                },
            },
            "stuckReason": {"type": ["string", "null"]},
        },
    },
    "ManagementPayload": {
        "type": "object",
        "required": ["id", *_URIS],
        "properties": {
            "id": _TEXT,
            **dict.fromkeys(_URIS, _TEXT),
            "fork": {"$ref": "#/components/schemas/Forked"},
        },
    },
    "Deleted": {
        "type": "object",
        "required": ["instancesDeleted"],
        "properties": {"instancesDeleted": {"type": "integer", "minimum": 1}},
    },
    "DeletedSome": {
        "type": "object",
        "required": ["instancesDeleted", "isComplete"],
        "properties": {"instancesDeleted": _COUNT, "isComplete": {"type": "boolean"}},
    },
    "Timeline": {
        "type": "object",
        "required": ["instanceId", "name", "runtimeStatus", "createdTime", "now", "rows", "generations"],
        "additionalProperties": False,
        "properties": {
            "instanceId": _TEXT,
            "name": _TEXT,
            "runtimeStatus": {"enum": [status.value for status in RuntimeStatus]},
            "createdTime": _EXACT,
            "endedTime": _EXACT,
            "now": _EXACT,
            "rows": {"type": "array", "items": {"$ref": "#/components/schemas/TimelineRow"}},
            "generations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["number", "startedTime", "endedTime", "events"],
                    "additionalProperties": False,
                    "properties": {"number": _COUNT, "startedTime": _EXACT, "endedTime": _EXACT, "events": _COUNT},
                },
            },
        },
    },
    "TimelineRow": {
        "type": "object",
        "required": ["kind", "name", "status"],
        "additionalProperties": False,
        "properties": {
            "taskId": _COUNT,
            "kind": {"enum": list(get_args(RowKind))},
            "name": _TEXT,
            "line": _TEXT,
            "status": {"enum": list(get_args(RowStatus))},
            "scheduledTime": _EXACT,
            "startedTime": _EXACT,
            "endedTime": _EXACT,
            "queueMs": _COUNT,
            "runMs": _COUNT,
            "host": _TEXT,
            "attempts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["number"],
                    "additionalProperties": False,
                    "properties": {
                        "number": _COUNT,
                        "startedTime": _EXACT,
                        "ms": _COUNT,
                        "host": _TEXT,
                        "errorType": _TEXT,
                        "message": _TEXT,
                    },
                },
            },
            "nextAttemptTime": _EXACT,
            "dueTime": _EXACT,
            "instanceId": _TEXT,
            "failure": {
                "type": "object",
                "required": ["type", "message"],
                "additionalProperties": False,
                "properties": {"type": _TEXT, "message": _TEXT},
            },
        },
    },
    "RecoveryReport": {
        "type": "object",
        "required": list(_COUNTS),
        "properties": dict.fromkeys(_COUNTS, _COUNT),
    },
}
