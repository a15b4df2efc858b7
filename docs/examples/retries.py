"""When and how often something that failed is tried again. Retries cost no history."""

from __future__ import annotations

from datetime import timedelta

from durable_core import (
    ActivityContext,
    FailureDetails,
    Orchestration,
    OrchestrationContext,
    RetryOptions,
    RetryPolicy,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.runtime.client import DurableClient

PATIENT = RetryPolicy(
    max_attempts=5,  # the first one counts
    first_interval=timedelta(seconds=2),
    backoff=3.0,  # 2 s, 6 s, 18 s, ...
    max_interval=timedelta(minutes=1),
    total_timeout=timedelta(hours=1),
    jitter=0.2,
    non_retriable=[PermissionError, "app.errors.CardRefused"],
)


def is_busy(failure: FailureDetails) -> bool:
    return "busy" in failure.message


@activity(retry=PATIENT)  # the policy wherever the call gives none
def print_label(ctx: ActivityContext, text: str) -> str:
    if ctx.attempt < 3:
        raise OSError(f"printer busy, attempt {ctx.attempt}")
    return f"{text}, printed at attempt {ctx.attempt}"


@activity
def open_safe(ctx: ActivityContext, code: str) -> str:
    raise PermissionError(f"attempt {ctx.attempt}: wrong code {code}")


@orchestrator
def open_it(ctx: OrchestrationContext, code: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(open_safe, code))


@orchestrator
def labels(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    results = [(yield from ctx.call_activity(print_label, "A"))]
    results.append(
        (yield from ctx.call_activity(print_label, "B", retry=RetryPolicy(max_attempts=9, retry_if=is_busy)))
    )
    results.append((yield from ctx.call_activity_with_retry(print_label, RetryOptions(500, 3), "C")))
    try:
        yield from ctx.call_activity(open_safe, "0000", retry=PATIENT)
    except TaskFailedError as error:
        results.append(error.failure.message)
    try:
        yield from ctx.call_sub_orchestrator(open_it, "1111", retry=RetryPolicy(max_attempts=2))
    except TaskFailedError as error:
        results.append(error.failure.type.rsplit(".", 1)[-1])
    return results


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(labels)
    status = await client.wait_for_completion(instance_id, timeout=600)
    assert status.output == [
        "A, printed at attempt 3",
        "B, printed at attempt 3",
        "C, printed at attempt 3",
        "attempt 1: wrong code 0000",
        "ActivityFailedError",
    ]
