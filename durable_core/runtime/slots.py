"""Whether an instance waits for the slot of a limit on the whole orchestration: its code has not begun then."""

from __future__ import annotations

from ..engine.slots import awaited_by_run
from ..hub.instances import while_it_moves
from ..hub.taskhub import TaskHub


async def limit_awaited(hub: TaskHub, instance_id: str) -> str:
    """The limit, with its key, for whose slot the code of an instance waits to begin; '' if it waits for none."""

    async def read() -> str:
        instance = (await hub.instances.load(instance_id)).instance
        return "" if instance is None else awaited_by_run(await hub.instances.history(instance))

    return await while_it_moves(read)


def not_begun(instance_id: str, limit: str) -> str:
    """Why the instance cannot be asked."""
    return (
        f"instance '{instance_id}' has not begun yet: it waits for a slot of limit '{limit}', and has no handlers "
        "before its code begins; try again later"
    )
