"""Pattern: human interaction. Wait for a decision, remind once at half time, give up at the deadline.

Waiting costs nothing: no thread, no process and no memory is held while nobody answers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from activities.notifications import Escalation, escalate
from durable_core import Orchestration, OrchestrationContext, orchestrator


class ApprovalInput(BaseModel):
    request: Any
    deadline_seconds: float = Field(default=72 * 3600.0, gt=0)


class ApprovalResult(BaseModel):
    status: Literal["approved", "rejected", "expired"]
    escalated: bool


@orchestrator
def approval(ctx: OrchestrationContext, input: ApprovalInput) -> Orchestration[ApprovalResult]:
    started, half = ctx.current_utc_datetime, timedelta(seconds=input.deadline_seconds / 2)
    approved = ctx.wait_for_external_event("Approved")
    rejected = ctx.wait_for_external_event("Rejected")

    timer = ctx.create_timer(started + half)
    winner = yield from ctx.task_any([approved, rejected, timer])
    escalated = winner is timer
    if escalated:
        yield from ctx.call_activity(escalate, Escalation(instance_id=ctx.instance_id, request=input.request))
        timer = ctx.create_timer(started + 2 * half)
        winner = yield from ctx.task_any([approved, rejected, timer])

    if winner is timer:
        return ApprovalResult(status="expired", escalated=escalated)
    timer.cancel()
    return ApprovalResult(status="approved" if winner is approved else "rejected", escalated=escalated)
