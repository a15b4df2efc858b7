"""A local host that counts its storage operations: ``python -m benchmarks.scale.counted_host``.

The same host as ``python -m durable_core host``, over a storage that counts. It is spoken to by lines: it says
``{"port": N}`` when it serves, answers each line with what it has counted since the last one, and stops when its
standard input ends. So it never outlives the one who started it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

import click

from durable_core.hosting.local.host import HostOptions, run_host
from durable_core.hosting.storage_pool import release_storage, share_storage
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.open import open_storage

APP = Path(__file__).resolve().parents[1]
GUARDED = ("table.merge", "table.replace", "table.transact", "table.delete")
"""Writes that are refused when another host has written first."""


@click.command()
@click.option("--only", help="As of the command line's host.")
@click.option("--azure-like", is_flag=True)
def main(only: str | None, azure_like: bool) -> None:
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(only, azure_like))


async def _serve(only: str | None, azure_like: bool) -> None:
    settings = Settings.from_environment()
    storage = CountingStorage(open_storage(settings))
    share_storage(settings, storage)
    stop = asyncio.Event()
    answering: list[asyncio.Task[None]] = []

    def say(line: str) -> None:
        if line.startswith("listening on"):
            _answer({"port": _port_in(line)})
            answering.append(asyncio.create_task(_answer_all(storage, stop)))

    try:
        await run_host(HostOptions(app=APP, port=0, only=only, azure_like=azure_like), stop=stop, say=say)
    finally:
        for task in answering:
            task.cancel()
        await release_storage(storage)


async def _answer_all(storage: CountingStorage, stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        counts = storage.counts
        storage.reset()
        _answer(
            {
                "operations": counts.total,
                "idle_polls": counts.idle_polls,
                "conflicts": sum(each.cost for each in counts.requests if each.failed and each.kind in GUARDED),
                "by_kind": counts.by_kind,
            }
        )
    stop.set()


def _port_in(line: str) -> int | None:
    """None for a host of work queues, which does not listen."""
    port = line.rpartition(":")[2]
    return int(port) if port.isdigit() else None


def _answer(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
