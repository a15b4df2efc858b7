"""Small random orchestrator programs, and the generator that runs them.

A program is a list of statements. Everything that it sees goes into a trace, which is its result: two runs that saw
different things cannot end alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

from hypothesis import strategies as st

from durable_core import OrchestrationContext, Task, TimerTask
from durable_core.engine.branches import BranchTask
from durable_core.engine.combinators import GatherPolicy
from durable_core.errors import DurableError, TaskCancelledError

NAMES = ("red", "Green")


@dataclass(frozen=True)
class Call:
    """What makes one task. kind: activity, child, step, timer, event, late (with a time limit), condition."""

    kind: str
    name: str


@dataclass(frozen=True)
class Await:
    call: Call


@dataclass(frozen=True)
class Start:
    """Call, and wait later, or never."""

    call: Call


@dataclass(frozen=True)
class Join:
    """Wait for the task that was started longest ago."""


@dataclass(frozen=True)
class All:
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Race:
    """task_any, over new calls and perhaps everything started before; then perhaps cancel the timers in it."""

    calls: tuple[Call, ...]
    with_started: bool
    cancel: bool


@dataclass(frozen=True)
class RaceOfAll:
    """task_any of a task_all and a timer."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Handle:
    """Register a handler of an event, once."""

    name: str


@dataclass(frozen=True)
class Pull:
    """task_all of a lazy iterable, which itself looks at the clock and makes an id; raced against an event."""

    calls: tuple[Call, ...]
    limit: int
    breaks: bool


@dataclass(frozen=True)
class InOrder:
    """as_completed; perhaps left early, and then the rest waited for later."""

    calls: tuple[Call, ...]
    take: int


@dataclass(frozen=True)
class Gather:
    calls: tuple[Call, ...]
    policy: GatherPolicy


@dataclass(frozen=True)
class Http:
    """A durable HTTP call, which is several calls in a row that the code does not make itself."""

    timeout: bool


Sides: TypeAlias = Literal[
    "fail_fast", "all_settled", "first_error_after_all", "all", "any", "keep", "limit", "pull", "in order"
]


@dataclass(frozen=True)
class Side:
    """Several programs side by side, each as a branch; ``keep`` waits for them later, or never."""

    bodies: tuple[Program, ...]
    how: Sides


@dataclass(frozen=True)
class CancelOne:
    """Cancel the branch that was started longest ago, and is still held; perhaps by itself."""


@dataclass(frozen=True)
class Detach:
    name: str


@dataclass(frozen=True)
class Note:
    """Look at what is the same at every replay: time, ids, random numbers, state of tasks."""


@dataclass(frozen=True)
class If:
    """Branch on the length of the trace's last entry."""

    then: Program
    other: Program


@dataclass(frozen=True)
class Try:
    body: Program
    handler: Program


@dataclass(frozen=True)
class TryFinally:
    """A clean-up that waits, as after a cancellation. Dropped, it cannot: then nothing comes of it."""

    body: Program
    handler: Program


@dataclass(frozen=True)
class Patched:
    """A place that was changed: ``new`` for ``old``. How it is written depends on the stage of its life."""

    patch_id: str
    old: Program
    new: Program


@dataclass(frozen=True)
class Raise:
    pass


@dataclass(frozen=True)
class Again:
    """Continue as new, a few times."""

    keep_events: bool


Statement: TypeAlias = (
    Await
    | Start
    | Join
    | All
    | Race
    | RaceOfAll
    | Pull
    | InOrder
    | Gather
    | Http
    | Detach
    | Note
    | Handle
    | If
    | Try
    | TryFinally
    | Side
    | CancelOne
    | Patched
    | Raise
    | Again
)
Program: TypeAlias = tuple[Statement, ...]

