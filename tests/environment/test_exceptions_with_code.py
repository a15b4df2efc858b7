"""Exceptions whose classes have code of their own are failures like others, whatever that code does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    StepFailedError,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.errors import OrchestrationFailedError
from durable_core.testing import TestEnvironment


class TextExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class NotesRaise(Exception):
    @property
    def __notes__(self) -> list[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise RuntimeError("no notes")


class IsFalse(Exception):
    """As an error that is a collection of problems."""

    def __len__(self) -> int:
        return 0


class TruthRaises(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


def with_number_as_notes() -> Exception:
    error = ValueError("x")
    error.__notes__ = 5  # pyright: ignore[reportAttributeAccessIssue]
    return error


def with_cause(cause: Exception) -> Exception:
    error = ValueError("x")
    error.__cause__ = cause
    return error


def of_odd_class() -> Exception:
    class Meta(type):
        @property
        def __module__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
            raise RuntimeError("no module")

    class Odd(Exception, metaclass=Meta):
        pass

    return Odd("x")


MAKERS: dict[str, Callable[[], Exception]] = {
    "text": TextExits,
    "notes": NotesRaise,
    "number as notes": with_number_as_notes,
    "false": lambda: with_cause(IsFalse("y")),
    "no truth": lambda: with_cause(TruthRaises("y")),
    "odd class": of_odd_class,
}


@activity
async def explode(ctx: ActivityContext, which: str) -> None:
    raise MAKERS[which]()


def step(which: str) -> None:
    raise MAKERS[which]()


@orchestrator
def catches(ctx: OrchestrationContext, which: str) -> Orchestration[int]:
    caught = 0
    try:
        yield from ctx.call_activity(explode, which)
    except TaskFailedError:
        caught += 1
    try:
        yield from ctx.run("step", step, which)
    except StepFailedError:
        caught += 1
    return caught


@orchestrator
def raises(ctx: OrchestrationContext, which: str) -> Orchestration[Any]:
    def branch() -> Orchestration[None]:
        yield ctx.create_timer(timedelta(seconds=1))
        raise MAKERS[which]()

    yield from ctx.gather(branch())


@pytest.mark.parametrize("which", MAKERS)
def test_a_step_and_an_activity_fail_with_it(durable: TestEnvironment, which: str) -> None:
    durable.register(catches, explode)
    assert durable.result(durable.start(catches, which), int) == 2


@pytest.mark.parametrize("which", MAKERS)
def test_an_orchestration_fails_with_it(durable: TestEnvironment, which: str) -> None:
    durable.register(raises)
    instance_id = durable.start(raises, which)
    with pytest.raises(OrchestrationFailedError):
        durable.result(instance_id)
    assert durable.status(instance_id).failure is not None


def test_a_cause_that_is_false_is_kept(durable: TestEnvironment) -> None:
    durable.register(raises)
    instance_id = durable.start(raises, "false")
    durable.advance(seconds=2)
    failure = durable.status(instance_id).failure
    assert failure is not None
    assert failure.is_caused_by(IsFalse)
