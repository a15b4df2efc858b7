"""Interceptors and headers in a whole app: what they wrap, in which order, and what comes of their mistakes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    CallRefusedError,
    ClientCall,
    Debounce,
    DeterminismError,
    EntityContext,
    EntityId,
    Interceptor,
    JournalContext,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    TaskFailedError,
    TaskTimeoutError,
    activity,
    entity,
    orchestrator,
)
from durable_core.engine.tasks import Steps
from durable_core.errors import InvalidInputError
from durable_core.headers import MAX_HEADERS
from durable_core.testing import ActivityEnvironment, TestEnvironment

Proceed = Callable[[], Awaitable[Any]]
TENANT: ContextVar[str] = ContextVar("TENANT", default="")


@activity
def tenant_in_thread() -> str:
    return TENANT.get()


@activity
async def headers_of(ctx: ActivityContext) -> Any:
    return dict(ctx.headers)


@activity(retry=RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=1)))
async def at_the_third(ctx: ActivityContext) -> Any:
    if ctx.attempt < 3:
        raise ValueError("again")
    return dict(ctx.headers)


@activity
def broken() -> None:
    raise LookupError("nothing there")


@entity(name="ledger")
class Ledger:
    lines: int = 0

    def add(self, ctx: EntityContext, number: int) -> Any:
        self.lines += number
        if number > 1:
            ctx.signal_entity(EntityId("ledger", "copy"), "add", 1)
            ctx.start_new("headed", None, f"of-{number}")
        return dict(ctx.headers)


@orchestrator
def headed(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.create_timer(timedelta(seconds=1))
    return dict(ctx.headers)


@orchestrator
def everything(ctx: OrchestrationContext) -> Orchestration[dict[str, Any]]:
    found: dict[str, Any] = {"own": dict(ctx.headers)}
    found["activity"] = yield from ctx.call_activity(headers_of)
    found["queued"] = yield from ctx.call_activity(headers_of, inline=False)
    found["retried"] = yield from ctx.call_activity(at_the_third)
    found["child"] = yield from ctx.call_sub_orchestrator(headed)
    found["entity"] = yield from ctx.call_entity(EntityId("ledger", "one"), Ledger.add, 2)
    return found


@orchestrator
async def awaiting(ctx: OrchestrationContext, seconds: int) -> list[Any]:
    await ctx.create_timer(timedelta(seconds=seconds))
    return [await ctx.call_activity(headers_of), dict(ctx.headers)]


@orchestrator
def rounds(ctx: OrchestrationContext, left: int) -> Orchestration[Any]:
    told = yield from ctx.call_activity(headers_of)
    if left:
        ctx.continue_as_new(left - 1)
    return [told, dict(ctx.headers)]


@orchestrator
def fails_once(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.wait_for_external_event("Go")
    yield from ctx.call_activity(broken)


APP = (tenant_in_thread, headers_of, at_the_third, broken, Ledger, headed, everything, awaiting, rounds, fails_once)


class Told(Interceptor):
    """Notes what it wraps, with a name."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def note(self, what: str) -> None:
        self.told.append(f"{self.name} {what}")

    async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
        self.note(call.method)
        result = await proceed()
        self.note(f"{call.method} done")
        return result

    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        self.note(ctx.name)
        result = yield from proceed()
        self.note(f"{ctx.name} done")
        return result

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        self.note(f"call of {call.name}")

    async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        self.note(ctx.name)
        result = await proceed()
        self.note(f"{ctx.name} done")
        return result


def environment(*interceptors: Interceptor, **options: Any) -> TestEnvironment:
    return TestEnvironment(*APP, interceptors=interceptors, **options)


