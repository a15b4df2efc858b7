"""The properties of the instance row: the state of an instance, and how it is written and read.

``instances`` decides when a row is read or written.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from sys import intern
from typing import Any

from ..errors import DamagedRowError, NewerFormatError
from ..lazy_dataclass import copier_of, dataclass
from ..models import JSON, STATUSES, Operations, Origin, ParentLink, RuntimeStatus
from ..moments import from_epoch
from ..storage.ports import Props, Row, Value
from .attempts import RETRY_BUCKETS
from .keys import ENTITY_FORMAT, FORMAT, HEADER_FORMAT, REWOUND_FORMAT, SLOT_FORMAT, UPDATE_FORMAT
from .past_generations import PastGeneration, past_in
from .payloads import PLAIN_CHARS, dumps, join_bytes
from .times import from_iso, iso

LASTING_ATTEMPT = 4
LASTING_TIME = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RetryState:
    """An open task whose next attempt is due. Times are UTC."""

    attempt: int
    first_try: datetime
    next_try: datetime

    @property
    def is_lasting(self) -> bool:
        """Whether the call is tried again for long: at its fourth attempt, or with half a minute since the call."""
        return self.attempt >= LASTING_ATTEMPT or self.next_try - self.first_try >= LASTING_TIME


_NO_ENTRIES: Mapping[Any, Any] = {}
"""Of all rows without retry states, attempts or tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The instance row as read or written last. ``log`` maps a commit's seq to its stored value.

    seq: number of the next commit; it goes on counting through continue-as-new.
    first: the first commit of this generation; base: the first that is in the row, not in a chunk.
    dispatched: every commit up to this one is known to be fully dispatched.
    start_at: not to begin before then; deadline: when the whole run must have ended.
    last_commit: id of the newest commit; carry: what the last generation left to do (see ``Carry``).
    ended: ids of the last commits before this generation, whose history is gone.
    restarted_from: the execution of which this one is a restart. forked_from: the same of a fork; seed: that of its
        source, for the ids and random numbers of the history that it has from there. copied: the number of its
        first commits, which are copies of its source's.
    pause: the reason of the last suspension, encoded; of no meaning while the instance is not suspended.
    waits: what the code waits for, as ``waits`` writes it, encoded; '' if that was not recorded.
    limit: the request for a slot of a limit that its start has given, as JSON ``[gate, request]``; '' if there is none.
    slot: the slot of a limit that it holds from the generation before, as JSON ``[gate, name]``; '' if there is none.
    start_key: the key of starts that has claimed this instance, as ``start_keys`` names it; '' if none has.
    trace: the ``traceparent`` under which the instance was started; '' if its starter had none.
    origin_trace: the ``traceparent`` of the run of which this one is a restart or a fork; '' if that was not traced.
    headers: those of the instance as JSON text, encoded; '' for none. A row with headers is also read as one that uses
        entities and takes updates, which costs nothing but smaller turns.
    rewinds: how often this execution was rewound. parent_rewinds: how often its parent's was, when this child was made
        or rewound for it.
    uses_entities: whether the execution has called, signaled or locked an entity.
    takes_updates: whether the execution has set a handler of an update. updates: the names of the handlers that it has,
        as a JSON array; '' for none.
    section: the critical section that it is in, or has asked for, as JSON ``[task id, [entities], number of the
        commit in this generation]``; '' if there is none. An end without code releases it.
    is_purged: whether a purge has begun to delete its rows.
    retrying: the number of open calls that are tried again for long (``RetryState.is_lasting``).
    operations: the storage operations of this execution up to its last commit, see ``Commit``; None if it was begun by
        a version that did not count.
    past: a summary of each of the last generations before this one, oldest first.
    tries: the ended attempts of open tasks, a stored value for each bucket (see ``attempts``).
    """

    instance_id: str
    execution_id: str
    generation: int = 0
    name: str
    version: str
    status: RuntimeStatus
    created: datetime
    updated: datetime
    input: Value
    output: Value | None = None
    failure: Value | None = None
    custom: Value | None = None
    parent: ParentLink | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: {})
    start_at: datetime | None = None
    deadline: datetime | None = None
    restarted_from: Origin | None = None
    forked_from: Origin | None = None
    seed: str = ""
    copied: int = 0
    rewinds: int = 0
    parent_rewinds: int = 0
    is_purged: bool = False
    uses_entities: bool = False
    takes_updates: bool = False
    updates: str = ""
    section: str = ""
    limit: str = ""
    slot: str = ""
    start_key: str = ""
    seq: int = 0
    first: int = 0
    base: int = 0
    dispatched: int = -1
    last_commit: str = ""
    carry: Value | None = None
    ended: tuple[str, ...] = ()
    past: tuple[PastGeneration, ...] = ()
    stuck: str = ""
    pause: str = ""
    waits: str = ""
    trace: str = ""
    origin_trace: str = ""
    headers: str = ""
    build: str = ""
    retrying: int = 0
    operations: Operations | None = None
    retries: Mapping[int, RetryState] = field(default_factory=lambda: _NO_ENTRIES)
    tries: Mapping[int, Value] = field(default_factory=lambda: _NO_ENTRIES)
    log: dict[int, Value] = field(default_factory=lambda: {})
    log_bytes: int = 0
    etag: str = ""

    @property
    def is_terminal(self) -> bool:
        return self.status.is_terminal

    @property
    def format(self) -> int:
        """The version of the row's form."""
        if self.headers:
            return HEADER_FORMAT
        if self.slot or self.limit:
            return SLOT_FORMAT
        if self.takes_updates:
            return UPDATE_FORMAT
        if self.uses_entities:
            return ENTITY_FORMAT
        return REWOUND_FORMAT if self.rewinds or self.parent_rewinds else FORMAT

    @property
    def is_unstarted(self) -> bool:
        """Whether this generation has no commit yet."""
        return self.seq == self.first

    def but(self, **changes: Any) -> Instance:
        """The same row with other values of these fields. Used at each commit: ``dataclasses.replace`` takes ten times
        as long."""
        return _copy(self, changes)

    def props(self) -> dict[str, Value]:
        """Every property but the log's."""
        props: dict[str, Value] = {
            "fmt": self.format,
            "build": self.build,
            "name": self.name,
            "version": self.version,
            "status": f"{self.status}",
            "created": iso(self.created),
            "updated": iso(self.updated),
            "exec": self.execution_id,
            "gen": self.generation,
            "seq": self.seq,
            "first": self.first,
            "base": self.base,
            "dispatched": self.dispatched,
            "last": self.last_commit,
            "input": self.input,
            "stuck": self.stuck,
        }
        for name, value in (
            ("output", self.output),
            ("failure", self.failure),
            ("custom", self.custom),
            ("carry", self.carry),
        ):
            if value is not None:
                props[name] = value
        for name, moment in (("start", self.start_at), ("deadline", self.deadline)):
            if moment is not None:
                props[name] = iso(moment)
        if self.parent is not None:
            link = self.parent
            props["parent"] = dumps([link.instance_id, link.execution_id, link.generation, link.task_id, link.attempt])
        for name, count in (
            ("rewinds", self.rewinds),
            ("parent_rewinds", self.parent_rewinds),
            ("copied", self.copied),
        ):
            if count:
                props[name] = count
        for name, origin in (("restarted_from", self.restarted_from), ("forked_from", self.forked_from)):
            if origin is not None:
                props[name] = dumps([origin.instance_id, origin.execution_id])
        if self.seed:
            props["seed"] = self.seed
        if self.tags:
            props["tags"] = dumps(dict(self.tags))
        if self.pause:
            props["pause"] = self.pause
        if self.waits:
            props["waits"] = self.waits
        if self.section:
            props["section"] = self.section
        if self.updates:
            props["updates"] = self.updates
        for name, text in (("limit", self.limit), ("slot", self.slot)):
            if text:
                props[name] = text
        if self.start_key:
            props["key"] = self.start_key
        if self.trace:
            props["trace"] = self.trace
        if self.origin_trace:
            props["origin_trace"] = self.origin_trace
        if self.headers:
            props["headers"] = self.headers
        if self.retrying:
            props["retrying"] = self.retrying
        if self.operations is not None:
            props["ops"] = text_of_operations(self.operations)
        if self.ended:
            props["ended"] = " ".join(self.ended)
        if self.past:
            props["past"] = dumps([each.to_json() for each in self.past])
        for bucket in {task % RETRY_BUCKETS for task in self.retries}:
            props[f"r{bucket}"] = retry_bucket(self.retries, bucket)
        props.update({f"q{bucket}": stored for bucket, stored in self.tries.items() if stored})
        return props


