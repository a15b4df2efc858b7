"""The task of a map: takes items from an iterable as slots get free, and ends by its policy.

*Windows.* ``max_concurrency`` slots are shared by all that is under way. The call of an item takes one, a batch as many
as it may use at once. An item is taken from the iterable when there is a slot for it.

*Batches.* The first ``DIRECT_ITEMS`` items are calls of this orchestration; further items go to sub-orchestrations
(``batch``), so that no history grows with the number of items. These numbers decide which calls are made: a running
instance replays with those that it began with, so they must not change without a patch mark.

*Rewinds.* A map that is open where a rewind goes on makes a new call for each item that had failed before, direct or in
a new batch. It keeps these items until it ends. What had succeeded stays as it was.
"""

# pyright: reportPrivateUsage=false
# A friend of Task, as the other combinations are.

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

from ...errors import MapFailedError, TaskCancelledError, TaskFailedError
from ...models import JSON, FailureDetails, type_name
from ...user_code import raise_unless_failure
from ..combinators import pulling
from ..critical_section import section_of_running_code
from ..parent_close import ask_child_to_end, children_asked
from ..slots import LimitedTask
from ..state import ExecutionState
from ..tasks import Combination, Task, leave, own_error, settle
from ..user_frames import on_behalf_of
from .item_calls import ItemCalls, error_of_batch, read_outcome
from .policies import Bounds, MapPolicy, Tally
from .results import UNFINISHED, MapResult

R = TypeVar("R")

DIRECT_ITEMS = 1000
"""Items that are calls of the orchestration itself, if no batch size is given; and the highest batch size."""
BATCH_ITEMS = 500
BATCH_BYTES = 512 * 1024
"""A batch takes no further item once the inputs of its items have so many bytes of JSON."""
BATCHES_AT_ONCE = 4
"""So many batches share the slots: while the last items of one end, the others fill theirs."""

_NOTHING: Any = object()


class Batching(NamedTuple):
    """How a map is cut. direct: the items before the first batch. size: items of a batch."""

    direct: int = DIRECT_ITEMS
    size: int = BATCH_ITEMS


class _Begun(NamedTuple):
    """What is under way: the indexes of its items, the slots that it takes, and the items. is_batch: else it is the
    call of one item."""

    indexes: Sequence[int]
    slots: int
    items: list[Any]
    is_batch: bool


