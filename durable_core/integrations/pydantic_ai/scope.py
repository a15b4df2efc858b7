"""The run scope of an agent: the journaled activity in which it runs, and the keys of its steps."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic_ai.tools import RunContext

from ...journal import JournalContext

_LONGEST_SUBJECT = 240  # characters; a key of a step has at most 256, and the count follows


class Scope:
    """One invocation of a journaled activity, in which agents run.

    replayed: the runs whose last model response came from the journal, so that its events were not streamed yet.
    """

    __slots__ = ("_counts", "_runs", "journal", "replayed")

    def __init__(self, journal: JournalContext) -> None:
        self.journal = journal
        self.replayed: set[str] = set()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._runs = 0

    def next_run_id(self) -> str:
        """The id of the next run that has none of its own: the same when the activity runs again."""
        self._runs += 1
        return f"{self.journal.idempotency_key}:{self._runs}"

    def note(self, run_id: str, *, is_replayed: bool) -> None:
        """Note whether the response that a run has got now comes from the journal."""
        (self.replayed.add if is_replayed else self.replayed.discard)(run_id)

    def key_of(self, name: str, subject: str) -> str:
        """The key of the next step with this name and subject.

        Concurrent tool calls have different subjects, so that their order does not matter; the steps of one subject
        follow one another and are counted.
        """
        self._counts[name, subject] += 1
        count = self._counts[name, subject]
        return subject if count == 1 else f"{subject}#{count}"


def subject_of(parameters: tuple[object, ...]) -> str:
    """The run to which an operation with these parameters belongs, and the tool call if it is part of one."""
    contexts: list[RunContext[Any]] = [each for each in parameters if isinstance(each, RunContext)]
    return (
        _subject(*(each for each in (contexts[0].run_id, contexts[0].tool_call_id) if each))
        if contexts
        else _EVENT.get()
    )


def _subject(*parts: str) -> str:
    """Parts of a key as one: their digest if a provider's ids are longer than a key may be."""
    subject = "/".join(parts)
    return subject if len(subject) <= _LONGEST_SUBJECT else hashlib.sha256(subject.encode()).hexdigest()


_SCOPE: ContextVar[Scope | None] = ContextVar("durable_core_agent_scope", default=None)
_EVENT: ContextVar[str] = ContextVar("durable_core_agent_event", default="-")
_IN_STEP: ContextVar[bool] = ContextVar("durable_core_agent_step", default=False)


def current_scope() -> Scope | None:
    """The scope of the running ``durable_run`` block; None outside of one."""
    return _SCOPE.get()


def durable_scope() -> Scope | None:
    """The scope in which an agent that runs now records its operations; None outside of a ``durable_run`` block, and
    within a step."""
    return None if _IN_STEP.get() else _SCOPE.get()


@contextmanager
def durable_run(ctx: JournalContext) -> Generator[None]:
    """Within the block, the runs of agents that have the ``DurableCoreDurability`` capability are recorded in the
    journal of this activity: ``with durable_run(ctx): result = await agent.run(prompt)``.

    ctx: the context of the activity, which is journaled: ``@activity(journal=True)``.
    """
    token = _SCOPE.set(Scope(ctx))
    try:
        yield
    finally:
        _SCOPE.reset(token)


@contextmanager
def about_event(ctx: RunContext[Any], event: object) -> Generator[None]:
    """Within the block, an operation without a run context handles this event: events of concurrent tool calls may come
    in another order when the run goes on, and each keeps its own record."""
    call = getattr(getattr(event, "part", event), "tool_call_id", None) or ""
    token = _EVENT.set(_subject(str(ctx.run_id), str(getattr(event, "event_kind", "")), str(call)))
    try:
        yield
    finally:
        _EVENT.reset(token)


@contextmanager
def inside_a_step() -> Generator[None]:
    """Within the block, agents run without records of their own: the step that runs has the one record."""
    token = _IN_STEP.set(True)
    try:
        yield
    finally:
        _IN_STEP.reset(token)


def idempotency_key(ctx: RunContext[Any]) -> str:
    """A key for external systems, in a tool: the same whenever this tool call runs again, different for every other.

    A step that was running when its host crashed runs again, so a tool must have no second effect then.
    """
    return f"{ctx.run_id}/{ctx.tool_call_id}"
