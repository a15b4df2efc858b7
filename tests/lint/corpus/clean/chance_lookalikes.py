"""Chance that is the same at every replay."""

from __future__ import annotations

import hashlib
import random
import uuid
import zlib
from random import Random
from typing import Any
from uuid import UUID, uuid5

from durable_core import Orchestration, OrchestrationContext, orchestrator

SHOP = uuid.UUID("8c7b1f2e-58a9-4a3c-9f2a-6d5d1c1b0a77")


class Order:
    def __init__(self, number: str) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Order) and other.number == self.number


@orchestrator
def draws(ctx: OrchestrationContext, names: list[str]) -> Orchestration[list[str]]:
    winner = ctx.random.choice(names)
    ctx.random.shuffle(names)
    rng = ctx.random
    lucky = rng.randint(1, 6) + rng.random()
    seeded = random.Random(zlib.crc32(ctx.instance_id.encode()))
    also = Random(len(names))
    yield from ctx.call_activity("mail", [winner, lucky, seeded.random(), also.choice(names)])
    return sorted(names, key=lambda name: seeded.random())


@orchestrator
def ids(ctx: OrchestrationContext, order: str) -> Orchestration[str]:
    first = ctx.new_uuid()
    second = ctx.new_guid().hex
    third = uuid5(SHOP, order)
    fourth = UUID(first)
    shard = hashlib.sha256(order.encode()).digest()[0] % 4
    yield from ctx.call_activity("store", [first, second, str(third), fourth.hex, shard])
    return str(uuid.uuid3(SHOP, order))


@orchestrator
def drawn_in_steps(ctx: OrchestrationContext) -> Orchestration[list[object]]:
    number = yield from ctx.run("number", random.random)
    token = yield from ctx.run("token", lambda: uuid.uuid4().hex)
    even = hash(4) % 2 == 0

    def draw() -> int:
        return random.randint(1, 6)

    dice = yield from ctx.task_all([ctx.run(f"dice {at}", draw) for at in range(3)])
    return [number, token, even, *dice]


@orchestrator
def with_own_random(ctx: OrchestrationContext, seed: int) -> Orchestration[float]:
    random = Random(seed)
    uuid4 = random.random
    yield from ctx.call_activity("store", random.choice([1, 2]))
    return uuid4()


@orchestrator
def name_of_two_things(ctx: OrchestrationContext) -> Orchestration[list[float]]:
    source: Any = ctx.random
    first = source.random()
    source = random
    second = yield from ctx.run("second", source.random)
    return [first, second]


@orchestrator
def objects_as_keys(ctx: OrchestrationContext, numbers: list[str]) -> Orchestration[int]:
    orders = {Order(number): number for number in numbers}
    for order in orders:
        yield from ctx.call_activity("ship", order.number)
    return len(orders)
