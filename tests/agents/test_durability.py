"""The capability in a journaled activity: what is a step, and what a run repeats that goes on behind any of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import ModelFallback
from pydantic_ai.exceptions import ModelHTTPError, ModelRetry, UserError
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.test import TestModel
from pydantic_ai.toolsets import DynamicToolset, FunctionToolset

from durable_core import JournalContext, RetryPolicy, activity
from durable_core.errors import StepFailedError
from durable_core.integrations.pydantic_ai import DurableCoreDurability, StepOptions, durable_run, idempotency_key
from durable_core.testing import ActivityEnvironment

from .scripted import Effects, Said, scripted, tool


def shop_agent(effects: Effects, *said: Said, **options: Any) -> Agent[object, str]:
    """An agent with three tools: one that says what it was asked, one that fails once, and one without a step."""
    agent = Agent(scripted(effects, *said), name="shop", capabilities=[DurableCoreDurability(**options)])

    @agent.tool_plain
    async def look(item: str) -> str:
        effects["look"] += 1
        await asyncio.sleep(0)
        return f"{item}: 3"

    @agent.tool
    def buy(ctx: RunContext[object], item: str) -> str:
        effects["buy"] += 1
        return idempotency_key(ctx)

    @agent.tool_plain
    def refuse(item: str) -> str:
        effects["refuse"] += 1
        raise ModelRetry(f"there is no {item}")

    @agent.tool_plain(metadata={"durable_core": False})
    def price(item: str) -> int:
        effects["price"] += 1
        return 5

    return agent


def of(agent: Agent[object, Any]) -> Any:
    @activity(journal=True)
    async def run(ctx: JournalContext, prompt: str) -> Any:
        with durable_run(ctx):
            return (await agent.run(prompt)).output

    return run


LONG: tuple[Said, ...] = (
    [tool("look", item="mug"), tool("look", "second", item="lamp"), tool("buy", item="mug")],
    [tool("refuse", item="hat")],
    "bought a mug",
)


async def test_a_run_that_goes_on_behind_any_step_repeats_nothing_that_is_recorded() -> None:
    effects = Effects()
    whole = ActivityEnvironment()
    assert await whole.run(of(shop_agent(effects, *LONG)), "go") == "bought a mug"
    once = Effects(effects)
    assert once == {"model": 3, "look": 2, "buy": 1, "refuse": 1}
    assert len(whole.steps) == 7
    for count in range(len(whole.steps) + 1):
        effects.clear()
        rest = ActivityEnvironment(recorded=whole.steps[:count])
        assert await rest.run(of(shop_agent(effects, *LONG)), "go") == "bought a mug"
        assert effects.total() == len(whole.steps) - count
        assert [(step.name, step.key) for step in rest.steps] == [(step.name, step.key) for step in whole.steps]


async def test_the_names_and_keys_of_steps_are_those_that_are_stored() -> None:
    """A change here makes the runs that are under way repeat their steps (ADR 48)."""
    env = ActivityEnvironment(idempotency_key="execution-0-1")
    await env.run(of(shop_agent(Effects(), *LONG)), "go")
    tools = "shop__function_toolset__<agent>.call_tool"
    assert sorted((step.name, step.key) for step in env.steps) == [
        (f"{tools}:buy", "execution-0-1:1/call-buy"),
        (f"{tools}:look", "execution-0-1:1/call-look"),
        (f"{tools}:look", "execution-0-1:1/second"),
        (f"{tools}:refuse", "execution-0-1:1/call-refuse"),
        ("shop__model.request", "execution-0-1:1"),
        ("shop__model.request", "execution-0-1:1#2"),
        ("shop__model.request", "execution-0-1:1#3"),
    ]


async def test_concurrent_tool_calls_that_ended_in_another_order_keep_their_results() -> None:
    effects = Effects()
    whole = ActivityEnvironment()
    await whole.run(of(shop_agent(effects, *LONG)), "go")
    first, *calls = whole.steps[:4]
    for lost in range(3):
        effects.clear()
        rest = ActivityEnvironment(recorded=[first, *(calls[:lost] + calls[lost + 1 :])])
        assert await rest.run(of(shop_agent(effects, *LONG)), "go") == "bought a mug"
        assert effects["look"] + effects["buy"] == 1


async def test_outside_of_durable_run_nothing_is_recorded() -> None:
    effects = Effects()
    agent = shop_agent(effects, *LONG)
    assert (await agent.run("go")).output == "bought a mug"
    assert effects["model"] == 3


async def test_a_tool_whose_metadata_is_false_has_no_step_and_runs_again() -> None:
    effects = Effects()
    said: tuple[Said, ...] = ([tool("price", item="mug")], "5")
    whole = ActivityEnvironment()
    assert await whole.run(of(shop_agent(effects, *said)), "go") == "5"
    assert [step.name for step in whole.steps] == ["shop__model.request"] * 2
    await ActivityEnvironment(recorded=whole.steps).run(of(shop_agent(effects, *said)), "go")
    assert effects == {"model": 2, "price": 2}


async def test_a_tool_gets_the_same_idempotency_key_when_its_step_runs_again() -> None:
    effects, keys = Effects(), list[str]()
    agent = Agent(
        scripted(effects, [tool("buy", "1", item="mug"), tool("buy", "2", item="mug")], "bought"),
        name="shop",
        capabilities=[DurableCoreDurability()],
    )

    @agent.tool
    def buy(ctx: RunContext[object], item: str) -> str:
        keys.append(idempotency_key(ctx))
        return item

    whole = ActivityEnvironment()
    await whole.run(of(agent), "go")
    await ActivityEnvironment(recorded=whole.steps[:1]).run(of(agent), "go")
    assert len(set(keys[:2])) == 2
    assert sorted(keys[:2]) == sorted(keys[2:])


async def test_retry_and_timeout_are_those_of_the_tool_else_of_the_capability() -> None:
    effects, slow = Effects(), asyncio.Event()
    policy = RetryPolicy(max_attempts=3, first_interval=timedelta(0))
    agent = Agent(
        scripted(effects, [tool("flaky")], [tool("stuck")], "never"),
        name="shop",
        capabilities=[DurableCoreDurability(tool={"retry": policy}, model={"retry": policy})],
    )

    @agent.tool_plain
    async def flaky() -> str:
        effects["flaky"] += 1
        if effects["flaky"] < 3:
            raise ConnectionError("the shop does not answer")
        return "at last"

    @agent.tool_plain(metadata={"durable_core": {"timeout": timedelta(milliseconds=20), "retry": None}})
    async def stuck() -> str:
        effects["stuck"] += 1
        await slow.wait()
        return "too late"

    with pytest.raises(StepFailedError, match="stuck"):
        await ActivityEnvironment().run(of(agent), "go")
    assert effects == {"model": 2, "flaky": 3, "stuck": 1}


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"retries": 3}, "no option 'retries'"), ({"timeout": 5}, "'timeout' of a step is a timedelta, not 5")],
)
async def test_an_option_that_a_step_has_not_is_refused(options: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        DurableCoreDurability[object](tool=options)
    agent = Agent(scripted(Effects(), [tool("look")], "never"), name="shop", capabilities=[DurableCoreDurability()])

    @agent.tool_plain(metadata={"durable_core": options})
    def look() -> str:
        return "3"

    with pytest.raises(UserError, match=problem):
        await ActivityEnvironment().run(of(agent), "go")


async def test_the_tools_of_a_dynamic_toolset_are_listed_and_called_in_steps() -> None:
    effects = Effects()

    def tools(ctx: RunContext[object]) -> FunctionToolset[object]:
        effects["listed"] += 1
        found = FunctionToolset[object](id="inner")

        @found.tool_plain
        def look(item: str) -> str:
            effects["look"] += 1
            return item

        return found

    agent = Agent(
        scripted(effects, [tool("look", item="mug")], "seen"),
        name="shop",
        toolsets=[DynamicToolset(tools, id="of_the_day")],
        capabilities=[DurableCoreDurability()],
    )
    whole = ActivityEnvironment()
    assert await whole.run(of(agent), "go") == "seen"
    assert {step.name for step in whole.steps} == {
        "shop__model.request",
        "shop__dynamic_toolset__of_the_day.get_tools",
        "shop__dynamic_toolset__of_the_day.call_tool:look",
    }
    effects.clear()
    assert await ActivityEnvironment(recorded=whole.steps).run(of(agent), "go") == "seen"
    assert not effects


async def test_the_tools_of_an_mcp_server_are_listed_and_called_in_steps() -> None:
    effects, server = Effects(), MCPServer("stock")

    @server.tool()
    def look(item: str) -> str:
        """How many there are."""
        effects["look"] += 1
        return f"{item}: 3"

    agent = Agent(
        scripted(effects, [tool("look", item="mug")], "3 mugs"),
        name="shop",
        toolsets=[MCPToolset(server, id="stock")],
        capabilities=[DurableCoreDurability()],
    )
    whole = ActivityEnvironment()
    assert await whole.run(of(agent), "go") == "3 mugs"
    assert [step.name for step in whole.steps] == [
        "shop__mcp_server__stock.get_tools",
        "shop__model.request",
        "shop__mcp_server__stock.call_tool",
        "shop__model.request",
    ]
    assert effects == {"model": 2, "look": 1}
    effects.clear()
    assert await ActivityEnvironment(recorded=whole.steps).run(of(agent), "go") == "3 mugs"
    assert not effects


async def test_an_agent_that_a_tool_runs_is_part_of_the_step_of_the_tool() -> None:
    effects = Effects()
    expert = shop_agent(effects, [tool("look", item="mug")], "3 mugs")
    agent = Agent(scripted(effects, [tool("ask")], "told"), name="boss", capabilities=[DurableCoreDurability()])

    @agent.tool_plain
    async def ask() -> str:
        return (await expert.run("how many?")).output

    whole = ActivityEnvironment()
    assert await whole.run(of(agent), "go") == "told"
    assert [step.name.partition("__")[0] for step in whole.steps] == ["boss"] * 3
    assert effects == {"model": 4, "look": 1}
    effects.clear()
    assert await ActivityEnvironment(recorded=whole.steps).run(of(agent), "go") == "told"
    assert not effects


async def test_runs_at_the_same_time_in_one_activity_have_steps_of_their_own() -> None:
    effects = Effects()
    agent = shop_agent(effects, [tool("look", item="mug")], "3 mugs")

    @activity(journal=True)
    async def both(ctx: JournalContext, prompt: str) -> list[str]:
        with durable_run(ctx):
            runs = await asyncio.gather(agent.run(prompt), agent.run(prompt))
        return [run.output for run in runs]

    whole = ActivityEnvironment()
    assert await whole.run(both, "go") == ["3 mugs"] * 2
    assert len({(step.name, step.key) for step in whole.steps}) == len(whole.steps) == 6
    effects.clear()
    assert await ActivityEnvironment(recorded=whole.steps[:3]).run(both, "go") == ["3 mugs"] * 2
    assert effects.total() == 3


async def test_an_error_of_the_model_leaves_the_run_and_the_next_attempt_asks_again() -> None:
    effects = Effects()
    agent = shop_agent(effects, [tool("look", item="mug")], ModelHTTPError(503, "script"))
    first = ActivityEnvironment()
    with pytest.raises(ModelHTTPError) as raised:
        await first.run(of(agent), "go")
    assert raised.value.status_code == 503
    again = ActivityEnvironment(recorded=first.steps)
    assert await again.run(of(shop_agent(effects, [tool("look", item="mug")], "3 mugs")), "go") == "3 mugs"
    assert effects == {"model": 3, "look": 1}


async def test_a_fallback_model_is_taken_again_when_the_failure_is_recorded() -> None:
    effects = Effects()
    spare = scripted(effects, [tool("look")], "3 mugs", name="spare")
    agent = Agent(
        scripted(effects, ModelHTTPError(503, "script"), ModelHTTPError(503, "script")),
        name="shop",
        capabilities=[ModelFallback("spare"), DurableCoreDurability(models={"spare": spare})],
    )

    @agent.tool_plain
    def look() -> str:
        effects["look"] += 1
        return "3"

    whole = ActivityEnvironment()
    assert await whole.run(of(agent), "go") == "3 mugs"
    made = Effects(effects)
    assert made["look"] == 1
    effects.clear()
    assert await ActivityEnvironment(recorded=whole.steps).run(of(agent), "go") == "3 mugs"
    assert not effects


async def test_a_model_that_is_not_registered_is_refused() -> None:
    agent = shop_agent(Effects(), "hello")

    @activity(journal=True)
    async def run(ctx: JournalContext, prompt: str) -> str:
        with durable_run(ctx):
            return (await agent.run(prompt, model=TestModel(call_tools=[]))).output

    with pytest.raises(UserError, match="models="):
        await ActivityEnvironment().run(run, "go")


async def test_the_time_limit_of_a_run_counts_from_its_first_start() -> None:
    agent = shop_agent(Effects(), "hello")

    @activity(journal=True)
    async def run(ctx: JournalContext, prompt: str) -> str:
        with durable_run(ctx):
            return (await agent.run(prompt, timeout=600)).output

    env = ActivityEnvironment()
    assert await env.run(run, "go") == "hello"
    assert [step.name for step in env.steps] == ["shop__run_start_time", "shop__model.request"]


async def test_a_handler_of_events_is_told_each_once() -> None:
    effects = Effects()

    async def handle(ctx: RunContext[object], events: Any) -> None:
        async for event in events:
            effects[event.event_kind] += 1

    said: tuple[Said, ...] = ([tool("look", item="mug")], "3 mugs")
    whole = ActivityEnvironment()
    await whole.run(of(shop_agent(effects, *said, event_stream_handler=handle)), "go")
    assert effects["function_tool_call"] == effects["function_tool_result"] == 1
    assert effects["part_start"] == 2
    effects.clear()
    await ActivityEnvironment(recorded=whole.steps).run(
        of(shop_agent(effects, *said, event_stream_handler=handle)), "go"
    )
    assert not effects


def test_the_options_of_a_step_are_typed() -> None:
    options: StepOptions = {"timeout": timedelta(seconds=1)}
    assert DurableCoreDurability[object](model=options).engine_spec.tool_config_key == "durable_core"
