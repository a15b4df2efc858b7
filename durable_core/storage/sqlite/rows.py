"""Rows in SQLite: a base and the patches merged into it since.

Owns how a row is written as JSON and put together again. A merge appends one patch that holds the merged properties
only, so its cost does not grow with the row; the patches are folded into a new base every ``MAX_PARTS`` merges, and
when the row may be near a limit of Azure's (the stored size is an upper bound until then).

Every function here runs inside a ``Session``'s transaction, and checks before it writes.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, cast

from ...compact_json import compact_writer
from ...errors import PreconditionFailedError, RowExistsError, RowNotFoundError
from ...lazy_dataclass import dataclass
from ..limits import check_entity_size, check_props, key_bytes
from ..ports import MAX_ENTITY_BYTES, MAX_PROPERTIES, Operation, Props, Row, Value
from ..ports import Delete as DeleteOperation
from ..ports import Insert as InsertOperation
from ..ports import Merge as MergeOperation
from .session import Session

MAX_PARTS = 200
_IDS_PER_ENTITY = 4096
_RAW_PART = "e.rk, p.id, e.etag, e.stamp, p.props"
_PART_OF_ENTITY = f"p.id BETWEEN e.id * {_IDS_PER_ENTITY} AND e.id * {_IDS_PER_ENTITY} + {_IDS_PER_ENTITY - 1}"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RawPart = tuple[str, int, int, int, str]
"""Row key, id of the part, ETag and time of the row, properties of the part."""


@dataclass(slots=True)
class Patch:
    """Properties ready to be written: made on the caller's thread, so that the writer's stays free.

    ``size`` is that of a row with these properties alone, its keys included, in bytes as Azure counts; ``more`` is that
    of the properties.
    """

    text: str
    size: int
    more: int
    count: int

    @classmethod
    def of(cls, partition: str, key: str, props: Props, size: int | None = None) -> Patch:
        """Checks the row, unless its size is given, as it was checked before. LimitExceededError."""
        keys = key_bytes(partition, key)
        if size is None and (size := keys + check_props(props)) > MAX_ENTITY_BYTES:
            check_entity_size(key, size)
        return cls(_write(dict(props)), size, size - keys, len(props))


def encode(props: Props) -> str:
    return _write(dict(props))


def decode(text: str) -> dict[str, Value]:
    props: dict[str, Any] = json.loads(text)
    for name, value in props.items():
        if type(value) is dict:
            props[name] = _untag(cast("dict[str, str]", value))
    return props


def time_of(stamp: int) -> datetime:
    """A time in the store, which counts microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=stamp)


def fold(partition: str, parts: Sequence[RawPart], select: Sequence[str] | None) -> list[Row]:
    """Put rows together from their parts. ``select`` leaves other properties out."""
    rows: list[Row] = []
    props: dict[str, Value] = {}
    current: str | None = None
    wanted = None if select is None else frozenset(select)
    # They come in this order already, but SQLite promises it only for an ORDER BY that would sort their texts along.
    for key, _, etag, stamp, text in sorted(parts, key=itemgetter(0, 1)):
        if key != current:
            current, props = key, {}
            rows.append(Row(partition, key, props, str(etag), time_of(stamp)))
        found = decode(text)
        props.update(found if wanted is None else {k: v for k, v in found.items() if k in wanted})
    return rows


