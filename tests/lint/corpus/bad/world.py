"""The environment, files, the network, programs, threads."""

import asyncio
import concurrent.futures
import logging
import os
import os.path
import pathlib
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from os import environ, getenv
from pathlib import Path
from subprocess import check_output
from time import sleep as nap

import aiohttp
import boto3
import httpx
import requests
import sqlalchemy

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator

log = logging.getLogger(__name__)
session = requests.Session()
FOLDER = Path("data")


@activity
async def fetch(url: str) -> str:
    return url


async def compute(number: int) -> int:
    return number


@orchestrator
def environment(ctx: OrchestrationContext) -> Orchestration[None]:
    if os.environ.get("FAST"):  # expect: DC301
        yield from ctx.call_activity("fast")
    if getenv("SLOW") or "SLOW" in environ:  # expect: DC301, DC301
        yield from ctx.call_activity("slow")
    if len(sys.argv) > 1 or sys.platform == "win32":  # expect: DC301, DC302
        yield from ctx.call_activity("argument")
    where = [os.getpid(), socket.gethostname(), platform.node()]  # expect: DC302, DC302, DC302
    yield from ctx.call_activity("note", [where, os.getcwd()])  # expect: DC302


@orchestrator
def files(ctx: OrchestrationContext, name: str) -> Orchestration[None]:
    with open(name) as file:  # expect: DC303
        text = file.read()
    if os.path.exists(name) or FOLDER.exists():  # expect: DC303, DC303
        text += pathlib.Path(name).parent.joinpath("b").read_text()  # expect: DC303
    (FOLDER / name).write_text(text)  # expect: DC303
    copy = FOLDER / "copies" / name
    copy.unlink()  # expect: DC303
    shutil.rmtree(name)  # expect: DC303
    with tempfile.TemporaryDirectory() as folder, sqlite3.connect(folder):  # expect: DC303, DC303
        yield from ctx.call_activity("store", os.listdir(folder))  # expect: DC303


@orchestrator
def network(ctx: OrchestrationContext, url: str) -> Orchestration[None]:
    first = requests.get(url, timeout=5)  # expect: DC304
    second = session.post(url)  # expect: DC304
    with httpx.Client() as client:  # expect: DC304
        third = client.get(url)  # expect: DC304
    fourth = urllib.request.urlopen(url)  # expect: DC304
    link = socket.create_connection(("example.com", 80))  # expect: DC304
    queue = boto3.client("sqs")  # expect: DC304
    engine = sqlalchemy.create_engine(url)  # expect: DC304
    web = aiohttp.ClientSession()  # expect: DC304
    yield from ctx.call_activity("store", [first, second, third, fourth, link, queue, engine, web])


@orchestrator
def programs(ctx: OrchestrationContext) -> Orchestration[None]:
    subprocess.run(["ls"], check=True)  # expect: DC305
    os.system("ls")  # expect: DC305
    yield from ctx.call_activity("store", check_output(["ls"]))  # expect: DC305


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[None]:
    time.sleep(1)  # expect: DC306
    nap(1)  # expect: DC306
    answer = input("go on? ")  # expect: DC306
    yield from ctx.call_activity("store", answer)


@orchestrator
def beside(ctx: OrchestrationContext) -> Orchestration[None]:
    threading.Thread(target=print).start()  # expect: DC307
    with concurrent.futures.ThreadPoolExecutor() as pool:  # expect: DC307
        pool.submit(len, "x")
    value = asyncio.run(compute(1))  # expect: DC307
    found = fetch("x")  # expect: DC403
    yield from ctx.call_activity("store", [value, found])


@orchestrator
async def awaits(ctx: OrchestrationContext) -> None:
    time.sleep(1)  # expect: DC306
    await asyncio.sleep(1)  # expect: DC307
    await asyncio.gather(compute_here(ctx), compute_here(ctx))  # expect: DC307
    ctx.call_activity("store", 1)  # expect: DC401
    compute_here(ctx)  # expect: DC401
    await a_generator(ctx)  # expect: DC308
    async with asyncio.timeout(3):  # expect: DC308
        await ctx.call_activity("store", 1)
    await ctx.gather(branch_of_time(ctx), branch_of_time(ctx))


async def branch_of_time(ctx: OrchestrationContext) -> None:
    await ctx.call_activity("store", time.time())  # expect: DC101


async def compute_here(ctx: OrchestrationContext) -> None:
    await ctx.call_activity("store", 1)


def a_generator(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity("store", os.getpid())  # expect: DC302


@orchestrator
def runs_a_coroutine(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from compute_here(ctx)  # type: ignore  # expect: DC308
    yield from ctx.gather(a_generator(ctx), compute_here(ctx))


@orchestrator
async def both(ctx: OrchestrationContext):  # expect: DC308
    await ctx.call_activity("store", 1)
    yield 1  # expect: DC402


@orchestrator
def loud(ctx: OrchestrationContext) -> Orchestration[None]:
    print("here")  # expect: DC309
    log.info("here")  # expect: DC309
    logging.warning("here")  # expect: DC309
    yield from ctx.call_activity("store", 1)
