"""Models that follow a script and count what was asked of them, and the journals that tests keep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

Said: TypeAlias = "str | Sequence[ToolCallPart] | Exception"
"""What a model says: a text, calls of tools, or an error."""


class Effects(Counter[str]):
    """How often each thing was done in the world: ``model`` and the names of tools."""


def tool(name: str, id: str = "", **arguments: Any) -> ToolCallPart:
    """A call of a tool by a model."""
    return ToolCallPart(name, arguments, tool_call_id=id or f"call-{name}")


def scripted(
    effects: Effects, *said: Said, at: Callable[[], object] = lambda: None, name: str = "script"
) -> FunctionModel:
    """A model that says these things, one for each of its responses in the history.

    at: is called at each request before the model answers.
    """

    def next_of(messages: list[ModelMessage]) -> Said:
        effects["model"] += 1
        at()
        return said[sum(isinstance(message, ModelResponse) for message in messages)]

    async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        what = next_of(messages)
        if isinstance(what, Exception):
            raise what
        return ModelResponse(parts=[TextPart(what)] if isinstance(what, str) else list(what))

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        what = next_of(messages)
        if isinstance(what, Exception):
            raise what
        if isinstance(what, str):
            for index, word in enumerate(what.split(" ")):
                yield f" {word}" if index else word
            return
        for index, call in enumerate(what):
            yield {index: DeltaToolCall(call.tool_name, json.dumps(call.args), tool_call_id=call.tool_call_id)}

    return FunctionModel(respond, stream_function=stream, model_name=name)
