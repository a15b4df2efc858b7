"""Interleavings about the journals of activities (J1-J8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from durable_core.hub.journals import Journals
from durable_core.runtime.activities import journal, journal_calls
from durable_core.runtime.activities.journal import JournalRun
from durable_core.runtime.activities.journal_calls import StepCall
from durable_core.runtime.worker import Worker

from .journals import Steps, staged_registry
from .plays import Play, always, replaced
from .stage import Stage, StagedHost
from .two_runs import begun, dies_at, overtaken

ABC = ["a", "b", "c"]
STORE = r"insert \w+ one d\w+-\d+-\d+-"


async def _begun(stage: Stage, names: list[str] = ABC) -> tuple[StagedHost, StagedHost]:
    return await begun(stage, "do", names)


async def _well(stage: Stage, names: list[str] = ABC) -> Steps:
    """It has ended, with values that the journal has."""
    await stage.ends_well()
    steps = stage.props["steps"]
    assert isinstance(steps, Steps)
    told = await stage.output()
    assert [each[0] for each in told] == names, f"the code has got {told}"
    await steps.check(told)
    return steps


async def a_step_that_a_dead_run_has_recorded_does_not_run_again(stage: Stage) -> None:
    """Host 1 records a step and dies. Host 2 gets the message, and goes on with the next."""
    first, second = await _begun(stage)
    await dies_at(stage, first, STORE + "000000", "after")
    await second.handle("work")
    steps = await _well(stage)
    assert steps.runs == {"a": 1, "b": 1, "c": 1}, f"a recorded step ran again: {steps.runs}"


async def a_fork_repeats_no_step_that_its_source_has_recorded(stage: Stage) -> None:
    """The three steps of an activity are recorded. Its instance is forked before the end of the call."""
    first, _ = await _begun(stage)
    await first.handle("work")
    await stage.client.fork("one", until_task=1, new_instance_id="two")
    steps = await _well(stage)
    assert steps.runs == {"a": 1, "b": 1, "c": 1}, f"a recorded step ran again: {steps.runs}"


async def a_step_that_ran_twice_is_recorded_once(stage: Stage) -> None:
    """Host 1 stalls in the first step. Host 2 gets the message and records that step. Host 1 goes on."""
    first, second = await _begun(stage)
    await overtaken(stage, first, second, stage.hold_activity("a-1"), stage.hold_activity("b-1"))
    await _well(stage)


async def a_run_behind_a_newer_one_begins_no_step(stage: Stage) -> None:
    """As before; when host 1 has written down its step, it leaves the next to host 2, which is in it."""
    first, second = await _begun(stage)
    await overtaken(stage, first, second, stage.hold_activity("a-1"), stage.hold_activity("b-1"))
    steps = await _well(stage)
    assert steps.runs["b"] == 1, f"two runs went on with every step: {steps.runs}"


async def a_run_that_takes_over_says_so(stage: Stage) -> None:
    """A host records a step and dies. Host 1 gets the message, and stalls in the next step; host 2 gets it then, and
    records that step. Host 1 goes on while host 2 is in the third."""
    zeroth, first = await _begun(stage)
    second = stage.host()
    await dies_at(stage, zeroth, STORE + "000000", "after")
    await overtaken(stage, first, second, stage.hold_activity("b-1"), stage.hold_activity("c-1"))
    steps = await _well(stage)
    assert steps.runs["c"] == 1, f"two runs went on with every step: {steps.runs}"


async def a_run_that_leaves_sees_to_it_that_the_work_goes_on(stage: Stage) -> None:
    """Host 1 stalls before it has begun; host 2 gets the message and begins. Host 1 wakes up, begins, and so leads; it
    has lost its message. Host 2 leaves, and its message is deleted. Host 1 dies."""
    zeroth, first = await _begun(stage)
    second = stage.host()
    await dies_at(stage, zeroth, r"read \w+ one d")
    begins, works = first.hold(STORE + r"\d+"), stage.hold_activity("a-1")
    one = await first.begin("work")
    await begins.reached()
    await stage.lease_expires()
    two = await second.begin("work")
    await works.reached()
    dies = stage.hold_activity("a-2")
    begins.let_go()
    await dies.reached()
    works.let_go()
    await asyncio.wait([two])
    first.plan.dead = True
    dies.let_go()
    await asyncio.wait([one])
    await _well(stage)


async def what_followed_from_a_failure_is_not_recorded_if_the_step_has_a_value(stage: Stage) -> None:
    """In host 1 a step fails, the code goes on from that, and host 1 stalls in the next step. Host 2 gets the message;
    there the first step succeeds, and is recorded. Host 1 goes on, while host 2 is in the second step."""
    first, second = await _begun(stage, ["x!", "y"])
    await overtaken(stage, first, second, stage.hold_activity("y-1"), stage.hold_activity("y-2"))
    await _well(stage, ["x!", "y"])
    ways = [way for _, _, way in await stage.output()]
    assert ways == [False, False], "a value is of another way through the code"


async def an_attempt_does_not_lead_behind_a_later_one(stage: Stage) -> None:
    """Host 1 stalls before attempt 1 has begun. Host 2 gets the message; attempt 1 fails, and attempt 2 is in a step.
    Host 1 goes on."""
    names = ["a", "fail", "b"]
    zeroth, first = await _begun(stage, names)
    second = stage.host()
    await dies_at(stage, zeroth, r"read \w+ one d")
    await overtaken(stage, first, second, first.hold(STORE + r"\d+"), stage.hold_activity("b-1"), retried=True)
    await _well(stage, ["a", "b"])
    assert stage.effects.runs.total() == 2, "an earlier attempt took the lead"


async def _send_nothing(self: Worker, *_: object) -> None: ...


def _learn_nothing(self: Any, entries: Any) -> None:
    """Try the next number, whatever is there."""
    self._number = max([self._number, *(entry.number + 1 for entry in entries)])
    for entry in entries:
        if entry.run == self._run:
            self._keep(entry)


async def _copy_nothing(*_: object) -> None: ...


def _all_of(calls: Sequence[StepCall], known: object) -> list[StepCall]:
    return list(calls)


TWICE = "two runs went on"

_PLAYS = [
    Play(
        "J1",
        a_step_that_a_dead_run_has_recorded_does_not_run_again,
        replaced(JournalRun, "_learn", _learn_nothing),
        "ran again|recorded twice",
    ),
    Play("J2", a_run_that_takes_over_says_so, always(journal, "must_begin", False), TWICE),
    Play("J3", a_run_behind_a_newer_one_begins_no_step, always(journal, "is_led_by_another", False), TWICE),
    Play("J4", an_attempt_does_not_lead_behind_a_later_one, always(journal, "is_of_a_later_attempt", False), "lead"),
    Play("J5", a_run_that_leaves_sees_to_it_that_the_work_goes_on, replaced(Worker, "_send_on", _send_nothing), "lost"),
    Play(
        "J6",
        what_followed_from_a_failure_is_not_recorded_if_the_step_has_a_value,
        always(journal_calls, "is_another_end", False),
        "another way",
    ),
    Play(
        "J7",
        a_step_that_ran_twice_is_recorded_once,
        replaced(journal, "not_recorded", _all_of),
        "recorded twice",
    ),
    Play(
        "J8",
        a_fork_repeats_no_step_that_its_source_has_recorded,
        replaced(Journals, "copy", _copy_nothing),
        "ran again",
    ),
]
PLAYS = [Play(each.rule, each.perform, each.without, each.breaks, staged_registry) for each in _PLAYS]
