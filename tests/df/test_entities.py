"""Entities in the style of Durable Functions."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any
from unittest.mock import Mock, patch

import pytest

import durable_core.df as df
from durable_core.errors import EntityOperationFailedError, OrchestrationFailedError, RegistrationError
from durable_core.testing import TestEnvironment
from tests.df.apps import make_app, served
from tests.df.shapes import Point

app = df.DFApp()
PLACE = df.EntityId("Place", "Here")


@app.entity_trigger(context_name="entity", entity_name="Place")
def place(entity: df.DurableEntityContext) -> None:
    match entity.operation_name:
        case "add":
            seen = entity.get_state(list)
            entity.set_state([*seen, entity.get_input()])
        case "append":
            entity.get_state(list).append(entity.get_input())
        case "all":
            entity.set_result(entity.get_state())
        case "whoami":
            entity.set_result([entity.entity_name, entity.entity_key, entity.is_newly_constructed])
        case "fail":
            entity.set_state(["kept"])
            raise LookupError("it is not there")
        case "clear":
            entity.destruct_on_exit()
            assert entity.get_state() is None
        case "wrong":
            entity.destruct_on_exit()
            entity.get_state(7)  # pyright: ignore[reportArgumentType]
        case _:
            raise ValueError(f"no operation {entity.operation_name}")


@app.entity_trigger(context_name="context")
async def Tally(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + 1)


@app.orchestration_trigger(context_name="context")
def operate(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    results: list[Any] = []
    for operation, value in context.get_input():
        try:
            results.append((yield context.call_entity(PLACE, operation, value)))
        except EntityOperationFailedError as error:
            results.append(str(error))
    return results


def run(*operations: tuple[str, Any]) -> list[Any]:
    with TestEnvironment(app.registry) as env:
        return env.result(env.start("operate", operations))


def test_an_entity_is_made_when_it_is_first_used() -> None:
    assert run(("whoami", None), ("add", 1), ("whoami", None), ("all", None)) == [
        ["place", "Here", True],
        None,
        ["place", "Here", False],
        [1],
    ]


def test_a_failed_operation_has_the_text_of_its_exception_and_keeps_what_was_set() -> None:
    assert run(("fail", None), ("all", None), ("nope", None)) == ["it is not there", ["kept"], "no operation nope"]


def test_a_state_that_is_changed_in_place_is_kept_if_the_entity_exists() -> None:
    assert run(("append", 1), ("all", None), ("add", 1), ("append", 2), ("all", None)) == [
        None,
        None,
        None,
        None,
        [1, 2],
    ]


def test_an_entity_can_be_deleted() -> None:
    assert run(("add", 1), ("clear", None), ("all", None), ("whoami", None)) == [
        None,
        None,
        None,
        ["place", "Here", True],
    ]


def test_an_initializer_that_is_no_function_is_refused() -> None:
    assert run(("wrong", None)) == ["initializer argument needs to be a callable function"]


def test_objects_of_the_app_are_inputs_states_and_results() -> None:
    own = df.DFApp()

    @own.entity_trigger(context_name="context")
    def spot(context: df.DurableEntityContext) -> None:
        before = context.get_state(lambda: Point(0, 0))
        by = context.get_input()
        context.set_state(Point(before.x + by.x, before.y + by.y))
        context.set_result(context.get_state())

    @own.orchestration_trigger(context_name="context")
    def move(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        where = df.EntityId("spot", "1")
        yield context.call_entity(where, "by", Point(1, 1))
        point = yield context.call_entity(where, "by", Point(2, 3))
        assert isinstance(point, Point)
        return [point.x, point.y]

    assert spot and move
    with TestEnvironment(own.registry) as env:
        assert env.result(env.start("move")) == [3, 4]


def test_signals_are_sent_at_once_in_order_and_have_nothing_to_wait_for() -> None:
    own = df.DFApp()
    own.entity_trigger(context_name="entity", entity_name="place")(place.build().get_user_function().entity_function)  # pyright: ignore[reportFunctionMemberAccess]

    @own.orchestration_trigger(context_name="context")
    def signals(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        never = context.call_entity(PLACE, "fail")
        for number in range(40):
            context.signal_entity(PLACE, "add", number)
        nothing = yield context.signal_entity(PLACE, "add", 40)
        late = context.call_entity(PLACE, "all")
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
        assert nothing is None and not never.is_scheduled
        return (yield late)

    assert signals
    with TestEnvironment(own.registry) as env:
        assert env.result(env.start("signals")) == list(range(41))


def test_what_is_no_entity_id_is_refused() -> None:
    own = df.DFApp()

    @own.orchestration_trigger(context_name="context")
    def wrong(context: df.DurableOrchestrationContext) -> Any:
        context.call_entity("@place@1", "add")  # pyright: ignore[reportArgumentType]

    assert wrong
    with (
        TestEnvironment(own.registry) as env,
        pytest.raises(OrchestrationFailedError, match=r"entityId must be an EntityId\(name, key\), not '@place@1'"),
    ):
        env.result(env.start("wrong"))


def test_an_entity_id_is_that_of_durable_functions() -> None:
    entity_id = df.EntityId("Counter", "a")
    assert (str(entity_id), entity_id.name, entity_id.key) == ("@counter@a", "Counter", "a")
    assert df.EntityId.get_entity_id("@counter@a") == df.EntityId("counter", "a") != entity_id
    assert len({entity_id, df.EntityId("Counter", "a")}) == 1
    assert df.EntityId.get_entity_id_url_path(entity_id) == "entities/Counter/a"
    for name, key, text in (("", "a", "Entity name cannot be empty"), ("a", "", "Entity key cannot be empty")):
        with pytest.raises(ValueError, match=f"^{text}$"):
            df.EntityId(name, key)
    with pytest.raises(ValueError, match=r"^Unexpected format in SchedulerId$"):
        df.EntityId.get_entity_id("@a@b@c")


def generates(context: Any) -> Generator[Any, Any, None]:
    yield context


def takes_another(other: Any) -> None: ...


def fits(context: Any) -> None: ...


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        (generates, "x", "an entity is no generator function"),
        (takes_another, "x", "has no parameter 'context'"),
        (fits, "9", "'9' cannot name an entity"),
    ],
)
def test_entities_that_do_not_fit_are_refused(code: Any, name: str, text: str) -> None:
    own = df.DFApp()
    own.entity_trigger(context_name="context", entity_name=name)(code)
    with pytest.raises(RegistrationError, match=text):
        assert own.registry


def test_a_unit_test_reaches_the_function_of_an_entity() -> None:
    with patch("durable_core.df.DurableEntityContext") as context:
        context.operation_name = "add"
        context.get_input = Mock(return_value=2)
        context.get_state = Mock(return_value=[1])
        built: Any = place.build().get_user_function()
        built.entity_function(context)
    context.set_state.assert_called_once_with([1, 2])


async def test_the_client_signals_and_reads() -> None:
    own = make_app()
    own.entity_trigger(context_name="entity", entity_name="Place")(place.build().get_user_function().entity_function)  # pyright: ignore[reportFunctionMemberAccess]
    async with served(own) as host:
        client = df.DurableOrchestrationClient(host.durable)
        found = await client.read_entity_state(PLACE)
        assert (found.entity_exists, found.entity_state) == (False, None)
        for number in range(3):
            await client.signal_entity(PLACE, "add", number, host.durable.settings.hub)
        await host.drain()
        found = await client.read_entity_state(PLACE)
        assert (found.entity_exists, found.entity_state) == (True, [0, 1, 2])
        with pytest.raises(ValueError, match="reaches no other one"):
            await client.read_entity_state(PLACE, "other")
        assert await client.get_status_all() == []