def test_the_first_interceptor_is_outermost_everywhere() -> None:
    told: list[str] = []
    first, second = Told("1", told), Told("2", told)
    with environment(first, second, replay_every_step=False) as env:
        assert env.result(env.start(awaiting, 1)) == [{}, {}]
    assert told[:14] == [
        "1 start_new", "2 start_new", "2 start_new done", "1 start_new done", "1 awaiting", "2 awaiting",
        "1 call of headers_of", "2 call of headers_of", "1 headers_of", "2 headers_of", "2 headers_of done",
        "1 headers_of done", "2 awaiting done", "1 awaiting done",
    ]  # fmt: skip


def test_headers_go_with_all_that_an_instance_calls_and_with_what_that_calls() -> None:
    with environment() as env:
        headers = {"tenant": "acme", "roles": ["a", {"b": None}]}
        found = env.result(env.start(everything, headers=headers))
        assert found == dict.fromkeys(("own", "activity", "queued", "retried", "child", "entity"), headers)
        assert env.result("of-2") == headers, "an operation starts with its headers"
        assert env.result(env.start(everything)) == {key: {} for key in found}


def test_an_interceptor_gives_calls_headers_of_their_own_and_takes_them_away() -> None:
    class Trimming(Interceptor):
        def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
            if call.kind == "activity":
                call.headers.clear()
            else:
                call.headers["kind"] = f"{call.kind} {call.operation}".strip()
                del call.headers["secret"]

    with environment(Trimming()) as env:
        found = env.result(env.start(everything, headers={"secret": 1}))
    none: dict[str, Any] = {}
    assert found["activity"] == found["queued"] == found["retried"] == none
    assert found["child"] == {"kind": "sub_orchestration"} and found["entity"] == {"kind": "entity add"}
    assert found["own"] == {"secret": 1}


def test_headers_outlive_generations_a_restart_a_rewind_and_a_fork() -> None:
    with environment() as env:
        headers = {"tenant": "acme"}
        first = env.start(rounds, 2, headers=headers)
        assert env.result(first) == [headers, headers]
        again = env.run(env.client.restart(first))
        assert env.result(again) == [headers, headers]
        failing = env.start(fails_once, instance_id="f", headers=headers)
        env.raise_event(failing, "Go")
        assert env.status(failing).runtime_status is RuntimeStatus.FAILED
        env.run(env.client.rewind(failing))
        forked = env.run(env.client.fork(failing, until_event="Go", new_instance_id="g"))
        for instance_id in (failing, forked.instance_id):
            status = env.run(env.client.get_status(instance_id, show_headers=True))
            assert status.headers == headers


def test_headers_are_shown_to_who_asks_for_them_alone() -> None:
    with environment() as env:
        started = env.start(headed, headers={"token": "s3cret"})
        assert env.status(started).headers is None
        with_history = env.run(env.client.get_status(started, show_history=True, show_history_output=True))
        assert "s3cret" not in repr(with_history)
        assert env.run(env.client.get_status(started, show_headers=True)).headers == {"token": "s3cret"}
        assert env.run(env.client.get_status("nobody", show_headers=True)).headers is None


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({"big": "x" * MAX_HEADERS}, "at most 4,096"),
        ({"": 1}, "1 to 128 characters"),
        ({"n" * 129: 1}, "1 to 128 characters"),
        ({7: 1}, "1 to 128 characters"),
        (["tenant"], "a mapping"),
    ],
)
def test_headers_that_cannot_travel_are_refused_where_they_are_given(headers: Any, wrong: str) -> None:
    class Giving(Interceptor):
        def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
            if isinstance(headers, dict):
                call.headers.update(headers)  # pyright: ignore[reportUnknownArgumentType]

    for interceptors in ([], [Told("1", [])]):
        with environment(*interceptors) as env, pytest.raises(InvalidInputError, match=wrong):
            env.start(headed, headers=headers)
    if isinstance(headers, dict):
        with environment(Giving()) as env:
            status = env.status(env.start(rounds, 0))
        assert status.failure is not None and status.failure.type.endswith("OrchestratorCodeError")
        assert wrong in status.failure.message and "Giving.before_call" in status.failure.message
        assert __file__ in status.failure.message


