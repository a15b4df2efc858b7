"""The recorded steps of journaled activities, in words, for who looks at a history."""

from __future__ import annotations

from ..engine.events import TaskScheduled
from ..hub.journals import Entry, JournalKey
from ..hub.taskhub import TaskHub
from .replayer import History

_LONGEST = 200  # characters of a value in a line


async def load_steps(hub: TaskHub, history: History) -> dict[int, list[str]]:
    """What the parts of journaled calls have recorded, a line for each step, by the number of the part.

    One read to see which calls have a journal if an activity was called, and one for each. CodecError,
    DamagedRowError, PayloadGoneError, StorageError.
    """
    if not any(isinstance(event, TaskScheduled) for event in history.events):
        return {}
    owner = history.instance_id, history.execution_id, history.generation
    found: dict[int, list[str]] = {}
    for root in sorted(await hub.journals.calls(*owner)):
        for entry in await hub.journals.read(JournalKey(*owner, root)):
            if entry.kind == "step":
                found.setdefault(entry.part, []).append(in_words(entry))
    return found


def in_words(entry: Entry) -> str:
    """The recorded end of a step or a wait."""
    tries = f" (try {entry.tries:,})" if entry.tries > 1 else ""
    where = f" at {entry.line}" if entry.line else ""
    if (failure := entry.failure) is not None:
        return f"{entry.kind} {entry.step}{where} raised {_cut(f'{failure.type}: {failure.message}')}{tries}"
    return f"{entry.kind} {entry.step}{where} -> {_cut(entry.text)}{tries}"


def _cut(text: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
