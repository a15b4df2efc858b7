"""The work of one storage operation in Azure: function calls of the adapter, which may only go down."""

from __future__ import annotations

import pytest

from benchmarks.azure_cpu import adapter_steps, bare_merge, cost
from durable_core.testing.azurite import Azurite

pytestmark = pytest.mark.azurite

TIMES = 100
MOST = {
    "merge": 1.3,
    "insert": 1.3,
    "get": 1.3,
    "range read": 1.7,
    "send": 1.3,
    "receive": 1.3,
    "delete message": 1.3,
    "delete": 1.3,
}
"""Function calls of each operation, as a multiple of those of a bare session for one merge (about 350)."""


async def test_an_operation_takes_little_more_than_its_request(azurite: Azurite) -> None:
    async with bare_merge(azurite) as step, adapter_steps(azurite, False, 2 * TIMES) as steps:
        bare = (await cost(step, TIMES)).calls
        calls = {name: (await cost(each, TIMES)).calls for name, each in steps.items()}
    assert steps.keys() == MOST.keys()
    over = {name: f"{count:.0f} calls, {count / bare:.2f} of bare" for name, count in calls.items()}
    assert not [name for name, count in calls.items() if count > MOST[name] * bare], over


async def test_the_switch_back_to_the_sdk_is_a_switch(azurite: Azurite) -> None:
    async with adapter_steps(azurite, True, 2 * TIMES) as steps, adapter_steps(azurite, False, 2 * TIMES) as own:
        assert (await cost(steps["get"], TIMES)).calls > 2 * (await cost(own["get"], TIMES)).calls
