"""Entities from the side of those who write them: definitions, operations, failures, critical sections, the client."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from durable_core import (
    EntityContext,
    EntityId,
    EntityOperationFailedError,
    Orchestration,
    OrchestrationContext,
    Registry,
    entity,
    orchestrator,
)
from durable_core.entities import EntityDefinition
from durable_core.errors import (
    InvalidInputError,
    OrchestrationFailedError,
    PayloadTooLargeError,
    RegistrationError,
    SerializationError,
    UnknownEntityError,
)
from durable_core.hang_watch import HangWatch
from durable_core.runtime.client import DurableClient
from durable_core.settings import Settings
from durable_core.testing import TestEnvironment


class Panic(BaseException):
    """As pyo3's PanicException, or an outcome of pytest."""


class Line(BaseModel):
    sku: str
    quantity: int = 1

    @field_validator("quantity")
    @classmethod
    def check(cls, value: int) -> int:
        if value < 1:
            raise ValueError("at least one")
        return value


@entity
class Basket(BaseModel):
    """A pydantic model as state."""

    lines: list[Line] = []
    closed_at: datetime | None = None

    def add(self, line: Line) -> int:
        self.lines.append(line)
        return len(self.lines)

    async def add_later(self, ctx: EntityContext, line: Line) -> str:
        await asyncio.sleep(1)
        self.lines.append(line)
        return f"{ctx.entity_key} {ctx.is_newly_constructed}"

    def many(self, quantity: int = 7) -> int:
        return quantity

    def close(self, ctx: EntityContext) -> None:
        self.closed_at = ctx.current_utc_datetime

    def drop(self, ctx: EntityContext) -> None:
        ctx.destruct_on_exit()

    def _internal(self) -> None:
        raise AssertionError("not an operation")


@entity(name="odd")
@dataclass
class Odd:
    """Operations that fail in every way."""

    items: list[str] = field(default_factory=list[str])

    def keep(self, text: str) -> int:
        self.items.append(text)
        return len(self.items)

    def fail(self, ctx: EntityContext, kind: str) -> None:
        self.items.append(kind)
        ctx.signal_entity(EntityId("odd", "other"), Odd.keep, kind)
        ctx.start_new("asks", "keep", f"begun by {kind}")
        match kind:
            case "exit":
                sys.exit(3)
            case "panic":
                raise Panic("it panics")
            case "interrupt":
                raise KeyboardInterrupt
            case "cancelled":
                raise asyncio.CancelledError
            case _:
                raise ValueError(kind)

    def unwritable(self) -> object:
        self.items.append("unwritable")
        return object()

    def unwritable_state(self) -> None:
        self.items.append(object())  # type: ignore[arg-type]

    def too_large(self) -> str:
        return "x" * 2000

    def spins(self) -> None:
        self.items.append("spins")
        while True:
            pass

    async def sleeps(self) -> None:
        self.items.append("sleeps")
        await asyncio.sleep(10_000)

    async def times_out(self) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(100)


@entity
def tally(ctx: EntityContext) -> int:
    """A function as entity."""
    total = ctx.get_state(lambda: 0)
    if ctx.operation_name == "add":
        total += ctx.get_input(int)
        ctx.set_state(total)
    return total


@orchestrator
def asks(ctx: OrchestrationContext, operation: str) -> Orchestration[Any]:
    """Calls an operation, and tells what came of it."""
    name, _, argument = operation.partition(" ")
    try:
        return (yield from ctx.call_entity(EntityId("odd", "a"), name, argument or None))
    except EntityOperationFailedError as error:
        return f"{error.failure.type.rpartition('.')[2]}: {error.failure.message}"


@pytest.fixture
def env() -> Iterator[TestEnvironment]:
    with TestEnvironment(Basket, Odd, tally, asks) as environment:
        yield environment


def client_of(env: TestEnvironment) -> DurableClient:
    return env.client


