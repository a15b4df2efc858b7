"""What a person reads when code and history disagree, to the letter: one text for each way in which code is changed.

The texts are in mismatch_texts/; the code of each case is compiled as ``shop/order.py``, so that its lines are known.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from durable_core.engine.events import (
    EventRaised,
    Incoming,
    StepCompleted,
    TaskCompleted,
    TimerFired,
    to_array,
)
from durable_core.errors import NonDeterminismError
from tests.unit.engine_driver import Driver

TEXTS = Path(__file__).parent / "mismatch_texts"


@dataclass(frozen=True, slots=True)
class Case:
    old: str
    new: str
    incoming: tuple[Incoming, ...] = ()
    by_clock: bool = False


CHAIN = """
    def order(ctx):
        yield ctx.call_activity("verify")
        yield ctx.call_activity("reserve")
        yield ctx.call_activity("ship")
"""
DONE = (TaskCompleted(1), TaskCompleted(2), TaskCompleted(3))
CASES = {
    "reordered_calls": Case(
        CHAIN,
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        yield ctx.call_activity("ship")
        yield ctx.call_activity("reserve")
""",
        DONE,
    ),
    "renamed_activity": Case(CHAIN, CHAIN.replace("reserve", "hold"), DONE[:1]),
    "changed_condition": Case(
        """
    def order(ctx):
        total = yield ctx.call_activity("verify")
        if total > 10:
            yield ctx.call_activity("reserve")
        else:
            yield ctx.create_timer(timedelta(days=1))
""",
        """
    def order(ctx):
        total = yield ctx.call_activity("verify")
        if total > 100:
            yield ctx.call_activity("reserve")
        else:
            yield ctx.create_timer(timedelta(days=1))
""",
        (TaskCompleted(1, 50),),
    ),
    "call_added": Case(
        CHAIN,
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        ctx.call_activity("audit")
        yield ctx.call_activity("reserve")
        yield ctx.call_activity("ship")
""",
        DONE[:2],
    ),
    "call_added_at_the_end": Case(
        """
    def order(ctx):
        yield ctx.task_all([ctx.call_activity("verify"), ctx.call_activity("reserve")])
""",
        """
    def order(ctx):
        yield ctx.task_all([ctx.call_activity("verify"), ctx.call_activity("reserve"), ctx.call_activity("ship")])
""",
    ),
    "call_taken_away": Case(
        CHAIN,
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        yield ctx.wait_for_external_event("go")
""",
        DONE[:1],
    ),
    "ended_early": Case(
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        yield ctx.wait_for_external_event("go")
        yield ctx.call_activity("ship")
""",
        """
    def order(ctx):
        total = yield ctx.call_activity("verify")
        if total is None:
            return None
        yield ctx.wait_for_external_event("go")
        yield ctx.call_activity("ship")
""",
        (TaskCompleted(1), EventRaised("go", None, "i1"), TaskCompleted(2)),
    ),
    "ended_before_a_result": Case(
        """
    def order(ctx):
        yield ctx.task_all([ctx.call_activity("verify"), ctx.call_activity("reserve")])
""",
        """
    def order(ctx):
        yield ctx.task_any([ctx.call_activity("verify"), ctx.call_activity("reserve")])
        return "done"
""",
        DONE[:2],
    ),
    "failed_early": Case(
        CHAIN,
        """
    def order(ctx):
        receipt = yield ctx.call_activity("verify")
        yield ctx.call_activity(receipt["next"])
""",
        DONE[:1],
    ),
    "goes_on_longer": Case(
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        return "done"
""",
        CHAIN,
        DONE[:1],
    ),
    "another_timer": Case(
        """
    def order(ctx):
        yield ctx.create_timer(timedelta(days=1))
        yield ctx.call_activity("ship")
""",
        """
    def order(ctx):
        reminder = ctx.create_timer(timedelta(hours=1))
        yield ctx.create_timer(timedelta(days=1))
        yield ctx.call_activity("ship")
""",
        (TimerFired(1),),
    ),
    "timer_no_longer_cancelled": Case(
        """
    def order(ctx):
        deadline = ctx.create_timer(timedelta(days=1))
        yield ctx.call_activity("ship")
        deadline.cancel()
        ctx.continue_as_new()
""",
        """
    def order(ctx):
        deadline = ctx.create_timer(timedelta(days=1))
        yield ctx.call_activity("ship")
        ctx.continue_as_new()
""",
        (TaskCompleted(2),),
    ),
    "step_renamed": Case(
        """
    def order(ctx):
        yield ctx.run("price", len, "abc")
        yield ctx.call_activity("ship")
""",
        """
    def order(ctx):
        yield ctx.run("cost", len, "abc")
        yield ctx.call_activity("ship")
""",
        (StepCompleted(1, "price", 3, None, "shop/order.py:3"),),
    ),
    "clock": Case(
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        if clock() < 2031:
            yield ctx.call_activity("reserve")
        yield ctx.call_activity("ship")
""",
        """
    def order(ctx):
        yield ctx.call_activity("verify")
        if clock() < 2030:
            yield ctx.call_activity("reserve")
        yield ctx.call_activity("ship")
""",
        DONE[:1],
        by_clock=True,
    ),
    "wide_fan_out": Case(
        """
    def order(ctx):
        yield ctx.task_all([ctx.call_activity(f"count-{n}") for n in range(1000)])
""",
        """
    def order(ctx):
        yield ctx.task_all([ctx.call_activity(f"count-{n}") for n in range(1000) if n != 500])
""",
    ),
    "long_names": Case(
        """
    def order(ctx):
        yield ctx.call_activity("a-name-that-is-long-enough-" + "to-go-over-the-end-of-the-column-" * 2)
""",
        """
    def order(ctx):
        ctx.start_orchestration("another", instance_id="an-instance-of-a-name-that-goes-on-and-on-" + "x" * 60)
        yield ctx.create_timer(timedelta(days=1))
""",
    ),
}


def compiled(source: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"timedelta": timedelta, "clock": lambda: 2030}
    exec(compile(dedent(source), "shop/order.py", "exec"), space)
    return space["order"]


def disagreement(case: Case) -> NonDeterminismError:
    driver = Driver(compiled(case.old))
    for event in case.incoming:
        driver.tell(event)
    with pytest.raises(NonDeterminismError) as raised:
        driver.replayed(compiled(case.new))
    if case.by_clock:
        return raised.value.with_cause("the code looks at a clock: order.py:4 has clock()")
    return raised.value


@pytest.mark.parametrize("name", list(CASES))
def test_the_text_is_what_a_person_was_promised(name: str) -> None:
    text = str(disagreement(CASES[name])) + "\n"
    file = TEXTS / f"{name}.txt"
    if os.environ.get("DURABLE_WRITE_TEXTS"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("name", list(CASES))
def test_every_text_says_where_both_sides_stand_and_what_to_do_and_fits_a_screen(name: str) -> None:
    error = disagreement(CASES[name])
    text = str(error)
    has_line = error.expected and "EventRaised" not in error.expected  # what comes from outside has none
    assert error.expected_at.startswith("shop/order.py:") == bool(has_line)
    assert error.actual_at.startswith("shop/order.py:")
    assert error.cause in text
    assert '@orchestrator(version="...")' in text
    assert 'ctx.patched("...")' in text
    assert "stuck, not failed" in text
    assert len(error.comparison) <= 24
    assert all(len(line) <= 120 for line in error.comparison)


def test_a_cause_that_was_found_in_the_code_comes_first_and_changes_nothing_else() -> None:
    plain = disagreement(CASES["renamed_activity"])
    better = plain.with_cause("order.py:4 looks at a clock")
    assert better.cause == f"order.py:4 looks at a clock; or {plain.cause}"
    assert str(better) == str(plain).replace("likely cause: ", "likely cause: order.py:4 looks at a clock; or ")
    assert (better.task_id, better.expected_at, better.actual_at) == (2, "shop/order.py:4", "shop/order.py:4")


def test_lines_of_ends_and_cancelled_timers_are_stored_and_decide_nothing() -> None:
    driver = Driver(compiled(CASES["timer_no_longer_cancelled"].old))
    driver.tell(TaskCompleted(2))
    assert [to_array(event)[-1] for event in driver.outgoing] == ["shop/order.py:5", "shop/order.py:6"]
    moved = driver.replayed(compiled("\n\n\n" + CASES["timer_no_longer_cancelled"].old))
    assert moved.completion == driver.live.completion
    ended = Driver(compiled(CASES["goes_on_longer"].old))
    ended.tell(TaskCompleted(1))
    assert to_array(ended.outgoing[0]) == ["XC", "Completed", "done", None, "shop/order.py:4"]


def test_the_time_of_a_timer_is_written_for_people() -> None:
    driver = Driver(compiled(CASES["another_timer"].old))
    assert driver.live.pending[1].event.task_id == 1
    text = (TEXTS / "another_timer.txt").read_text()
    assert datetime(2030, 1, 2, 0, 0, 1, tzinfo=UTC).isoformat() in text
