"""No crash changes the outcome of an orchestration in the style of Durable Functions."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import durable_core.df as df
from durable_core.testing import TestEnvironment
from tests.df.test_orchestrators import make_app


def all_kinds(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """A call of each kind; each task is made before the one that is yielded before it."""
    round_ = context.get_input()
    if round_ == 1:
        yield context.call_activity("echo", "first")
        context.continue_as_new(2)
        return None
    never = context.call_activity("refuse", "1")
    last, first = context.call_activity("echo", "last"), context.call_activity("echo", "first")
    seen: list[Any] = [(yield first)]
    seen += yield context.task_all([context.call_activity("echo_later", n) for n in range(2)])
    event = context.wait_for_external_event("go")
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    winner = yield context.task_any([event, timer])
    seen.append("event" if winner == event else "timer")
    if winner == event:
        timer.cancel()
    try:
        yield context.call_activity_with_retry("refuse", df.RetryOptions(1000, 2), "1")
    except Exception as error:  # noqa: BLE001  as apps of Durable Functions do
        seen.append(str(error).partition("\n")[0])
    seen.append((yield context.call_sub_orchestrator("child", "c", f"{context.instance_id}-{round_}")))
    seen.append((yield last))
    assert not never.is_scheduled
    context.set_custom_status(round_)
    return seen


def test_no_crash_changes_the_outcome() -> None:
    def scenario(env: TestEnvironment) -> Any:
        instance = env.start("main", 1, instance_id="crashing")
        env.advance(timedelta(minutes=5))
        env.raise_event(instance, "go", 5)
        return env.result(instance)

    with TestEnvironment(make_app(all_kinds).registry, replay_every_step=False) as env:
        report = env.crash_everywhere(scenario)
    assert report.ok, str(report)
    assert report.crashes > 80
    with TestEnvironment(make_app(all_kinds).registry) as env:
        refused = "Activity function 'refuse' failed:  CardRefused: card 1 is refused "
        assert scenario(env) == ["first", 0, 1, "event", refused, ["c", "crashing"], "last"]
        assert env.status("crashing").custom_status == 2
