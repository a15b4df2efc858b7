"""Queue messages: doorbells and work. Never the only copy of a state, except for results on their way to a commit.

The body is nested under one key, because the Functions host takes some top-level JSON keys of a message (``id``,
``dequeueCount``, ...) for trigger metadata. A body that is too large for a message goes to payload rows first.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import CodecError, NewerFormatError, SerializationError
from ..models import JSON, FailureDetails
from .encoding import Encoding
from .layout import FORMAT
from .payloads import dumps

ENVELOPE = "durable"

REDISPATCH_ALL = -1


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What became of one attempt at a task: an activity's, a sub-orchestration's if ``child``, or that of the
    inline step that ``step`` names."""

    generation: int
    task_id: int
    attempt: int
    result: JSON = None
    failure: FailureDetails | None = None
    child: bool = False
    step: str = ""

    def to_json(self) -> JSON:
        failure = None if self.failure is None else self.failure.to_json()
        fields: list[JSON] = [self.generation, self.task_id, self.attempt, self.result, failure, int(self.child)]
        return [*fields, self.step] if self.step else fields

    @classmethod
    def from_json(cls, data: JSON) -> TaskOutcome:
        generation, task_id, attempt, result, failure, child = data[:6]
        details = None if failure is None else FailureDetails.from_json(failure)
        return cls(generation, task_id, attempt, result, details, bool(child), data[6] if len(data) > 6 else "")


@dataclass(frozen=True, slots=True)
class Nudge:
    """A doorbell for one task: its timer, or its next attempt, is due.

    deadline: seconds since 1970 at which what was scheduled with this task must have ended, None for other doorbells.
    """

    generation: int
    task_id: int
    deadline: float | None = None

    def to_json(self) -> JSON:
        return [self.generation, self.task_id, *([] if self.deadline is None else [self.deadline])]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage:
    """ "Look at this instance", possibly with results and due timers.

    redelivered: somebody may have died with this message, or one that it replaces, in hand.
    after: redispatch what commits later than this scheduled and is not done (rule R6; REDISPATCH_ALL: everything).
    since: seconds since 1970 from which a host has been waiting for a cause to go away (mixed versions).
    """

    instance_id: str
    execution_id: str
    outcomes: tuple[TaskOutcome, ...] = ()
    nudges: tuple[Nudge, ...] = ()
    redelivered: bool = False
    after: int | None = None
    since: float | None = None

    @property
    def is_bare(self) -> bool:
        return not self.outcomes and not self.nudges


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at an activity call. ``options``, where given: ``timeout`` of the attempt in seconds, ``deadline``
    of the call in seconds since 1970, ``queue`` for a host that lacks the activity."""

    generation: int
    task_id: int
    attempt: int
    name: str
    input: JSON = None
    options: JSON = None

    def to_json(self) -> JSON:
        fixed = [self.generation, self.task_id, self.attempt, self.name, self.input]
        return fixed if self.options is None else [*fixed, self.options]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkMessage:
    """Activity calls of one instance. ``redelivered`` and ``after`` as in a control message.

    queue: which work queue it goes to, or came from; not part of the body.
    """

    instance_id: str
    execution_id: str
    calls: tuple[Call, ...]
    redelivered: bool = False
    after: int | None = None
    since: float | None = None
    queue: str = ""

    def only(self, calls: Sequence[Call]) -> WorkMessage:
        return replace(self, calls=tuple(calls))


def encode(message: ControlMessage | WorkMessage, encoding: Encoding | None = None) -> str:
    """The JSON text of a message's body. With a codec what is of the user's goes under ``z``, as base64."""
    body: dict[str, JSON] = {"v": FORMAT, "i": message.instance_id, "x": message.execution_id}
    if message.redelivered:
        body["r"] = 1
    if message.after is not None:
        body["a"] = message.after
    if message.since is not None:
        body["s"] = message.since
    content: dict[str, JSON] = {}
    match message:
        case ControlMessage():
            if message.outcomes:
                content["e"] = [outcome.to_json() for outcome in message.outcomes]
            if message.nudges:
                body["n"] = [nudge.to_json() for nudge in message.nudges]
        case WorkMessage():
            content["c"] = [call.to_json() for call in message.calls]
    if content and encoding is not None and encoding.hides:
        body["z"] = base64.b64encode(encoding.pack(dumps(content))).decode()
    else:
        body |= content
    return dumps({ENVELOPE: body})


def put_off(body: str, since: float) -> str:
    """The same body, of which this host cannot read everything, for a later delivery."""
    inner = json.loads(body)[ENVELOPE]
    return dumps({ENVELOPE: inner | {"r": 1, "s": inner.get("s", since)}})


def waiting_since(body: str) -> float | None:
    """From when on hosts have put this body off, in seconds since 1970."""
    return json.loads(body)[ENVELOPE].get("s")


def reference_body(instance_id: str, reference: str) -> str:
    """The body of a message whose real body lies in payload rows."""
    return dumps({ENVELOPE: {"v": FORMAT, "i": instance_id, "ref": reference}})


@dataclass(frozen=True, slots=True)
class Referenced:
    """A decoded body that only says where the real one is."""

    instance_id: str
    reference: str
    since: float | None = None
    redelivered: bool = False


def decode(body: str, encoding: Encoding | None = None) -> ControlMessage | WorkMessage | Referenced:
    """SerializationError for what is no message of ours, NewerFormatError for one of a later version, CodecError."""
    try:
        inner = json.loads(body)[ENVELOPE]
        if inner["v"] > FORMAT:
            raise NewerFormatError(f"a message of format {inner['v']}; this version reads up to {FORMAT}")
        instance_id = _text(inner["i"])
        if "ref" in inner:
            return Referenced(instance_id, _text(inner["ref"]), inner.get("s"), bool(inner.get("r")))
        execution_id, redelivered = _text(inner["x"]), bool(inner.get("r"))
        if "z" in inner:
            inner |= json.loads(_decoded(inner["z"], encoding or Encoding(), instance_id, execution_id))
        if "c" in inner:
            return WorkMessage(
                instance_id=instance_id,
                execution_id=execution_id,
                calls=tuple(Call(*call[:6]) for call in inner["c"]),
                redelivered=redelivered,
                after=inner.get("a"),
                since=inner.get("s"),
            )
        return ControlMessage(
            instance_id=instance_id,
            execution_id=execution_id,
            outcomes=tuple(TaskOutcome.from_json(outcome) for outcome in inner.get("e", ())),
            nudges=tuple(Nudge(*nudge[:3]) for nudge in inner.get("n", ())),
            redelivered=redelivered,
            after=inner.get("a"),
            since=inner.get("s"),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise SerializationError(
            f"a queue message that is none of durable_core's ({type(error).__name__}: {error}): {body[:200]!r}"
        ) from error


def _decoded(data: str, encoding: Encoding, instance_id: str, execution_id: str) -> str:
    try:
        return encoding.unpack(base64.b64decode(data))
    except CodecError as error:
        raise CodecError(f"a message: {error}", instance_id, execution_id) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value