def state_of(env: TestEnvironment, name: str, key: str, kind: Any = None) -> Any:
    found = env.run(env.client.read_entity(EntityId(name, key), kind))
    return None if found is None else found.state


def signal(env: TestEnvironment, name: str, key: str, operation: Any, data: object = None, **options: Any) -> None:
    env.run(env.client.signal_entity(EntityId(name, key), operation, data, **options))


# ---------------------------------------------------------------- definitions


class Empty:
    number: int = 0


class Needy:
    number: int

    def go(self) -> None: ...


class Own:
    def __init__(self) -> None:
        self.number = 0

    def go(self) -> None: ...


class Greedy:
    def go(self, one: int, two: int) -> None: ...


class Star:
    def go(self, *many: int) -> None: ...


class Word:
    def go(self, *, word: int) -> None: ...


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (Empty, "no public method"),
        (Needy, "give every field a default"),
        (Own, "__init__ of its own"),
        (Greedy, "takes one input"),
        (Star, "one named parameter"),
        (Word, "one named parameter"),
    ],
)
def test_a_class_that_cannot_be_an_entity_is_refused(cls: type, problem: str) -> None:
    with pytest.raises(RegistrationError, match=problem):
        entity(cls)


def test_a_function_that_cannot_be_an_entity_is_refused() -> None:
    def two(ctx: EntityContext, data: int) -> None: ...

    def yields(ctx: EntityContext) -> Iterator[int]:
        yield 1

    for fn, problem in ((two, "takes one EntityContext"), (yields, "does not yield")):
        with pytest.raises(RegistrationError, match=problem):
            entity(fn)
    with pytest.raises(RegistrationError, match="cannot name an entity"):
        entity(name="no name")(tally)
    with pytest.raises(RegistrationError, match="reserved"):
        entity(name="durable.own")(tally)


def test_two_entities_of_one_name_are_refused() -> None:
    @entity(name="TALLY")
    def other(ctx: EntityContext) -> None: ...

    with pytest.raises(RegistrationError, match="two entities are named 'tally'"):
        Registry().add(tally, other)
    assert Registry().add(tally, tally).entities.keys() == {"tally"}


def test_an_id_that_cannot_be_a_key_is_refused() -> None:
    assert EntityId("Counter", "A") == EntityId("counter", "A") != EntityId("counter", "a")
    assert EntityId.parse(str(EntityId("c", "k@1"))) == EntityId("c", "k@1")
    for name, key in (("", "k"), ("a b", "k"), ("c", ""), ("c", "a/b"), ("c", "a#"), ("c", "\ud800"), ("c", "x" * 201)):
        with pytest.raises(InvalidInputError):
            EntityId(name, key)
    with pytest.raises(InvalidInputError, match="convert it with str"):
        EntityId("c", 3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="@name@key"):
        EntityId.parse("counter")


# ---------------------------------------------------------------- operations


def test_a_model_is_the_state_and_inputs_are_read_by_their_types(env: TestEnvironment) -> None:
    signal(env, "basket", "b", Basket.add, Line(sku="tea", quantity=2))
    signal(env, "basket", "b", Basket.add_later, {"sku": "milk"})
    signal(env, "basket", "b", "add", {"sku": "salt", "quantity": 0})  # is refused, and logged
    signal(env, "basket", "b", Basket.close)
    env.advance(seconds=5)
    found: Basket = state_of(env, "basket", "b", Basket)
    assert [(line.sku, line.quantity) for line in found.lines] == [("tea", 2), ("milk", 1)]
    assert found.closed_at is not None and found.closed_at.year == 2030
    signal(env, "basket", "b", Basket.drop)
    assert state_of(env, "basket", "b") is None


