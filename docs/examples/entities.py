"""Entities: small pieces of state with operations, called and signaled by orchestrations and clients, and locked."""

from __future__ import annotations

from datetime import timedelta

from durable_core import (
    DurableClient,
    EntityContext,
    EntityId,
    EntityOperationFailedError,
    Orchestration,
    OrchestrationContext,
    entity,
    orchestrator,
)


@entity
class Account:
    """The fields are the state; each public method is an operation."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise ValueError(f"the balance is {self.balance}")
        self.balance -= amount
        return self.balance

    def remind(self, ctx: EntityContext, days: int) -> None:
        """An entity signals entities, here itself, at a later time."""
        ctx.signal_entity(ctx.entity_id, Account.deposit, 1, ctx.current_utc_datetime + timedelta(days=days))


@orchestrator
def transfer(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    mine, yours = EntityId("account", "mine"), EntityId("account", "yours")
    with (yield from ctx.lock(mine, yours)):  # nobody sees the accounts between the two calls
        try:
            yield from ctx.call_entity(mine, Account.withdraw, amount)
        except EntityOperationFailedError as error:
            return error.failure.message
        balance = yield from ctx.call_entity(yours, Account.deposit, amount)
    ctx.signal_entity(EntityId("account", "fees"), Account.deposit, 1)
    return f"your balance is {balance}"


async def example(client: DurableClient) -> None:
    mine = EntityId("account", "mine")
    await client.signal_entity(mine, Account.deposit, 10)
    # A sender that is not sure whether its request arrived sends it again under the same id.
    for _ in range(3):
        await client.signal_entity(mine, Account.deposit, 5, signal_id="request 1234")

    first = await client.start_new(transfer, client_input=12)
    assert (await client.wait_for_completion(first, timeout=30)).output == "your balance is 12"
    second = await client.start_new(transfer, client_input=12)
    assert (await client.wait_for_completion(second, timeout=30)).output == "the balance is 3"

    found = await client.read_entity(mine, Account)
    assert found is not None
    assert found.state.balance == 3
    page = await client.list_entities("account")
    assert {"mine", "yours"} <= {each.entity_id.key for each in page.entities}
