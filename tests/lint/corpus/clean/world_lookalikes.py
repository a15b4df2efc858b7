"""Names of files, requests that are durable, and things that are only called like the outside world."""

from __future__ import annotations

import json
import os
import os.path
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path, PurePosixPath

import httpx
import requests

from durable_core import ActivityContext, Orchestration, OrchestrationContext, StepFailedError, activity, orchestrator

FOLDER = Path("reports")
LIMIT = int(os.environ.get("ORDER_LIMIT", "100"))  # once, at import: as constant as the code


class Door:
    def open(self) -> str:
        return "open"

    def sleep(self) -> None:
        return None


class Session:
    """Of a game, not of HTTP."""

    def __init__(self) -> None:
        self.points = 0

    def get(self, name: str) -> int:
        return self.points

    def post(self, points: int) -> None:
        self.points += points


@activity
def read_report(ctx: ActivityContext, path: str) -> str:
    ctx.logger.info("reading %s at %s", path, time.time())
    return Path(path).read_text()


@activity
async def download(url: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text


@orchestrator
def paths(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
    path = FOLDER / name / "today.txt"
    text = yield from ctx.call_activity(read_report, str(path.with_suffix(".md")))
    label = path.name.replace("today", "now").upper()
    folder = os.path.join("a", os.path.dirname(name), os.sep)
    pure = PurePosixPath(name).stem
    return json.dumps([text, label, folder, pure, os.fspath(path), path.parent.name, path.suffix])


@orchestrator
def requests_that_are_durable(ctx: OrchestrationContext, url: str) -> Orchestration[object]:
    query = urllib.parse.urlencode({"q": "tea"})
    response = yield from ctx.call_http("GET", f"{url}?{query}")
    if response.status_code != HTTPStatus.OK:
        raise requests.HTTPError(f"refused: {response.status_code}")
    body = yield from ctx.call_activity(download, urllib.parse.urljoin(url, "more"))
    try:
        yield from ctx.run("ping", requests.get, url)
    except StepFailedError as error:
        if error.is_caused_by(requests.ConnectionError):
            return None
        raise
    return body


@orchestrator
def chooses_an_activity(ctx: OrchestrationContext, kind: str) -> Orchestration[str]:
    readers = {"file": read_report, "web": download}
    reader = read_report if kind == "file" else download
    text = yield from ctx.call_activity(readers[kind], "x")
    return text + (yield from ctx.call_activity(reader, "y"))


@orchestrator
def doors(ctx: OrchestrationContext, session: Session) -> Orchestration[str]:
    door = Door()
    door.sleep()
    session.post(3)
    input = session.get("points")
    yield from ctx.call_activity("note", [door.open(), input, LIMIT])
    open: Callable[[str], str] = str.upper
    return open("x")


@orchestrator
def steps_do_the_work(ctx: OrchestrationContext, path: str) -> Orchestration[str]:
    def read() -> str:
        time.sleep(0.1)
        with open(path) as file:
            return file.read() + os.environ["HOME"]

    async def ask() -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(path)).text

    listed = lambda: subprocess.run(["ls"], check=True, capture_output=True).stdout.decode()  # noqa: E731
    text = yield from ctx.run("read", read)
    answer = yield from ctx.run("ask", ask)
    files = yield from ctx.run(name="list", fn=listed)
    limit = yield from ctx.run("limit", os.getenv, "LIMIT")
    return text + answer + files + str(limit)


@orchestrator
def logs(ctx: OrchestrationContext) -> Orchestration[None]:
    log = ctx.logger
    log.info("started %s", ctx.instance_id)
    if not ctx.is_replaying:
        ctx.logger.debug("for the first time")
    print = ctx.set_custom_status
    print("waiting")
    yield from ctx.wait_for_external_event("Go")
