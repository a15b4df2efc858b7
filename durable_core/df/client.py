"""``DurableOrchestrationClient``: what a client function of Durable Functions receives.

Each method is one of the runtime's client, with the names, defaults, results and error texts of Durable Functions.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import azure.functions as func

from ..errors import (
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    OperationRefusedError,
    UnknownOrchestratorError,
)
from ..host_json import resolve_settings
from ..hosting.functions import Durable
from ..models import OrchestrationStatus, RuntimeStatus
from ..runtime.client import DurableClient
from .entities import EntityId, EntityStateResponse, native_id
from .names import orchestrator_name
from .serialization import encode
from .statuses import DurableOrchestrationStatus, OrchestrationRuntimeStatus, PurgeHistoryResult, native

T = TypeVar("T")

RETRY_AFTER = "10"  # seconds, a text, as in Durable Functions


class DurableOrchestrationClient:
    """Starts, queries and manages the instances of the app's task hub.

    A plain client function runs in a thread, and may call ``asyncio.run(client.start_new(...))`` there.
    """

    def __init__(self, durable: Durable, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``loop``: on which the app is served; what is called on another loop is done there."""
        self._durable, self._loop = durable, loop

    @property
    def task_hub_name(self) -> str:
        """The name of the task hub."""
        return self._durable.settings.hub

    async def native(self) -> DurableClient:
        """The client of durable_core itself, for what Durable Functions does not have. Only on the app's own loop."""
        return await self._durable.client()

    # ------------------------------------------------------------ start

    async def start_new(
        self,
        orchestration_function_name: str,
        instance_id: str | None = None,
        client_input: Any = None,
        version: str | None = None,
    ) -> str:
        """Start an instance and return its id. An instance that has ended and has the same id is replaced.

        Raises Exception, with the texts of Durable Functions, if no orchestrator has this name, or if an instance
        with this id has not ended; DurableError for an input or an id that cannot be stored.
        """
        name, data = orchestrator_name(orchestration_function_name), encode(client_input)

        async def start(client: DurableClient) -> str:
            try:
                return await client.start_new(name, instance_id or None, data, version=version)
            except InstanceAlreadyExistsError as error:
                if not _has_ended(error.status):
                    raise Exception(
                        f"An Orchestration instance with the status {error.status} already exists."
                    ) from error
            except UnknownOrchestratorError as error:
                raise Exception(_unknown(name, error)) from error
            return await client.start_new(name, instance_id, data, version=version, if_exists="restart_if_done")

        return f"{await self._with(start)}"

    # ------------------------------------------------------------ answers to HTTP requests

    def create_check_status_response(self, request: func.HttpRequest, instance_id: str) -> func.HttpResponse:
        """202 with the management payload, ``Location`` and ``Retry-After``."""
        payload = self.get_client_response_links(request, instance_id)
        headers = {
            "Content-Type": "application/json",
            "Location": payload["statusQueryGetUri"],
            "Retry-After": RETRY_AFTER,
        }
        return func.HttpResponse(json.dumps(payload), status_code=202, headers=headers)

    def create_http_management_payload(self, instance_id: str) -> dict[str, str]:
        """The URLs with which their holder can follow and manage the instance, at the app's own address."""
        return self.get_client_response_links(None, instance_id)

    def get_client_response_links(self, request: func.HttpRequest | None, instance_id: str) -> dict[str, str]:
        """The URLs with which their holder can follow and manage the instance, at the address of the request.

        They are the same at every call for about a month. ConfigurationError if URLs cannot be signed.
        """
        return self._durable.create_http_management_payload(request, f"{instance_id}", details=True, steady=True)

    async def wait_for_completion_or_create_check_status_response(
        self,
        request: func.HttpRequest,
        instance_id: str,
        timeout_in_milliseconds: int = 10000,
        retry_interval_in_milliseconds: int = 1000,
    ) -> func.HttpResponse:
        """The output if the instance ends in time, else ``create_check_status_response``.

        An instance that has failed is answered with 500 and its status, one that was terminated with 200 and its
        status. An end is noticed without waiting for the interval. Raises Exception if the interval is longer than the
        timeout.
        """
        if retry_interval_in_milliseconds > timeout_in_milliseconds:
            raise Exception(
                f"Total timeout {timeout_in_milliseconds} (ms) should be bigger than retry timeout "
                f"{retry_interval_in_milliseconds} (ms)"
            )
        native_status = await self._with(
            lambda client: client.wait_for_completion(f"{instance_id}", timeout_in_milliseconds / 1000)
        )
        status = DurableOrchestrationStatus.of(native_status)
        match status.runtime_status:
            case OrchestrationRuntimeStatus.Completed:
                return _json_response(200, status.output)
            case OrchestrationRuntimeStatus.Canceled | OrchestrationRuntimeStatus.Terminated:
                return _json_response(200, status.to_json())
            case OrchestrationRuntimeStatus.Failed:
                return _json_response(500, status.to_json())
            case _:
                return self.create_check_status_response(request, instance_id)

    # ------------------------------------------------------------ queries

    async def get_status(
        self,
        instance_id: str,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = False,
    ) -> DurableOrchestrationStatus:
        """The status of an instance; a falsy status if there is none."""

        async def read(client: DurableClient) -> OrchestrationStatus:
            return await client.get_status(
                instance_id,
                show_history=show_history,
                show_history_output=show_history_output,
                show_input=show_input,
            )

        return DurableOrchestrationStatus.of(await self._with(read))

    async def get_status_all(self) -> list[DurableOrchestrationStatus]:
        """Every instance of the hub, newest first, without inputs and outputs."""
        return await self.get_status_by()

    async def get_status_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationRuntimeStatus] | None = None,
        instance_id_prefix: str | None = None,
    ) -> list[DurableOrchestrationStatus]:
        """The instances that match all filters, newest first, without inputs and outputs."""
        wanted = native(runtime_status)
        found = await self._with(
            lambda client: client.get_status_by(created_time_from, created_time_to, wanted, instance_id_prefix)
        )
        return [DurableOrchestrationStatus.of(status) for status in found]

    # ------------------------------------------------------------ events and management

    async def raise_event(
        self,
        instance_id: str,
        event_name: str,
        event_data: Any = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
    ) -> None:
        """Send an external event.

        ValueError without a name, or for another task hub. Exception, with the texts of Durable Functions, if there is
        no such instance or it has ended.
        """
        if event_name == "":
            raise ValueError("event_name must be a non-empty string.")
        self._check_place(task_hub_name, connection_name)
        data = encode(event_data)
        try:
            await self._with(lambda client: client.raise_event(instance_id, event_name, data))
        except InstanceNotFoundError as error:
            raise Exception(f"No instance with ID {instance_id} found.") from error
        except InstanceCompletedError as error:
            raise Exception(f"Instance with ID {instance_id} is gone: either completed or failed") from error

    async def terminate(self, instance_id: str, reason: str) -> None:
        """End an instance at once. Nothing happens if it has ended. Exception if there is no such instance."""
        await self._manage(instance_id, lambda client: client.terminate(instance_id, reason))

    async def suspend(self, instance_id: str, reason: str) -> None:
        """Suspend an instance. Nothing happens if it has ended. Exception if there is no such instance."""
        await self._manage(instance_id, lambda client: client.suspend(instance_id, reason))

    async def resume(self, instance_id: str, reason: str) -> None:
        """Resume an instance. Nothing happens if it has ended. Exception if there is no such instance."""
        await self._manage(instance_id, lambda client: client.resume(instance_id, reason))

    async def _manage(self, instance_id: str, act: Callable[[DurableClient], Awaitable[None]]) -> None:
        try:
            await self._with(act)
        except InstanceCompletedError:
            return
        except InstanceNotFoundError as error:
            raise Exception(f"No instance with ID '{instance_id}' found.") from error

    async def rewind(
        self,
        instance_id: str,
        reason: str,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
    ) -> None:
        """Let an instance that has failed go on from before its failure.

        Exception, with the texts of Durable Functions, if there is no such instance or it has not failed;
        OperationRefusedError, with the reasons, if it cannot be rewound.
        """
        self._check_place(task_hub_name, connection_name)

        async def rewind(client: DurableClient) -> None:
            status = await client.get_status(instance_id, show_input=False)
            if not status:
                raise Exception(f"No instance with ID {instance_id} found.")
            if status.runtime_status is not RuntimeStatus.FAILED:
                raise Exception("The rewind operation is only supported on failed orchestration instances.")
            await client.rewind(instance_id, reason, execution_id=status.execution_id)

        await self._with(rewind)

    async def restart(self, instance_id: str, restart_with_new_instance_id: bool = True) -> str:
        """Start the orchestrator of an instance again, with the same input. Returns the id of the new instance.

        Exception, with the texts of Durable Functions, if there is no such instance, or if it has not ended and would
        be replaced.
        """

        async def restart(client: DurableClient) -> str:
            try:
                return await client.restart(instance_id, restart_with_new_instance_id)
            except InstanceNotFoundError as error:
                raise Exception(f"No instance with ID '{instance_id}' found.") from error
            except OperationRefusedError as error:
                raise Exception(f"{error}") from error

        return f"{await self._with(restart)}"

    async def purge_instance_history(self, instance_id: str) -> PurgeHistoryResult:
        """Delete an ended instance with all its rows."""
        return PurgeHistoryResult(await self._with(lambda client: client.purge_instance_history(instance_id)))

    async def purge_instance_history_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationRuntimeStatus] | None = None,
    ) -> PurgeHistoryResult:
        """Delete the ended instances that match. ValueError without ``created_time_from``."""
        if created_time_from is None:
            raise ValueError("created_time_from is required when purging instance history")
        wanted, first = native(runtime_status), created_time_from
        deleted = await self._with(lambda client: client.purge_instance_history_by(first, created_time_to, wanted))
        return PurgeHistoryResult(deleted)

    # ------------------------------------------------------------ entities

    async def signal_entity(
        self,
        entityId: EntityId,
        operation_name: str,
        operation_input: Any = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
    ) -> None:
        """Send an operation to an entity. It is durable when this returns.

        ValueError for another object than an id, and for another task hub; DurableError if the entity is not known.
        """
        self._check_place(task_hub_name, connection_name)
        target, data = native_id(entityId), encode(operation_input)
        await self._with(lambda client: client.signal_entity(target, operation_name, data))

    async def read_entity_state(
        self, entityId: EntityId, task_hub_name: str | None = None, connection_name: str | None = None
    ) -> EntityStateResponse:
        """The state of an entity, as plain JSON. ValueError for another object than an id, and for another task hub."""
        self._check_place(task_hub_name, connection_name)
        target = native_id(entityId)
        found = await self._with(lambda client: client.read_entity(target))
        return EntityStateResponse(False) if found is None else EntityStateResponse(True, found.state)

    # ------------------------------------------------------------ parts

    async def _with(self, use: Callable[[DurableClient], Awaitable[T]]) -> T:
        """Use the runtime's client, on the loop on which the app is served."""

        async def used() -> T:
            return await use(await self._durable.client())

        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await used()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(used(), self._loop))

    def _check_place(self, task_hub_name: str | None, connection_name: str | None) -> None:
        check_place(self._durable, task_hub_name, connection_name)


