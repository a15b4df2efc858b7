"""Operations and parcels: what senders put into the mailbox of an entity.

All operations of one commit of a sender for one entity are one *parcel*. Parcels of one sender are a *stream*, by whose
numbers the entity finds duplicates and keeps the order.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from ...lazy_dataclass import dataclass
from ...models import JSON, FailureDetails
from ...moments import from_epoch


class OperationKind(StrEnum):
    SIGNAL = "signal"
    CALL = "call"
    LOCK = "lock"
    RELEASE = "release"
    DELETE = "delete"  # delete the state, without the entity's code

    @property
    def runs_code(self) -> bool:
        return self in (OperationKind.SIGNAL, OperationKind.CALL)


class Asker(NamedTuple):
    """The task of an orchestration that gets an answer. ``rewinds``: how often the execution was rewound when it asked,
    at the last try."""

    instance_id: str
    execution_id: str
    generation: int
    task_id: int
    rewinds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    asker: of a call and of a lock request, the task that waits for it. section: the critical section of a lock request,
    a release, or a call inside of one; '' for none. due: of a signal, when it is to run; None: at once.
    chain: of a lock request and a release, the entities in the order of the locks, as ``@name@key``.
    position: the place of this entity in the chain.
    headers: of a signal and a call, those of the sender, as an object; None for none. A host that does not know them
        cannot read the operation.
    """

    kind: OperationKind
    name: str = ""
    input: JSON = None
    asker: Asker | None = None
    section: str = ""
    due: datetime | None = None
    chain: tuple[str, ...] = ()
    position: int = 0
    headers: JSON = None

    def to_json(self) -> JSON:
        asker = None if self.asker is None else list(self.asker)
        due = None if self.due is None else self.due.timestamp()
        fields: list[JSON] = [self.kind.value, self.name, self.input, asker, self.section, due]
        if self.headers:
            return [*fields, list(self.chain), self.position, self.headers]
        if self.chain:
            return [*fields, list(self.chain), self.position]
        while len(fields) > 1 and fields[-1] in (None, ""):
            fields.pop()
        return fields

    @classmethod
    def from_json(cls, data: JSON) -> Operation:
        kind, name, value, asker, section, due, chain, position, headers = [*data, *_LEFT_OUT[len(data) :]]
        return cls(
            kind=OperationKind(kind),
            name=name,
            input=value,
            asker=None if asker is None else Asker(*asker),
            section=section,
            due=None if due is None else from_epoch(due),
            chain=tuple(chain),
            position=position,
            headers=headers,
        )


_LEFT_OUT: tuple[JSON, ...] = (None, "", None, None, "", None, (), 0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """All operations of one commit of a sender for one entity.

    stream, number: the sender, and the number of its commit. previous: the number of its last parcel before this one
    for the same entity, which must be applied first (rule N1); -1 if there is none.
    again: it may have been in the mailbox before. busy: earlier calls of the sender to this entity are still open, so
    their answers must be kept. sender: for people: the instance or entity.
    """

    stream: str
    number: int
    previous: int = -1
    again: bool = False
    busy: bool = False
    sender: str = ""
    operations: tuple[Operation, ...]


class Answer(NamedTuple):
    """The answer to a call or a lock request."""

    asker: Asker
    result: JSON = None
    failure: FailureDetails | None = None

    def to_json(self) -> JSON:
        failure = None if self.failure is None else self.failure.to_json()
        return [list(self.asker), self.result, failure]

    @classmethod
    def from_json(cls, data: JSON) -> Answer:
        asker, result, failure = data
        return cls(Asker(*asker), result, None if failure is None else FailureDetails.from_json(failure))
