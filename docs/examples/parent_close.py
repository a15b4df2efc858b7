"""What becomes of a child that still runs when its parent ends."""

from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, TaskCancelledError, activity, orchestrator


@activity
def stop_camera(site: str) -> None: ...


@orchestrator
def watch(ctx: OrchestrationContext, site: str) -> Orchestration[None]:
    try:
        while True:
            yield from ctx.create_timer(timedelta(hours=1))
    except TaskCancelledError:
        yield from ctx.call_activity(stop_camera, site)  # the child may clean up, also after its parent has ended
        raise


@orchestrator
def film(ctx: OrchestrationContext, site: str) -> Orchestration[str]:
    _ = ctx.call_sub_orchestrator(watch, site, f"{ctx.instance_id}-watch", parent_close="cancel")
    title = yield from ctx.wait_for_external_event("Done", str)
    return title


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(film, "f-1", "Bergen")
    await client.raise_event(instance_id, "Done", "Rain")
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == "Rain"
    child = await client.wait_for_completion("f-1-watch", timeout=60)
    assert child.runtime_status == "Canceled"
    assert child.output == "its parent has ended"
