"""Makes golden histories: ``python -m tools.histories [NAME...]``.

Runs every sample, and an orchestrator of each feature (``tests/histories/features.py``), in simulated hosts and exports
what they leave to ``tests/histories``. A file that is there is left alone: histories of an earlier release are what
later ones are held to. ``MANIFEST`` holds the hash of each, so that none is changed or lost unseen.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

import activities
import orchestrators
from durable_core import Registry, RuntimeStatus, activity
from durable_core.definitions import MAP_NAME
from durable_core.engine.events import TaskScheduled
from durable_core.errors import UpdateFailedError
from durable_core.replay.history import from_text, to_text
from durable_core.runtime.schedules.orchestrator import SCHEDULE_PREFIX
from durable_core.testing import History, load_history
from durable_core.testing.simulation import Role, World
from tests.histories import durable_functions as df_app
from tests.histories import features

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "histories"
MANIFEST = FOLDER / "MANIFEST"
Histories = dict[str, History]


@activity(name="check_url")
async def url_is_known(url: str) -> int | None:
    """Stands in for the sample's own, which asks the network."""
    return None if url.endswith("/never") else 503 if url.endswith("/down") else 200


def _samples() -> Registry:
    """The samples as they are, but for ``check_url``."""
    found = Registry.scan(orchestrators, activities)
    return Registry().add(
        *(found.orchestrator(name).fn for name in found.orchestrator_names),
        *(found.activity(name).fn for name in found.activity_names if name != "check_url"),
        url_is_known,
    )


SAMPLES = _samples()
FEATURES = Registry.scan(features)


@dataclass(frozen=True, slots=True)
class Golden:
    """A run that leaves histories, by the names of their files."""

    registry: Registry
    run: Callable[[World], Awaitable[Histories]]
    hosts: int | tuple[Role, ...] = 1


async def take(world: World, **ids: str) -> Histories:
    """The histories of these instances, by file name."""
    return {name: await load_history(world.outside.hub, instance_id) for name, instance_id in ids.items()}


async def until_ended(world: World, *ids: str) -> None:
    for instance_id in ids:
        status = await world.client.wait_for_completion(instance_id, 400 * 24 * 3600)
        assert status.is_terminal, status


async def take_twice(
    world: World, name: str, instance_id: str, event: str, value: Any = None, *, wait: float
) -> Histories:
    """``NAME_mid_wait`` is the history of the instance as it waits after ``wait`` seconds, ``NAME`` that of its end, to
    which the event leads."""
    await asyncio.sleep(wait)
    waiting = await take(world, **{f"{name}_mid_wait": instance_id})
    await world.client.raise_event(instance_id, event, value)
    await until_ended(world, instance_id)
    return waiting | await take(world, **{name: instance_id})


# ---------------------------------------------------------------- samples


def order_of(number: str, card: str = "4242 4242", sku: str = "book") -> dict[str, Any]:
    return {
        "order_id": number,
        "customer_email": "ada@example.com",
        "items": [{"sku": sku, "quantity": 1}],
        "payment": {"card": card, "amount": "12.50"},
    }


async def orders(world: World) -> Histories:
    client = world.client
    await client.start_new("order", "done", order_of("1"))
    await client.start_new("order", "declined", order_of("2", card="4000 0002"))
    await client.start_new("order", "short", order_of("3", sku="sold-out"))
    await client.start_new("order", "lost", order_of("4"))
    await client.start_new("order", "waits", order_of("5"))
    await asyncio.sleep(3600)
    await client.raise_event("done", "DeliveryConfirmed", {"by": "the neighbour"})
    waiting = await take(world, order_mid_wait="waits")
    await until_ended(world, "done", "declined", "short", "lost")
    return waiting | await take(
        world,
        order_completed="done",
        order_payment_failed="declined",
        order_out_of_stock="short",
        order_delivery_timeout="lost",
    )


