"""Other instances that an orchestration starts: sub-orchestrations, and detached orchestrations without a parent.

The keys of their rows follow from the call, so that a start that is repeated after a crash starts nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ...engine.events import OrchestrationStarted, RequestSent, SubOrchestrationCreated
from ...errors import (
    InstanceAlreadyExistsError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    UnknownOrchestratorError,
)
from ...hub.catalog import run_of
from ...hub.child_ids import child_id_of
from ...hub.inbox import RECURSIVE, InboxKind
from ...hub.instance_row import Instance
from ...hub.messages import TaskOutcome
from ...hub.taskhub import TaskHub
from ...log_context import durable_logger
from ...models import FailureDetails, ParentLink, RuntimeStatus, type_name
from ...moments import LAST_SECONDS
from ...orchestrator_versions import UNDECIDED
from ...registry import Registry
from ...storage.accounts import Account, charged_to
from ..observer import Observer
from .after_end import forget
from .decision import Decision, Dispatch, bare_wake_up, entry_of
from .rewinding import Rewinding
from .start_and_deadline import with_times

if TYPE_CHECKING:
    from .dispatch import Dispatcher

logger = durable_logger("durable_core.runtime")


class Children:
    """Part of the dispatcher, for the calls that create instances."""

    def __init__(
        self, hub: TaskHub, registry: Registry, dispatcher: Dispatcher, observer: Observer, rewinding: Rewinding
    ) -> None:
        self._hub = hub
        self._rewinding = rewinding
        self._registry = registry
        self._dispatcher = dispatcher
        self._observer = observer

    async def start(
        self, parent: Instance, dispatch: Dispatch, event: SubOrchestrationCreated, decided: datetime, attempt: int
    ) -> None:
        """Write catalogue row and instance row, and send the wake-up, also if the child exists already (rule R12)."""
        with charged_to(Account()):  # that of the child
            await self._start(parent, dispatch, event, decided, attempt)

    async def _start(
        self, parent: Instance, dispatch: Dispatch, event: SubOrchestrationCreated, decided: datetime, attempt: int
    ) -> None:
        link = ParentLink(parent.instance_id, parent.execution_id, dispatch.generation, event.task_id, attempt)
        again = dispatch.after is not None
        child = await self._child_of(parent, link, event, decided, read_first=again)
        if child.parent == link and (undone := dispatch.undone.get(event.task_id, 0)) > child.parent_rewinds:
            child = await self._do_again(child, parent, link, event, decided, undone)
        if child.parent == link:
            await self._hub.send(replace(bare_wake_up(child), redelivered=again))
            return
        problem = FailureDetails(
            type_name(InstanceAlreadyExistsError),
            f"there is an instance '{child.instance_id}' already, which is not this call's; give the child another id, "
            "or wait until this orchestration's own child of that id has ended",
            retriable=False,
        )
        outcome = TaskOutcome(link.generation, link.task_id, attempt, failure=problem, child=True)
        await self._hub.send(replace(bare_wake_up(parent), outcomes=(outcome,)))

    async def start_detached(
        self, starter: Instance, dispatch: Dispatch, event: OrchestrationStarted, decided: datetime
    ) -> None:
        """Start a detached orchestration: as a child, but without a parent."""
        with charged_to(Account()):  # that of the new instance
            await self._start_detached(starter, dispatch, event, decided)

    async def _start_detached(
        self, starter: Instance, dispatch: Dispatch, event: OrchestrationStarted, decided: datetime
    ) -> None:
        link = ParentLink(starter.instance_id, starter.execution_id, dispatch.generation, event.task_id)
        again = dispatch.after is not None
        present = await self._hub.instances.get(event.instance_id) if again else None
        if present is None:
            present = await self.create(await self._fresh(starter, link, event.instance_id, event, decided))
        if present.execution_id != digest_of(link):
            logger.warning(
                "orchestration '%s' is not started by '%s' (%s): there is an instance '%s' already",
                event.name,
                starter.instance_id,
                event.line,
                event.instance_id,
            )
            return
        await self._hub.send(replace(bare_wake_up(present), redelivered=again))

    async def pass_on(self, parent: Instance, dispatch: Dispatch, request: RequestSent, call: Decision | None) -> None:
        """Send a request to cancel or terminate to an open child. This is what terminating a parent does to its
        children.

        A child whose start was not dispatched yet is created first. So a host that dispatches the start late finds the
        request in its inbox, and no child misses the end of its parent.
        """
        if call is None or not isinstance(call.event, SubOrchestrationCreated):
            logger.warning("the request to sub-orchestration %d of '%s' has no call", request.child, parent.instance_id)
            return
        with charged_to(Account()):  # that of the child, if it is created here
            await self._pass_on(parent, dispatch, request, call.event, call.decided)

    async def _pass_on(
        self,
        parent: Instance,
        dispatch: Dispatch,
        request: RequestSent,
        event: SubOrchestrationCreated,
        called: datetime,
    ) -> None:
        state = dispatch.retries.get(request.child)
        attempt, decided = (1, called) if state is None else (state.attempt, state.next_try)
        link = ParentLink(parent.instance_id, parent.execution_id, dispatch.generation, request.child, attempt)
        child = await self._child_of(parent, link, event, decided, read_first=True)
        if child.parent != link or child.is_terminal or is_of_void_run(child, parent):
            return
        kind = InboxKind(request.kind)
        run = run_of(entry_of(parent))  # a request that is made once more in a later run is another one
        key = f"i{self._hub.ids.ulid(parent.created)[:10]}{digest_of(link)}{kind.value[0].upper()}{run}"
        with suppress(RowExistsError):  # sent before
            await self._hub.inbox.put(
                child.instance_id, child.execution_id, key, kind, request.reason, RECURSIVE, child.rewinds
            )
        await self._hub.send(bare_wake_up(child))

    async def _do_again(
        self,
        child: Instance,
        parent: Instance,
        link: ParentLink,
        event: SubOrchestrationCreated,
        decided: datetime,
        number: int,
    ) -> Instance:
        """The child of a call that the rewind ``number`` of its parent has undone: rewound itself, once. One that runs
        (somebody has rewound it) becomes the child of the parent's new run."""
        while child.parent == link and child.parent_rewinds < number and child.status is not RuntimeStatus.COMPLETED:
            request_id = f"{digest_of(link)}-{number}"
            if child.is_terminal:
                changed = await self._rewinding.for_parent(child, number, request_id)
            else:
                changed = await self._rewinding.adopt(child, number)
            child = changed or await self._child_of(parent, link, event, decided, read_first=True)
        return child

    # ------------------------------------------------------------------ rows

    async def _child_of(
        self, parent: Instance, link: ParentLink, event: SubOrchestrationCreated, decided: datetime, *, read_first: bool
    ) -> Instance:
        """The child of the call, created if there is none; or the unrelated instance that has its id."""
        child_id = child_id_of(parent, link, event.instance_id)
        child = await self._hub.instances.get(child_id) if read_first else None
        if child is not None and child.parent == link:
            return child
        fresh = await self._fresh(parent, link, child_id, event, decided)
        if child is None:
            child = await self.create(fresh)
        if is_of_earlier_call(child, link, decided):
            child = await self._create_in_place_of(child, fresh)
        return child

    async def _fresh(
        self,
        starter: Instance,
        link: ParentLink,
        instance_id: str,
        event: SubOrchestrationCreated | OrchestrationStarted,
        decided: datetime,
    ) -> Instance:
        """The instance that this call starts, as it begins."""
        version = event.version
        if version is None:
            try:
                version = self._registry.orchestrator(event.name).version
            except UnknownOrchestratorError:  # the first host that has it decides; until then the child is stuck
                version = UNDECIDED
        execution_id = digest_of(link)
        fresh = Instance(
            instance_id=instance_id,
            execution_id=execution_id,
            name=event.name,
            version=version,
            status=RuntimeStatus.PENDING,
            created=decided,
            updated=decided,
            input=await self._hub.payloads.store(instance_id, execution_id, event.input),
            parent=link if isinstance(event, SubOrchestrationCreated) else None,
            parent_rewinds=starter.rewinds if isinstance(event, SubOrchestrationCreated) else 0,
            build=starter.build,
            trace=self._observer.trace_of_call(starter, link.generation, link.task_id),
            headers=starter.headers,
        )
        if event.headers is not None:
            fresh = fresh.but(headers=self._hub.instances.stored_headers(event.headers))
        if isinstance(event, SubOrchestrationCreated) and (seconds := event.option("timeout")) is not None:
            fresh = with_times(fresh, None, timedelta(seconds=min(seconds, LAST_SECONDS)))
        return fresh

    async def create(self, fresh: Instance) -> Instance:
        """Create the row of the new instance; returns the existing one if there is one."""
        await self._hub.catalog.open(entry_of(fresh))
        try:
            return await self._hub.instances.create(fresh)
        except RowExistsError:
            present = await self._hub.instances.get(fresh.instance_id)
            if present is None or present.execution_id != fresh.execution_id:
                await self._hub.catalog.forget_open(entry_of(fresh))
            elif present.is_terminal:  # and its catalogue row was closed before this late one was opened
                await self._hub.catalog.close(await self._dispatcher.entry_of_ended(present))
            return fresh if present is None else present

    async def _create_in_place_of(self, ended: Instance, fresh: Instance) -> Instance:
        """Replace the row of an ended instance, which is removed as in a purge; returns the row of a faster host if
        any."""
        hub = self._hub
        await hub.catalog.open(entry_of(fresh))
        await forget(hub, self._dispatcher, ended)
        try:
            child = await hub.instances.restart(ended, fresh)
        except (PreconditionFailedError, RowNotFoundError):
            present = await hub.instances.get(fresh.instance_id)
            if present is None:  # purged at this moment
                return await self.create(fresh)
            if present.execution_id != fresh.execution_id:
                await hub.catalog.forget_open(entry_of(fresh))
            return present
        await hub.catalog.open(entry_of(fresh))  # recovery may have deleted it as that of a refused start
        await hub.instances.drop_execution(fresh.instance_id, fresh.execution_id)
        return child


def is_of_earlier_call(child: Instance, link: ParentLink, decided: datetime) -> bool:
    """Whether the instance that has a child's id has ended, and was the child of an earlier call of the same parent.

    A start that is repeated late must not replace the child of a later call. decided: when this call was made.
    """
    earlier = child.parent
    if earlier is None or not child.is_terminal or earlier.instance_id != link.instance_id:
        return False
    if earlier.execution_id != link.execution_id:  # the parent was started again
        return child.created < decided
    calls = [(each.generation, each.task_id, each.attempt) for each in (earlier, link)]
    return calls[0] < calls[1]


def is_of_void_run(child: Instance, parent: Instance) -> bool:
    """Whether the child was rewound for a later run of its parent than this one, whose requests must not reach it."""
    return child.parent_rewinds > parent.rewinds


def digest_of(link: ParentLink) -> str:
    """The execution id of the instance that this call starts: the same at every try, so that there is no second
    catalogue row."""
    text = json.dumps([link.instance_id, link.execution_id, link.generation, link.task_id, link.attempt])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
