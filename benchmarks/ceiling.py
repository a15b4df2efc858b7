"""What the emulator can do at best with the storage operations of a workload: ``python -m benchmarks.ceiling``.

Each workload runs twice over Azurite. The first run is timed. In the second, the requests are counted by kind, at the
log of the storage requests. Then a bare client times each kind, one after another and many at a time. The ceiling of a
workload is the sum of its requests at those rates: one after another for a chain, many at a time for the others. What
the workload takes beyond that is durable_core's own work, and its waits.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from durable_core.runtime.client import DurableClient
from durable_core.storage.azure.errors import REQUEST_LOGGER
from durable_core.storage.azure.store import AzureStorage
from durable_core.testing.azurite import Azurite

from .bare_azurite import BareAzurite, bare_azurite
from .catalogue import InProcess, Sized, parse
from .product import running_host
from .stores import fresh_store

NAMES = "w1,w2,w3,w4,w5,w6"
ONE_AT_A_TIME = ("w1", "w4")
AT_ONCE = 32
TIMES = 400
TEXT = "y" * 120

Step = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for one request of a kind. alone: one after another. together: ``AT_ONCE`` at a time."""

    alone: float
    together: float


class RequestCounter(logging.Handler):
    """Counts the requests to storage by kind."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.counts = Counter[str]()

    def emit(self, record: logging.LogRecord) -> None:
        args = record.args
        if isinstance(args, tuple) and len(args) > 1:  # a line of a request; the SDKs' own lines tell of creations
            self.counts[kind_of(str(args[0]), str(args[1]))] += 1


def kind_of(method: str, url: str) -> str:
    """The kind of a request, by the names of ``BareAzurite``'s methods."""
    path = url.split("?", 1)[0]
    if "/messages" in path:
        return {"POST": "send", "GET": "receive", "DELETE": "delete_message"}.get(method, "send")
    if path.endswith("$batch"):
        return "batch"
    if method == "GET":
        return "get" if "RowKey=" in path else "read_range"
    return {"POST": "insert", "DELETE": "delete"}.get(method, "merge")


@contextmanager
def counted() -> Generator[RequestCounter]:
    counter, level = RequestCounter(), REQUEST_LOGGER.level
    REQUEST_LOGGER.addHandler(counter)
    REQUEST_LOGGER.setLevel(logging.INFO)
    REQUEST_LOGGER.propagate = False
    try:
        yield counter
    finally:
        REQUEST_LOGGER.removeHandler(counter)
        REQUEST_LOGGER.setLevel(level)
        REQUEST_LOGGER.propagate = True


async def run(client: DurableClient, each: Sized) -> float:
    """Seconds of one repetition."""
    how = each.workload.how
    assert isinstance(how, InProcess), f"{each.label} needs a host process"
    began = time.perf_counter()
    await how.run(client, each.size)
    return time.perf_counter() - began


async def workload(client: DurableClient, each: Sized) -> tuple[float, Counter[str]]:
    """Seconds, and the requests by kind."""
    took = await run(client, each)
    with counted() as counter:
        await run(client, each)
    return took, counter.counts


async def paces(azurite: Azurite) -> dict[str, Pace]:
    """The pace of each kind."""
    storage = AzureStorage({"": azurite.connection_string})
    await storage.create(["bare"], ["bare", "filled"])
    await storage.table("bare").insert("fixed", "z", {"text": TEXT})
    await storage.close()
    numbers = count()
    async with bare_azurite(azurite) as bare:
        found: dict[str, Pace] = {}
        for kind, step in steps(bare).items():
            for _ in range(20):
                await step(next(numbers))
            began = time.perf_counter()
            for _ in range(TIMES):
                await step(next(numbers))
            alone = time.perf_counter() - began
            began = time.perf_counter()
            await asyncio.gather(*[worker(step, numbers) for _ in range(AT_ONCE)])
            found[kind] = Pace(alone / TIMES, (time.perf_counter() - began) / (TIMES // AT_ONCE * AT_ONCE))
        return found


async def worker(step: Step, numbers: count[int]) -> None:
    for _ in range(TIMES // AT_ONCE):
        await step(next(numbers))


def steps(bare: BareAzurite) -> dict[str, Step]:
    """A request of each kind. What one kind inserts or sends, a later kind deletes or receives."""
    received: list[tuple[str, str]] = []
    rows = count()

    def row(partition: str, key: str) -> bytes:
        return f'{{"PartitionKey": "{partition}", "RowKey": "{key}", "text": "{TEXT}"}}'.encode()

    async def receive(_: int) -> None:
        received.extend(await bare.receive("bare", 1))

    def batch(number: int) -> Awaitable[None]:
        keys = ("a", "b")
        paths = {f"/bare(PartitionKey='b{number}',RowKey='{key}')": row(f"b{number}", key) for key in keys}
        return bare.batch("bare", paths)

    return {
        "insert": lambda number: bare.insert("bare", row(f"p{number}", "i")),
        "merge": lambda _: bare.merge("bare", "fixed", "z", row("fixed", "z"), "*"),
        "get": lambda _: bare.get("bare", "fixed", "z"),
        "read_range": lambda _: bare.read_range("bare", "fixed"),
        "batch": batch,
        "delete": lambda _: bare.delete("bare", f"p{next(rows)}", "i"),
        "send": lambda _: bare.send("bare", TEXT),
        "receive": receive,
        "delete_message": lambda _: bare.delete_message("bare", received.pop()),
    }


async def measure(workloads: Sequence[Sized], folder: Path) -> None:
    with fresh_store("azurite", folder):
        async with running_host() as client:
            ran = {each.label: await workload(client, each) for each in workloads}
    with Azurite() as azurite:
        of_kind = await paces(azurite)
    print(f"{'':16} {'ms alone':>9} {'per s alone':>12} {'per s together':>15}")
    for kind, pace in of_kind.items():
        print(f"{kind:16} {pace.alone * 1000:9.2f} {1 / pace.alone:12.0f} {1 / pace.together:15.0f}")
    print(f"\n{'':6} {'s':>8} {'s of the emulator':>18} {'ratio':>6} {'requests':>9}")
    for name, (took, counts) in ran.items():
        alone = name in ONE_AT_A_TIME
        least = sum(n * (of_kind[k].alone if alone else of_kind[k].together) for k, n in counts.items())
        kinds = ", ".join(f"{kind} {n}" for kind, n in counts.most_common())
        print(f"{name:6} {took:8.2f} {least:18.2f} {took / least:6.2f} {counts.total():9}  {kinds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=NAMES, help="names, of those that run in process")
    asked = parser.parse_args()
    workloads = parse(asked.workloads)
    logging.basicConfig(level=logging.WARNING)
    with TemporaryDirectory() as folder:
        asyncio.run(measure(workloads, Path(folder)))


if __name__ == "__main__":
    main()
