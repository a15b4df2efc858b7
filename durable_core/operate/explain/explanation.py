"""The answer of ``explain``: a cause with its sentence, what to do, and the chain of sub-orchestrations behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from ...hub.times import iso
from ...lazy_dataclass import dataclass
from ...models import JSON, RuntimeStatus, Wait


class ChainLink(NamedTuple):
    """One sub-orchestration on the way to the root cause, and the sentence about it."""

    instance_id: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an instance does not go on.

    runtime_status: None if the hub has no such instance.
    cause: a short name, such as ``retry`` or ``no-activity``; the causes are listed in docs/operating.md.
    sentence: the cause in words, with names, line and times. action: what to do; "Nothing to do: …" where it goes on
        by itself.
    details: the same as data: strings, numbers, times as ISO text. With a chain, ``root`` has the instance id and the
        cause at its end.
    chain: the sub-orchestrations that were followed from this instance to the root cause, in that order; empty if the
        cause is in the instance itself.
    waits: what the code waits for, at most eight.
    needs_somebody: whether it does not go on by itself, or not as it should; False for what only waits for its time,
        its work or its events.

    Names, reasons and messages of users are cut, and shown without control characters.
    """

    instance_id: str
    runtime_status: RuntimeStatus | None
    cause: str
    sentence: str
    action: str
    details: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    chain: tuple[ChainLink, ...] = ()
    waits: tuple[Wait, ...] = ()
    needs_somebody: bool = False

    def to_json(self) -> dict[str, JSON]:
        """The body of ``GET /instances/{id}/explain``."""
        status = {} if self.runtime_status is None else {"runtimeStatus": self.runtime_status.value}
        return {
            "instanceId": self.instance_id,
            **status,
            "cause": self.cause,
            "sentence": self.sentence,
            "action": self.action,
            "needsSomebody": self.needs_somebody,
            "details": dict(self.details),
            "chain": [{"instanceId": link.instance_id, "sentence": link.sentence} for link in self.chain],
            "waits": [_wait_json(wait) for wait in self.waits],
        }


def _wait_json(wait: Wait) -> JSON:
    shown: dict[str, JSON] = {"kind": wait.kind, "name": wait.name, "line": wait.line}
    if wait.task_id:
        shown["taskId"] = wait.task_id
    moments: dict[str, datetime | None] = {"since": wait.since, "due": wait.due}
    return shown | {name: iso(moment) for name, moment in moments.items() if moment is not None}