async def word_counts(world: World) -> Histories:
    folder = Path("texts")
    folder.mkdir()  # noqa: ASYNC240
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"the cat and the {number} dogs")
    await world.client.start_new("word_count", "words", {"folder": "texts", "chunk_files": 1})
    await world.client.start_new("word_count", "nothing", {"folder": "absent"})
    await until_ended(world, "words", "nothing")
    return await take(world, word_count_completed="words", word_count_failed="nothing")


async def watches(world: World) -> Histories:
    for name in ("up", "down", "never"):
        await world.client.start_new("watch_url", name, {"url": f"http://example.com/{name}", "deadline_seconds": 100})
    await asyncio.sleep(70)
    waiting = await take(world, watch_url_third_round="down")
    await until_ended(world, "up", "never")
    return waiting | await take(world, watch_url_up="up", watch_url_gave_up="never")


async def approvals(world: World) -> Histories:
    for name in ("yes", "no", "late"):
        await world.client.start_new("approval", name, {"request": {"days": 3}, "deadline_seconds": 1000})
    await asyncio.sleep(60)
    await world.client.raise_event("yes", "Approved", {})
    await asyncio.sleep(600)
    escalated = await take(world, approval_escalated="no")
    await world.client.raise_event("no", "Rejected", {})
    await until_ended(world, "yes", "no", "late")
    return escalated | await take(world, approval_approved="yes", approval_rejected="no", approval_expired="late")


# ---------------------------------------------------------------- features


async def families(world: World) -> Histories:
    await world.client.start_new("family", "f", 3)
    await until_ended(world, "f", "f-second", "f-detached")
    return await take(world, sub_orchestrations="f", sub_orchestration="f-second", detached="f-detached")


async def closing(world: World) -> Histories:
    await world.client.start_new("waits_with_children", "c")
    await until_ended(world, "c", "c-cancelled", "c-terminated")
    assert not (await world.client.get_status("c-abandoned")).is_terminal
    return await take(world, parent_close="c", parent_close_child="c-cancelled")


async def mapped(world: World) -> Histories:
    await world.client.start_new("maps", "m", 7)
    await until_ended(world, "m")
    batches = await world.client.get_status_by(name=MAP_NAME)
    batch = next(each for each in batches if each.runtime_status is RuntimeStatus.COMPLETED)
    return await take(world, maps="m", map_batch=batch.instance_id)


async def steps(world: World) -> Histories:
    await world.client.start_new("steps", "s", "tea")
    await until_ended(world, "s")
    return await take(world, steps="s")


async def timers(world: World) -> Histories:
    await world.client.start_new("timers", "t", start_at=world.loop.now() + timedelta(hours=1))
    delayed = await take(world, delayed_start="t")
    await asyncio.sleep(24 * 3600)
    waiting = await take(world, timers_mid_wait="t")
    await until_ended(world, "t")
    return delayed | waiting | await take(world, timers="t")


async def baskets(world: World) -> Histories:
    client = world.client
    await client.start_new("listener", "l")
    await client.signal_with_start("basket", "b", "Add", "l")
    await client.raise_event("b", "add", {"milk": 1}, event_id="again")
    await client.raise_event("b", "add", {"milk": 1}, event_id="again")
    await asyncio.sleep(3600)
    await client.suspend("b", "stock-taking")
    await asyncio.sleep(60)
    await client.raise_event("b", "Paid", {"cents": 250})
    await asyncio.sleep(60)
    suspended = await take(world, events_suspended="b")
    await client.resume("b")
    await until_ended(world, "b", "l")
    return suspended | await take(world, events="b", event_received="l")


async def signatures(world: World) -> Histories:
    await world.client.start_new("signature", "c", "ada")
    await asyncio.sleep(60)
    waiting = await take(world, callback_mid_wait="c")
    asked = next(event for event in waiting["callback_mid_wait"].events if isinstance(event, TaskScheduled))
    await world.client.complete_callback(asked.input["url"], "Ada")
    await until_ended(world, "c")
    return waiting | await take(world, callback="c")