def test_a_default_input_and_a_function(env: TestEnvironment) -> None:
    @orchestrator
    def uses(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        basket, count = EntityId("basket", "x"), EntityId("tally", "t")
        many = yield from ctx.call_entity(basket, Basket.many)
        few = yield from ctx.call_entity(basket, Basket.many, 2)
        added = yield from ctx.call_entity(count, "add", 5, result_type=int)
        seen = yield from ctx.call_entity(count, "get", result_type=int)
        return [many, few, added, seen]

    with TestEnvironment(Basket, tally, uses) as other:
        assert other.result(other.start(uses)) == [7, 2, 5, 5]


KINDS = {
    "exit": "SystemExit: 3",
    "panic": "Panic: it panics",
    "interrupt": "KeyboardInterrupt: ",
    "cancelled": "CancelledError: ",
    "plain": "ValueError: plain",
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_an_operation_raises_is_told_and_undoes_it(env: TestEnvironment, kind: str) -> None:
    signal(env, "odd", "a", Odd.keep, "first")
    assert env.result(env.start(asks, f"fail {kind}")) == KINDS[kind]
    assert state_of(env, "odd", "a")["items"] == ["first"]
    assert state_of(env, "odd", "other") is None, "its signal was sent"
    assert not env.status(f"begun by {kind}"), "its orchestration was started"
    signal(env, "odd", "a", Odd.keep, "last")
    assert state_of(env, "odd", "a")["items"] == ["first", "last"]


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("unwritable", "SerializationError: .*result of operation 'unwritable'"),
        ("unwritable_state", "SerializationError: .*state of entity @odd@a"),
        ("too_large", "PayloadTooLargeError: .*result"),
        ("nothing", "InvalidInputError: entity 'odd' has no operation 'nothing'; it has: fail, keep"),
        ("_internal", "InvalidInputError: .*no operation"),
        ("unwritable 3", "InvalidInputError: .*takes no input"),
        ("keep", "InvalidInputError: the input of operation 'keep'"),
        ("times_out", "TimeoutError"),
        ("sleeps", "TaskTimeoutError: .*did not end while its host had the message"),
    ],
)
def test_what_an_operation_gets_wrong_is_told_and_changes_nothing(operation: str, told: str) -> None:
    with TestEnvironment(Odd, asks, settings=Settings(max_payload=1000)) as env:
        signal(env, "odd", "a", Odd.keep, "first")
        assert re.match(told, env.result(env.start(asks, operation)))
        assert state_of(env, "odd", "a")["items"] == ["first"]


def test_an_operation_that_hangs_is_interrupted_and_others_go_on(env: TestEnvironment) -> None:
    watch = HangWatch.start(0.25)
    assert watch is not None
    try:
        signal(env, "odd", "a", Odd.keep, "first")
        told = env.result(env.start(asks, "spins"))
    finally:
        watch.stop()
    assert told.startswith("CodeHangsError: operation 'spins' of entity @odd@a")
    assert "test_entities.py:" in told
    assert state_of(env, "odd", "a")["items"] == ["first"]


def test_in_the_style_of_durable_functions_what_was_set_before_the_failure_is_kept() -> None:
    def apply(ctx: EntityContext) -> None:
        ctx.set_state("half")
        if ctx.entity_key == "a":
            ctx.signal_entity(EntityId("half", "other"), "go")
            raise ValueError("after the half")

    style = EntityDefinition(name="half", apply=apply, target=apply, location="", keeps_failed=True)
    with TestEnvironment(Registry().define(style)) as env:
        signal(env, "half", "a", "go")
        assert state_of(env, "half", "a") == "half"
        assert state_of(env, "half", "other") == "half"


def test_an_operation_uses_no_context_of_an_orchestrator() -> None:
    kept: list[OrchestrationContext] = []

    @entity(name="thief")
    def thief(ctx: EntityContext) -> None:
        kept[0].signal_entity(EntityId("thief", "b"), "go")

    @orchestrator
    def lends(ctx: OrchestrationContext) -> Orchestration[str]:
        kept.append(ctx)
        try:
            yield from ctx.call_entity(EntityId("thief", "a"), "go")
        except EntityOperationFailedError as error:
            return error.failure.message
        return "it was used"

    with TestEnvironment(thief, lends) as env:
        assert "used inside operation 'go' of entity @thief@a" in env.result(env.start(lends))