class Rows:
    """The rows of one table, in one transaction. ``RowNotFoundError`` if the table was never created."""

    __slots__ = ("_con", "_session", "_table")

    def __init__(self, session: Session, table: str) -> None:
        # Azure compares table names without regard to case.
        name = table.lower()
        found = session.containers.get(("table", name)) or session.container("table", name)
        if found is None:
            raise RowNotFoundError(f"there is no table '{table}'; create it first")
        self._session, self._con, self._table = session, session.con, found

    def insert(self, partition: str, key: str, patch: Patch) -> str:
        session = self._session
        if self._find(partition, key) is not None:
            raise RowExistsError(f"row '{partition}' / '{key}' exists already")
        number, etag = session.next_number(), session.next_number()
        self._con.execute(
            "INSERT INTO entity VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
            (self._table, partition, key, number, etag, session.next_stamp(), patch.size, patch.count),
        )
        self._con.execute("INSERT INTO part VALUES (?, ?)", (number * _IDS_PER_ENTITY, patch.text))
        return str(etag)

    def merge(self, partition: str, key: str, patch: Patch, etag: str | None) -> str:
        if etag is not None and patch.count and (merged := self._append(partition, key, patch, etag)) is not None:
            return merged
        number, _, parts, size, count = self._expect(partition, key, etag)
        size, count = size + patch.more, count + patch.count
        if parts >= MAX_PARTS or size > MAX_ENTITY_BYTES or count > MAX_PROPERTIES:
            props = self._props(number)
            props.update(decode(patch.text))
            size = key_bytes(partition, key) + check_props(props)
            check_entity_size(key, size)
            return self._write_base(partition, key, number, encode(props), size, len(props))
        if patch.count:
            self._con.execute("INSERT INTO part VALUES (?, ?)", (number * _IDS_PER_ENTITY + parts, patch.text))
            parts += 1
        return self._update(partition, key, parts, size, count)

    def replace(self, partition: str, key: str, patch: Patch, etag: str | None) -> str:
        number = self._expect(partition, key, etag)[0]
        return self._write_base(partition, key, number, patch.text, patch.size, patch.count)

    def delete(self, partition: str, key: str, etag: str | None) -> None:
        number = self._expect(partition, key, etag)[0]
        self._con.execute("DELETE FROM part WHERE id BETWEEN ? AND ?", _part_ids(number))
        self._con.execute(
            "DELETE FROM entity WHERE tbl = ? AND pk = ? AND rk = ?",
            (self._table, partition, key),
        )

    def transact(self, partition: str, operations: Sequence[tuple[Operation, Patch | None]]) -> list[str | None]:
        """All or nothing: a refusal half-way undoes what this transaction wrote, and only that."""
        con = self._con
        con.execute("SAVEPOINT transact")
        try:
            etags = [self._apply(partition, operation, patch) for operation, patch in operations]
        except BaseException:
            con.execute("ROLLBACK TO transact")
            raise
        finally:
            con.execute("RELEASE transact")
        return etags

    def get(self, partition: str, key: str) -> list[RawPart]:
        return self._con.execute(
            f"SELECT {_RAW_PART} FROM entity e CROSS JOIN part p ON {_PART_OF_ENTITY} "
            "WHERE e.tbl = ? AND e.pk = ? AND e.rk = ?",
            (self._table, partition, key),
        ).fetchall()

    def read_range(self, partition: str, low: str, high: str | None, limit: int | None) -> list[RawPart]:
        above = "" if high is None else "AND rk < ?"
        bounds = (self._table, partition, low) if high is None else (self._table, partition, low, high)
        return self._con.execute(
            f"SELECT {_RAW_PART} FROM (SELECT rk, id, etag, stamp FROM entity "
            f"WHERE tbl = ? AND pk = ? AND rk >= ? {above} ORDER BY rk LIMIT ?) e "
            f"CROSS JOIN part p ON {_PART_OF_ENTITY}",
            (*bounds, -1 if limit is None else limit),
        ).fetchall()

    def _apply(self, partition: str, operation: Operation, patch: Patch | None) -> str | None:
        if isinstance(operation, DeleteOperation) or patch is None:
            self.delete(partition, operation.key, getattr(operation, "etag", None))
            return None
        if isinstance(operation, InsertOperation):
            return self.insert(partition, operation.key, patch)
        if isinstance(operation, MergeOperation):
            return self.merge(partition, operation.key, patch, operation.etag)
        return self.replace(partition, operation.key, patch, operation.etag)

    def _append(self, partition: str, key: str, patch: Patch, etag: str) -> str | None:
        """The merge of a commit in two statements: adds one part, if the ETag matches and no limit can be near.

        None: nothing was written; the general way then merges or finds the error.
        """
        session = self._session
        more = patch.more
        now = session.next_number()
        grown = self._con.execute(
            "UPDATE entity SET etag = ?, stamp = ?, parts = parts + 1, size = size + ?, count = count + ? "
            "WHERE tbl = ? AND pk = ? AND rk = ? AND etag = ? AND parts < ? AND size <= ? AND count <= ? "
            "RETURNING id, parts",
            (
                now, session.next_stamp(), more, patch.count, self._table, partition, key, etag,
                MAX_PARTS, MAX_ENTITY_BYTES - more, MAX_PROPERTIES - patch.count,
            ),
        ).fetchall()  # fmt: skip
        if not grown:
            return None
        number, parts = grown[0]
        self._con.execute("INSERT INTO part VALUES (?, ?)", (number * _IDS_PER_ENTITY + parts - 1, patch.text))
        return str(now)

    def _find(self, partition: str, key: str) -> tuple[int, int, int, int, int] | None:
        return self._con.execute(
            "SELECT id, etag, parts, size, count FROM entity WHERE tbl = ? AND pk = ? AND rk = ?",
            (self._table, partition, key),
        ).fetchone()

    def _expect(self, partition: str, key: str, etag: str | None) -> tuple[int, int, int, int, int]:
        found = self._find(partition, key)
        if found is None:
            raise RowNotFoundError(f"there is no row '{partition}' / '{key}'")
        if etag is not None and etag != str(found[1]):
            raise PreconditionFailedError(f"row '{partition}' / '{key}' was changed by another writer; read it again")
        return found

    def _props(self, number: int) -> dict[str, Value]:
        props: dict[str, Value] = {}
        parts = self._con.execute("SELECT props FROM part WHERE id BETWEEN ? AND ? ORDER BY id", _part_ids(number))
        for (text,) in parts:
            props.update(decode(text))
        return props

    def _write_base(self, partition: str, key: str, number: int, text: str, size: int, count: int) -> str:
        self._con.execute("DELETE FROM part WHERE id BETWEEN ? AND ?", _part_ids(number))
        self._con.execute("INSERT INTO part VALUES (?, ?)", (number * _IDS_PER_ENTITY, text))
        return self._update(partition, key, 1, size, count)

    def _update(self, partition: str, key: str, parts: int, size: int, count: int) -> str:
        etag = self._session.next_number()
        self._con.execute(
            "UPDATE entity SET etag = ?, stamp = ?, parts = ?, size = ?, count = ? WHERE tbl = ? AND pk = ? AND rk = ?",
            (etag, self._session.next_stamp(), parts, size, count, self._table, partition, key),
        )
        return str(etag)


def _part_ids(number: int) -> tuple[int, int]:
    return number * _IDS_PER_ENTITY, number * _IDS_PER_ENTITY + _IDS_PER_ENTITY - 1


def _tag(value: object) -> dict[str, str]:
    """JSON for the types that JSON lacks, as dicts: no property is a dict, so they are unambiguous."""
    if isinstance(value, datetime):
        return {"t": value.astimezone(UTC).isoformat()}
    if isinstance(value, bytes):
        return {"b": b64encode(value).decode()}
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored as a property")


def _untag(tagged: dict[str, str]) -> Value:
    if "t" in tagged:
        return datetime.fromisoformat(tagged["t"])
    return b64decode(tagged["b"])


_write = compact_writer(ascii_only=False, allow_nan=True, default=_tag)
