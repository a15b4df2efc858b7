"""The code of a journaled activity over its recorded steps: nothing runs, and it is told where the code would go on."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    StepFailedError,
    activity,
    orchestrator,
)
from durable_core.converter import Converter
from durable_core.engine.events import TaskScheduled
from durable_core.errors import ConfigurationError, JournalError
from durable_core.replay import deploy_check
from durable_core.replay.call_debugger import debug_call, in_lines
from durable_core.replay.deploy_check import DeployReport, check_deploy
from durable_core.replay.journaled_code import Ahead, CodeEnd, RecordedCall, load_call, open_parts, part_of, run_code
from durable_core.replay.replayer import load_history
from durable_core.testing.simulation import World

RUNS: Counter[str] = Counter()


async def count(name: str) -> str:
    RUNS[name] += 1
    if name == "refused":
        raise ValueError("no")
    if name == "slow":
        await asyncio.sleep(5)
    return f"{name} {RUNS[name]}"


@activity(journal=True, name="work", retry=RetryPolicy(max_attempts=9, first_interval=timedelta(hours=5)))
async def work(ctx: JournalContext, names: list[str]) -> list[str]:
    ctx.heartbeat("begun")
    await ctx.stream().write("x")
    told = list(await asyncio.gather(*(ctx.step("one", count, name, key=name) for name in names)))
    try:
        await ctx.step("refused", count, "refused")
    except StepFailedError:
        told.append(await ctx.step("after", count, "after"))
    told.append(await ctx.wait_for_event("Go", returns=str))
    told.append(await ctx.step("last", count, "slow"))
    return told


@activity(journal=True, name="work")
async def changed(ctx: JournalContext, names: list[str]) -> list[str]:
    told = list(await asyncio.gather(*(ctx.step("one", count, name, key=name) for name in names)))
    await ctx.step("check", count, "check")
    return told


@activity(journal=True, name="work")
async def longer(ctx: JournalContext, names: list[str]) -> list[str]:
    """What is new comes beside the recorded steps, so that no place of theirs has changed."""
    steps = [ctx.step("one", count, name, key=name) for name in names]
    return list(await asyncio.gather(*steps, ctx.step("new", count, "new")))


@activity(journal=True, name="work")
async def other_input(ctx: JournalContext, names: dict[str, int]) -> None: ...


@activity(journal=True, name="work")
async def broken(ctx: JournalContext, names: list[str]) -> None:
    await ctx.step("one", count, names[0], key=names[0])
    raise KeyError("A_SETTING")


@activity(journal=True, name="work")
async def hangs(ctx: JournalContext, names: list[str]) -> None:
    await asyncio.sleep(1e6)


@orchestrator
def call_work(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    yield from ctx.call_activity(work, ["a", "b"])
    return (yield from ctx.call_activity(work, ["c"]))


@orchestrator
def idle(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.wait_for_external_event("Go")


@dataclass
class Looked:
    end: CodeEnd
    told: list[tuple[str, str]]


def with_code(fn: Callable[..., Any]) -> Registry:
    return Registry().add(fn, call_work, idle)


async def look(world: World, number: int, fn: Callable[..., Any] = work) -> Looked:
    registry, hub, before = with_code(fn), world.outside.hub, dict(RUNS)
    history = await load_history(hub, "one")
    call = await load_call(hub, history, part_of(registry, history, number))
    told: list[tuple[str, str]] = []
    end = await run_code(
        registry.activity("work"),
        call,
        Converter(),
        patience=10.0,
        follow=lambda entry, line: told.append((str(entry.step), entry.text)),
    )
    assert before == RUNS, "a step has run"
    return Looked(end, told)


def played(drive: Callable[[World], Awaitable[Any]]) -> Any:
    RUNS.clear()
    world = World(with_code(work))
    found = world.run(drive)
    assert not world.errors, world.errors
    return found


async def until_it_waits(world: World) -> None:
    await world.client.start_new("call_work", "one")
    await asyncio.sleep(30)
    assert RUNS["after"] == 1


async def finished(world: World) -> None:
    await until_it_waits(world)
    await world.client.raise_event("one", "Go", "gone")
    await asyncio.sleep(60)
    await world.client.raise_event("one", "Go", "gone")
    await world.client.wait_for_completion("one", timeout=3600)


def test_the_code_of_a_waiting_call_comes_to_its_wait_and_runs_nothing() -> None:
    async def drive(world: World) -> Looked:
        await until_it_waits(world)
        return await look(world, 1)

    found = played(drive)
    assert [name for name, _ in found.told] == [
        "'one' (key 'a')",
        "'one' (key 'b')",
        "'refused' (call 1 of this name)",
        "'after' (call 1 of this name)",
    ]
    assert found.end.fits
    (ahead,) = found.end.ahead
    assert ahead.is_wait
    assert "Go" in ahead.step and "test_journaled_code.py:" in ahead.line


def test_each_part_of_an_ended_call_comes_to_its_own_end() -> None:
    async def drive(world: World) -> tuple[Looked, list[int], Looked]:
        await finished(world)
        history = await load_history(world.outside.hub, "one")
        calls = [event.task_id for event in history.events if isinstance(event, TaskScheduled)]
        assert open_parts(with_code(work), history) == []
        return await look(world, calls[0]), calls, await look(world, calls[1])

    first, calls, second = played(drive)
    assert len(calls) == 4
    assert first.end.ahead[0].is_wait
    assert second.end.ahead == () and second.end.error is None
    assert second.end.result == ["a 1", "b 1", "after 1", "gone", "slow 1"]


def test_a_step_that_is_not_recorded_is_where_the_code_would_go_on() -> None:
    async def drive(world: World) -> Looked:
        await until_it_waits(world)
        await world.client.raise_event("one", "Go", "gone")
        await asyncio.sleep(3)
        assert RUNS["slow"] == 1
        history = await load_history(world.outside.hub, "one")
        (part,) = open_parts(with_code(work), history)
        return await look(world, part.task_id)

    found = played(drive)
    (ahead,) = found.end.ahead
    assert (ahead.step, ahead.is_wait) == ("'last' (call 1 of this name)", False)
    assert found.told[-1][1] == '"gone"', "the end of the wait is told, too"


def test_code_that_does_not_fit_is_told_with_both_lines() -> None:
    async def drive(world: World) -> list[Looked]:
        await until_it_waits(world)
        return [await look(world, 1, fn) for fn in (changed, longer, other_input, broken)]

    mismatch, fitting, no_input, raising = played(drive)
    assert not mismatch.end.fits
    assert isinstance(mismatch.end.error, JournalError)
    assert str(mismatch.end.error).count("test_journaled_code.py:") == 2
    assert "'check'" in str(mismatch.end.error) and "'refused'" in str(mismatch.end.error)
    assert fitting.end.fits
    assert [each.step for each in fitting.end.ahead] == ["'new' (call 1 of this name)"]
    assert len(fitting.told) == 2, "the recorded steps beside it are told"
    assert not no_input.end.fits and "the input of activity 'work'" in str(no_input.end.error)
    assert raising.end.fits and isinstance(raising.end.error, KeyError)


def test_a_number_that_is_no_such_call_is_refused_with_those_that_are() -> None:
    async def drive(world: World) -> None:
        await until_it_waits(world)
        history = await load_history(world.outside.hub, "one")
        with pytest.raises(ConfigurationError, match=r"no call 7 .* it has: 1 \('work'\)"):
            part_of(with_code(work), history, 7)

    played(drive)


def test_the_code_is_stepped_through_with_the_recorded_values(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drive(world: World) -> RecordedCall:
        await until_it_waits(world)
        history = await load_history(world.outside.hub, "one")
        return await load_call(world.outside.hub, history, part_of(with_code(work), history, 1))

    call, said = played(drive), list[str]()
    output = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\nn\nn\np told\nc\n"))
    monkeypatch.setattr("sys.stdout", output)
    end = debug_call(with_code(work).activity("work"), call, say=said.append)
    assert end is not None and end.told == 4
    assert "['a 1', 'b 1']" in output.getvalue(), output.getvalue()
    assert said[0].startswith("call 1 of activity 'work' begins at ")
    assert said[1].startswith("step 'one' (key 'a') at ") and said[1].endswith('-> "a 1"')
    assert said[-1].startswith("after 4 recorded ends of steps and waits the code waits for ")
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    assert debug_call(with_code(work).activity("work"), call, say=said.append) is None


def test_where_the_code_goes_on_is_told_in_words() -> None:
    step = CodeEnd(told=1, ahead=[Ahead("'pay' (call 1 of this name)", "shop.py:7", is_wait=False)])
    (line,) = in_lines(step)
    assert line == (
        "after 1 recorded end of steps and waits the code goes on with step 'pay' (call 1 of this name) at shop.py:7, "
        "which is not recorded and was not run"
    )
    assert in_lines(CodeEnd(told=2, error=KeyError("x")))[0].endswith("the code raised KeyError: 'x'")
    assert in_lines(CodeEnd(told=2, result=5))[0].endswith("the code returned 5")


# ---------------------------------------------------------------- the check before a deployment


def checked(fn: Callable[..., Any]) -> DeployReport:
    async def drive(world: World) -> DeployReport:
        await until_it_waits(world)
        await world.client.start_new("idle", "idle")
        await world.client.start_new("call_work", "two")
        await asyncio.sleep(60)
        before = dict(RUNS)
        report = await check_deploy(world.outside.hub, with_code(fn))
        assert before == RUNS, "a step has run"
        return report

    return played(drive)


def test_the_check_runs_the_code_of_open_calls_over_their_steps() -> None:
    report = checked(work)
    assert report.is_fine
    assert (report.fitting, report.journals) == (3, 2)
    assert report.unchecked == []


def test_the_check_finds_code_that_does_not_fit_a_journal_once_with_both_lines() -> None:
    report = checked(changed)
    (group,) = report.breaking
    assert (report.fitting, group.count, sorted(group.instance_ids)) == (1, 2, ["one", "two"])
    assert group.text.count("test_journaled_code.py:") == 2
    assert not report.is_fine
    (group,) = checked(other_input).breaking
    assert "the input of activity 'work'" in group.text


@pytest.mark.parametrize(("fn", "words"), [(broken, "KeyError"), (hangs, "within 0.2 s")])
def test_code_that_fails_between_its_steps_is_told_and_fails_no_check(
    fn: Callable[..., Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_check, "CODE_SECONDS", 0.2)
    report = checked(fn)
    assert report.is_fine
    (group,) = report.unchecked
    assert group.count == 2
    assert words in group.text
    assert report.to_json()["unchecked"]
