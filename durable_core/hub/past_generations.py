"""What an instance keeps of its earlier generations, whose histories are gone: a summary of each of the last twenty."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ..lazy_dataclass import dataclass
from ..models import JSON
from ..moments import from_epoch

KEPT = 20


@dataclass(frozen=True, slots=True)
class PastGeneration:
    """A generation that has continued as new. number: from 0. started, ended: the times of its first and last commit.
    events: how many its history had."""

    number: int
    started: datetime
    ended: datetime
    events: int

    def to_json(self) -> JSON:
        return [self.number, round(self.started.timestamp(), 3), round(self.ended.timestamp(), 3), self.events]


def past_in(stored: object) -> tuple[PastGeneration, ...]:
    """The generations in a property. ValueError, TypeError or OverflowError if it is damaged."""
    if not stored:
        return ()
    found = cast("list[list[JSON]]", json.loads(str(stored)))
    return tuple(
        PastGeneration(int(number), from_epoch(started), from_epoch(ended), int(events))
        for number, started, ended, events, *_ in found
    )


def with_one_more(past: Sequence[PastGeneration], ended: PastGeneration) -> tuple[PastGeneration, ...]:
    return (*past, ended)[-KEPT:]
