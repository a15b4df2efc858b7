"""Threads that are begun for an invocation are known by its id, and by no id afterwards."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from durable_core.hosting.invocations import working_for
from durable_core.runtime.threads import for_a_thread


async def test_a_thread_has_the_id_of_the_invocation_that_began_it_and_loses_it_at_the_end() -> None:
    local = threading.local()

    def id_in_thread() -> Any:
        return getattr(local, "invocation_id", None)

    with ThreadPoolExecutor(1) as pool:  # one thread: an id that is left behind would be found by the next

        async def in_thread() -> Any:
            await asyncio.sleep(0)
            return await asyncio.get_running_loop().run_in_executor(pool, for_a_thread(id_in_thread))

        async def invoke(invocation_id: str) -> list[Any]:
            context: Any = SimpleNamespace(invocation_id=invocation_id, thread_local_storage=local)
            with working_for(context):
                child = asyncio.create_task(in_thread())
                found = await in_thread()
            return [found, await child]

        assert await asyncio.gather(invoke("a"), invoke("b")) == [["a", "a"], ["b", "b"]]
        assert await in_thread() is None
    assert id_in_thread() is None


async def test_a_caller_without_contexts_changes_nothing() -> None:
    with working_for(None):
        assert for_a_thread(len, "abc")() == 3
