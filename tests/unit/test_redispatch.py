"""What is dispatched again, and from where on: the pure part of rules R5, R6 and R7."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from durable_core.engine.events import Segment, TaskCompleted, TaskScheduled, TimerCanceled, TimerCreated, TimerFired
from durable_core.hub.instance_row import Instance, RetryState
from durable_core.hub.messages import ControlMessage, Reminder, TaskOutcome
from durable_core.models import FailureDetails, RuntimeStatus
from durable_core.runtime.turn.delivery import Delivery, Lease
from durable_core.runtime.turn.dispatched_commits import SINGLES_KEPT, DispatchedCommits
from durable_core.runtime.turn.redispatch import (
    NO_REDISPATCH,
    NOTHING,
    Known,
    Redispatch,
    covered,
    redispatch_after_end,
    redispatch_after_lost_commit,
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
    return Delivery(message=message, lease=Lease(1.0, 1.0, 1.0), redelivered=redelivered)


def asked(instance: Instance, history: Sequence[Segment], batch: Sequence[Delivery], **more: Any) -> Redispatch:
    return to_redispatch(instance, history, batch, Known(-1), **more)


def test_a_fresh_message_asks_for_nothing() -> None:
    assert asked(instance(), HISTORY, [delivery(redelivered=False)]) == NOTHING


def test_a_redelivered_wake_up_asks_for_all_that_is_not_known_as_dispatched() -> None:
    assert asked(instance(), HISTORY, [delivery()]) == Redispatch(later_than=1)


def test_a_redelivered_result_asks_for_what_its_own_commit_scheduled() -> None:
    found = asked(instance(), HISTORY, [delivery(outcomes=(TaskOutcome(0, 1, 1),))])
    assert found == Redispatch(commits=frozenset({1}))


def test_a_redelivered_result_that_nobody_recorded_asks_for_nothing() -> None:
    assert asked(instance(), HISTORY, [delivery(outcomes=(TaskOutcome(0, 3, 1),))]) == NOTHING


def test_a_redelivered_failure_that_became_a_retry_asks_for_what_was_committed_along_with_it() -> None:
    retried = instance(retries={3: RetryState(2, NOW, NOW)})
    failed = TaskOutcome(0, 3, 1, failure=FailureDetails("ValueError", "no"))
    assert asked(retried, HISTORY, [delivery(outcomes=(failed,))]) == Redispatch(later_than=1)


def test_a_redelivered_reminder_of_a_cancelled_timer_redispatches_what_was_committed_with_it() -> None:
    assert asked(instance(), HISTORY, [delivery(reminders=(Reminder(0, 2),))]) == Redispatch(later_than=1)


def test_a_redelivered_message_of_another_life_asks_for_what_was_committed_along_with_it() -> None:
    assert asked(instance(), HISTORY, [delivery(execution_id="earlier")]) == Redispatch(later_than=1)


def test_a_commit_whose_answer_was_lost_is_found_by_its_id() -> None:
    assert redispatch_after_lost_commit((1, "c1"), instance(), HISTORY) == 0
    assert redispatch_after_lost_commit((1, "other"), instance(), HISTORY) is None


def test_a_generation_ended_by_another_host_is_not_taken_for_ours() -> None:
    later = instance(generation=1, first=3, ended=("c0", "c1", "c2"))
    assert redispatch_after_lost_commit((2, "c2"), later, []) == 1
    assert redispatch_after_lost_commit((2, "mine"), later, []) is None


def test_a_redispatch_at_an_ended_instance_is_not_repeated_by_its_own_results() -> None:
    ended = instance(status=RuntimeStatus.TERMINATED)
    assert redispatch_after_end(ended, [delivery()], unsure=False) == 1
    assert redispatch_after_end(ended, [delivery(redelivered=False, after=2)], unsure=False) is None
    assert redispatch_after_end(ended, [delivery(redelivered=False, after=0)], unsure=False) == 0
    assert redispatch_after_end(ended, [delivery(redelivered=False)], unsure=False) is None


def test_a_redelivered_result_asks_for_no_commit_that_is_known_as_dispatched() -> None:
    batch = [delivery(outcomes=(TaskOutcome(0, 1, 1),))]
    assert to_redispatch(instance(), HISTORY, batch, Known(1)) == NOTHING
    assert to_redispatch(instance(), HISTORY, batch, Known(-1, {1})) == NOTHING


def test_a_redelivered_result_also_asks_for_later_commits_that_its_host_may_have_made_of_what_it_read_along() -> None:
    history = [*HISTORY, Segment(3, "c3", NOW, (TimerFired(6), TaskScheduled(7, "e")))]
    found = asked(instance(seq=4), history, [delivery(outcomes=(TaskOutcome(0, 1, 1),))])
    assert found == Redispatch(commits=frozenset({1, 3}))


def test_a_copy_asks_for_the_commit_that_recorded_another_copys_result_and_what_is_sent_for_it_asks_nothing() -> None:
    copy = delivery(redelivered=False, after=0, outcomes=(TaskOutcome(0, 1, 1),))
    found = asked(instance(), HISTORY, [copy])
    assert found == Redispatch(commits=frozenset({1}), only_for_copies=True)
    assert covered(instance(), found) == NO_REDISPATCH
    assert (
        asked(instance(), HISTORY, [delivery(redelivered=False, after=1, outcomes=(TaskOutcome(0, 1, 1),))]) == NOTHING
    )


def test_a_copy_whose_result_is_news_asks_nothing() -> None:
    copy = delivery(redelivered=False, after=0, outcomes=(TaskOutcome(0, 3, 1),))
    assert asked(instance(), HISTORY, [copy]) == NOTHING
    assert asked(instance(), HISTORY, [copy], pending={3, 4, 5}) == NOTHING


def test_what_recovery_orders_is_no_hearsay() -> None:
    found = asked(instance(), HISTORY, [delivery(redelivered=False, after=-1)])
    assert found == Redispatch(later_than=-1)
    assert covered(instance(), found) == 2


def test_a_commit_of_an_inline_chain_asks_for_all_that_came_of_it() -> None:
    chain = [
        Segment(0, "c0", NOW, (TaskScheduled(1, "a"),)),
        Segment(1, "c1", NOW, (TaskCompleted(1), TaskScheduled(2, "b"))),
        Segment(2, "c2", NOW, (TaskCompleted(2), TaskScheduled(3, "c"))),
    ]
    found = asked(instance(), chain, [delivery(redelivered=False, after=0, outcomes=(TaskOutcome(0, 1, 1),))])
    assert found == Redispatch(later_than=0)
    assert covered(instance(), found) == 2


def test_a_process_remembers_which_commits_it_has_dispatched() -> None:
    commits = DispatchedCommits()
    commits.note(instance(dispatched=-1), 0, [2, 3, 5], under_way=[3])
    assert [seq in commits.of(instance(dispatched=-1)) for seq in range(6)] == [True, False, True, False, False, True]
    commits.note(instance(dispatched=-1), 4, [], under_way=[])
    assert [seq in commits.of(instance(dispatched=-1)) for seq in range(7)] == [True] * 6 + [False]
    commits.note(instance(dispatched=-1), 4, range(6, 6 + 2 * SINGLES_KEPT, 2), under_way=[])
    assert len(commits.of(instance(dispatched=-1)).singles) == SINGLES_KEPT // 2
