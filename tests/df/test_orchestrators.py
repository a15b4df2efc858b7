"""Orchestrators in the style of Durable Functions, in virtual time and replayed at every step."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import durable_core.df as df
from durable_core.errors import (
    ActivityFailedError,
    OrchestrationFailedError,
    RegistrationError,
    SerializationError,
    SubOrchestrationFailedError,
)
from durable_core.testing import TestEnvironment

Code = Callable[[df.DurableOrchestrationContext], Any]


class Card:
    """A class of an app, with the protocol of Durable Functions."""

    def __init__(self, number: str) -> None:
        self.number = number

    @staticmethod
    def to_json(card: Card) -> str:
        return card.number

    @staticmethod
    def from_json(data: str) -> Card:
        return Card(data)


class CardRefused(Exception):
    pass


def make_app(code: Code) -> df.DFApp:
    """An app with this orchestrator, named main, and some activities."""
    app = df.DFApp()

    @app.activity_trigger(input_name="value")
    def echo(value: Any) -> Any:
        return value

    @app.activity_trigger(input_name="value")
    async def echo_later(value: Any) -> Any:
        return value

    @app.activity_trigger(input_name="number")
    def refuse(number: str) -> None:
        raise CardRefused(f"card {number} is refused")

    @app.activity_trigger(input_name="card")
    def next_card(card: Card) -> Card:
        return Card(f"{card.number}!")

    @app.orchestration_trigger(context_name="context")
    def child(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        if context.get_input() == "fail":
            raise CardRefused("child fails")
        return [(yield context.call_activity("echo", context.get_input())), context.parent_instance_id]

    app.orchestration_trigger(context_name="context", orchestration="main")(code)
    assert echo and echo_later and refuse and next_card and child
    return app


def run(code: Code, value: Any = None, **options: Any) -> Any:
    with TestEnvironment(make_app(code).registry) as env:
        return env.result(env.start("main", value, **options))


def test_a_call_is_made_when_its_task_is_yielded_and_not_before() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        never, late = context.call_activity("refuse", "1"), context.call_activity("echo", "late")
        early = yield context.call_activity("echo", "early")
        return [early, (yield late), (yield late), late.result, never.is_completed, never.id, late.id]

    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main")
        assert env.result(instance) == ["early", "late", "late", "late", False, None, 2]
        assert [made.input for made in env.runs] == ["early", "late"]


def test_task_all_gives_the_results_in_order_and_any_the_task_itself() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        tasks = [context.call_activity(name, name) for name in ("echo", "echo_later", "echo")]
        results = yield context.task_all(tasks)
        pending, names = list(tasks), list[str]()
        while pending:
            winner = yield context.task_any(pending)
            assert winner == pending[0] and winner.is_completed and winner.get_result() == winner.result
            pending.remove(winner)
            names.append(winner.result)
        nested = yield context.task_all([context.task_any(tasks), context.task_all(tasks[1:])])
        return [results, names, nested[0] is tasks[0], nested[1]]

    names = ["echo", "echo_later", "echo"]
    assert run(main) == [names, names, True, names[1:]]


def test_no_tasks_at_all_end_at_once() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        none = context.task_all([])
        return [none.is_completed, (yield none), (yield context.task_any([]))]

    assert run(main) == [True, [], None]


def test_tasks_that_have_ended_make_a_combination_that_has_ended() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        one = context.call_activity("echo", 1)
        yield one
        both = context.task_all([one, one])
        return [both.is_completed, both.result, context.task_all([one, context.call_activity("echo", 2)]).is_completed]

    assert run(main) == [True, [1, 1], False]


def test_a_failed_activity_raises_with_reason_and_details_where_parsers_look_for_them() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        task = context.call_activity("refuse", "7")
        try:
            yield task
        except Exception as error:  # noqa: BLE001  as apps of Durable Functions do
            assert isinstance(error, ActivityFailedError) and error.is_caused_by("CardRefused")
            assert task.result is error and task.is_failed and task.is_completed
            return error.args[0]

    text = run(main)
    reason, details = text.split("\n")
    assert reason == "Activity function 'refuse' failed:  CardRefused: card 7 is refused "
    told = json.loads(details)
    assert told["Message"].split(":", 1)[1].lstrip() == "card 7 is refused"
    assert "raise CardRefused" in told["InnerException"]["RemoteStackTrace"]


def test_a_failed_child_raises_with_the_text_of_durable_functions() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        try:
            yield context.call_sub_orchestrator("child", "fail")
        except SubOrchestrationFailedError as error:
            return str(error).split("\n")[0]

    assert run(main) == "Orchestrator function 'child' failed: child fails "


def test_task_all_fails_with_the_first_failure_and_task_any_does_not_raise() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        bad, good = context.call_activity("refuse", "1"), context.create_timer(datetime(2100, 1, 1))
        both = context.task_all([good, bad])
        try:
            yield both
        except ActivityFailedError as error:
            winner = yield context.task_any([good, bad])
            return [error is bad.result, both.result is error, winner is bad, winner.is_failed]

    assert run(main) == [True, True, True, True]


def test_retries_make_the_given_number_of_attempts() -> None:
    options = df.RetryOptions(60_000, 3)

    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        with pytest.raises(ActivityFailedError):
            yield context.call_activity_with_retry("refuse", options, "1")
        started = context.current_utc_datetime
        try:
            yield context.call_sub_orchestrator_with_retry("child", options, "fail")
        except SubOrchestrationFailedError:
            return (context.current_utc_datetime - started).total_seconds()

    with TestEnvironment(make_app(main).registry) as env:
        assert env.result(env.start("main")) == pytest.approx(120, abs=1)
        assert len(env.runs) == 3


def test_a_child_knows_its_parent_and_may_have_an_id() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.call_sub_orchestrator("child", {"a": 1}, "child-1"))

    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main", instance_id="parent")
        assert env.result(instance) == [{"a": 1}, "parent"]
        assert env.status("child-1").parent_instance_id == "parent"


def test_timers_take_naive_times_as_utc_and_can_be_cancelled() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        begun = context.current_utc_datetime
        naive = (begun + timedelta(hours=1)).replace(tzinfo=None)
        timer, long = context.create_timer(naive), context.create_timer(begun + timedelta(days=9))
        winner = yield context.task_any([timer, long])
        long.cancel()
        with pytest.raises(ValueError, match=r"^Cannot cancel a completed task\.$"):
            timer.cancel()
        passed = (context.current_utc_datetime - begun).total_seconds()
        return [winner is timer, passed, long.is_cancelled, long.is_completed, timer.is_cancelled]

    assert run(main) == [True, pytest.approx(3600, abs=1), True, False, False]


def test_a_timer_that_is_cancelled_before_it_is_yielded_raises_there_and_never_began() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        timer = context.create_timer(datetime(2100, 1, 1))
        timer.cancel()
        try:
            yield timer
        except Exception as error:  # noqa: BLE001
            return type(error).__name__

    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main")
        assert env.result(instance) == "TaskCancelledError"
        assert "TimerCreated" not in {event["EventType"] for event in env.history(instance)}


def test_a_timer_of_no_time_is_refused_as_in_durable_functions() -> None:
    def main(context: df.DurableOrchestrationContext) -> list[Any]:
        wrong: Any = "tomorrow"
        with pytest.raises(ValueError, match="fireAt: Expected valid datetime object but got ") as caught:
            context.create_timer(wrong)
        return list(caught.value.args)

    assert run(main) == ["fireAt: Expected valid datetime object but got ", "tomorrow"]


def test_an_event_is_received_in_any_letter_case_also_after_a_timer_has_won() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        event = context.wait_for_external_event("Approval")
        rounds = 0
        while True:
            timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
            winner = yield context.task_any([event, timer])
            if winner == event:
                timer.cancel()
                return [rounds, event.result]
            rounds += 1

    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main")
        env.advance(timedelta(seconds=150))
        env.raise_event(instance, "approval", {"by": "ann"})
        assert env.result(instance) == [2, {"by": "ann"}]


def test_a_wait_that_lost_is_polled_with_is_completed() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        event = context.wait_for_external_event("go")
        yield context.task_any([event, context.call_activity("echo", 1)])
        before = event.is_completed
        yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
        return [before, event.is_completed, event.result]

    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main")
        env.advance(timedelta(seconds=1))
        env.raise_event(instance, "go", 5)
        assert env.result(instance) == [False, True, 5]


def test_continue_as_new_drops_unread_events_and_ends_the_code_where_it_waits_next() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        count = context.get_input()
        if count == 2:
            timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
            event = context.wait_for_external_event("go")
            winner = yield context.task_any([timer, event])
            return ["timer" if winner == timer else "event", context.will_continue_as_new]
        yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
        context.continue_as_new(count + 1)
        yield context.call_activity("refuse", "1")

    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main", 1)
        env.raise_event(instance, "go", 1)
        assert env.result(instance) == ["timer", False]
        assert env.runs == []


@pytest.mark.parametrize("value", [None, 3, {"a": [1]}, "text"])
def test_an_orchestrator_without_yield_ends_with_its_result(value: Any) -> None:
    def main(context: df.DurableOrchestrationContext) -> Any:
        return context.get_input()

    assert run(main, value) == value


def test_classes_of_the_app_pass_through_input_activities_children_events_and_status() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        card = context.get_input()
        assert isinstance(card, Card)
        after = yield context.call_activity("next_card", card)
        event = yield context.wait_for_external_event("card")
        context.set_custom_status([after])
        assert isinstance(after, Card) and isinstance(event["card"], Card)
        return [after, event["card"].number, (yield context.call_sub_orchestrator("child", {"c": after}))]

    stored = {"__class__": "Card", "__module__": __name__, "__data__": "1"}
    with TestEnvironment(make_app(main).registry) as env:
        instance = env.start("main", stored, instance_id="cards")
        env.raise_event(instance, "card", {"card": stored})
        after = stored | {"__data__": "1!"}
        assert env.result(instance) == [after, "1", [{"c": after}, "cards"]]
        assert env.status(instance).custom_status == [after]


def test_a_stored_name_of_a_class_that_the_app_does_not_name_fails_the_instance() -> None:
    def main(context: df.DurableOrchestrationContext) -> Any:
        return context.get_input()

    stored = {"__class__": "Popen", "__module__": "subprocess", "__data__": "true"}
    with pytest.raises(OrchestrationFailedError, match="class 'Popen' of module 'subprocess', which this app does not"):
        run(main, stored)


def test_the_context_has_the_attributes_of_durable_functions() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        ids = [context.new_uuid(), f"{context.new_guid()}", context.new_uuid()]
        context.set_custom_status("begun")
        yield context.call_activity("echo", 1)
        assert context.custom_status == "begun"
        kinds = [event.event_type.name for event in context.histories]
        names = [event.Name for event in context.histories if event.event_type.name == "TASK_SCHEDULED"]
        assert all(event.timestamp.utcoffset() == timedelta(0) for event in context.histories)
        assert context.current_utc_datetime.tzinfo is UTC
        assert vars(context.function_context) == {}
        return [len(set(ids)), context.instance_id, context.parent_instance_id, context.version, kinds, names]

    with TestEnvironment(make_app(main).registry) as env:
        seen = env.result(env.start("main", instance_id="i"))
    assert seen[:4] == [3, "i", None, None]
    assert seen[4] == ["ORCHESTRATOR_STARTED", "EXECUTION_STARTED", "TASK_SCHEDULED", "ORCHESTRATOR_COMPLETED"]
    assert seen[5] == ["echo"]


def test_is_replaying_lets_code_log_once() -> None:
    lines: list[str] = []

    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        for number in range(3):
            if not context.is_replaying:
                lines.append(f"{number}")
            yield context.call_activity("echo", number)

    run(main)
    assert lines == ["0", "1", "2"]


def test_an_instance_runs_with_any_version_and_reads_it() -> None:
    def main(context: df.DurableOrchestrationContext) -> Any:
        return context.version

    assert run(main, version="1.0.0") == "1.0.0"


def test_a_start_without_a_version_takes_that_of_host_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "host.json").write_text('{"extensions": {"durableTask": {"defaultVersion": "2.0"}}}')

    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        if context.get_input():
            return context.version
        child = yield context.call_sub_orchestrator("main", "child")
        other = yield context.call_sub_orchestrator("main", "child", None, "1.5")
        return [context.version, child, other]

    assert run(main) == ["2.0", "2.0", "1.5"]
    assert run(main, version="1.0") == ["1.0", "2.0", "1.5"]
    (tmp_path / "host.json").write_text('{"extensions": {"durableTask": {"defaultVersion": "2 0"}}}')
    with pytest.raises(RegistrationError, match=r"defaultVersion of host\.json has at most 64 letters"):
        run(main)


def test_names_may_be_the_decorated_functions() -> None:
    app = df.DFApp()

    @app.activity_trigger(input_name="value", activity="Twice")
    def twice(value: int) -> int:
        return 2 * value

    @app.function_name("Inner")
    @app.orchestration_trigger(context_name="context")
    def inner(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.call_activity(twice, 2))

    @app.orchestration_trigger(context_name="context")
    @app.function_name("Outer")
    def outer(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        one = yield context.call_sub_orchestrator(inner)
        with pytest.raises(ValueError, match="Received function with Trigger-type `orchestrationTrigger` but expected"):
            context.call_activity(inner)
        with pytest.raises(ValueError, match="received a `Callable` without an associated"):
            context.call_activity(make_app)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="function_name cannot be empty"):
            context.call_activity("")
        return one

    assert outer
    assert app.registry.orchestrator_names == ["Inner", "Outer"]
    with TestEnvironment(app.registry) as env:
        assert env.result(env.start("Outer")) == 4


def test_something_that_is_no_task_is_refused_with_what_to_do() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        yield [context.call_activity("echo", 1)]

    with pytest.raises(OrchestrationFailedError, match="to wait for several tasks"):
        run(main)

    def other(context: df.DurableOrchestrationContext) -> Any:
        context.task_all(["echo"])  # pyright: ignore[reportArgumentType]

    with pytest.raises(OrchestrationFailedError, match="task_all takes a list of tasks of the context, not 'echo'"):
        run(other)


def test_an_input_that_cannot_be_stored_raises_where_the_code_waits() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        task = context.call_activity("echo", {"a": object()})
        try:
            yield task
        except SerializationError as error:
            return [task.is_failed, "at a: " in str(error), "test_orchestrators.py:" in str(error)]

    assert run(main) == [True, True, True]


def test_the_code_of_a_class_may_raise_anything_and_only_its_instance_fails() -> None:
    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        texts: list[str] = []
        for make in (lambda: context.call_activity("echo", Broken()), lambda: context.set_custom_status(Broken())):
            try:
                make()
            except ZeroDivisionError as error:
                texts.append(str(error))
        try:
            yield context.call_activity("echo", {"__class__": "Broken", "__module__": __name__, "__data__": 1})
        except Exception as error:  # noqa: BLE001  as apps of Durable Functions do
            texts.append(str(error).partition("\n")[0])
        return Broken()

    with pytest.raises(OrchestrationFailedError, match="ZeroDivisionError: no JSON"):
        run(main)


class Broken:
    """A class whose methods raise."""

    def to_json(self) -> Any:
        raise ZeroDivisionError("no JSON")

    @staticmethod
    def from_json(data: Any) -> Any:
        raise SystemExit(data)


def test_a_task_of_another_instance_is_refused() -> None:
    kept: dict[str, Any] = {}

    def main(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        own = context.create_timer(datetime(2100, 1, 1))
        kept.setdefault(context.instance_id, own)
        yield own if context.instance_id == "first" else kept["first"]

    with TestEnvironment(make_app(main).registry) as env:
        env.start("main", instance_id="first")
        env.advance(timedelta(seconds=1))
        with pytest.raises(OrchestrationFailedError, match="not a task of this orchestrator"):
            env.result(env.start("main"))
