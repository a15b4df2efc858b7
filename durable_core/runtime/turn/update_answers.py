"""The answers to updates that a commit writes in its own transaction: an update is answered once, or not applied."""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.updates import MAX_OPEN, UpdateAnswer
from ...hub.instance_row import Instance
from ...hub.payloads import size_of
from ...hub.taskhub import TaskHub
from ...storage.ports import Insert, Merge
from .new_events import UPDATES_BATCH

INLINE_BYTES = 1024 * 1024  # of answers in one transaction, which takes 4 MiB
AT_ONCE = MAX_OPEN + UPDATES_BATCH


async def rows_of(
    hub: TaskHub, instance: Instance, answers: Sequence[UpdateAnswer], *, again: bool
) -> tuple[Insert | Merge, ...]:
    """The changes of the rows of these updates. Large answers are written to payload rows.

    again: a commit has failed, perhaps because somebody has deleted a row: it is looked for. An update in the copied
    part of a fork is its source's, and has no row.
    """
    changes: list[Insert | Merge] = []
    room = INLINE_BYTES
    for answer in answers:
        if answer.accepted is not None and instance.first + answer.accepted < instance.copied:
            continue
        change = await hub.updates.change(
            instance.instance_id,
            instance.execution_id,
            answer.update_id,
            answer.kind,
            answer.value,
            looks=again,
            inline=room > 0,
        )
        room -= size_of(change.props)
        changes.append(change)
    # More come together only after a rewind, which tells all updates of void commits again: each was accepted before.
    await hub.updates.write(instance.instance_id, changes[:-AT_ONCE])
    return tuple(changes[-AT_ONCE:])
