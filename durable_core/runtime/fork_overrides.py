"""What a fork has other than its source: results, failures and inputs of tasks that are open where the copy ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..converter import Converter
from ..engine.events import (
    Incoming,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
)
from ..engine.executor import OrchestrationExecutor
from ..engine.values import read
from ..errors import DurableError, InvalidInputError
from ..hub.messages import TaskOutcome
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails
from .fork_journals import StepOverride
from .turn.fork_plan import Call
from .turn.rewind_plan import RewoundTask

KINDS = ("result", "failure", "input", "step")


@dataclass(frozen=True, slots=True)
class Overrides:
    """By task: results and failures of open tasks, inputs of those that run again, and other ends of recorded steps of
    journaled activities that run again."""

    results: Mapping[int, JSON]
    failures: Mapping[int, FailureDetails]
    inputs: Mapping[int, JSON]
    recorded: Mapping[int, StepOverride]

    @classmethod
    def of(cls, given: Mapping[int, Mapping[str, object]], converter: Converter) -> Overrides:
        """InvalidInputError, SerializationError."""
        found: dict[str, dict[int, JSON]] = {kind: {} for kind in KINDS}
        recorded: dict[int, StepOverride] = {}
        for task_id, what in given.items():
            if len(what) != 1 or (kind := next(iter(what))) not in KINDS:
                raise InvalidInputError(
                    f"an override of task {task_id} has one of {', '.join(KINDS)}, not {what!r:.200}"
                )
            if kind == "step":
                recorded[task_id] = StepOverride.of(task_id, what[kind], converter)
                continue
            found[kind][task_id] = converter.to_json(what[kind], f"the overridden {kind} of task {task_id}")
        failures = {
            task_id: FailureDetails("Overridden", str(message), retriable=False)
            for task_id, message in found["failure"].items()
        }
        return cls(found["result"], failures, found["input"], recorded)

    @property
    def answered(self) -> frozenset[int]:
        """The tasks that do not run again."""
        return frozenset(self.results.keys() | self.failures.keys())

    def check(self, calls: Mapping[int, Call], steps: Mapping[int, RewoundTask]) -> None:
        """InvalidInputError: one of these tasks cannot be overridden so. calls, steps: those that are open."""
        for task_id in sorted(self.answered | self.inputs.keys() | self.recorded.keys()):
            if task_id not in calls and task_id not in steps:
                raise InvalidInputError(f"task {task_id} is not open where the copy ends: it cannot be overridden")
            if isinstance(calls.get(task_id), TimerCreated):
                raise InvalidInputError(f"task {task_id} is a timer, of which nothing can be overridden")
            if task_id in self.recorded and not isinstance(calls.get(task_id), TaskScheduled):
                raise InvalidInputError(f"task {task_id} is no call of an activity: it has no recorded steps")
            if task_id in steps and task_id in self.inputs:
                raise InvalidInputError(
                    f"task {task_id} is a step, whose arguments the code gives: override its result or its failure"
                )

    def outcomes(self, calls: Mapping[int, Call], steps: Mapping[int, RewoundTask]) -> tuple[TaskOutcome, ...]:
        """What the first turn of the fork is told."""
        return tuple(
            TaskOutcome(
                0,
                task_id,
                1,
                self.results.get(task_id),
                self.failures.get(task_id),
                child=isinstance(calls.get(task_id), SubOrchestrationCreated),
                step=steps[task_id].name if task_id in steps else "",
            )
            for task_id in sorted(self.answered)
        )


def events_of(outcomes: Sequence[TaskOutcome], live: OrchestrationExecutor, converter: Converter) -> list[Incoming]:
    """The events that the code will be told. InvalidInputError: a result does not fit the type that it expects."""
    events: list[Incoming] = []
    for outcome in outcomes:
        task_id, result, failure = outcome.task_id, outcome.result, outcome.failure
        if failure is None:
            try:
                read(converter, result, live.returns_of(task_id))
            except DurableError as error:
                raise InvalidInputError(f"the overridden result of task {task_id}: {error}") from error
        if outcome.step:
            events.append(StepCompleted(task_id, outcome.step, result, failure, live.steps[task_id].line))
        elif failure is not None:
            events.append((SubOrchestrationFailed if outcome.child else TaskFailed)(task_id, failure))
        else:
            events.append((SubOrchestrationCompleted if outcome.child else TaskCompleted)(task_id, result))
    return events
