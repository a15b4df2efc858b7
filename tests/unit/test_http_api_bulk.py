"""``POST /bulk``: what is read of its body, and that nothing in it is ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from durable_core.models import RuntimeStatus
from tests.support.http_world import World, error


@pytest.fixture
def world() -> World:
    return World()


async def test_a_bulk_operation_is_begun_with_the_filter_of_a_list(world: World) -> None:
    chosen = {
        "instanceIdPrefix": "order-",
        "runtimeStatus": ["Running", "pending"],
        "createdTimeFrom": "2025-01-31T13:00:00+01:00",
    }
    begun = await world.call("POST", "bulk", {"action": "terminate", "filter": chosen, "reason": "over"})
    assert begun.status == 202
    assert begun.json()["id"] == "durable.bulk:1"
    [(_, action, asked)] = world.client.calls
    assert (action, asked["reason"], asked["all"], asked["event_name"]) == ("terminate", "over", False, "")
    assert asked["runtime_status"] == [RuntimeStatus.RUNNING, RuntimeStatus.PENDING]
    assert asked["created_time_from"] == datetime(2025, 1, 31, 12, tzinfo=UTC)
    assert (asked["created_time_to"], asked["instance_id_prefix"]) == (None, "order-")


async def test_an_event_and_its_data_go_along(world: World) -> None:
    purge = {"action": "purge", "filter": {"name": "order"}, "recursive": True}
    assert (await world.call("POST", "bulk", purge)).status == 202
    [(_, _, asked)] = world.client.calls
    assert (asked["recursive"], asked["all"]) == (True, False)
    world.client.calls.clear()
    body = {"action": "raiseEvent", "all": True, "eventName": "Go", "data": {"by": [1, None]}}
    assert (await world.call("POST", "bulk", body)).status == 202
    [(_, _, asked)] = world.client.calls
    assert (asked["event_name"], asked["event_data"], asked["all"]) == ("Go", {"by": [1, None]}, True)


async def test_a_dry_run_shows_what_would_be_touched(world: World) -> None:
    world.client.add("o-1")
    shown = await world.call("POST", "bulk", {"action": "terminate", "all": True, "dryRun": True})
    assert (shown.status, shown.json()) == (
        200,
        {
            "matched": 1,
            "isComplete": True,
            "sample": [
                {
                    "instanceId": "o-1",
                    "name": "order",
                    "runtimeStatus": "Running",
                    "createdTime": "2025-01-31T12:00:00Z",
                }
            ],
        },
    )
    assert [call[0] for call in world.client.calls] == ["preview"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({}, "has no 'action'"),
        ({"action": 7}, "wrong type"),
        ({"action": "eat", "all": True}, "the action must be"),
        ({"action": "terminate", "filter": "all"}, "wrong type"),
        ({"action": "terminate", "dryrun": True}, "unknown key 'dryrun'"),
        ({"action": "terminate", "dryRun": "yes"}, "wrong type"),
        ({"action": "terminate", "all": 1}, "wrong type"),
        ({"action": "terminate", "filter": {"runtimestatus": "Failed"}}, "'runtimestatus' is not a filter"),
        ({"action": "terminate", "filter": {"colour": "red"}}, "'colour' is not a filter"),
        ({"action": "terminate", "filter": {"top": "1"}}, "'top' is not a filter"),
        ({"action": "terminate", "filter": {"showInput": True}}, "'showInput' is not a filter"),
        ({"action": "terminate", "filter": {"code": "x"}}, "'code' is not a filter"),
        ({"action": "terminate", "filter": {"instanceIdPrefix": ""}}, "is empty"),
        ({"action": "terminate", "filter": {"instanceIdPrefix": None}}, "must be a text"),
        ({"action": "terminate", "filter": {"instanceIdPrefix": 7}}, "must be a text"),
        ({"action": "terminate", "filter": {"runtimeStatus": []}}, "is empty"),
        ({"action": "terminate", "filter": {"runtimeStatus": ["Running", "Runing"]}}, "must be one or more of"),
        ({"action": "terminate", "filter": {"createdTimeFrom": "yesterday"}}, "must be a time"),
        ({"action": "terminate", "filter": {"createdTimeFrom": " "}}, "is empty"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_nothing_is_asked_of_the_client(
    world: World, body: Any, complaint: str
) -> None:
    refused = await world.call("POST", "bulk", b"null" if body is None else body)
    assert (refused.status, error(refused)["code"]) == (400, "InvalidInput")
    assert complaint in error(refused)["message"]
    assert world.client.calls == []


async def test_two_values_of_a_filter_that_takes_one_are_refused_or_narrow_it(world: World) -> None:
    """A list of prefixes must not become the last one alone."""
    refused = await world.call(
        "POST", "bulk", {"action": "terminate", "filter": {"instanceIdPrefix": ["order-", "invoice-"]}}
    )
    assert refused.status == 400
    assert world.client.calls == []
