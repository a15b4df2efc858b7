"""Long timers: timers, retries and deadlines that are more than ten minutes away, as their rows have them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence

from ..errors import InvalidInputError
from ..hub.taskhub import TaskHub
from ..hub.timers import LongTimer
from ..hub.times import iso
from ..instance_ids import FORBIDDEN_IN_KEYS
from ..lazy_dataclass import dataclass
from ..models import JSON

_POSITION = re.compile(r"[0-9]{10}-[0-9A-Za-z_.~]{1,80}-[0-9]{1,10}-[0-9A-Za-z~]{1,32}-.{1,256}")


@dataclass(frozen=True, slots=True)
class TimerPage:
    """A page of ``list_timers``. ``continuation_token`` None: this is the last page."""

    timers: Sequence[LongTimer]
    continuation_token: str | None

    def to_json(self) -> JSON:
        return [
            {
                "instanceId": timer.instance_id,
                "executionId": timer.execution_id,
                "generation": timer.generation,
                "taskId": timer.task_id,
                "due": iso(timer.due),
                "isDeadline": timer.is_deadline,
            }
            for timer in self.timers
        ]


async def timer_page(hub: TaskHub, size: int, token: str | None) -> TimerPage:
    """See ``DurableClient.list_timers``."""
    if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"the page size must be a whole number of at least 1, not {size!r}")
    timers, after = await hub.timers.page(size, _read_token(token))
    return TimerPage(timers, base64.urlsafe_b64encode(json.dumps([1, after]).encode()).decode() if after else None)


def _read_token(token: str | None) -> str:
    if not token:
        return ""
    try:
        form, position = json.loads(base64.urlsafe_b64decode(token.encode()))
        if form != 1 or not _POSITION.fullmatch(position) or FORBIDDEN_IN_KEYS.search(position):
            raise ValueError(form)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidInputError(
            "the continuation token was not issued by this task hub; start again without one"
        ) from None
    return position
