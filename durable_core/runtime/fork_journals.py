"""The journals of a fork: the recorded steps of calls that are open where the copy ends, perhaps with one other end.

A prefix of a log is a log: what the parts that were called before the copy ends have recorded is copied, in its order.
A step that has another end in the fork is the last of its log, as all behind it may have followed from its value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, NamedTuple, cast

from ..converter import Converter
from ..engine.events import Segment, TaskCompleted, TaskFailed, TaskScheduled
from ..errors import InvalidInputError
from ..hub.instance_row import Instance
from ..hub.instances import HistoryMovedError
from ..hub.journals import Entry, JournalKey, StepId, root_of
from ..hub.payloads import dumps
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..models import FailureDetails

SHOWN = 8  # names of recorded steps in an error

_EXAMPLE = 'such as {"name": "charge", "result": 7}'


@dataclass(frozen=True, slots=True)
class StepOverride:
    """Another end of one step of a journaled activity.

    text: the value as JSON. is_recorded: the source has recorded an end of the step; else it gets one beforehand.
    """

    step: StepId
    text: str = "null"
    failure: FailureDetails | None = None
    is_recorded: bool = True

    @classmethod
    def of(cls, task_id: int, given: object, converter: Converter) -> StepOverride:
        """What a caller gives: a name, perhaps a key or the number of the call of this name, and a result or a failure.
        InvalidInputError, SerializationError."""
        what = f"the overridden step of task {task_id}"
        if not isinstance(given, Mapping):
            raise InvalidInputError(f"{what} must be an object {_EXAMPLE}, not {given!r:.200}")
        fields = cast("dict[str, Any]", given)
        if unknown := sorted(map(str, fields.keys() - {"name", "key", "call", "result", "failure", "recorded"})):
            raise InvalidInputError(f"{what} has the unknown member {unknown[0]!r:.100}: give an object {_EXAMPLE}")
        name, key, call = fields.get("name"), fields.get("key"), fields.get("call", 1)
        recorded = fields.get("recorded", True)
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"{what} needs the 'name' of the step, {_EXAMPLE}")
        if key is not None and (not isinstance(key, str) or "call" in fields):
            raise InvalidInputError(f"{what}: 'key' is a text, and a step with a key has no 'call'")
        if type(call) is not int or call < 1:
            raise InvalidInputError(f"{what}: 'call' counts the calls of this name from 1, not {call!r:.100}")
        if not isinstance(recorded, bool):
            raise InvalidInputError(f"{what}: 'recorded' is true or false, not {recorded!r:.100}")
        if ("result" in fields) == ("failure" in fields):
            raise InvalidInputError(f"{what} has either a 'result' or a 'failure', {_EXAMPLE}")
        step = StepId(name, key, 0 if key is not None else call - 1)
        if "failure" in fields:
            failure = FailureDetails("Overridden", str(fields["failure"]), retriable=False)
            return cls(step, failure=failure, is_recorded=recorded)
        value = converter.to_json(fields["result"], f"the result of {what}")
        return cls(step, dumps(value), is_recorded=recorded)


class LastPart(NamedTuple):
    """The last part of a journaled call, or the call itself if it has not waited. is_open: it has not ended."""

    task_id: int
    is_open: bool


class Journal(NamedTuple):
    """A journal to be copied. root: the number of the first part of its call."""

    root: int
    entries: list[Entry]


def open_calls(segments: Iterable[Segment]) -> dict[int, LastPart]:
    """The calls of activities that are open after these commits, or wait, by the number of their first part."""
    roots: dict[int, int] = {}
    found: dict[int, LastPart] = {}
    for segment in segments:
        for event in segment.events:
            if isinstance(event, TaskScheduled):
                root = roots[event.task_id] = root_of(event)
                found[root] = LastPart(event.task_id, True)
            elif isinstance(event, TaskCompleted | TaskFailed) and event.task_id in roots:
                root = roots[event.task_id]
                found.pop(root, None)
                if isinstance(event, TaskCompleted) and event.waits is not None:
                    found[root] = LastPart(event.task_id, False)
    return found


async def read_journals(
    hub: TaskHub, source: Instance, calls: Mapping[int, LastPart], without: Collection[int]
) -> dict[int, Journal]:
    """The journals of these calls up to the end of the copy, by the number of the last part.

    without: the last parts whose journals are not needed. One read of the heads of all journals of the generation if
    there is a call, one for each journal, and one of the source's row. HistoryMovedError: the generation has ended
    meanwhile, and its journals may be gone.
    """
    wanted = {root: part.task_id for root, part in calls.items() if part.task_id not in without}
    if not wanted:
        return {}
    owner = source.instance_id, source.execution_id, source.generation
    found: dict[int, Journal] = {}
    for root in sorted(wanted.keys() & await hub.journals.calls(*owner)):
        last = wanted[root]
        entries = await hub.journals.read(JournalKey(*owner, root))
        found[last] = Journal(root, _up_to(entries, last))
    now = await hub.instances.get(source.instance_id)
    if now is None or (now.execution_id, now.generation) != (source.execution_id, source.generation) or now.is_purged:
        raise HistoryMovedError(f"instance '{source.instance_id}' has gone on while its journals were read")
    return found


def with_override(entries: Sequence[Entry], call: TaskScheduled, other: StepOverride, execution_id: str) -> list[Entry]:
    """A journal in which one step has another end, and nothing is behind it. InvalidInputError: it has no such step."""
    task_id, step = call.task_id, other.step
    at = next((n for n, each in enumerate(entries) if each.kind == "step" and each.step == step), None)
    if at is None and other.is_recorded:
        names = [str(each.step) for each in entries if each.kind == "step"]
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        raise InvalidInputError(
            f"step {step} of task {task_id} is not recorded there; recorded are: {shown or 'none'}. To give its end "
            'beforehand to a step that is not recorded, say "recorded": false'
        )
    if at is None:
        base = Entry(entry="", run="", attempt=0, part=task_id, kind="step", number=len(entries), step=step)
        at = len(entries)
    else:
        base = entries[at]
        if base.part < task_id:
            raise InvalidInputError(
                f"step {step} was recorded before a wait of its activity, by task {base.part}: to override it, fork "
                f"before the end of task {base.part}"
            )
    # The id is the same when the request is made again, and another one if it overrides otherwise.
    said = repr((execution_id, step, other.text, other.failure))
    entry_id = hashlib.sha256(said.encode()).hexdigest()[:24]
    return [*entries[:at], replace(base, entry=entry_id, text=other.text, failure=other.failure)]


def _up_to(entries: Sequence[Entry], part: int) -> list[Entry]:
    """What is before the first entry of a later part. Attempts are counted anew in the fork: none of the source's is a
    later one (rule J4)."""
    kept = takewhile(lambda entry: entry.part <= part, entries)
    return [replace(each, attempt=0) if each.kind == "begin" else each for each in kept]
