"""The test environment: time, activities in place of others, events, and what it says when a test cannot go on."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest

from durable_core import ActivityContext, RuntimeStatus
from durable_core.errors import (
    ConfigurationError,
    InstanceNotFoundError,
    InstanceStuckError,
    InstanceWaitsError,
    InvalidInputError,
    OrchestrationFailedError,
    RegistrationError,
    UnknownActivityError,
)
from durable_core.testing import TestEnvironment

from . import programs
from .programs import Money, approval, calls_nobody, double, doubled, forgets_a_yield, monitor, parent, slow, wait_days


@pytest.fixture
def env(durable: TestEnvironment) -> TestEnvironment:
    durable.register(programs)
    return durable


# ------------------------------------------------------------------ time


def test_time_stands_still_until_it_is_moved(env: TestEnvironment) -> None:
    began = env.now
    waiting = env.start(wait_days, 14)
    env.run_until_idle()
    assert env.now == began == datetime(2030, 1, 1, tzinfo=UTC)
    assert env.status(waiting).runtime_status is RuntimeStatus.RUNNING


def test_a_timer_fires_at_its_time_and_not_before(env: TestEnvironment) -> None:
    waiting = env.start(wait_days, 14)
    env.advance(days=13, hours=23, minutes=59)
    assert not env.status(waiting).is_terminal
    env.advance(minutes=1)
    assert env.status(waiting).output == "2030-01-15T00:00:00.000+00:00"
    assert env.now == datetime(2030, 1, 15, tzinfo=UTC)


def test_a_result_lets_time_jump_as_far_as_it_needs_and_no_further(env: TestEnvironment) -> None:
    assert env.result(env.start(wait_days, 400)) == "2031-02-05T00:00:00.000+00:00"
    assert env.now == datetime(2031, 2, 5, tzinfo=UTC)


def test_small_steps_of_time_do_not_drift(env: TestEnvironment) -> None:
    began = env.now
    for _ in range(1000):
        env.advance(seconds=0.5)
    assert env.now - began == timedelta(seconds=500)


def test_time_does_not_go_back(env: TestEnvironment) -> None:
    env.advance(to=datetime(2030, 2, 1, tzinfo=UTC))
    with pytest.raises(ConfigurationError, match="virtual time cannot go back"):
        env.advance(to=datetime(2030, 1, 1, tzinfo=UTC))


def test_an_instance_that_runs_for_ever_is_moved_step_by_step(env: TestEnvironment) -> None:
    watching = env.start(monitor, 0)
    env.advance(days=2)
    assert env.history(watching)[1] | {"Timestamp": ""} == {
        "EventType": "ExecutionStarted",
        "Timestamp": "",
        "Name": "monitor",
        "Input": 48,
    }
    with pytest.raises(InstanceWaitsError, match=r"has not ended by .* env\.advance"):
        env.result(watching, within=timedelta(days=4))


# ------------------------------------------------------------------ activities in place of others


def test_an_activity_replaced_by_a_function_gets_its_typed_input(env: TestEnvironment) -> None:
    got: list[object] = []

    def triple(money: Money) -> Money:
        got.append(money)
        return Money(cents=money.cents * 3)

    env.replace(double, triple)
    assert env.result(env.start(doubled, Money(cents=5)), Money) == Money(cents=15)
    assert got == [Money(cents=5)]


def test_an_activity_is_replaced_by_its_name_too_and_again_in_the_middle_of_a_test(env: TestEnvironment) -> None:
    assert env.result(env.start(doubled, Money(cents=5))) == Money(cents=10)
    env.replace("double", lambda: Money(cents=1))
    assert env.result(env.start(doubled, Money(cents=5))) == Money(cents=1)


def test_a_mock_is_called_with_the_input_alone(env: TestEnvironment) -> None:
    mock = env.replace(double, Mock(return_value=Money(cents=1)))
    env.result(env.start(doubled, Money(cents=5)))
    mock.assert_called_once_with(Money(cents=5))


@pytest.mark.parametrize("kind", ["async mock", "autospec", "async function", "with context", "bound method"])
def test_all_kinds_of_callables_can_take_the_place_of_an_activity(env: TestEnvironment, kind: str) -> None:
    async def later(money: Money) -> Money:
        await asyncio.sleep(3600)
        return Money(cents=7)

    def with_context(ctx: ActivityContext, money: Money) -> Money:
        assert ctx.idempotency_key
        return Money(cents=7)

    class Fake:
        def charge(self, money: Money) -> Money:
            return Money(cents=7)

    kinds = {
        "async mock": AsyncMock(return_value=Money(cents=7)),
        "autospec": create_autospec(double, return_value=Money(cents=7)),
        "async function": later,
        "with context": with_context,
        "bound method": Fake().charge,
    }
    env.replace(double, kinds[kind])
    assert env.result(env.start(doubled, Money(cents=5))) == Money(cents=7)
    assert env.now - datetime(2030, 1, 1, tzinfo=UTC) == timedelta(hours=1 if kind == "async function" else 0)


def test_a_replacement_that_raises_is_tried_again_as_the_retry_policy_says(env: TestEnvironment) -> None:
    mock = env.replace(double, Mock(side_effect=[OSError("down"), OSError("down"), Money(cents=1)]))
    assert env.result(env.start(doubled, Money(cents=5))) == Money(cents=1)
    assert [run.attempt for run in env.runs] == [1, 2, 3]
    assert mock.call_count == 3


def test_a_result_of_the_wrong_shape_fails_as_in_production(env: TestEnvironment) -> None:
    env.replace(double, Mock(return_value="many"))
    with pytest.raises(OrchestrationFailedError, match="does not fit the expected type") as caught:
        env.result(env.start(doubled, Money(cents=5)))
    assert caught.value.failure is not None
    assert caught.value.failure.is_caused_by(InvalidInputError)


def test_a_result_that_is_no_json_fails_as_in_production(env: TestEnvironment) -> None:
    env.replace(double, Mock(return_value=object()))
    with pytest.raises(OrchestrationFailedError, match="the result of activity 'double'"):
        env.result(env.start(doubled, Money(cents=5)))


def test_a_mock_that_has_no_more_values_says_so(env: TestEnvironment) -> None:
    env.replace(double, Mock(side_effect=[]))
    with pytest.raises(OrchestrationFailedError, match="is a mock's side_effect used up"):
        env.result(env.start(doubled, Money(cents=5)))


def test_an_unknown_activity_is_refused_with_those_that_there_are(env: TestEnvironment) -> None:
    with pytest.raises(UnknownActivityError, match=r"no activity 'dubble' .* registered: double, slow"):
        env.replace("dubble", Mock())


@pytest.mark.parametrize("wrong", [5, lambda a, b, c: None, lambda money, *, rate: None])  # pyright: ignore
def test_what_cannot_be_called_as_an_activity_is_refused(env: TestEnvironment, wrong: object) -> None:
    with pytest.raises(RegistrationError, match="activity 'double'"):
        env.replace(double, wrong)  # pyright: ignore[reportArgumentType]


def test_an_activity_in_a_thread_is_waited_for(env: TestEnvironment) -> None:
    async def in_a_thread(money: Money) -> Money:
        return await asyncio.to_thread(lambda: Money(cents=money.cents + 1))

    env.replace(double, in_a_thread)
    assert env.result(env.start(doubled, Money(cents=5))) == Money(cents=6)


# ------------------------------------------------------------------ events, requests, queries


def test_events_are_raised_at_virtual_times(env: TestEnvironment) -> None:
    waiting = env.start(approval)
    env.raise_event(waiting, "Approved", at=datetime(2030, 1, 3, tzinfo=UTC))
    env.raise_event(waiting, "Approved", after=timedelta(days=9))
    assert env.query(waiting, "seen") == 0
    env.advance(days=5)
    assert env.query(waiting, "seen") == 1
    assert env.result(waiting) == "approved twice by 10 January"


def test_an_event_for_later_is_dropped_when_the_instance_has_ended(env: TestEnvironment) -> None:
    waiting = env.start(approval)
    env.raise_event(waiting, "Approved", after=timedelta(days=9))
    env.terminate(waiting, "no")
    env.advance(days=10)
    with pytest.raises(OrchestrationFailedError, match="ended as Terminated: no"):
        env.result(waiting)


def test_an_event_for_an_instance_that_is_not_there_is_told(env: TestEnvironment) -> None:
    with pytest.raises(InstanceNotFoundError):
        env.raise_event("nobody", "Approved")
    env.raise_event("nobody", "Approved", after=timedelta(days=1))
    with pytest.raises(InstanceNotFoundError):
        env.advance(days=2)


def test_suspend_resume_and_cancel(env: TestEnvironment) -> None:
    waiting = env.start(approval)
    env.suspend(waiting)
    env.raise_event(waiting, "Approved")
    assert env.status(waiting).runtime_status is RuntimeStatus.SUSPENDED
    with pytest.raises(InstanceWaitsError, match=rf"is suspended since 2030.*env\.resume\('{waiting}'\)"):
        env.result(waiting)
    env.resume(waiting)
    assert env.query(waiting, "seen") == 1
    env.cancel(waiting, "enough")
    assert env.status(waiting).runtime_status is RuntimeStatus.CANCELED


def test_everything_else_is_done_by_the_real_client(env: TestEnvironment) -> None:
    assert env.run(env.client.signal_with_start(approval, "a-1", "Approved"))
    status = env.run(env.client.wait_for_completion("a-1", timeout=3600))
    assert not status.is_terminal
    assert [s.instance_id for s in env.run(env.client.get_status_all())] == ["a-1"]


# ------------------------------------------------------------------ when it cannot go on


def test_a_failure_is_raised_with_the_stack_of_the_users_code(env: TestEnvironment) -> None:
    def broken(money: Money) -> Money:
        raise LookupError(f"no rate for {money.cents}")

    env.replace(double, broken)
    with pytest.raises(OrchestrationFailedError) as caught:
        env.result(env.start(doubled, Money(cents=5)))
    text = str(caught.value)
    assert "orchestrator 'doubled' ended as Failed" in text
    assert "LookupError: no rate for 5" in text
    assert "programs.py" in text
    assert "in broken" in text


def test_a_wait_for_an_event_that_nobody_raises_is_an_error_with_its_line(env: TestEnvironment) -> None:
    waiting = env.start(approval)
    env.advance(days=1)
    with pytest.raises(InstanceWaitsError) as caught:
        env.result(waiting)
    line = next(
        n
        for n, text in enumerate(Path(programs.__file__).read_text().splitlines(), 1)
        if 'wait_for_external_event("App' in text
    )
    assert "waits for external event 'Approved' since 2030-01-01 00:00:00" in str(caught.value)
    assert f"called at environment/programs.py:{line}" in str(caught.value)
    assert f"env.raise_event('{waiting}', 'Approved')" in str(caught.value)
    assert env.now - datetime(2030, 1, 2, tzinfo=UTC) < timedelta(minutes=10)  # it did not try for years


def test_a_parent_that_waits_for_its_child_is_told_what_the_child_waits_for(env: TestEnvironment) -> None:
    with pytest.raises(InstanceWaitsError, match=r"(?s)sub-orchestration 'approval'.*external event 'Approved'"):
        env.result(env.start(parent))


def test_an_activity_that_is_not_there_is_told_at_once(env: TestEnvironment) -> None:
    waiting = env.start(calls_nobody)
    with pytest.raises(InstanceStuckError, match="has activity 'not_there'"):
        env.advance(days=14)
    with pytest.raises(InstanceStuckError, match="has activity 'not_there'"):
        env.result(waiting)


def test_no_result_of_what_is_not_there(env: TestEnvironment) -> None:
    with pytest.raises(InstanceNotFoundError):
        env.result("nobody")
    with pytest.raises(InstanceNotFoundError):
        env.history("nobody")


def test_a_forgotten_yield_is_seen_in_the_log(env: TestEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        env.result(env.start(forgets_a_yield))
    assert any("double" in record.message and "programs.py" in record.message for record in caplog.records)


def test_what_goes_right_logs_nothing(env: TestEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        env.result(env.start(doubled, Money(cents=5)))
    assert not caplog.records


# ------------------------------------------------------------------ its own rules


def test_registering_too_late_is_refused(env: TestEnvironment) -> None:
    env.start(approval)
    with pytest.raises(ConfigurationError, match="before the first call"):
        env.register(slow)


async def test_an_async_test_is_told_to_be_a_plain_one(env: TestEnvironment) -> None:
    with pytest.raises(ConfigurationError, match="in a plain function"):
        env.start(approval)


def test_an_activity_cannot_move_its_environment(env: TestEnvironment) -> None:
    env.replace(double, lambda: env.advance(days=1))
    says = "activity 'double' cannot control the environment.*make the call in the test itself"
    with pytest.raises(OrchestrationFailedError, match=says):
        env.result(env.start(doubled, Money(cents=5)))


def test_a_coroutine_that_is_run_uses_the_client_and_cannot_move_its_environment(env: TestEnvironment) -> None:
    waiting = env.start(approval)

    async def approve() -> str:
        await env.client.raise_event(waiting, "Approved")
        return (await env.client.get_status(waiting)).name

    async def start() -> str:
        return env.start(approval)

    assert env.run(approve()) == "approval"
    with pytest.raises(
        ConfigurationError, match=r"a coroutine given to env.run cannot control.*await the methods of env.client"
    ):
        env.run(start())


def test_an_activity_may_raise_an_event(env: TestEnvironment) -> None:
    waiting = env.start(approval)

    def approve() -> Money:
        env.raise_event(waiting, "Approved", after=timedelta(hours=1))
        return Money(cents=0)

    env.replace(double, approve)
    env.start(doubled, Money(cents=5))
    env.start(doubled, Money(cents=5))
    assert env.result(waiting) == "approved twice by 01 January"


def test_a_closed_environment_is_of_no_use(env: TestEnvironment) -> None:
    env.start(approval)
    env.close()
    env.close()
    with pytest.raises(ConfigurationError, match="is closed"):
        env.status("a")


def test_environments_do_not_meet(env: TestEnvironment) -> None:
    with TestEnvironment(approval) as other:
        env.start(approval, instance_id="same")
        other.start(approval, instance_id="same")
        other.terminate("same")
        assert not env.status("same").is_terminal
