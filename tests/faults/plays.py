"""What a play is made of: orchestrators for the stage, and the form in which plays are listed.

A play is one interleaving that a rule of docs/architecture.md was found by, and the way to take that rule out. With
the rule the play ends well; without it an assertion fails, which shows that the play is about this rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, RetryPolicy, activity
from durable_core import orchestrator as orchestrator_

from .more_scenarios import noise
from .scenarios import Effects
from .stage import Stage

TakeOut = Callable[[pytest.MonkeyPatch], None]

LARGE_RESULT = 40 * 1024


@dataclass(frozen=True)
class Play:
    """``perform`` plays it, and asserts. ``without`` takes the rule out; then an assertion fails with ``breaks`` in
    its message (a pattern). The name of ``perform`` is the guarantee, its docstring the interleaving."""

    rule: str
    perform: Callable[[Stage], Awaitable[None]]
    without: TakeOut
    breaks: str
    registry: Callable[[Callable[[], Stage], Effects], Registry] | None = None  # None: ``play_registry``
    turns_at_work: bool = False

    @property
    def title(self) -> str:
        return f"{self.rule}-{self.perform.__name__}"


def replaced(owner: object, name: str, value: object) -> TakeOut:
    """Put this in the place of what the module or class has under the name."""

    def take_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, value)

    return take_out


def always(owner: object, function: str, value: object) -> TakeOut:
    """Replace a function by one that always gives this answer."""

    def answer(*_: Any, **__: Any) -> Any:
        return value

    return replaced(owner, function, answer)


def play_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    """Activities can be held by the text that they are called with."""

    @activity
    async def mark(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        await stage().during(text)
        return text

    @activity
    async def fail_once(ctx: ActivityContext) -> int:
        effects.runs[ctx.idempotency_key] += 1
        await stage().during("fail_once")
        if ctx.attempt == 1:
            raise ValueError("the first attempt fails")
        return ctx.attempt

    @activity
    async def large(ctx: ActivityContext, salt: int) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return noise(LARGE_RESULT, salt)

    @orchestrator_
    def steps(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[str]]:
        """One activity after the other, each through the work queue."""
        done: list[str] = []
        for text in texts:
            result = yield from ctx.call_activity(mark, text, inline=False)
            done.append(result)
        return done

    @orchestrator_
    def steps_and_event(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[str]:
        for text in texts:
            yield from ctx.call_activity(mark, text, inline=False)
        item: str = yield from ctx.wait_for_external_event("Item")
        return item

    @orchestrator_
    def inline_steps(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[str]]:
        done: list[str] = []
        for text in texts:
            result = yield from ctx.call_activity(mark, text, inline=True)
            done.append(result)
        return done

    @orchestrator_
    def fan(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[str]]:
        done = yield from ctx.task_all([ctx.call_activity(mark, text) for text in texts])
        return done

    @orchestrator_
    def window(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[str]]:
        """Never more than two calls open; the next is made when one has ended."""
        done = yield from ctx.task_all((ctx.call_activity(mark, text) for text in texts), max_concurrency=2)
        return done

    @orchestrator_
    def tries_again(ctx: OrchestrationContext) -> Orchestration[int]:
        policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=20))
        attempt = yield from ctx.call_activity(fail_once, retry=policy, inline=True)
        return attempt

    @orchestrator_
    def event_between(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        first = yield from ctx.call_activity(mark, "a", inline=False)
        item = yield from ctx.wait_for_external_event("Item", str)
        second = yield from ctx.call_activity(mark, "b", inline=False)
        return [first, item, second]

    @orchestrator_
    def collect(ctx: OrchestrationContext, number: int) -> Orchestration[list[str]]:
        found: list[str] = []
        for _ in range(number):
            item = yield from ctx.wait_for_external_event("Item", str)
            found.append(item)
        return found

    @orchestrator_
    def collect_anew(ctx: OrchestrationContext, found: list[str]) -> Orchestration[list[str]]:
        """Begins anew with every event, until there are two."""
        item = yield from ctx.wait_for_external_event("Item", str)
        found = [*found, item]
        if len(found) < 2:
            ctx.continue_as_new(found)
        return found

    @orchestrator_
    def announces(ctx: OrchestrationContext) -> Orchestration[str]:
        """Ends with the commit that sends an event to instance "two" and starts instance "three"."""
        item = yield from ctx.wait_for_external_event("Item", str)
        ctx.send_event("two", "Item", item)
        ctx.start_orchestration("steps", ["of three"], "three")
        return item

    @orchestrator_
    def announces_first(ctx: OrchestrationContext) -> Orchestration[str]:
        """Sends an event and starts an instance with its first commit, and ends at the second event."""
        item = yield from ctx.wait_for_external_event("Item", str)
        ctx.send_event("two", "Item", item)
        ctx.start_orchestration("steps", ["of three"], "three")
        return (yield from ctx.wait_for_external_event("Enough", str))

    @orchestrator_
    def insists(ctx: OrchestrationContext) -> Orchestration[int]:
        policy = RetryPolicy(first_interval=timedelta(minutes=25), max_interval=timedelta(hours=1))
        attempt = yield from ctx.call_activity(fail_once, retry=policy, inline=False)
        return attempt

    @orchestrator_
    def renews(ctx: OrchestrationContext, number: int) -> Orchestration[str]:
        """Two generations with the same task ids."""
        result = yield from ctx.call_activity(mark, f"generation {number}", inline=False)
        if number == 0:
            ctx.continue_as_new(1)
        return result

    @orchestrator_
    def parent(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        result = yield from ctx.call_sub_orchestrator(steps, ["of the child"])
        return result

    @orchestrator_
    def waits_for_ever(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("Never")

    @orchestrator_
    def ends_before_its_child(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.call_sub_orchestrator(waits_for_ever, None, "child", parent_close="terminate")
        yield from ctx.wait_for_external_event("Go")

    @orchestrator_
    def parent_anew(ctx: OrchestrationContext, number: int) -> Orchestration[list[str]]:
        """A child in each of two generations; the first does not wait for its own."""
        child = ctx.call_sub_orchestrator(steps, [f"child {number}"])
        if number == 0:
            ctx.continue_as_new(1)
            return []
        return (yield from child)

    @orchestrator_
    def heavy_steps(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        """So large results that the log is rolled every few steps; ends with an event."""
        for salt in range(number):
            yield from ctx.call_activity(large, salt, inline=False)
        yield from ctx.wait_for_external_event("Enough", str)
        return number

    @orchestrator_
    def heavy_anew(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        """The same; goes on with a new generation at an event."""
        for salt in range(number):
            yield from ctx.call_activity(large, salt, inline=False)
        if number:
            yield from ctx.wait_for_external_event("Anew", str)
            ctx.continue_as_new(0)
        return number

    registry = Registry().add(mark, fail_once, large, steps, steps_and_event, inline_steps, fan, event_between, collect)
    return registry.add(
        window,
        tries_again,
        collect_anew,
        announces,
        announces_first,
        insists,
        renews,
        parent,
        waits_for_ever,
        ends_before_its_child,
        parent_anew,
        heavy_steps,
        heavy_anew,
    )
