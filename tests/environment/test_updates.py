"""Updates: answers, refusals, failures, repeats, and what becomes of them when the orchestrator ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from durable_core import (
    Orchestration,
    OrchestrationContext,
    RuntimeStatus,
    TaskCancelledError,
    activity,
    orchestrator,
)
from durable_core.errors import (
    InstanceCompletedError,
    InstanceNotFoundError,
    InvalidInputError,
    OperationRefusedError,
    UnknownUpdateError,
    UpdateFailedError,
    UpdateNotEndedError,
    UpdateRefusedError,
)
from durable_core.testing import TestEnvironment

from . import update_programs
from .update_programs import cart, hasty, patient, price, rounds


@pytest.fixture(params=[False, True], ids=["warm", "cold"])
def env(request: pytest.FixtureRequest) -> TestEnvironment:
    made = TestEnvironment(update_programs, replay_every_step=request.param)
    request.addfinalizer(made.close)
    return made


def test_an_update_changes_the_orchestrator_and_returns_the_result_of_its_handler(env: TestEnvironment) -> None:
    one = env.start(cart)
    began = env.now
    assert env.update(one, "add", {"name": "mug"}) == 1
    assert env.update(one, "add", {"name": "lamp", "number": 3}) == 4
    assert env.now == began, "no time passes"
    assert env.update(one, "checkout") == {"lines": {"mug": 1, "lamp": 3}, "costs": []}
    assert env.result(one) == {"lines": {"mug": 1, "lamp": 3}, "costs": []}


def test_a_refused_update_leaves_nothing(env: TestEnvironment) -> None:
    one = env.start(cart)
    env.run_until_idle()
    before = env.history(one)
    with pytest.raises(UpdateRefusedError, match="OutOfStockError: sold out is not in stock") as refused:
        env.update(one, "add", {"name": "sold out"}, update_id="u-1")
    assert refused.value.failure.is_caused_by("OutOfStockError") and refused.value.update == "add"
    assert env.history(one) == before
    assert rows_of(env, one) == []
    assert env.query(one, "lines") == {}
    assert env.update(one, "add", {"name": "mug"}, update_id="u-1") == 1, "a refused id may be used again"


def rows_of(env: TestEnvironment, instance_id: str) -> list[str]:
    """The keys of all rows of an instance but its own and its chunks."""

    hub = env._running().world.outside.hub  # pyright: ignore[reportPrivateUsage]
    table = hub.instances._table  # pyright: ignore[reportPrivateUsage]

    async def read() -> list[str]:
        found = await table.read_range(instance_id, "")
        return [row.key for row in found.rows if row.key != "z" and not row.key.startswith("h")]

    return env.run(read())


@pytest.mark.parametrize("args", [None, "mug", {"number": 1}, {"name": "mug", "number": "many"}, []])
def test_arguments_that_do_not_fit_are_refused(env: TestEnvironment, args: object) -> None:
    one = env.start(cart)
    with pytest.raises(UpdateRefusedError, match="InvalidInputError"):
        env.update(one, "add", args)
    with pytest.raises(UpdateRefusedError, match="update 'refund' takes no argument"):
        env.update(one, "refund", 0)
    assert rows_of(env, one) == []


def test_a_handler_may_wait_while_the_orchestrator_and_other_handlers_go_on(env: TestEnvironment) -> None:
    one = env.start(cart)
    client = env.client

    async def both() -> list[object]:
        first = asyncio.create_task(client.update(one, "buy", "mug", timeout=300))
        second = asyncio.create_task(client.update(one, "buy", "lamp", timeout=300))
        await asyncio.sleep(30)
        assert await client.update(one, "add", {"name": "mug"}) == 1
        return [await first, await second]

    began = env.now
    assert sorted(env.run(both())) == [3, 7]  # type: ignore[type-var]
    assert env.now - began == timedelta(minutes=1)
    assert env.update(one, "checkout") == {"lines": {"mug": 1}, "costs": [3, 4]}


def test_an_exception_of_a_handler_is_the_failure_of_the_update_alone(env: TestEnvironment) -> None:
    one = env.start(cart)
    with pytest.raises(UpdateFailedError, match="KeyError: 'no receipt'") as failed:
        env.update(one, "refund", update_id="r")
    assert failed.value.update_id == "r"
    assert "update_programs.py:" in failed.value.failure.line
    with pytest.raises(UpdateFailedError, match="no price") as failed:
        env.update(one, "buy", "broken")
    assert failed.value.failure.is_caused_by(RuntimeError)
    assert env.status(one).runtime_status is RuntimeStatus.RUNNING
    with pytest.raises(UpdateFailedError, match="no receipt"):
        env.update(one, "refund", update_id="r")


def test_a_repeat_by_id_gets_the_recorded_answer_for_as_long_as_the_instance_is_kept(env: TestEnvironment) -> None:
    one = env.start(cart)
    for _ in range(3):
        assert env.update(one, "add", {"name": "mug"}, update_id="u") == 1
    env.suspend(one)
    assert env.update(one, "add", {"name": "mug"}, update_id="u") == 1
    env.resume(one)
    env.update(one, "checkout", update_id="c")
    assert env.result(one)["lines"] == {"mug": 1}
    assert env.update(one, "add", {"name": "mug"}, update_id="u") == 1
    with pytest.raises(InstanceCompletedError):
        env.update(one, "add", {"name": "mug"}, update_id="v")
    assert env.run(env.client.purge_instance_history(one))
    with pytest.raises(InstanceNotFoundError):
        env.update(one, "add", {"name": "mug"}, update_id="u")


def test_a_repeat_by_id_over_continue_as_new(env: TestEnvironment) -> None:
    one = env.start(rounds, 0)
    assert [env.update(one, "step", 1, update_id=f"u-{n}") for n in range(3)] == [1, 2, 3]
    assert [env.update(one, "step", 1, update_id=f"u-{n}") for n in range(3)] == [1, 2, 3]
    assert env.update(one, "step", 97) == 100
    assert env.result(one) == 100


def test_updates_that_come_together_are_carried_out_in_order_over_generations(env: TestEnvironment) -> None:
    one = env.start(rounds, 0)
    client = env.client

    async def all_of_them() -> list[object]:
        return list(await asyncio.gather(*(client.update(one, "step", 1, update_id=f"{n}") for n in range(30))))

    assert sorted(env.run(all_of_them())) == list(range(1, 31))  # type: ignore[type-var]


def test_an_update_that_is_not_answered_in_time_goes_on(env: TestEnvironment) -> None:
    one = env.start(patient)
    with pytest.raises(UpdateNotEndedError, match="again with update_id='w'") as late:
        env.update(one, "say", update_id="w", timeout=5)
    assert isinstance(late.value, TimeoutError)
    env.raise_event(one, "Word", "yes", after=timedelta(seconds=10))
    assert env.update(one, "say", update_id="w") == "yes"
    env.update(one, "close")
    assert env.result(one) == ["yes"]


def test_an_orchestrator_may_end_after_its_handlers(env: TestEnvironment) -> None:
    one = env.start(patient)
    with pytest.raises(UpdateNotEndedError):
        env.update(one, "say", update_id="w", timeout=0)
    env.update(one, "close")
    assert not env.status(one).is_terminal
    env.raise_event(one, "Word", "last")
    assert env.result(one) == ["last"]
    assert env.update(one, "say", update_id="w") == "last"


def test_an_update_whose_orchestrator_ends_first_fails(env: TestEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    one = env.start(hasty)
    with pytest.raises(UpdateNotEndedError):
        env.update(one, "slow", update_id="s", timeout=1)
    env.raise_event(one, "End")
    assert env.result(one) == "ended"
    with pytest.raises(UpdateFailedError, match="before the handler of update 'slow'") as failed:
        env.update(one, "slow", update_id="s")
    assert failed.value.failure.type == "UpdateAbandoned"
    assert "ctx.all_updates_ended" in caplog.text


def test_who_waits_is_told_when_the_orchestrator_ends_first(env: TestEnvironment) -> None:
    one = env.start(hasty)
    env.raise_event(one, "End", after=timedelta(seconds=5))
    with pytest.raises(UpdateFailedError, match="UpdateAbandoned"):
        env.update(one, "slow", timeout=100)


def test_instances_that_take_no_updates_say_so_at_once(env: TestEnvironment) -> None:
    with pytest.raises(InstanceNotFoundError):
        env.update("nobody", "add")
    one = env.start(cart)
    with pytest.raises(UnknownUpdateError, match="has no update 'ad'; it has: add, buy, checkout, refund") as unknown:
        env.update(one, "ad")
    assert unknown.value.known == ("add", "buy", "checkout", "refund", "wait_for_word")
    env.suspend(one)
    with pytest.raises(OperationRefusedError, match="is suspended and takes no updates"):
        env.update(one, "add", {"name": "mug"})
    env.terminate(one)
    with pytest.raises(InstanceCompletedError):
        env.update(one, "add", {"name": "mug"})


def test_an_instance_without_handlers_has_no_updates() -> None:
    @orchestrator
    def plain(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("Go")

    with TestEnvironment(plain) as env:
        one = env.start(plain)
        with pytest.raises(UnknownUpdateError, match="it has: none"):
            env.update(one, "add")


@pytest.mark.parametrize("name", ["", "x" * 257, "\ud800", 5, None])
def test_names_and_ids_are_checked(env: TestEnvironment, name: object) -> None:
    one = env.start(cart)
    with pytest.raises(InvalidInputError, match="the name of an update"):
        env.update(one, name)  # type: ignore[arg-type]
    if name is not None:
        with pytest.raises(InvalidInputError, match="the id of an update"):
            env.update(one, "add", {"name": "mug"}, update_id=name)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, "", False, [], {}, None, "ü" * 5000, "x" * 200_000, [None]])
def test_values_of_every_kind_come_back(value: object) -> None:
    @orchestrator
    def echoes(ctx: OrchestrationContext) -> Orchestration[None]:
        def echo(given: Any) -> Any:
            return given

        ctx.set_update_handler("écho/☃", echo)
        yield from ctx.wait_for_external_event("End")

    with TestEnvironment(echoes) as env:
        one = env.start(echoes)
        assert env.update(one, "écho/☃", value, update_id="ü/1") == value
        assert env.update(one, "écho/☃", "other", update_id="ü/1") == value


def test_an_update_that_is_under_way_is_shown(env: TestEnvironment) -> None:
    one = env.start(patient)
    with pytest.raises(UpdateNotEndedError):
        env.update(one, "say", update_id="w", timeout=0)
    row = next(row for row in env.run(env.client.timeline(one)).rows if row.kind == "update")
    assert (row.name, row.status, row.ended) == ("say", "Running", None)
    explained = env.run(env.client.explain(one))
    assert "1 update is under way: 'say' since" in explained.sentence.replace('"', "'")
    assert explained.details["updates"][0]["name"] == "say"
    env.raise_event(one, "Word", "yes")
    rows = [row for row in env.run(env.client.timeline(one)).rows if row.kind == "update"]
    assert [(row.name, row.status) for row in rows] == [("say", "Completed")]
    assert "under way" not in env.run(env.client.explain(one)).sentence


def test_a_failed_update_is_shown_with_the_line(env: TestEnvironment) -> None:
    one = env.start(cart)
    with pytest.raises(UpdateFailedError):
        env.update(one, "refund")
    row = next(row for row in env.run(env.client.timeline(one)).rows if row.kind == "update")
    assert row.status == "Failed"
    assert "update_programs.py:" in row.line


def test_at_most_forty_updates_are_under_way_and_more_are_refused(env: TestEnvironment) -> None:
    one = env.start(patient)
    client = env.client

    async def crowd() -> list[object]:
        sent = [asyncio.create_task(client.update(one, "say", timeout=600)) for _ in range(45)]
        await asyncio.sleep(60)
        for number in range(40):
            await client.raise_event(one, "Word", f"{number}")
        return await asyncio.gather(*sent, return_exceptions=True)

    answers = env.run(crowd())
    refused = [answer for answer in answers if isinstance(answer, UpdateRefusedError)]
    assert [error.failure.type for error in refused] == ["TooManyUpdates"] * 5
    assert sorted(answer for answer in answers if isinstance(answer, str)) == sorted(f"{n}" for n in range(40))


def test_updates_that_all_end_at_one_event_are_answered_in_one_commit() -> None:
    @orchestrator
    def gate(ctx: OrchestrationContext) -> Orchestration[None]:
        opened: list[bool] = []

        def pass_(name: str) -> Orchestration[str]:
            yield from ctx.wait_condition(lambda: opened)
            return name * 3000

        ctx.set_update_handler("pass", pass_)
        ctx.on_event("Open", opened.append)
        yield from ctx.wait_for_external_event("End")

    with TestEnvironment(gate) as env:
        one = env.start(gate)
        client = env.client

        async def all_of_them() -> list[object]:
            sent = [asyncio.create_task(client.update(one, "pass", f"{n}", timeout=600)) for n in range(40)]
            await asyncio.sleep(60)
            await client.raise_event(one, "Open", True)
            return list(await asyncio.gather(*sent))

        assert env.run(all_of_them()) == [f"{n}" * 3000 for n in range(40)]


def test_a_rewind_lets_a_handler_go_on_and_its_sender_ask_again() -> None:
    broken = [True]

    @orchestrator
    def fragile(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        words: list[str] = []

        def say(first: str) -> Orchestration[str]:
            second = yield from ctx.wait_for_external_event("Word", str)
            words.append(first + second)
            return first + second

        ctx.set_update_handler("say", say)
        yield from ctx.wait_for_external_event("Go")
        yield from ctx.call_activity(works)
        yield from ctx.wait_condition(lambda: words)
        return words

    @activity
    def works() -> None:
        if broken[0]:
            raise ValueError("broken")

    with TestEnvironment(fragile, works) as env:
        one = env.start(fragile)
        with pytest.raises(UpdateNotEndedError):
            env.update(one, "say", "a", update_id="u", timeout=0)
        env.raise_event(one, "Go")
        env.run_until_idle()
        with pytest.raises(UpdateFailedError, match="UpdateAbandoned"):
            env.update(one, "say", "a", update_id="u")
        broken[0] = False
        env.run(env.client.rewind(one))
        env.raise_event(one, "Word", "b")
        assert env.result(one) == ["ab"]
        assert env.update(one, "say", "a", update_id="u") == "ab"


def test_a_fork_leaves_the_updates_of_its_source_to_their_senders(env: TestEnvironment) -> None:
    one = env.start(patient)
    with pytest.raises(UpdateNotEndedError):
        env.update(one, "say", update_id="w", timeout=0)
    env.raise_event(one, "Word", "yes")
    forked = env.run(env.client.fork(one, until_event="Word"))
    env.raise_event(forked.instance_id, "Word", "no")
    assert env.update(one, "say", update_id="w") == "yes"
    env.update(forked.instance_id, "close")
    assert env.result(forked.instance_id) == ["no"]


def takes_two(_one: int, _two: int) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("", lambda: None), "the first argument is the name of the update"),
        (("a", 5), "must be a function"),
        (("a", takes_two), "must have one parameter, or none"),
        (("a", lambda: None, 5), "the validator of update 'a' must be a plain function"),
        (("a", lambda: None, takes_two), "the validator of update 'a' must be a plain function"),
    ],
)
def test_what_cannot_be_a_handler_fails_with_the_line(arguments: Any, problem: str) -> None:
    @orchestrator
    def wrong(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.set_update_handler(*arguments)
        yield from ctx.wait_for_external_event("End")

    with TestEnvironment(wrong) as env:
        with pytest.raises(Exception, match=problem) as failed:
            env.result(env.start(wrong))
        assert "test_updates.py:" in str(failed.value)


def test_a_validator_cannot_use_the_context() -> None:
    @orchestrator
    def sly(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.set_update_handler("do", lambda: 1, lambda: ctx.set_custom_status("asked"))
        yield from ctx.wait_for_external_event("End")

    with TestEnvironment(sly) as env:
        one = env.start(sly)
        with pytest.raises(UpdateRefusedError, match="used inside the validator of update 'do'"):
            env.update(one, "do")


def test_a_handler_that_yields_no_task_fails_its_update_alone() -> None:
    @orchestrator
    def odd(ctx: OrchestrationContext) -> Orchestration[str]:
        def bad() -> Orchestration[None]:
            yield 5  # type: ignore[misc]

        ctx.set_update_handler("bad", bad)
        return (yield from ctx.wait_for_external_event("End", str))

    with TestEnvironment(odd) as env:
        one = env.start(odd)
        with pytest.raises(UpdateFailedError, match="yielded 5, which is not a task"):
            env.update(one, "bad")
        env.raise_event(one, "End", "fine")
        assert env.result(one) == "fine"


def test_a_handler_may_end_what_the_orchestrator_waits_for() -> None:
    @orchestrator
    def sleeper(ctx: OrchestrationContext) -> Orchestration[str]:
        timer = ctx.create_timer(timedelta(days=1))
        ctx.set_update_handler("wake", timer.cancel)
        try:
            yield from timer
        except TaskCancelledError:
            return "woken"
        return "slept"

    with TestEnvironment(sleeper) as env:
        one = env.start(sleeper)
        env.update(one, "wake")
        assert env.status(one).output == "woken"


# ---------------------------------------------------------------- async def


@orchestrator
def reception(ctx: OrchestrationContext, spelling: str) -> Orchestration[list[str]]:
    """Takes updates whose handlers are coroutines, in an orchestrator of the other spelling."""
    told: list[str] = []

    async def price_of(name: str) -> int:
        cost = await ctx.call_activity(price, name)
        await ctx.create_timer(timedelta(minutes=1))
        told.append(f"{name} {spelling}")
        return cost

    async def stay() -> str:
        try:
            return await ctx.wait_for_external_event("Word", str)
        except TaskCancelledError:
            await ctx.call_activity(price, "undone")
            raise

    ctx.set_update_handler("price", price_of)
    ctx.set_update_handler("stay", stay, unfinished="abandon")
    ctx.set_update_handler("lazily", partial(price_of))
    yield from ctx.wait_for_external_event("End")
    return told


def test_a_handler_may_be_a_coroutine() -> None:
    with TestEnvironment(reception, price) as env:
        one = env.start(reception, "x")

        async def both() -> list[int]:
            return list(
                await asyncio.gather(*(env.client.update(one, "price", name, timeout=600) for name in ("a", "bc")))
            )

        assert env.run(both()) == [1, 2]
        assert env.update(one, "lazily", "def", timeout=600) == 3
        with pytest.raises(UpdateFailedError, match="no price"):
            env.update(one, "price", "broken")
        env.raise_event(one, "End")
        assert env.result(one) == ["a x", "bc x", "def x"]


def test_an_update_that_may_stay_unfinished_fails_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with TestEnvironment(reception, price) as env:
        one = env.start(reception, "x")
        with pytest.raises(UpdateNotEndedError):
            env.update(one, "stay", update_id="s", timeout=1)
        env.raise_event(one, "End")
        assert env.result(one) == []
        with pytest.raises(UpdateFailedError, match="before the handler of update 'stay'"):
            env.update(one, "stay", update_id="s")
        assert "was under way" not in caplog.text


def test_a_cancelled_orchestration_cancels_its_handlers_which_clean_up_and_answer() -> None:
    with TestEnvironment(reception, price) as env:
        one = env.start(reception, "x")
        with pytest.raises(UpdateNotEndedError):
            env.update(one, "stay", update_id="s", timeout=1)
        env.run(env.client.cancel(one, "enough"))
        status = env.run(env.client.wait_for_completion(one, 600))
        assert status.runtime_status == "Canceled"
        with pytest.raises(UpdateFailedError) as failed:
            env.update(one, "stay", update_id="s")
        assert failed.value.failure.is_caused_by(TaskCancelledError)
        assert [event["EventType"] for event in env.history(one)].count("TaskScheduled") == 1


def test_what_no_handler_can_be_is_refused_with_the_line() -> None:
    async def yields() -> AsyncGenerator[int]:
        yield 1

    def refused(fn: Any, policy: Any, problem: str) -> None:
        @orchestrator
        def wrong(ctx: OrchestrationContext) -> Orchestration[None]:
            ctx.set_update_handler("a", fn, unfinished=policy)
            yield from ctx.wait_for_external_event("End")

        with TestEnvironment(wrong) as env, pytest.raises(Exception, match=problem) as failed:
            env.result(env.start(wrong))
        assert "test_updates.py:" in str(failed.value)

    refused(yields, "warn", "is an async generator")
    refused(print, "no", "must be 'warn' or 'abandon'")
