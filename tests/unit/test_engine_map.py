"""``ctx.map`` in one history: windows, policies, what is never begun, and the same calls at every replay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest

from durable_core import (
    AtLeast,
    EntityId,
    FailureDetails,
    MapFailedError,
    MapResult,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    Tolerate,
    activity,
    orchestrator,
)
from durable_core.engine.events import (
    CancelRequested,
    LockGranted,
    RequestSent,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerFired,
)
from durable_core.engine.mapping.policies import Tally
from durable_core.errors import InvalidInputError

from .engine_driver import Driver

NO_MONEY = FailureDetails("ValueError", "no money", bases=("Exception",))


@activity
def square(number: int) -> int:
    return number * number


@orchestrator
def squared(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(square, number))


def scheduled(driver: Driver) -> list[int]:
    """The inputs of the activities that the last turn called."""
    return [event.input for event in driver.outgoing if isinstance(event, TaskScheduled)]


def batches(driver: Driver) -> list[list[Any]]:
    """The inputs of the items of each batch that the last turn began."""
    return [
        [item[0] for item in event.input["items"]]
        for event in driver.outgoing
        if isinstance(event, SubOrchestrationCreated)
    ]


def same_when_cold(driver: Driver) -> None:
    cold = driver.replayed()
    assert list(cold.pending.items()) == list(driver.live.pending.items())
    assert cold.completion == driver.live.completion
    cold.close()


def mapping(items: Any, **options: Any) -> Callable[[OrchestrationContext], Orchestration[Any]]:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        given: Any = items() if callable(items) else items
        try:
            mapped: Callable[..., Task[Any]] = cast("Any", ctx).map
            result: Any = yield from mapped(square, given, **options)
        except MapFailedError as error:
            return ["failed", str(error), shown(error.result)]
        return shown(cast("MapResult[Any]", result)) if isinstance(result, MapResult) else result

    return code


def shown(result: MapResult[Any]) -> list[Any]:
    """Of each item its value, its error as a text, or None if it has not ended."""
    return [str(item.error) if item.error else item.value for item in result]


# ---------------------------------------------------------------- windows


def test_an_item_begins_when_there_is_a_slot_and_the_results_are_in_the_order_of_the_items() -> None:
    driver = Driver(mapping([5, 6, 7, 8, 9], max_concurrency=2))
    assert scheduled(driver) == [5, 6]
    driver.tell(TaskCompleted(2, 36))
    assert scheduled(driver) == [7]
    driver.tell(TaskCompleted(1, 25), TaskCompleted(3, 49))
    assert scheduled(driver) == [8, 9]
    same_when_cold(driver)
    driver.tell(TaskCompleted(5, 81), TaskCompleted(4, 64))
    assert driver.result == [25, 36, 49, 64, 81]
    same_when_cold(driver)


def test_an_iterable_is_pulled_no_further_than_there_are_slots() -> None:
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            pulled.append(number)
            yield number

    driver = Driver(mapping(items, max_concurrency=2))
    assert pulled == [0, 1]
    driver.tell(TaskCompleted(1, 0))
    assert pulled == [0, 1, 2]


def test_of_no_items_there_is_an_empty_result_at_once() -> None:
    assert Driver(mapping([])).result == []
    assert Driver(mapping([], policy="all_settled")).result == []
    assert Driver(mapping(lambda: iter(()), policy=Tolerate(share=0.5))).result == []


def test_a_list_is_mapped_as_it_was_at_the_call() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        items = [1, 2, 3]
        work = ctx.map(square, items, max_concurrency=1)
        items.clear()
        return (yield from work)

    driver = Driver(code)
    for task_id in (1, 2, 3):
        driver.tell(TaskCompleted(task_id, task_id * 10))
    assert driver.result == [10, 20, 30]


def test_without_a_limit_so_many_items_are_under_way_as_a_history_holds_and_the_rest_goes_to_batches() -> None:
    driver = Driver(mapping(range(2_300)))
    assert scheduled(driver) == list(range(1_000)), "and a batch of 250 slots finds none free"
    driver.tell(*(TaskCompleted(task_id, task_id) for task_id in range(1, 250)))
    assert batches(driver) == []
    driver.tell(TaskCompleted(250, 250))
    assert batches(driver) == [list(range(1_000, 1_500))]
    driver.tell(*(TaskCompleted(task_id, task_id) for task_id in range(251, 1_001)))
    assert batches(driver) == [list(range(1_500, 2_000)), list(range(2_000, 2_300))]
    same_when_cold(driver)
    for task_id, items in ((1_001, range(1_000, 1_500)), (1_003, range(2_000, 2_300)), (1_002, range(1_500, 2_000))):
        report: Any = {"taken": len(items), "outcomes": [[number + 1] for number in items]}
        driver.tell(SubOrchestrationCompleted(task_id, report))
    assert driver.result == list(range(1, 2_301))
    same_when_cold(driver)


def test_batches_share_the_slots_so_that_several_are_under_way() -> None:
    driver = Driver(mapping(range(50), max_concurrency=8, batch_size=10))
    created = [event for event in driver.outgoing if isinstance(event, SubOrchestrationCreated)]
    assert [event.input["slots"] for event in created] == [2, 2, 2, 2]
    assert sum(map(len, batches(driver))) == 40
    one = Driver(mapping(range(9), max_concurrency=1, batch_size=3))
    assert batches(one) == [[0, 1, 2]], "one slot, so one batch at a time"


def test_a_batch_takes_no_more_bytes_than_a_history_should_hold() -> None:
    items = ["x" * 200_000] * 5

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.map("upload", items, batch_size=100))

    assert [len(batch) for batch in batches(Driver(code))] == [3, 2]


def test_a_batch_that_has_left_items_is_followed_by_one_for_them() -> None:
    driver = Driver(mapping(range(6), max_concurrency=1, batch_size=4))
    driver.tell(SubOrchestrationCompleted(1, {"taken": 1, "outcomes": [[0]]}))
    assert batches(driver) == [[1, 2, 3]]
    driver.tell(SubOrchestrationCompleted(2, {"taken": 3, "outcomes": [[1], [4], [9]]}))
    assert batches(driver) == [[4, 5]]
    same_when_cold(driver)
    driver.tell(SubOrchestrationCompleted(3, {"taken": 2, "outcomes": [[16], [25]]}))
    assert driver.result == [0, 1, 4, 9, 16, 25]


def test_inside_a_critical_section_there_are_no_batches() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        with (yield from ctx.lock(EntityId("counter", "a"))):
            return (yield from ctx.map(square, range(3), max_concurrency=1, batch_size=2))

    driver = Driver(code)
    driver.tell(LockGranted(1))
    assert scheduled(driver) == [0] and batches(driver) == []


# ---------------------------------------------------------------- policies


def test_all_fails_with_the_first_failure_and_begins_nothing_more() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield from ctx.map(square, range(9), max_concurrency=3)

    driver = Driver(code)
    driver.tell(TaskFailed(2, NO_MONEY))
    assert driver.failure.is_caused_by(ValueError)
    assert scheduled(driver) == []
    end = driver.live.completion
    assert end is not None and getattr(end, "because", None) == [2], "a rewind does this task again"
    same_when_cold(driver)


def test_all_settled_waits_for_all_and_has_the_errors() -> None:
    driver = Driver(mapping(range(3), policy="all_settled"))
    driver.tell(TaskFailed(2, NO_MONEY), TaskCompleted(1, 0), TaskCompleted(3, 4))
    assert driver.result == [0, "activity 'square' (task 2) failed: ValueError: no money", 4]
    same_when_cold(driver)


def test_at_least_ends_when_enough_have_succeeded_and_leaves_the_rest() -> None:
    driver = Driver(mapping(range(9), policy=AtLeast(2), max_concurrency=3))
    driver.tell(TaskFailed(1, NO_MONEY), TaskCompleted(2, 1), TaskCompleted(3, 4))
    assert driver.result == ["activity 'square' (task 1) failed: ValueError: no money", 1, 4, None, None]
    same_when_cold(driver)


def test_at_least_fails_as_soon_as_too_few_are_left() -> None:
    driver = Driver(mapping(range(3), policy=AtLeast(2), max_concurrency=1))
    driver.tell(TaskFailed(1, NO_MONEY))
    assert driver.live.completion is None
    driver.tell(TaskFailed(2, NO_MONEY))
    failed, message, items = driver.result
    assert failed == "failed" and len(items) == 2
    assert message.startswith("ctx.map of 'square': 2 items of 3 failed, so only 1 can succeed, and 2 must; the last")
    too_few = Driver(mapping([1], policy=AtLeast(2)))
    assert scheduled(too_few) == [] and too_few.result[0] == "failed"


def test_at_least_of_an_iterable_is_judged_when_it_has_ended() -> None:
    driver = Driver(mapping(lambda: iter(range(3)), policy=AtLeast(2), max_concurrency=1))
    driver.tell(TaskFailed(1, NO_MONEY))
    driver.tell(TaskFailed(2, NO_MONEY))
    assert driver.live.completion is None, "more items could come"
    driver.tell(TaskFailed(3, NO_MONEY))
    assert driver.result[0] == "failed"
    same_when_cold(driver)


def test_tolerate_counts_failures_and_shares_of_all_items() -> None:
    driver = Driver(mapping(range(10), policy=Tolerate(share=0.1), max_concurrency=1))
    driver.tell(TaskFailed(1, NO_MONEY))
    assert scheduled(driver) == [1]
    driver.tell(TaskFailed(2, NO_MONEY))
    failed, message, _ = driver.result
    assert failed == "failed"
    assert message.startswith("ctx.map of 'square': 2 items of 10 failed, and the policy tolerates 1; the last failure")
    counted = Driver(mapping(range(3), policy=Tolerate(count=1)))
    counted.tell(TaskCompleted(1, 0), TaskFailed(2, NO_MONEY), TaskCompleted(3, 4))
    assert counted.result[::2] == [0, 4]


@pytest.mark.parametrize(
    ("share", "total", "allowed"), [(0.29, 100, 29), (1 / 3, 3, 1), (0, 9, 0), (1, 9, 9), (0.5, 3, 1)]
)
def test_a_share_is_not_less_by_the_rounding_of_numbers(share: float, total: int, allowed: int) -> None:
    assert Tally(Tolerate(share=share), total).tolerated == allowed
    assert Tally(Tolerate(share=share, count=0), total).tolerated == 0


def test_the_result_has_values_errors_and_counts() -> None:
    seen: list[Any] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        result = yield from ctx.map(square, range(4), policy=AtLeast(2))
        seen.append(result)

    driver = Driver(code)
    driver.tell(TaskFailed(2, NO_MONEY), TaskCompleted(1, 0), TaskCompleted(3, 4))
    result: MapResult[int] = seen[0]
    assert (result.values, len(result), result.succeeded, result.failed, result.unfinished) == ([0, 4], 4, 2, 1, 1)
    assert list(result.errors) == [1] and result[2].result == 4 and [item.index for item in result[1:3]] == [1, 2]
    with pytest.raises(TaskFailedError, match="no money"):
        _ = result[1].result
    with pytest.raises(Exception, match="item 3 has no result"):
        _ = result[3].result
    assert repr(result) == "<MapResult 2 succeeded, 1 failed, 1 unfinished>"


def test_a_result_is_not_stored_as_it_is() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.map(square, [1], policy="all_settled"))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1))
    assert "pass its values" in driver.failure.message


# ---------------------------------------------------------------- failures of batches


def failed_batch(kind: str, cause: FailureDetails | None = NO_MONEY) -> FailureDetails:
    return FailureDetails(f"durable_core.errors.{kind}", "activity 'square' (task 3) failed: no money", cause=cause)


def test_the_error_of_a_batch_is_that_of_its_item_and_names_the_batch_as_the_task() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield from ctx.map(square, range(4), batch_size=2)

    driver = Driver(code)
    driver.tell(SubOrchestrationFailed(2, failed_batch("ActivityFailedError")))
    assert driver.failure.type == "durable_core.errors.ActivityFailedError"
    assert driver.failure.cause == NO_MONEY
    assert getattr(driver.live.completion, "because", None) == [2]
    assert [event for event in driver.outgoing if isinstance(event, RequestSent)] == [
        RequestSent(1, "cancel", "the map that has called it was over")
    ]
    same_when_cold(driver)


def test_a_batch_that_was_terminated_fails_the_map_under_any_policy() -> None:
    gone = FailureDetails("SubOrchestrationTerminated", "it was terminated", retriable=False)
    for policy in ("all", "all_settled", AtLeast(1)):
        driver = Driver(mapping(range(4), batch_size=2, policy=policy))
        driver.tell(SubOrchestrationFailed(1, gone))
        assert driver.failure.type == "durable_core.errors.SubOrchestrationFailedError"


def test_a_batch_gets_what_the_policy_has_left_and_fails_the_map_when_it_exceeds_that() -> None:
    driver = Driver(mapping(range(6), batch_size=2, max_concurrency=1, policy=Tolerate(count=2)))
    failed: Any = {"error": "durable_core.errors.ActivityFailedError", "message": "m", "failure": NO_MONEY.to_json()}
    driver.tell(SubOrchestrationCompleted(1, {"taken": 2, "outcomes": [failed, [1]]}))
    (created,) = [event for event in driver.outgoing if isinstance(event, SubOrchestrationCreated)]
    assert (created.input["enough"], created.input["tolerated"]) == (None, 1)
    driver.tell(SubOrchestrationFailed(2, failed_batch("MapFailedError")))
    assert driver.result == ["failed", "activity 'square' (task 3) failed: no money (in a batch)", ["m", 1, None, None]]
    same_when_cold(driver)


def test_a_result_of_a_batch_that_does_not_fit_is_the_failure_of_its_item() -> None:
    driver = Driver(mapping(range(2), batch_size=2, policy="all_settled"))
    driver.tell(SubOrchestrationCompleted(1, {"taken": 2, "outcomes": [["four"], [4]]}))
    first, second = driver.result
    assert "does not fit the expected type" in first and second == 4


def test_the_calls_of_a_batch_have_the_options_of_the_map() -> None:
    policy = RetryPolicy(max_attempts=4, non_retriable=[ValueError, "Custom"], total_timeout=timedelta(minutes=1))

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.map(square, [7], batch_size=2, retry=policy, timeout=timedelta(seconds=5)))

    (created,) = [event for event in Driver(code).outgoing if isinstance(event, SubOrchestrationCreated)]
    assert created.name == "durable.map" and "test_engine_map.py" in created.input["line"]
    assert created.input["options"] == {"timeout": 5.0}
    assert created.input["retry"]["max_attempts"] == 4
    assert created.input["retry"]["non_retriable"] == ["ValueError", "Custom"]
    assert json.loads(json.dumps(created.input)) == created.input


# ---------------------------------------------------------------- ends before the end


def test_a_cancelled_map_takes_no_further_item_and_cancels_its_batches() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        work = ctx.map(square, range(9), max_concurrency=1, batch_size=3)
        try:
            yield from ctx.with_timeout(work, timedelta(seconds=9))
        except TaskTimeoutError:
            work.cancel()
            work.cancel()
        yield from ctx.create_timer(timedelta(seconds=9))
        with pytest.raises(TaskCancelledError):
            yield from work
        return "gone on"

    driver = Driver(code)
    driver.tell(TimerFired(2))
    assert [event for event in driver.outgoing if isinstance(event, RequestSent)] == [
        RequestSent(1, "cancel", "the map that has called it was over")
    ]
    driver.tell(SubOrchestrationFailed(1, FailureDetails("SubOrchestrationCanceled", "gone")))
    assert batches(driver) == []
    driver.tell(TimerFired(3))
    assert driver.result == "gone on"
    same_when_cold(driver)


def test_a_cancellation_of_the_orchestration_reaches_the_code_that_waits_and_each_batch_once() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        try:
            yield from ctx.map(square, range(9), max_concurrency=2, batch_size=1)
        except TaskCancelledError:
            yield from ctx.call_activity("clean_up")
            raise

    driver = Driver(code)
    driver.tell(CancelRequested("c1", "enough", True))
    assert sorted(event.child for event in driver.outgoing if isinstance(event, RequestSent)) == [1, 2]
    driver.tell(SubOrchestrationFailed(1, FailureDetails("SubOrchestrationCanceled", "gone")))
    assert driver.outgoing == (), "no further batch"
    same_when_cold(driver)


def test_sub_orchestrations_of_items_are_cancelled_when_the_map_ends_without_them() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        result = yield from ctx.map(squared, range(3), policy=AtLeast(1), timeout=timedelta(hours=1))
        return result.values

    driver = Driver(code)
    created = [event for event in driver.outgoing if isinstance(event, SubOrchestrationCreated)]
    assert [(event.name, event.input, event.options) for event in created] == [
        ("squared", number, {"timeout": 3600.0, "parent_close": "cancel"}) for number in range(3)
    ]
    driver.tell(SubOrchestrationCompleted(2, 1))
    assert driver.result == [1]
    assert [event.child for event in driver.outgoing if isinstance(event, RequestSent)] == [1, 3]
    same_when_cold(driver)


def test_an_exception_of_the_iterable_is_raised_where_the_code_waits() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("no more pages")

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        work = ctx.map(square, items(), max_concurrency=1)
        with pytest.raises(LookupError):
            yield from work
        return "caught"

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1))
    assert driver.result == "caught"
    same_when_cold(driver)


def test_an_iterable_may_end_its_own_map() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        held: list[Any] = []

        def items() -> Iterator[int]:
            yield 1
            held[0].cancel()
            yield 2

        held.append(ctx.map(square, items(), max_concurrency=1))
        with pytest.raises(TaskCancelledError):
            yield from held[0]
        return "ended"

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1))
    assert scheduled(driver) == [] and driver.result == "ended"
    same_when_cold(driver)


def test_several_maps_and_other_tasks_go_side_by_side() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        both = ctx.gather(ctx.map(square, [1, 2], max_concurrency=1), ctx.map(square, [3], policy="all_settled"))
        squares, settled = yield from both
        return [squares, settled.values]

    driver = Driver(code)
    assert scheduled(driver) == [1, 3]
    driver.tell(TaskCompleted(2, 9), TaskCompleted(1, 1))
    driver.tell(TaskCompleted(3, 4))
    assert driver.result == [[1, 4], [9]]


def test_an_async_orchestrator_awaits_a_map() -> None:
    async def code(ctx: OrchestrationContext) -> Any:
        return await ctx.map(square, (number for number in range(2)), max_concurrency=1)

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 0))
    driver.tell(TaskCompleted(2, 1))
    assert driver.result == [0, 1]


def test_what_a_map_waits_for_is_shown_as_its_open_calls() -> None:
    driver = Driver(mapping(range(20), max_concurrency=12))
    (wait,) = driver.live.waits
    assert (wait.kind, wait.name) == ("activity", "square") and "test_engine_map.py" in wait.line
    driver.tell(TaskCompleted(1, 0))
    assert all("test_engine_map.py" in wait.line for wait in driver.live.waits), "also of items that began later"


def test_a_query_shows_how_far_a_map_is() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        work = ctx.map(square, range(9), max_concurrency=3, policy="all_settled")
        ctx.set_query_handler("progress", lambda: [work.taken, work.succeeded, work.failed])
        return (yield from work).values

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 0), TaskFailed(2, NO_MONEY), TaskCompleted(3, 4))
    cold = driver.replayed()
    assert cold.query("progress", None) == [6, 2, 1]
    cold.close()


def test_what_an_orchestration_leaves_behind_is_cancelled_with_its_end() -> None:
    def returns(ctx: OrchestrationContext) -> Orchestration[Any]:
        ctx.map(square, range(9), max_concurrency=2, batch_size=1)
        yield from ctx.create_timer(timedelta(seconds=1))

    def continues(ctx: OrchestrationContext) -> Orchestration[Any]:
        ctx.map(squared, range(2))
        yield from ctx.create_timer(timedelta(seconds=1))
        ctx.continue_as_new(1)

    for code in (returns, continues):
        driver = Driver(code)
        driver.tell(TimerFired(3))
        assert [(each.child, each.kind) for each in driver.outgoing if isinstance(each, RequestSent)] == [
            (1, "cancel"),
            (2, "cancel"),
        ]
        same_when_cold(driver)


# ---------------------------------------------------------------- misuse


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"items": {1, 2}}, "got a set, whose order is another one in each process"),
        ({"items": "abc"}, "takes the items as a list"),
        ({"items": 5}, "takes the items as a list"),
        ({"items": Task[Any](None)}, "wait for it first"),
        ({"max_concurrency": 0}, "max_concurrency=0 of ctx.map must be a whole number, at least 1"),
        ({"max_concurrency": True}, "max_concurrency=True"),
        ({"batch_size": 1001}, "batch_size=1001 of ctx.map must be a whole number, from 1 to 1000"),
        ({"policy": "some"}, "ctx.map has the policies"),
        ({"policy": {"count": 1}}, "ctx.map has the policies"),
        ({"retry": 3}, "must be a RetryPolicy"),
        ({"retry": RetryPolicy(retry_if=lambda _: True)}, "retry_if of ctx.map"),
        ({"timeout": timedelta(0)}, "timeout="),
        ({"fn_or_name": squared, "inline": True}, "takes retry and timeout, not inline"),
        ({"fn_or_name": print}, "print is not marked as an activity"),
    ],
)
def test_a_mistake_fails_at_its_line_whatever_the_number_of_items(options: dict[str, Any], problem: str) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        mapped: Callable[..., Task[Any]] = cast("Any", ctx).map
        yield from mapped(**{"fn_or_name": square, "items": [1], **options})

    failure = Driver(code).failure
    assert problem in failure.message and "test_engine_map.py" in failure.message, failure.message


@pytest.mark.parametrize(
    "make",
    [
        lambda: AtLeast(0),
        lambda: AtLeast(True),
        lambda: Tolerate(),
        lambda: Tolerate(count=-1),
        lambda: Tolerate(share=5),
        lambda: Tolerate(share=float("nan")),
    ],
)
def test_a_policy_that_cannot_be_is_refused_where_it_is_made(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        make()


def test_an_item_that_is_no_json_fails_the_map_with_the_line() -> None:
    for options in ({}, {"batch_size": 2}):
        driver = Driver(mapping([1, object()], policy="all_settled", **options))
        assert "cannot be written as JSON" in driver.failure.message
