"""Branches, slots and update handlers, whose code is right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durable_core import EntityId, Limit, Orchestration, OrchestrationContext, Task, orchestrator

OVEN = Limit(name="oven", concurrency=1)


def book(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
    return (yield from ctx.call_activity("book", what))


def calls(ctx: OrchestrationContext, number: int):
    """Makes tasks one after the other, for a window: no branch."""
    for at in range(number):
        yield ctx.call_activity("book", at)


def later(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
    """No generator: who calls it gets one."""
    return book(ctx, what)


@orchestrator
def compositions(ctx: OrchestrationContext, names: list[str]) -> Orchestration[list[Any]]:
    found = yield from ctx.task_all(calls(ctx, 20), max_concurrency=2)
    books = [book(ctx, name) for name in names]
    yield from ctx.gather(*books)
    yield from ctx.gather(*[book(ctx, name) for name in names], ctx.create_timer(timedelta(1)))
    yield from ctx.task_all((book(ctx, name) for name in names), max_concurrency=3)
    same = ctx.call_activity("book", "x")
    yield from ctx.gather(same, same)
    yield from ctx.task_all([same] * 2)
    yield from ctx.with_timeout(book(ctx, "a"), timedelta(1))
    yield from ctx.with_timeout(ctx.task_all([book(ctx, "a")]), timedelta(1))
    for task in ctx.as_completed([later(ctx, name) for name in names]):
        yield from task
    first, second = book(ctx, "a"), book(ctx, "b")
    yield from ctx.gather(first, second)
    return found


@orchestrator
def loops(ctx: OrchestrationContext, names: list[str]) -> Orchestration[Any]:
    tasks: list[Task[Any]] = []
    seats: dict[str, int] = {}
    for name in names:
        yield from ctx.run("now", lambda: len(name))
        yield from ctx.wait_condition(lambda: name in seats)
        tasks.append(ctx.run("bound", lambda name=name: len(name)))
        tasks.append(ctx.run("len", len, name))
        tasks.append(ctx.run("seats", lambda: len(seats)))

        def at_once() -> Orchestration[None]:
            yield from ctx.call_activity("book", name)
            ctx.set_custom_status(len(seats))

        def given(name: str) -> Orchestration[None]:
            yield from ctx.call_activity("find", name)
            yield from ctx.call_activity("book", name)

        def both() -> Orchestration[None]:
            yield from ctx.call_activity("find", name)
            yield from ctx.call_activity("book", name)

        tasks.append(ctx.branch(at_once()))
        tasks.append(ctx.branch(given(name)))
        yield from ctx.gather(both(), given(name))
        yield from both()
    lengths = [(lambda: len(name))() for name in names]
    yield from ctx.task_all(tasks)
    return lengths


@orchestrator
async def in_async(ctx: OrchestrationContext, names: list[str]) -> list[int]:
    with await ctx.slot(OVEN), await ctx.lock(EntityId("purse", "one")):
        return [await ctx.run("len", lambda: len(name)) for name in names]


@orchestrator
def sections(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    words: list[str] = []

    async def say(word: str) -> int:
        await ctx.create_timer(timedelta(1))
        words.append(word)
        return len(words)

    def plain(word: str) -> None:
        words.append(word)

    ctx.set_update_handler("say", say)
    ctx.set_update_handler("plain", plain, unfinished="abandon")
    with (yield from ctx.slot(OVEN)):
        yield from ctx.wait_condition(lambda: words)
    rate = ctx.slot(Limit(name="calls", rate=5))
    yield from rate
    ctx.lock(EntityId("purse", "one")).cancel()
    yield from ctx.slot(OVEN)
    return words
