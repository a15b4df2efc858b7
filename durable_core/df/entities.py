"""Entities in the style of Durable Functions: a function that is called for each operation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..entities import EntityContext, EntityDefinition
from ..entities import EntityId as NativeId
from ..errors import RegistrationError
from ..models import JSON
from ..signatures import location_of
from .serialization import KnownClasses, encode


class EntityId:
    """The name and the key of an entity. Names are compared in lower case. ValueError if one of them is empty."""

    def __init__(self, name: str, key: str) -> None:
        if name == "":
            raise ValueError("Entity name cannot be empty")
        if key == "":
            raise ValueError("Entity key cannot be empty")
        self.name, self.key = name, key

    @staticmethod
    def get_scheduler_id(entity_id: EntityId) -> str:
        """``@name@key``."""
        return f"@{entity_id.name.lower()}@{entity_id.key}"

    @staticmethod
    def get_entity_id(scheduler_id: str) -> EntityId:
        """The id of ``@name@key``. ValueError for another text."""
        parts = scheduler_id[1:].split("@")
        if len(parts) != 2:
            raise ValueError("Unexpected format in SchedulerId")
        return EntityId(parts[0], parts[1])

    @staticmethod
    def get_entity_id_url_path(entity_id: EntityId) -> str:
        """The path of the entity below the base of the management API."""
        return f"entities/{entity_id.name}/{entity_id.key}"

    def __str__(self) -> str:
        return EntityId.get_scheduler_id(self)

    def __repr__(self) -> str:
        return f"EntityId({self.name!r}, {self.key!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntityId) and self.name == other.name and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.name, self.key))


class EntityStateResponse:
    """The state of an entity, as ``client.read_entity_state`` returns it."""

    def __init__(self, entity_exists: bool, entity_state: JSON = None) -> None:
        self._entity_exists, self._entity_state = entity_exists, entity_state

    @property
    def entity_exists(self) -> bool:
        """Whether the entity has a state."""
        return self._entity_exists

    @property
    def entity_state(self) -> JSON:
        """The state as plain JSON; None if the entity does not exist."""
        return self._entity_state


class DurableEntityContext:
    """What an entity gets for one operation."""

    __durable_no_value__ = "the context of an entity cannot be stored; pass the values that are needed of it"

    def __init__(self, context: EntityContext, classes: KnownClasses) -> None:
        """classes: as which stored objects may be read back."""
        self._context, self._classes = context, classes
        self._read: tuple[Any, JSON] | None = None  # the state that the code has got, and how it was stored

    @property
    def entity_name(self) -> str:
        """The name of the entity, in lower case."""
        return self._context.entity_name

    @property
    def entity_key(self) -> str:
        """The key of the entity."""
        return self._context.entity_key

    @property
    def operation_name(self) -> str:
        """The operation that is to run."""
        return self._context.operation_name

    @property
    def is_newly_constructed(self) -> bool:
        """Whether the entity had no state before this operation."""
        return self._context.is_newly_constructed

    def get_input(self, expected_type: type | None = None) -> Any:
        """The input of the operation. expected_type: a class with ``from_json`` that it may have."""
        return self._classes.decode(self._context.get_input(), expected_type)

    def get_state(self, initializer: Callable[[], Any] | None = None, expected_type: type | None = None) -> Any:
        """The state; what ``initializer()`` returns, or None, if there is no state.

        The state of an entity that exists may be changed in place, as in Durable Functions 1.x.

        expected_type: a class with ``from_json`` that the state may have. Exception if the initializer cannot be
        called.
        """
        if self._read is None:
            stored = self._context.get_state()
            self._read = self._classes.decode(stored, expected_type), stored
        state = self._read[0]
        if state is not None or not initializer:
            return state
        if not callable(initializer):
            raise Exception("initializer argument needs to be a callable function")
        return initializer()

    def set_state(self, state: Any) -> None:
        """Replace the state."""
        stored = encode(state)
        self._context.set_state(stored)
        self._read = state, stored

    def set_result(self, result: Any) -> None:
        """Set what the caller of the operation gets."""
        self._context.set_result(encode(result))

    def destruct_on_exit(self) -> None:
        """Delete the state."""
        self._context.destruct_on_exit()
        self._read = None, None

    def keep(self) -> None:
        """Store the state if the code has changed it in place."""
        if self._read is not None and self._read[0] is not None and (now := encode(self._read[0])) != self._read[1]:
            self._context.set_state(now)


def entity_definition(name: str, fn: Callable[..., Any], parameter: str, classes: KnownClasses) -> EntityDefinition:
    """The definition of an entity. A failed operation keeps what it has set before, as in Durable Functions 1.x.

    RegistrationError, with the ``file:line``, if the function does not fit or the name cannot be one.
    """
    where = location_of(fn)
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise RegistrationError(f"{where}: an entity is no generator function; it does not yield")
    try:
        NativeId(name, "key")
    except Exception as error:
        raise RegistrationError(f"{where}: {error}") from error
    classes.add_of(fn)

    async def apply(context: EntityContext) -> None:
        own = DurableEntityContext(context, classes)
        try:
            returned = fn(**{parameter: own})
            if inspect.isawaitable(returned):
                await returned
        finally:
            own.keep()

    return EntityDefinition(
        name=name.lower(), apply=apply, target=fn, location=where, keeps_failed=True, functions=(fn,)
    )


def native_id(entity_id: object) -> NativeId:
    """The id as the runtime has it. ValueError for another object; InvalidInputError for an id that cannot be one."""
    if isinstance(entity_id, NativeId):
        return entity_id
    if not isinstance(entity_id, EntityId):
        raise ValueError(f"entityId must be an EntityId(name, key), not {entity_id!r}")
    return NativeId(entity_id.name, entity_id.key)
