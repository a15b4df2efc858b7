"""Entities as user code sees them: their ids, their definitions, and the context of one operation.

An entity is a small piece of state with a name and a key. Its operations run one at a time; a batch of operations and
the state after them are stored in one transaction. Nothing here does IO: the context collects what an operation does,
and ``runtime.entities`` stores and sends it. The semantics are those of Durable Functions.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast, overload

from .converter import Converter
from .errors import InvalidInputError, SerializationError
from .instance_ids import FORBIDDEN_IN_KEYS, HALF_PAIR, MAX_ID_UNITS, MAX_INSTANCE_ID, check_instance_id, utf16_units
from .interceptors import NO_INTERCEPTORS, Interceptors
from .lazy_dataclass import dataclass
from .models import JSON
from .moments import in_utc

T = TypeVar("T")

MAX_OPERATION = 256
"""Highest number of characters of an operation's name."""

MAX_ENTITY_KEY = 200
"""Highest number of characters of an entity's key."""

_NAME = re.compile(r"[^\W\d][\w.\-]{0,127}")


@dataclass(frozen=True, slots=True, order=True)
class EntityId:
    """The name and the key of an entity. The name is kept in lower case, the key as it is.

    InvalidInputError for a name or a key that cannot be part of a table key.
    """

    name: str
    key: str

    def __post_init__(self) -> None:
        name, key = cast("object", self.name), cast("object", self.key)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidInputError(
                f"{name!r:.200} cannot name an entity: a name must begin with a letter and have at most 128 letters, "
                "digits and . _ -"
            )
        if not isinstance(key, str):
            raise InvalidInputError(f"the key of an entity is a text, not {key!r:.200}: convert it with str(...)")
        object.__setattr__(self, "name", name.lower())
        if not 0 < len(key) <= MAX_ENTITY_KEY:
            raise InvalidInputError(f"the key of an entity has 1 to {MAX_ENTITY_KEY} characters, not {len(key)}")
        if found := FORBIDDEN_IN_KEYS.search(key):
            raise InvalidInputError(
                f"the key of an entity must not hold {found.group()!r}: / \\ # ?, control characters and line "
                "separators are not allowed in table keys"
            )
        if len(str(self)) > MAX_INSTANCE_ID or utf16_units(str(self)) > MAX_ID_UNITS:
            raise InvalidInputError(f"the name and the key of entity {str(self)[:80]}... are too long together")

    def __str__(self) -> str:
        """``@name@key``, as Durable Functions writes it."""
        return f"@{self.name}@{self.key}"

    @property
    def partition(self) -> str:
        """The partition of the entities table that holds the entity."""
        return f"{self.name}@{self.key}"

    @classmethod
    def parse(cls, text: str) -> EntityId:
        """The id that ``str`` has written. InvalidInputError for any other text."""
        name, at, key = text[1:].partition("@")
        if not text.startswith("@") or not at:
            raise InvalidInputError(f"an entity is written as '@name@key', not {text!r:.200}")
        return cls(name, key)


def check_operation(operation: object) -> str:
    """The name of an operation, which may be given as a method. InvalidInputError if it cannot be one."""
    name = getattr(operation, "__name__", operation) if callable(operation) else operation
    if not isinstance(name, str) or not 0 < len(name) <= MAX_OPERATION or HALF_PAIR.search(name):
        raise InvalidInputError(
            f"an operation is named by a text of 1 to {MAX_OPERATION} characters, not {name!r:.300}"
        )
    return name


@dataclass(frozen=True, slots=True)
class SignalSent:
    """A signal that an operation sends to an entity. ``at``: in UTC, when it is to run; None: at once."""

    entity: EntityId
    operation: str
    input: JSON
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrchestrationBegun:
    """An orchestration that an operation starts. ``version`` None: the default one, or else the newest."""

    name: str
    instance_id: str
    input: JSON
    version: str | None = None


@dataclass(slots=True)
class HeldState:
    """The state of an entity between two operations: JSON, or nothing, where the entity does not exist.

    live: the object of which ``value`` is the JSON, kept for the next operation of a typed class.
    """

    exists: bool = False
    value: JSON = None
    live: object = None


@dataclass(slots=True)
class Effects:
    """What one operation has done besides its state."""

    sent: list[SignalSent | OrchestrationBegun] = field(default_factory=lambda: [])
    result: JSON = None
    has_result: bool = False


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else in_utc(moment)


