"""``ctx.map``: one call for each of many items, with a policy for failures."""

from __future__ import annotations

from collections.abc import Iterator

from durable_core import (
    AtLeast,
    DurableClient,
    MapFailedError,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    Tolerate,
    activity,
    orchestrator,
)


@activity(short=True)
async def thumbnail(photo: str) -> str:
    if photo.endswith(".gif"):
        raise NonRetriableError(f"{photo} moves")
    return f"small-{photo}"


@orchestrator
def album(ctx: OrchestrationContext, photos: list[str]) -> Orchestration[list[str]]:
    # The results come in the order of the photos; at most twenty are under way.
    return (yield from ctx.map(thumbnail, photos, max_concurrency=20))


@orchestrator
def whole_archive(ctx: OrchestrationContext, years: int) -> Orchestration[int]:
    def photos() -> Iterator[str]:  # taken from one by one, as slots get free
        for year in range(years):
            for number in range(1_000):
                yield f"{year}-{number}.jpg"

    small = yield from ctx.map(thumbnail, photos(), max_concurrency=200)
    return len(small)


@orchestrator
def most_of_it(ctx: OrchestrationContext, photos: list[str]) -> Orchestration[dict[str, str]]:
    # Up to one in ten may fail.
    try:
        result = yield from ctx.map(thumbnail, photos, policy=Tolerate(share=0.1))
    except MapFailedError as error:
        return {photos[index]: str(each.failure.message) for index, each in error.result.errors.items()}
    return {photos[item.index]: item.result for item in result if item.error is None}


@orchestrator
def three_proofs(ctx: OrchestrationContext, photos: list[str]) -> Orchestration[list[str]]:
    # As soon as three are done, no further one begins.
    result = yield from ctx.map(thumbnail, photos, policy=AtLeast(3), max_concurrency=3)
    return result.values


async def example(client: DurableClient) -> None:
    photos = [f"{number}.jpg" for number in range(9)]
    small = [f"small-{photo}" for photo in photos]
    moving = ["a.gif", "b.gif", *photos]
    for name, given, expected in (
        (album, photos, small),
        (most_of_it, ["a.gif", *photos], dict(zip(photos, small, strict=True))),
        (most_of_it, moving, {"a.gif": "a.gif moves", "b.gif": "b.gif moves"}),
        (three_proofs, moving, small[:3]),
    ):
        instance_id = await client.start_new(name, client_input=given)
        status = await client.wait_for_completion(instance_id, timeout=600)
        assert status.output == expected, status
    instance_id = await client.start_new(whole_archive, client_input=2)
    status = await client.wait_for_completion(instance_id, timeout=600)
    assert status.output == 2_000, status
