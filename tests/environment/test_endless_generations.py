"""An orchestrator that continues as new while no time passes ends the test, not the patience of who runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, RuntimeStatus, activity, orchestrator
from durable_core.errors import InstanceWaitsError
from durable_core.testing import TestEnvironment


@activity
def light(number: int) -> int:
    return number + 1


@orchestrator
def never_waits(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
    ctx.continue_as_new(number + 1)
    yield from ()


@orchestrator
def waits_for_work(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
    ctx.continue_as_new((yield from ctx.call_activity(light, number)))


@orchestrator
def counts_down(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
    if number:
        ctx.continue_as_new(number - 1)
    yield from ()


@pytest.mark.parametrize("code", [never_waits, waits_for_work], ids=lambda code: code.__name__)
def test_the_start_says_which_orchestrator_it_is_and_where(durable: TestEnvironment, code: Callable[..., Any]) -> None:
    durable.register(sys.modules[__name__])
    with pytest.raises(InstanceWaitsError, match=rf"'{code.__name__}' has continued as new .*, at environment/test_"):
        durable.result(durable.start(code, 1, instance_id="one"))
    durable.terminate("one")
    durable.run_until_idle()
    assert durable.status("one").runtime_status is RuntimeStatus.TERMINATED


def test_one_that_ends_may_continue_as_new_often(durable: TestEnvironment) -> None:
    durable.register(sys.modules[__name__])
    assert durable.result(durable.start(counts_down, 500)) is None
