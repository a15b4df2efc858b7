"""functionTimeout, and functions that do not let themselves be ended, under the local host in a process of its own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from durable_core.storage.sqlite import SqliteStorage
from tests.support.tiny_host import TinyHost

TIMEOUT = {"AzureFunctionsJobHost__functionTimeout": "00:00:02", "TINY_WORK_SECONDS": "600"}
STUBBORN = """
import asyncio, os
import azure.functions as func
from tests.e2e.apps.tiny.function_app import make_queues, record, with_hooks

app = func.FunctionApp()
left = []


@app.queue_trigger(arg_name="msg", queue_name="tiny-control", connection="AzureWebJobsStorage")
@with_hooks
async def control(msg: func.QueueMessage) -> None:
    record("begin", count=msg.dequeue_count)
    left.append(asyncio.create_task(ignores_its_cancellation()))
    await ignores_its_cancellation()


async def ignores_its_cancellation() -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass
"""


def leave(folder: Path, *messages: tuple[str, str]) -> None:
    """Put messages (queue, body) into the store of a host that does not run yet: the time limit is one of its HTTP
    functions as well, which may take longer on a busy machine."""

    async def send() -> None:
        storage = SqliteStorage(str(folder / "durable.db"))
        await storage.create((), [queue for queue, _ in messages])
        for queue, body in messages:
            await storage.queue(queue).send(body)
        await storage.close()

    asyncio.run(send())


def test_as_in_azure_a_timeout_ends_the_process_with_all_in_it_and_it_begins_again(tmp_path: Path) -> None:
    leave(tmp_path, ("tiny-work", "too long"), ("tiny-control", "a bystander"))
    with TinyHost(tmp_path, args=["--azure-like"], env=TIMEOUT) as host:
        host.wait_for_event("hook-start", 2)
        assert not host.events("hook-stop"), "nothing was cleaned up"
        assert "worker process is ended with all functions that it runs" in host.log
        host.wait_for_event("work-begin", 2)
        bystander = host.wait_for_event("control-begin", 2)
        assert [event["count"] for event in bystander[:2]] == [1, 2]
        assert not host.events("control")
        assert host.stop(signal.SIGTERM) == 0


def test_otherwise_a_timeout_ends_that_function_alone(tmp_path: Path) -> None:
    leave(tmp_path, ("tiny-control", "too long"))
    with TinyHost(tmp_path, env=TIMEOUT | {"TINY_WORK_SECONDS": "600"}) as host:
        host.wait_for_event("control-begin", 2)
        assert len(host.events("hook-start")) == 1


def test_a_function_that_ignores_its_cancellation_is_given_up_and_keeps_no_host_from_ending(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "function_app.py").write_text(STUBBORN)
    leave(tmp_path, ("tiny-control", "stubborn"))
    with TinyHost(tmp_path, app=app, args=["--grace", "1"], env=TIMEOUT) as host:
        again = host.wait_for_event("begin", 2)
        assert [event["count"] for event in again[:2]] == [1, 2], "the message came back"
        assert host.stop(signal.SIGTERM) == 0
