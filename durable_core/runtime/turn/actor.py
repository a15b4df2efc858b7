"""One instance in one process: deliveries come in, turns go out, one at a time.

A turn: take the pooled deliveries, load the instance unless it is warm, run the orchestrator, commit with one
conditional write, dispatch the decisions, release the callers. The rules R1 to R38 are those of docs/architecture.md.
Each rule excludes a way to lose or repeat something; an exhaustive model of the protocol found them.

The actor uses the hub and the engine. It does not depend on where deliveries come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol, cast

from ...engine.events import ContinueAsNew, Segment
from ...engine.executor import OrchestrationExecutor, Turn, UpdateAnswer
from ...errors import (
    CodecError,
    CodeHangsError,
    DeterminismError,
    NewerFormatError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    StorageUnavailableError,
)
from ...hang_watch import stretch
from ...hub.inbox import InboxKind, InboxRow
from ...hub.instance_row import Instance
from ...hub.instances import MOVED_TRIES, HistoryMovedError
from ...log_context import Work, durable_logger, enter_work
from ...models import NO_OPERATIONS, RuntimeStatus
from ...storage.accounts import Account, enter_account
from ..activities.call_options import calls_journals
from .after_end import dispatch_carried, dispatch_for_others, dispatch_left, ends_without_notices
from .attempt import Attempt
from .cached import CachedOrchestrator, revive
from .cannot_proceed import NOT_REPLAYED, CannotProceed
from .commit import prepare, write
from .decision import CARRIED_OUT_BY_NOBODY, Decision, Dispatch, bare_wake_up, entry_of
from .delivery import Delivery, longest, may_be_lost, release, split_callers, take_callers
from .dispatched_commits import DispatchedCommits
from .freshness import CONTESTED, brings_unknown, gathers_more, is_stale, must_load_cold, needs_row_check
from .inline_activity import SHORT, InlineStep, InlineSteps, is_lone, lone_activity
from .inline_steps import Steps
from .new_events import Gathered, gather, is_kept
from .process_tasks import ProcessTasks
from .redispatch import (
    NOTHING,
    Known,
    Redispatch,
    covered,
    last_rewind,
    redispatch_after_end,
    redispatch_after_lost_commit,
    rewind_owed,
    to_redispatch,
    undispatched_for_others,
    undone,
    with_calls,
)
from .services import Services
from .start_and_deadline import CLOCK_TASK, look_to_arm
from .telling import calls_of, committed, terminated
from .terminate import history_of, terminate, termination_in

MAX_CONFLICTS = 2  # after that, another host works on the instance: send the messages again
SLOW_TURN_SECONDS = 0.1
LISTED_AFTER = timedelta(seconds=10)  # after that, an instance that has not waited yet is listed as running

_UNKNOWN_OUTCOME = (PreconditionFailedError, RowNotFoundError, RowExistsError, StorageUnavailableError)
logger = durable_logger("durable_core.runtime")


class Home(Protocol):
    """The methods of ``InstanceCache`` that an actor uses. (Its module imports this one.)"""

    conflicts: int
    dispatched: DispatchedCommits
    tasks: ProcessTasks

    def warmed(self, actor: Actor, weight: int) -> None: ...

    def cooled(self, actor: Actor) -> None: ...

    def ended(self, instance: Instance) -> None: ...

    def continued(self, instance: Instance, line: str) -> None: ...

    def answered(self, instance: Instance, answers: Sequence[UpdateAnswer]) -> None: ...

    def idle(self, actor: Actor) -> None: ...


class _HandOver(Exception):
    """Raised when this turn must not commit: another host works on the instance, or may have its messages (rule
    R16)."""


class Actor:
    __slots__ = (
        "_account",
        "_cannot_proceed",
        "_contested_until",
        "_home",
        "_inline",
        "_listing",
        "_pool",
        "_running",
        "_services",
        "_steps",
        "_warm",
        "_work",
        "instance_id",
    )

    def __init__(self, instance_id: str, services: Services, home: Home) -> None:
        self.instance_id = instance_id
        self._services = services
        self._home = home
        self._pool: list[Delivery] = []
        self._running = False
        self._contested_until = 0.0
        self._warm: CachedOrchestrator | None = None
        self._cannot_proceed = CannotProceed(instance_id, services)
        self._inline = InlineSteps(services, home.tasks)
        self._steps = Steps(services, home.tasks, self.deliver)
        self._listing: asyncio.TimerHandle | None = None
        self._account = Account()
        self._work = Work(instance_id)

    @property
    def is_warm(self) -> bool:
        return self._warm is not None

    def has_called(self, execution_id: str, tasks: Iterable[tuple[int, int]]) -> bool:
        """Whether the cached orchestrator has called these tasks (generation, task id), which may be done."""
        warm = self._warm
        return (
            warm is not None
            and warm.instance.execution_id == execution_id
            and all(
                generation == warm.instance.generation and warm.live.knows(task) != "unknown"
                for generation, task in tasks
            )
        )

    @property
    def is_turning(self) -> bool:
        return self._running

    @property
    def is_busy(self) -> bool:
        return self._running or bool(self._inline.running) or bool(self._steps.running)

    def deliver(self, delivery: Delivery) -> None:
        """Pool a delivery for the next turn. Its callers are released when a turn has dealt with it."""
        self._pool.append(delivery)
        if not self._running:
            self._running = True
            self._home.tasks.spawn(self._run())

    def cool(self) -> None:
        """Drop the cached orchestrator. The next turn loads the instance."""
        if self._listing is not None:
            self._listing.cancel()
            self._listing = None
        warm, self._warm = self._warm, None
        if warm is not None:
            self._home.cooled(self)
            try:
                stretch(warm.code, warm.live.close)
            except CodeHangsError as error:
                logger.error("while it was dropped: %s", error)

    async def _run(self, step: InlineStep | None = None) -> None:
        """Run turns, and the inline activities that they call, until this asyncio task has nothing left to do.

        step: an inline activity to run first.
        """
        while True:
            if step is not None:
                result = await step
                if result is None:
                    return
                self._pool.append(result)
                if self._running:  # in another task, for deliveries that came meanwhile
                    return
                self._running = True
            step = await self._turns()
            if step is None:
                return

    async def _turns(self) -> InlineStep | None:
        """Run turns until no delivery is pooled. Returns the inline activity that the last turn called."""
        try:
            while self._pool:
                if self._contested_until:
                    await self._gather_more()
                if self._work.execution_id != self._pool[0].message.execution_id:
                    self._work = Work(self.instance_id, self._pool[0].message.execution_id)
                enter_work(self._work)
                enter_account(self._account)
                attempt = Attempt(self._pool)
                self._pool = []
                for delivery in attempt.batch:
                    if delivery.operations is not NO_OPERATIONS:
                        self._account.add(delivery.operations)
                try:
                    await self._turn(attempt)
                except BaseException as error:
                    self.cool()
                    for delivery in attempt.batch:
                        delivery.fail(error)
                    if not isinstance(error, Exception):
                        raise
                finally:
                    for delivery in attempt.batch:
                        self._inline.running.pop(delivery.inline_key, None)
                    if self._steps.running:
                        self._steps.forget(attempt.batch)
                if attempt.step is not None:
                    if not self._pool:
                        return attempt.step
                    self._home.tasks.spawn(self._run(attempt.step))
            return None
        finally:
            self._running = False
            if self._warm is None:
                self._home.idle(self)

    async def _gather_more(self) -> None:
        """Wait for more to be pooled if another host works on the instance, too. Then what is quickly read is read
        anew: the commit of a state that is old would be refused, and it would be read after that."""
        if not await gathers_more(self._contested_until):
            self._contested_until = 0.0
        elif self._warm is not None and len(self._warm.live.history) <= SHORT:
            self.cool()

    async def _turn(self, attempt: Attempt) -> None:
        """Try a turn until it is done. After an unknown outcome, look for the commit in the instance as stored."""
        while True:
            try:
                inbox = await self._load(attempt)
                if inbox is not None and self._warm is not None:
                    await self._move(attempt, self._warm, inbox)
                return
            except HistoryMovedError:
                self.cool()
                attempt.moved += 1
                if attempt.moved > MOVED_TRIES:
                    raise
            except CodecError as error:
                self.cool()
                await self._cannot_proceed.cannot_decode(attempt, error)
                return
            except (
                DeterminismError,
                CodeHangsError,
            ) as error:  # the turn is discarded; every other host would get the same error
                instance = cast("CachedOrchestrator", self._warm).instance
                self.cool()
                await self._cannot_proceed.park(attempt, instance, self._services.hangs.reason(error))
                return
            except _HandOver:
                self.cool()
                await self._cannot_proceed.hand_over(attempt)
                return
            except _UNKNOWN_OUTCOME as error:
                if attempt.unconfirmed_commit is None or attempt.outage:
                    raise  # not an error of the commit: the messages of the callers are redelivered
                self.cool()
                attempt.conflicts += 1
                attempt.outage = isinstance(error, StorageUnavailableError)
                self._home.conflicts += 1
                self._contested_until = asyncio.get_running_loop().time() + CONTESTED
                self._services.observer.conflicted()
                logger.debug("conflict %d on instance '%s': %s", attempt.conflicts, self.instance_id, error)

    # ------------------------------------------------------------------ load

    async def _load(self, attempt: Attempt) -> list[InboxRow] | None:
        """Make sure that the orchestrator is cached. Returns the inbox, or None if nothing is left to do."""
        batch, instances = attempt.batch, self._services.hub.instances
        if attempt.unconfirmed_commit or must_load_cold(batch):
            self.cool()
        inbox: list[InboxRow] = []
        if self._warm is not None and needs_row_check(self._warm.live, batch):  # rules R2, R3
            peeked = await instances.peek(self.instance_id)
            if is_stale(self._warm.instance, peeked.etag):
                self.cool()
            inbox = peeked.inbox
        warm = self._warm
        if warm is not None and not brings_unknown(warm.live, warm.instance, batch):
            return inbox
        self.cool()
        try:
            loaded = await instances.load(self.instance_id)
        except NewerFormatError as error:
            await self._cannot_proceed.wait(attempt, str(error), None)
            return None
        instance = loaded.instance
        if instance is None:
            logger.debug("no instance '%s': the message belongs to an execution that was purged", self.instance_id)
            release(batch)
            return None
        self._services.observer.met(instance)
        if instance.is_terminal:
            await self._after_the_end(attempt, instance, loaded.inbox)
            return None
        if instance.stuck and await self._terminate(attempt, instance, loaded.inbox):
            return None  # ended without its code, which may be the reason why it is stuck
        if self._services.hangs.must_be_left_alone(instance, batch):
            await self._cannot_proceed.park(attempt, instance, instance.stuck)
            await self._services.hub.catalog.note(entry_of(instance))  # the host that marked it may have died before
            return None
        return loaded.inbox if await self._revive(attempt, instance, loaded.inbox) else None

    async def _revive(self, attempt: Attempt, instance: Instance, inbox: Sequence[InboxRow]) -> bool:
        """Replay the orchestrator into the cache. Returns whether that was possible.

        If not, the instance is terminated if that is requested; else its messages wait for a host that can replay it,
        or it is marked as stuck.
        """
        services = self._services
        try:
            self._warm = await revive(services, instance, self._home.dispatched.up_to(instance))
            if services.instance_log is not None:
                services.instance_log.revived(instance)
        except NOT_REPLAYED as error:
            if not await self._terminate(attempt, instance, inbox):
                await self._cannot_proceed.cannot_replay(attempt, instance, error)
        return self._warm is not None

    # ------------------------------------------------------------------ run and commit

    async def _move(self, attempt: Attempt, warm: CachedOrchestrator, inbox: Sequence[InboxRow]) -> None:
        """Run the orchestrator with the new events, commit, dispatch, release."""
        services, batch = self._services, attempt.batch
        before, live, observer = warm.instance, warm.live, services.observer
        begun = services.clock.now() if observer.is_on else None
        gathered = await gather(services, warm, batch, inbox, again=attempt.conflicts > 0)
        deliveries = [*batch, *gathered.saved]
        rewound = None if (again_at := live.again_at) is None else before.first + again_at
        known = self._home.dispatched.of(before)
        redispatch = self._redispatch(attempt, before, live.history, deliveries, known, rewound, live)
        called = calls_of(live, gathered.incoming) if observer.is_on else {}
        turn, is_listed, undispatched_after = self._step(warm, gathered), False, None
        lease, lone = longest(batch), lone_activity(turn, live)
        if turn.recorded or turn.outgoing or turn.answers or gathered.results.changed:
            if may_be_lost(lease) or attempt.conflicts > MAX_CONFLICTS:
                raise _HandOver
            open_since = self._inline.open_since(batch) if self._inline.running else []
            if self._steps.running:
                open_since += self._steps.open_since(batch)
            commit = await prepare(
                services, warm, turn, gathered, open_since, again=attempt.conflicts > 0, is_lone=lone is not None
            )
            attempt.unconfirmed_commit = (before.seq, commit.commit_id)
            if observer.is_on:
                attempt.untold = committed(warm, turn, gathered, commit, called)
            started = asyncio.get_running_loop().time() if observer.is_on else 0.0
            if live.completion is not None:
                undispatched_after = self._undispatched_after(warm, before, redispatch)
                again = redispatch or gathered.results.send or undispatched_after is not None
                is_listed = not again and ends_without_notices(before, live, turn)
            if is_listed:
                operations = services.hub.instances.operations_after(before, commit)
                ended = before.but(status=commit.status, updated=commit.timestamp, stuck="", operations=operations)
                await services.hub.in_order(
                    lambda: write(services, warm, turn, gathered, commit),
                    lambda: services.hub.catalog.close(entry_of(ended, warm.ending[1])),
                )
            else:
                await write(services, warm, turn, gathered, commit)
            attempt.unconfirmed_commit = None
            if observer.is_on:
                self._tell(attempt, begun, asyncio.get_running_loop().time() - started)
            services.runner.turned(before, turn)
            if turn.answers:
                self._home.answered(before, turn.answers)
            if services.instance_log is not None:
                services.instance_log.turned(before, live.completion)
        elif gathered.mail.rows:
            await services.hub.inbox.discard(self.instance_id, gathered.mail.rows)
        inline = None  # the activity of the lone call, if it runs here
        if lone is not None and not gathered.mail.more:
            inline = self._inline.candidate(lone, live, deliveries, lease)
        for delivery in batch if observer.is_on else ():
            observer.delivered(delivery.message.execution_id, delivery.message.outcomes)
        await self._dispatch(warm, before, turn, gathered, batch, redispatch, None if inline is None else lone)
        if gathered.mail.stale:
            await services.hub.inbox.discard(self.instance_id, gathered.mail.stale)
        if live.completion is not None:
            await self._end(warm, before, batch, is_listed=is_listed, undispatched_after=undispatched_after)
            return
        if lone is not None and inline is not None:
            if before.stuck and not warm.instance.stuck:
                await self._list(warm, before, again=False)
            attempt.step = self._inline.start(warm.instance, lone, inline, before.seq, batch, lease)
            if self._listing is None and warm.listed is RuntimeStatus.PENDING:
                self._list_in_time(warm)
            self._home.warmed(self, warm.weight.under_way(live, warm.instance.log[before.seq]))
        else:
            if gathered.mail.more:  # this batch may hold all wake-ups for the rest: its callers wait for that as well
                self._pool_wake_up(warm.instance, batch, split_callers(batch))
            is_running = await self._steps.go_on(warm, before, gathered, redispatch, batch)
            if rewind_owed(rewound, known) is not None and not warm.live.steps:
                await self._note_dispatched(warm)
            if not is_running or redispatch:
                await self._list(warm, before, again=bool(redispatch))
            else:
                self._list_in_time(warm)
            release(batch)
            self._home.warmed(self, warm.weight.of(live))

    def _tell(self, attempt: Attempt, begun: datetime | None = None, commit_seconds: float | None = None) -> None:
        """Tell the observer of the commit of this turn, which is written."""
        if attempt.untold is not None:
            self._services.observer.committed(attempt.untold, begun, commit_seconds)
            attempt.untold = None

    async def _note_dispatched(self, warm: CachedOrchestrator) -> None:
        """Store that the rewind is dispatched, so that no other host that loads the instance does it again."""
        with suppress(PreconditionFailedError, RowNotFoundError):  # another host has changed it: it sees to the rest
            warm.instance = await self._services.hub.instances.note_dispatched(warm.instance, warm.dispatched_up_to)

    def _redispatch(
        self,
        attempt: Attempt,
        instance: Instance,
        history: Sequence[Segment],
        deliveries: Sequence[Delivery],
        known: Known,
        rewound: int | None,
        live: OrchestrationExecutor | None = None,
    ) -> Redispatch:
        """Find the commits to dispatch again: for redeliveries, and for a commit of this host whose answer was lost.

        known: the commits that this process knows to be dispatched. rewound: the last commit that is a rewind.
        """
        if live is None:
            asked = to_redispatch(instance, history, deliveries, known)
        else:
            asked = to_redispatch(instance, history, deliveries, known, live.pending, has_steps=bool(live.steps))
        if attempt.unconfirmed_commit is not None:
            lost = redispatch_after_lost_commit(attempt.unconfirmed_commit, instance, history)
            attempt.unconfirmed_commit, attempt.outage = None, False
            if lost is not None:
                self._tell(attempt)
            attempt.untold = None
            if (
                attempt.redispatch_after is None
            ):  # kept until this turn ends: its next commit may fail before any dispatch
                attempt.redispatch_after = lost
        if rewound is not None and (owed := rewind_owed(rewound, known)) is not None:
            asked = asked.with_later_than(owed - 1)
        return asked if attempt.redispatch_after is None else asked.with_later_than(attempt.redispatch_after)

    def _step(self, warm: CachedOrchestrator, gathered: Gathered) -> Turn:
        if not gathered.incoming and not warm.live.owes_items:
            return Turn((), ())
        loop = asyncio.get_running_loop()
        started = loop.time()
        turn = stretch(warm.code, warm.live.step, gathered.now, gathered.incoming)
        if (took := loop.time() - started) > SLOW_TURN_SECONDS:
            logger.warning(
                "a turn of orchestrator '%s' (instance '%s') took %.0f ms of CPU: move the work to an activity",
                warm.instance.name,
                self.instance_id,
                took * 1000,
            )
        return turn

    # ------------------------------------------------------------------ after the commit

    async def _dispatch(
        self,
        warm: CachedOrchestrator,
        before: Instance,
        turn: Turn,
        gathered: Gathered,
        batch: Sequence[Delivery],
        redispatch: Redispatch,
        inline: object,
    ) -> None:
        """Carry out the decisions of this turn, and those of earlier commits that may not be dispatched."""
        dispatcher, live, instance = self._services.dispatcher, warm.live, warm.instance
        is_again = redispatch is not NOTHING and bool(redispatch)
        decisions: list[Decision] = []
        for event in turn.outgoing:
            if event is not inline and type(event) not in CARRIED_OUT_BY_NOBODY:
                decisions.append(Decision(event, gathered.now, seq=before.seq))
        if is_again:
            decisions[:0] = await self._undone(before, live, redispatch)  # older ones first
        if (again_at := live.again_at) is not None and before.first + again_at == before.seq:
            # this turn resumes a fork that began suspended
            calls = [live.pending[task_id].event for task_id in live.again if task_id in live.pending]
            decisions[:0] = [Decision(event, gathered.now) for event in calls]
        if retried := gathered.results.send | gathered.reminders.due_retries:
            retried -= {getattr(decision.event, "task_id", -1) for decision in decisions}
        for task_id in retried:
            if (pending := live.pending.get(task_id)) is not None:
                decisions.append(Decision(pending.event, gathered.now))
        if decisions:
            dispatch = Dispatch(
                decisions=with_calls(decisions, live.history),
                retries=gathered.results.retries,
                generation=before.generation,
                after=covered(instance, redispatch),
                first=before.first,
                undone=live.undone,
                is_lone=not redispatch and is_lone(live, decisions),
            )
            await dispatcher.dispatch(instance, dispatch)
        for task_id, due in gathered.reminders.early.items():
            await dispatcher.arm(instance, before.generation, task_id, due)
        if instance.start_at is not None or instance.deadline is not None:
            look = look_to_arm(before, instance, batch, again=is_again)
            if look is not None:
                await dispatcher.arm(instance, 0, CLOCK_TASK, look)
        for due, task_id in gathered.reminders.early_deadlines.items():
            await dispatcher.arm(instance, before.generation, task_id, due, is_deadline=True)
        later_than = redispatch.later_than
        if warm.dispatched_up_to >= before.seq - 1 or (later_than is not None and later_than <= warm.dispatched_up_to):
            warm.dispatched_up_to = instance.seq - 1
        # The call of a running inline activity is in the work queue once a redispatch has covered its commit.
        under_way = [seq for seq in self._inline.running.values() if not redispatch.covers(seq)]
        if inline is not None:
            under_way.append(before.seq)
        up_to = min(warm.dispatched_up_to, min(under_way) - 1) if under_way else warm.dispatched_up_to
        if live.steps:
            under_way.extend(before.first + step.born for step in live.steps.values())
        first = before.seq if later_than is None else max(later_than + 1, before.first)
        self._home.dispatched.note(instance, up_to, [*redispatch.commits, *range(first, instance.seq)], under_way)

    async def _undone(self, before: Instance, live: OrchestrationExecutor, redispatch: Redispatch) -> list[Decision]:
        """Decisions of earlier commits that are to be dispatched again."""
        if redispatch.later_than is not None:
            await dispatch_carried(self._services.hub, self._services.dispatcher, before, redispatch.later_than)
        return undone(before, live.history[: before.seq - before.first], live.pending, redispatch)

    def _undispatched_after(self, warm: CachedOrchestrator, before: Instance, redispatch: Redispatch) -> int | None:
        """If this turn ends the instance: the last commit whose dispatch to other instances is certain (rule R7).

        None if the dispatch of all commits is certain. A host may have died before it dispatched a later commit. Once
        the catalogue is closed, only the message of that host would bring the dispatch about.
        """
        redispatch_after = warm.dispatched_up_to
        if warm.live.completion is None or isinstance(warm.live.completion, ContinueAsNew):
            return None
        if redispatch.later_than is not None and redispatch.later_than <= redispatch_after:
            return None
        owes = redispatch_after < before.first - 1 or undispatched_for_others(
            before, warm.live.history, redispatch_after
        )
        return redispatch_after if owes else None

    async def _end(
        self,
        warm: CachedOrchestrator,
        before: Instance,
        batch: Sequence[Delivery],
        *,
        is_listed: bool,
        undispatched_after: int | None,
    ) -> None:
        """The orchestrator has ended, or continues as a new generation.

        is_listed: the end is in the catalogue already. undispatched_after: see ``_undispatched_after``.
        """
        self.cool()
        self._services.runner.instance_moved(warm.instance)
        if isinstance(warm.live.completion, ContinueAsNew):
            self._home.continued(warm.instance, warm.live.completion.line)
            if before.base > before.first:
                await self._services.hub.instances.drop_generation(before)
            if self._services.registry.has_journals and calls_journals(self._services.registry, warm.live.history):
                await self._services.hub.instances.drop_journals(before)
            if warm.instance.version != before.version:
                await self._services.hub.catalog.note(entry_of(warm.instance))
            if (
                asyncio.get_running_loop().time() > longest(batch).budget
            ):  # one message must not carry an endless series of generations
                await self._services.hub.send(bare_wake_up(warm.instance))
                release(batch)
                return
            self._pool_wake_up(
                warm.instance, batch, take_callers(batch)
            )  # they wait until the next generation has started
            await asyncio.sleep(0)  # other tasks run, also where no storage operation has to wait
            return
        if undispatched_after is not None:
            earlier = [segment for segment in warm.live.history if segment.seq < before.seq]
            await dispatch_for_others(
                self._services.hub, self._services.dispatcher, warm.instance, undispatched_after, earlier
            )
        if not is_listed:
            await self._services.dispatcher.end(warm.instance, *warm.ending)
        self._account.clear()  # another execution may get the id
        self._home.ended(warm.instance)
        release(batch)

    def _pool_wake_up(self, instance: Instance, batch: Sequence[Delivery], callers: list[asyncio.Future[None]]) -> None:
        """Pool a bare wake-up of this instance. These callers of ``batch`` wait for it, too."""
        self._pool.append(Delivery(message=bare_wake_up(instance), lease=longest(batch), callers=callers))

    async def _list(self, warm: CachedOrchestrator, before: Instance, *, again: bool) -> None:
        """Write the status of an instance that now waits into the catalogue.

        again: also if the cached state says that the catalogue shows it: a host may have died between a commit and its
        catalogue entry.
        """
        instance = warm.instance
        begins_to_retry = bool(instance.retrying) and not before.retrying
        if again or begins_to_retry or warm.listed is not instance.status or (before.stuck and not instance.stuck):
            await self._services.hub.catalog.note(entry_of(instance))
            warm.listed = instance.status

    def _list_in_time(self, warm: CachedOrchestrator) -> None:
        """Have an instance that the catalogue shows as pending listed as running once it has run for ``LISTED_AFTER``,
        if it still goes from one inline activity or step to the next then."""
        if self._listing is not None or warm.listed is not RuntimeStatus.PENDING:
            return
        begun = warm.instance.created if warm.instance.start_at is None else warm.instance.start_at
        wait = begun + LISTED_AFTER - self._services.clock.now()
        self._listing = asyncio.get_running_loop().call_later(wait.total_seconds(), self._list_now, warm)

    def _list_now(self, warm: CachedOrchestrator) -> None:
        self._listing = None  # if a turn runs, it sees to that at its end
        if warm.listed is RuntimeStatus.PENDING and not self._running:
            self._running = True  # no turn begins meanwhile, which could write another status
            self._home.tasks.spawn(self._list_as_running(warm))

    async def _list_as_running(self, warm: CachedOrchestrator) -> None:
        try:
            await self._services.hub.catalog.note(entry_of(warm.instance))
            warm.listed = warm.instance.status
        except StorageUnavailableError as error:  # a list reads the instance row of a pending entry anyway
            logger.warning("instance '%s' is not listed as running: %s", self.instance_id, error)
        finally:
            self._running = False
            if self._pool:
                self._running = True
                self._home.tasks.spawn(self._run())
            else:
                self._home.idle(self)

    async def _after_the_end(self, attempt: Attempt, instance: Instance, inbox: Sequence[InboxRow]) -> None:
        """Handle messages to an ended instance: dispatch its end again if that may not have been done (rule R7)."""
        hub, dispatcher = self._services.hub, self._services.dispatcher
        self._services.runner.instance_moved(instance)
        if left := [row for row in inbox if not is_kept(row, instance)]:
            await hub.inbox.discard(self.instance_id, left)
        if attempt.unconfirmed_commit is not None:
            history = await hub.instances.history(instance)
            lost = redispatch_after_lost_commit(attempt.unconfirmed_commit, instance, history)
            if lost is not None:
                self._tell(attempt)
            attempt.redispatch_after = lost if attempt.redispatch_after is None else attempt.redispatch_after
        redispatch_after = redispatch_after_end(instance, attempt.batch, unsure=attempt.redispatch_after is not None)
        if redispatch_after is not None:
            await dispatch_left(hub, dispatcher, instance, redispatch_after)
            await dispatcher.end_stored(instance)
            self._home.ended(instance)
        self._account.clear()
        release(attempt.batch)

    # ------------------------------------------------------------------ when it cannot go on here

    async def _terminate(self, attempt: Attempt, instance: Instance, inbox: Sequence[InboxRow]) -> bool:
        """Terminate an instance without its code, if that is requested. Returns whether it was.

        False also while another host may be able to read which sub-orchestrations must be notified.
        """
        request = termination_in(inbox, instance)
        if request is None:
            return False
        hub, dispatcher, batch = self._services.hub, self._services.dispatcher, attempt.batch
        history = await history_of(self._services, instance)
        if history is None and self._cannot_proceed.waited(attempt) <= self._services.stuck_marker.PATIENCE:
            attempt.terminate_pending = True
            return False
        known, rewound = self._home.dispatched.of(instance), last_rewind(history or ())
        redispatch = self._redispatch(attempt, instance, history or (), batch, known, rewound)
        redispatch_after = redispatch.without_commits().later_than
        if any(row.kind is InboxKind.RESULTS for row in inbox):  # saved from a message whose receivers died
            redispatch_after = (
                instance.dispatched if redispatch_after is None else min(redispatch_after, instance.dispatched)
            )
        if may_be_lost(longest(batch)) or attempt.conflicts > MAX_CONFLICTS:
            raise _HandOver
        ending = await terminate(self._services, instance, history or (), inbox, request)
        attempt.unconfirmed_commit = (instance.seq, ending.commit.commit_id)
        if self._services.observer.is_on:
            attempt.untold = terminated(instance, ending.commit, history or ())
        ended = await hub.instances.commit(instance, ending.commit)
        attempt.unconfirmed_commit = None
        self._tell(attempt)
        if self._services.instance_log is not None:
            self._services.instance_log.ended(instance, ended.status.value)
        if redispatch_after is None:
            await dispatch_for_others(hub, dispatcher, ended, self._home.dispatched.of(instance).up_to, history or ())
        else:
            await dispatch_carried(hub, dispatcher, instance, redispatch_after)
        await dispatcher.dispatch(
            ended,
            Dispatch(
                decisions=ending.decisions(ended, instance.seq, redispatch_after),
                retries=ended.retries,
                generation=ended.generation,
                after=None if redispatch_after is None else ended.seq - 1,
            ),
        )
        await dispatcher.end(ended, request.name, None)
        self._services.runner.instance_moved(ended)
        self._account.clear()
        self._home.ended(ended)
        release(batch)
        return True
