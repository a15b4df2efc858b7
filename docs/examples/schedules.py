"""Schedules: an orchestrator that is started again and again, by cron or at an interval."""

import asyncio
from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator

sent: list[str] = []


@activity
def send_report(instance_id: str) -> None:
    sent.append(instance_id)


@orchestrator
def report(ctx: OrchestrationContext, region: str) -> Orchestration[None]:
    yield from ctx.call_activity(send_report, ctx.instance_id)


async def set_up(client: DurableClient) -> None:
    # 02:30 on the wall clocks of Berlin, whatever daylight saving does; with six fields the first one is seconds
    await client.create_schedule("nightly", report, cron="30 2 * * *", time_zone="Europe/Berlin", client_input="EU")
    # every 6 hours; what falls due while a run still goes is run after it, in order ("skip" would drop it)
    await client.create_schedule("often", report, interval=timedelta(hours=6), client_input="EU", overlap="queue")


async def example(client: DurableClient) -> None:
    await set_up(client)
    assert {schedule.schedule_id for schedule in await client.list_schedules()} == {"nightly", "often"}

    await asyncio.sleep(25 * 3600)
    nightly = [run for run in sent if run.startswith("nightly:")]
    assert len(nightly) == 1  # its id holds the due time, so that no crash can start it twice
    assert len(sent) == 1 + 4
    assert (await client.get_schedule("nightly")).last_instance_id == nightly[0]

    await client.pause_schedule("often", reason="holidays")
    await asyncio.sleep(24 * 3600)
    by_hand = await client.trigger_schedule("often")  # now, even while it is paused
    await client.resume_schedule("often")
    status = await client.wait_for_completion(by_hand, timeout=600)
    while not status:  # the schedule has not come to start it
        await asyncio.sleep(1)
        status = await client.wait_for_completion(by_hand, timeout=600)
    assert status.runtime_status == "Completed"

    for schedule_id in ("nightly", "often"):
        await client.delete_schedule(schedule_id)
    assert await client.list_schedules() == []