STATUS_PROPS = (
    "fmt",
    "name",
    "version",
    "status",
    "created",
    "updated",
    "exec",
    "gen",
    "seq",
    "first",
    "base",
    "dispatched",
    "input",
    "output",
    "failure",
    "custom",
    "parent",
    "tags",
    "stuck",
    "pause",
    "waits",
    "trace",
    "origin_trace",
    "headers",
    "retrying",
    "ops",
    "start",
    "deadline",
    "restarted_from",
    "forked_from",
    "seed",
    "copied",
    "rewinds",
    "parent_rewinds",
    "purging",
    "section",
    "limit",
    "slot",
    "key",
    "updates",
)


_copy = copier_of(Instance)


def read_instance(row: Row) -> Instance:
    """The instance in a row; after a selective read without its log. NewerFormatError if only a newer version can read
    the row, DamagedRowError if no version can."""
    props: Props = row.props
    form, status = props.get("fmt"), props.get("status")
    if not isinstance(form, int) or form > HEADER_FORMAT:
        raise NewerFormatError(
            f"instance '{row.partition}' has storage format {form}; this version reads {HEADER_FORMAT}"
        )
    if isinstance(status, str) and status not in STATUSES:
        raise NewerFormatError(
            f"instance '{row.partition}' has the status '{status}', which this version does not know"
        )
    try:
        return _read(row)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, zlib.error) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DamagedRowError(f"the row of instance '{row.partition}' is damaged: {problem}") from error


