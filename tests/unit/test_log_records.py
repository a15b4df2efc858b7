"""Log records say to which instance, execution, task and attempt they belong: ours, and those of the user's code."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.invocations import working_for
from durable_core.log_context import DurableLogFilter, Work, working_on
from durable_core.runtime.threads import for_a_thread
from durable_core.settings import Settings
from durable_core.testing.simulation import World

shop = logging.getLogger("a.shop")


class Kept(logging.Handler):
    """Keeps records as a handler of the user's gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(DurableLogFilter())
        self.setFormatter(logging.Formatter("[%(durable)s] %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)  # fails without the fields
        self.records.append(record)

    def of(self, message: str) -> dict[str, Any]:
        found = [record for record in self.records if message in record.getMessage()]
        assert len(found) == 1, [record.getMessage() for record in self.records]
        return vars(found[0])


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, root = Kept(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@activity
def plain(order: str) -> None:
    shop.info("plain %s", order)


@activity
async def slowly(order: str) -> None:
    async def inner() -> None:
        await asyncio.sleep(0)
        shop.info("inner %s", order)

    await asyncio.gather(inner())


@activity
def with_context(ctx: ActivityContext) -> None:
    started = threading.Thread(target=lambda: ctx.logger.info("from a thread of its own", extra={"colour": "red"}))
    started.start()
    started.join()


@activity
def failing() -> None:
    raise LookupError("gone")


def note() -> None:
    shop.info("a step")


@orchestrator
def order(ctx: OrchestrationContext, order_id: str) -> Orchestration[None]:
    ctx.logger.info("it begins")
    yield from ctx.call_activity(plain, order_id)
    yield from ctx.call_activity(slowly, order_id)
    yield from ctx.call_activity(with_context)
    yield from ctx.run("note", note)
    yield from ctx.call_activity(failing)


@pytest.mark.parametrize("inline", [True, False])
def test_every_record_of_an_activity_a_step_and_an_orchestrator_names_what_it_belongs_to(
    kept: Kept, inline: bool
) -> None:
    found: list[str] = []

    async def scenario(world: World) -> None:
        await world.client.start_new(order, "o-1", "o-1")
        found.append((await world.client.wait_for_completion("o-1", 3600)).execution_id)

    World(Registry().add(plain, slowly, with_context, failing, order), settings=Settings(inline_default=inline)).run(
        scenario
    )
    for message, task in (
        ("plain o-1", 1),
        ("inner o-1", 2),
        ("from a thread of its own", 3),
        ("a step", 4),
        ("activity 'failing' of instance 'o-1'", 5),
    ):
        fields = kept.of(message)
        assert fields["durable_instance_id"] == "o-1" and fields["durable_execution_id"] == found[0]
        assert (fields["durable_task_id"], fields["durable_attempt"]) == (task, 1)
    assert kept.of("from a thread of its own")["colour"] == "red"
    begins = kept.of("it begins")
    assert begins["durable_instance_id"] == begins["instance_id"] == "o-1" and begins["durable_task_id"] is None
    text = kept.of("activity 'failing' of instance 'o-1'")["msg"] % kept.of("activity 'failing'")["args"]
    assert f"(execution {found[0]}, task 5, attempt 1) failed: LookupError: gone" in text


def test_a_record_outside_of_everything_has_empty_fields(kept: Kept) -> None:
    shop.info("alone")
    fields = kept.of("alone")
    assert fields["durable"] == fields["durable_instance_id"] == "" and fields["durable_attempt"] is None


async def test_a_thread_has_the_invocation_of_the_host_and_the_fields_of_the_attempt(kept: Kept) -> None:
    local = threading.local()
    context: Any = SimpleNamespace(invocation_id="invocation-7", thread_local_storage=local)

    def in_thread() -> Any:
        shop.info("in a thread")
        return getattr(local, "invocation_id", None)

    with ThreadPoolExecutor(1) as pool, working_for(context), working_on(Work("o-1", "e", "charge", 2, 3)):
        assert await asyncio.get_running_loop().run_in_executor(pool, for_a_thread(in_thread)) == "invocation-7"
    fields = kept.of("in a thread")
    assert (fields["durable_task_id"], fields["durable_attempt"]) == (2, 3)
    assert fields["durable"] == "o-1 charge #2 attempt 3"
