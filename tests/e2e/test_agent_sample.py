"""The refund agent of ``samples/refund_agent``, served by a local host, with the model that needs no key."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from email import message_from_bytes
from email.policy import default as email_policy
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.sync_api import Page, expect
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset

from durable_core import JournalContext, activity
from durable_core.integrations.pydantic_ai import DurableCoreDurability, durable_run
from durable_core.testing import ActivityEnvironment
from tests.agents.scripted import Effects, scripted, tool
from tests.agents.test_turns import text_of
from tests.support.browser import CHROMIUM, WITHOUT, browser
from tests.support.event_source import all_events
from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import DONE, POLL, HttpClient

APP = PROJECT / "samples" / "refund_agent"
WITHOUT_A_KEY = {"AGENT_MODEL": "", "OPENAI_API_KEY": ""}


class Shop:
    """A running app, its books and its outbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        env = {
            **WITHOUT_A_KEY,
            "REFUNDS_DB": str(folder / "refunds.db"),
            "OUTBOX": str(folder / "outbox"),
            "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.200",
        }
        self.host = HostProcess(folder, app=APP, env=env)

    @property
    def url(self) -> str:
        return f"{self.host.url}/api"

    @property
    def refunds(self) -> list[tuple[str, int]]:
        with closing(sqlite3.connect(self.folder / "refunds.db")) as db:
            return db.execute("SELECT order_id, cents FROM refunds ORDER BY rowid").fetchall()

    async def say(self, http: HttpClient, prompt: str, session: str = "ada") -> dict[str, str]:
        answer = await http.call("POST", f"{self.url}/agents/refunds/{session}", json={"prompt": prompt})
        assert answer.status == 202, answer
        return answer.body

    def link(self) -> str:
        """The link in the mail to the manager, once there is one."""
        give_up_at = time.monotonic() + 60
        while not (found := list(self.folder.glob("outbox/*.eml"))):
            assert time.monotonic() < give_up_at, self.host.log
            time.sleep(POLL)
        body = message_from_bytes(found[0].read_bytes(), policy=email_policy).get_body()
        assert body is not None
        link = re.search(r"http\S+/decide/\S+", body.get_content())
        assert link is not None
        return link[0]


async def ended(http: HttpClient, links: dict[str, str]) -> Any:
    """The output of a turn."""
    async with asyncio.timeout(60):
        while True:
            status = (await http.call("GET", links["status"])).body
            if status["runtimeStatus"] in DONE:
                break
            await asyncio.sleep(POLL)
    assert status["runtimeStatus"] == "Completed", status
    return status["output"]


def decision_url(link: str) -> str:
    """Where the buttons of the page post to."""
    return link.replace("/decide/", "/durabletask/c/")


@pytest.fixture
def shop(tmp_path: Path) -> Generator[Shop]:
    running = Shop(tmp_path)
    with running.host:
        yield running


@pytest.fixture
async def http() -> AsyncGenerator[HttpClient]:
    async with HttpClient("") as client:
        yield client


async def test_a_small_refund_is_paid_once_and_its_answer_is_streamed(shop: Shop, http: HttpClient) -> None:
    links = await shop.say(http, "Please refund order-1")
    async with aiohttp.ClientSession() as session:
        events = await all_events(session, links["stream"])
    chunks = [event.data["chunk"] for event in events if event.kind == "shared"]
    said = await ended(http, links)
    assert said == "Done: 19.00 for order-1 are on their way to you."
    assert "".join(map(text_of, chunks)) == said
    tools = [chunk["part"]["tool_name"] for chunk in chunks if chunk["event_kind"] == "function_tool_call"]
    assert tools == ["find_orders", "pay_back"]

    again = await ended(http, await shop.say(http, "Please refund order-1 once more"))
    assert again.startswith("I am sorry, order-1 is not paid back")
    assert shop.refunds == [("order-1", 1900)]
    assert (await ended(http, await shop.say(http, "Please refund order-1", "bob"))).startswith("I cannot find")


async def test_a_large_refund_waits_for_the_manager_through_a_kill(shop: Shop, http: HttpClient) -> None:
    links = await shop.say(http, "Please refund order-2")
    link = shop.link()
    page = await http.call("GET", link)
    assert page.status == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert shop.refunds == []
    queued = await shop.say(http, "Please refund order-1")  # the next turn of this customer
    shop.host.kill9()
    shop.host.start().wait_ready()
    decided = await http.call("POST", decision_url(link), json={"approved": True})
    assert decided.status in (200, 202)
    assert await ended(http, links) == "Done: 249.00 for order-2 are on their way to you."
    assert await ended(http, queued) == "Done: 19.00 for order-1 are on their way to you."
    assert (await http.call("POST", decision_url(link), json={"approved": False})).status == 410
    assert shop.refunds == [("order-2", 24900), ("order-1", 1900)]


