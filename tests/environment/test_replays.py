"""Code that does not repeat itself is found out in the user's first test."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from durable_core import DeterminismError, NonDeterminismError, Orchestration
from durable_core.errors import InstanceStuckError
from durable_core.testing import TestEnvironment

from . import programs
from .programs import counted, flips_a_coin, looks_at_the_clock, random_input, random_output


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "runs_of_counted", 0)
    random.seed(1)


def open_environment(*, replay_every_step: bool = True, guard: bool = False) -> TestEnvironment:
    """The guard would find some of it before a replay does."""
    return TestEnvironment(programs, replay_every_step=replay_every_step, guard=guard)


def test_global_state_is_found_by_the_replay_before_the_second_step() -> None:
    with open_environment() as env, pytest.raises(NonDeterminismError) as caught:
        env.result(env.start(counted))
    text = str(caught.value)
    assert caught.value.expected == "TaskScheduled(task_id=1, name='slow')"
    assert caught.value.actual == "TaskScheduled(task_id=1, name='double')"
    assert text.count("environment/programs.py:") == 2


def test_it_is_found_by_the_last_replay_where_steps_are_not_replayed() -> None:
    env = open_environment(replay_every_step=False)
    with pytest.raises(NonDeterminismError, match="name='double'"):
        env.result(env.start(counted))
    env.close()  # it has been told


def test_it_is_found_on_close_when_no_result_was_asked_for() -> None:
    env = open_environment(replay_every_step=False)
    env.start(counted)
    env.run_until_idle()
    with pytest.raises(NonDeterminismError, match="name='double'"):
        env.close()


def test_it_is_raised_by_whatever_lets_the_instance_run() -> None:
    env = open_environment()
    env.start(counted)
    with pytest.raises(NonDeterminismError):
        env.run_until_idle()
    env.close()


def test_a_coin_is_found() -> None:
    with open_environment() as env, pytest.raises(NonDeterminismError, match=r"programs\.py:"):
        env.result(env.start(flips_a_coin))


def test_a_random_input_is_found_although_the_calls_are_the_same() -> None:
    with open_environment() as env, pytest.raises(NonDeterminismError, match="differs at each run") as caught:
        env.result(env.start(random_input))
    assert caught.value.expected.startswith("TaskScheduled(task_id=1, name='double') with {\"cents\": ")


def test_a_random_result_is_found() -> None:
    with open_environment() as env, pytest.raises(NonDeterminismError, match=r"it returned 0\."):
        env.result(env.start(random_output))


def test_a_timer_by_the_clock_is_found() -> None:
    env = open_environment()
    env.start(looks_at_the_clock)
    with pytest.raises(NonDeterminismError, match="TimerCreated"):
        env.close()


@pytest.mark.parametrize(
    "orchestrator", [flips_a_coin, random_input, random_output, looks_at_the_clock], ids=lambda fn: fn.__name__
)
def test_a_clock_and_chance_are_stopped_at_their_line_at_their_first_use(
    durable: TestEnvironment, orchestrator: Callable[..., Orchestration[Any]]
) -> None:
    durable.register(programs)
    used = r"orchestrator code used .*(random|clock|now).* at environment/programs\.py:\d+"
    with pytest.raises((DeterminismError, InstanceStuckError), match=used):
        durable.result(durable.start(orchestrator))


def test_what_the_first_step_uses_is_a_determinism_error(durable: TestEnvironment) -> None:
    durable.register(programs)
    with pytest.raises(DeterminismError) as caught:
        durable.result(durable.start(random_input))
    assert caught.value.location.startswith("environment/programs.py:")


def test_good_code_passes_every_replay() -> None:
    with open_environment() as env:
        env.start(programs.parent, instance_id="p")
        env.start(programs.monitor, 0)
        env.advance(hours=5)
        (child,) = [s.instance_id for s in env.run(env.client.get_status_all()) if s.name == "approval"]
        env.raise_event(child, "Approved")
        env.raise_event(child, "Approved")
        assert env.result("p") == "approved twice by 01 January"
