"""Several host processes on one store, and a driver that starts instances at all of their doors."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from durable_core import DurableClient, Registry
from durable_core.hosting.storage_pool import acquire_storage, release_storage
from durable_core.models import RuntimeStatus
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings

from ..workloads import IN_FLIGHT, bounded

ROOT = Path(__file__).resolve().parents[2]
LOOK = 0.02  # seconds between looks at whether anything is still open
_STOP_TIMEOUT = 30.0
_OPEN = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Group:
    """How many hosts there are of each kind; ``str`` gives its name: "4", or "2+2" with control apart from work."""

    both: int = 0
    control: int = 0
    work: int = 0

    @classmethod
    def named(cls, name: str) -> Group:
        control, apart, work = name.partition("+")
        return cls(control=int(control), work=int(work)) if apart else cls(both=int(control))

    def __str__(self) -> str:
        return f"{self.control}+{self.work}" if self.work else str(self.both)

    @property
    def title(self) -> str:
        if self.work:
            return f"{self.control} for control, {self.work} for work"
        return "one host" if self.both == 1 else f"{self.both} hosts"

    @property
    def roles(self) -> list[str]:
        return [""] * self.both + ["control"] * self.control + ["work"] * self.work


@dataclass(slots=True)
class CountedHost:
    """One process. ``port``: None where only work is served."""

    process: asyncio.subprocess.Process
    port: int | None = None

    @classmethod
    async def start(cls, role: str, log: Path, *, azure_like: bool) -> CountedHost:
        options = [*(["--only", role] if role else []), *(["--azure-like"] if azure_like else [])]
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.scale.counted_host", *options,
                cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                start_new_session=True,
            )  # fmt: skip
        host = cls(process)
        try:
            host.port = (await host._read(log))["port"]
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return host

    async def counts(self) -> dict[str, Any]:
        """What it has counted since it was last asked."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"counts\n")
        return await self._read(None)

    async def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _read(self, log: Path | None) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            said = "" if log is None else log.read_text(errors="replace")[-2000:]  # noqa: ASYNC240
            raise RuntimeError(f"a host has ended: {said}")
        return json.loads(line)


@dataclass(slots=True)
class Hosts:
    """A group that serves. The driver's own client looks at the catalogue, and is not counted."""

    hosts: Sequence[CountedHost]
    client: DurableClient
    _session: aiohttp.ClientSession
    _started: int = 0

    @property
    def doors(self) -> list[int]:
        """Ports of the hosts that serve HTTP."""
        return [host.port for host in self.hosts if host.port is not None]

    @property
    def pids(self) -> dict[str, int]:
        return {f"host{number}": host.process.pid for number, host in enumerate(self.hosts)}

    async def start_all(self, orchestrator: str, data: object, instances: int) -> list[str]:
        """Start so many at once, at one door after the other; returns their ids."""
        numbers = range(self._started, self._started + instances)
        self._started += instances
        doors = itertools.cycle(self.doors)
        await bounded(self._start(next(doors), orchestrator, data, f"n{number}") for number in numbers)
        return [f"n{number}" for number in numbers]

    async def until_all_ended(self) -> None:
        while (await self.client.list_instances(runtime_status=_OPEN, page_size=1)).instances:  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    async def counts(self) -> dict[str, Any]:
        """The sum of what all have counted since they were last asked."""
        total: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for host in self.hosts:
            counted = await host.counts()
            kinds.update(counted.pop("by_kind"))
            total.update(counted)
        return {**total, "by_kind": dict(kinds)}

    async def _start(self, port: int, orchestrator: str, data: object, instance_id: str) -> None:
        url = f"http://127.0.0.1:{port}/api/durabletask/orchestrators/{orchestrator}/{instance_id}"
        async with self._session.post(url, json=data) as response:
            if response.status != 202:
                raise RuntimeError(f"{orchestrator}: {response.status} {(await response.text())[:300]}")


@asynccontextmanager
async def serving(
    group: Group, folder: Path, *, azure_like: bool, more_env: Mapping[str, str] | None = None
) -> AsyncGenerator[Hosts]:
    """The hosts of a group, on the store that the environment names; their logs lie in ``folder``."""
    before = dict(os.environ)
    os.environ.update(more_env or {})
    try:
        async with AsyncExitStack() as stack:
            settings = Settings.from_environment()
            storage = acquire_storage(settings)
            stack.push_async_callback(release_storage, storage)
            app = await DurableApp.open(Registry(), settings, storage)
            stack.push_async_callback(app.close)
            hosts: list[CountedHost] = []
            for number, role in enumerate(group.roles):
                host = await CountedHost.start(role, folder / f"host{number}.log", azure_like=azure_like)
                stack.push_async_callback(host.stop)
                hosts.append(host)
            connector, timeout = aiohttp.TCPConnector(limit=IN_FLIGHT), aiohttp.ClientTimeout(total=None)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
            yield Hosts(hosts, app.client, session)
    finally:
        os.environ.clear()
        os.environ.update(before)
