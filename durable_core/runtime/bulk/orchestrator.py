"""The built-in orchestrator ``durable.bulk``: one action on all instances that a filter matches.

It calls one activity (``slices.py``) for each part of the list, and continues as new after each, so that its history
stays short. Its custom status shows the progress. When it is cancelled, no further part is begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import datetime, timedelta
from typing import Any

from ...definitions import OrchestratorDefinition
from ...engine.context import Orchestration, OrchestrationContext
from ...lazy_dataclass import dataclass
from ...models import JSON, RetryPolicy

BULK_NAME = "durable.bulk"
BULK_PREFIX = f"{BULK_NAME}:"
SLICE_NAME = "durable.bulk.slice"
MAX_ERRORS = 20
"""Errors that are kept to be shown; of more, only the number."""

_PATIENCE = RetryPolicy(
    max_attempts=1_000, first_interval=timedelta(seconds=1), max_interval=timedelta(minutes=1), backoff=2.0
)
"""A storage that does not answer is waited for; a part that is repeated changes nothing twice."""


@dataclass(slots=True, kw_only=True)
class BulkProgress:
    """What has been done. matched: the instances that were come to. done: those whose change is durable. skipped: those
    that had ended, or were gone, meanwhile. failed: those that an error kept as they were."""

    matched: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def add(self, other: BulkProgress) -> None:
        self.matched += other.matched
        self.done += other.done
        self.skipped += other.skipped
        self.failed += other.failed
        self.errors = (self.errors + other.errors)[:MAX_ERRORS]


def _bulk(ctx: OrchestrationContext, data: dict[str, Any]) -> Orchestration[dict[str, Any]]:
    """``data``: request, a stored ``BulkRequest``; until, the latest time of creation of the instances (ISO 8601);
    token, of the list; progress."""
    request: Mapping[str, Any] = data["request"]
    # The instances that this operation makes, or that begin while it runs, are not among those it was asked for.
    until: str = data.get("until") or ctx.current_utc_datetime.isoformat()
    token: str | None = data.get("token")
    progress = BulkProgress(**data.get("progress", {}))
    ctx.set_custom_status(_shown(request, progress, is_complete=False))
    asked: JSON = {"request": request, "until": until, "token": token}
    part: dict[str, Any] = yield from ctx.call_activity(SLICE_NAME, asked, retry=_PATIENCE, returns=dict[str, Any])
    token = part.pop("token")
    progress.add(BulkProgress(**part))
    if token is not None:
        ctx.continue_as_new({"request": request, "until": until, "token": token, "progress": asdict(progress)})
        return {}
    done = _shown(request, progress, is_complete=True)
    ctx.set_custom_status(done)
    return done


def _shown(request: Mapping[str, Any], progress: BulkProgress, *, is_complete: bool) -> dict[str, Any]:
    return {"action": request["action"], "isComplete": is_complete, **asdict(progress)}


def until_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


BULK = OrchestratorDefinition(name=BULK_NAME, version="", fn=_bulk, input_type=dict[str, Any], location="durable_core")