def _read(row: Row) -> Instance:
    data: dict[str, Any] = dict(row.props)
    log, log_bytes = _read_log(data)
    parent, tags = data.get("parent"), data.get("tags")
    retries: dict[int, RetryState] = {}
    tries: dict[int, Value] = {}
    for bucket in range(RETRY_BUCKETS):
        if kept := data.get(f"q{bucket}"):
            tries[bucket] = kept
        if text := data.get(f"r{bucket}"):
            text = zlib.decompress(text) if isinstance(text, bytes) else text
            for task, (attempt, first, following) in json.loads(text).items():
                retries[int(task)] = RetryState(attempt, from_epoch(first), from_epoch(following))
    return Instance(
        instance_id=row.partition,
        execution_id=data["exec"],
        generation=data["gen"],
        name=intern(data["name"]),
        version=intern(data["version"]),
        status=STATUSES[data["status"]],
        created=from_iso(data["created"]),
        updated=from_iso(data["updated"]),
        input=data["input"],
        output=data.get("output"),
        failure=data.get("failure"),
        custom=data.get("custom"),
        parent=None if parent is None else ParentLink(*json.loads(parent)),
        tags=_NO_ENTRIES if tags is None else json.loads(tags),
        start_at=None if (start := data.get("start")) is None else from_iso(start),
        deadline=None if (deadline := data.get("deadline")) is None else from_iso(deadline),
        restarted_from=None if (origin := data.get("restarted_from")) is None else Origin(*json.loads(origin)),
        forked_from=None if (origin := data.get("forked_from")) is None else Origin(*json.loads(origin)),
        seed=data.get("seed", ""),
        seq=data["seq"],
        first=data["first"],
        base=data["base"],
        dispatched=data["dispatched"],
        last_commit=data.get("last", ""),
        carry=data.get("carry"),
        ended=tuple(data.get("ended", "").split()),
        past=past_in(data.get("past")),
        stuck=data.get("stuck", ""),
        pause=data.get("pause", ""),
        waits=data.get("waits", ""),
        trace=data.get("trace", ""),
        origin_trace=data.get("origin_trace", ""),
        headers=data.get("headers", ""),
        retrying=data.get("retrying", 0),
        operations=None if (operations := data.get("ops")) is None else operations_in(operations),
        build=intern(data.get("build", "")),
        copied=int(data.get("copied", 0)),
        rewinds=int(data.get("rewinds", 0)),
        parent_rewinds=int(data.get("parent_rewinds", 0)),
        is_purged=bool(data.get("purging")),
        uses_entities=data["fmt"] >= ENTITY_FORMAT,
        takes_updates=data["fmt"] >= UPDATE_FORMAT,
        updates=data.get("updates", ""),
        section=data.get("section", ""),
        limit=data.get("limit", ""),
        slot=data.get("slot", ""),
        start_key=data.get("key", ""),
        retries=retries or _NO_ENTRIES,
        tries=tries or _NO_ENTRIES,
        log=log,
        log_bytes=log_bytes,
        etag=row.etag,
    )


def text_of_operations(operations: Operations) -> str:
    """The property ``ops``: reads and writes of tables, and operations on messages, such as ``2,14,9``."""
    return f"{operations.reads},{operations.writes},{operations.messages}"


def operations_in(text: str) -> Operations:
    reads, writes, messages, *_ = map(int, text.split(","))
    return Operations(reads, writes, messages)


def _read_log(data: dict[str, Any]) -> tuple[dict[int, Value], int]:
    log: dict[int, Value] = {}
    weight = 0
    for seq in range(data["base"], data["seq"]):
        piece = data.get(f"s{seq}_0")
        if piece is None:
            break  # a selective read
        if isinstance(piece, bytes):
            log[seq] = packed = join_bytes(f"s{seq}_", data)
            weight += len(packed)
        else:
            log[seq] = piece
            weight += 2 * len(piece)
    return log, weight


def retry_bucket(retries: Mapping[int, RetryState], bucket: int) -> Value:
    """The retry states that share this property."""
    states: JSON = {
        str(task): [state.attempt, state.first_try.timestamp(), state.next_try.timestamp()]
        for task, state in retries.items()
        if task % RETRY_BUCKETS == bucket
    }
    text = dumps(states)
    return text if len(text) <= PLAIN_CHARS else zlib.compress(text.encode(), 1)
