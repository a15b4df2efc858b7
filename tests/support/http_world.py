"""The management API over a client in memory, reached by URL as the Functions host would route it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from durable_core.engine.callbacks import CallbackTicket
from durable_core.errors import (
    CapabilityError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InvalidInputError,
    OperationRefusedError,
    UnknownOrchestratorError,
    UnknownQueryError,
    UnknownUpdateError,
    UpdateFailedError,
    UpdateNotEndedError,
    UpdateRefusedError,
)
from durable_core.hosting.http_api import Endpoint, HttpApi
from durable_core.hosting.http_types import HttpRequest, HttpResponse
from durable_core.hosting.signed_urls import CapabilitySigner
from durable_core.instance_ids import StartedInstance, check_instance_id
from durable_core.models import JSON, FailureDetails, OrchestrationStatus, Origin, RuntimeStatus
from durable_core.operate.overview import HubOverview
from durable_core.runtime.bulk.client import BulkPreview
from durable_core.runtime.client import DurableClient
from durable_core.runtime.fork import CopiedCallback, Forked
from durable_core.runtime.purge import PurgeSlice
from durable_core.runtime.recovery import RecoveryReport
from durable_core.runtime.restart import SAME_INPUT
from durable_core.runtime.rewind import Rewound
from durable_core.runtime.schedules.backfill import BackfillPreview
from durable_core.runtime.schedules.client import ScheduleStatus
from durable_core.runtime.turn.rewind_plan import RewoundTask

BASE = "https://orders.example/api/durabletask"
CREATED = datetime(2025, 1, 31, 12, 0, 0, 987654, tzinfo=UTC)
LIMIT = 1000


@dataclass
class Page:
    instances: list[OrchestrationStatus]
    continuation_token: str | None


@dataclass
class MemoryClient:
    """A client with the methods of ``DurableClient`` that the API calls; keeps instances in a dict."""

    instances: dict[str, OrchestrationStatus] = field(default_factory=dict[str, OrchestrationStatus])
    calls: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    finish: Callable[[OrchestrationStatus], OrchestrationStatus] = lambda status: status
    next_page: str | None = None
    schedules: list[ScheduleStatus] = field(default_factory=list[ScheduleStatus])
    broken: Exception | None = None
    used: set[str] = field(default_factory=set[str])

    def add(self, instance_id: str, status: RuntimeStatus = RuntimeStatus.RUNNING, **more: Any) -> None:
        found = OrchestrationStatus(
            instance_id=instance_id,
            name="order",
            runtime_status=status,
            created_time=CREATED,
            last_updated_time=CREATED + timedelta(seconds=5),
            input_={"item": "tea"},
            execution_id="x1",
        )
        self.instances[instance_id] = replace(found, **more)

    async def hub_overview(self) -> HubOverview:
        counts = Counter(status.runtime_status for status in self.instances.values() if status.runtime_status)
        return HubOverview(
            hub="durable", store="embedded", partitions=1, now=CREATED, counts=counts,
            is_complete=True, stuck=0, retrying=0, queues=(), hosts=(),
        )  # fmt: skip

    async def start_new(
        self,
        name: str,
        instance_id: str | None = None,
        client_input: JSON = None,
        /,
        *,
        version: str | None = None,
        **keyed: object,
    ) -> str:
        if self.broken:
            raise self.broken
        if keyed:
            self.calls.append(("start", name, instance_id, keyed))
        if name not in ("order", "approval"):
            raise UnknownOrchestratorError(name, ["order", "approval"], version)
        if client_input == {"item": 1}:
            raise InvalidInputError("not a valid Order", ["item: Input should be a valid string"])
        instance_id = f"new-{len(self.instances)}" if instance_id is None else instance_id
        check_instance_id(instance_id)
        if instance_id in self.instances:
            raise InstanceAlreadyExistsError(instance_id, "Running")
        self.add(instance_id, RuntimeStatus.PENDING, name=name, input_=client_input, version=version or "")
        return StartedInstance(instance_id, self.instances[instance_id].execution_id)

    async def get_status(
        self,
        instance_id: str,
        /,
        *,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = True,
    ) -> OrchestrationStatus:
        if self.broken:
            raise self.broken
        status = self.instances.get(instance_id, OrchestrationStatus(instance_id=instance_id))
        history: list[dict[str, JSON]] = [{"EventType": "ExecutionStarted", "Result": show_history_output}]
        return replace(
            status,
            input_=status.input_ if show_input else None,
            history_events=history if show_history else None,
        )

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
        **more: Any,
    ) -> Page:
        if continuation_token == "nonsense":
            raise InvalidInputError("that is no continuation token")
        asked = (created_time_from, created_time_to, runtime_status, instance_id_prefix, page_size, continuation_token)
        given = {name: value for name, value in more.items() if value is not None}
        self.calls.append(("list", *asked, show_input, *([given] if given else [])))
        return Page(list(self.instances.values()), self.next_page)

    async def raise_event(
        self,
        instance_id: str,
        event_name: str,
        event_data: JSON = None,
        /,
        *,
        event_id: str | None = None,
        execution_id: str | None = None,
    ) -> None:
        self._live(instance_id, execution_id)
        self.calls.append(("event", instance_id, event_name, event_data, *([event_id] if event_id else [])))

    async def raise_event_once(
        self, instance_id: str, event_name: str, event_data: JSON = None, /, *, nonce: str, execution_id: str = ""
    ) -> None:
        self._live(instance_id, execution_id)
        if nonce in self.used:
            raise CapabilityError("used", gone=True)
        self.used.add(nonce)
        self.calls.append(("event", instance_id, event_name, event_data))

    async def redeem_callback(self, ticket: CallbackTicket, result: JSON = None, /) -> None:
        self._live(ticket.instance_id)
        if ("callback", ticket, result) in self.calls:
            raise CapabilityError("used", gone=True)
        self.calls.append(("callback", ticket, result))

    async def query(self, instance_id: str, name: str, args: JSON = None, /) -> JSON:
        if instance_id not in self.instances:
            raise InstanceNotFoundError(instance_id)
        if name != "progress":
            raise UnknownQueryError(instance_id, name, ["progress"])
        return {"args": args}

    async def update(
        self,
        instance_id: str,
        name: str,
        args: JSON = None,
        /,
        *,
        update_id: str | None = None,
        timeout: float = 0.0,  # noqa: ASYNC109
    ) -> JSON:
        self._live(instance_id)
        failure = FailureDetails("ValueError", "no")
        match name:
            case "echo":
                self.calls.append(("update", instance_id, args, update_id, timeout))
                return args
            case "refuses":
                raise UpdateRefusedError(instance_id, name, failure)
            case "fails":
                raise UpdateFailedError(instance_id, name, "u", failure)
            case "waits":
                raise UpdateNotEndedError(instance_id, name, update_id or "u", timeout)
            case _:
                raise UnknownUpdateError(instance_id, name, ["echo", "fails"])

    async def terminate(
        self,
        instance_id: str,
        reason: str = "",
        /,
        *,
        recursive: bool = True,
        execution_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self._live(instance_id, execution_id)
        self.calls.append(
            ("terminate", instance_id, reason, *(() if recursive else (False,)), *((request_id,) if request_id else ()))
        )

    async def cancel(
        self,
        instance_id: str,
        reason: str = "",
        /,
        *,
        recursive: bool = True,
        execution_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self._live(instance_id, execution_id)
        self.calls.append(
            ("cancel", instance_id, reason, *(() if recursive else (False,)), *((request_id,) if request_id else ()))
        )

    async def rewind(
        self,
        instance_id: str,
        reason: str = "",
        /,
        *,
        force: bool = False,
        dry_run: bool = False,
        request_id: str | None = None,
        execution_id: str | None = None,
    ) -> Rewound:
        if instance_id not in self.instances:
            raise InstanceNotFoundError(instance_id)
        if execution_id and self.instances[instance_id].execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if not self.instances[instance_id].is_terminal:
            raise OperationRefusedError(instance_id, "no", ["refund #6 ran and is not undone"])
        self.calls.append(("rewind", instance_id, reason, force, dry_run, request_id))
        return Rewound(instance_id, 2, (RewoundTask(3, "charge", "order.py:7"),), (), 60.0)

    async def restart(
        self,
        instance_id: str,
        restart_with_new_instance_id: bool = True,
        /,
        *,
        new_instance_id: str | None = None,
        client_input: object = SAME_INPUT,
        version: str | None = None,
        execution_id: str | None = None,
    ) -> str:
        if instance_id not in self.instances:
            raise InstanceNotFoundError(instance_id)
        old = self.instances[instance_id]
        if execution_id and old.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if not restart_with_new_instance_id and not old.is_terminal:
            raise OperationRefusedError(instance_id, "it runs")
        new = new_instance_id or (f"{instance_id}-again" if restart_with_new_instance_id else instance_id)
        self.calls.append(("restart", instance_id, new, version))
        data = old.input_ if client_input is SAME_INPUT else client_input
        origin = Origin(instance_id, old.execution_id)
        self.instances[new] = replace(old, instance_id=new, input_=data, restarted_from=origin, execution_id="x9")
        return new

    async def fork(self, instance_id: str, /, **more: Any) -> Forked:
        if instance_id not in self.instances:
            raise InstanceNotFoundError(instance_id)
        self.calls.append(("fork", instance_id, more))
        new = more["new_instance_id"] or f"{instance_id}-fork"
        if not more["dry_run"]:
            self.instances[new] = replace(self.instances[instance_id], instance_id=new, execution_id="x9")
        callbacks = (CopiedCallback("approval", "https://a/c/1", "https://a/c/2"), CopiedCallback("other"))
        return Forked(new, "x9", 4, (RewoundTask(3, "charge", "order.py:7"),), {3: "x9-0-3"}, (), callbacks)

    async def list_schedules(self) -> list[ScheduleStatus]:
        return self.schedules

    async def bulk(self, action: str, /, **more: Any) -> str:
        if action not in ("terminate", "raiseEvent", "purge"):
            raise InvalidInputError(f"the action must be another one; not {action!r}")
        self.calls.append(("bulk", action, more))
        self.add("durable.bulk:1", name="durable.bulk")
        return StartedInstance("durable.bulk:1", "x1")

    async def preview_bulk(self, action: str, /, **more: Any) -> BulkPreview:
        self.calls.append(("preview", action, more))
        found = tuple(self.instances.values())
        return BulkPreview(matched=len(found), is_complete=True, sample=found)

    async def pause_schedule(self, schedule_id: str, reason: str = "", /) -> None:
        self._schedule(schedule_id)
        self.calls.append(("pause", schedule_id, reason))

    async def resume_schedule(self, schedule_id: str, /) -> None:
        self._schedule(schedule_id)
        self.calls.append(("resume", schedule_id))

    async def trigger_schedule(self, schedule_id: str, /) -> str:
        self._schedule(schedule_id)
        return f"{schedule_id}:20250131T120000Z-000000"

    async def backfill_schedule(
        self, schedule_id: str, start: datetime, end: datetime, /, *, max_concurrency: int = 1
    ) -> str:
        self._schedule(schedule_id)
        self.calls.append(("backfill", start, end, max_concurrency))
        return f"durable.schedule.backfill:{schedule_id}:1"

    async def preview_backfill(self, schedule_id: str, start: datetime, end: datetime, /) -> BackfillPreview:
        self._schedule(schedule_id)
        return BackfillPreview(runs=2, is_complete=True, first=start, last=end)

    async def delete_schedule(self, schedule_id: str, /) -> None:
        self.schedules.remove(self._schedule(schedule_id))

    def _schedule(self, schedule_id: str) -> ScheduleStatus:
        for schedule in self.schedules:
            if schedule.schedule_id == schedule_id:
                return schedule
        raise InstanceNotFoundError(f"durable.schedule:{schedule_id}")

    async def suspend(
        self,
        instance_id: str,
        reason: str = "",
        /,
        *,
        execution_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self._live(instance_id, execution_id)
        self.calls.append(("suspend", instance_id, reason, *((request_id,) if request_id else ())))

    async def resume(
        self,
        instance_id: str,
        reason: str = "",
        /,
        *,
        execution_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self._live(instance_id, execution_id)
        self.calls.append(("resume", instance_id, reason, *((request_id,) if request_id else ())))

    async def recover(self, *, full: bool = True) -> RecoveryReport:
        return RecoveryReport(woken_up=len(self.instances) if full else 0, open_instances=len(self.instances))

    async def purge_instance_history(
        self, instance_id: str, /, *, execution_id: str | None = None, recursive: bool = False
    ) -> int:
        found = self.instances.get(instance_id)
        if found is not None and execution_id and found.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if instance_id not in self.instances or not self.instances[instance_id].is_terminal:
            return 0
        del self.instances[instance_id]
        return 1

    async def purge_slice(
        self,
        created_time_from: datetime,
        created_time_to: datetime | None = None,
        runtime_status: Collection[RuntimeStatus] | None = None,
        /,
        *,
        continuation_token: str | None = None,
        recursive: bool = False,
    ) -> PurgeSlice:
        """One instance at a time."""
        self.calls.append(("purge", created_time_from, created_time_to, runtime_status, recursive))
        ended = [key for key, status in self.instances.items() if status.is_terminal]
        for key in ended[:1]:
            del self.instances[key]
        return PurgeSlice(len(ended[:1]), "more" if len(ended) > 1 else None)

    async def wait_for_completion(self, instance_id: str, seconds: float, /) -> OrchestrationStatus:
        self.calls.append(("wait", instance_id, seconds))
        self.instances[instance_id] = self.finish(self.instances[instance_id])
        return self.instances[instance_id]

    def _live(self, instance_id: str, execution_id: str | None = None) -> None:
        if instance_id not in self.instances:
            raise InstanceNotFoundError(instance_id)
        if execution_id and self.instances[instance_id].execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if self.instances[instance_id].is_terminal:
            raise InstanceCompletedError(instance_id, "Completed")


class World:
    """Routes URLs as the Functions host does, keys left out."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.client = MemoryClient()
        self.signer = CapabilitySigner([b"the key of these tests"], clock=lambda: self.now)
        self.api = HttpApi(cast("DurableClient", self.client), self.signer, max_payload=LIMIT)

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        url = path if path.startswith("http") else f"{BASE}/{path}"
        endpoint, route = self._route(method, urlsplit(url).path)
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = HttpRequest.of(method, url, route=route, headers=headers, body=raw)
        return await self.api.handle(endpoint, request)

    async def payload(self, instance_id: str) -> dict[str, str]:
        self.client.instances.pop(instance_id, None)
        return (await self.call("POST", f"orchestrators/order/{instance_id}")).json()

    @staticmethod
    def _route(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """The route of this path and method; for a method that none of its routes has, the first one."""
        below, found = path.partition("/durabletask/")[2], list[tuple[Endpoint, dict[str, str]]]()
        for endpoint in Endpoint:
            pattern = re.sub(r"/\{(\w+)\?\}", r"(?:/(?P<\1>[^/]+))?", endpoint.value.template)
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), below)
            if match:
                found.append((endpoint, {name: unquote(value) for name, value in match.groupdict().items() if value}))
        assert found, f"no route for {path}"
        return next((each for each in found if method in each[0].value.methods), found[0])


def error(response: HttpResponse) -> dict[str, Any]:
    """What an error answer says, which has one shape."""
    assert set(response.json()) == {"error"}
    return response.json()["error"]
