"""A test environment: the real runtime on the in-memory store, in virtual time.

A test is plain synchronous code. The environment has an event loop in virtual time and runs it only inside its own
methods. Each method runs all work that is due before it returns. Virtual time passes only in ``advance``, ``result``
and ``run``, where it jumps from one event to the next.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from types import ModuleType, TracebackType
from typing import Any, TypeVar, Unpack, overload

from ..codec import PayloadCodec
from ..converter import Converter
from ..definitions import name_of
from ..engine.annotations import result_type
from ..engine.code_scope import whose_code
from ..engine.context import OrchestrationContext
from ..engine.tasks import Branch
from ..errors import (
    ConfigurationError,
    DeterminismError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InstanceStuckError,
    InstanceWaitsError,
    NonDeterminismError,
    OrchestrationFailedError,
    UnknownActivityError,
    UnknownOrchestratorError,
)
from ..hub.catalog import OPEN, Entry
from ..interceptors import Interceptor
from ..models import JSON, OrchestrationStatus, RuntimeStatus
from ..registry import Registry
from ..runtime.client import DurableClient
from ..runtime.start import StartOptions
from ..settings import Settings
from .activity_mocks import ActivityRun, Substitute
from .crash_test import CRASHES, CrashReport, crash_everywhere
from .driver import Driver, NothingLeftError, TooLongError, moment_of
from .faults import Fault, FaultPlan
from .overdue import overdue_activities
from .replay_check import entries, reproduce, verify, verify_all, why_it_waits
from .simulation import World
from .virtual_time import START

C = TypeVar("C", bound=Callable[..., Any])
R = TypeVar("R")
X = TypeVar("X")

LONGEST_RESULT = timedelta(days=10 * 366)
GRACE = 1e-5  # seconds after a time within which everything that is due at it has run


class TestEnvironment:
    """Runs orchestrators and activities in a test. Close it, for example by ``with``; the fixture ``durable`` does so.

    registered: modules, packages with all their modules, functions marked ``@orchestrator`` or ``@activity``, and
        registries, such as that of a ``durable_core.df.DFApp``.
    replay_every_step: replay the history into a new generator for each turn, as after a crash, so that code which is
        not deterministic fails at once. False: instances stay warm between turns.
    guard: whether the guard stops orchestrator code that uses a file, a clock, chance and the like.
    settings, codec: those of the app, if the test needs them; the store is always in memory.
    interceptors: those of the app, behind those of the registries: see ``Registry.intercept``.
    plan: faults at the storage operations of the host; see ``crash_everywhere``.

    Not for ``async def`` tests, because it runs an event loop of its own: raises ConfigurationError there.
    """

    __test__ = False  # not a class of tests, in spite of its name

    def __init__(
        self,
        *registered: ModuleType | Callable[..., Any] | Registry,
        replay_every_step: bool = True,
        guard: bool = True,
        settings: Settings | None = None,
        codec: PayloadCodec | None = None,
        plan: FaultPlan | None = None,
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        settings = settings or Settings()
        warm_cache = 0 if replay_every_step else settings.warm_cache
        self._settings = dataclasses.replace(settings, warm_cache=warm_cache, guard=guard)
        self._replays_every_step = replay_every_step
        self._codec = codec
        self._plan = plan
        self._registered: list[ModuleType | Callable[..., Any] | Registry] = []
        self._registry = Registry()
        self._interceptors = interceptors
        self._substitutes: dict[str, Substitute] = {}
        self._converter = Converter(settings.max_payload)
        self._driver: Driver | None = None
        self._is_closed = False
        self._shown: set[str] = set()  # stuck instances that a test has been shown
        self._effects: list[Callable[[], object]] = []
        self.runs: list[ActivityRun] = []
        """All runs of activities, replaced or not, in order."""
        self.register(*registered)

    # ------------------------------------------------------------------ before it starts

    def register(self, *registered: ModuleType | Callable[..., Any] | Registry) -> None:
        """Add orchestrators and activities, before the first call that starts or reads instances.

        RegistrationError; ConfigurationError after such a call.
        """
        if self._driver is not None:
            raise ConfigurationError("register all functions before the first call that starts or reads instances")
        self._registered.extend(registered)
        modules = [each for each in self._registered if isinstance(each, ModuleType)]
        functions = [each for each in self._registered if not isinstance(each, ModuleType | Registry)]
        self._registry = Registry.scan(*modules).add(*functions)
        for registry in (each for each in self._registered if isinstance(each, Registry)):
            self._registry.define(*registry.definitions)
            self._registry.intercept(*registry.interceptors.all)
        self._registry.intercept(*self._interceptors)
        for name in self._registry.activity_names:
            if name not in self._substitutes:
                self._substitutes[name] = Substitute(self._registry.activity(name), self.runs)

    def replace(self, activity: str | Callable[..., Any], replacement: C) -> C:
        """Run this function, or mock, in the place of an activity from now on; returns it.

        It may be async, may raise, and may have the ActivityContext as its first parameter (annotated so); a mock is
        called with the input alone. The input has the type of the activity's own annotation, and the result is
        converted to JSON as in production.

        UnknownActivityError if the activity is not registered; RegistrationError if the parameters do not fit.
        """
        name = name_of(activity)
        if name not in self._substitutes:
            raise UnknownActivityError(name, self._registry.activity_names)
        self._substitutes[name].use(replacement)
        return replacement

    def effects(self, snapshot: Callable[[], object]) -> None:
        """Add a function that returns the state outside of durable_core, such as the rows of a fake bank.

        A crash test compares its results by ``==`` after each run: return a copy, of plain values.
        """
        self._effects.append(snapshot)

    def snapshot(self) -> list[object]:
        """The current results of the functions given to ``effects``."""
        return [effect() for effect in self._effects]

    def overdue_activities(self) -> frozenset[str]:
        """The names of activities with a call that exceeded its ``schedule_to_close``."""
        driver = self._running()
        return driver.now_do(overdue_activities(driver.world.outside))

    # ------------------------------------------------------------------ instances

    @overload
    def start(
        self,
        orchestrator: str,
        client_input: object = None,
        *,
        instance_id: str | None = None,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    def start(
        self,
        orchestrator: Callable[[OrchestrationContext], Branch[Any]],
        client_input: object = None,
        *,
        instance_id: str | None = None,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    def start(
        self,
        orchestrator: Callable[[OrchestrationContext, X], Branch[Any]],
        client_input: X,
        *,
        instance_id: str | None = None,
        **options: Unpack[StartOptions],
    ) -> str: ...
    def start(
        self,
        orchestrator: Callable[..., Any] | str,
        client_input: object = None,
        *,
        instance_id: str | None = None,
        **options: Unpack[StartOptions],
    ) -> str:
        """Start an instance and return its id. Options and errors are those of ``DurableClient.start_new``.

        When this returns, the instance has run as far as it can at this moment of virtual time.
        """
        start: Callable[..., Coroutine[Any, Any, str]] = self.client.start_new
        return self.run(start(orchestrator, instance_id, client_input, **options))

    def raise_event(
        self,
        instance_id: str,
        name: str,
        data: object = None,
        *,
        at: datetime | None = None,
        after: timedelta | None = None,
    ) -> None:
        """Raise an external event on an instance: now, or at a later moment of virtual time.

        A later event is dropped if the instance has ended by then. Errors of an event for now are those of
        ``DurableClient.raise_event``; ConfigurationError for both ``at`` and ``after``.
        """
        if at is None and after is None:
            self.run(self.client.raise_event(instance_id, name, data))
            return
        if at is not None and after is not None:
            raise ConfigurationError("raise_event takes 'at' or 'after', not both")
        moment = self.now + after if after is not None else at
        assert moment is not None
        driver = self._driver or self._running()
        driver.begin(self._raise_at(driver.world.client, moment, instance_id, name, data))

    def cancel(self, instance_id: str, reason: str = "") -> None:
        """See ``DurableClient.cancel``."""
        self.run(self.client.cancel(instance_id, reason))

    def terminate(self, instance_id: str, reason: str = "") -> None:
        """See ``DurableClient.terminate``."""
        self.run(self.client.terminate(instance_id, reason))

    def suspend(self, instance_id: str, reason: str = "") -> None:
        """See ``DurableClient.suspend``."""
        self.run(self.client.suspend(instance_id, reason))

    def resume(self, instance_id: str, reason: str = "") -> None:
        """See ``DurableClient.resume``."""
        self.run(self.client.resume(instance_id, reason))

    def query(self, instance_id: str, name: str, args: object = None) -> JSON:
        """See ``DurableClient.query``."""
        return self.run(self.client.query(instance_id, name, args))

    def update(
        self,
        instance_id: str,
        name: str,
        args: object = None,
        *,
        update_id: str | None = None,
        timeout: float = 60.0,
    ) -> JSON:
        """See ``DurableClient.update``; virtual time jumps as far as the answer needs, ``timeout`` seconds at most."""
        return self.run(self.client.update(instance_id, name, args, update_id=update_id, timeout=timeout))

    def status(self, instance_id: str) -> OrchestrationStatus:
        """The status of an instance; falsy if there is no such instance."""
        return self.run(self.client.get_status(instance_id))

    def history(self, instance_id: str) -> list[dict[str, JSON]]:
        """The events of an instance's generation, as the HTTP API shows them, with inputs and results.

        ``[e["Name"] for e in env.history(id) if e["EventType"] == "TaskScheduled"]`` lists the activities called.
        InstanceNotFoundError.
        """
        status = self.run(self.client.get_status(instance_id, show_history=True, show_history_output=True))
        if status.history_events is None:
            raise InstanceNotFoundError(instance_id)
        return status.history_events

    @overload
    def result(self, instance_id: str, returns: type[R], *, within: timedelta = ...) -> R: ...
    @overload
    def result(self, instance_id: str, returns: Any = None, *, within: timedelta = ...) -> Any: ...
    def result(self, instance_id: str, returns: Any = None, *, within: timedelta = LONGEST_RESULT) -> Any:
        """The result of the instance. Virtual time jumps as far as needed for that, and no further.

        returns: the type of the result; None takes the orchestrator's annotation.
        within: the virtual time that this may take.

        OrchestrationFailedError: the instance failed, was terminated or cancelled. InstanceWaitsError: no timer,
        activity or event is left that could wake it up, or it takes longer than ``within``. NonDeterminismError: its
        code is not deterministic. DeterminismError: the guard has found a forbidden use. InstanceStuckError: the
        instance is stuck for another reason, or for one of these that a second replay does not show.
        InstanceNotFoundError.
        """
        driver = self._running()
        latest: list[OrchestrationStatus] = []

        def is_done() -> bool:
            latest[:] = [driver.now_do(self.client.get_status(instance_id))]
            return not latest[0] or latest[0].is_terminal

        try:
            driver.go_on(is_done, within=driver.world.loop.time() + within.total_seconds(), stuck=self._raise_stuck)
        except NothingLeftError:
            why = driver.now_do(why_it_waits(driver.world.outside, driver.world.callback_urls, instance_id))
            text = f"instance '{instance_id}' of orchestrator '{latest[0].name}' cannot end by itself: {why}"
            raise InstanceWaitsError(instance_id, text) from None
        except TooLongError:
            text = (
                f"instance '{instance_id}' of orchestrator '{latest[0].name}' has not ended by "
                f"{self.now:%Y-%m-%d %H:%M} of virtual time; if it is meant to run "
                "for ever, let time pass with env.advance and read env.status"
            )
            raise InstanceWaitsError(instance_id, text) from None
        driver.settle()
        status = latest[0]
        if not status:
            raise InstanceNotFoundError(instance_id)
        try:
            driver.now_do(verify(driver.world.outside, driver.world.callback_urls, instance_id))
        except (NonDeterminismError, DeterminismError):
            self._shown.add(instance_id)
            raise
        if status.runtime_status is not RuntimeStatus.COMPLETED:
            raise OrchestrationFailedError(status)
        return self._converter.from_json(status.output, self._returned(status) if returns is None else returns)

    # ------------------------------------------------------------------ time

    @property
    def now(self) -> datetime:
        """The virtual time in UTC; it begins in 2030."""
        return START if self._driver is None else moment_of(self._driver.world.loop.time())

    def advance(
        self,
        by: timedelta | None = None,
        *,
        to: datetime | None = None,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Let virtual time pass, by a duration or up to ``to``, and run all work that is due until then, inclusive.

        ConfigurationError if ``to`` is in the past; InstanceStuckError and its kind if an instance gets stuck.
        """
        driver = self._running()
        moment = self.now + (by or timedelta(0)) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        moment = moment if to is None else to
        if moment < self.now:
            raise ConfigurationError(f"virtual time cannot go back to {moment}: it is {self.now} already")
        until = (moment - START).total_seconds() + GRACE
        driver.go_on(lambda: False, until=until, stuck=self._raise_stuck_once)
        driver.settle()
        self._stuck_at_rest()

    def run_until_idle(self) -> None:
        """Run all work that is due now, without letting time pass. (Every other method does so, too.)"""
        self._running().settle()
        self._stuck_at_rest()

    # ------------------------------------------------------------------ all else

    @property
    def client(self) -> DurableClient:
        """The app's real client, whose methods are async: ``env.run(env.client.get_status_all())``.

        A coroutine that ``run`` runs may use it, too: ``await env.client.raise_event(...)``.
        """
        driver = self._driver
        return (self._running() if driver is None or not driver.is_running else driver).world.client

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine on the environment's event loop and return its result; virtual time passes as needed.

        ConfigurationError if the coroutine waits and nothing is left that could end its wait.
        """
        try:
            driver = self._running()
        except ConfigurationError:
            coroutine.close()  # or Python warns that it was never awaited
            raise
        task = driver.world.loop.create_task(coroutine)
        try:
            driver.go_on(task.done)
        except NothingLeftError:
            raise ConfigurationError(
                f"{coroutine} waits, and no timer or task is left that could end its wait"
            ) from None
        finally:
            task.cancel()
        driver.settle()
        return task.result()

    def crash_everywhere(
        self, scenario: Callable[[TestEnvironment], object], *, faults: tuple[Fault, ...] = CRASHES
    ) -> CrashReport:
        """Run a scenario many times, each time with a crash at another storage operation, and report differences.

        Each run has an environment of its own with the functions registered here and nothing else: the scenario must
        create outside state, fakes and replacements anew. The result of the scenario and its ``effects`` must be the
        same as without a crash. See docs/testing.md.
        """

        def fresh(plan: FaultPlan) -> TestEnvironment:
            return TestEnvironment(
                *self._registered,
                replay_every_step=self._replays_every_step,
                guard=self._settings.guard,
                settings=self._settings,
                codec=self._codec,
                plan=plan,
            )

        return crash_everywhere(fresh, scenario, faults)

    def close(self) -> None:
        """Replay every instance once more, and stop; a second call does nothing.

        NonDeterminismError, DeterminismError, InstanceStuckError.
        """
        if self._is_closed:
            return
        try:
            if self._driver is not None:
                world = self._driver.world
                self._driver.settle()
                self._stuck_at_rest()
                self._driver.now_do(verify_all(world.outside, world.callback_urls, self._shown))
        finally:
            self._stop()

    def __enter__(self) -> TestEnvironment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._stop()

    # ------------------------------------------------------------------ parts

    def _running(self) -> Driver:
        if self._is_closed:
            raise ConfigurationError("this test environment is closed")
        if self._driver is None:
            definitions = [substitute.definition for substitute in self._substitutes.values()]
            registry = self._registry.with_built_in(*definitions)
            self._driver = Driver(registry, self._settings, self._codec, self._plan)
        if self._driver.is_running:
            whose = whose_code() or "a coroutine given to env.run"
            raise ConfigurationError(
                f"{whose} cannot control the environment in which it runs: await the methods of env.client within "
                "env.run, call env.raise_event(..., after=...) in an activity, or make the call in the test itself"
            )
        return self._driver

    def _stop(self) -> None:
        driver, self._driver, self._is_closed = self._driver, None, True
        if driver is not None:
            driver.close()

    async def _raise_at(
        self, client: DurableClient, moment: datetime, instance_id: str, name: str, data: object
    ) -> None:
        await asyncio.sleep((moment - self.now).total_seconds())
        try:
            await client.raise_event(instance_id, name, data)
        except InstanceCompletedError:
            return

    def _returned(self, status: OrchestrationStatus) -> Any:
        try:
            return result_type(self._registry.orchestrator(status.name, status.version).fn)
        except UnknownOrchestratorError:  # a built-in orchestrator
            return Any

    def _stuck_at_rest(self) -> None:
        driver = self._running()
        open_entries = driver.now_do(entries(driver.world.outside, [OPEN]))
        self._raise_stuck_once([entry for entry in open_entries if entry.stuck])

    def _raise_stuck_once(self, stuck: list[Entry]) -> None:
        self._raise_stuck([entry for entry in stuck if entry.instance_id not in self._shown])

    def _raise_stuck(self, stuck: list[Entry]) -> None:
        """Raise the error of a stuck instance from any method, since the test must show it."""
        driver = self._running()
        for entry in stuck:
            self._shown.add(entry.instance_id)
            driver.now_do(reproduce(driver.world.outside, driver.world.callback_urls, entry.instance_id))
            raise InstanceStuckError(entry.instance_id, driver.now_do(self._reason(driver.world, entry)))

    async def _reason(self, world: World, entry: Entry) -> str:
        """The full reason, from the instance row; the catalogue has a shortened one."""
        instance = await world.outside.hub.instances.get(entry.instance_id)
        return entry.stuck if instance is None or not instance.stuck else instance.stuck
