"""Steps of journaled activities in unit tests: what is recorded, what is run again, and which calls are refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    JournalError,
    RetryPolicy,
    StepFailedError,
    SubOrchestrationFailedError,
    TaskTimeoutError,
    activity,
)
from durable_core.errors import RegistrationError, SerializationError
from durable_core.testing import ActivityEnvironment

RUNS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def fresh() -> None:
    RUNS.clear()


def double(number: int) -> int:
    RUNS[f"double {number}"] += 1
    return 2 * number


async def greet(name: str) -> str:
    RUNS[f"greet {name}"] += 1
    await asyncio.sleep(0)
    return f"hello {name}"


def refuse() -> None:
    RUNS["refuse"] += 1
    raise ValueError("no")


@dataclass
class Seat:
    row: int


@activity(journal=True)
async def simple(ctx: JournalContext, name: str) -> list[Any]:
    number = await ctx.step("double", double, 3)
    both = await asyncio.gather(ctx.step("double", double, 4), ctx.step("greet", greet, name))
    return [number, *both]


async def test_recorded_steps_do_not_run_again() -> None:
    first = ActivityEnvironment()
    assert await first.run(simple, "you") == [6, 8, "hello you"]
    assert [(step.name, step.occurrence, step.value) for step in first.steps] == [
        ("double", 0, 6),
        ("double", 1, 8),
        ("greet", 0, "hello you"),
    ]
    assert all("test_journal_steps.py:" in step.line for step in first.steps)
    for length in range(4):
        RUNS.clear()
        again = ActivityEnvironment(recorded=first.steps[:length])
        assert await again.run(simple, "you") == [6, 8, "hello you"]
        assert sum(RUNS.values()) == 3 - length
        assert len(again.steps) == 3


async def test_the_code_gets_the_value_as_it_is_recorded() -> None:
    @activity(journal=True)
    async def book(ctx: JournalContext) -> bool:
        pair: Any = await ctx.step("pair", lambda: (1, 2))
        seat = await ctx.step("seat", lambda: Seat(3), returns=Seat)
        kept = await ctx.step("kept", kept_seat)
        return pair == [1, 2] and seat == Seat(3) and kept == Seat(4)

    def kept_seat() -> Seat:
        return Seat(4)

    first = ActivityEnvironment()
    assert await first.run(book)
    assert await ActivityEnvironment(recorded=first.steps).run(book)


async def test_a_failure_that_is_caught_is_recorded_with_the_next_step() -> None:
    @activity(journal=True)
    async def careful(ctx: JournalContext) -> str:
        try:
            await ctx.step("refuse", refuse)
        except StepFailedError as error:
            assert error.name == "refuse"
            assert error.is_caused_by(ValueError)
            return await ctx.step("greet", greet, "instead")
        raise AssertionError

    first = ActivityEnvironment()
    assert await first.run(careful) == "hello instead"
    assert [step.name for step in first.steps] == ["refuse", "greet"]
    RUNS.clear()
    assert await ActivityEnvironment(recorded=first.steps).run(careful) == "hello instead"
    assert not RUNS


async def test_a_failure_that_ends_the_activity_is_not_recorded() -> None:
    @activity(journal=True)
    async def careless(ctx: JournalContext) -> None:
        await ctx.step("greet", greet, "you")
        await ctx.step("refuse", refuse)

    env = ActivityEnvironment()
    with pytest.raises(StepFailedError, match=r"step .refuse.* failed: ValueError: no"):
        await env.run(careless)
    assert [step.name for step in env.steps] == ["greet"]
    with pytest.raises(StepFailedError):
        await ActivityEnvironment(recorded=env.steps, attempt=2).run(careless)
    assert RUNS == {"greet you": 1, "refuse": 2}


async def test_a_step_is_tried_again_by_its_own_policy() -> None:
    @activity(journal=True)
    async def stubborn(ctx: JournalContext) -> int:
        quick = RetryPolicy(max_attempts=3, first_interval=timedelta(0))
        return await ctx.step("third", third_time, retry=quick)

    def third_time() -> int:
        RUNS["tries"] += 1
        if RUNS["tries"] < 3:
            raise ValueError("not yet")
        return RUNS["tries"]

    env = ActivityEnvironment()
    assert await env.run(stubborn) == 3
    assert len(env.steps) == 1


async def test_a_try_has_a_time_limit() -> None:
    cancelled: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    @activity(journal=True)
    async def impatient(ctx: JournalContext) -> bool:
        try:
            await ctx.step("slow", slow, timeout=timedelta(milliseconds=1))
        except StepFailedError as error:
            return error.is_caused_by(TaskTimeoutError)
        return False

    assert await ActivityEnvironment().run(impatient)
    assert cancelled == [True]


async def test_keys_tell_calls_of_several_tasks_apart() -> None:
    @activity(journal=True)
    async def many(ctx: JournalContext, keyed: bool) -> list[str]:
        async def one(name: str) -> str:
            return await ctx.step("greet", greet, name, key=name if keyed else None)

        return list(await asyncio.gather(*(one(name) for name in "abc")))

    env = ActivityEnvironment()
    assert await env.run(many, True) == ["hello a", "hello b", "hello c"]
    assert {step.key for step in env.steps} == {"a", "b", "c"}
    with pytest.raises(JournalError, match=r"several asyncio tasks.*give each call a key="):
        await ActivityEnvironment().run(many, False)


async def test_a_key_is_given_once() -> None:
    @activity(journal=True)
    async def twice(ctx: JournalContext) -> None:
        await ctx.step("greet", greet, "a", key="k")
        await ctx.step("greet", greet, "b", key="k")

    with pytest.raises(JournalError, match=r"step 'greet' \(key 'k'\) .*a second time \(first: .*\.py:\d+\)"):
        await ActivityEnvironment().run(twice)


async def test_code_that_comes_to_another_step_is_told_both_lines() -> None:
    @activity(name="changing", journal=True)
    async def before(ctx: JournalContext) -> None:
        await ctx.step("greet", greet, "a")
        await ctx.step("double", double, 1)

    @activity(name="changing", journal=True)
    async def after(ctx: JournalContext) -> None:
        await ctx.step("greet", greet, "a")
        await ctx.step("charge", double, 1)

    env = ActivityEnvironment()
    await env.run(before)
    with pytest.raises(
        JournalError,
        match=r"step 2 is 'charge' .*, called at .*:\d+, but the journal has 'double' .*, called at .*:\d+",
    ):
        await ActivityEnvironment(recorded=env.steps).run(after)
    assert RUNS["double 1"] == 1


async def test_a_step_in_a_step_is_refused() -> None:
    @activity(journal=True)
    async def nested(ctx: JournalContext) -> None:
        async def outer() -> None:
            await ctx.step("inner", greet, "x")

        await ctx.step("outer", outer)

    with pytest.raises(StepFailedError, match=r"is called inside step 'outer'"):
        await ActivityEnvironment().run(nested)


async def test_a_result_that_is_no_json_fails_the_step() -> None:
    @activity(journal=True)
    async def odd(ctx: JournalContext) -> None:
        await ctx.step("odd", object, retry=RetryPolicy())

    with pytest.raises(StepFailedError) as caught:
        await ActivityEnvironment().run(odd)
    assert caught.value.is_caused_by(SerializationError)


@pytest.mark.parametrize(
    ("name", "fn", "options", "message"),
    [
        ("", greet, {}, "the step's name"),
        (3, greet, {}, "the step's name"),
        ("x" * 257, greet, {}, "the step's name"),
        ("a", 7, {}, "must be a function"),
        ("a", lambda: iter([]), {"retry": 3}, "must be a RetryPolicy"),
        ("a", greet, {"key": ""}, "key=''"),
        ("a", greet, {"timeout": 3}, "timeout=3"),
        ("a", greet, {"timeout": timedelta(0)}, "above 0"),
    ],
)
async def test_what_no_journal_can_record_is_refused(name: Any, fn: Any, options: dict[str, Any], message: str) -> None:
    @activity(journal=True)
    async def wrong(ctx: JournalContext) -> None:
        await ctx.step(name, fn, **options)

    with pytest.raises(JournalError, match=message):
        await ActivityEnvironment().run(wrong)


async def test_a_step_that_was_called_already_is_refused() -> None:
    @activity(journal=True)
    async def wrong(ctx: JournalContext) -> None:
        await ctx.step("greet", greet("x"))  # type: ignore[call-overload]

    with pytest.raises(JournalError, match="it was called already"):
        await ActivityEnvironment().run(wrong)


async def test_a_step_that_nobody_awaits_ends_before_the_activity_does() -> None:
    @activity(journal=True)
    async def hasty(ctx: JournalContext) -> str:
        ctx.step("greet", greet, "later")
        return "done"

    env = ActivityEnvironment()
    assert await env.run(hasty) == "done"
    assert [step.name for step in env.steps] == ["greet"]


async def test_a_step_that_is_cancelled_is_not_recorded() -> None:
    @activity(journal=True)
    async def impatient(ctx: JournalContext) -> str:
        try:
            await asyncio.wait_for(ctx.step("slow", asyncio.sleep, 3600), 0.01)
        except TimeoutError:
            return await ctx.step("greet", greet, "instead")
        return ""

    env = ActivityEnvironment()
    assert await env.run(impatient) == "hello instead"
    assert [step.name for step in env.steps] == ["greet"]


def test_what_is_no_journaled_activity_is_refused() -> None:
    with pytest.raises(RegistrationError, match="annotated JournalContext"):

        @activity(journal=True)
        async def without(number: int) -> None: ...

    with pytest.raises(RegistrationError, match="async function"):

        @activity(journal=True)
        def plain(ctx: JournalContext) -> None: ...

    with pytest.raises(RegistrationError, match="only an activity with journal=True"):

        @activity
        async def unmarked(ctx: JournalContext) -> None: ...

    with pytest.raises(RegistrationError, match="must be True or False"):

        @activity(journal=1)  # type: ignore[arg-type]
        async def odd(ctx: JournalContext) -> None: ...


@activity(journal=True)
async def ask(ctx: JournalContext, what: str) -> Any:
    name = await ctx.step("greet", greet, what)
    approval = ctx.callback("approval", timeout=timedelta(days=3), returns=bool)
    await ctx.step("mail", sent, approval.url)
    try:
        approved = await approval.future
    except TaskTimeoutError:
        return "too late"
    await ctx.sleep(timedelta(days=30))
    seat = await ctx.wait_for_event("seat", returns=Seat)
    doubled = await ctx.call_sub_orchestrator("double", seat.row, returns=int)
    return [name, approved, doubled]


def sent(url: str) -> None:
    RUNS[f"sent {url}"] += 1


async def test_waits_end_by_what_a_test_gives() -> None:
    env = ActivityEnvironment(events=[("seat", Seat(4)), ("approval", True), ("double", 8)])
    assert await env.run(ask, "x") == ["hello x", True, 8]
    assert RUNS == {"greet x": 1, "sent callback:approval": 1}
    assert await ActivityEnvironment().run(ask, "x") == "too late"
    with pytest.raises(JournalError, match=r"the activity waits for seat: give it to ActivityEnvironment\(events"):
        await ActivityEnvironment(events=[("approval", True)]).run(ask, "x")
    failing = ActivityEnvironment(events=[("seat", Seat(4)), ("approval", True), ("double", ValueError("no"))])
    with pytest.raises(SubOrchestrationFailedError, match="ValueError: no"):
        await failing.run(ask, "x")


WRONG: Any = 3
WRONG_WAITS: list[Callable[[JournalContext], object]] = [
    lambda ctx: ctx.sleep(WRONG),
    lambda ctx: ctx.sleep(timedelta(-1)),
    lambda ctx: ctx.wait_for_event(""),
    lambda ctx: ctx.wait_for_event("go", timeout=WRONG),
    lambda ctx: ctx.call_sub_orchestrator("x" * 300),
    lambda ctx: ctx.call_sub_orchestrator("x", instance_id="a/b"),
    lambda ctx: ctx.callback(""),
]


@pytest.mark.parametrize("wait", WRONG_WAITS)
async def test_what_cannot_be_waited_for_is_refused(wait: Any) -> None:
    @activity(journal=True)
    async def wrong(ctx: JournalContext) -> None:
        wait(ctx)

    with pytest.raises(JournalError, match=r"test_journal_steps.py:\d+"):
        await ActivityEnvironment().run(wrong)


async def test_an_activity_that_is_left_at_a_wait_can_clean_up_but_not_step() -> None:
    cleaned: list[str] = []

    @activity(journal=True)
    async def tidy(ctx: JournalContext) -> str:
        try:
            return await ctx.wait_for_event("go")
        finally:
            try:
                await ctx.step("greet", greet, "x")
                cleaned.append("step")
            except JournalError as error:
                cleaned.append(str(error))

    assert await ActivityEnvironment(events=[("go", "gone")]).run(tidy) == "gone"
    assert len(cleaned) == 2
    assert "after this run of the activity has ended or was stopped" in cleaned[0]
    assert cleaned[1] == "step"
