"""Which storage operations belong to an instance, where the process of its turn does not see them.

What that process does itself is counted where it is done, in the account of the actor (``storage.accounts``). Here are
the operations on a message, which its receiver counts, and on a reminder, which its sender counts, for it may come
after the end. ``foreseen`` has those that a commit knows of.
"""

from __future__ import annotations

from datetime import timedelta

from ...hub.messages import ControlMessage, WorkMessage
from ...models import Operations

ON_A_MESSAGE = 3  # its send, its receipt and its deletion

_REMINDER = Operations(messages=ON_A_MESSAGE)
_LONG_TIMER = Operations(writes=2, messages=ON_A_MESSAGE)  # its row; recovery reads the rows of many at once


def on_message(message: ControlMessage | WorkMessage, receipts: int) -> Operations:
    """Those on a message that was received so often. Of a reminder only further receipts: its sender has counted it."""
    again = max(receipts, 1) - 1
    if isinstance(message, ControlMessage) and message.reminders and message.since is None:
        return Operations(messages=again)
    return Operations(messages=ON_A_MESSAGE + again)


def on_reminder(wait: timedelta, rows_from: timedelta) -> Operations:
    """Those on a reminder that is due after ``wait``, from its sending on. rows_from: see ``LongTimers``."""
    return _LONG_TIMER if wait > rows_from else _REMINDER
