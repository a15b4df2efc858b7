"""Orchestrators as ``async def``: the same engine, the same history, and no event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityFailedError,
    EntityId,
    FailureDetails,
    Orchestration,
    OrchestrationContext,
    Registry,
    Saga,
    Task,
    activity,
    orchestrator,
)
from durable_core.engine.annotations import result_type
from durable_core.engine.events import (
    CancelRequested,
    EventRaised,
    ExecutionCompleted,
    LockGranted,
    LockReleased,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerFired,
)
from durable_core.errors import RegistrationError, TaskCancelledError

from .engine_driver import Driver

Ctx = OrchestrationContext
NO_ROOM = FailureDetails("ValueError", "no room", bases=("Exception",))
TEN_SECONDS = timedelta(seconds=10)


def called(driver: Driver) -> list[str]:
    return [event.name for event in driver.outgoing if isinstance(event, TaskScheduled)]


def same_when_cold(driver: Driver) -> None:
    cold = driver.replayed()
    assert list(cold.pending.items()) == list(driver.live.pending.items())
    assert cold.completion == driver.live.completion
    assert (cold.waits, cold.waits_at) == (driver.live.waits, driver.live.waits_at)
    cold.close()


async def book(ctx: Ctx, what: str) -> str:
    offer = await ctx.call_activity(f"find-{what}")
    return await ctx.call_activity(f"book-{what}", offer)


# ---------------------------------------------------------------- the same as a generator


def test_it_waits_with_await_and_helpers_are_awaited() -> None:
    async def code(ctx: Ctx, data: int) -> list[Any]:
        one = await ctx.call_activity("one", data)
        return [one, await book(ctx, "car")]

    driver = Driver(code, 7)
    assert called(driver) == ["one"]
    driver.tell(TaskCompleted(1, 1))
    line = book.__code__.co_firstlineno + 1
    assert driver.live.waits_at == f"unit/test_engine_async.py:{line}"
    assert driver.live.waits[0].line == driver.live.waits_at
    same_when_cold(driver)
    driver.tell(TaskCompleted(2, "offer"))
    driver.tell(TaskCompleted(3, "C"))
    assert driver.result == [1, "C"]
    same_when_cold(driver)


def test_the_end_has_the_line_of_the_return() -> None:
    async def code(ctx: Ctx) -> int:
        await ctx.create_timer(TEN_SECONDS)
        return 0

    driver = Driver(code)
    driver.tell(TimerFired(1))
    end = driver.live.completion
    assert isinstance(end, ExecutionCompleted)
    assert end.line == f"unit/test_engine_async.py:{code.__code__.co_firstlineno + 2}"


def test_failures_are_raised_at_the_await() -> None:
    async def code(ctx: Ctx) -> str:
        try:
            await ctx.call_activity("a")
        except ActivityFailedError as error:
            return error.failure.message
        return "?"

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_ROOM))
    assert driver.result == "no room"

    async def fails(ctx: Ctx) -> None:
        await book(ctx, "car")

    driver = Driver(fails)
    driver.tell(TaskFailed(1, NO_ROOM))
    assert driver.failure.line == f"unit/test_engine_async.py:{book.__code__.co_firstlineno + 1}"


@pytest.mark.parametrize("is_async", [True, False])
def test_coroutines_are_branches_in_both_spellings(is_async: bool) -> None:
    async def awaits(ctx: Ctx) -> list[Any]:
        return list(await ctx.gather(book(ctx, "car"), book(ctx, "hotel"), ctx.call_activity("note")))

    def yields(ctx: Ctx) -> Orchestration[list[Any]]:
        return list((yield from ctx.gather(book(ctx, "car"), book(ctx, "hotel"), ctx.call_activity("note"))))

    driver = Driver(awaits if is_async else yields)
    assert called(driver) == ["note", "find-car", "find-hotel"]
    driver.tell(TaskCompleted(3, None), TaskCompleted(1, "n"), TaskCompleted(2, None))
    same_when_cold(driver)
    driver.tell(TaskCompleted(4, "H"), TaskCompleted(5, "C"))
    assert driver.result == ["C", "H", "n"]
    same_when_cold(driver)


def test_an_async_orchestrator_runs_generators_as_branches() -> None:
    def helper(ctx: Ctx) -> Orchestration[int]:
        return (yield from ctx.call_activity("a"))

    async def code(ctx: Ctx) -> Any:
        return await ctx.branch(helper(ctx))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 3))
    assert driver.result == 3


def test_compositions_races_and_windows() -> None:
    async def code(ctx: Ctx) -> Any:
        window = await ctx.task_all((book(ctx, f"{n}") for n in range(2)), max_concurrency=1)
        timer = ctx.create_timer(TEN_SECONDS)
        late = await ctx.task_any([timer, ctx.wait_for_external_event("go")]) is timer
        found: list[Any] = []
        for ended in ctx.as_completed([ctx.call_activity("x"), ctx.call_activity("y")]):
            found.append(await ended)
        return [window, late, found]

    driver = Driver(code)
    for n in range(1, 5):
        driver.tell(TaskCompleted(n, n))
    driver.tell(TimerFired(5))
    driver.tell(TaskCompleted(7, "Y"), TaskCompleted(6, "X"))
    assert driver.result == [[2, 4], True, ["Y", "X"]]
    same_when_cold(driver)


def test_locks_with_the_plain_with_statement() -> None:
    async def code(ctx: Ctx) -> Any:
        account = EntityId("Account", "a")
        with await ctx.lock(account):
            return await ctx.call_entity(account, "get")

    driver = Driver(code)
    driver.tell(LockGranted(1))
    from durable_core.engine.events import OperationAnswered

    driver.tell(OperationAnswered(2, 5))
    assert driver.result == 5
    assert any(isinstance(event, LockReleased) for event in driver.outgoing)
    same_when_cold(driver)


@pytest.mark.parametrize("style", ["run_saga", "compensate"])
def test_sagas_are_awaited_and_take_async_compensations(style: str) -> None:
    async def undo(ctx: Ctx) -> None:
        await ctx.call_activity("undo")

    async def code(ctx: Ctx) -> Any:
        async def body(saga: Saga) -> None:
            await ctx.call_activity("do")
            saga.add_compensation(undo, ctx)
            await ctx.call_activity("fail")

        if style == "run_saga":
            return await ctx.run_saga(body)
        saga = ctx.saga()
        try:
            await body(saga)
        except ActivityFailedError:
            await saga.compensate()
            raise

    driver = Driver(code)
    driver.tell(TaskCompleted(1, None))
    driver.tell(TaskFailed(2, NO_ROOM))
    assert called(driver) == ["undo"]
    same_when_cold(driver)
    driver.tell(TaskCompleted(3, None))
    assert driver.failure.is_caused_by(ValueError)
    same_when_cold(driver)


def test_a_generator_runs_an_async_body_of_a_saga() -> None:
    def code(ctx: Ctx) -> Orchestration[str]:
        async def body(saga: Saga) -> str:
            return await ctx.call_activity("do")

        return (yield from ctx.run_saga(body))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, "done"))
    assert driver.result == "done"


def test_conditions_handlers_queries_and_continue_as_new() -> None:
    async def code(ctx: Ctx, n: int) -> Any:
        seen: list[int] = []
        ctx.on_event("item", seen.append)
        ctx.set_query_handler("seen", lambda: seen)
        await ctx.wait_condition(lambda: len(seen) == 2)
        ctx.continue_as_new(n + 1)

    driver = Driver(code, 1)
    driver.tell(EventRaised("item", 1, "a"))
    same_when_cold(driver)
    assert driver.replayed().query("seen", None) == [1]
    driver.tell(EventRaised("item", 2, "b"))
    assert driver.live.completion is not None
    assert driver.live.completion.input == 2  # type: ignore


def test_cancel_and_close_reach_the_code() -> None:
    log: list[str] = []

    async def code(ctx: Ctx) -> None:
        try:
            await ctx.create_timer(TEN_SECONDS)
        except TaskCancelledError:
            log.append("cancelled")
            await ctx.call_activity("clean-up")
            raise
        finally:
            log.append("finally")

    driver = Driver(code)
    driver.tell(CancelRequested("stop", event_id="c"))
    assert called(driver) == ["clean-up"]
    driver.tell(TaskCompleted(2, None))
    assert driver.live.completion is not None
    assert log == ["cancelled", "finally"]
    driver = Driver(code)
    driver.live.close()
    assert log == ["cancelled", "finally", "finally"]


def test_async_iteration_and_context_managers_over_tasks_are_python() -> None:
    async def each(ctx: Ctx) -> AsyncIterator[int]:
        for n in range(2):
            yield await ctx.call_activity("next", n)

    @contextlib.asynccontextmanager
    async def opened(ctx: Ctx) -> AsyncGenerator[str]:
        yield await ctx.call_activity("open")
        await ctx.call_activity("close")

    async def code(ctx: Ctx) -> Any:
        async with opened(ctx) as name:
            return [name, [n async for n in each(ctx)]]

    async def in_a_process_with_a_loop() -> Driver:
        driver = Driver(code)
        for n in range(1, 5):
            driver.tell(TaskCompleted(n, n))
        return driver

    driver = asyncio.run(in_a_process_with_a_loop())
    assert driver.result == [1, [2, 3]]
    same_when_cold(driver)


# ---------------------------------------------------------------- the other spelling goes on


@pytest.mark.parametrize("first", ["generator", "async"])
def test_one_spelling_replays_the_history_of_the_other(first: str) -> None:
    def order(ctx: Ctx) -> Orchestration[Any]:  # pyright: ignore[reportRedeclaration]
        a = yield from ctx.call_activity("a")
        yield from ctx.create_timer(TEN_SECONDS)
        return [a, (yield from ctx.wait_for_external_event("go"))]

    generator = order

    async def order(ctx: Ctx) -> Any:
        a = await ctx.call_activity("a")
        await ctx.create_timer(TEN_SECONDS)
        return [a, await ctx.wait_for_external_event("go")]

    codes: list[Callable[..., Any]] = [generator, order]
    old, new = codes if first == "generator" else codes[::-1]
    driver = Driver(old)
    driver.tell(TaskCompleted(1, 1))
    driver.live.close()
    driver.live = driver.replayed(new)
    driver.tell(TimerFired(2))
    driver.tell(EventRaised("go", 2, "a"))
    assert driver.result == [1, 2]


# ---------------------------------------------------------------- no event loop


async def sleeps(ctx: Ctx) -> None:
    await asyncio.sleep(1)


async def sleeps_not(ctx: Ctx) -> None:
    await asyncio.sleep(0)


async def gathers(ctx: Ctx) -> None:
    await asyncio.gather(book(ctx, "car"), book(ctx, "hotel"))


async def creates(ctx: Ctx) -> None:
    coroutine = book(ctx, "car")
    try:
        asyncio.create_task(coroutine)  # noqa: RUF006
    finally:
        coroutine.close()
    await ctx.create_timer(TEN_SECONDS)


async def limits(ctx: Ctx) -> None:
    async with asyncio.timeout(1):
        await ctx.create_timer(TEN_SECONDS)


async def groups(ctx: Ctx) -> None:
    async with asyncio.TaskGroup():
        await ctx.create_timer(TEN_SECONDS)


async def waits_for_an_event(ctx: Ctx) -> None:
    await asyncio.Event().wait()


async def uses_a_thread(ctx: Ctx) -> None:
    await asyncio.to_thread(len, "a")


class Foreign:
    def __repr__(self) -> str:
        return "Foreign()"

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


async def awaits_a_foreigner(ctx: Ctx) -> None:
    await Foreign()


async def iterates(ctx: Ctx) -> None:
    async def numbers() -> AsyncIterator[int]:
        await asyncio.sleep(0.1)
        yield 1

    async for _ in numbers():
        pass


@pytest.mark.filterwarnings("ignore:coroutine 'book' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("has_loop", [True, False])
@pytest.mark.parametrize(
    "code",
    [
        *(sleeps, sleeps_not, gathers, creates, limits, groups, waits_for_an_event, uses_a_thread),
        *(awaits_a_foreigner, iterates),
    ],
)
def test_a_loop_is_refused_at_the_line_and_ours_is_named(
    code: Callable[[Ctx], Coroutine[Any, Any, None]], has_loop: bool
) -> None:
    async def with_loop() -> tuple[Driver, int]:
        return Driver(code), len(asyncio.all_tasks())

    driver, tasks = asyncio.run(with_loop()) if has_loop else (Driver(code), 1)
    assert tasks == 1, "nothing runs on the loop of the process"
    failure = driver.failure
    assert failure.type == "durable_core.errors.OrchestratorCodeError"
    assert "ctx.create_timer for asyncio.sleep" in failure.message
    first = (Foreign.__await__ if code is awaits_a_foreigner else code).__code__.co_firstlineno
    at = re.search(r"unit/test_engine_async.py:(\d+)", failure.line)
    assert at is not None
    assert first < int(at[1]) <= first + 8
    same_when_cold(driver)


def test_the_loop_of_the_process_is_there_again_afterwards() -> None:
    async def code(ctx: Ctx) -> None:
        with pytest.raises(Exception, match="no event loop"):
            asyncio.get_running_loop().create_future()
        await ctx.create_timer(TEN_SECONDS)

    async def process() -> None:
        loop = asyncio.get_running_loop()
        driver = Driver(code)
        assert driver.live.completion is None
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)

    asyncio.run(process())


def test_foreign_awaitables_are_no_branches() -> None:
    async def code(ctx: Ctx) -> None:
        await ctx.gather(Foreign())  # type: ignore

    message = Driver(code).failure.message
    assert "gather takes tasks" in message
    assert "no event loop" in message


# ---------------------------------------------------------------- slips


def test_a_coroutine_is_given_twice_or_has_ended() -> None:
    async def twice(ctx: Ctx) -> None:
        one = book(ctx, "car")
        try:
            await ctx.gather(one, one)
        finally:
            one.close()

    assert "got one generator or coroutine twice" in Driver(twice).failure.message

    async def ended(ctx: Ctx) -> None:
        one = book(ctx, "car")
        one.close()
        await ctx.branch(one)

    assert "which has ended already, or was closed" in Driver(ended).failure.message


def test_a_call_that_is_not_awaited_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def code(ctx: Ctx) -> None:
        ctx.call_activity("a")

    with caplog.at_level(logging.WARNING):
        Driver(code)
    assert "is an 'await' missing there?" in caplog.text


def test_a_helper_that_is_never_awaited_is_warned_of_by_python() -> None:
    async def code(ctx: Ctx) -> None:
        book(ctx, "car")  # type: ignore

    with pytest.warns(RuntimeWarning, match="coroutine 'book' was never awaited"):
        assert Driver(code).result is None


@pytest.mark.filterwarnings("ignore:coroutine 'book' was never awaited:RuntimeWarning")
def test_a_coroutine_as_the_result_is_refused() -> None:
    async def code(ctx: Ctx) -> Any:
        return book(ctx, "car")

    assert "the coroutine 'book' has not been run; write 'await' before it" in Driver(code).failure.message


# ---------------------------------------------------------------- registration and types


def test_registration() -> None:
    @orchestrator
    async def order(ctx: Ctx, number: int) -> str:
        return str(number)

    definition = Registry().add(order).orchestrator("order")
    assert definition.input_type is int
    assert result_type(order) is str

    with pytest.raises(RegistrationError, match="an 'async def' with 'yield' cannot be an orchestrator"):

        @orchestrator
        async def both(ctx: Ctx) -> AsyncIterator[int]:  # type: ignore
            yield 1

    with pytest.raises(RegistrationError, match="has no yield"):

        @orchestrator
        def neither(ctx: Ctx) -> None: ...


def test_decorators_above() -> None:
    import functools

    def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        async def wrapper(ctx: Ctx, data: Any) -> Any:
            return [await fn(ctx, data)]

        return wrapper

    def hides(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapper(*args: Any) -> Any:
            return fn(*args)

        return wrapper

    async def order(ctx: Ctx, data: int) -> int:
        return data

    @logged
    @orchestrator
    async def above(ctx: Ctx, data: int) -> int:
        return data

    assert Registry().add(above).orchestrator("above").fn is above
    assert Driver(logged(order), 3).result == [3]
    with pytest.raises(RegistrationError, match="is not async"):
        orchestrator(hides(order))
    with pytest.raises(RegistrationError, match="without yield"):
        Registry().add(hides(orchestrator(order)))


def test_an_activity_stays_an_activity() -> None:
    @activity
    async def undo(name: str) -> None: ...

    async def code(ctx: Ctx) -> None:
        saga = ctx.saga()
        saga.add_compensation(undo, "x")
        await saga.compensate()

    assert called(Driver(code)) == ["undo"]


def test_a_task_is_awaited_twice() -> None:
    async def code(ctx: Ctx) -> Any:
        one: Task[Any] = ctx.call_activity("a")
        return [await one, await one]

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 4))
    assert driver.result == [4, 4]