class EntityContext:
    """What an entity's code gets for one operation. Not to be used after the operation has ended."""

    __durable_no_value__ = "the context of an entity cannot be stored; pass the values that are needed of it"

    def __init__(
        self,
        entity_id: EntityId,
        operation_name: str,
        data: JSON,
        *,
        state: HeldState,
        effects: Effects,
        converter: Converter,
        new_id: Callable[[], str],
        now: datetime,
        headers: str = "",
    ) -> None:
        """headers: of the operation, as JSON text; '' for none."""
        self._entity_id, self._operation, self._input = entity_id, operation_name, data
        self._state, self._effects, self._converter, self._new_id = state, effects, converter, new_id
        self._now = now
        self._headers = headers
        self._is_new = not state.exists
        self.state_changes = 0
        """How often the operation has set or deleted the state through this context."""

    @property
    def entity_id(self) -> EntityId:
        """The entity whose code runs."""
        return self._entity_id

    @property
    def entity_name(self) -> str:
        """The name of the entity, in lower case."""
        return self._entity_id.name

    @property
    def entity_key(self) -> str:
        """The key of the entity."""
        return self._entity_id.key

    @property
    def operation_name(self) -> str:
        """The operation that is to run."""
        return self._operation

    @property
    def headers(self) -> Mapping[str, JSON]:
        """The headers of the operation: those of its sender. What the operation signals and starts gets them, too."""
        from .headers import headers_in

        return headers_in(self._headers)

    @property
    def is_newly_constructed(self) -> bool:
        """Whether the entity had no state before this operation."""
        return self._is_new

    @property
    def current_utc_datetime(self) -> datetime:
        """The time (UTC) at which the batch of operations began."""
        return self._now

    @overload
    def get_input(self, expected_type: type[T]) -> T: ...
    @overload
    def get_input(self, expected_type: Any = None) -> Any: ...
    def get_input(self, expected_type: Any = None) -> Any:
        """The input of the operation, as a value of this type; plain JSON without one. InvalidInputError."""
        return self._converter.from_json(self._input, expected_type)

    @overload
    def get_state(self, initializer: Callable[[], T] | None, expected_type: type[T]) -> T: ...
    @overload
    def get_state(self, initializer: Callable[[], Any] | None = None, expected_type: Any = None) -> Any: ...
    def get_state(self, initializer: Callable[[], Any] | None = None, expected_type: Any = None) -> Any:
        """The state, as a value of this type; what ``initializer()`` returns, or None, if there is no state.

        The value is a copy: a change of it is kept by ``set_state`` only. InvalidInputError if the stored state does
        not fit the type.
        """
        state = self._state
        if not state.exists:
            return None if initializer is None else initializer()
        return self._converter.from_json(state.value, expected_type)

    def set_state(self, value: object) -> None:
        """Replace the state. SerializationError, PayloadTooLargeError: the state is as before."""
        plain = self._converter.to_json(value, f"the state of entity {self._entity_id}")
        self._state.exists, self._state.value, self._state.live = True, plain, None
        self.state_changes += 1

    def set_result(self, value: object) -> None:
        """Set what the caller of the operation gets. SerializationError, PayloadTooLargeError."""
        what = f"the result of operation '{self._operation}' of entity {self._entity_id}"
        self._effects.result = self._converter.to_json(value, what)
        self._effects.has_result = True

    def destruct_on_exit(self) -> None:
        """Delete the state. The entity exists again once an operation sets its state."""
        self._state.exists, self._state.value, self._state.live = False, None, None
        self.state_changes += 1

    def signal_entity(
        self, entity_id: EntityId, operation: object, input_: object = None, scheduled_time: datetime | None = None
    ) -> None:
        """Send an operation to an entity, without waiting for it. Signals of one entity to another arrive in order.

        operation: its name, or the method of a class marked ``@entity``.
        scheduled_time: when it is to run, at the earliest; a datetime without a time zone is UTC.
        InvalidInputError, SerializationError, PayloadTooLargeError.
        """
        name = check_operation(operation)
        data = self._converter.to_json(input_, f"the input of operation '{name}' of entity {entity_id}")
        at = None if scheduled_time is None else _in_utc(scheduled_time)
        self._effects.sent.append(SignalSent(entity_id, name, data, at))

    def start_new(
        self, orchestrator: str, input_: object = None, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """Start an orchestration, and return its instance id at once. If the id is in use, a warning is logged.

        InvalidInstanceIdError, SerializationError, PayloadTooLargeError.
        """
        if instance_id is None:
            instance_id = self._new_id()
        check_instance_id(instance_id)
        data = self._converter.to_json(input_, f"the input of orchestrator '{orchestrator}'")
        self._effects.sent.append(OrchestrationBegun(orchestrator, instance_id, data, version))
        return instance_id

    # ------------------------------------------------------------ for typed classes

    def live_state(self, kind: type[T]) -> T:
        """The object of a typed class that holds the state; a new one if there is none. InvalidInputError."""
        state = self._state
        if not state.exists:
            return kind()
        if type(state.live) is kind:
            return cast("T", state.live)
        try:
            return self._converter.from_json(state.value, kind)
        except (InvalidInputError, SerializationError) as error:
            raise type(error)(
                f"the stored state of entity {self._entity_id} does not fit its class: {error}"
            ) from error

    def keep_live(self, value: object) -> None:
        """Store the object of a typed class as the state, and keep it for the next operation of the batch."""
        self.set_state(value)
        self._state.live = value


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityDefinition:
    """A registered entity.

    apply: runs one operation; its result, or what it returns is awaited to, is that of the operation, unless
        ``set_result`` was called. target: the class or function that was marked.
    operations: the names of all operations; None if the function decides.
    keeps_failed: whether the state that a failed operation has set is kept, with the signals and starts before the
        failure, as in Durable Functions 1.x. Otherwise the operation is undone.
    functions: the functions of the user's code, of whose files the build id is made.
    interceptors: those of its app.
    """

    name: str
    apply: Callable[[EntityContext], object]
    target: object
    location: str
    operations: tuple[str, ...] | None = None
    keeps_failed: bool = False
    functions: tuple[Callable[..., Any], ...] = ()
    interceptors: Interceptors = NO_INTERCEPTORS


async def run_operation(definition: EntityDefinition, context: EntityContext) -> object:
    """Run one operation, whether its code is plain or async."""
    found = definition.apply(context)
    return await found if inspect.isawaitable(found) else found
