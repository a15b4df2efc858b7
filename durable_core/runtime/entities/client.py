"""The part of the client that signals, reads and lists entities."""

# pyright: reportPrivateUsage=false
# The methods are part of the client, whose parts they use.

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from ...entities import EntityId, check_operation
from ...errors import InvalidInputError
from ...headers import checked_headers
from ...hub.entities.keys import stream_of_client, stream_of_signal
from ...hub.entities.operations import Operation, OperationKind, Parcel
from ...hub.payloads import dumps
from ...instance_ids import check_text
from ...models import JSON
from ...moments import in_utc, problem_of_moment
from ...operate.entities import EntityDetails, EntityPage, EntityState, list_entities, read_details, read_entity

if TYPE_CHECKING:
    from ..client import DurableClient

CLIENT = "client"
"""The sender of a client's signals, as the mailbox shows it."""


class EntityClient:
    """The entities of a ``DurableClient``, which is the one class that inherits from this one."""

    async def signal_entity(
        self,
        entity_id: EntityId,
        operation: str | Callable[..., Any],
        input_: object = None,
        at: datetime | None = None,
        *,
        signal_id: str | None = None,
        headers: Mapping[str, JSON] | None = None,
    ) -> None:
        """Send an operation to an entity, without waiting for it. It is durable when this returns, and runs once.

        The entity is made when it is first used. Signals of a client that awaits each run in their order.

        operation: its name, or the method of a class marked ``@entity``.
        at: when it is to run, at the earliest: a datetime with a time zone.
        signal_id: makes the call safe to repeat: of all signals with the same id, an entity runs the first only. It
            remembers the id for seven days.
        headers: go with the operation: ``ctx.headers``.

        Raises InvalidInputError, UnknownEntityError (this app has entities, and none of this name),
        PayloadTooLargeError, SerializationError.
        """
        name = check_operation(operation)
        client = self._client
        _check(client, entity_id)
        if (problem := problem_of_moment(at)) is not None:
            raise InvalidInputError(f"at={at!r} {problem}")
        what = f"the input of operation '{name}' of entity {entity_id}"
        data = client._converter.to_json(input_, what)
        client._hub.payloads.check(dumps(data), what)
        due = None if at is None else in_utc(at)
        await self._post_operation(
            entity_id,
            Operation(
                kind=OperationKind.SIGNAL,
                name=name,
                input=data,
                due=due,
                headers=checked_headers(headers, f"operation '{name}' of entity {entity_id}") if headers else None,
            ),
            signal_id,
        )

    async def read_entity(self, entity_id: EntityId, state_type: Any = None) -> EntityState | None:
        """The state of an entity after its last batch; None if it does not exist.

        state_type: the type of the state; None returns plain JSON. Raises InvalidInputError if the state does not fit.
        """
        _check(self._client, entity_id, is_read=True)
        found = await read_entity(self._client._hub, entity_id)
        if found is None or not found.exists:
            return None
        return replace(found, state=self._client._converter.from_json(found.state, state_type))

    async def entity_details(self, entity_id: EntityId) -> EntityDetails | None:
        """An entity with its lock, its mailbox and its scheduled operations; None if there is nothing of it."""
        _check(self._client, entity_id, is_read=True)
        return await read_details(self._client._hub, entity_id)

    async def list_entities(
        self,
        name: str = "",
        *,
        last_operation_from: datetime | None = None,
        last_operation_to: datetime | None = None,
        fetch_state: bool = True,
        page_size: int = 100,
        continuation_token: str | None = None,
    ) -> EntityPage:
        """A page of the entities of the hub, by name and key.

        name: only those of this name. last_operation_from, last_operation_to: the range of the time of the last batch,
        both ends included; a datetime without an offset is UTC. fetch_state: read the states, too.

        Raises InvalidInputError for a filter or a page size that is not valid, and for a token that this hub did not
        issue.
        """
        if name:
            name = EntityId(name, "key").name
        return await list_entities(
            self._client._hub,
            name=name,
            last_operation_from=_utc(last_operation_from),
            last_operation_to=_utc(last_operation_to),
            fetch_state=fetch_state,
            size=page_size,
            token=continuation_token,
        )

    async def delete_entity(self, entity_id: EntityId) -> None:
        """Delete the state of an entity, after the operations that were sent to it before. Its code does not run.

        A locked entity is deleted once it is released. Deleting an entity that does not exist changes nothing.
        """
        _check(self._client, entity_id, is_read=True)
        await self._post_operation(entity_id, Operation(kind=OperationKind.DELETE), None)

    # ------------------------------------------------------------------ parts

    @property
    def _client(self) -> DurableClient:
        return cast("DurableClient", self)

    async def _post_operation(self, entity_id: EntityId, operation: Operation, signal_id: str | None) -> None:
        client = self._client
        if signal_id is None:
            stream = stream_of_client(client._hub.ids.ulid(client._clock.now()))
        else:
            check_text(signal_id, "a signal id")
            stream = stream_of_signal(signal_id)
        parcel = Parcel(stream=stream, number=0, again=signal_id is not None, sender=CLIENT, operations=(operation,))
        await client._dispatcher.post.deliver(entity_id, [parcel])


def _check(client: DurableClient, entity_id: object, *, is_read: bool = False) -> None:
    """InvalidInputError if it is no entity id; UnknownEntityError."""
    if not isinstance(entity_id, EntityId):
        raise InvalidInputError(f"an entity is named by an EntityId(name, key), not {entity_id!r:.200}")
    if not is_read and client._registry.entities:
        client._registry.entity(entity_id.name)


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment
