"""One run of a journaled activity: which of its steps are recorded, the log of them, and what other runs have written.

Theory of operation
-------------------
The code of the activity runs from its beginning whenever it is taken up: after a crash, for another attempt, or because
the run before has handed it over. A step that the journal has is not run again: the code gets the recorded value. So
the code comes, quickly, to where the run before was.

* The journal is a log (rule J1). A run reads all of it, and inserts each entry behind all that it has read. When the
  number is taken, it learns what others have written: its own entry, whose answer was lost; a value for a step that it
  has run as well, which it adopts (J7); or a newer ``begin``: then another run *leads*, and this one is *fenced*
  (J3).
* A run that finds a journal, or may not be the first of its attempt, inserts a ``begin`` (J2), unless a later attempt
  or part of the call leads (J4). The last one leads.
* A fenced run begins no step. What its running steps return is recorded all the same, if nobody else has. It then
  leaves, and its message is sent on, for the case that the leader has let go of the work in the same way (J5).
* A step is known by its name, and by its key or its occurrence, taken when it is called. The steps that the activity's
  own asyncio task calls, one after the other, must be those of the journal, in their order.
* Failures are recorded with the next step that was called after them, unless the step has another end by now (J6).
* An attempt that follows another has its journal.
* With little time left, a run that has recorded something leaves at its next step; another invocation goes on. So it
  does at a pause between two tries for which no time is left. A step that has tries left where its run leaves is begun
  anew by the next one, and not recorded as failed.
* A run whose code does nothing but wait leaves, and reports the waits (``engine.journal_waits``). What has ended of
  them when the next part begins is in its ``begin``.

All of it happens on the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from heapq import heappop, heappush
from typing import Any, Protocol, TypeAlias

from ...converter import Converter
from ...engine.annotations import result_type
from ...engine.code_scope import enter_outside
from ...engine.journal_waits import wait_id
from ...errors import (
    DurableError,
    JournalError,
    RowExistsError,
)
from ...hang_watch import Code, stretch
from ...hub.journals import MAX_BYTES_TOGETHER, MAX_TOGETHER, Entry, JournalKey, StepId
from ...hub.messages import MAX_WAITS
from ...hub.payloads import dumps
from ...journal import JournalContext
from ...lazy_dataclass import dataclass
from ...log_context import durable_logger
from ...models import JSON, RetryPolicy
from ...moments import LAST_SECONDS
from .journal_calls import DivergedError, Failures, StepCall, caller, check_call, error_of
from .journal_recorder import RunRecorder
from .journal_tries import StepTries, disregard

MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 1024 * 1024
LOOK_SECONDS = 10.0  # between two looks whether the instance lives
QUIET_SECONDS = 0.05  # in which the code does nothing but wait, before it is left
GRACE_SECONDS = 10.0  # for the clean-up of code that is left

_STEP: ContextVar[str] = ContextVar("durable_core_journal_step", default="")

logger = durable_logger("durable_core.activity")


class Log(Protocol):
    """Where the entries are."""

    async def insert(self, key: JournalKey, entries: Sequence[Entry]) -> None: ...

    async def read(self, key: JournalKey, number: int = 0) -> list[Entry]: ...


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The call goes on in another invocation. seen: another run leads; how many entries the journal had then. None:
    this run has handed the call over."""

    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """The journal could not be written: nothing is known about the call but what it has."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Waiting:
    """The code has come to waits, which end in another invocation. waits: as ``engine.journal_waits`` takes them."""

    waits: list[JSON]


Leaving: TypeAlias = GoesOn | Broken | Waiting


class JournalRun:
    """is_over: whether the result of the attempt is no longer needed. is_gone: whether its generation was purged, or is
    over: nothing is recorded then. look: reads whether the instance lives, for both. leave_at: the loop's time from
    which on the run leaves at a step; None: never. now: the time of day. executor: runs plain functions; None: they run
    on the loop's thread. callback_url: makes the event's name and the URL of a callback that is valid for so long;
    None: the app has no address.
    """

    def __init__(
        self,
        log: Log,
        key: JournalKey,
        *,
        run: str,
        new_id: Callable[[], str],
        unit_random: Callable[[], float],
        converter: Converter,
        attempt: int,
        part: int,
        about: str,
        is_over: Callable[[], bool],
        is_gone: Callable[[], bool],
        look: Callable[[], Awaitable[None]],
        leave_at: float | None,
        now: Callable[[], float],
        executor: Executor | None,
        callback_url: Callable[[str, StepId, timedelta], tuple[str, str]] | None = None,
    ) -> None:
        self._log, self._key, self._run, self._new_id = log, key, run, new_id
        self._converter, self._about = converter, about
        self._tries = StepTries(converter, executor, unit_random, about)
        self._attempt, self._part = attempt, part
        self._is_over, self._is_gone, self._look = is_over, is_gone, look
        self._leave_at, self._now = leave_at, now
        self._callback_url = callback_url
        self._loop = asyncio.get_running_loop()
        self._known: dict[StepId, Entry] = {}
        self._in_order: dict[int, Entry] = {}  # by ordinal
        self._number = self._bytes = self._own = 0
        self._newest_begin: Entry | None = None
        self._leads = False
        self._occurrences: Counter[str] = Counter()
        self._called: dict[StepId, str] = {}  # with the lines of their calls
        self._callers: dict[str, asyncio.Task[Any] | None] = {}
        self._ordinal = 0
        self._failures = Failures()
        self._open: dict[StepCall, None] = {}  # called, and the code has no value yet
        self._ended: list[StepCall] = []  # to be written
        self._pump: asyncio.Task[None] | None = None
        self._replayed: list[tuple[int, int, StepCall]] = []  # a heap, by the number of the entry
        self._teller: asyncio.Task[None] | None = None
        self._code: asyncio.Task[Any] | None = None
        self._leaving: Leaving | None = None
        self._left = self._loop.create_future()
        self._quiet: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._last_look = self._loop.time()
        self._change: list[asyncio.Future[None]] = []

    @property
    def left(self) -> Leaving | None:
        """Why this run has left the call; None: it has not, or its code has ended before."""
        return self._leaving

    def running(self) -> list[StepCall]:
        """The steps that run, in the order in which they were called."""
        return [call for call in self._open if call.task is not None]

    def make_context(self, **members: Any) -> JournalContext:
        """The context of the activity, with these members of an ActivityContext."""
        return JournalContext(**members, recorder=RunRecorder(self, self._converter, self._callback_url))

    # ------------------------------------------------------------------ the beginning

    async def begin(
        self, *, is_first: bool, again: bool, seen: int | None = None, woke: Sequence[JSON] = ()
    ) -> GoesOn | None:
        """Read the journal, and take the lead. Returns why the run must not begin, if it must not.

        is_first: nobody can have begun this call before, so that there is nothing to read. again: another run of this
        attempt may have begun. seen: see ``GoesOn``: lead only if the journal has not grown since.
        woke: the waits that have ended since the part before; they are recorded before the code gets to know them.
        """
        if not is_first:
            self._learn(await self._log.read(self._key))
        if seen is not None and self._number > seen:
            return GoesOn(self._number)
        if must_begin(self._number, again) or woke:
            entry, written = replace(self._new("begin"), text=dumps(list(woke))), False
            while not written:
                newest = self._newest_begin
                if newest is not None and is_of_a_later_attempt(newest, self._part, self._attempt):
                    return GoesOn(self._number)
                written = await self._insert([entry])
        self._leads = True
        return None

    async def run(self, code: Coroutine[Any, Any, Any]) -> Any:
        """Run the code of the activity. Returns what it returns; a ``GoesOn`` or ``Broken`` if the run has left."""
        work = self._code = self._loop.create_task(code)
        try:
            await asyncio.wait({work, self._left}, return_when=asyncio.FIRST_COMPLETED)
            await self._steps_have_ended()
            if self._leaving is None:
                return work.result()
            self._is_closed = True
            if not isinstance(self._leaving, Broken):
                await self._record_failures()
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=GRACE_SECONDS)
            return self._leaving
        finally:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._look_for_quiet()
        for task in [self._code, self._pump, self._teller, *(call.task for call in self._open)]:
            if task is not None and not task.done():
                task.cancel()
        if self._code is not None:
            self._code.add_done_callback(disregard)

    async def _steps_have_ended(self) -> None:
        """Wait until no step runs, and all that have ended are recorded: their effects are in the world."""
        while any(call.task is not None for call in self._open) and not isinstance(self._leaving, Broken):
            change: asyncio.Future[None] = self._loop.create_future()
            self._change.append(change)
            await change

    def _tell_change(self) -> None:
        self._look_for_quiet()
        changes, self._change = self._change, []
        for change in changes:
            if not change.done():
                change.set_result(None)

    def _leave(self, leaving: Leaving) -> None:
        if self._leaving is None or isinstance(leaving, Broken) or isinstance(self._leaving, Waiting):
            self._leaving = leaving
        if not self._left.done():
            self._left.set_result(None)
        self._tell_change()

    # ------------------------------------------------------------------ waits

    def next_of(self, name: str, key: str | None) -> StepId:
        """The identity of the next call of this name and key."""
        return StepId(name, key, 0 if key is not None else self._occurrences[name])

    def wait(
        self, name: str, wait: dict[str, JSON], *, key: str | None, returns: Any, delay: timedelta | None
    ) -> asyncio.Future[Any]:
        """A wait, as ``engine.journal_waits`` takes it but for what all have. name: as a step's."""
        line = caller()
        self._check(name, self.wait, key, None, None, line)
        if delay is not None:
            problem = None if isinstance(delay, timedelta) and delay >= timedelta(0) else "a timedelta of at least 0"  # pyright: ignore[reportUnnecessaryIsInstance]
            if problem is not None:
                raise JournalError(f"{line}: {name} takes {problem}, not {delay!r:.300}")
            due = min(self._now() + delay.total_seconds(), LAST_SECONDS)
            wait = {**wait, "due": due, "within": delay.total_seconds()}
        step = self._identity(name, key, line)
        ordinal = self._place(step, line)
        call = StepCall(
            step=step,
            returns=returns,
            line=line,
            ordinal=ordinal,
            failures=len(self._failures.told),
            future=self._loop.create_future(),
            wait={**wait, "id": wait_id(*step), "place": ordinal, "line": line},
        )
        self._take_in(call)
        self._look_for_quiet()
        return call.future

    def _look_for_quiet(self) -> None:
        """See in a moment whether the code does nothing but wait."""
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if self._leaving is None and not self._is_closed and self._waits():
            self._quiet = self._loop.call_later(QUIET_SECONDS, self._leave_if_quiet)

    def _leave_if_quiet(self) -> None:
        self._quiet = None
        if self._leaving is None and not self._is_closed and (waits := self._waits()):
            self._leave(Waiting(waits))

    def _waits(self) -> list[JSON]:
        """What the code waits for; nothing while a step runs, or a value is on its way to the code."""
        if self._replayed or self._teller is not None or any(call.task is not None for call in self._open):
            return []
        return [call.wait for call in self._open if call.wait is not None][:MAX_WAITS]

    # ------------------------------------------------------------------ a step is called

    def step(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        key: str | None,
        retry: RetryPolicy | None,
        timeout: timedelta | None,
        returns: Any,
    ) -> asyncio.Future[Any]:
        line = caller()
        self._check(name, fn, key, retry, timeout, line)
        step = self._identity(name, key, line)
        ordinal = self._place(step, line)
        call = StepCall(
            step=step,
            fn=fn,
            args=args,
            retry=retry,
            timeout=timeout,
            returns=result_type(fn) if returns is None else returns,
            line=line,
            ordinal=ordinal,
            failures=len(self._failures.told),
            future=self._loop.create_future(),
        )
        if not self._take_in(call) and self._leaving is None:
            self._start(call)
        return call.future

    def _take_in(self, call: StepCall) -> bool:
        """Take in a call. Whether the journal has its end, which the code is told then."""
        self._open[call] = None
        call.future.add_done_callback(lambda _: self._given_up(call))
        if (entry := self._known.get(call.step)) is None:
            return False
        self._tell_later(call, entry)
        return True

    def _check(self, name: object, fn: object, key: object, retry: object, timeout: object, line: str) -> None:
        """JournalError for a call that no journal can record, or at a time when none can begin."""
        what = check_call(name, fn, key, retry, timeout, line, self._about)
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if inside := _STEP.get():
            raise JournalError(
                f"{what} is called inside step {inside}: a step is recorded as a whole; call it between the steps"
            )
        if not here:
            raise JournalError(f"{what} is called in a thread; call it in the async function of the activity")
        if self._is_closed:
            raise JournalError(f"{what} is called after this run of the activity has ended or was stopped")
        self._check_attempt(what)

    def _check_attempt(self, what: str) -> None:
        if self._is_over():
            raise JournalError(
                f"{what} does not begin: the attempt has timed out or was cancelled, or its instance has ended (see "
                "ctx.is_cancelled)"
            )

    def _identity(self, name: str, key: str | None, line: str) -> StepId:
        """Which step a call is, by what is known when it is made."""
        if key is not None:
            step = StepId(name, key, 0)
            if step in self._called:
                raise JournalError(
                    f"{line}: step {step} of {self._about} is called a second time (first: {self._called[step]}); give "
                    "each call a key of its own"
                )
        else:
            task = asyncio.current_task()
            if self._callers.setdefault(name, task) is not task:
                raise JournalError(
                    f"{line}: step '{name}' of {self._about} is called by several asyncio tasks, in an order that "
                    "may be another one the next time: give each call a key="
                )
            step = StepId(name, None, self._occurrences[name])
            self._occurrences[name] += 1
        self._called[step] = line
        return step

    def _place(self, step: StepId, line: str) -> int:
        """The place of a step that the activity's own task calls while no other is under way.

        JournalError if the journal has another step there.
        """
        if asyncio.current_task() is not self._code:
            return -1
        ordinal, self._ordinal = self._ordinal, self._ordinal + 1
        if self._open:
            return -1
        entry = self._in_order.get(ordinal)
        if entry is not None and entry.step is not None and is_another_step(entry.step, step):
            raise JournalError(
                f"the code of {self._about} does not fit its journal: step {ordinal + 1} is {step}, called at {line}, "
                f"but the journal has {entry.step}, called at {entry.line}. Bring back the code that began this call, "
                "or give the new code another activity name"
            )
        return ordinal

    def _start(self, call: StepCall) -> None:
        if (leaving := self._no_time_for(call)) is not None:
            self._leave(leaving)
            return
        call.task = self._loop.create_task(self._perform(call))
        call.task.add_done_callback(lambda task: self._performed(call, task))

    def _no_time_for(self, call: StepCall, delay: float = 0.0) -> GoesOn | None:
        """Whether the call, or a try of it after so many seconds, is left to another invocation. One that has recorded
        nothing goes on: the next would come no further."""
        if self._leave_at is None or not self._own:
            return None
        needed = 0.0 if call.timeout is None else call.timeout.total_seconds()
        return GoesOn() if self._loop.time() + delay + needed > self._leave_at else None

    def _given_up(self, call: StepCall) -> None:
        """The future of a call is done: the code has its value, or has cancelled it."""
        if call.future.cancelled() and call.task is not None and call.entry is None:
            call.task.cancel()
        elif not call.future.cancelled():
            call.future.exception()  # a failure that the code does not look at is not reported by asyncio
        if call.task is None or call.entry is None:
            self._open.pop(call, None)
        self._tell_change()

    # ------------------------------------------------------------------ a step runs

    async def _perform(self, call: StepCall) -> None:
        """Run a step, with its tries, and hand its end to the pump."""
        enter_outside(f"step {call.step}")
        _STEP.set(str(call.step))
        if await self._has_looked():
            self._check_attempt(f"{call.line}: step {call.step} of {self._about}")
        started, begun, tries = self._now(), self._loop.time(), 0
        while True:
            tries += 1
            tried = await self._tries.once(call)
            call.cause, delay = tried.cause, None
            if tried.failure is not None:
                call.failed_tries, call.failed = tries, tried.failure
                if not self._is_over():
                    delay = self._tries.delay(call, tried.failure, tries, self._loop.time() - begun)
            if delay is None:
                break
            if not await self._pauses(call, delay):
                call.is_put_off = True
                return
        call.entry = replace(
            self._new("step"),
            step=call.step,
            ordinal=call.ordinal,
            line=call.line,
            started=started,
            took=round(self._loop.time() - begun, 6),
            tries=tries,
            text=tried.text,
            failure=tried.failure,
        )

    async def _pauses(self, call: StepCall, delay: float) -> bool:
        """Wait until the next try of a step. False if the run leaves: then there is none here."""
        if self._leaving is None and (leaving := self._no_time_for(call, delay)) is not None:
            self._leave(leaving)
        if self._leaving is None:
            await asyncio.wait({self._left}, timeout=delay)
        return self._leaving is None

    async def _has_looked(self) -> bool:
        """Look whether the instance lives, if that was not done lately."""
        if self._loop.time() - self._last_look < LOOK_SECONDS:
            return False
        self._last_look = self._loop.time()
        await self._look()
        return True

    def _performed(self, call: StepCall, task: asyncio.Task[None]) -> None:
        if call.task is None:
            return  # forgotten
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, JournalError):
                self._refuse([call], error)
            else:
                self._leave(Broken(error))
        elif call.entry is not None and call.entry.failure is not None:
            self._open.pop(call, None)
            self._tell(call, self._known.get(call.step, call.entry))
        elif call.entry is not None:
            self._ended.append(call)
            if self._pump is None:
                self._pump = self._loop.create_task(self._write())
        elif call.is_put_off:
            call.task = None  # its future stays open: the code is left where it awaits it
        else:
            call.task = None
            self._open.pop(call, None)
            call.future.cancel()
        self._tell_change()

    # ------------------------------------------------------------------ the log

    def _new(self, kind: Any) -> Entry:
        return Entry(entry=self._new_id(), run=self._run, attempt=self._attempt, part=self._part, kind=kind)

    async def _write(self) -> None:
        """Write the steps that have ended, several in one transaction where they end together."""
        try:
            while self._ended:
                batch, size = list[StepCall](), 0
                while self._ended and len(batch) < MAX_TOGETHER:
                    size += 0 if (entry := self._ended[0].entry) is None else entry.size
                    if batch and size > MAX_BYTES_TOGETHER:
                        break
                    batch.append(self._ended.pop(0))
                try:
                    await self._has_looked()
                    if self._is_gone():
                        raise JournalError(
                            f"step {batch[0].step} of {self._about} is not recorded: its instance was purged or has "
                            "begun anew meanwhile"
                        )
                    await self._append(batch)
                except JournalError as error:
                    self._refuse(batch, error)
                    continue
                for call in batch:
                    self._open.pop(call, None)
                    self._tell(call, self._known[call.step])
        except DivergedError:
            self._ended.clear()
            self._forget_running()
            self._leave(GoesOn())
        except Exception as error:  # noqa: BLE001  the run ends with it
            self._leave(Broken(error))
        except BaseException as error:
            self._leave(Broken(error))
            raise
        finally:
            self._pump = None
            self._tell_change()

    def _refuse(self, batch: Sequence[StepCall], error: JournalError) -> None:
        for call in batch:
            self._open.pop(call, None)
            if not call.future.done():
                call.future.set_exception(error)

    def _forget_running(self) -> None:
        """Do not wait for the steps that run: what they return cannot be recorded."""
        for call in self._open:
            if call.task is not None:
                call.task.cancel()
                call.task = None

    async def _record_failures(self) -> None:
        """Record the failures that the code has got before it is left: it has gone on from them."""
        try:
            while not self._is_gone() and (left := self._failures.to_record(len(self._failures.told), self._known)):
                await self._insert(left[:MAX_TOGETHER])
        except DivergedError:
            self._leaving = GoesOn()
        except Exception as error:  # noqa: BLE001  the run ends with it
            self._leaving = Broken(error)

    async def _append(self, batch: Sequence[StepCall]) -> None:
        """Record the ends of these steps, unless others have recorded them meanwhile (rule J7)."""
        while True:
            calls = not_recorded(batch, self._known)
            if not calls:
                return
            failures = self._failures.to_record(max(call.failures for call in calls), self._known)
            ends = [*failures, *(call.entry for call in calls if call.entry is not None)]
            entries = ends[:MAX_TOGETHER]
            self._check_limits(entries)
            if await self._insert(entries):
                self._own += len(entries)
                if len(entries) == len(ends):
                    return

    async def _insert(self, entries: Sequence[Entry]) -> bool:
        """Insert entries behind all that are known. False: others have written there, which is known now."""
        numbered = [replace(each, number=self._number + at) for at, each in enumerate(entries)]
        try:
            await self._log.insert(self._key, numbered)
        except RowExistsError:
            found = await self._log.read(self._key, self._number)
            if not is_own(found, numbered[0].entry):
                self._learn(found)
                return False
        self._learn(numbered)
        return True

    def _learn(self, entries: Sequence[Entry]) -> None:
        """Take in entries that are in the log."""
        for entry in entries:
            self._number = entry.number + 1
            self._bytes += entry.size
            if entry.kind == "begin":
                self._newest_begin = entry
                for wait in entry.waits():
                    self._keep(wait)
            if self._leads and is_led_by_another(entry, self._run):
                self._fence()
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        if entry.step is not None:
            self._known.setdefault(entry.step, entry)
            if entry.ordinal >= 0:
                self._in_order.setdefault(entry.ordinal, entry)

    def _fence(self) -> None:
        """Another run leads from here on (rule J3)."""
        self._leads = False
        logger.info("%s is run by another process as well, which began later and goes on; this run leaves", self._about)
        self._leave(GoesOn(self._number))

    def _check_limits(self, entries: Sequence[Entry]) -> None:
        size = sum(each.size for each in entries)
        if self._number + len(entries) > MAX_ENTRIES or self._bytes + size > MAX_BYTES:
            raise JournalError(
                f"the journal of {self._about} is full: it has at most {MAX_ENTRIES:,} steps and {MAX_BYTES:,} bytes; "
                "divide the work among several calls"
            )

    # ------------------------------------------------------------------ the code gets a value

    def _tell_later(self, call: StepCall, entry: Entry) -> None:
        """Recorded values are told in the order in which they were recorded, one after the other."""
        heappush(self._replayed, (entry.number, len(self._called), call))
        if self._teller is None:
            self._teller = self._loop.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._replayed:
                await asyncio.sleep(0)
                _, _, call = heappop(self._replayed)
                self._open.pop(call, None)
                self._tell(call, self._known[call.step])
                for _ in range(3):  # the code takes its value up before it gets the next
                    await asyncio.sleep(0)
        finally:
            self._teller = None
            self._look_for_quiet()

    def _tell(self, call: StepCall, entry: Entry) -> None:
        future = call.future
        if future.done():
            return
        if (failure := entry.failure) is not None:
            error = error_of(call, failure, entry.tries)
            error.__cause__ = call.cause
            if entry.number < 0:
                self._failures.told.append(entry)
            future.set_exception(error)
            return
        try:
            data: JSON = json.loads(entry.text)
            what = Code(f"the value of step {call.step} ({call.line})")
            future.set_result(stretch(what, self._converter.from_json, data, call.returns))
        except DurableError as error:
            future.set_exception(error)