async def trips(world: World) -> Histories:
    await world.client.start_new("trip", "t", "Atlantis")
    await until_ended(world, "t")
    return await take(world, saga="t")


async def generations(world: World) -> Histories:
    await world.client.start_new("rounds", "r", 3)
    for number in range(4):
        await world.client.raise_event("r", "next", f"n{number}", event_id=f"e{number}")
    return await take_twice(world, "continue_as_new", "r", "stop", wait=600)


async def films(world: World) -> Histories:
    async with service() as address:
        await world.client.start_new("film", "f", address)
        await until_ended(world, "f")
        taken = await take(world, call_http="f")
    return {name: _reword(history, address, "http://films.example.com") for name, history in taken.items()}


@asynccontextmanager
async def service() -> AsyncGenerator[str]:
    fixed = {"Date": "Tue, 01 Jan 2030 00:00:00 GMT", "Server": "films"}
    polls = iter([True, False])

    async def begin(_: web.Request) -> web.Response:
        return web.Response(status=202, headers={"Location": "/films/1", "Retry-After": "20", **fixed})

    async def state(request: web.Request) -> web.Response:
        return await begin(request) if next(polls) else web.json_response({"film": "cats.mp4"}, headers=fixed)

    app = web.Application()
    app.add_routes([web.post("/films", begin), web.get("/films/1", state)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def endings(world: World) -> Histories:
    client = world.client
    for name in ("cancelled", "terminated", "late"):
        await client.start_new("tidy", name, timeout=timedelta(hours=2) if name == "late" else None)
        await client.suspend(name, "not yet")
        await asyncio.sleep(60)
        await client.raise_event(name, "first")
        await client.resume(name)
        await asyncio.sleep(60)
    await client.cancel("cancelled", "called off")
    await client.terminate("terminated", "no questions asked")
    await until_ended(world, "cancelled", "terminated", "late", "terminated-child")
    return await take(
        world, cancelled="cancelled", terminated="terminated", timed_out="late", terminated_child="terminated-child"
    )


async def fans(world: World) -> Histories:
    await world.client.start_new("fan", "f", 10)
    await until_ended(world, "f")
    return await take(world, fan_out="f")


async def schedules(world: World) -> Histories:
    client = world.client
    await client.create_schedule("nightly", "report", cron="30 2 * * *", time_zone="Europe/Berlin", client_input="EU")
    await client.create_schedule("often", "report", interval=timedelta(hours=6), client_input="EU", overlap="queue")
    await asyncio.sleep(50 * 3600)
    await client.pause_schedule("often", "holidays")
    await asyncio.sleep(3600)
    run = (await client.get_schedule("nightly")).last_instance_id
    assert run is not None
    return await take(
        world, schedule=f"{SCHEDULE_PREFIX}nightly", schedule_paused=f"{SCHEDULE_PREFIX}often", scheduled_run=run
    )


async def more_schedules(world: World) -> Histories:
    """With what the first version of schedules did not have, an update, and a backfill."""
    client, now = world.client, world.loop.now()
    await client.create_schedule(
        "spread", "report", interval=timedelta(hours=1), client_input="EU", jitter=timedelta(minutes=5)
    )
    await client.pause_schedule("spread")
    await asyncio.sleep(60)
    await client.create_schedule(
        "spread",
        "report",
        interval=timedelta(hours=2),
        client_input="US",
        catch_up=timedelta(hours=6),
        if_exists="update",
    )
    backfill = await client.backfill_schedule("spread", now - timedelta(hours=5), now, max_concurrency=2)
    await asyncio.sleep(10)
    return await take(world, schedule_updated=f"{SCHEDULE_PREFIX}spread", backfill=backfill)


async def bulk(world: World) -> Histories:
    client = world.client
    await client.start_new("tidy", "held")
    await asyncio.sleep(60)
    bulk_id = await client.bulk("terminate", instance_id_prefix="held", reason="no longer needed")
    await until_ended(world, bulk_id, "held")
    return await take(world, bulk=bulk_id)


async def recipes(world: World) -> Histories:
    await world.client.start_new("recipe", "old", "rice", version="1")
    await world.client.start_new("recipe", "new", "beans")
    await until_ended(world, "old")
    await asyncio.sleep(60)
    return await take(world, version_1="old", version_2_with_patches="new")


async def retries(world: World) -> Histories:
    await world.client.start_new("retried", "r", 7)
    await world.client.start_new("ended_by_two", "e")
    await until_ended(world, "r", "e")
    children = (await world.client.list_instances(instance_id_prefix="r:")).instances
    last = max(child.instance_id for child in children)
    return await take(world, retried="r", retried_child=last, ended_by_two="e")


async def rewinds(world: World) -> Histories:
    """The activity succeeds at its thousandth attempt, and the first attempt after a rewind has the number 1001."""
    await world.client.start_new("retried", "again", 1000)
    await until_ended(world, "again")
    await world.client.rewind("again", "the reason is gone")
    await until_ended(world, "again")
    return await take(world, rewound="again") | await rewound_maps(world)


async def rewound_maps(world: World) -> Histories:
    features.STUMBLED.clear()
    await world.client.start_new("stumbles", "s", 7)
    while (await world.client.wait_for_completion("s", 3600)).runtime_status is RuntimeStatus.FAILED:
        await world.client.rewind("s", "it is on its feet again", force=True)
    batches = await world.client.get_status_by(name=MAP_NAME)
    loaded = [await load_history(world.outside.hub, batch.instance_id) for batch in batches]
    is_rewound = ["ExecutionRewound" in to_text(each) for each in loaded]
    batch = batches[is_rewound.index(True)]
    return await take(world, rewound_map="s", rewound_map_batch=batch.instance_id)


async def entities(world: World) -> Histories:
    await world.client.start_new("purses", "p", 5)
    await until_ended(world, "p")
    return await take(world, entities="p")


async def limits(world: World) -> Histories:
    await world.client.start_new("bakes", "b", ["bread", "bread", "cake"])
    return await take_twice(world, "limits", "b", "served", wait=60)


async def whole_limits(world: World) -> Histories:
    await world.client.start_new("shifts", "s", 1)
    await asyncio.sleep(60)
    await world.client.start_new("shifts", "t", 1)
    await asyncio.sleep(60)
    waiting = await take(world, limit_of_run_mid_wait="t")
    await world.client.raise_event("s", "closed")
    await until_ended(world, "s")
    return waiting | await take(world, limit_of_run="s")


async def turns_at_work(world: World) -> Histories:
    await world.client.start_new("errands", "e", 6)
    return await take_twice(world, "turns_at_work", "e", "More", "flowers", wait=60)


async def journals(world: World) -> Histories:
    await world.client.start_new("journals", "j", 3)
    return await take_twice(world, "journals", "j", "Said", "word", wait=60)


async def updates(world: World) -> Histories:
    client = world.client
    await client.start_new("counter_of_votes", "v", 0)
    await client.update("v", "vote", 2, update_id="v-1")
    asking = asyncio.create_task(client.update("v", "ask", "berlin", update_id="a-1", timeout=3600))
    await asyncio.sleep(5)
    waiting = await take(world, updates_mid_wait="v")
    await client.raise_event("v", "Answered", 3)
    await asking
    with suppress(UpdateFailedError):
        await client.update("v", "object", update_id="o-1")
    await client.update("v", "close", update_id="c-1")
    await until_ended(world, "v")
    return waiting | await take(world, updates="v")


async def branches(world: World) -> Histories:
    taken: Histories = {}
    for name, orchestrator in (("branches", "excursion"), ("async_def", "excursion_in_async")):
        await world.client.start_new(orchestrator, name, 3)
        taken |= await take_twice(world, name, name, "Word", "enough", wait=90 * 60)
    return taken


async def async_updates(world: World) -> Histories:
    client = world.client
    await client.start_new("waiter", "w")
    waiting = asyncio.create_task(client.update("w", "wait", update_id="w-1", timeout=7200))
    await asyncio.sleep(60)
    orders = [client.update("w", "order", dish, update_id=dish, timeout=3600) for dish in ("soup", "rice")]
    assert await asyncio.gather(*orders) == [2, 2]
    mid_wait = await take(world, async_updates_mid_wait="w")
    await until_ended(world, "w")
    with suppress(UpdateFailedError):
        await waiting
    return mid_wait | await take(world, async_updates="w")


async def headers(world: World) -> Histories:
    await world.client.start_new("headed", "h", headers={"tenant": "acme", "calls": 2})
    await until_ended(world, "h", "headed-other")
    return await take(world, headers="h", headers_child="headed-child")


async def durable_functions(world: World) -> Histories:
    await world.client.start_new("df_booking", "b")
    taken = await take_twice(world, "durable_functions", "b", "paid", {"cents": 250}, wait=60)
    return taken | await take(world, durable_functions_child="b-child")


GOLDEN: dict[str, Golden] = {
    **{run.__name__: Golden(SAMPLES, run) for run in (orders, word_counts, watches, approvals)},
    **{
        run.__name__: Golden(FEATURES, run)
        for run in (
            families, closing, mapped,
            steps, timers, baskets, signatures, trips, generations, films, endings, fans, schedules,
            more_schedules, bulk,
            recipes, retries, rewinds, entities, limits, whole_limits, updates, branches, async_updates,
            journals,
        )
    },
    "headers": Golden(Registry.scan(features).intercept(features.Stamping()), headers),
    "turns_at_work": Golden(FEATURES, turns_at_work, ("control", "work")),
    "durable_functions": Golden(df_app.app.registry, durable_functions),
}  # fmt: skip


# ---------------------------------------------------------------- files


def make(name: str) -> dict[str, str]:
    """The contents of the files of one run, by their names."""
    golden = GOLDEN[name]
    with _in_a_folder_of_its_own():
        world = World(golden.registry, hosts=golden.hosts, seed=sum(name.encode()))
        histories = world.run(golden.run)
    assert not world.errors, world.errors
    return {f"{file}.json": _without_paths(to_text(history)) for file, history in histories.items()}


@contextmanager
def _in_a_folder_of_its_own() -> Generator[None]:
    before = Path.cwd(), {name: os.environ.get(name) for name in ("SHOP_DB", "OUTBOX")}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ.update({"SHOP_DB": "shop.db", "OUTBOX": "outbox"})
        try:
            yield
        finally:
            os.chdir(before[0])
            for name, value in before[1].items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def _without_paths(text: str) -> str:
    """Stack traces name this machine's folders; a golden file must not."""
    text = re.sub(r'(File \\")/[^"]*?/((?:durable_core|activities|orchestrators|tests|tools)/)', r"\1\2", text)
    text = re.sub(r'(File \\")/[^"]*/(lib/python[^"]*)', r"\1\2", text)
    return re.sub(r"\(looked from [^)]*\)", "(looked from here)", text)


def _reword(history: History, old: str, new: str) -> History:
    return from_text(to_text(history).replace(old, new))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest() -> dict[str, str]:
    """Hashes by file name."""
    lines = MANIFEST.read_text().splitlines() if MANIFEST.exists() else []
    return {name: hashed for hashed, name in (line.split() for line in lines)}


def write_manifest(hashes: dict[str, str]) -> None:
    MANIFEST.write_text("".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)))


def main(names: list[str]) -> None:
    hashes = manifest()
    for name in names or GOLDEN:
        for file, content in make(name).items():
            if file in hashes:
                print(f"{file}: kept")
                continue
            (FOLDER / file).write_text(content)
            hashes[file] = digest(content.encode())
            print(f"{file}: new")
    write_manifest(hashes)


if __name__ == "__main__":
    main(sys.argv[1:])
