"""The model of the agent: a real one where a key is set, else a script that follows a few rules, without a network."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

DEFAULT_MODEL = "openai:gpt-5-mini"


def chosen_model() -> Model | str:
    """The model that ``AGENT_MODEL`` names, such as ``anthropic:claude-sonnet-4-5``; the default if only
    ``OPENAI_API_KEY`` is set; the script if neither is."""
    if name := os.environ.get("AGENT_MODEL"):
        return name
    if os.environ.get("OPENAI_API_KEY"):
        return DEFAULT_MODEL
    return FunctionModel(_respond, stream_function=_stream, model_name="script")


def _next(messages: list[ModelMessage]) -> str | tuple[str, dict[str, Any]]:
    """What the script says next: a text, or the name of a tool and its arguments."""
    prompt, results = _since_the_prompt(messages)
    wanted = re.search(r"order-\d+", prompt)
    if wanted is None:
        return "Which order is it? Please name it, such as order-1."
    if not results:
        return "find_orders", {}
    last = results[-1]
    if last.tool_name == "find_orders":
        orders = last.content if isinstance(last.content, list) else []
        found: list[Any] = [order for order in map(_as_dict, orders) if order["id"] == wanted[0]]
        if not found:
            return f"I cannot find {wanted[0]} among your orders."
        return "pay_back", {"order_id": wanted[0], "cents": found[0]["cents"] - found[0]["refunded"]}
    if last.content == f"paid back {_cents(last.content)} cents of {wanted[0]}":
        return f"Done: {_cents(last.content) / 100:.2f} for {wanted[0]} are on their way to you."
    return f"I am sorry, {wanted[0]} is not paid back: {last.content}"


def _since_the_prompt(messages: list[ModelMessage]) -> tuple[str, list[ToolReturnPart]]:
    prompt, results = "", list[ToolReturnPart]()
    for message in messages:
        for part in message.parts if isinstance(message, ModelRequest) else ():
            if isinstance(part, UserPromptPart):
                prompt, results = str(part.content), []
            elif isinstance(part, ToolReturnPart):
                results.append(part)
    return prompt, results


def _as_dict(order: Any) -> dict[str, Any]:
    return order if isinstance(order, dict) else order.model_dump()


def _cents(content: object) -> int:
    found = re.search(r"paid back (\d+) cents", str(content))
    return int(found[1]) if found else 0


async def _respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    said = _next(messages)
    if isinstance(said, str):
        return ModelResponse(parts=[TextPart(said)])
    return ModelResponse(parts=[ToolCallPart(said[0], said[1], tool_call_id=f"call-{len(messages)}")])


async def _stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    said = _next(messages)
    if isinstance(said, str):
        for word in re.findall(r"\S+\s*", said):
            yield word
    else:
        yield {0: DeltaToolCall(said[0], json.dumps(said[1]), tool_call_id=f"call-{len(messages)}")}
