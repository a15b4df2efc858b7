"""A generator and an ``async def`` with the same statements: the same history, and one goes on for the other."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_core.converter import Converter
from durable_core.definitions import OrchestratorDefinition
from durable_core.engine.events import ContinueAsNew, ExecutionStarted, Incoming, Segment, to_array
from durable_core.engine.executor import InstanceInfo, OrchestrationExecutor

from .test_warm_and_cold_are_one import START, World, answers, state

SPELLINGS = {"generator": ("def", "yield from"), "async": ("async def", "await")}

STATEMENTS = (
    "seen.append(repr((WAIT ctx.call_activity('red', len(seen)))))",
    "seen.append(repr((WAIT ctx.call_sub_orchestrator('Green', len(seen)))))",
    "seen.append(repr((WAIT ctx.run('step', len, seen))))",
    "WAIT ctx.create_timer(timedelta(seconds=len(seen)))",
    "seen.append(repr((WAIT ctx.wait_for_external_event('red'))))",
    "held.append(ctx.call_activity('Green', len(seen)))",
    "seen.append(repr((WAIT ctx.task_all(held))))",
    "seen.append(repr((WAIT ctx.gather(*held, policy='all_settled'))))",
    "seen.append(repr((WAIT ctx.gather(helper(ctx, seen), helper(ctx, seen), *held))))",
    "seen.append(repr((WAIT ctx.gather(helper(ctx, seen), failing(ctx, seen), policy='all_settled'))))",
    "held.append(ctx.branch(failing(ctx, seen)))",
    "held.append(ctx.branch(helper(ctx, seen)))",
    "seen.append(repr((WAIT ctx.task_all((helper(ctx, seen) for _ in range(3)), max_concurrency=2))))",
    "seen.append(repr((WAIT ctx.task_any([helper(ctx, seen), ctx.create_timer(timedelta(9))])).is_faulted))",
    "seen.append(repr((WAIT ctx.with_timeout(helper(ctx, seen), timedelta(seconds=30)))))",
    "seen.append(repr((WAIT helper(ctx, seen))))",
    "seen.append(repr((WAIT ctx.run_saga(saga_of(ctx, seen)))))",
    "for each in ctx.as_completed([helper(ctx, seen), *held]): seen.append(repr((WAIT each)))",
    "seen.append(f'{ctx.new_uuid()} {ctx.random.random()} {ctx.current_utc_datetime}')",
    "ctx.continue_as_new(data + 1) if data < 2 else None",
    "raise ArithmeticError(len(seen))",
)

HEAD = """\
from datetime import timedelta
from durable_core.errors import TaskFailedError, TaskCancelledError

DEF helper(ctx, seen):
    one = WAIT ctx.call_activity('red', len(seen))
    try:
        return [one, (WAIT ctx.wait_for_external_event('Green', timeout=timedelta(minutes=1)))]
    except TaskCancelledError:
        WAIT ctx.call_activity('undo')
        raise

DEF failing(ctx, seen):
    WAIT ctx.create_timer(timedelta(seconds=5))
    raise ArithmeticError(len(seen))

def saga_of(ctx, seen):
    DEF body(saga):
        WAIT ctx.call_activity('red', len(seen))
        saga.add_compensation('undo', len(seen))
        return (WAIT ctx.call_activity('Green', len(seen)))
    return body

DEF orchestrate(ctx, data):
    seen, held = [], []
"""

lines = st.lists(st.tuples(st.sampled_from(STATEMENTS), st.booleans()), min_size=1, max_size=8)


def spelled(program: list[tuple[str, bool]], spelling: str) -> Callable[..., Any]:
    """The program in one spelling, at the same lines of the same file."""
    define, wait = SPELLINGS[spelling]
    text = HEAD
    for statement, is_tried in program:
        if is_tried:
            text += f"    try:\n        {statement}\n    except TaskFailedError as error: seen.append(repr(error))\n"
        else:
            text += f"    {statement}\n"
    text += "    WAIT ctx.create_timer(timedelta(seconds=1))\n    return seen\n"
    names: dict[str, Any] = {}
    exec(compile(text.replace("DEF", define).replace("WAIT", wait), "shop/generated.py", "exec"), names)
    return names["orchestrate"]


def new(fn: Callable[..., Any], generation: int) -> OrchestrationExecutor:
    definition = OrchestratorDefinition(name="random", version="", fn=fn, input_type=int, location="")
    info = InstanceInfo(instance_id="i", execution_id="e", generation=generation, name="random", version="")
    return OrchestrationExecutor(definition, info, Converter())


@pytest.fixture(autouse=True, scope="module")
def _no_warnings_of_forgotten_waits() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    logger = logging.getLogger("durable_core.engine")
    logger.disabled = True
    yield
    logger.disabled = False


def written(segments: Sequence[Segment]) -> list[str]:
    """The events as they are stored, without the text of tracebacks, which may name calls of the engine."""
    return [json.dumps([_plain(to_array(event)) for event in segment.events], default=str) for segment in segments]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {name: _plain(each) for name, each in entries.items() if name != "stack"}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("list[Any]", value)]
    return value


def seen(live: OrchestrationExecutor) -> dict[str, Any]:
    end = live.completion
    return {**state(live), "completion": None if end is None else _plain(to_array(end))}


@settings(max_examples=120)
@given(program=lines, seed=st.integers(0, 2**32))
def test_both_have_one_history_and_either_goes_on_with_that_of_the_other(
    program: list[tuple[str, bool]], seed: int
) -> None:
    choice = random.Random(seed)
    world = World(choice)
    codes = [spelled(program, spelling) for spelling in SPELLINGS]
    now = START
    lives = [new(code, 0) for code in codes]
    incoming: list[Incoming] = [ExecutionStarted("random", "", 0)]
    for seq in range(20):
        turns = [live.step(now, incoming) for live in lives]
        for live, turn in zip(lives, turns, strict=True):
            live.record(Segment(seq, f"c{seq}", now, turn.events))
        assert written(lives[0].history) == written(lives[1].history)
        if choice.random() < 0.5:  # the other spelling is deployed
            moved = [new(codes[1 - at], lives[at].info.generation) for at in range(2)]
            for at in range(2):
                moved[at].replay(lives[at].history)
                assert seen(moved[at]) == seen(lives[at])
                lives[at].close()
            codes.reverse()
            lives = moved
        now += timedelta(seconds=choice.randint(0, 90))
        end = lives[0].completion
        if isinstance(end, ContinueAsNew):
            for live in lives:
                live.close()
            lives = [new(code, lives[0].info.generation + 1) for code in codes]
            incoming = [ExecutionStarted("random", "", end.input)]
        elif end is not None:
            break
        else:
            incoming = world.batch(lives[0])
    assert answers(lives[0], random.Random(0)) == answers(lives[1], random.Random(0))
    for live in lives:
        live.close()
