"""The agent as a tool of other agents: what the Model Context Protocol asks of a server with one tool."""

from __future__ import annotations

from typing import Any

from durable_core import DurableClient, RuntimeStatus
from durable_core.errors import InvalidInputError

from .conversations import Prompt, problem, refunds

NEWEST = "2025-06-18"
SPOKEN = {"2025-03-26", NEWEST}
PATIENCE = 50.0  # seconds; a turn that waits for a manager takes longer

TOOL = {
    "name": "ask_refunds",
    "description": "Ask the refund agent of the shop on behalf of a customer. It looks orders up and pays money back.",
    "inputSchema": {
        "type": "object",
        "properties": {"customer": {"type": "string"}, "prompt": {"type": "string"}},
        "required": ["customer", "prompt"],
    },
}


async def answer_to(message: Any, client: DurableClient) -> dict[str, Any] | None:
    """The answer to a message of JSON-RPC; None to a notification, which has none."""
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        return _error(None, -32600, "this is no request of JSON-RPC")
    if "id" not in message:
        return None
    params = message.get("params") or {}
    match message["method"]:
        case "initialize":
            asked = params.get("protocolVersion")
            result: dict[str, Any] = {
                "protocolVersion": asked if asked in SPOKEN else NEWEST,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "refunds", "version": "1"},
            }
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": [TOOL]}
        case "tools/call" if params.get("name") == TOOL["name"]:
            result = await _call(params.get("arguments") or {}, client)
        case "tools/call":
            return _error(message["id"], -32602, f"there is no tool {params.get('name')!r}")
        case _:
            return _error(message["id"], -32601, f"there is no method {message['method']!r}")
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


async def _call(arguments: dict[str, Any], client: DurableClient) -> dict[str, Any]:
    try:
        prompt = Prompt(session=arguments.get("customer"), text=arguments.get("prompt"))
        instance_id = await client.start_new(refunds, client_input=prompt)
    except (ValueError, InvalidInputError) as error:
        return _content(problem(error), is_error=True)
    status = await client.wait_for_completion(instance_id, timeout=PATIENCE)
    if not status.is_terminal:
        return _content(f"A manager decides about it. The number of the request is {instance_id}.")
    if status.runtime_status is not RuntimeStatus.COMPLETED:
        return _content("The agent has failed. Try again later.", is_error=True)
    return _content(str(status.output))


def _content(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _error(id: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}