# ---------------------------------------------------------------- critical sections


A, B = EntityId("odd", "a"), EntityId("odd", "b")


def failure_of(env: TestEnvironment, fn: Any) -> str:
    instance = env.start(fn)
    with pytest.raises(OrchestrationFailedError):
        env.result(instance)
    failure = env.status(instance).failure
    assert failure is not None
    return failure.message


def test_what_is_not_allowed_in_a_section_is_refused_and_the_locks_are_released() -> None:
    @orchestrator
    def child(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ()

    @orchestrator
    def calls_another(ctx: OrchestrationContext) -> Orchestration[Any]:
        with (yield from ctx.lock(A)):
            yield from ctx.call_entity(B, Odd.keep, "x")

    @orchestrator
    def signals_its_own(ctx: OrchestrationContext) -> Orchestration[Any]:
        with (yield from ctx.lock(A)):
            ctx.signal_entity(A, Odd.keep, "x")

    @orchestrator
    def locks_twice(ctx: OrchestrationContext) -> Orchestration[Any]:
        with (yield from ctx.lock(A)):
            yield from ctx.lock(B)

    @orchestrator
    def calls_a_child(ctx: OrchestrationContext) -> Orchestration[Any]:
        with (yield from ctx.lock(A)):
            yield from ctx.call_sub_orchestrator(child)

    @orchestrator
    def leaves_a_call_open(ctx: OrchestrationContext) -> Orchestration[Any]:
        with (yield from ctx.lock(A)):
            ctx.call_entity(A, Odd.keep, "x")

    @orchestrator
    def calls_before_the_grant(ctx: OrchestrationContext) -> Orchestration[Any]:
        ctx.lock(A)
        yield from ctx.call_entity(A, Odd.keep, "x")

    @orchestrator
    def locks_nothing(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield from ctx.lock()

    expected = {
        calls_another: "has not locked it",
        signals_its_own: "signaled inside the critical section",
        locks_twice: "sections cannot be nested",
        calls_a_child: "called inside a critical section",
        leaves_a_call_open: "still open",
        calls_before_the_grant: "before its lock is granted",
        locks_nothing: "at least one",
    }
    with TestEnvironment(Odd, child, *expected) as env:
        for fn, text in expected.items():
            assert text in failure_of(env, fn), fn
            for target in (A, B):
                details = env.run(env.client.entity_details(target))
                assert details is None or (details.entity is not None and details.entity.lock is None), fn
                assert details is None or not details.queue_length, fn


def test_a_request_can_be_withdrawn_and_code_that_is_cancelled_withdraws_it() -> None:
    @orchestrator
    def holds(ctx: OrchestrationContext) -> Orchestration[None]:
        with (yield from ctx.lock(A)):
            yield from ctx.create_timer(timedelta(hours=2))

    @orchestrator
    def gives_up(ctx: OrchestrationContext) -> Orchestration[str]:
        lock, timer = ctx.lock(B, A), ctx.create_timer(timedelta(hours=1))
        winner = yield from ctx.task_any([lock, timer])
        if winner is timer:
            lock.cancel()
            yield from ctx.call_entity(B, Odd.keep, "b is free")
            return "gave up"
        return "got it"

    with TestEnvironment(Odd, holds, gives_up) as env:
        env.start(holds)
        second, third = env.start(gives_up), env.start(gives_up)
        env.cancel(third)
        explained = env.run(env.client.explain(second))
        assert "held by" in explained.sentence and "@odd@a" in explained.sentence, explained
        assert env.result(second) == "gave up"
        env.advance(hours=3)
        for target in (A, B):
            details = env.run(env.client.entity_details(target))
            assert details is not None and details.entity is not None
            assert details.entity.lock is None and not details.queue_length, details
        assert env.run(env.client.read_entity(A)) is None, "a lock makes no state"


def test_a_section_of_its_own_release() -> None:
    @orchestrator
    def releases(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        section = yield from ctx.lock(A, B, A)
        assert section.entities == (A, B)
        first = yield from ctx.call_entity(A, Odd.keep, "x")
        section.release()
        section.release()
        second = yield from ctx.call_entity(A, Odd.keep, "y")
        return [first, second]

    with TestEnvironment(Odd, releases) as env:
        assert env.result(env.start(releases)) == [1, 2]


# ---------------------------------------------------------------- the client


def test_the_client_refuses_what_cannot_be_sent(env: TestEnvironment) -> None:
    cases: list[tuple[Any, Any, Any, type[Exception], str]] = [
        (EntityId("nobody", "a"), "go", None, UnknownEntityError, "registered: basket, odd, tally"),
        ("@odd@a", "go", None, InvalidInputError, "EntityId"),
        (A, "", None, InvalidInputError, "operation is named"),
        (A, 3, None, InvalidInputError, "operation is named"),
        (A, "keep", object(), SerializationError, "input of operation 'keep'"),
        (A, "keep", "x" * 20_000_000, PayloadTooLargeError, "input of operation 'keep'"),
    ]
    for target, operation, data, kind, text in cases:
        with pytest.raises(kind, match=text):
            env.run(env.client.signal_entity(target, operation, data))
    with pytest.raises(InvalidInputError, match="time zone"):
        env.run(env.client.signal_entity(A, "keep", "x", datetime(2031, 1, 1)))


def test_lists_are_by_name_and_key_in_pages_over_all_partitions_and_show_no_instance() -> None:
    with TestEnvironment(Odd, tally, asks, settings=Settings(partitions=3)) as env:
        for number in range(25):
            signal(env, "odd", f"k{number:02}", Odd.keep, "x")
        env.advance(hours=1)
        moment = env.now
        signal(env, "tally", "z", "add", 1)
        signal(env, "odd", "k07", Odd.keep, "y")

        def page(**options: Any) -> Any:
            return env.run(env.client.list_entities(**options))

        keys: list[str] = []
        token = None
        while True:
            found = page(page_size=4, continuation_token=token)
            keys.extend(f"{each.entity_id.name} {each.entity_id.key}" for each in found.entities)
            if (token := found.continuation_token) is None:
                break
        assert keys == [*(f"odd k{number:02}" for number in range(25)), "tally z"]
        assert [each.entity_id.key for each in page(name="Tally").entities] == ["z"]
        changed = page(last_operation_from=moment)
        assert [each.entity_id.key for each in changed.entities] == ["k07", "z"]
        assert page(fetch_state=False).entities[0].state is None
        assert env.run(env.client.get_status_all()) == []
        env.run(env.client.delete_entity(EntityId("odd", "k07")))
        assert [each.entity_id.key for each in page(last_operation_from=moment).entities] == ["z"]
        for wrong in ({"page_size": 0}, {"continuation_token": "nonsense"}, {"name": "no name"}):
            with pytest.raises(InvalidInputError):
                page(**wrong)


def test_a_signal_with_an_id_runs_once_and_a_delayed_one_when_it_is_due(env: TestEnvironment) -> None:
    for _ in range(3):
        signal(env, "odd", "a", Odd.keep, "once", signal_id="request 1")
    due = env.now + timedelta(days=3)
    signal(env, "odd", "a", Odd.keep, "later", at=due)
    details = env.run(env.client.entity_details(A))
    assert details is not None and list(details.scheduled) == [due]
    env.advance(days=2)
    assert state_of(env, "odd", "a")["items"] == ["once"]
    env.advance(days=2)
    assert state_of(env, "odd", "a")["items"] == ["once", "later"]
