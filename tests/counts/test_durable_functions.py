"""An app in the style of Durable Functions takes as many storage operations as one of our own API."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

import durable_core.df as df
from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from tests.support.programs import make_registry

from .programs import count


@orchestrator
def sleep(ctx: OrchestrationContext, seconds: int) -> Orchestration[int]:
    yield from ctx.task_any(
        [ctx.create_timer(ctx.current_utc_datetime + timedelta(seconds=seconds)), ctx.wait_for_external_event("go")]
    )
    return 1


@orchestrator
def parent(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    return (yield from ctx.call_sub_orchestrator("chain", steps))


def app() -> Registry:
    """The same in the style of Durable Functions."""
    found = df.DFApp()

    @found.activity_trigger(input_name="value", activity="add_one")
    def one_more(value: int) -> int:
        return value + 1

    @found.orchestration_trigger(context_name="context", orchestration="chain")
    def steps(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        value = 0
        for _ in range(context.get_input()):
            value = yield context.call_activity("add_one", value)
        return value

    @found.orchestration_trigger(context_name="context", orchestration="fan")
    def wide(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        tasks = [context.call_activity(one_more, number) for number in range(context.get_input())]
        return sum((yield context.task_all(tasks)))

    @found.orchestration_trigger(context_name="context", orchestration="sleep")
    def wait(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        due = context.current_utc_datetime + timedelta(seconds=context.get_input())
        yield context.task_any([context.create_timer(due), context.wait_for_external_event("go")])
        return 1

    @found.orchestration_trigger(context_name="context", orchestration="parent")
    def calls_child(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.call_sub_orchestrator("chain", context.get_input()))

    assert steps and wide and wait and calls_child
    return found.registry


OURS = make_registry().add(sleep, parent)


@pytest.mark.parametrize(("name", "size"), [("chain", 7), ("fan", 40), ("sleep", 5), ("parent", 2)])
def test_a_call_costs_what_it_costs_in_our_own_api(name: str, size: int) -> None:
    theirs, ours = count(name, size, registry=app()), count(name, size, registry=OURS)
    assert theirs.outputs == ours.outputs
    assert theirs.all.total == ours.all.total, f"df: {theirs}\nours: {ours}"
