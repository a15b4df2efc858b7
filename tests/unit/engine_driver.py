"""Drives one orchestrator by hand, as the dispatcher does: step, commit, record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from durable_core import FailureDetails, orchestrator
from durable_core.converter import Converter
from durable_core.definitions import OrchestratorDefinition, definition_of
from durable_core.engine.callbacks import CallbackUrls
from durable_core.engine.events import ExecutionCompleted, ExecutionStarted, Incoming, Outgoing, Segment
from durable_core.engine.executor import InstanceInfo, OrchestrationExecutor, Turn
from durable_core.models import JSON, ParentLink

START = datetime(2030, 1, 1, tzinfo=UTC)


def define(fn: Callable[..., Any]) -> OrchestratorDefinition:
    definition = definition_of(orchestrator(fn))
    assert isinstance(definition, OrchestratorDefinition)
    return definition


class Driver:
    """``outgoing`` are the decisions of the last turn, ``all_outgoing`` those of all turns."""

    def __init__(
        self,
        fn: Callable[..., Any],
        data: JSON = None,
        *,
        parent: ParentLink | None = None,
        start: bool = True,
        urls: CallbackUrls | None = None,
    ) -> None:
        self.definition = define(fn)
        self.info = InstanceInfo(
            instance_id="order-7",
            execution_id="e1",
            generation=0,
            name=self.definition.name,
            version="1",
            parent=parent,
            callback_urls=urls,
        )
        self.live = self.fresh()
        self.now = START
        self.turn = Turn((), ())
        self.all_outgoing: list[Outgoing] = []
        if start:
            self.tell(ExecutionStarted(self.info.name, "1", data))

    def fresh(self, fn: Callable[..., Any] | None = None) -> OrchestrationExecutor:
        return OrchestrationExecutor(self.definition if fn is None else define(fn), self.info, Converter())

    def tell(self, *incoming: Incoming, seconds: int = 1) -> Turn:
        """Step and commit."""
        self.now += timedelta(seconds=seconds)
        self.turn = self.live.step(self.now, incoming)
        number = len(self.live.history)
        self.live.record(Segment(number, f"c{number}", self.now, self.turn.events))
        self.all_outgoing += self.turn.outgoing
        return self.turn

    def replayed(self, fn: Callable[..., Any] | None = None) -> OrchestrationExecutor:
        """A new generator of the same history, perhaps of other code."""
        cold = self.fresh(fn)
        cold.replay(self.live.history)
        return cold

    @property
    def outgoing(self) -> tuple[Outgoing, ...]:
        return self.turn.outgoing

    @property
    def result(self) -> JSON:
        end = self.live.completion
        assert isinstance(end, ExecutionCompleted), end
        assert end.status == "Completed", end
        return end.result

    @property
    def failure(self) -> FailureDetails:
        end = self.live.completion
        assert isinstance(end, ExecutionCompleted), end
        assert end.status == "Failed"
        assert end.failure is not None
        return end.failure
