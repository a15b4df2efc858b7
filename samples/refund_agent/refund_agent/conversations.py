"""Turns of the conversations: one orchestration each, one after the other for each customer."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from durable_core import (
    EntityId,
    JournalContext,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    activity,
    entity,
    orchestrator,
)
from durable_core.integrations.pydantic_ai import AgentAnswer, AgentTurn, converse, run_turn

from .agent import Customer, agent
from .mails import ask_a_manager


class Prompt(BaseModel):
    """What a customer says. session: the customer, who is the key of an entity."""

    session: str = Field(pattern=r"^[\w.@-]{1,100}$")
    text: str = Field(min_length=1, max_length=4_000)


def problem(error: Exception) -> str:
    """What is wrong with a request, in words of who has sent it."""
    if not isinstance(error, ValidationError):
        return str(error)
    names = {"session": "the customer", "text": "the prompt"}
    return "; ".join(f"{names.get(str(each['loc'][0]), '')}: {each['msg']}" for each in error.errors())


class CustomerTurn(AgentTurn):
    session: str


@entity
class Session:
    """The conversation with a customer."""

    history: list[Any] = field(default_factory=list)

    def messages(self) -> list[Any]:
        return self.history

    def keep(self, history: list[Any]) -> None:
        self.history = history


@activity(journal=True, retry=RetryPolicy(max_attempts=5))
async def run_refunds(ctx: JournalContext, turn: CustomerTurn) -> AgentAnswer:
    """Run the agent. Another attempt goes on behind the last model response and tool call that are recorded."""
    return await run_turn(agent, ctx, turn, deps=Customer(turn.session))


@orchestrator
def refunds(ctx: OrchestrationContext, prompt: Prompt) -> Orchestration[Any]:
    session = EntityId("session", prompt.session)
    with (yield from ctx.lock(session)):  # the next turn of this customer begins when this one has ended
        history = yield from ctx.call_entity(session, Session.messages)
        turn = CustomerTurn(prompt=prompt.text, history=history, session=prompt.session)
        answer = yield from converse(ctx, run_refunds, turn, ask=ask_a_manager)
        yield from ctx.call_entity(session, Session.keep, answer.history)
    return answer.output
