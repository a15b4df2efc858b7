"""A generator that lived all along, and one that was replayed from history: whatever happens, nobody can tell."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_core import FailureDetails, OrchestrationContext, Task
from durable_core.converter import Converter
from durable_core.definitions import OrchestratorDefinition
from durable_core.engine.events import (
    CancelRequested,
    ContinueAsNew,
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
    Incoming,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerFired,
    from_array,
    to_array,
)
from durable_core.engine.executor import InstanceInfo, OrchestrationExecutor, Turn
from durable_core.runtime.activities.call_options import timed_out

from .programs import NAMES, Program, Run, Stage, programs

pytestmark = pytest.mark.filterwarnings(
    # These tests drop generators halfway, and some programs wait in a ``finally``: Python warns when it collects them.
    "ignore:Exception ignored in. <generator object Run:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def dropped_generators_are_collected_here() -> Generator[None]:
    yield
    gc.collect()  # and not in another test, which would be blamed


START = datetime(2030, 1, 1, tzinfo=UTC)
FAILURES = (FailureDetails("ValueError", "no"), timed_out("too slow"))


@pytest.fixture(autouse=True, scope="module")
def _no_warnings_of_forgotten_yields() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Random programs forget their tasks all the time."""
    logger = logging.getLogger("durable_core.engine")
    logger.disabled = True
    yield
    logger.disabled = False


def new(program: Program, generation: int, stage: Stage = "patched") -> OrchestrationExecutor:
    def orchestrate(ctx: OrchestrationContext, data: int) -> Generator[Task[Any], Any, list[str]]:
        run = Run(ctx, program, data, stage)
        yield from run.execute(program)
        return run.trace

    definition = OrchestratorDefinition(name="random", version="", fn=orchestrate, input_type=int, location="")
    info = InstanceInfo(instance_id="i", execution_id="e", generation=generation, name="random", version="")
    return OrchestrationExecutor(definition, info, Converter())


def answers(live: OrchestrationExecutor, choice: random.Random) -> list[Incoming]:
    """A result for every open call."""
    found: list[Incoming] = []
    for task_id, pending in live.pending.items():
        good = choice.random() < 0.8
        match pending.event:
            case TaskScheduled(name="durable.http") if good:
                found.append(TaskCompleted(task_id, response(choice)))
            case TaskScheduled():
                found.append(TaskCompleted(task_id, [task_id]) if good else TaskFailed(task_id, FAILURES[task_id % 2]))
            case SubOrchestrationCreated():
                found.append(
                    SubOrchestrationCompleted(task_id, "done") if good else SubOrchestrationFailed(task_id, FAILURES[0])
                )
            case _:
                found.append(TimerFired(task_id))
    for task_id, step in live.steps.items():
        failure = None if choice.random() < 0.8 else FAILURES[0]
        found.append(StepCompleted(task_id, step.name, task_id, failure, step.line))
    return found


def response(choice: random.Random) -> dict[str, Any]:
    status, wait = choice.choice((200, 202, 202)), choice.choice(("5", "", "soon"))
    return {"status_code": status, "headers": {"location": "/later", "Retry-After": wait}, "content": "text"}


class World:
    """What happens to an instance: results in any order, duplicates, events, management requests."""

    def __init__(self, choice: random.Random) -> None:
        self.choice = choice
        self.past: list[Incoming] = []
        self.rows = 0

    def batch(self, live: OrchestrationExecutor) -> list[Incoming]:
        choice = self.choice
        coming = answers(live, choice)
        coming = choice.sample(coming, choice.randint(0, len(coming)))
        if self.past and choice.random() < 0.3:
            coming += choice.sample(self.past, choice.randint(1, min(3, len(self.past))))
        for _ in range(choice.choice((0, 0, 1, 1, 2))):
            name = choice.choice(NAMES)
            coming.append(EventRaised(choice.choice((name, name.upper())), {"n": self.row()}, f"row{self.rows}"))
        if choice.random() < 0.1:
            coming.append(TaskCompleted(choice.randint(-1, 40), "nobody asked"))
        if choice.random() < 0.1:
            coming.append(ExecutionSuspended("", f"row{self.row()}"))
        if live.suspended or choice.random() < 0.1:
            coming.append(ExecutionResumed("", f"row{self.row()}"))
        if choice.random() < 0.02:
            coming.append(ExecutionTerminated("", f"row{self.row()}", recursive=choice.random() < 0.5))
        if choice.random() < 0.08:
            coming.append(CancelRequested("stop", f"row{self.row()}", recursive=choice.random() < 0.5))
        if choice.random() < 0.02:
            coming.append(ExecutionTimedOut(START))
        choice.shuffle(coming)
        self.past += coming
        return coming

    def row(self) -> int:
        self.rows += 1
        return self.rows


def state(live: OrchestrationExecutor) -> dict[str, Any]:
    return {
        "pending": list(live.pending.items()),
        "steps": [(step.task_id, step.name, step.line, step.born) for step in live.steps.values()],
        "known": [live.knows(task_id) for task_id in range(-1, 50)],
        "waits": live.waits,
        "unconsumed": live.unconsumed_events(),
        "unheard": live.unreceived_requests(),
        "due": live.due_timers(START + timedelta(days=1)),
        "status": live.custom_status,
        "started": live.started,
        "suspended": live.suspended,
        "completion": live.completion,
        "history": live.history,
    }


