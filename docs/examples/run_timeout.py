"""A time for the whole run: when it is over, the instance fails, and its sub-orchestrations are terminated."""

from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, TaskTimeoutError, orchestrator


@orchestrator
def inspection(ctx: OrchestrationContext, site: str) -> Orchestration[str]:
    report = yield from ctx.wait_for_external_event("report", str)
    return report


@orchestrator
def audit(ctx: OrchestrationContext, site: str) -> Orchestration[str]:
    try:
        report = yield from ctx.call_sub_orchestrator(inspection, site, timeout=timedelta(days=2))
    except TaskTimeoutError:
        return f"nobody went to {site}"
    return report


async def example(client: DurableClient) -> None:
    # the same for an instance of one's own: through continue-as-new, over hosts, and while it is suspended
    instance_id = await client.start_new(inspection, client_input="Bergen", timeout=timedelta(hours=36))
    status = await client.wait_for_completion(instance_id, timeout=48 * 3600)
    assert status.runtime_status == "Failed"
    assert status.failure is not None
    assert status.failure.is_caused_by(TaskTimeoutError)

    instance_id = await client.start_new(audit, client_input="Bergen")
    status = await client.wait_for_completion(instance_id, timeout=72 * 3600)
    assert status.output == "nobody went to Bergen"
