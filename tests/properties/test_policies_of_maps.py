"""A map ends as a plain model of its policy says, in whatever order its items end, and replays to the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from durable_core import (
    AtLeast,
    FailureDetails,
    MapFailedError,
    MapResult,
    Orchestration,
    OrchestrationContext,
    Task,
    Tolerate,
)
from durable_core.engine.events import (
    ExecutionCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from durable_core.engine.mapping.batch import MAP_BATCH
from durable_core.engine.mapping.policies import MapPolicy
from durable_core.errors import ActivityFailedError
from tests.unit.engine_driver import Driver

BOOM = FailureDetails("ValueError", "boom")

policies: st.SearchStrategy[MapPolicy] = st.one_of(
    st.just("all"),
    st.just("all_settled"),
    st.integers(1, 6).map(AtLeast),
    st.integers(0, 4).map(lambda count: Tolerate(count=count)),
    st.sampled_from([0, 0.2, 0.5, 1.0]).map(lambda share: Tolerate(share=share)),
    st.just(Tolerate(count=1, share=0.5)),
)


@dataclass
class Model:
    """What the items that have ended mean, by the words of the policy, computed anew each time from all of them."""

    policy: MapPolicy
    items: int
    slots: int
    is_list: bool

    def outcome(self, ended: dict[int, bool]) -> str:
        """'open', 'enough' or 'failed' once these items (index → whether it succeeded) have ended."""
        succeeded = sum(ended.values())
        failed = len(ended) - succeeded
        taken = min(self.items, len(ended) + self.slots)
        is_counted = self.is_list or (taken == self.items and taken - len(ended) < self.slots)
        is_over = len(ended) == self.items
        match self.policy:
            case "all":
                decided = "failed" if failed else "open"
            case "all_settled":
                decided = "open"
            case AtLeast(successes):
                impossible = is_counted and self.items - failed < successes
                decided = "enough" if succeeded >= successes else "failed" if impossible else "open"
            case Tolerate(count=count, share=share):
                too_many = count is not None and failed > count
                too_large = share is not None and is_counted and failed > share * self.items + 1e-6
                decided = "failed" if too_many or too_large else "open"
        return "enough" if decided == "open" and is_over else decided


@given(
    policy=policies,
    successes=st.lists(st.booleans(), max_size=9),
    slots=st.integers(1, 5),
    is_list=st.booleans(),
    order=st.lists(st.integers(0, 4), min_size=9, max_size=9),
)
def test_a_map_ends_when_its_policy_says_and_not_before(
    policy: Any, successes: Sequence[bool], slots: int, is_list: bool, order: Sequence[int]
) -> None:
    count = len(successes)

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        items: Any = list(range(count)) if is_list else (number for number in range(count))
        try:
            mapped: Callable[..., Task[Any]] = cast("Any", ctx).map
            result: Any = yield from mapped("work", items, policy=policy, max_concurrency=slots)
        except MapFailedError as error:
            return ["failed", _shown(error.result)]
        except ActivityFailedError:
            return ["failed", None]
        return ["enough", _shown(cast("MapResult[Any]", result)) if isinstance(result, MapResult) else result]

    model = Model(policy, count, slots, is_list)
    driver = Driver(code)
    ended: dict[int, bool] = {}
    while model.outcome(ended) == "open":
        assert driver.live.completion is None
        assert len([e for e in driver.all_outgoing if isinstance(e, TaskScheduled)]) == min(count, slots + len(ended))
        pending = list(driver.live.pending)
        task_id = pending[order[len(ended)] % len(pending)]
        index = task_id - 1
        ended[index] = successes[index]
        driver.tell(TaskCompleted(task_id, index * 10) if successes[index] else TaskFailed(task_id, BOOM))
    verdict, shown = driver.result
    assert verdict == model.outcome(ended)
    for index, is_success in ended.items():
        assert shown is None or shown[index] == (index * 10 if is_success else "error")
    if shown is not None:
        assert sum(each is not None for each in shown) == len(ended), "the others have not ended"
    cold = driver.replayed()
    assert cold.completion == driver.live.completion
    cold.close()


def batch(ctx: OrchestrationContext, data: Any) -> Orchestration[Any]:
    code: Orchestration[Any] = MAP_BATCH.fn(ctx, data)
    return (yield from code)


class Cluster:
    """A map in batches, each in an engine of its own; what ends next is drawn."""

    def __init__(self, code: Callable[[OrchestrationContext], Orchestration[Any]], successes: Sequence[bool]) -> None:
        self.map = Driver(code)
        self.successes = successes
        self.batches: dict[int, Driver] = {}
        self.ended: set[int] = set()

    def run(self, order: Sequence[int]) -> None:
        for turn in range(200):
            if self.map.live.completion is not None:
                return
            for call in [event for event in self.map.outgoing if isinstance(event, SubOrchestrationCreated)]:
                self.batches.setdefault(call.task_id, Driver(batch, call.input))
            open_batches = [task_id for task_id in self.map.live.pending if task_id not in self.ended]
            self._move(open_batches[order[turn % len(order)] % len(open_batches)], order[(turn + 1) % len(order)])
        raise AssertionError("the map does not end")

    def _move(self, task_id: int, choice: int) -> None:
        """One item of a batch ends; if the batch ends with it, the map hears of it."""
        driver = self.batches[task_id]
        if driver.live.completion is None:
            pending = list(driver.live.pending)
            item = pending[choice % len(pending)]
            call = driver.live.pending[item].event
            assert isinstance(call, TaskScheduled)
            if self.successes[call.input]:
                driver.tell(TaskCompleted(item, call.input * 10))
            else:
                driver.tell(TaskFailed(item, BOOM))
        end = driver.live.completion
        if isinstance(end, ExecutionCompleted):
            cold = driver.replayed()
            assert cold.completion == end
            cold.close()
            self.ended.add(task_id)
            if end.failure is None:
                self.map.tell(SubOrchestrationCompleted(task_id, end.result))
            else:
                self.map.tell(SubOrchestrationFailed(task_id, end.failure))


@given(
    policy=policies,
    successes=st.lists(st.booleans(), min_size=1, max_size=12),
    slots=st.integers(1, 9),
    size=st.integers(1, 5),
    is_list=st.booleans(),
    order=st.lists(st.integers(0, 7), min_size=1, max_size=9),
)
def test_batches_come_to_what_the_policy_says_of_all_items(
    policy: Any, successes: Sequence[bool], slots: int, size: int, is_list: bool, order: Sequence[int]
) -> None:
    count = len(successes)

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        items: Any = list(range(count)) if is_list else (number for number in range(count))
        try:
            mapped: Callable[..., Task[Any]] = cast("Any", ctx).map
            result: Any = yield from mapped("work", items, policy=policy, max_concurrency=slots, batch_size=size)
        except (MapFailedError, ActivityFailedError):
            return "failed"
        return _shown(cast("MapResult[Any]", result)) if isinstance(result, MapResult) else result

    cluster = Cluster(code, successes)
    cluster.run(order)
    failed = successes.count(False)
    match policy:
        case "all":
            fails = failed > 0
        case AtLeast(least):
            fails = count - failed < least
        case Tolerate(count=most, share=share):
            fails = (most is not None and failed > most) or (share is not None and failed > share * count + 1e-6)
        case _:
            fails = False
    shown = cluster.map.result
    assert (shown == "failed") is fails
    if not fails:
        expected = [number * 10 if is_success else "error" for number, is_success in enumerate(successes)]
        if isinstance(policy, AtLeast):
            assert all(found in (None, right) for found, right in zip(shown, expected, strict=False))
            assert sum(isinstance(found, int) for found in shown) >= policy.successes
        else:
            assert shown == expected
    cold = cluster.map.replayed()
    assert cold.completion == cluster.map.live.completion
    cold.close()


def _shown(result: MapResult[Any]) -> list[Any]:
    return ["error" if item.error else item.value for item in result]
