"""What is dispatched again, and from where on: the pure part of rules R5, R6 and R7."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from durable_core.engine.events import Segment, TaskCompleted, TaskScheduled, TimerCanceled, TimerCreated
from durable_core.hub.instance_row import Instance, RetryState
from durable_core.hub.messages import ControlMessage, Nudge, TaskOutcome
from durable_core.models import FailureDetails, RuntimeStatus
from durable_core.runtime.delivery import Delivery, Lease
from durable_core.runtime.redispatch import (
    NOTHING,
    Known,
    Redispatch,
    floor_of_ended,
    floor_of_lost_commit,
    to_redispatch,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HISTORY = [
    Segment(0, "c0", NOW, (TaskScheduled(1, "a"), TimerCreated(2, NOW), TaskScheduled(3, "b"))),
    Segment(1, "c1", NOW, (TaskCompleted(1), TimerCanceled(2), TaskScheduled(4, "c"))),
    Segment(2, "c2", NOW, (TaskScheduled(5, "d"),)),
]


def instance(**changes: Any) -> Instance:
    values: dict[str, Any] = {
        "instance_id": "one",
        "execution_id": "x",
        "name": "orch",
        "version": "",
        "status": RuntimeStatus.RUNNING,
        "created": NOW,
        "updated": NOW,
        "input": "null",
        "seq": 3,
        "dispatched": 1,
    }
    return Instance(**values | changes)


def delivery(*, redelivered: bool = True, **content: Any) -> Delivery:
    values: dict[str, Any] = {"instance_id": "one", "execution_id": "x"}
    message = ControlMessage(**values | content)
    return Delivery(message=message, lease=Lease(1.0, 1.0), redelivered=redelivered)


def asked(instance: Instance, history: Sequence[Segment], batch: Sequence[Delivery], **more: Any) -> Redispatch:
    return to_redispatch(instance, history, batch, Known(-1), **more)


def test_a_fresh_message_asks_for_nothing() -> None:
    assert asked(instance(), HISTORY, [delivery(redelivered=False)]) == NOTHING


def test_a_redelivered_doorbell_asks_for_all_that_is_not_known_as_dispatched() -> None:
    assert asked(instance(), HISTORY, [delivery()]) == Redispatch(later_than=1)


def test_a_redelivered_result_asks_for_what_its_own_commit_scheduled() -> None:
    assert asked(instance(), HISTORY, [delivery(outcomes=(TaskOutcome(0, 1, 1),))]) == Redispatch(later_than=0)


def test_a_redelivered_result_that_nobody_recorded_asks_for_nothing() -> None:
    assert asked(instance(), HISTORY, [delivery(outcomes=(TaskOutcome(0, 3, 1),))]) == NOTHING


def test_a_redelivered_failure_that_became_a_retry_asks_for_what_was_committed_along_with_it() -> None:
    retried = instance(retries={3: RetryState(2, NOW, NOW)})
    failed = TaskOutcome(0, 3, 1, failure=FailureDetails("ValueError", "no"))
    assert asked(retried, HISTORY, [delivery(outcomes=(failed,))]) == Redispatch(later_than=1)


def test_a_redelivered_nudge_of_a_cancelled_timer_asks_for_what_was_committed_along_with_it() -> None:
    assert asked(instance(), HISTORY, [delivery(nudges=(Nudge(0, 2),))]) == Redispatch(later_than=1)


def test_a_redelivered_message_of_another_life_asks_for_what_was_committed_along_with_it() -> None:
    assert asked(instance(), HISTORY, [delivery(execution_id="earlier")]) == Redispatch(later_than=1)


def test_a_commit_whose_answer_was_lost_is_found_by_its_id() -> None:
    assert floor_of_lost_commit((1, "c1"), instance(), HISTORY) == 0
    assert floor_of_lost_commit((1, "other"), instance(), HISTORY) is None


def test_a_generation_ended_by_another_host_is_not_taken_for_ours() -> None:
    later = instance(generation=1, first=3, ended=("c0", "c1", "c2"))
    assert floor_of_lost_commit((2, "c2"), later, []) == 1
    assert floor_of_lost_commit((2, "mine"), later, []) is None


def test_a_redispatch_at_an_ended_instance_is_not_repeated_by_its_own_results() -> None:
    ended = instance(status=RuntimeStatus.TERMINATED)
    assert floor_of_ended(ended, [delivery()], unsure=False) == 1
    assert floor_of_ended(ended, [delivery(redelivered=False, after=2)], unsure=False) is None
    assert floor_of_ended(ended, [delivery(redelivered=False, after=0)], unsure=False) == 0
    assert floor_of_ended(ended, [delivery(redelivered=False)], unsure=False) is None
