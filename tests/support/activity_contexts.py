"""Contexts for calling an activity directly, as its runner would."""

from __future__ import annotations

from durable_core import ActivityContext


def attempt(idempotency_key: str, number: int = 1) -> ActivityContext:
    """The context of one attempt at the call that this key stands for."""
    return ActivityContext(
        instance_id="instance", execution_id="execution", task_id=0, attempt=number, idempotency_key=idempotency_key
    )