async def test_a_manager_refuses(shop: Shop, http: HttpClient) -> None:
    links = await shop.say(http, "Please refund order-2")
    body = {"approved": False, "message": "The lamp works."}
    assert (await http.call("POST", decision_url(shop.link()), json=body)).status in (200, 202)
    assert await ended(http, links) == "I am sorry, order-2 is not paid back: The lamp works."
    assert shop.refunds == []


async def test_requests_that_are_wrong_are_refused(shop: Shop, http: HttpClient) -> None:
    for path, body, status in [
        ("refunds/ada", {"prompt": ""}, 400),
        ("refunds/ada", {"prompt": 5}, 400),
        ("refunds/ada", ["prompt"], 400),
        ("refunds/ada", {"prompt": "x" * 5000}, 400),
        (f"refunds/{'a' * 600}", {"prompt": "Hello"}, 400),
        ("refunds/a%2Fb", {"prompt": "Hello"}, 400),
        ("another/ada", {"prompt": "Hello"}, 404),
    ]:
        assert (await http.call("POST", f"{shop.url}/agents/{path}", json=body)).status == status, (path, body)
    broken = await http.call("POST", f"{shop.url}/agents/refunds/ada", data="{")
    assert broken.status == 400
    empty = await http.call("POST", f"{shop.url}/agents/refunds/ada", json={})
    assert empty.body == {"error": "the prompt: Input should be a valid string"}


async def test_a_request_that_is_sent_again_begins_one_turn(shop: Shop, http: HttpClient) -> None:
    url, key = f"{shop.url}/agents/refunds/ada", {"Idempotency-Key": "request-1"}
    first, second = [
        (await http.call("POST", url, json={"prompt": "Please refund order-1"}, headers=key)).body for _ in range(2)
    ]
    assert first["id"] == second["id"]
    await ended(http, first)
    assert shop.refunds == [("order-1", 1900)]


async def test_another_agent_uses_it_as_a_tool(shop: Shop, http: HttpClient) -> None:
    effects = Effects()
    agent = Agent(
        scripted(effects, [tool("ask_refunds", customer="ada", prompt="Please refund order-1")], "told"),
        name="boss",
        toolsets=[MCPToolset(f"{shop.url}/mcp", id="refunds")],
        capabilities=[DurableCoreDurability()],
    )

    @activity(journal=True)
    async def run(ctx: JournalContext, prompt: str) -> str:
        with durable_run(ctx):
            return (await agent.run(prompt)).output

    env = ActivityEnvironment()
    assert await env.run(run, "go") == "told"
    assert shop.refunds == [("order-1", 1900)]
    assert await ActivityEnvironment(recorded=env.steps).run(run, "go") == "told"
    for method, code in [("tools/none", -32601), ("tools/call", -32602)]:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "another"}}
        answer = await http.call("POST", f"{shop.url}/mcp", json=message)
        assert answer.body["error"]["code"] == code
    assert (await http.call("POST", f"{shop.url}/mcp", data="{")).status == 400


@pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT)
def test_the_page_shows_the_answer_and_the_manager_decides_in_a_browser(shop: Shop) -> None:
    with browser() as running:
        page: Page = running.new_page()
        page.goto(f"{shop.url}/chat")
        page.get_by_label("What do you want?").fill("Please refund order-2")
        page.get_by_role("button", name="Send").click()
        link = shop.link()
        expect(page.get_by_role("log")).to_contain_text("pay_back")
        manager: Page = running.new_page()
        manager.goto(link)
        manager.get_by_role("button", name="Approve").click()
        expect(manager.get_by_role("status")).to_have_text("Thank you.")
        expect(page.get_by_role("log")).to_contain_text("Done: 249.00 for order-2 are on their way to you.")
        manager.get_by_role("button", name="Refuse").click()
        expect(manager.get_by_role("status")).to_have_text("It is decided already.")
    assert shop.refunds == [("order-2", 24900)]


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, "script"),
        ({"OPENAI_API_KEY": "a key"}, "openai:gpt-5-mini"),
        ({"OPENAI_API_KEY": "a key", "AGENT_MODEL": "anthropic:claude-sonnet-4-5"}, "anthropic:claude-sonnet-4-5"),
    ],
)
def test_a_real_model_is_taken_where_a_key_is_set(environment: dict[str, str], chosen: str) -> None:
    code = "from refund_agent.model import chosen_model as m; print(getattr(m(), 'model_name', m()))"
    env = {**os.environ, **WITHOUT_A_KEY, **environment, "PYTHONPATH": f"{PROJECT}:{APP}"}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == chosen
