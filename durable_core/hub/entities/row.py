"""The row of an entity: its state, its lock, the cursors of its senders, and what its last batch has sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import NamedTuple, TypeAlias

from ...entities import EntityId
from ...errors import DamagedRowError, NewerFormatError
from ...lazy_dataclass import dataclass
from ...models import JSON
from ...moments import from_epoch
from ...storage.ports import Row, Value
from ..payloads import dumps
from ..times import from_iso, iso
from .keys import HEADER_ROW_FORMAT, ROW_FORMAT
from .operations import Answer, Asker, Parcel

MAX_STUCK = 8000  # characters


class Cursor(NamedTuple):
    """How far a stream is applied.

    number: of the last parcel. at: when, in seconds since 1970. answers: those to calls that the sender may not have
    received (rule N16). part_of, part: the number of the next parcel, if a part of it is applied, and how many of its
    operations are.
    """

    number: int
    at: float
    answers: tuple[Answer, ...] = ()
    part_of: int = -1
    part: int = 0

    def to_json(self) -> JSON:
        fields: list[JSON] = [self.number, round(self.at)]
        if self.answers or self.part:
            fields.append([each.to_json() for each in self.answers])
        return [*fields, self.part_of, self.part] if self.part else fields

    @classmethod
    def from_json(cls, data: JSON) -> Cursor:
        number, at, *rest = data
        left_out: list[JSON] = [[], -1, 0]
        answers, part_of, part = [*rest, *left_out[len(rest) :]]
        return cls(number, at, tuple(Answer.from_json(each) for each in answers), part_of, part)


NEVER = Cursor(-1, 0.0)
"""The cursor of a stream of which nothing was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The lock of an entity. section: whose. holder: the task that requested it. chain, position: as in ``Operation``.
    since: when it was granted."""

    section: str
    holder: Asker
    since: datetime
    chain: tuple[str, ...]
    position: int

    def to_json(self) -> JSON:
        return [self.section, list(self.holder), self.since.timestamp(), list(self.chain), self.position]

    @classmethod
    def from_json(cls, data: JSON) -> Lock:
        section, holder, since, chain, position = data
        return cls(
            section=section, holder=Asker(*holder), since=from_epoch(since), chain=tuple(chain), position=position
        )


class SentParcel(NamedTuple):
    """A parcel for another entity in ``out``."""

    entity: str
    parcel: Parcel


class SentStart(NamedTuple):
    """An orchestration to be started, in ``out``."""

    name: str
    instance_id: str
    input: JSON
    version: str | None
    decided: datetime
    headers: JSON = None


Sent: TypeAlias = SentParcel | SentStart | Answer
"""A message of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRow:
    """The row as read or written last.

    life: a random id, made with the row. seq: number of the last batch. last: id of the commit of that batch.
    exists: whether there is a state. A row without one is a *shell*, kept for its cursors (rule N24).
    state: a stored value. out: what the last batch has sent, and may have to be sent again (rule N5).
    spilled_until: until then, in seconds since 1970, the cursor of an unknown stream may be among the spilled ones.
    has_spilled: whether there are rows of spilled cursors. references: to the payload rows of this row.
    """

    entity: EntityId
    life: str
    created: datetime
    updated: datetime
    seq: int = 0
    last: str = ""
    exists: bool = False
    state: Value = "null"
    lock: Lock | None = None
    cursors: Mapping[str, Cursor] = field(default_factory=lambda: {})
    out: tuple[Sent, ...] = ()
    spilled_until: float = 0.0
    has_spilled: bool = False
    stuck: str = ""
    build: str = ""
    references: tuple[str, ...] = ()
    etag: str = ""

    @property
    def known_as(self) -> tuple[str, int]:
        """By what a process remembers that it has sent ``out`` (rule N10)."""
        return self.life, self.seq


def row_props(row: EntityRow, cursors: Value, out: Value) -> dict[str, Value]:
    """All properties. ``cursors`` and ``out``: the stored values."""
    props: dict[str, Value] = {
        "fmt": HEADER_ROW_FORMAT if any(map(_has_headers, row.out)) else ROW_FORMAT,
        "build": row.build,
        "life": row.life,
        "created": iso(row.created),
        "updated": iso(row.updated),
        "seq": row.seq,
        "last": row.last,
        "exists": row.exists,
        "cursors": cursors,
        "out": out,
    }
    if row.exists:
        props["state"] = row.state
    if row.lock is not None:
        props["lock"] = dumps(row.lock.to_json())
    if row.has_spilled:
        props["spilled"] = row.spilled_until
    return props


def _has_headers(sent: Sent) -> bool:
    if isinstance(sent, SentParcel):
        return any(operation.headers for operation in sent.parcel.operations)
    return isinstance(sent, SentStart) and bool(sent.headers)


def sent_to_json(sent: Sent) -> JSON:
    match sent:
        case SentParcel(entity, parcel):
            operations = [operation.to_json() for operation in parcel.operations]
            return ["p", entity, parcel.stream, parcel.number, operations]
        case SentStart():
            fields = ["o", sent.name, sent.instance_id, sent.input, sent.version, sent.decided.timestamp()]
            return [*fields, sent.headers] if sent.headers else fields
        case Answer():
            return ["a", *sent.to_json()]


def read_row(entity: EntityId, row: Row, cursors: JSON, out: tuple[Sent, ...]) -> EntityRow:
    """The row of these properties. DamagedRowError."""
    props = row.props
    try:
        lock = props.get("lock")
        spilled = props.get("spilled")
        return EntityRow(
            entity=entity,
            life=str(props["life"]),
            created=from_iso(str(props["created"])),
            updated=from_iso(str(props["updated"])),
            seq=int(str(props["seq"])),
            last=str(props["last"]),
            exists=bool(props["exists"]),
            state=props.get("state", "null"),
            lock=None if lock is None else Lock.from_json(json.loads(str(lock))),
            cursors={stream: Cursor.from_json(cursor) for stream, cursor in cursors.items()},
            out=out,
            has_spilled=spilled is not None,
            spilled_until=0.0 if spilled is None else float(str(spilled)),
            stuck=str(props.get("stuck", "")),
            build=str(props.get("build", "")),
            etag=row.etag,
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise DamagedRowError(f"the row of entity {entity} is damaged: {type(error).__name__}: {error}") from error


def check_format(entity: EntityId, row: Row) -> None:
    """NewerFormatError if only a newer version can read the row."""
    form = row.props.get("fmt")
    if not isinstance(form, int) or form > HEADER_ROW_FORMAT:
        raise NewerFormatError(f"entity {entity} has storage format {form}; this version reads {HEADER_ROW_FORMAT}")
