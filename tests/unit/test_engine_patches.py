"""``ctx.patched``: a change inside one version, from its beginning to its end. The rules are Temporal's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_core import NonDeterminismError, Orchestration, OrchestrationContext
from durable_core.engine.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    PatchMarked,
    TaskCompleted,
    TaskScheduled,
)
from durable_core.engine.executor import OrchestrationExecutor
from durable_core.errors import OrchestratorCodeError, QueryFailedError

from .engine_driver import START, Driver

Code = Callable[[OrchestrationContext], Orchestration[Any]]


def removed(ctx: OrchestrationContext) -> Orchestration[str]:
    yield from ctx.call_activity("A")
    yield from ctx.call_activity("B")
    yield from ctx.call_activity("B2")
    yield from ctx.call_activity("C")
    return "B2"


def before(ctx: OrchestrationContext) -> Orchestration[str]:
    yield from ctx.call_activity("A")
    yield from ctx.call_activity("B")
    yield from ctx.call_activity("C")
    return "no B2"


def added(ctx: OrchestrationContext) -> Orchestration[str]:
    yield from ctx.call_activity("A")
    yield from ctx.call_activity("B")
    taken = ctx.patched("b2")
    if taken:
        yield from ctx.call_activity("B2")
    yield from ctx.call_activity("C")
    return "B2" if taken else "no B2"


def deprecated(ctx: OrchestrationContext) -> Orchestration[str]:
    yield from ctx.call_activity("A")
    yield from ctx.call_activity("B")
    ctx.deprecate_patch("b2")
    yield from ctx.call_activity("B2")
    yield from ctx.call_activity("C")
    return "B2"


def run_until(code: Code, step: str) -> Driver:
    """An instance of this code that waits for this step."""
    driver = Driver(code)
    while (call := waits_for(driver.live)).name != step:
        driver.tell(TaskCompleted(call.task_id))
    return driver


def waits_for(live: OrchestrationExecutor) -> TaskScheduled:
    [pending] = live.pending.values()
    assert isinstance(pending.event, TaskScheduled)
    return pending.event


def go_on(driver: Driver, code: Code, *, warm: bool) -> list[str]:
    """Move it to its end by this code, from its history; the steps that ran from here on. Warm: one generator does
    it all; cold: each step is done by a new one."""
    steps: list[str] = []
    driver.live = driver.replayed(code)
    while driver.live.completion is None:
        call = waits_for(driver.live)
        steps.append(call.name)
        driver.tell(TaskCompleted(call.task_id))
        if not warm:
            driver.live = driver.replayed(code)
    return steps


BEFORE, ADDED, DEPRECATED, REMOVED = before, added, deprecated, removed

GO_ON = [
    # was moved by, until it waits for, is moved on by, and does
    (BEFORE, "A", ADDED, ["A", "B", "B2", "C"]),
    (BEFORE, "B", ADDED, ["B", "B2", "C"]),
    (BEFORE, "C", ADDED, ["C"]),
    (ADDED, "A", ADDED, ["A", "B", "B2", "C"]),
    (ADDED, "B2", ADDED, ["B2", "C"]),
    (ADDED, "C", ADDED, ["C"]),
    (BEFORE, "B", DEPRECATED, ["B", "B2", "C"]),
    (ADDED, "B2", DEPRECATED, ["B2", "C"]),
    (ADDED, "C", DEPRECATED, ["C"]),
    (DEPRECATED, "B2", ADDED, ["B2", "C"]),  # both builds at once, or a step back
    (DEPRECATED, "C", ADDED, ["C"]),
    (DEPRECATED, "C", DEPRECATED, ["C"]),
    (DEPRECATED, "B2", REMOVED, ["B2", "C"]),
    (DEPRECATED, "C", REMOVED, ["C"]),
    (REMOVED, "C", DEPRECATED, ["C"]),
    (BEFORE, "B", REMOVED, ["B", "B2", "C"]),
]


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize(("old", "until", "new", "steps"), GO_ON)
def test_each_stage_of_a_patch_goes_on_with_what_earlier_stages_have_begun(
    old: Code, until: str, new: Code, steps: list[str], warm: bool
) -> None:
    driver = run_until(old, until)
    assert go_on(driver, new, warm=warm) == steps
    ran = [event.name for event in driver.all_outgoing if isinstance(event, TaskScheduled)]
    assert driver.result == ("B2" if "B2" in ran else "no B2")
    assert driver.replayed(new).completion == driver.live.completion


MUST_NOT = [
    (BEFORE, "C", DEPRECATED, "C", "B2"),  # it has passed the place: the old code is needed
    (BEFORE, "C", REMOVED, "C", "B2"),
    (ADDED, "B2", BEFORE, "PatchMarked(patch_id='b2')", ""),
    (ADDED, "C", BEFORE, "PatchMarked(patch_id='b2')", ""),
    (ADDED, "B2", REMOVED, "PatchMarked(patch_id='b2')", ""),
    (ADDED, "C", REMOVED, "PatchMarked(patch_id='b2')", ""),
    (DEPRECATED, "B2", BEFORE, "B2", "C"),
    (REMOVED, "C", ADDED, "B2", "C"),
]


@pytest.mark.parametrize(("old", "until", "new", "held", "did"), MUST_NOT)
def test_a_stage_that_comes_too_soon_stops_with_what_to_do(
    old: Code, until: str, new: Code, held: str, did: str
) -> None:
    driver = run_until(old, until)
    with pytest.raises(NonDeterminismError) as raised:
        driver.replayed(new)
    assert held in raised.value.expected
    assert did in raised.value.actual
    if held.startswith("PatchMarked"):
        line = added.__code__.co_firstlineno + 3
        assert raised.value.expected_at == f"unit/test_engine_patches.py:{line}"
        assert "put ctx.deprecate_patch('b2')" in raised.value.cause
        assert raised.value.actual_at.startswith("unit/test_engine_patches.py:")


def test_code_without_the_change_does_not_go_on_even_where_nothing_else_differs_yet() -> None:
    """Had it gone on, the code with the change would find the old way behind its own mark, and stop for ever."""

    def early(ctx: OrchestrationContext) -> Orchestration[None]:
        taken = ctx.patched("later")
        yield from ctx.call_activity("A")
        yield from ctx.call_activity("new" if taken else "old")

    def older(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity("A")
        yield from ctx.call_activity("old")

    driver = Driver(early)
    with pytest.raises(NonDeterminismError, match="older than the change 'later'"):
        driver.replayed(older)


def test_a_mark_is_recorded_once_per_id_with_its_line_and_costs_no_task_id() -> None:
    def loops(ctx: OrchestrationContext) -> Orchestration[list[bool]]:
        seen: list[bool] = []
        while len(seen) < 6:
            seen += [ctx.patched("one"), ctx.patched("two")]
            yield from ctx.call_activity("A")
        return seen

    driver = Driver(loops)
    line = loops.__code__.co_firstlineno + 3
    assert driver.outgoing == (
        PatchMarked("one", f"unit/test_engine_patches.py:{line}"),
        PatchMarked("two", f"unit/test_engine_patches.py:{line}"),
        driver.outgoing[2],
    )
    assert isinstance(driver.outgoing[2], TaskScheduled)
    assert go_on(driver, loops, warm=False) == ["A", "A", "A"]
    assert driver.result == [True] * 6
    assert len([event for event in driver.all_outgoing if isinstance(event, PatchMarked)]) == 2


def test_the_first_answer_holds_through_a_loop_that_began_before_the_change() -> None:
    def loop(asks: bool) -> Code:
        def code(ctx: OrchestrationContext) -> Orchestration[list[str]]:
            did: list[str] = []
            for _ in range(3):
                did.append("new" if asks and ctx.patched("x") else "old")
                yield from ctx.call_activity(did[-1])
            return did

        return code

    for warm in (True, False):
        driver = Driver(loop(asks=False))
        assert go_on(driver, loop(asks=True), warm=warm) == ["old"] * 3
        assert driver.result == ["old"] * 3


def test_a_call_that_moved_up_still_finds_the_mark_that_it_left_further_down() -> None:
    def moved_up(ctx: OrchestrationContext) -> Orchestration[str]:
        taken = ctx.patched("b2")
        yield from ctx.call_activity("A")
        yield from ctx.call_activity("B")
        if taken:
            yield from ctx.call_activity("B2")
        yield from ctx.call_activity("C")
        return "B2" if taken else "no B2"

    driver = run_until(added, "C")
    assert go_on(driver, moved_up, warm=True) == ["C"]
    assert driver.result == "B2"


def test_a_change_met_first_on_resuming_is_taken_then_and_ever_after() -> None:
    def old(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.wait_for_external_event("go")
        return (yield from ctx.call_activity("old"))

    def new(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.wait_for_external_event("go")
        return (yield from ctx.call_activity("new" if ctx.patched("x") else "old"))

    driver = Driver(old)
    driver.tell(ExecutionSuspended("", "row1"), EventRaised("go", 1, "row2"))
    driver.live = driver.replayed(new)
    assert not driver.live.pending, "the event is held"
    driver.tell(ExecutionResumed("", "row3"))
    assert waits_for(driver.live).name == waits_for(driver.replayed(new)).name == "new"


def test_an_event_handler_may_ask_and_decides_the_same_at_every_replay() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[list[bool]]:
        seen: list[bool] = []
        ctx.on_event("note", lambda _: seen.append(ctx.patched("x")))
        yield from ctx.wait_condition(lambda: len(seen) == 2)
        return seen

    driver = Driver(code)
    driver.tell(EventRaised("note", None, "row1"))
    assert [type(event) for event in driver.outgoing] == [PatchMarked]
    driver.live = driver.replayed()
    driver.tell(EventRaised("note", None, "row2"))
    assert driver.result == [True, True]


def test_a_new_generation_asks_anew() -> None:
    def loop(asks: bool) -> Code:
        def code(ctx: OrchestrationContext) -> Orchestration[None]:
            yield from ctx.call_activity("new" if asks and ctx.patched("x") else "old")
            ctx.continue_as_new()

        return code

    driver = Driver(loop(asks=False))
    assert go_on(driver, loop(asks=True), warm=True) == ["old"]
    assert driver.live.completion == ContinueAsNew()
    following = driver.fresh(loop(asks=True))
    turn = following.step(driver.now, [ExecutionStarted("code", "1")])
    assert [type(event) for event in turn.outgoing] == [PatchMarked, TaskScheduled]


def test_a_preview_takes_the_change_as_the_real_beginning_will() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        answer = ctx.patched("x")
        ctx.set_query_handler("taken", lambda: answer)
        yield from ctx.wait_for_external_event("go")

    driver = Driver(code, start=False)
    driver.live.preview(START, [ExecutionStarted("code", "1")])
    assert driver.live.query("taken", None) is True


def test_code_that_is_dropped_marks_nothing() -> None:
    asked: list[bool] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield from ctx.wait_for_external_event("go")
        finally:
            asked.append(ctx.patched("x"))

    driver = Driver(code)
    driver.live.close()
    assert asked == [True]
    assert not driver.all_outgoing
    assert driver.replayed().completion is None


def test_a_query_handler_must_not_ask() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.set_query_handler("taken", lambda: ctx.patched("x"))
        yield from ctx.wait_for_external_event("go")

    driver = Driver(code)
    with pytest.raises(QueryFailedError, match="used inside query 'taken'"):
        driver.live.query("taken", None)


@pytest.mark.parametrize("patch_id", ["", 7, "x" * 257])
def test_what_cannot_name_a_patch_is_refused_with_the_line(patch_id: Any) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.patched(patch_id)
        yield from ctx.call_activity("A")

    failure = Driver(code).failure
    assert failure.type.endswith(OrchestratorCodeError.__name__)
    assert "a patch id is a text of 1 to 256 characters" in failure.message
    assert "test_engine_patches.py" in failure.message


@pytest.mark.parametrize(
    ("options", "why"),
    [({"version": 2}, "is a text"), ({"version": "*"}, "64 letters"), ({"version": "2", "upgrade": True}, "not both")],
)
def test_continue_as_new_refuses_a_version_that_cannot_be(options: dict[str, Any], why: str) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity("A")
        ctx.continue_as_new(1, **options)

    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    assert why in driver.failure.message
