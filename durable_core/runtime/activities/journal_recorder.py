"""What the context of a journaled activity calls: what is said of steps and waits is checked, and passed to the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ...converter import Converter
from ...definitions import name_of
from ...engine.annotations import result_type
from ...engine.callbacks import LIFETIME
from ...errors import InvalidInputError, JournalError
from ...hub.journals import StepId
from ...instance_ids import HALF_PAIR, check_event_name, check_instance_id, check_name
from ...journal import JournalCallback
from ...models import JSON, RetryPolicy
from ...orchestrator_versions import problem_of_version
from .journal_calls import caller

if TYPE_CHECKING:
    from .journal import JournalRun

MAX_SHOWN = 200  # characters of a name in that of its step


class RunRecorder:
    """The ``Recorder`` of a run. callback_url: as of the run."""

    def __init__(
        self,
        run: JournalRun,
        converter: Converter,
        callback_url: Callable[[str, StepId, timedelta], tuple[str, str]] | None,
    ) -> None:
        self._run, self._converter, self._callback_url = run, converter, callback_url

    def step(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        key: str | None,
        retry: RetryPolicy | None,
        timeout: timedelta | None,
        returns: Any,
    ) -> asyncio.Future[Any]:
        return self._run.step(name, fn, args, key=key, retry=retry, timeout=timeout, returns=returns)

    def sleep(self, delay: timedelta, key: str | None) -> asyncio.Future[None]:
        return self._run.wait("ctx.sleep", {"kind": "timer"}, key=key, returns=None, delay=delay)

    def wait_for_event(
        self, name: str, timeout: timedelta | None, key: str | None, returns: Any
    ) -> asyncio.Future[Any]:
        try:
            check_event_name(name)
        except InvalidInputError as error:
            raise JournalError(f"{caller()}: ctx.wait_for_event: {error}") from error
        about = f"ctx.wait_for_event '{name[:MAX_SHOWN]}'"
        return self._run.wait(about, {"kind": "event", "name": name}, key=key, returns=returns, delay=timeout)

    def call_sub_orchestrator(
        self,
        orchestrator: str | Callable[..., Any],
        input_: object,
        instance_id: str | None,
        version: str | None,
        key: str | None,
        returns: Any,
    ) -> asyncio.Future[Any]:
        name = name_of(orchestrator)
        about = f"ctx.call_sub_orchestrator '{name[:MAX_SHOWN]}'"
        try:
            check_name(name, "the name of an orchestrator")
            if instance_id is not None:
                check_instance_id(instance_id)
            if version is not None and (problem := problem_of_version(version)) is not None:
                raise InvalidInputError(f"the version of an orchestrator {problem}, not {version!r:.300}")
        except InvalidInputError as error:
            raise JournalError(f"{caller()}: {about}: {error}") from error
        wait: dict[str, JSON] = {
            "kind": "child",
            "name": name,
            "version": version,
            "instance": instance_id or "",
            "input": self._converter.to_json(input_, f"the input of orchestrator '{name}'"),
        }
        if returns is None and not isinstance(orchestrator, str):
            returns = result_type(orchestrator)
        return self._run.wait(about, wait, key=key, returns=returns, delay=None)

    def callback(self, name: str, timeout: timedelta | None, key: str | None, returns: Any) -> JournalCallback[Any]:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_SHOWN or HALF_PAIR.search(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise JournalError(f"{caller()}: the name of ctx.callback is a text of 1 to {MAX_SHOWN} characters")
        line, about = caller(), f"ctx.callback '{name}'"
        if self._callback_url is None:
            raise JournalError(
                f"{line}: this app has no address to which a callback could be sent: run it in a host "
                "(durable_core.hosting)"
            )
        lifetime = timeout if isinstance(timeout, timedelta) else LIFETIME
        event, url = self._callback_url(name, self._run.next_of(about, key), lifetime)
        future = self._run.wait(about, {"kind": "event", "name": event}, key=key, returns=returns, delay=timeout)
        return JournalCallback(url, future)
