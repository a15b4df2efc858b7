"""An agent of pydantic-ai whose run survives its host, and that asks a person before it pays a large sum back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from durable_core import DurableClient, JournalContext, Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.integrations.pydantic_ai import (
    AgentAnswer,
    AgentTurn,
    DurableCoreDurability,
    Question,
    converse,
    idempotency_key,
    run_turn,
)

PAID: dict[str, int] = {}
MAILS: list[Question] = []


async def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Stands for a real model, such as ``Agent("openai:gpt-5-mini", ...)``."""
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        return ModelResponse(parts=[TextPart(f"It is done: {last.content}.")])
    return ModelResponse(parts=[ToolCallPart("pay_back", {"order": "o-17", "cents": 24_900})])


agent = Agent(
    FunctionModel(script),
    name="refunds",
    output_type=[str, DeferredToolRequests],
    capabilities=[DurableCoreDurability(tool={"timeout": timedelta(seconds=5)})],
)


@agent.tool
async def pay_back(ctx: RunContext[object], order: str, cents: int) -> str:
    if cents > 10_000 and not ctx.tool_call_approved:
        raise ApprovalRequired
    PAID[idempotency_key(ctx)] = cents  # a second run of this call does nothing more
    return f"{cents} cents of {order} are paid back"


@activity(journal=True)
async def run_refunds(ctx: JournalContext, turn: AgentTurn) -> AgentAnswer:
    return await run_turn(agent, ctx, turn)


@activity
def ask_by_mail(questions: list[Question]) -> None:
    """Stands for a mail to a manager: whoever has the URL decides, once, without a key."""
    MAILS.extend(questions)


@orchestrator
def refund(ctx: OrchestrationContext, prompt: str) -> Orchestration[Any]:
    answer = yield from converse(ctx, run_refunds, AgentTurn(prompt=prompt), ask=ask_by_mail)
    return answer.output


async def example(client: DurableClient) -> None:
    MAILS.clear()
    PAID.clear()
    instance_id = await client.start_new(refund, client_input="I want my money back for o-17")
    while not MAILS:
        await client.wait_for_completion(instance_id, timeout=0.1)
    assert not PAID
    assert MAILS[0].call.arguments == {"order": "o-17", "cents": 24_900}

    # What the manager's click does: curl -X POST -H 'Content-Type: application/json' -d '{"approved": true}' URL
    await client.complete_callback(MAILS[0].url, {"approved": True})
    status = await client.wait_for_completion(instance_id, timeout=30)
    assert status.output == "It is done: 24900 cents of o-17 are paid back."
    assert list(PAID.values()) == [24_900]
    assert status.custom_status["usage"]["requests"] == 2
