"""Schedules: an orchestrator that is started again and again, by cron or at an interval."""

import asyncio
from datetime import datetime, timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator, schedule

sent: list[str] = []


@activity
def send_report(instance_id: str) -> None:
    sent.append(instance_id)


# Declared beside the code. A host that starts brings the hub in line: 02:30 on the wall clocks of Berlin, whatever
# daylight saving does, and every Monday at noon UTC, each run delayed by up to ten minutes
@schedule(id="nightly", cron="30 2 * * *", time_zone="Europe/Berlin", input="EU", catch_up=timedelta(hours=12))
@schedule(id="weekly", cron="0 12 * * 1", input="all", jitter=timedelta(minutes=10))
@orchestrator
def report(ctx: OrchestrationContext, region: str) -> Orchestration[None]:
    yield from ctx.call_activity(send_report, ctx.instance_id)


async def set_up(client: DurableClient, region: str) -> None:
    # made by a client, for what is known at run time alone. Every 6 hours; what falls due while a run still goes is run
    # after it, in order ("skip" would drop it)
    await client.create_schedule(
        f"often-{region}", report, interval=timedelta(hours=6), client_input=region, overlap="queue", if_exists="update"
    )


async def make_up_for(client: DurableClient, start: datetime, end: datetime) -> str:
    # the runs that were due in a past period, each once; a run that there was is passed over
    return await client.backfill_schedule("nightly", start, end, max_concurrency=4)


async def example(client: DurableClient) -> None:
    await client.synchronize_schedules()  # a host does this when it starts
    await set_up(client, "EU")
    assert {each.schedule_id for each in await client.list_schedules()} == {"nightly", "weekly", "often-EU"}

    await asyncio.sleep(25 * 3600)
    nightly = [run for run in sent if run.startswith("nightly:")]
    assert len(nightly) == 1  # its id holds the due time, so that no crash can start it twice
    assert len([run for run in sent if run.startswith("often-EU:")]) == 4
    shown = await client.get_schedule("nightly")
    assert shown.last_instance_id == nightly[0]
    assert shown.is_declared
    assert shown.last_due is not None

    backfill = await make_up_for(client, shown.last_due - timedelta(days=3), shown.last_due)
    done = await client.wait_for_completion(backfill, timeout=3600)
    assert done.output == {"started": 3, "failed": 0, "alreadyThere": 1}

    await client.pause_schedule("often-EU", reason="holidays")
    await asyncio.sleep(24 * 3600)
    by_hand = await client.trigger_schedule("often-EU")  # now, even while it is paused
    await client.resume_schedule("often-EU")
    status = await client.wait_for_completion(by_hand, timeout=600)
    assert status.runtime_status == "Completed"

    for each in await client.list_schedules():
        await client.delete_schedule(each.schedule_id)
    assert await client.list_schedules() == []