class MapTask(Combination[R]):
    """The task that ``ctx.map`` returns: its result is that of the map. ``cancel()`` ends it early."""

    __slots__ = (
        "_batching",
        "_begun",
        "_calls",
        "_direct",
        "_ended_before",
        "_errors",
        "_failed_calls",
        "_failed_in_batches",
        "_is_filling",
        "_last",
        "_line",
        "_policy",
        "_pulls",
        "_rest",
        "_room",
        "_shape",
        "_single",
        "_slots",
        "_source",
        "_tally",
        "_used",
        "_values",
    )

    def __init__(
        self,
        owner: ExecutionState,
        calls: ItemCalls,
        items: Iterable[Any],
        policy: MapPolicy | Bounds,
        shape: Callable[[list[Any], dict[int, TaskFailedError]], R],
        *,
        total: int | None,
        slots: int,
        batching: Batching | None,
        line: str,
        room: int | None = None,
    ) -> None:
        """total: the number of items, where it is known. slots: ``max_concurrency``. batching: None for no batches.

        shape: makes the result of the values and the errors by index.
        room: bytes of JSON of the results after which no further item is taken; None for any number.
        """
        super().__init__(owner, (), "ctx.map")
        self._calls, self._policy, self._shape, self._line = calls, policy, shape, line
        self._batching, self._slots, self._room = batching, slots, room
        self._direct = -1 if batching is None else batching.direct  # negative: all items are direct calls
        self._tally = Tally(policy, total)
        self._pulls = pulling(owner)
        self._source: Iterator[Any] | None = iter(items)
        self._values: list[Any] = []
        self._errors: dict[int, TaskFailedError] = {}
        self._begun: dict[Task[Any], _Begun] = {}
        self._rest: deque[tuple[Sequence[int], list[JSON]]] = deque()  # items for further batches, with their indexes
        self._single: deque[tuple[int, Any]] = deque()  # items that are called again, with their indexes
        self._failed_calls: dict[int, Any] = {}  # items by index
        self._failed_in_batches: dict[int, JSON] = {}
        self._ended_before: frozenset[int] = frozenset()  # calls under way that had ended before a rewind
        self._last = 0  # the task that has ended last
        owner.maps = owner.maps or {}
        owner.maps[self] = None
        self._used = 0
        self._is_filling = False
        self._judge(None)
        self._fill()

    @property
    def taken(self) -> int:
        """How many items were taken from the iterable so far: for a query handler that shows the progress."""
        return len(self._values)

    @property
    def succeeded(self) -> int:
        """How many items have succeeded so far. Those of a batch are counted when the batch has ended."""
        return self._tally.succeeded

    @property
    def failed(self) -> int:
        """How many items have failed so far. Those of a batch are counted when the batch has ended."""
        return self._tally.failed

    def cancel(self) -> None:
        """End the map: no further item is taken, and code that waits for it gets a TaskCancelledError.

        Activities that are under way run on, and their results are dropped; sub-orchestrations are cancelled. Nothing
        if the map has ended.
        """
        self._seen = True
        if not self._done:
            self._end(None, _cancelled())

    def open_children(self, limit: int) -> list[Task[Any]]:
        return list(islice(self._begun, limit))

    def left(self, error: TaskCancelledError) -> None:
        if not self._done:
            self._end(None, error)

    def child_ended(self, child: Task[Any]) -> None:
        begun = self._begun.pop(child)
        self._used -= begun.slots
        error = child._error
        self._last = error.task_id if isinstance(error, TaskFailedError) else _task_of(child)
        had_ended = self._last in self._ended_before
        if not begun.is_batch:
            index, item = begun.indexes[0], begun.items[0]
            if not isinstance(error, TaskFailedError):
                self._item_ended(index, child._value, error)
            elif had_ended:
                self._call_again({index: item}, {})
            else:
                self._failed_calls[index] = item
                self._item_ended(index, None, error)
        elif child._error is None:
            self._batch_ended(begun, child._value, had_ended=had_ended)
        else:
            self._end(None, self._failure_of_batch(child._error))
        self._fill()

    # ------------------------------------------------------------ after a rewind

    def rewound(self, undone: Collection[int], ended: frozenset[int]) -> None:
        """A rewind goes on from here: items that have failed are to be called again, by ``go_on``.

        undone: tasks that are done again themselves. ended: those whose failed items are to be called again once they
        are told of.
        """
        decisions = cast("ExecutionState", self._owner)
        for child, begun in self._begun.items():
            if not begun.is_batch and _task_of(child) in undone:
                decisions.items_again.append((self._calls.name, begun.indexes[0]))
        self._ended_before |= ended
        self._call_again(self._failed_calls, self._failed_in_batches)
        self._failed_calls, self._failed_in_batches = {}, {}
        decisions.owes_items = decisions.owes_items or bool(self._single or self._rest)

    def go_on(self) -> None:
        """Call what the last rewind has left to be called again."""
        self._fill()

    def _call_again(self, calls: dict[int, Any], in_batches: dict[int, JSON]) -> None:
        """Queue items that have failed, by index, and take back their failures."""
        self._single.extend(calls.items())
        again = list(in_batches)
        for at in range(0, len(again), BATCH_ITEMS):
            indexes = again[at : at + BATCH_ITEMS]
            self._rest.append((indexes, [in_batches[index] for index in indexes]))
        decisions = cast("ExecutionState", self._owner)
        for index in (*calls, *again):
            decisions.items_again.append((self._calls.name, index))
            self._tally.failed -= self._errors.pop(index, None) is not None

    # ------------------------------------------------------------ what begins

    def _fill(self) -> None:
        """Begin what there are slots for. An exception of the iterable is raised where the code waits for this task."""
        if self._is_filling:  # the iterable has ended a task; the loop below, which runs already, goes on
            return
        self._is_filling = True
        try:
            while not self._done and self._pulls(self._begin_next):
                pass
        except BaseException as error:  # noqa: BLE001  an exception of user code, which fails this task
            raise_unless_failure(error)
            if not self._done:
                self._end(None, error)
        finally:
            self._is_filling = False
        if not (self._done or self._begun or self._rest or self._single) and self._source is None:
            self._succeed()

    def _begin_next(self) -> bool:
        """Begin the call of the next item, or a batch. False if there is no slot, or no item."""
        free = self._slots - self._used
        if self._rest:
            if self._slots_of(len(self._rest[0][1])) > free:
                return False
            self._begin_batch(*self._rest.popleft())
            return True
        if self._single:
            if free:
                index, item = self._single.popleft()
                self._wait_for(self._for_line(self._calls.begin, item), _Begun((index,), 1, [item], False))
            return bool(free)
        decisions = cast("ExecutionState", self._owner)
        if self._direct == 0 and section_of_running_code(decisions) is None:
            batching = cast("Batching", self._batching)
            if self._slots_of(batching.size) > free:
                return False
            first, items = len(self._values), self._next_items(batching.size)
            if items and not self._done:
                self._begin_batch(range(first, first + len(items)), items)
            return bool(items)
        if not free or (item := self._next()) is _NOTHING:
            return False
        self._direct -= self._direct > 0
        if self._done:  # the iterable has ended this map
            return False
        task = self._for_line(self._calls.begin, item)
        self._wait_for(task, _Begun((len(self._values) - 1,), 1, [item], False))
        return True

    def _next(self) -> Any:
        """The next item; ``_NOTHING`` if there is none."""
        if self._source is None or self._done:
            return _NOTHING
        try:
            item = next(self._source)
        except StopIteration:
            self._no_more()
            return _NOTHING
        self._values.append(UNFINISHED)
        return item

    def _next_items(self, size: int) -> list[JSON]:
        items: list[JSON] = []
        room = BATCH_BYTES
        while len(items) < size and room > 0 and (item := self._next()) is not _NOTHING:
            items.append(self._for_line(self._calls.described, item))
            room -= _bytes_of(items[-1])
        return items

    def _no_more(self) -> None:
        self._source = None
        self._tally.know(len(self._values))
        self._judge(None)

    def _begin_batch(self, indexes: Sequence[int], items: list[JSON]) -> None:
        slots = self._slots_of(len(items))
        left = self._tally.left
        about: dict[str, JSON] = {"slots": slots, "enough": left.enough, "tolerated": left.tolerated}
        if self._policy == "all":
            about["all"] = True
        task = self._for_line(self._calls.begin_batch, items, about)
        self._wait_for(task, _Begun(indexes, slots, items, True))

    def _slots_of(self, items: int) -> int:
        """The slots that a batch of so many items takes."""
        return min(items, max(self._slots // BATCHES_AT_ONCE, 1))

    def _for_line(self, call: Callable[..., Any], *arguments: Any) -> Any:
        asked = on_behalf_of.set(self._line)
        try:
            return call(*arguments)
        finally:
            on_behalf_of.reset(asked)

    def _wait_for(self, task: Task[Any], begun: _Begun) -> None:
        self._begun[task] = begun
        self._used += begun.slots
        task._seen = True
        task._observers = [self]

    # ------------------------------------------------------------ what ends

    def _item_ended(self, index: int, value: Any, error: BaseException | None) -> None:
        if error is None:
            self._values[index] = value
            self._tally.succeeded += 1
            if self._room is not None:
                self._room -= _bytes_of(value)
                if self._room <= 0 and self._source is not None:
                    self._source = None
        elif isinstance(error, TaskFailedError):
            self._errors[index] = error
            self._tally.failed += 1
        else:
            self._end(None, error)
            return
        self._judge(self._errors.get(index))

    def _batch_ended(self, begun: _Begun, report: Any, *, had_ended: bool) -> None:
        last: TaskFailedError | None = None
        failed: dict[int, JSON] = {}
        for at, outcome in enumerate(report["outcomes"]):
            if outcome is None:
                continue
            index = begun.indexes[at]
            value, error = read_outcome(self._calls, outcome, self._last)
            if error is None:
                self._values[index] = value
                self._tally.succeeded += 1
            else:
                failed[index] = begun.items[at]
                if not had_ended:
                    self._errors[index] = last = error
                    self._tally.failed += 1
        taken = report["taken"]
        if taken < len(begun.items):
            self._rest.append((begun.indexes[taken:], begun.items[taken:]))
        if had_ended:
            self._call_again({}, failed)
        else:
            self._failed_in_batches.update(failed)
        self._judge(last)

    def _judge(self, last: TaskFailedError | None) -> None:
        """End the map if its policy has decided. last: the failure that has been counted last."""
        match self._tally.verdict:
            case "enough":
                self._succeed()
            case "failed":
                self._end(None, last if self._policy == "all" and last is not None else self._too_many(last))
            case "goes on":
                pass

    def _succeed(self) -> None:
        self._end(self._shape(self._values, self._errors), None)

    def _too_many(self, last: TaskFailedError | None) -> MapFailedError:
        message = f"ctx.map of '{self._calls.name}': {self._tally.reason()}"
        if last is None and self._errors:
            last = self._errors[max(self._errors)]
        result: MapResult[Any] = MapResult(self._values, self._errors)
        if last is None:
            failure = FailureDetails(type_name(MapFailedError), message, retriable=False)
            return MapFailedError(message, failure, result, name=self._calls.name)
        failed = MapFailedError(
            f"{message}; the last failure: {last}", last.failure, result, task_id=last.task_id, name=self._calls.name
        )
        failed.__cause__ = last
        return failed

    def _failure_of_batch(self, error: BaseException) -> BaseException:
        if isinstance(error, TaskFailedError) and error.failure.type == type_name(MapFailedError):
            failure, result = error.failure, MapResult[Any](self._values, self._errors)
            message = f"{failure.message} (in a batch)"
            return MapFailedError(
                message, failure.cause or failure, result, task_id=error.task_id, name=self._calls.name
            )
        return error_of_batch(self._calls, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        """End, take no further item, and leave what is under way."""
        self._source = None
        self._rest.clear()
        self._single.clear()
        self._failed_calls, self._failed_in_batches = {}, {}
        begun, self._begun = self._begun, {}
        self._used = 0
        decisions, reason = cast("ExecutionState", self._owner), _cancelled()
        decisions.maps.pop(self, None)
        if self._last and (earlier := {each.task_id for each in self._errors.values()} - {self._last}):
            decisions.map_ends = {**decisions.map_ends, **dict.fromkeys(earlier, self._last)}
        asked = {child for child, _ in children_asked(decisions)}
        for task, what in begun.items():
            task._observers = None
            task._released = True
            if not what.is_batch and not self._calls.is_child:
                leave(task, reason)
            elif (child := cast("Any", task.call).task_id) not in asked:
                ask_child_to_end(decisions, child)
        settle(self, value, error)


def _task_of(child: Task[Any]) -> int:
    """The number of what is under way; 0 if it has none yet, as it waits for its slot of a limit."""
    if isinstance(child, LimitedTask):
        return 0 if child._called is None else _task_of(child._called)
    return cast("Any", child.call).task_id


def _cancelled() -> TaskCancelledError:
    return own_error(TaskCancelledError, "the map was over, or was cancelled")


def _bytes_of(value: JSON) -> int:
    """The bytes of a value as JSON; of a number or a truth value nearly so."""
    if type(value) is str:
        return len(value) + 2
    return 8 if value is None or isinstance(value, int | float) else len(json.dumps(value, separators=(",", ":")))