def check_place(durable: Durable, task_hub: str | None, connection: str | None) -> None:
    """ValueError for another task hub or storage account than the app's own. ``%NAME%`` is an app setting."""
    if task_hub and resolve_settings(task_hub, os.environ).lower() != durable.settings.hub.lower():
        raise ValueError(
            f"the app has the task hub '{durable.settings.hub}', and durable_core reaches no other one, such as "
            f"'{task_hub}': leave the name out, or set the hub of the app (DURABLE_HUB)"
        )
    if connection and connection not in ("Storage", "AzureWebJobsStorage"):
        raise ValueError(
            f"the app has the storage of AzureWebJobsStorage, and durable_core reaches no other one, such as that of "
            f"'{connection}': leave the name out"
        )


def _has_ended(status: str) -> bool:
    return status in set(RuntimeStatus) and RuntimeStatus(status).is_terminal


def _unknown(name: str, error: UnknownOrchestratorError) -> str:
    """The text of Durable Functions for an orchestrator that is not there."""
    known = "', '".join(error.known)
    listed = f"The following are the known orchestrator functions: '{known}'."
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function. Additional info: "
        + (listed if known else "No orchestrator functions are currently registered!")
    )


def _json_response(status: int, body: Any) -> func.HttpResponse:
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    return func.HttpResponse(text, status_code=status, mimetype="application/json", headers=headers)
