"""A crash test: the scenario again and again, with a crash at another storage operation each time."""

from __future__ import annotations

from dataclasses import dataclass, field

from durable_core import ActivityContext, Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.testing import TestEnvironment


@activity
def charge(ctx: ActivityContext, cents: int) -> str:
    raise NotImplementedError("asks the bank")


@orchestrator
def buy(ctx: OrchestrationContext, cents: int) -> Orchestration[str]:
    return (yield from ctx.call_activity(charge, cents))


@dataclass
class FakeBank:
    """Books a payment once per idempotency key, as a real provider does."""

    payments: dict[str, int] = field(default_factory=dict[str, int])

    def charge(self, ctx: ActivityContext, cents: int) -> str:
        self.payments[ctx.idempotency_key] = cents
        return f"receipt for {cents}"


def test_no_crash_charges_twice(durable: TestEnvironment) -> None:
    durable.register(buy, charge)

    def scenario(env: TestEnvironment) -> object:
        bank = FakeBank()
        env.replace(charge, bank.charge)
        env.effects(lambda: list(bank.payments.values()))
        return env.result(env.start(buy, 500))

    durable.crash_everywhere(scenario).raise_if_failed()
