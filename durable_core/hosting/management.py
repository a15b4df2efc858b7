"""What the management API asks of a client. Knows no HTTP, and of the runtime only the types of answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ..engine.callbacks import CallbackTicket
from ..models import JSON, OrchestrationStatus, RuntimeStatus

if TYPE_CHECKING:
    from ..runtime.recovery import RecoveryReport
    from ..runtime.schedules.client import ScheduleStatus


class InstancePage(Protocol):
    @property
    def instances(self) -> Sequence[OrchestrationStatus]: ...
    @property
    def continuation_token(self) -> str | None: ...


class PurgeSlice(Protocol):
    @property
    def deleted(self) -> int: ...
    @property
    def continuation_token(self) -> str | None: ...


class ManagementClient(Protocol):
    """What the API asks of a ``DurableClient``. The errors are those of ``errors.py``."""

    async def recover(self, *, full: bool = True) -> RecoveryReport: ...
    async def start_new(
        self, name: str, instance_id: str | None = None, client_input: JSON = None, /, *, version: str | None = None
    ) -> str: ...
    async def get_status(
        self,
        instance_id: str,
        /,
        *,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = True,
    ) -> OrchestrationStatus: ...
    async def list_instances(
        self,
        *,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Collection[RuntimeStatus] | None = None,
        instance_id_prefix: str | None = None,
        page_size: int = 100,
        continuation_token: str | None = None,
        show_input: bool = True,
        show_details: bool | None = None,
    ) -> InstancePage: ...
    async def raise_event(
        self, instance_id: str, event_name: str, event_data: JSON = None, /, *, execution_id: str | None = None
    ) -> None: ...
    async def raise_event_once(
        self, instance_id: str, event_name: str, event_data: JSON = None, /, *, nonce: str, execution_id: str = ""
    ) -> None: ...
    async def redeem_callback(self, ticket: CallbackTicket, result: JSON = None, /) -> None: ...
    async def query(self, instance_id: str, name: str, args: JSON = None, /) -> JSON: ...
    async def terminate(self, instance_id: str, reason: str = "", /, *, execution_id: str | None = None) -> None: ...
    async def cancel(self, instance_id: str, reason: str = "", /, *, execution_id: str | None = None) -> None: ...
    async def list_schedules(self) -> list[ScheduleStatus]: ...
    async def suspend(self, instance_id: str, reason: str = "", /, *, execution_id: str | None = None) -> None: ...
    async def resume(self, instance_id: str, reason: str = "", /, *, execution_id: str | None = None) -> None: ...
    async def purge_instance_history(
        self, instance_id: str, /, *, execution_id: str | None = None, recursive: bool = False
    ) -> int: ...
    async def purge_slice(
        self,
        created_time_from: datetime,
        created_time_to: datetime | None = None,
        runtime_status: Collection[RuntimeStatus] | None = None,
        /,
        *,
        continuation_token: str | None = None,
        recursive: bool = False,
    ) -> PurgeSlice: ...
    async def wait_for_completion(self, instance_id: str, seconds: float, /) -> OrchestrationStatus: ...
