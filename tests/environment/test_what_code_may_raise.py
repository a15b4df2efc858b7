"""Code that raises what is no Exception fails as any other does, wherever it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from durable_core import (
    ActivityFailedError,
    FailureDetails,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    Saga,
    activity,
    orchestrator,
)
from durable_core.engine.tasks import Task
from durable_core.errors import OrchestrationFailedError, QueryFailedError
from durable_core.models import type_name
from durable_core.testing import TestEnvironment


class Panic(BaseException):
    """As pyo3's PanicException, gevent's Timeout, or an outcome of pytest."""


class Odd(Exception):
    """What each of the others must be treated like."""


KINDS = [Odd, Panic, SystemExit, KeyboardInterrupt, GeneratorExit]
_KIND: list[type[BaseException]] = [Odd]
TWICE = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__, autouse=True)
def kind(request: pytest.FixtureRequest) -> type[BaseException]:
    _KIND[0] = request.param
    return request.param


def explode(*_: object) -> Any:
    raise _KIND[0]("x")


class Checked(BaseModel):
    k: str

    @field_validator("k")
    @classmethod
    def check(cls, value: str) -> str:
        return explode(value)


@activity
def acts() -> None:
    explode()


@activity
def refuses() -> None:
    raise ValueError("no")


@activity
def takes(value: Checked) -> str:
    return value.k


@activity
def gives() -> dict[str, str]:
    return {"k": "v"}


@orchestrator
def calls(ctx: OrchestrationContext) -> Orchestration[Any]:
    try:
        yield from ctx.call_activity(acts, retry=TWICE)
    except ActivityFailedError as error:
        return error.failure.type


@orchestrator
def steps(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.run("step", explode)


@orchestrator
def raises(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(gives)
    explode()


@orchestrator
def on_event(ctx: OrchestrationContext) -> Orchestration[Any]:
    ctx.on_event("E", explode)
    yield from ctx.wait_for_external_event("X")


@orchestrator
def condition(ctx: OrchestrationContext) -> Orchestration[Any]:
    came: list[object] = []
    ctx.on_event("E", came.append)
    yield from ctx.wait_condition(lambda: came and explode())


@orchestrator
def validator_of_an_input(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity("takes", {"k": "v"}))


@orchestrator
def validator_of_a_result(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity("gives", returns=Checked))


@orchestrator
def validator_of_an_event(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("E", returns=Checked))


@orchestrator
def lazy_iterable(ctx: OrchestrationContext) -> Orchestration[Any]:
    def tasks() -> Iterator[Task[Any]]:
        yield ctx.call_activity(gives)
        explode()

    yield from ctx.task_all(tasks(), max_concurrency=1)


FAILING = [
    *(steps, raises, on_event, condition, lazy_iterable),
    *(validator_of_an_input, validator_of_a_result, validator_of_an_event),
]


@orchestrator
def asked(ctx: OrchestrationContext) -> Orchestration[Any]:
    ctx.set_query_handler("q", explode)
    return (yield from ctx.wait_for_external_event("X"))


@orchestrator
def retry_if(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(refuses, retry=RetryPolicy(max_attempts=2, retry_if=explode))


@orchestrator
def undoes(ctx: OrchestrationContext) -> Orchestration[Any]:
    def body(saga: Saga) -> Orchestration[Any]:
        saga.add_compensation(gives)
        yield from ctx.call_activity(gives)
        explode()

    yield from ctx.run_saga(body)


@pytest.fixture
def env(durable: TestEnvironment) -> TestEnvironment:
    durable.register(sys.modules[__name__])
    return durable


def test_an_activity_is_tried_again_as_its_policy_says(env: TestEnvironment, kind: type[BaseException]) -> None:
    assert env.result(env.start(calls)) == type_name(kind)
    assert len(env.runs) == 2


@pytest.mark.parametrize("code", FAILING, ids=lambda code: code.__name__)
def test_what_is_raised_in_it_fails_the_instance(
    env: TestEnvironment, code: Callable[..., Any], kind: type[BaseException]
) -> None:
    instance_id = env.start(code)
    env.run_until_idle()
    if not env.status(instance_id).is_terminal:
        env.raise_event(instance_id, "E", {"k": "v"})
    with pytest.raises(OrchestrationFailedError) as caught:
        env.result(instance_id)
    assert named(kind, caught.value.failure)


def test_a_query_that_raises_is_answered_and_nothing_more(env: TestEnvironment, kind: type[BaseException]) -> None:
    instance_id = env.start(asked)
    env.run_until_idle()
    with pytest.raises(QueryFailedError, match=kind.__name__):
        env.query(instance_id, "q")
    env.raise_event(instance_id, "X", 7)
    assert env.result(instance_id) == 7


def test_a_retry_if_that_raises_means_no(env: TestEnvironment) -> None:
    with pytest.raises(OrchestrationFailedError, match="no"):
        env.result(env.start(retry_if))
    assert [run.name for run in env.runs] == ["refuses"]


def test_a_saga_undoes_what_was_done(env: TestEnvironment, kind: type[BaseException]) -> None:
    with pytest.raises(OrchestrationFailedError, match=kind.__name__):
        env.result(env.start(undoes))
    undone = 0 if kind is GeneratorExit else 1  # which may be that of its generator's end
    assert [run.name for run in env.runs] == ["gives"] * (1 + undone)


def named(kind: type[BaseException], failure: FailureDetails | None) -> bool:
    """Whether a failure, or one in its chain of causes, tells of this type."""
    while failure is not None:
        if failure.type == type_name(kind) or type_name(kind) in failure.message:
            return True
        failure = failure.cause
    return False
