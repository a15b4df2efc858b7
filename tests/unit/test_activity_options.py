"""Options that cannot be are refused where they are written, with the line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    FailureDetails,
    Orchestration,
    OrchestrationContext,
    Registry,
    TaskTimeoutError,
    activity,
)
from durable_core.engine.events import TaskFailed, TaskScheduled, from_array, to_array
from durable_core.errors import ConfigurationError, RegistrationError
from durable_core.hub.messages import Call, ControlMessage, Reminder, WorkMessage, decode, encode
from durable_core.hub.names import HubNames
from durable_core.runtime.activities.call_options import timed_out

from .engine_driver import Driver

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"timeout": timedelta(0)}, "must be positive"),
        ({"timeout": -SECOND}, "must be positive"),
        ({"timeout": 5}, "must be a datetime.timedelta"),
        ({"schedule_to_close": timedelta(0)}, "schedule_to_close="),
        ({"heartbeat_timeout": -SECOND}, "heartbeat_timeout="),
        ({"max_concurrency": 0}, "at least 1"),
        ({"max_concurrency": 1.5}, "whole number"),
        ({"max_concurrency": True}, "whole number"),
        ({"rate": 0}, "above 0"),
        ({"rate": -1.0}, "above 0"),
        ({"rate": float("inf")}, "above 0"),
        ({"queue": "GPU"}, "lower-case letters"),
        ({"queue": "a--b"}, "single hyphens"),
        ({"queue": "1st"}, "begin with a letter"),
        ({"queue": "q" * 21}, "at most 20"),
        ({"queue": "gpu-poison"}, "poison"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_the_activitys_line(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(RegistrationError, match=hint) as refused:

        @activity(**options)
        def work(ctx: ActivityContext) -> None: ...

    assert "test_activity_options.py:" in str(refused.value)


def test_a_heartbeat_timeout_needs_a_context_to_beat_with() -> None:
    with pytest.raises(RegistrationError, match="ActivityContext"):

        @activity(heartbeat_timeout=SECOND)
        def work() -> None: ...


def test_every_option_there_is_is_accepted() -> None:
    @activity(
        timeout=SECOND, schedule_to_close=SECOND, heartbeat_timeout=SECOND, queue="gpu-2", max_concurrency=1, rate=0.5
    )
    def work(ctx: ActivityContext) -> None: ...

    assert Registry().add(work).queues == ["gpu-2"]


@pytest.mark.parametrize("options", [{"timeout": timedelta(0)}, {"timeout": 5}, {"schedule_to_close": -SECOND}])
def test_a_wrong_time_at_a_call_fails_there(options: dict[str, Any]) -> None:
    def main(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("work", **options)

    failure = Driver(main).failure
    assert failure.type == "durable_core.errors.OrchestratorCodeError"
    assert next(iter(options)) in failure.message
    assert "test_activity_options.py:" in failure.message


def test_an_unknown_option_at_a_call_is_a_type_error() -> None:
    def main(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("work", tiemout=SECOND)  # pyright: ignore

    assert Driver(main).failure.message == "call_activity() got an unexpected keyword argument 'tiemout'"


def test_what_other_hosts_must_know_of_a_call_is_in_its_event_and_nothing_else() -> None:
    @activity(queue="gpu", schedule_to_close=60 * SECOND, timeout=SECOND, max_concurrency=3)
    def train() -> None: ...

    @activity
    def plain() -> None: ...

    def main(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.task_all(
            [
                ctx.call_activity(train),
                ctx.call_activity(train, timeout=2 * SECOND, schedule_to_close=3 * SECOND, inline=False),
                ctx.call_activity(plain),
            ]
        )

    scheduled = [event for event in Driver(main).outgoing if isinstance(event, TaskScheduled)]
    assert [event.options for event in scheduled] == [
        {"queue": "gpu", "schedule_to_close": 60.0},
        {"inline": False, "timeout": 2.0, "queue": "gpu", "schedule_to_close": 3.0},
        None,
    ]
    assert [from_array(to_array(event)) for event in scheduled] == scheduled


def test_a_timeout_is_raised_as_a_task_timeout_error_warm_and_cold() -> None:
    def main(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        seen: list[str] = []
        for name in ("slow", "bad"):
            try:
                yield from ctx.call_activity(name)
            except TaskTimeoutError as error:
                seen.append(f"timeout of {error.name}")
            except ActivityFailedError as error:
                seen.append(f"failure of {error.name}")
        return seen

    driver = Driver(main)
    driver.tell(TaskFailed(1, timed_out("too slow")))
    driver.tell(TaskFailed(2, FailureDetails("ValueError", "no")))
    assert driver.result == ["timeout of slow", "failure of bad"]
    assert driver.replayed().completion == driver.live.completion


def test_the_time_of_a_call_is_the_same_for_a_generator_that_was_replayed() -> None:
    def main(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("first")
        yield ctx.call_activity("second")

    driver = Driver(main)
    driver.tell(TaskFailed(7, timed_out("of none")), seconds=5)
    warm, cold = driver.live.pending, driver.replayed().pending
    assert {task: pending.since for task, pending in warm.items()} == {t: p.since for t, p in cold.items()}


def test_messages_keep_deadlines_and_options() -> None:
    control = ControlMessage(instance_id="i", execution_id="e", reminders=(Reminder(0, 1), Reminder(0, 2, 12.5)))
    assert decode(encode(control)) == control
    calls = (Call(0, 1, 1, "a", 5), Call(0, 2, 3, "b", None, {"deadline": 12.5, "timeout": 1.0}))
    work = WorkMessage(instance_id="i", execution_id="e", calls=calls)
    assert decode(encode(work)) == work


def test_a_hub_refuses_a_queue_whose_name_azure_could_not_hold() -> None:
    with pytest.raises(ConfigurationError, match="shorten its name"):
        HubNames("h" * 40, 2, ("a-rather-long-name",))
    names = HubNames("Hub", 2, ("gpu",))
    assert names.all_work == {"": ["hub-work-00", "hub-work-01"], "gpu": ["hub-work-gpu-00", "hub-work-gpu-01"]}
    assert "hub-work-gpu-01-poison" in names.poison_queues