def must_begin(length: int, again: bool) -> bool:
    """Whether a run writes that it leads (rule J2): there is a journal, or somebody else may have begun."""
    return length > 0 or again


def is_of_a_later_attempt(begin: Entry, part: int, attempt: int) -> bool:
    """Whether a later attempt, or a later part of the call, leads already: then this one does not begin (rule J4)."""
    return (begin.part, begin.attempt) > (part, attempt)


def not_recorded(calls: Sequence[StepCall], known: Mapping[StepId, Entry]) -> list[StepCall]:
    """Of steps that have ended, those that no run has recorded: the others take the recorded value (rule J7)."""
    return [call for call in calls if call.step not in known]


def is_led_by_another(entry: Entry, run: str) -> bool:
    """Whether an entry that a leading run has not known says that another run leads (rule J3): it has begun later, or,
    of two runs that found no journal because their message was sent twice, it was the first to write."""
    return entry.run != run and (entry.kind == "begin" or entry.number == 0)


def is_own(found: Sequence[Entry], entry: str) -> bool:
    """Whether the entry that is there is the one of this insert, whose answer was lost."""
    return bool(found) and found[0].entry == entry


def is_another_step(recorded: StepId, called: StepId) -> bool:
    """Whether the code does not come to the step that the journal has."""
    return recorded != called
