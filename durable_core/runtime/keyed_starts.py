"""Debounced starts, and starts that are made once in a window: which instance belongs to a key. Part of the client.

Both are decided by conditional writes: of the claim on the key (``hub.start_keys``), and, where a start joins an
instance that waits for its beginning, of the row of that instance. A host that has begun it has written that row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, Unpack

from ..errors import PreconditionFailedError, RowNotFoundError
from ..hub.inbox import InboxKind
from ..hub.instance_row import Instance
from ..hub.instances import Loaded
from ..hub.start_keys import Claim, mark_of
from ..hub.taskhub import TaskHub
from ..instance_ids import StartedInstance
from ..moments import after
from ..starting import Debounce, Deduplicate, check_together
from ..storage.accounts import Account, charged_to
from .clock import Clock
from .listing import UNREADABLE
from .start import Request, Started, StartOptions, Starts
from .turn.dispatch import Dispatcher
from .turn.start_and_deadline import CLOCK_TASK, is_early

_ENDINGS = (InboxKind.TERMINATE, InboxKind.CANCEL)


class Found(NamedTuple):
    """The instance of a key after a start."""

    instance_id: str
    started: Started


class KeyedStarts:
    def __init__(self, hub: TaskHub, clock: Clock, dispatcher: Dispatcher, starts: Starts) -> None:
        self._hub = hub
        self._clock = clock
        self._dispatcher = dispatcher
        self._starts = starts

    async def begin(
        self,
        orchestrator: Callable[..., Any] | str,
        instance_id: str | None,
        client_input: object,
        **options: Unpack[StartOptions],
    ) -> StartedInstance:
        """Start an instance, or find that of an earlier start: see ``DurableClient.start_new``. InvalidInputError:
        options that do not go together, and all else that ``start_new`` refuses."""
        debounce, deduplicate = options.get("debounce"), options.get("deduplicate")
        if_exists, start_at = options.get("if_exists", "error"), options.get("start_at")
        check_together(debounce, deduplicate, instance_id=instance_id, if_exists=if_exists, start_at=start_at)
        start = self._starts.request(orchestrator, client_input, options)
        if debounce is not None:
            found = await self._debounced(start, debounce)
        else:
            assert deduplicate is not None
            found = await self._once(start, deduplicate)
        return StartedInstance(found.instance_id, found.started.execution_id)

    async def _debounced(self, start: Request, debounce: Debounce) -> Found:
        """Join the instance that waits for its beginning, or start one. Each loss of a race begins anew."""
        hub, mark = self._hub, mark_of("debounce", start.name, debounce.key)
        text = self._starts.checked_input(start.name, start.version, start.input)
        mine = hub.ids.instance_id()
        while True:
            with charged_to(Account()):  # that of the instance
                claim = await hub.start_keys.read(mark)
                loaded = None if claim is None else await self._load(claim)
                if claim is not None and loaded is not None and _is_waiting(loaded, self._clock.now()):
                    assert loaded.instance is not None
                    if (started := await self._join(loaded.instance, text, start.limit, debounce)) is not None:
                        return Found(claim.instance_id, started)
                    continue
                taken = mine
                if claim is not None and loaded is not None and loaded.instance is None:
                    taken = claim.instance_id  # its starter has died, or is about to make the instance
                elif not await hub.start_keys.claim(mark, mine, self._clock.now(), claim):
                    continue
                started = await self._begin_later(start, taken, mark, debounce)
            if started is not None and started.is_new:  # else another start has made it: join that
                return Found(taken, started)

    async def _once(self, start: Request, deduplicate: Deduplicate) -> Found:
        """Start an instance, or find the one that a start in the window has made."""
        hub, mark = self._hub, mark_of("deduplicate", start.name, deduplicate.key)
        self._starts.checked_input(start.name, start.version, start.input)  # before the key is claimed for it
        mine, before = hub.ids.instance_id(), None
        while True:
            with charged_to(Account()):  # that of the instance
                now, taken = self._clock.now(), mine
                if not await hub.start_keys.claim(mark, mine, now, before):
                    before = await hub.start_keys.read(mark)
                    if before is None or after(before.since, deduplicate.window) <= now:
                        continue  # the claim is free, or old: claim it
                    taken = before.instance_id
                started = await self._found(taken) if taken != mine else None
                if started is None:
                    started = await self._begin(start, taken, mark)
            if started is not None:
                return Found(taken, started)

    async def _load(self, claim: Claim) -> Loaded | None:
        """The claimed instance and its inbox; None if this host cannot read it: a start does not join it then."""
        try:
            return await self._hub.instances.load(claim.instance_id)
        except UNREADABLE:
            return None

    async def _found(self, instance_id: str) -> Started | None:
        try:
            present = await self._hub.instances.get(instance_id)
        except UNREADABLE:
            return Started("", False)
        if present is None:
            return None
        await self._starts.ring_again(present)
        return Started(present.execution_id, False)

    async def _begin(self, start: Request, instance_id: str, mark: str) -> Started | None:
        fresh = await self._starts.requested(start, instance_id)
        return await self._starts.create(fresh.but(start_key=mark), "return")

    async def _begin_later(self, start: Request, instance_id: str, mark: str, debounce: Debounce) -> Started | None:
        later = start._replace(start_at=after(self._clock.now(), debounce.period))
        fresh = await self._starts.requested(later, instance_id)
        return await self._starts.create_waiting(fresh.but(start_key=mark))

    async def _join(self, waiting: Instance, text: str, limit: str, debounce: Debounce) -> Started | None:
        """Give a waiting instance this input, with its limit, and put off its beginning. None if it was changed
        meanwhile."""
        hub, now = self._hub, self._clock.now()
        begins, planned = after(now, debounce.period), waiting.start_at
        assert planned is not None
        if debounce.max_wait is not None:
            begins = max(min(begins, after(waiting.created, debounce.max_wait)), now)
        changes: dict[str, Any] = {"start_at": begins, "limit": limit}
        if waiting.deadline is not None:
            changes["deadline"] = after(waiting.deadline, begins - planned)
        changes["input"] = await hub.payloads.store_text(waiting.instance_id, waiting.execution_id, text)
        try:
            joined = await hub.instances.put_off(waiting, waiting.but(**changes))
        except (PreconditionFailedError, RowNotFoundError):
            return None
        if begins < planned:  # else the reminder that is under way is early, and is armed again
            await self._dispatcher.arm(joined, 0, CLOCK_TASK, begins)
        return Started(joined.execution_id, False)


def _is_waiting(loaded: Loaded, now: datetime) -> bool:
    """Whether the instance waits for the time of its beginning, and nobody has asked for its end."""
    instance = loaded.instance
    if instance is None or instance.is_terminal or not is_early(instance, now):
        return False
    return not any(row.kind in _ENDINGS and row.execution_id == instance.execution_id for row in loaded.inbox)
