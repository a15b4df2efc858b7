"""A refund agent: ``POST /api/agents/refunds/{session}`` says something to it, ``/api/chat`` is a small page, and
``/api/mcp`` offers it as a tool to other agents.

Whoever can reach the app can speak for every customer: an app of your own signs its customers in before it comes here.
"""

import json
from pathlib import Path

import azure.functions as func
import refund_agent
from refund_agent.conversations import Prompt, problem, refunds
from refund_agent.tool_endpoint import answer_to

from durable_core import Registry
from durable_core.errors import InvalidInputError
from durable_core.hosting.functions import Durable

AGENTS = {"refunds": refunds}
PAGES = Path(refund_agent.__file__).parent / "pages"
HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address of the page of a decision holds its token
    "X-Content-Type-Options": "nosniff",
}

durable = Durable(Registry.scan(refund_agent))
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(durable.blueprint())


@app.route(route="agents/{name}/{session}", methods=["POST"])
async def say(req: func.HttpRequest) -> func.HttpResponse:
    """Begin a turn: the body is ``{"prompt": "..."}``. The answer has the links to its stream and to its result."""
    agent = AGENTS.get(req.route_params["name"])
    if agent is None:
        return _json(404, {"error": "there is no such agent"})
    try:
        body = req.get_json()
        text = body.get("prompt") if isinstance(body, dict) else None
        prompt = Prompt(session=req.route_params["session"], text=text)
        client = await durable.client()
        # A caller that sends its request again under the same key gets the turn that it has begun.
        key = req.headers.get("Idempotency-Key")
        instance_id = await client.start_new(agent, key, client_input=prompt, if_exists="return" if key else "error")
    except (ValueError, InvalidInputError) as error:
        return _json(400, {"error": problem(error)})
    links = durable.create_http_management_payload(req, instance_id)
    stream = await durable.create_stream_url(req, instance_id, "answer")
    return _json(202, {"id": instance_id, "stream": stream, "status": links["statusQueryGetUri"]})


@app.route(route="mcp", methods=["POST"])
async def mcp(req: func.HttpRequest) -> func.HttpResponse:
    """The agent as a tool: the Model Context Protocol over HTTP, each request answered with JSON."""
    try:
        message = req.get_json()
    except ValueError:
        return _json(400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "this is no JSON"}})
    answer = await answer_to(message, await durable.client())
    return func.HttpResponse(status_code=202) if answer is None else _json(200, answer)


@app.route(route="chat", methods=["GET"])
async def chat(req: func.HttpRequest) -> func.HttpResponse:
    return _page("chat.html")


@app.route(route="decide/{token}", methods=["GET"])
async def decide(req: func.HttpRequest) -> func.HttpResponse:
    """The page of the link in the mail. Its buttons post the decision to the signed URL of the callback."""
    return _page("decide.html")


def _json(status: int, body: object) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json")


def _page(name: str) -> func.HttpResponse:
    return func.HttpResponse((PAGES / name).read_text("utf-8"), mimetype="text/html", headers=HEADERS)
