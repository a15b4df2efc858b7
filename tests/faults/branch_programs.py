"""Orchestrators with branches: each composition that takes them, what they undo, and what goes on beside them.

``tests.support.spellings`` makes the same orchestrators with ``async def`` of this file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    EntityId,
    Orchestration,
    OrchestrationContext,
    Registry,
    TaskCancelledError,
    TaskTimeoutError,
    activity,
    entity,
    orchestrator,
)
from durable_core.errors import BranchFailedError

from .rewinds import Mending

HOUR = timedelta(hours=1)


@entity(name="branch_purse")
class Purse:
    coins: int = 0

    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins


def make_registry(effects: Mending) -> Registry:
    @activity
    async def note(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return text

    @activity
    async def brittle(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        effects.fail()
        return text

    def book(ctx: OrchestrationContext, what: str, pause: timedelta, log: list[str]) -> Orchestration[str]:
        """Three steps after each other, undone by two more when it is cancelled."""
        try:
            found = yield from ctx.call_activity(note, f"find {what}", inline=False)
            yield from ctx.create_timer(pause)
            return (yield from ctx.call_activity(note, f"{found}, book"))
        except TaskCancelledError:
            log.append((yield from ctx.call_activity(note, f"undo {what}")))
            yield from ctx.create_timer(timedelta(seconds=5))
            log.append((yield from ctx.run("undone", str.upper, what)))
            raise

    def refused(ctx: OrchestrationContext, after: timedelta) -> Orchestration[str]:
        yield from ctx.call_activity(note, "asked")
        yield from ctx.create_timer(after)
        raise ValueError("no room")

    @orchestrator
    def pair(ctx: OrchestrationContext, seconds: int) -> Orchestration[list[str]]:
        log: list[str] = []
        pause = timedelta(seconds=seconds)
        car, hotel = yield from ctx.gather(book(ctx, "car", pause, log), book(ctx, "hotel", pause, log))
        return [car, hotel, *log]

    @orchestrator
    def failing_pair(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """One branch fails while the other waits, which undoes its work before the failure is told."""
        log: list[str] = []
        try:
            yield from ctx.gather(book(ctx, "car", HOUR, log), refused(ctx, timedelta(seconds=40)))
        except ValueError as error:
            log.append(str(error))
        log.append((yield from ctx.call_activity(note, "after")))
        return log

    @orchestrator
    def settled(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        log: list[str] = []
        pause = timedelta(seconds=20)
        both: Any = yield from ctx.gather(book(ctx, "car", pause, log), refused(ctx, pause), policy="all_settled")
        return [both[0], both[1].name if isinstance(both[1], BranchFailedError) else ""]

    @orchestrator
    def limited(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """A branch that is too late, and one that is in time."""
        log: list[str] = []
        in_time = yield from ctx.with_timeout(book(ctx, "car", timedelta(seconds=20), log), HOUR)
        try:
            yield from ctx.with_timeout(book(ctx, "boat", 4 * HOUR, log), HOUR)
        except TaskTimeoutError:
            log.append("late")
        return [in_time, *log]

    @orchestrator
    def raced(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """The first of three; the losers are cancelled, and undone before the end of the race."""
        log: list[str] = []
        winner = yield from ctx.task_any(
            [
                book(ctx, "train", 2 * HOUR, log),
                book(ctx, "plane", timedelta(seconds=30), log),
                book(ctx, "ship", 3 * HOUR, log),
            ]
        )
        done = sorted(log)
        done.append((yield from ctx.call_activity(note, winner.result)))
        return done

    @orchestrator
    def held(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """A branch of the code's own loses a race, goes on, and is cancelled; another one ends by itself."""
        log: list[str] = []
        boat = ctx.branch(book(ctx, "boat", 4 * HOUR, log))
        car = ctx.branch(book(ctx, "car", HOUR, log))
        told = ctx.wait_for_external_event("Refused", str)
        if (yield from ctx.task_any([boat, car, told])) is told:
            log.append(told.result)
        log.append((yield from car))
        boat.cancel()
        try:
            yield from boat
        except TaskCancelledError:
            log.append("cancelled")
        return log

    @orchestrator
    def window(ctx: OrchestrationContext, number: int) -> Orchestration[list[str]]:
        """At most two branches at a time; then each as it ends."""
        log: list[str] = []
        pause = timedelta(seconds=10)
        found = yield from ctx.task_all((book(ctx, str(n), pause, log) for n in range(number)), max_concurrency=2)
        for each in ctx.as_completed([book(ctx, "x", 3 * pause, log), book(ctx, "y", pause, log)]):
            log.append((yield from each))
        return [*found, *sorted(log)]

    @orchestrator
    def nested(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """Branches that start branches, one of which fails deep inside."""
        log: list[str] = []

        def outer(name: str) -> Orchestration[list[str]]:
            try:
                pause = HOUR if name == "a" else 9 * HOUR
                found = yield from ctx.gather(book(ctx, name, pause, log), refused(ctx, pause / 3))
                return list(found)
            except ValueError as error:
                log.append(f"{name}: {error}")
                return []

        yield from ctx.task_any([outer("a"), outer("b")])
        return log

    @orchestrator
    def rounds(ctx: OrchestrationContext, done: list[str]) -> Orchestration[list[str]]:
        """Branches in three generations; one is open when the generation ends, and is closed."""
        log: list[str] = []
        ctx.branch(book(ctx, "left open", 5 * HOUR, log))
        pause = timedelta(seconds=10)
        done = [
            *done,
            *(yield from ctx.gather(book(ctx, "car", pause, log), book(ctx, "hotel", 2 * pause, log))),
        ]
        if len(done) < 6:
            ctx.continue_as_new(done)
        return [*done, *log]

    @orchestrator
    def family(ctx: OrchestrationContext, depth: int) -> Orchestration[list[Any]]:
        """Branches with everything that a commit dispatches: children, signals, detached instances, events, retries."""
        if not depth:
            return [(yield from ctx.call_activity(note, "leaf"))]

        def one(number: int) -> Orchestration[Any]:
            ctx.signal_entity(EntityId("branch_purse", "all"), Purse.put, number)
            found: list[Any] = yield from ctx.call_sub_orchestrator(family, 0)
            ctx.start_orchestration(family, 0, f"detached-{number}")
            told = yield from ctx.wait_for_external_event(f"Told{number}", str)
            return [*found, told]

        def two() -> Orchestration[Any]:
            with (yield from ctx.lock(EntityId("branch_purse", "all"))):
                yield from ctx.call_activity(note, "in the section")
                return (yield from ctx.call_entity(EntityId("branch_purse", "all"), Purse.put, 10))

        return list((yield from ctx.gather(one(1), two(), one(2))))

    @orchestrator
    def mended(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """Fails by a call in one of three branches, until it is mended. The others end before that."""
        log: list[str] = []

        def breaks() -> Orchestration[str]:
            before = yield from ctx.call_activity(note, "before")
            yield from ctx.create_timer(timedelta(minutes=2))
            return before + (yield from ctx.call_activity(brittle, ", mended"))

        pause = timedelta(seconds=10)
        found = yield from ctx.gather(book(ctx, "car", pause, log), breaks(), book(ctx, "hotel", pause, log))
        last = yield from ctx.call_activity(note, "last")
        return [*found, last, *log]

    @orchestrator
    def undone(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """The same, with a branch that is open when the call fails, and is undone."""
        log: list[str] = []

        def breaks() -> Orchestration[str]:
            yield from ctx.create_timer(timedelta(minutes=2))
            return (yield from ctx.call_activity(brittle, "mended"))

        found = yield from ctx.gather(book(ctx, "car", HOUR, log), breaks())
        return [*found, *log]

    @orchestrator
    def patient(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """Has a branch that waits for an event while the orchestrator waits for another one."""

        def listens() -> Orchestration[str]:
            first = yield from ctx.wait_for_external_event("First", str)
            return first + (yield from ctx.call_activity(note, ", noted"))

        branch = ctx.branch(listens())
        last = yield from ctx.wait_for_external_event("Last", str)
        return [(yield from branch), last]

    return Registry().add(
        note, brittle, Purse, pair, failing_pair, settled, limited, raced, held, window, nested, rounds, family, mended,
        undone, patient,
    )  # fmt: skip
