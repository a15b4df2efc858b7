"""Waits within a run of an agent: by a callback of its journaled activity, and by a durable timer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from pydantic import JsonValue
from pydantic_ai.durable_exec import ExternalEventError, ExternalEventWaiter
from pydantic_ai.exceptions import UserError

from ...errors import TaskTimeoutError
from .scope import Scope, inside_a_step


class CallbackWaiter(ExternalEventWaiter):
    """Lets a run wait for an answer from outside, as ``RequestInput`` does. The token is the URL of a callback."""

    def __init__(self, scope: Scope, agent_name: str, run_id: str, *, is_streamed: bool) -> None:
        self._scope, self._name, self._run_id = scope, agent_name, run_id
        # What comes after a wait is another writer of the stream, to which all before would be new.
        self._is_streamed = is_streamed

    async def wait(
        self,
        name: str,
        *,
        ask: Callable[[str], Awaitable[JsonValue]],
        timeout: timedelta | None,  # noqa: ASYNC109  a durable timer keeps it
    ) -> JsonValue:
        """What ``ask`` answers in a step of its own, or else the JSON that is posted to the URL that it was given."""
        if self._is_streamed:
            raise UserError(
                "a run whose events are streamed cannot wait within itself: let it end with DeferredToolRequests and "
                "wait with converse, or give the DurableCoreDurability of this agent no stream"
            )
        scope, step = self._scope, f"{self._name}__external_event.{name}"
        key = scope.key_of(step, self._run_id)
        callback = scope.journal.callback(step, timeout=timeout, key=key)

        async def asked() -> JsonValue:
            with inside_a_step():
                return await ask(callback.url)

        answer = await scope.journal.step(f"{step}.ask", asked, key=key)
        if answer is not None:
            callback.future.cancel()
            return answer
        try:
            return await callback.future
        except TaskTimeoutError as error:
            raise ExternalEventError(f"nothing was posted within {timeout}") from error

    async def sleep(self, seconds: float) -> None:
        """Wait between two looks at an answer that a model makes in the background."""
        step = f"{self._name}__sleep"
        await self._scope.journal.sleep(
            timedelta(seconds=seconds), key=self._scope.key_of(step, f"{step}/{self._run_id}")
        )
