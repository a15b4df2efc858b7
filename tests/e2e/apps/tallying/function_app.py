"""Orchestrations that signal one entity, and add one to the number of another in a critical section of both."""

from __future__ import annotations

from dataclasses import dataclass, field

import azure.functions as func

from durable_core import EntityId, Orchestration, OrchestrationContext, Registry, entity, orchestrator
from durable_core.hosting.functions import Durable

WORDS, NUMBER = EntityId("tally", "words"), EntityId("tally", "number")


@entity(name="tally")
@dataclass
class Tally:
    words: list[str] = field(default_factory=list[str])
    number: int = 0

    def add(self, word: str) -> None:
        self.words.append(word)

    def get(self) -> int:
        return self.number

    def put(self, number: int) -> None:
        self.number = number


@orchestrator
def tallies(ctx: OrchestrationContext, name: str) -> Orchestration[int]:
    for part in range(3):
        ctx.signal_entity(WORDS, Tally.add, f"{name}.{part}")
    with (yield from ctx.lock(NUMBER, WORDS)):
        number = yield from ctx.call_entity(NUMBER, Tally.get)
        yield from ctx.call_entity(NUMBER, Tally.put, number + 1)
    ctx.signal_entity(WORDS, Tally.add, f"{name}.3")
    return number


registry = Registry().add(Tally, tallies)
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(Durable(registry).blueprint())
