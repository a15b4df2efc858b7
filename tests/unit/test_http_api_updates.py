"""POST /instances/{id}/updates/{name}: which answer each outcome of an update has."""

from __future__ import annotations

import pytest

from tests.support.http_world import World, error


@pytest.fixture
def world() -> World:
    world = World()
    world.client.add("o-1")
    return world


async def test_the_result_of_the_handler_is_the_answer(world: World) -> None:
    response = await world.call("POST", "instances/o-1/updates/echo?updateId=u-1&timeout=7", {"a": [1, None]})
    assert response.status == 200
    assert response.json() == {"a": [1, None]}
    assert world.client.calls[-1] == ("update", "o-1", {"a": [1, None]}, "u-1", 7.0)


async def test_a_request_without_a_body_gives_no_arguments_and_waits_for_a_minute(world: World) -> None:
    response = await world.call("POST", "instances/o-1/updates/echo")
    assert (response.status, response.json()) == (200, None)
    assert world.client.calls[-1] == ("update", "o-1", None, None, 60.0)
    await world.call("POST", "instances/o-1/updates/echo?timeout=9999")
    assert world.client.calls[-1][-1] == 200.0, "longer than a load balancer waits is no use"


async def test_an_update_that_goes_on_is_202_with_its_id(world: World) -> None:
    response = await world.call("POST", "instances/o-1/updates/waits?timeout=0")
    assert response.status == 202
    assert response.json()["updateId"] == "u"
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("instances/o-1/updates/refuses", 409, "UpdateRefused"),
        ("instances/o-1/updates/fails", 422, "UpdateFailed"),
        ("instances/o-1/updates/nothing", 404, "UnknownUpdate"),
        ("instances/o-2/updates/echo", 404, "InstanceNotFound"),
        ("instances/o-1/updates/echo?timeout=soon", 400, "InvalidInput"),
        ("instances/o-1/updates/echo?colour=red", 400, "InvalidInput"),
    ],
)
async def test_what_is_refused_says_so(world: World, path: str, status: int, code: str) -> None:
    response = await world.call("POST", path, 1)
    assert response.status == status
    assert error(response)["code"] == code


async def test_an_unknown_update_lists_those_there_are(world: World) -> None:
    response = await world.call("POST", "instances/o-1/updates/nothing")
    assert "echo, fails" in error(response)["message"]
