"""The built-in orchestrator ``durable.map``: the calls for one batch of the items of a map.

It counts by the bounds that its map has left for it. When they are exceeded it fails, as the map then does: a rewind of
the map's orchestration thus rewinds the batch, which does the failed item again.
"""

# pyright: reportPrivateUsage=false
# A part of the context, as ``saga`` and ``http`` are.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...definitions import MAP_NAME, OrchestratorDefinition
from ...models import JSON
from ..tasks import Orchestration
from ..values import Written

if TYPE_CHECKING:
    from ...errors import TaskFailedError
    from ..context import OrchestrationContext
    from .item_calls import Report

REPORT_BYTES = 1024 * 1024
"""A batch takes no further item once its results have so many bytes of JSON; its map begins another for the rest."""


def _batch(ctx: OrchestrationContext, data: dict[str, Any]) -> Orchestration[Written]:
    """``data``: see ``UserCalls.begin_batch`` and ``MapTask``."""
    from .item_calls import BatchCalls  # as all that only those processes need which run a map
    from .policies import Bounds
    from .task import MapTask

    policy: Any = "all" if data.get("all") else Bounds(enough=data["enough"], tolerated=data["tolerated"])
    report = yield from MapTask(
        ctx._decisions,
        BatchCalls(ctx, data),
        data["items"],
        policy,
        _report,
        total=None,
        slots=data["slots"],
        batching=None,
        line=data["line"],
        room=REPORT_BYTES,
    )
    return Written(report.to_json())  # the results that were under way may be more than max_payload together


def _report(values: list[Any], errors: dict[int, TaskFailedError]) -> Report:
    from .item_calls import Report, written_error
    from .results import UNFINISHED

    outcomes: list[JSON] = [None if value is UNFINISHED else [value] for value in values]
    for index, error in errors.items():
        outcomes[index] = written_error(error)
    return Report(len(values), outcomes)


MAP_BATCH = OrchestratorDefinition(name=MAP_NAME, version="", fn=_batch, input_type=Any, location="durable_core")
