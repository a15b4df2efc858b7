"""What users write by mistake is named where they wrote it, with what to write instead, and does nothing meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import InvalidInputError, InvalidInstanceIdError, OrchestrationFailedError
from durable_core.testing import TestEnvironment


@activity
def charge(amount: Any) -> Any:
    return amount


@activity
def counted(up_to: int) -> Iterator[int]:
    return iter(range(up_to))


def helper(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.call_activity(charge, 5))


def numbers() -> Iterator[int]:
    yield 1


@orchestrator
def forgets_yield_from(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(charge, 1)
    return helper(ctx)


@orchestrator
def passes_a_generator(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(charge, {"amounts": numbers()}))


@orchestrator
def asks_for_an_iterator(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(counted, 3))


@orchestrator
def forgets_it_in_a_list(ctx: OrchestrationContext) -> Orchestration[Any]:
    return [(yield from ctx.call_activity(charge, 1)), ctx.call_activity(charge, 2)]


@orchestrator
def passes_its_context(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(charge, {"ctx": ctx}))


@pytest.mark.parametrize(
    ("slip", "says", "ran"),
    [
        (
            forgets_yield_from,
            "result of orchestrator 'forgets_yield_from'.*the generator 'helper' has not been run; write 'yield from'",
            ["charge"],
        ),
        (
            passes_a_generator,
            r"input of activity 'charge'.*at amounts: the generator 'numbers'.*test_user_slips.py:\d+\)",
            [],
        ),
        (forgets_it_in_a_list, "at 1: a task cannot be stored; wait for it with 'yield from'", ["charge", "charge"]),
        (passes_its_context, "at ctx: the orchestration context cannot be stored", []),
        (asks_for_an_iterator, "result of activity 'counted'.*the iterator.*make a list of it", ["counted"]),
    ],
)
def test_a_generator_in_the_place_of_a_value_is_refused_and_not_run(slip: Any, says: str, ran: list[str]) -> None:
    with TestEnvironment(slip, charge, counted) as env:
        with pytest.raises(OrchestrationFailedError, match=says):
            env.result(env.start(slip))
        assert [run.name for run in env.runs] == ran


# ------------------------------------------------------------------ arguments of another kind


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.wait_for_external_event("go")


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"instance_id": uuid.UUID(int=1)}, InvalidInstanceIdError, r"an instance id is a text, not UUID\(.*str\("),
        ({"instance_id": 7}, InvalidInstanceIdError, "an instance id is a text, not 7"),
        (
            {"timeout": 5},
            InvalidInputError,
            r"timeout=5 of a run must be a datetime.timedelta",
        ),
        (
            {"start_at": timedelta(hours=1)},
            InvalidInputError,
            r"start_at=.* must be a datetime.*now\(UTC\) \+",
        ),
        ({"start_at": datetime(2031, 1, 1)}, InvalidInputError, "start_at=.* with a time zone"),
        (
            {"instance_id": "taken", "if_exists": "restart-if-done"},
            InvalidInputError,
            "restart_if_done, not 'restart-",
        ),
        ({"tags": ["customer"]}, InvalidInputError, "tags are a dict of texts.*not .'customer'"),
    ],
)
def test_what_a_start_is_given_wrongly_is_named_and_starts_nothing(options: Any, kind: Any, says: str) -> None:
    with TestEnvironment(waits) as env:
        env.start(waits, instance_id="taken")
        with pytest.raises(kind, match=says):
            env.start(waits, **options)
        assert len(env.run(env.client.get_status_all())) == 1


def test_ids_and_names_of_events_and_schedules_that_are_no_texts_are_named() -> None:
    number: Any = 7
    with TestEnvironment(waits) as env:
        client, instance = env.client, env.start(waits)
        with pytest.raises(InvalidInputError, match=r"an event name is a text of 1 to .* not 7"):
            env.raise_event(instance, number)
        with pytest.raises(InvalidInstanceIdError, match="an instance id is a text, not 7"):
            env.status(number)
        with pytest.raises(InvalidInstanceIdError, match="the id of a schedule must be a string, not 7"):
            env.run(client.create_schedule(number, waits, interval=timedelta(hours=1)))
        with pytest.raises(InvalidInputError, match=r"start_at=.* must be a datetime"):
            env.run(client.create_schedule("s", waits, interval=timedelta(hours=1), start_at=number))
        with pytest.raises(InvalidInputError, match=r"interval= \(a datetime.* not cron=None and interval=7"):
            env.run(client.create_schedule("s", waits, interval=number))


SLIPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "child id": (lambda ctx: ctx.call_sub_orchestrator(waits, None, uuid.UUID(int=1)), "an instance id is a text"),
    "detached id": (lambda ctx: ctx.start_orchestration(waits, None, 7), "an instance id is a text, not 7"),
    "receiver": (lambda ctx: ctx.send_event(7, "go"), "send_event: an instance id is a text, not 7"),
    "child timeout": (lambda ctx: ctx.call_sub_orchestrator(waits, timeout=5), "timeout=5 of a sub-orchestration must"),
    "http timeout": (lambda ctx: ctx.call_http("GET", "http://a.b", timeout=5), "timeout=5 of call_http must be a"),
    "retry": (lambda ctx: ctx.call_activity(charge, 1, retry=3), "retry=3 of an activity call must be a RetryPolicy"),
    "child retry": (lambda ctx: ctx.call_sub_orchestrator(waits, retry=3), "retry=3 of a sub-orchestration must be a"),
    "http retry": (
        lambda ctx: ctx.call_http("GET", "http://a.b", retry=3),
        "retry=3 of call_http must be a Retry",
    ),
    "method": (lambda ctx: ctx.call_http(5, "http://a.b"), "the method and the address as texts, not 5"),
    "child version": (
        lambda ctx: ctx.call_sub_orchestrator(waits, version=2),
        "the version of an orchestrator is a text",
    ),
    "detached version": (lambda ctx: ctx.start_orchestration(waits, version=2), "the version of an orchestrator is a"),
    "event name": (lambda ctx: ctx.wait_for_external_event(5), "an event name is a text of 1 to 256 characters, not 5"),
    "no event name": (lambda ctx: ctx.wait_for_external_event(""), "an event name is a text of 1 to 256 .* not ''"),
    "long event name": (lambda ctx: ctx.wait_for_external_event("e" * 257), "an event name is a text of 1 to 256"),
    "handled name": (lambda ctx: ctx.on_event("e" * 257, print), "an event name is a text of 1 to 256"),
    "event limit": (lambda ctx: ctx.wait_for_external_event("a", timedelta(1)), "a keyword argument: timeout=datetime"),
    "header": (lambda ctx: ctx.call_http("GET", "http://a.b", headers={"A": None}), "'A' is a NoneType"),
    "headers": (lambda ctx: ctx.call_http("GET", "http://a.b", headers=[("A", "b")]), "a dict of texts, not a list"),
    "continue": (
        lambda ctx: ctx.continue_as_new("slips"),
        "continue_as_new returns no task: call it without",
    ),
    "nothing": (lambda ctx: ctx.set_custom_status("x"), "a call that returns no task.*is written without 'yield'"),
}


@orchestrator
def slips(ctx: OrchestrationContext, which: str) -> Orchestration[Any]:
    yield SLIPS[which][0](ctx)


@orchestrator
def goes_through_a_list(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from [ctx.call_activity(charge, 1), ctx.call_activity(charge, 2)])  # pyright: ignore[reportUnknownVariableType]


@pytest.mark.parametrize("which", SLIPS)
def test_what_an_orchestrator_gives_wrongly_is_named_with_its_line(which: str) -> None:
    with TestEnvironment(slips, waits) as env, pytest.raises(OrchestrationFailedError, match=SLIPS[which][1]) as found:
        env.result(env.start(slips, which))
    assert "test_user_slips.py:" in str(found.value)


def test_yield_from_a_list_is_named_with_its_line() -> None:
    says = r"'yield from' went through a list_iterator.*ctx.task_all.*test_user_slips.py:\d+"
    with TestEnvironment(goes_through_a_list, charge) as env, pytest.raises(OrchestrationFailedError, match=says):
        env.result(env.start(goes_through_a_list))