def test_code_cannot_change_the_headers_of_its_instance() -> None:
    seen: list[Any] = []

    @orchestrator
    def careless(ctx: OrchestrationContext) -> Orchestration[Any]:
        dict(ctx.headers)["list"].append(1)
        yield from ctx.create_timer(timedelta(seconds=1))
        seen.append(ctx.headers["list"])

    with TestEnvironment(careless) as env:
        env.result(env.start(careless, headers={"list": [0]}))
    assert all(each == [0] for each in seen) and seen


def test_context_variables_of_an_interceptor_reach_a_plain_activity_and_go_on_to_a_client_call() -> None:
    class Tenants(Interceptor):
        async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
            if tenant := TENANT.get():
                call.headers["tenant"] = tenant
            return await proceed()

        async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
            token = TENANT.set(ctx.headers.get("tenant", "nobody"))
            try:
                return await proceed()
            finally:
                TENANT.reset(token)

    @activity
    async def starts_another(ctx: ActivityContext) -> str:
        return await ctx.client.start_new(headed, "other")

    @orchestrator
    def both(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity(starts_another)
        return (yield from ctx.call_activity(tenant_in_thread))

    with TestEnvironment(*APP, both, starts_another, interceptors=[Tenants()]) as env:
        assert env.result(env.start(both, headers={"tenant": "acme"})) == "acme"
        assert env.result("other") == {"tenant": "acme"}
        assert TENANT.get() == ""


def test_a_client_call_that_is_refused_does_nothing() -> None:
    calls: list[ClientCall] = []

    class Refusing(Interceptor):
        async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
            calls.append(call)
            if call.method != "start_new":
                raise CallRefusedError(f"no {call.method}")
            return await proceed()

    with environment(Refusing()) as env:
        env.start(fails_once, instance_id="one")
        client = env.client
        refused: dict[str, Awaitable[Any]] = {
            "terminate": client.terminate("one", "because"),
            "cancel": client.cancel("one"),
            "suspend": client.suspend("one"),
            "raise_event": client.raise_event("one", "Go", 7),
            "query": client.query("one", "lines"),
            "update": client.update("one", "add"),
            "restart": client.restart("one"),
            "purge_instance_history": client.purge_instance_history("one"),
            "signal_entity": client.signal_entity(EntityId("ledger", "one"), Ledger.add, 1),
            "enqueue": client.enqueue(headers_of),
            "signal_with_start": client.signal_with_start(fails_once, "two", "Go"),
            "pause_schedule": client.pause_schedule("s"),
            "bulk": client.bulk("terminate", all=True),
        }
        for name, call in refused.items():
            with pytest.raises(CallRefusedError, match=f"no {name}"):
                env.run(call)  # pyright: ignore[reportArgumentType]
        assert env.status("one").runtime_status is RuntimeStatus.RUNNING
        assert not env.status("two")
    by_name = {call.method: call for call in calls}
    assert {name: (call.instance_id, call.name) for name, call in by_name.items()} == {
        "start_new": ("one", "fails_once"),
        "terminate": ("one", ""),
        "cancel": ("one", ""),
        "suspend": ("one", ""),
        "raise_event": ("one", "Go"),
        "query": ("one", "lines"),
        "update": ("one", "add"),
        "restart": ("one", ""),
        "purge_instance_history": ("one", ""),
        "signal_entity": ("@ledger@one", "add"),
        "enqueue": ("", "headers_of"),
        "signal_with_start": ("two", "fails_once"),
        "pause_schedule": ("s", ""),
        "bulk": ("", "terminate"),
    }
    assert by_name["raise_event"].arguments["event_data"] == 7
    assert by_name["terminate"].arguments["reason"] == "because"


def test_what_the_framework_does_by_itself_is_not_intercepted() -> None:
    """A bulk operation is one call, and its own orchestrator and activities are none of the app's."""
    told: list[str] = []
    with environment(Told("1", told)) as env:
        for name in "ab":
            env.start(fails_once, instance_id=name)
        begun = len(told)
        bulk = env.run(env.client.bulk("terminate", all=True))
        env.run(env.client.wait_for_completion(bulk, 60))
        assert env.status("a").runtime_status is RuntimeStatus.TERMINATED
    assert [each for each in told[begun:] if "fails_once" not in each] == ["1 bulk", "1 bulk done"]


def test_an_activity_that_an_interceptor_refuses_has_failed_and_its_function_has_not_run() -> None:
    class Refusing(Interceptor):
        async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
            if not ctx.headers:
                raise NonRetriableError("no tenant")
            return await proceed()

    with environment(Refusing()) as env:
        status = env.status(env.start(rounds, 0))
        assert status.failure is not None and status.failure.is_caused_by(NonRetriableError)
        assert "no tenant" in status.failure.message
        assert [run.name for run in env.runs] == []


def test_an_interceptor_may_answer_for_an_activity_and_repeats_none() -> None:
    class Answering(Interceptor):
        async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
            if ctx.name == "broken":
                return "kept"
            await proceed()
            return await proceed()

    @orchestrator
    def calls(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        kept = yield from ctx.call_activity("broken")
        try:
            yield from ctx.call_activity(tenant_in_thread)
        except TaskFailedError as error:
            return [kept, error.failure.type, error.failure.message]
        return [kept]

    with TestEnvironment(*APP, calls, interceptors=[Answering()]) as env:
        kept, kind, message = env.result(env.start(calls))
    assert kept == "kept" and kind.endswith("InterceptorError")
    assert "Answering.around_activity" in message and __file__ in message and "twice" in message


def test_the_time_of_an_interceptor_counts_for_the_time_limit_of_an_attempt() -> None:
    import asyncio

    ended: list[str] = []

    class Slow(Interceptor):
        async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("cleaned up")
            return await proceed()

    @orchestrator
    def patient(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield from ctx.call_activity(headers_of, timeout=timedelta(seconds=5))

    with TestEnvironment(*APP, patient, interceptors=[Slow()]) as env:
        started = env.start(patient)
        env.advance(timedelta(seconds=10))
        status = env.status(started)
    assert status.failure is not None and status.failure.type.endswith("TaskTimeoutError")
    assert ended == ["cleaned up"]


def test_what_an_interceptor_of_code_raises_is_the_failure_with_its_line() -> None:
    class Raising(Interceptor):
        def around_orchestrator(
            self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
        ) -> Orchestration[Any]:
            if ctx.name == "headed":
                raise PermissionError("not for you")
            return (yield from proceed())

        def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
            if call.name == "broken":
                raise PermissionError("nobody calls it")

    with environment(Raising()) as env:
        status = env.status(env.start(headed))
        assert status.failure is not None and status.failure.type == "PermissionError"
        assert "test_interceptors.py:" in status.failure.line
        started = env.start(fails_once)
        env.raise_event(started, "Go")
        status = env.status(started)
        assert status.failure is not None and status.failure.message == "nobody calls it"


class _Limited(Interceptor):
    """Every orchestrator has a time limit."""

    def around_orchestrator(self, ctx: OrchestrationContext, proceed: Callable[[], Steps[Any]]) -> Orchestration[Any]:
        try:
            return (yield from ctx.with_timeout(proceed(), timedelta(hours=1)))
        except TaskTimeoutError:
            return -1


class _LimitedCoroutine(Interceptor):
    async def around_orchestrator(self, ctx: OrchestrationContext, proceed: Callable[[], Steps[Any]]) -> Any:
        try:
            return await ctx.with_timeout(proceed(), timedelta(hours=1))
        except TaskTimeoutError:
            return -1


class _Beside(Interceptor):
    """A timer runs beside the code."""

    def around_orchestrator(self, ctx: OrchestrationContext, proceed: Callable[[], Steps[Any]]) -> Orchestration[Any]:
        work = ctx.branch(proceed())
        found, _ = yield from ctx.gather(work, ctx.create_timer(timedelta(minutes=1)))
        return found


class _Twice(Interceptor):
    def around_orchestrator(self, ctx: OrchestrationContext, proceed: Callable[[], Steps[Any]]) -> Orchestration[Any]:
        code = proceed()
        yield from ctx.gather(code, code)


@orchestrator
def takes_days(ctx: OrchestrationContext, days: int) -> Orchestration[int]:
    try:
        yield ctx.create_timer(timedelta(days=days))
    finally:
        ctx.set_custom_status("it was left")
    return days


@orchestrator
async def takes_days_too(ctx: OrchestrationContext, days: int) -> int:
    await ctx.create_timer(timedelta(days=days))
    return days


@pytest.mark.parametrize("code", [takes_days, takes_days_too])
@pytest.mark.parametrize("kind", [_Limited, _LimitedCoroutine, _Beside])
def test_the_code_that_an_interceptor_wraps_can_be_a_branch(kind: type[Interceptor], code: Any) -> None:
    with TestEnvironment(takes_days, takes_days_too, interceptors=[kind()]) as env:
        assert env.result(env.start(code, 0)) == 0
        assert env.result(env.start(code, 3)) == (3 if kind is _Beside else -1)


def test_the_wrapped_code_is_no_branch_twice() -> None:
    with TestEnvironment(takes_days, takes_days_too, interceptors=[_Twice()]) as env:
        status = env.status(env.start(takes_days, 0))
    assert status.failure is not None
    assert "got one generator or coroutine twice" in status.failure.message


@pytest.mark.parametrize("where", ["around_orchestrator", "before_call"])
def test_the_guard_stops_an_interceptor_of_code_at_its_line(where: str) -> None:
    class Clock(Interceptor):
        def around_orchestrator(
            self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
        ) -> Orchestration[Any]:
            if where == "around_orchestrator":
                time.time()
            return (yield from proceed())

        def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
            if where == "before_call":
                time.time()

    with environment(Clock()) as env, pytest.raises(DeterminismError, match=r"test_interceptors\.py:\d+"):
        env.result(env.start(rounds, 0))


def test_before_call_makes_no_calls() -> None:
    class Calling(Interceptor):
        def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
            ctx.call_activity(headers_of)

    with environment(Calling()) as env:
        status = env.status(env.start(rounds, 0))
    assert status.failure is not None
    assert "before_call of an interceptor makes a call itself" in status.failure.message
    assert "test_interceptors.py:" in status.failure.message


def test_an_interceptor_of_code_may_call_and_catch_like_code_in_either_spelling() -> None:
    class Audited(Interceptor):
        def around_orchestrator(
            self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
        ) -> Orchestration[Any]:
            before = yield from ctx.call_activity(tenant_in_thread)
            try:
                return [before, (yield from proceed())]
            except ActivityFailedError as error:
                return f"rescued from {error.failure.type}"

    class Awaited(Interceptor):
        async def around_orchestrator(self, ctx: OrchestrationContext, proceed: Proceed) -> Any:
            await ctx.create_timer(timedelta(seconds=5))
            return {"result": await proceed()}

    with environment(Awaited(), Audited()) as env:
        assert env.result(env.start(headed)) == {"result": ["", {}]}
        in_time = env.start(awaiting, 1)
        env.advance(timedelta(seconds=10))
        assert env.status(in_time).output == {"result": ["", [{}, {}]]}
        started = env.start(fails_once)
        env.advance(timedelta(seconds=10))
        env.raise_event(started, "Go")
        assert env.status(started).output == {"result": "rescued from LookupError"}
    with environment(Audited(), Awaited()) as env:
        started = env.start(awaiting, 100)
        env.advance(timedelta(seconds=30))
        waits = env.status(started).waits
        assert [wait.kind for wait in waits] == ["timer"]
        env.run(env.client.cancel(started, "enough"))
        assert env.status(started).runtime_status is RuntimeStatus.CANCELED


def test_code_that_hangs_in_an_interceptor_of_an_entity_or_raises_fails_the_operation() -> None:
    class Refusing(Interceptor):
        async def around_operation(self, ctx: EntityContext, proceed: Proceed) -> Any:
            if "tenant" not in ctx.headers:
                raise PermissionError("no tenant")
            result = await proceed()
            return {"seen": result}

    @orchestrator
    def asks(ctx: OrchestrationContext) -> Orchestration[Any]:
        try:
            return (yield from ctx.call_entity(EntityId("ledger", "one"), Ledger.add, 1))
        except TaskFailedError as error:
            return error.failure.message

    with TestEnvironment(*APP, asks, interceptors=[Refusing()]) as env:
        assert env.result(env.start(asks)) == "no tenant"
        assert env.result(env.start(asks, headers={"tenant": "a"})) == {"seen": {"tenant": "a"}}
        state = env.run(env.client.read_entity(EntityId("ledger", "one")))
        assert state is not None and state.state == {"lines": 1}, "what is refused has changed nothing"


def test_a_registry_gives_its_interceptors_to_the_environment_once() -> None:
    told: list[str] = []
    one = Told("1", told)
    registry = Registry().add(*APP).intercept(one, one).intercept(one)
    with TestEnvironment(registry, interceptors=[one], replay_every_step=False) as env:
        env.result(env.start(headed))
    assert told[:4] == ["1 start_new", "1 start_new done", "1 headed", "1 headed done"]


def test_a_journaled_activity_and_a_debounced_start_have_headers_too() -> None:
    told: list[str] = []

    @activity(journal=True)
    async def journaled(ctx: JournalContext) -> Any:
        return [dict(ctx.headers), await ctx.step("one", lambda: 1)]

    @orchestrator
    def calls(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
        return [number, (yield from ctx.call_activity(journaled))]

    with TestEnvironment(calls, journaled, interceptors=[Told("1", told)]) as env:
        for number in (1, 2):
            debounce = Debounce(key="k", period=timedelta(seconds=5))
            started = env.start(calls, number, debounce=debounce, headers={"start": number})
        assert env.result(started) == [2, [{"start": 1}, 1]]
    assert "1 journaled done" in told


def test_the_runs_of_a_schedule_and_of_its_backfill_have_its_headers() -> None:
    class Schedules(Interceptor):
        async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
            call.headers["by"] = call.method
            return await proceed()

    async def drive(env: TestEnvironment) -> list[Any]:
        client = env.client
        options: Any = {"cron": "0 * * * *", "headers": {"tenant": "acme"}}
        await client.create_schedule("s", headed, **options)
        run = await client.trigger_schedule("s")
        status = await client.wait_for_completion(run, 60)
        end = status.created_time
        assert end is not None
        backfill = await client.backfill_schedule("s", end - timedelta(hours=1), end)
        await client.wait_for_completion(backfill, 60)
        ids = [each.instance_id for each in await client.get_status_all() if each.name == "headed"]
        told = [(await client.get_status(each)).output for each in ids]
        await client.delete_schedule("s")
        return told

    with environment(Schedules()) as env:
        told = env.run(drive(env))
    assert len(told) > 1 and all(each == {"tenant": "acme", "by": "create_schedule"} for each in told)


def test_no_value_of_a_header_is_in_what_is_printed_of_a_call() -> None:
    call = ClientCall(method="m", arguments={}, headers={"token": "s3cret"}, request={"cookie": "s3cret"})
    outgoing = OutgoingCall(kind="activity", name="a", headers={"token": "s3cret"})
    context = ActivityEnvironment(headers={"token": "s3cret"}).context
    assert "s3cret" not in f"{call!r} {outgoing!r} {context!r}"
    assert context.headers["token"] == call.headers["token"] == outgoing.headers["token"] == "s3cret"
