"""The journal of an activity in a unit test: recorded steps in a list, without a store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from itertools import count

from ..converter import Converter
from ..engine.journal_waits import end_of
from ..errors import JournalError, RowExistsError, TaskTimeoutError
from ..hub.journals import Entry, JournalKey, StepId
from ..hub.payloads import dumps
from ..journal import RecordedStep
from ..models import JSON, FailureDetails, type_name
from ..runtime.activities.journal import Broken, JournalRun, Waiting


class ListedSteps:
    """The log of a run over such a list, which it makes longer."""

    def __init__(self, steps: list[RecordedStep]) -> None:
        self._steps = steps
        self._numbers = count()
        self._entries = [_entry_of(step, number) for number, step in enumerate(steps)]

    def new_id(self) -> str:
        return f"new-{next(self._numbers)}"

    async def insert(self, key: JournalKey, entries: Sequence[Entry]) -> None:
        if entries[0].number < len(self._entries):
            raise RowExistsError(f"step {entries[0].number} is recorded")
        for entry in entries:
            self._entries.append(entry)
            if entry.step is not None:
                name, step_key, occurrence = entry.step
                self._steps.append(
                    RecordedStep(
                        name=name,
                        key=step_key,
                        occurrence=occurrence,
                        value=json.loads(entry.text),
                        failure=entry.failure,
                        line=entry.line,
                        place=entry.ordinal,
                    )
                )

    async def read(self, key: JournalKey, number: int = 0) -> list[Entry]:
        return self._entries[number:]


def run_of(
    log: ListedSteps, converter: Converter, attempt: int, activity: str, is_over: Callable[[], bool]
) -> JournalRun:
    """A run of an activity that finds the steps of this log, and adds those that it records.

    Plain functions run on the loop's thread.
    """

    async def look() -> None: ...

    return JournalRun(
        log,
        JournalKey("instance", "execution", 0, 1),
        run="run",
        new_id=log.new_id,
        unit_random=lambda: 0.0,
        converter=converter,
        attempt=attempt,
        part=1,
        about=f"activity '{activity}'",
        is_over=is_over,
        is_gone=lambda: False,
        look=look,
        leave_at=None,
        now=time.time,
        executor=None,
        callback_url=lambda name, step, lifetime: (name, f"callback:{name}"),
    )


def ends_of_waits(left: object, events: list[tuple[str, object]], converter: Converter) -> list[JSON]:
    """How the waits of a run end, of which at least one does: by these events, which are taken from the list.

    JournalError if none is there for any of them.
    """
    if not isinstance(left, Waiting):
        raise left.error if isinstance(left, Broken) else JournalError("another run of the activity leads")
    waits: list[dict[str, JSON]] = left.waits
    ends = [each for each in (_end_by_event(wait, events, converter) for wait in waits) if each is not None]
    ends = ends or [_end_by_time(wait) for wait in waits if "due" in wait]
    if not ends:
        names = ", ".join(str(wait["name"]) for wait in waits)
        raise JournalError(f"the activity waits for {names}: give it to ActivityEnvironment(events=...)")
    return ends


def _end_by_event(wait: dict[str, JSON], events: list[tuple[str, object]], converter: Converter) -> JSON:
    for at, (name, value) in enumerate(events):
        if wait["kind"] != "timer" and name.casefold() == str(wait["name"]).casefold():
            del events[at]
            if isinstance(value, BaseException):
                return end_of(wait, None, FailureDetails.from_exception(value, retriable=False))
            return end_of(wait, converter.to_json(value, f"the event '{name}'"))
    return None


def _end_by_time(wait: dict[str, JSON]) -> JSON:
    if wait["kind"] == "timer":
        return end_of(wait, None)
    failure = FailureDetails(type_name(TaskTimeoutError), "it did not come in time", retriable=False)
    return end_of(wait, None, failure)


def _entry_of(step: RecordedStep, number: int) -> Entry:
    return Entry(
        entry=f"old-{number}",
        run="old",
        attempt=1,
        kind="step",
        number=number,
        step=StepId(step.name, step.key, step.occurrence),
        line=step.line,
        ordinal=step.place,
        text=dumps(step.value),
        failure=step.failure,
    )
