"""Random numbers, ids, secrets, hashes."""

import os
import random
import secrets
import uuid
from dataclasses import dataclass, field
from random import Random, choice, shuffle as mix
from uuid import uuid4

import numpy as np
from pydantic import BaseModel, Field

from durable_core import OrchestrationContext, orchestrator

dice = random.Random()


class Ticket(BaseModel):
    event: str
    number: str = Field(default_factory=lambda: str(uuid4()))  # expect: DC202
    seed: float = Field(default_factory=random.random)  # expect: DC201


@dataclass
class Draw:
    luck: int = field(default_factory=lambda: random.randint(1, 6))  # expect: DC201

    def again(self) -> int:
        return self.luck + random.randint(1, 6)  # expect: DC201


@orchestrator
def lottery(ctx: OrchestrationContext, names: list[str]):
    winner = choice(names)  # expect: DC201
    mix(names)  # expect: DC201
    rng = Random()  # expect: DC201
    other = random.Random(None)  # expect: DC201
    also = np.random.rand(3)  # expect: DC201
    more = np.random.default_rng()  # expect: DC201
    names.sort(key=lambda _: random.random())  # expect: DC201
    yield from ctx.call_activity("mail", [winner, rng.random(), other, also, more])


@orchestrator
def ids(ctx: OrchestrationContext):
    ticket = Ticket(event="fair")
    first = uuid.uuid1()  # expect: DC202
    yield from ctx.call_activity("store", [ticket, str(uuid4()), first])  # expect: DC202
    yield from ctx.call_sub_orchestrator("child", instance_id=f"child-{uuid.uuid4().hex}")  # expect: DC202
    draw = Draw()
    yield from ctx.call_activity("store", draw.again())


@orchestrator
def hidden(ctx: OrchestrationContext, customer: str):
    token = secrets.token_hex(8)  # expect: DC203
    salt = os.urandom(8)  # expect: DC203
    shard = hash(customer) % 4  # expect: DC204
    strong = random.SystemRandom()  # expect: DC203
    yield from ctx.call_activity("store", [token, salt, shard, strong])