def stored(segment: Segment) -> Segment:
    """The segment as a reader of the stored form gets it."""
    return Segment(
        segment.seq,
        segment.commit_id,
        segment.timestamp,
        tuple(from_array(to_array(event)) for event in segment.events),
    )


def assert_recorded_once(segments: Sequence[Segment]) -> None:
    ids = [
        (type(event) is TimerFired, event.task_id)
        for segment in segments
        for event in segment.events
        if isinstance(
            event,
            TaskCompleted
            | TaskFailed
            | TimerFired
            | SubOrchestrationCompleted
            | SubOrchestrationFailed
            | StepCompleted,
        )
    ]
    assert len(ids) == len(set(ids))
    rows = [e.event_id for segment in segments for e in segment.events if isinstance(e, EventRaised)]
    assert len(rows) == len(set(rows))


@settings(max_examples=150)
@given(program=programs, seed=st.integers(0, 2**32))
def test_a_cold_start_between_any_two_steps_changes_nothing(program: Program, seed: int) -> None:
    world = World(random.Random(seed))
    now = START
    incoming: list[Incoming] = [ExecutionStarted("random", "", 0)]
    warm = new(program, 0)
    for seq in range(25):
        cold = new(program, warm.info.generation)
        cold.replay(stored(segment) for segment in warm.history)
        assert state(cold) == state(warm)
        turn, again = warm.step(now, incoming), cold.step(now, incoming)
        assert turn == again
        assert len(turn.recorded) + len(turn.unapplied) <= len(incoming)
        segment = Segment(seq, f"c{seq}", now, turn.events)
        warm.record(segment)
        cold.record(segment)
        assert state(cold) == state(warm)
        assert_recorded_once(warm.history)
        lives = [warm, cold]
        world.choice.shuffle(lives)
        warm = lives.pop()
        lives.pop().close()
        now += timedelta(seconds=world.choice.randint(0, 90))
        if warm.completion is None:
            incoming = world.batch(warm)
        elif isinstance(warm.completion, ContinueAsNew):
            incoming = next_generation(warm, warm.completion, turn)
            warm.close()
            warm = new(program, warm.info.generation + 1)
        else:
            break
    warm.close()


def next_generation(live: OrchestrationExecutor, end: ContinueAsNew, turn: Turn) -> list[Incoming]:
    carried = live.unconsumed_events() if end.keep_events else []
    return [
        ExecutionStarted("random", "", end.input),
        *carried,
        *live.unreceived_requests(),
        *turn.unapplied,
    ]


@settings(max_examples=100)
@given(program=programs, seed=st.integers(0, 2**32))
def test_at_one_time_it_does_not_matter_how_events_are_cut_into_steps(program: Program, seed: int) -> None:
    world = World(random.Random(seed))
    one_by_one, together = new(program, 0), new(program, 0)
    incoming: list[Incoming] = [ExecutionStarted("random", "", 0)]
    for _ in range(10):
        turn = together.step(START, incoming)
        turns: list[Turn] = []
        for event in incoming:
            if isinstance(event, CancelRequested) and isinstance(one_by_one.completion, ContinueAsNew):
                break  # its commit is made: the request is for the next generation
            turns.append(one_by_one.step(START, [event]))
        if len(turns) < len(incoming):
            break
        assert turn.recorded == tuple(event for part in turns for event in part.recorded)
        assert turn.outgoing == tuple(event for part in turns for event in part.outgoing)
        assert state(together) == state(one_by_one)
        if together.completion is not None:
            break
        incoming = world.batch(together)
    one_by_one.close()
    together.close()


DEPLOYMENTS: list[tuple[Stage, Stage]] = [
    ("before", "patched"),
    ("patched", "deprecated"),
    ("deprecated", "removed"),
    ("deprecated", "patched"),  # a step back, or hosts of both builds
    ("removed", "deprecated"),
]


@settings(max_examples=100)
@given(program=programs, seed=st.integers(0, 2**32), stages=st.sampled_from(DEPLOYMENTS))
def test_the_next_stage_of_a_patch_goes_on_where_the_last_one_was(
    program: Program, seed: int, stages: tuple[Stage, Stage]
) -> None:
    """Whenever it is deployed: no mismatch, and again nobody can tell a warm generator from a replayed one."""
    world = World(random.Random(seed))
    first, second = stages
    deployed_at = world.choice.randint(0, 6)
    now = START
    incoming: list[Incoming] = [ExecutionStarted("random", "", 0)]
    live = new(program, 0, first)
    for seq in range(15):
        if seq == deployed_at:
            moved = new(program, live.info.generation, second)
            moved.replay(map(stored, live.history))
            live.close()
            live = moved
        stage = first if seq < deployed_at else second
        cold = new(program, live.info.generation, stage)
        cold.replay(map(stored, live.history))
        assert state(cold) == state(live)
        turn = live.step(now, incoming)
        assert cold.step(now, incoming) == turn
        cold.close()
        live.record(Segment(seq, f"c{seq}", now, turn.events))
        now += timedelta(seconds=world.choice.randint(0, 90))
        if live.completion is None:
            incoming = world.batch(live)
        elif isinstance(live.completion, ContinueAsNew):
            incoming = next_generation(live, live.completion, turn)
            live.close()
            live = new(program, live.info.generation + 1, stage)
        else:
            break
    live.close()
