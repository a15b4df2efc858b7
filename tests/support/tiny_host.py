"""The tiny app under the local host, in a process of its own, watched through the lines that its functions write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self, TypeAlias

from .hosts import PROJECT, HostProcess

TINY_APP = PROJECT / "tests" / "e2e" / "apps" / "tiny"
PATIENCE = 150.0  # seconds; a loaded machine is slow, and no test asserts a duration

Event: TypeAlias = dict[str, Any]


class TinyHost(HostProcess):
    """A host that is started at once, with its store and logs in ``folder``.

    Several hosts given the same folder share the store and the events. As a context manager it waits until the host
    listens, and kills it at the end if it still runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        app: Path = TINY_APP,
        env: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
        name: str = "host",
    ) -> None:
        self._events = folder / "events.jsonl"
        super().__init__(folder, env={"TINY_LOG": str(self._events), **(env or {})}, app=app, name=name, options=args)
        self.start()

    def request(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            content = body.encode() if isinstance(body, str) else body
            connection.request(method, path, content, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def send(self, queue: str, body: str) -> None:
        status, _, _ = self.request("POST", f"/api/send?queue={queue}", body)
        assert status == 202

    def events(self, name: str | None = None) -> list[Event]:
        """What the app's functions wrote, in order; a last line still being written is left out."""
        text = self._events.read_text() if self._events.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if name is None or line["event"] == name]

    def wait_for(self, holds: Callable[[], object]) -> None:
        """Return when it is true; AssertionError with the host's log when it never is, or the host has ended."""
        give_up_at = time.monotonic() + PATIENCE
        while not holds():
            assert not self.has_died, f"the host ended:\n{self.log}"
            assert time.monotonic() < give_up_at, f"it did not come true; the host's log:\n{self.log}"
            time.sleep(0.02)

    def wait_for_event(self, name: str, count: int = 1) -> list[Event]:
        self.wait_for(lambda: len(self.events(name)) >= count)
        return self.events(name)

    def __enter__(self) -> Self:
        try:
            self.wait_ready()
        except BaseException:
            self.kill_if_alive()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_if_alive()
