"""Queue messages: wake-ups and work. Never the only copy of a state, except for results on their way to a commit.

The body is nested under one key, because the Functions host takes some top-level JSON keys of a message (``id``,
``dequeueCount``, ...) for trigger metadata. A body that is too large for a message goes to payload rows first.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from ..entities import EntityId
from ..errors import CodecError, InvalidInputError, NewerFormatError, SerializationError
from ..instance_ids import check_event_name, check_instance_id
from ..lazy_dataclass import dataclass
from ..models import JSON, NO_OPERATIONS, FailureDetails, Operations
from .attempts import HOST_CHARS, Ran, moment
from .encoding import Encoding
from .keys import ENTITY_FORMAT, FORMAT, HEADER_FORMAT, JOURNAL_FORMAT, REWOUND_FORMAT
from .payloads import check_reference, dumps

ENVELOPE = "durable"

_EXECUTION = re.compile(r"[0-9A-Za-z_.]{1,64}")
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
_MAX_COUNT = 2**53
MAX_WAITS = 1_000  # of one part of a journaled activity

REDISPATCH_ALL = -1


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """The result or failure of one attempt at a task: of an activity, of a sub-orchestration if ``child``, or of the
    step named ``step``. ``ran``: when and where it ran; None for a sub-orchestration, and from an older host.
    ``waits``: for what a journaled activity waits, which is then only a part of its call (``engine.journal_waits``)."""

    generation: int
    task_id: int
    attempt: int
    result: JSON = None
    failure: FailureDetails | None = None
    child: bool = False
    step: str = ""
    ran: Ran | None = None
    waits: JSON = None

    def to_json(self) -> JSON:
        failure = None if self.failure is None else self.failure.to_json()
        fields: list[JSON] = [self.generation, self.task_id, self.attempt, self.result, failure, int(self.child)]
        if self.waits is not None:
            return [*fields, self.step, None if self.ran is None else self.ran.to_json(), self.waits]
        if self.ran is not None:  # older hosts read seven fields at most, and an empty name as that of no step
            return [*fields, self.step, self.ran.to_json()]
        return [*fields, self.step] if self.step else fields

    @classmethod
    def from_json(cls, data: JSON) -> TaskOutcome:
        generation, task_id, attempt, result, failure, child = data[:6]
        return cls(
            _count(generation),
            _count(task_id),
            _count(attempt),
            result,
            None if failure is None else _failure(failure),
            bool(child),
            _text(data[6]) if len(data) > 6 else "",
            _ran(data[7]) if len(data) > 7 else None,
            _waits(data[8]) if len(data) > 8 else None,
        )


@dataclass(frozen=True, slots=True)
class Reminder:
    """A wake-up for one task: its timer, or its next attempt, is due.

    deadline: seconds since 1970 at which the call of this task must have ended; None for other reminders.
    """

    generation: int
    task_id: int
    deadline: float | None = None

    def to_json(self) -> JSON:
        return [self.generation, self.task_id, *([] if self.deadline is None else [self.deadline])]

    @classmethod
    def from_json(cls, data: JSON) -> Reminder:
        generation, task_id, *rest = data
        return cls(_count(generation), _count(task_id), moment(rest[0]) if rest else None)


@dataclass(slots=True, kw_only=True)
class ControlMessage:
    """A message to an instance: results, reminders, or nothing (a bare wake-up).

    redelivered: a host may have crashed while it handled this message, or a message that this one replaces.
    after: redispatch the open decisions of all commits after this one (rule R6; REDISPATCH_ALL: of all commits).
    since: seconds since 1970 from which hosts have postponed the message because they cannot run the instance.
    rewinds: how often the execution was rewound when this was sent; of an outcome, when its attempt was sent.
    operations: what the process that sent it has done for the instance, and no row says yet.
    """

    instance_id: str
    execution_id: str
    outcomes: tuple[TaskOutcome, ...] = ()
    reminders: tuple[Reminder, ...] = ()
    redelivered: bool = False
    after: int | None = None
    since: float | None = None
    rewinds: int = 0
    operations: Operations = NO_OPERATIONS

    @property
    def is_bare(self) -> bool:
        return not self.outcomes and not self.reminders


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at an activity call. ``options``, where given: ``timeout`` of the attempt in seconds, ``deadline``
    of the call in seconds since 1970, ``queue`` for a host that lacks the activity, ``watch`` of a message that looks
    after another run of the call: how many entries its journal had, and the seconds that the message was delayed,
    ``journal`` of a journaled activity: the number of the first part of the call, and when that was called, ``woke``:
    the waits that have ended since the part before, ``headers`` in the place of those of the message."""

    generation: int
    task_id: int
    attempt: int
    name: str
    input: JSON = None
    options: JSON = None

    def to_json(self) -> JSON:
        fixed = [self.generation, self.task_id, self.attempt, self.name, self.input]
        return fixed if self.options is None else [*fixed, self.options]

    @classmethod
    def from_json(cls, data: JSON) -> Call:
        generation, task_id, attempt, name, value, *rest = data
        options = _options(rest[0]) if rest else None
        return cls(_count(generation), _count(task_id), _count(attempt), _text(name), value, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkMessage:
    """Activity calls of one instance. ``redelivered``, ``after`` and ``rewinds`` as in a control message.

    queue: which work queue it goes to, or came from; not part of the body.
    headers: of the instance, as JSON text; '' for none.
    lone: the build of the host that sent it, if its call is all that a short instance waits for: a host of this build
        that runs the call may run the next turn, too. Older hosts do not read it.
    """

    instance_id: str
    execution_id: str
    calls: tuple[Call, ...]
    redelivered: bool = False
    after: int | None = None
    since: float | None = None
    queue: str = ""
    rewinds: int = 0
    lone: str = ""
    headers: str = ""

    @property
    def has_headers(self) -> bool:
        """Whether it must not be read by a host that does not know headers."""
        return bool(self.headers) or any(call.options is not None and "headers" in call.options for call in self.calls)

    def only(self, calls: Sequence[Call]) -> WorkMessage:
        return replace(self, calls=tuple(calls))


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityWakeUp:
    """A message to an entity: it is to read its mailbox. It has no content, and comes by a control queue.

    redelivered, since: as in a control message. after: REDISPATCH_ALL: send again what its last batch has sent.
    due: seconds since 1970 at which a scheduled operation is due, for which the message was sent; one that is early is
        sent again. None: for the mailbox.
    """

    entity: EntityId
    redelivered: bool = False
    after: int | None = None
    since: float | None = None
    due: float | None = None


Message: TypeAlias = ControlMessage | WorkMessage | EntityWakeUp


def encode(message: Message, encoding: Encoding | None = None) -> str:
    """The JSON text of a message's body. With a codec, user data is stored under ``z``, as base64."""
    if isinstance(message, EntityWakeUp):
        due = {} if message.due is None else {"d": message.due}
        return dumps({ENVELOPE: {"v": ENTITY_FORMAT, "n": str(message.entity), **due, **_marks(message)}})
    body: dict[str, JSON] = {"v": _format_of(message), "i": message.instance_id, "x": message.execution_id}
    if message.rewinds:
        body["w"] = message.rewinds
    body |= _marks(message)
    content: dict[str, JSON] = {}
    match message:
        case ControlMessage():
            if message.outcomes:
                content["e"] = [outcome.to_json() for outcome in message.outcomes]
            if message.reminders:
                body["n"] = [reminder.to_json() for reminder in message.reminders]
            if (done := message.operations) != NO_OPERATIONS:
                body["o"] = list(done) if done.reads or done.writes else done.messages
        case WorkMessage():
            content["c"] = [call.to_json() for call in message.calls]
            if message.lone:
                body["b"] = message.lone
            if message.headers:
                content["h"] = message.headers
    if content and encoding is not None and encoding.hides:
        body["z"] = base64.b64encode(encoding.pack(dumps(content))).decode()
    else:
        body |= content
    return dumps({ENVELOPE: body})


def _format_of(message: ControlMessage | WorkMessage) -> int:
    """The lowest format of which a host can read the message and carry it out."""
    if _is_of_journal(message):
        return JOURNAL_FORMAT
    if isinstance(message, WorkMessage) and message.has_headers:
        return HEADER_FORMAT
    return REWOUND_FORMAT if message.rewinds else FORMAT


def _is_of_journal(message: ControlMessage | WorkMessage) -> bool:
    if isinstance(message, WorkMessage):
        return any(call.options is not None and "journal" in call.options for call in message.calls)
    return any(outcome.waits is not None for outcome in message.outcomes)


def _marks(message: Message) -> dict[str, JSON]:
    marks: dict[str, JSON] = {}
    if message.redelivered:
        marks["r"] = 1
    if message.after is not None:
        marks["a"] = message.after
    if message.since is not None:
        marks["s"] = message.since
    return marks


def put_off(body: str, since: float) -> str:
    """The body of a message that this host cannot read, marked with the time since which it is postponed."""
    inner = json.loads(body)[ENVELOPE]
    return dumps({ENVELOPE: inner | {"r": 1, "s": inner.get("s", since)}})


def waiting_since(body: str) -> float | None:
    """Since when hosts have postponed this body, in seconds since 1970."""
    since = json.loads(body)[ENVELOPE].get("s")
    return None if since is None else moment(since)


def reference_body(message: ControlMessage | WorkMessage, reference: str) -> str:
    """The body of a message whose real body lies in payload rows."""
    return dumps({ENVELOPE: {"v": _format_of(message), "i": message.instance_id, "ref": reference}})


@dataclass(frozen=True, slots=True)
class Referenced:
    """A decoded body that is a reference to the real body."""

    instance_id: str
    reference: str
    since: float | None = None
    redelivered: bool = False


def decode(body: str, encoding: Encoding | None = None) -> Message | Referenced:
    """The message of a body. SerializationError if it is not a message of durable_core, NewerFormatError for a message
    of a later version, CodecError.

    Anyone with access to the queue can send any text: every field is checked for its type, so that no code behind this
    function fails on it. The error, which is logged, does not quote the body: it may contain user data.
    """
    try:
        inner = _READER.decode(body)[ENVELOPE]
        if _count(inner["v"]) > JOURNAL_FORMAT:
            if inner.get("s") is not None:
                moment(inner["s"])  # in every format: since when hosts have postponed the message
            raise NewerFormatError(
                f"a queue message has format {inner['v']}; this version reads up to {JOURNAL_FORMAT}"
            )
        redelivered = bool(inner.get("r"))
        after = None if inner.get("a") is None else _count(inner["a"], REDISPATCH_ALL)
        if inner["v"] == ENTITY_FORMAT:
            since = None if inner.get("s") is None else moment(inner["s"])
            entity = EntityId.parse(_text(inner["n"]))
            due = None if inner.get("d") is None else moment(inner["d"])
            return EntityWakeUp(entity=entity, redelivered=redelivered, after=after, since=since, due=due)
        instance_id = _text(inner["i"])
        check_instance_id(instance_id)
        since = None if inner.get("s") is None else moment(inner["s"])
        if "ref" in inner:
            return Referenced(instance_id, check_reference(_text(inner["ref"])), since, redelivered)
        execution_id = _text(inner["x"])
        if not _EXECUTION.fullmatch(execution_id):
            raise ValueError("no execution id")
        rewinds = _count(inner.get("w", 0))
        if "z" in inner:
            inner |= _READER.decode(_decoded(inner["z"], encoding or Encoding(), instance_id, execution_id))
        if "c" in inner:
            return WorkMessage(
                instance_id=instance_id,
                execution_id=execution_id,
                calls=tuple(Call.from_json(call) for call in inner["c"]),
                redelivered=redelivered,
                after=after,
                since=since,
                rewinds=rewinds,
                lone=_text(inner.get("b", "")),
                headers=_headers(inner.get("h", "")),
            )
        return ControlMessage(
            instance_id=instance_id,
            execution_id=execution_id,
            outcomes=tuple(TaskOutcome.from_json(outcome) for outcome in inner.get("e", ())),
            reminders=tuple(Reminder.from_json(reminder) for reminder in inner.get("n", ())),
            redelivered=redelivered,
            after=after,
            since=since,
            rewinds=rewinds,
            operations=_operations(inner.get("o", 0)),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, InvalidInputError) as error:
        raise SerializationError(
            f"a queue message of {len(body):,} characters is not a message of durable_core ({type(error).__name__})"
        ) from None


def _refuse(constant: str) -> JSON:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("the number is too large")
    return value


_READER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
"""Of nothing that could not be written again."""


def _decoded(data: str, encoding: Encoding, instance_id: str, execution_id: str) -> str:
    try:
        return encoding.unpack(base64.b64decode(data))
    except CodecError as error:
        raise CodecError(f"a queue message cannot be decoded: {error}", instance_id, execution_id) from error


def _text(value: object) -> str:
    if not isinstance(value, str) or _HALF_PAIR.search(value):
        raise TypeError("expected text")
    return value


def _count(value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value < _MAX_COUNT:
        raise TypeError("expected a whole number")
    return value


def _operations(value: JSON) -> Operations:
    """Of a control message: a number alone is that of the operations on messages."""
    if type(value) is int:
        return Operations(messages=_count(value)) if value else NO_OPERATIONS
    reads, writes, messages, *_ = value
    return Operations(_count(reads), _count(writes), _count(messages))


def _headers(value: object) -> str:
    """The headers of a work message, which are the text of an object."""
    text = _text(value)
    if text and not isinstance(_READER.decode(text), dict):
        raise TypeError("expected headers")
    return text


def _ran(value: JSON) -> Ran | None:
    if value is None:
        return None
    started, ms, host, *_ = value
    if len(_text(host)) > HOST_CHARS:
        raise TypeError("expected the id of a host")
    return Ran(moment(started), _count(ms), host)


def _waits(value: JSON) -> JSON:
    """Of a part of a journaled activity."""
    if value is None:
        return None
    waits = cast("list[dict[str, JSON]]", value)
    if type(waits) is not list or not 0 < len(waits) <= MAX_WAITS:
        raise TypeError("expected waits")
    for wait in waits:
        for name in ("id", "line"):
            _text(wait[name])
        _count(wait["place"], -1)
        if "due" in wait or wait["kind"] == "timer":
            moment(wait["due"])
        match wait["kind"]:
            case "timer":
                pass
            case "event":
                check_event_name(_text(wait["name"]))
                if "due" in wait:
                    moment(wait["within"])
            case "child":
                _text(wait["name"])
                if wait["version"] is not None:
                    _text(wait["version"])
                if _text(wait["instance"]):
                    check_instance_id(wait["instance"])
                _ = wait["input"]
            case _:
                raise ValueError("a wait of an unknown kind")
    return waits


def _options(value: object) -> JSON:
    match value:
        case None:
            return None
        case dict():
            found = cast("dict[str, JSON]", value)
            for name in ("timeout", "deadline"):
                if name in found:
                    moment(found[name])
            if "queue" in found:
                _text(found["queue"])
            if "watch" in found:
                seen, delay = found["watch"]
                _count(seen)
                moment(delay)
            if not isinstance(found.get("headers", {}), dict):
                raise TypeError("expected headers")
            if "journal" in found:
                root, begun = found["journal"]
                _count(root)
                moment(begun)
            for woke in found.get("woke", ()):
                for name in ("id", "line"):
                    _text(woke[name])
                _count(woke["place"], -1)
                if "failure" in woke:
                    _failure(woke["failure"])
                else:
                    _ = woke["value"]
            return found
        case _:
            raise TypeError("expected options")


def _failure(data: JSON) -> FailureDetails:
    found = FailureDetails.from_json(data)
    for text in (found.type, found.message, found.stack_trace, *found.bases):
        _text(text)
    if type(found.retriable) is not bool:
        raise TypeError("expected true or false")
    for inner in (found.cause, *found.members):  # made by from_json, which knows no types
        if inner is not None:
            _failure(inner.to_json())
    return found
