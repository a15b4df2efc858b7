"""The gates of limits as they are shown: who holds their slots, and who waits for one. Read from their rows alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..entities import EntityId
from ..errors import CodecError, DamagedRowError, NewerFormatError
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..moments import from_epoch


@dataclass(frozen=True, slots=True)
class SlotPlace:
    """Who holds a slot, or waits for one. ``since``: of a holder, when it was granted."""

    slot: str
    instance_id: str
    group: str
    priority: int
    since: datetime


@dataclass(frozen=True, slots=True)
class GateState:
    """A gate as its last batch has left it; both lists in the order of the requests or grants."""

    holders: Sequence[SlotPlace]
    waiting: Sequence[SlotPlace]


async def read_gate(hub: TaskHub, entity: EntityId) -> GateState | None:
    """None if the gate is not in use, or cannot be read here."""
    try:
        row = await hub.entities.read(entity)
        if row is None or not row.exists:
            return None
        data: Any = json.loads(await hub.entities.state_text(row))
        return GateState(*([place_of(each) for each in data[name]] for name in ("holders", "waiting")))
    except (CodecError, DamagedRowError, NewerFormatError, PayloadGoneError, LookupError, TypeError, ValueError):
        return None


def place_of(data: Any) -> SlotPlace:
    """Reads one place of the stored state of a gate. TypeError or ValueError if it is none."""
    slot, asker, group, priority, _, since = data
    return SlotPlace(slot, asker[0], group, priority, from_epoch(since))
