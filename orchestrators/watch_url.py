"""Pattern: a monitor. Look, sleep on a durable timer, begin anew with the state to keep: it may go on for years.

``continue_as_new`` ends this generation and starts the next one with its argument, so the history of each holds one
look and one timer, however long the watch lasts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from activities.web import check_url
from durable_core import Orchestration, OrchestrationContext, orchestrator


class Watch(BaseModel):
    """The first three are the caller's; the others carry the state from one generation to the next."""

    url: str = Field(pattern=r"^https?://[^\s]+$")
    interval_seconds: float = Field(default=30.0, gt=0)
    deadline_seconds: float = Field(default=3600.0, gt=0)
    checks: int = Field(default=0, ge=0)
    give_up_at: datetime | None = None


class WatchResult(BaseModel):
    status: Literal["up", "gave_up"]
    checks: int


@orchestrator
def watch_url(ctx: OrchestrationContext, watch: Watch) -> Orchestration[WatchResult | None]:
    give_up_at = watch.give_up_at or ctx.current_utc_datetime + timedelta(seconds=watch.deadline_seconds)
    answer = yield from ctx.call_activity(check_url, watch.url)
    checks = watch.checks + 1
    if answer == 200:
        return WatchResult(status="up", checks=checks)

    next_check = ctx.current_utc_datetime + timedelta(seconds=watch.interval_seconds)
    if next_check >= give_up_at:
        return WatchResult(status="gave_up", checks=checks)
    ctx.set_custom_status({"checks": checks, "last_answer": answer})
    yield from ctx.create_timer(next_check)
    ctx.continue_as_new(watch.model_copy(update={"checks": checks, "give_up_at": give_up_at}))
    return None
