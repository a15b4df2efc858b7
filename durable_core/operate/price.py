"""What instances cost: the storage operations that their rows name, at a dated table of prices.

Of the storage account alone: executions of the app, their time and stored data are not in it. Operations are counted
approximately, see ``OrchestrationStatus.operations``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import field

from ..hub.instance_row import Instance
from ..lazy_dataclass import dataclass
from ..models import JSON, NO_OPERATIONS, Operations, OrchestrationStatus, RuntimeStatus
from ..prices import AZURE, EMBEDDED, Prices

SHARE = 0.95
_DIGITS = 12  # of a price after the point: one operation costs some 4e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of one execution so far.

    operations: None if a version of durable_core began the instance that did not count.
    amount: in ``prices.currency``; None as well. Sub-orchestrations are instances of their own, and not in it.
    """

    instance_id: str
    execution_id: str
    name: str
    runtime_status: RuntimeStatus
    operations: Operations | None
    prices: Prices

    @property
    def amount(self) -> float | None:
        return None if self.operations is None else self.prices.of(self.operations)

    def to_json(self) -> JSON:
        return {
            "instanceId": self.instance_id,
            "executionId": self.execution_id,
            "name": self.name,
            "runtimeStatus": self.runtime_status.value,
            "operations": None if self.operations is None else operations_json(self.operations),
            "amount": _rounded(self.amount),
            **_in_azure(self.operations, self.prices),
            "prices": prices_json(self.prices),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorPrice:
    """What the ended instances of one orchestrator have cost.

    instances: those that are counted; not_counted: those of which no operations are known; open: those that have not
        ended, whose price is not known yet. operations: of the counted ones together.
    total, mean, p95: amounts; of 95 % of the counted instances none is above p95. None if none is counted.
    """

    name: str
    instances: int
    not_counted: int
    open: int
    operations: Operations
    total: float
    mean: float | None
    p95: float | None
    prices: Prices

    def to_json(self) -> JSON:
        return {
            "name": self.name,
            "instances": self.instances,
            "notCounted": self.not_counted,
            "open": self.open,
            "operations": operations_json(self.operations),
            "total": _rounded(self.total),
            "mean": _rounded(self.mean),
            "p95": _rounded(self.p95),
            **_in_azure(self.operations if self.instances else None, self.prices),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What the instances that match a filter have cost, by orchestrator, the dearest first.

    is_complete: whether all of them were looked at; if not, the newest were.
    """

    orchestrators: Sequence[OrchestratorPrice]
    is_complete: bool
    prices: Prices

    def to_json(self) -> JSON:
        return {
            "orchestrators": [each.to_json() for each in self.orchestrators],
            "isComplete": self.is_complete,
            "prices": prices_json(self.prices),
        }


def price_of(instance: Instance, prices: Prices) -> Price:
    return Price(
        instance_id=instance.instance_id,
        execution_id=instance.execution_id,
        name=instance.name,
        runtime_status=instance.status,
        operations=instance.operations,
        prices=prices,
    )


@dataclass(slots=True)
class _Tally:
    operations: Operations = NO_OPERATIONS
    not_counted: int = 0
    open: int = 0
    amounts: list[float] = field(default_factory=list[float])


class PriceTally:
    """Adds up instances as a list shows them. Keeps an amount for each: 8 bytes."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._by_name: dict[str, _Tally] = {}

    def add(self, instances: Iterable[OrchestrationStatus]) -> None:
        for status in instances:
            tally = self._by_name.setdefault(status.name, _Tally())
            if not status.is_terminal:
                tally.open += 1
            elif status.operations is None:
                tally.not_counted += 1
            else:
                tally.operations = tally.operations.plus(status.operations)
                tally.amounts.append(self._prices.of(status.operations))

    def result(self, *, is_complete: bool) -> PriceList:
        found = [self._price(name, tally) for name, tally in self._by_name.items()]
        found.sort(key=lambda each: (-each.total, -each.operations.total, each.name))
        return PriceList(orchestrators=found, is_complete=is_complete, prices=self._prices)

    def _price(self, name: str, tally: _Tally) -> OrchestratorPrice:
        amounts = sorted(tally.amounts)
        total = math.fsum(amounts)
        return OrchestratorPrice(
            name=name,
            instances=len(amounts),
            not_counted=tally.not_counted,
            open=tally.open,
            operations=tally.operations,
            total=total,
            mean=total / len(amounts) if amounts else None,
            p95=amounts[math.ceil(SHARE * len(amounts)) - 1] if amounts else None,
            prices=self._prices,
        )


def operations_json(operations: Operations) -> JSON:
    """As the status of an instance shows them, too."""
    return {
        "tableReads": operations.reads,
        "tableWrites": operations.writes,
        "queueOperations": operations.messages,
        "total": operations.total,
    }


def prices_json(prices: Prices) -> JSON:
    """Prices of 10,000 operations each. Without a date for the embedded store, which bills nothing."""
    shown: dict[str, JSON] = {
        "currency": prices.currency,
        "tableReads": prices.table_reads,
        "tableWrites": prices.table_writes,
        "queueOperations": prices.queue_operations,
    }
    return shown | {"date": prices.date} if prices.date else shown


def _in_azure(operations: Operations | None, prices: Prices) -> dict[str, JSON]:
    """On the embedded store, which bills nothing: what the same operations would cost in Azure."""
    if prices is not EMBEDDED or operations is None:
        return {}
    return {"inAzure": {"amount": _rounded(AZURE.of(operations)), "currency": AZURE.currency, "date": AZURE.date}}


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, _DIGITS)
