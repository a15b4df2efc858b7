"""A chain: each step is an activity, and gets what the step before it gave."""

from datetime import timedelta

from pydantic import BaseModel

from durable_core import DurableClient, Orchestration, OrchestrationContext, RetryPolicy, activity, orchestrator


class Photo(BaseModel):
    name: str
    width: int


@activity
def shrink(photo: Photo) -> Photo:
    return photo.model_copy(update={"width": min(photo.width, 800)})


@activity(retry=RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=2)))
async def upload(photo: Photo) -> str:
    return f"https://photos.example/{photo.name}?w={photo.width}"


@orchestrator
def publish(ctx: OrchestrationContext, photo: Photo) -> Orchestration[str]:
    small = yield from ctx.call_activity(shrink, photo)
    address = yield from ctx.call_activity(upload, small)
    return address


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(publish, client_input=Photo(name="cat", width=4000))
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == "https://photos.example/cat?w=800"