calls = st.builds(
    Call,
    kind=st.sampled_from(("activity", "activity", "child", "step", "step", "timer", "event", "late", "condition")),
    name=st.sampled_from(NAMES),
)
some_calls = st.lists(calls, max_size=4).map(tuple)
at_least_one = st.lists(calls, min_size=1, max_size=4).map(tuple)
leaves: st.SearchStrategy[Statement] = st.one_of(
    st.builds(Await, calls),
    st.builds(Start, calls),
    st.just(Join()),
    st.just(CancelOne()),
    st.builds(All, some_calls),
    st.builds(Race, at_least_one, st.booleans(), st.booleans()),
    st.builds(RaceOfAll, at_least_one),
    st.builds(Pull, some_calls, st.integers(1, 3), st.booleans()),
    st.builds(InOrder, some_calls, st.integers(0, 4)),
    st.builds(Gather, some_calls, st.sampled_from(get_args(GatherPolicy))),
    st.builds(Http, st.booleans()),
    st.builds(Detach, st.sampled_from(NAMES)),
    st.just(Note()),
    st.builds(Handle, st.sampled_from(NAMES)),
    st.just(Raise()),
    st.builds(Again, st.booleans()),
)
programs: st.SearchStrategy[Program] = st.recursive(
    st.lists(leaves, min_size=1, max_size=5).map(tuple),
    lambda inner: st.lists(
        st.one_of(
            leaves,
            st.builds(If, inner, inner),
            st.builds(Try, inner, inner),
            st.builds(TryFinally, inner, inner),
            st.builds(Side, st.lists(inner, min_size=1, max_size=3).map(tuple), st.sampled_from(get_args(Sides))),
            st.builds(Patched, st.sampled_from(NAMES), inner, inner),
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
    max_leaves=6,
)


Stage: TypeAlias = Literal["before", "patched", "deprecated", "removed"]
"""The life of a change: not there yet, asked for, taken for granted, and taken without a word."""


class Run:
    """One run of a program."""

    def __init__(self, ctx: OrchestrationContext, program: Program, data: int, stage: Stage = "patched") -> None:
        self.ctx, self.program, self.data = ctx, program, data
        self.stage: Stage = stage
        self.trace: list[str] = []
        self.started: list[Task[Any]] = []
        self.handlers: set[str] = set()
        self.handled = 0

    def task(self, call: Call) -> Task[Any]:
        match call.kind:
            case "activity":
                return self.ctx.call_activity(call.name, len(self.trace))
            case "child":
                return self.ctx.call_sub_orchestrator(call.name, len(self.trace))
            case "step":
                return self.ctx.run(call.name, len, self.trace)
            case "timer":
                return self.ctx.create_timer(timedelta(seconds=len(self.trace)))
            case "late":
                return self.ctx.wait_for_external_event(call.name, timeout=timedelta(seconds=len(self.trace)))
            case "condition":
                wanted = self.handled + 1
                return self.ctx.wait_condition(lambda: self.handled >= wanted, timedelta(seconds=90))
            case _:
                return self.ctx.wait_for_external_event(call.name)

    def takes(self, patch_id: str) -> bool:
        match self.stage:
            case "before":
                return False
            case "patched":
                return self.ctx.patched(patch_id)
            case "deprecated":
                self.ctx.deprecate_patch(patch_id)
                return True
            case "removed":
                return True

    def handle(self, data: object) -> None:
        self.handled += 1
        self.trace.append(f"handled {data!r}")

    def lazily(self, calls: tuple[Call, ...], breaks: bool) -> Generator[Task[Any]]:
        for call in calls:
            self.trace.append(f"pulled at {self.ctx.current_utc_datetime} {self.ctx.new_uuid()}")
            yield self.task(call)
        if breaks:
            raise ArithmeticError("the iterable breaks")

    def side(self, program: Program) -> Generator[Task[Any], Any, str]:
        try:
            yield from self.execute(program)
        except TaskCancelledError as error:
            self.trace.append(f"cancelled: {error}")
            yield from self.task(Call("activity", "undo"))
            raise
        return f"after {len(self.trace)}"

    def sides(self, bodies: tuple[Program, ...], how: Sides) -> Generator[Task[Any], Any, None]:
        ctx, branches = self.ctx, [self.side(body) for body in bodies]
        match how:
            case "all":
                self.trace.append(repr((yield ctx.task_all(branches))))
            case "any":
                self.trace.append(repr((yield ctx.task_any(branches)).is_faulted))
            case "keep":
                self.started.extend(map(ctx.branch, branches))
            case "limit":
                for branch in branches:
                    self.trace.append(repr((yield ctx.with_timeout(branch, timedelta(seconds=9)))))
            case "pull":
                self.trace.append(repr((yield ctx.task_all((branch for branch in branches), max_concurrency=2))))
            case "in order":
                for task in ctx.as_completed(branches):
                    self.trace.append(repr((yield task)))
            case policy:
                self.trace.append(repr((yield ctx.gather(*branches, policy=policy))))

    def execute(self, program: Program) -> Generator[Task[Any], Any, None]:
        for statement in program:
            yield from self.one(statement)

    def one(self, statement: Statement) -> Generator[Task[Any], Any, None]:
        match statement:
            case Await(call):
                self.trace.append(repr((yield from self.task(call))))
            case Start(call):
                self.started.append(self.task(call))
            case Join():
                if self.started:
                    self.trace.append(repr((yield self.started.pop(0))))
            case All(calls):
                self.trace.append(repr((yield self.ctx.task_all([self.task(call) for call in calls]))))
            case Race(calls, with_started, cancel):
                tasks = [*(self.started if with_started else ()), *(self.task(call) for call in calls)]
                winner = yield from self.ctx.task_any(tasks)
                self.trace.append(f"{tasks.index(winner)} of {len(tasks)}: {winner!r}")
                for task in tasks if cancel else ():
                    if isinstance(task, TimerTask):
                        task.cancel()
                if not winner.is_faulted:
                    self.trace.append(repr(winner.result))
            case RaceOfAll(calls):
                everything = self.ctx.task_all([self.task(call) for call in calls])
                self.started.append(everything)
                timer = self.ctx.create_timer(timedelta(minutes=1))
                self.trace.append(repr((yield self.ctx.task_any([everything, timer]))))
            case Handle(name):
                if name not in self.handlers:
                    self.handlers.add(name)
                    self.ctx.on_event(name, self.handle)
            case Pull(calls, limit, breaks):
                pulled = self.ctx.task_all(self.lazily(calls, breaks), max_concurrency=limit)
                self.started.append(pulled)
                winner = yield from self.ctx.task_any([pulled, self.ctx.wait_for_external_event(NAMES[0])])
                self.trace.append(repr((winner is pulled, (yield pulled))))
            case InOrder(calls, take):
                ends = self.ctx.as_completed([self.task(call) for call in calls])
                for task in itertools.islice(ends, take):
                    self.trace.append(repr((yield task)))
                self.started.extend(ends)
            case Gather(calls, policy):
                self.trace.append(repr((yield self.ctx.gather(*map(self.task, calls), policy=policy))))
            case Http(timeout):
                limit = timedelta(minutes=1) if timeout else None
                self.started.append(self.ctx.call_http("GET", f"http://a/{len(self.trace)}", timeout=limit))
            case Side(bodies, how):
                yield from self.sides(bodies, how)
            case CancelOne():
                held = [task for task in self.started if isinstance(task, BranchTask)]
                if held:
                    held[0].cancel()
            case Detach(name):
                self.trace.append(self.ctx.start_orchestration(name, len(self.trace)))
            case Note():
                ctx = self.ctx
                seen = [ctx.current_utc_datetime.isoformat(), ctx.new_uuid(), ctx.random.random()]
                self.trace.append(repr((seen, [task.is_completed for task in self.started], len(ctx.histories))))
                ctx.set_custom_status({"trace": len(self.trace)})
            case If(then, other):
                yield from self.execute(then if self.trace and len(self.trace[-1]) % 2 else other)
            case Try(body, handler):
                try:
                    yield from self.execute(body)
                except (DurableError, ArithmeticError) as error:
                    self.trace.append(repr(error))
                    yield from self.execute(handler)
            case TryFinally(body, handler):
                try:
                    yield from self.execute(body)
                finally:
                    yield from self.execute(handler)
            case Patched(patch_id, old, new):
                taken = self.takes(patch_id)
                self.trace.append(f"{patch_id} is {'in' if taken else 'not in'}")
                yield from self.execute(new if taken else old)
            case Raise():
                raise ArithmeticError(len(self.trace))
            case Again(keep_events):
                if self.data < 3:
                    self.ctx.continue_as_new(self.data + 1, keep_events)
