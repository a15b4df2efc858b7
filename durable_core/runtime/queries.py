"""Queries: the stored history is replayed into an orchestrator that is dropped afterwards. Reads only.

The answer is computed from the history up to the last commit, or from the first turn if there is no commit yet. The
running instance is not affected, in whichever process it is warm.
"""

from __future__ import annotations

from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..engine.events import ExecutionStarted, Segment
from ..engine.slots import awaited_by_run
from ..errors import InstanceNotFoundError, InstanceStuckError, OperationRefusedError
from ..hang_watch import Code, stretch
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.taskhub import TaskHub
from ..models import JSON
from ..registry import Registry
from .hangs import Hangs
from .slots import not_begun
from .turn.cached import definition_for, info_of, watched_replay


async def ask(
    hub: TaskHub,
    registry: Registry,
    converter: Converter,
    callback_urls: CallbackUrls | None,
    hangs: Hangs,
    instance_id: str,
    name: str,
    args: JSON,
    *,
    guard: bool,
) -> JSON:
    """InstanceNotFoundError, UnknownQueryError, QueryFailedError, InvalidInputError (``args`` do not fit);
    OperationRefusedError where it waits for a slot of a limit before its code begins; UnknownOrchestratorError and
    NonDeterminismError where this app's code is not that of the instance; DeterminismError; CodeHangsError, and
    InstanceStuckError where the orchestrator's own code has hung before.
    """

    async def read() -> tuple[Instance, list[Segment]]:
        instance = (await hub.instances.load(instance_id)).instance
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        return instance, await hub.instances.history(instance)

    instance, segments = await while_it_moves(read)
    if hangs.must_be_left_alone(instance, ()):
        raise InstanceStuckError(instance_id, instance.stuck)
    if not instance.is_terminal and (limit := awaited_by_run(segments)):
        raise OperationRefusedError(instance_id, not_begun(instance_id, limit))
    code = Code(f"query '{name}' of instance '{instance_id}'")
    definition = definition_for(registry, instance.name, instance.version)
    carry = await hub.instances.carry(instance)
    info = info_of(instance, hub.instances.headers(instance), callback_urls)
    live = watched_replay(code, definition, info, converter, segments, carry.seen, guard=guard)
    try:
        if instance.is_unstarted:  # its beginning tells which queries there are; nothing of it is kept
            data = await hub.payloads.load(instance.instance_id, instance.input)
            begin = [ExecutionStarted(instance.name, instance.version, data), *carry.events]
            stretch(code, live.preview, instance.updated, begin)
        return stretch(code, live.query, name, args)
    finally:
        stretch(code, live.close)
