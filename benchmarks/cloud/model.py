"""The model: from what an instance takes, and what Azure allows and asks, steps per second and dollars per million.

Footprints come from counting, limits and prices from ``facts``. All of it is division.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .facts import LIMITS, PRICES, Prices
from .footprint import Footprint

MILLION = 1_000_000
MONTH = 30 * 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Operations that an account, its queues and its table partitions take, per second."""

    account_requests: float
    account_table: float
    account_queue: float
    table_partition: float
    queue: float


def published_rates(requests: float = LIMITS.account_requests.value) -> Rates:
    """Azure's limits. requests: of an account in this region."""
    return Rates(
        account_requests=requests,
        account_table=LIMITS.account_table.value,
        account_queue=LIMITS.account_queue.value,
        table_partition=LIMITS.table_partition.value,
        queue=LIMITS.queue.value,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One limit, and how many steps per second it allows if it is the only one."""

    limit: str
    steps_per_s: float


def ceilings(footprint: Footprint, rates: Rates, *, partitions: int = 1, accounts: int = 1) -> list[Ceiling]:
    """The limits that this workload comes near, the lowest first. Instances are taken to be spread evenly."""
    asked = [
        ("account: requests", rates.account_requests, footprint.requests, 1),
        ("account: table transactions", rates.account_table, footprint.table_requests, 1),
        ("account: queue messages", rates.account_queue, footprint.messages, 1),
        ("control queues", rates.queue, footprint.control, partitions),
        ("work queues", rates.queue, footprint.work, partitions),
        ("catalogue shards", rates.table_partition, footprint.catalogue, partitions),
    ]
    found = [
        Ceiling(limit=limit, steps_per_s=footprint.steps * rate / takes * spread * accounts)
        for limit, rate, takes, spread in asked
        if takes > 0
    ]
    return sorted(found, key=lambda each: each.steps_per_s)


def ceiling(footprint: Footprint, rates: Rates, *, partitions: int = 1, accounts: int = 1) -> Ceiling:
    """The first limit to be reached."""
    return ceilings(footprint, rates, partitions=partitions, accounts=accounts)[0]


def useful_partitions(footprint: Footprint, rates: Rates, most: int = 64) -> int:
    """How many partitions it takes until the account is what limits a hub; more are of no use to its throughput."""
    return next(
        (n for n in range(1, most + 1) if ceiling(footprint, rates, partitions=n).limit.startswith("account")), most
    )


def one_instance(footprint: Footprint, rates: Rates) -> float:
    """Steps per second of a single instance: its own table partition, or the time that its operations take."""
    return footprint.steps / max(footprint.own / rates.table_partition, footprint.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What a machine is taken to need: measure it for your own activities.

    cpu_operation: seconds of one core for a storage operation, as ``benchmarks.azure_cpu`` measures a guarded merge.
    cpu_step: the engine's for an activity and its turn, as a host of docs/performance.md needs for a step of a chain on
    the embedded store, the store included. cpu_execution: for a function execution, on its way from host to worker and
    back; assumed, as all that follows. cores: of a machine. memory: its GB. used_memory: GB
    that the process uses. busy: share of its cores that is used while it is at work; the rest is waited away.
    """

    cpu_operation: float = 0.0005
    cpu_step: float = 0.0005
    cpu_execution: float = 0.002
    cores: float = 1.0
    memory: float = 2.0
    used_memory: float = 0.5
    busy: float = 0.6

    def cpu(self, footprint: Footprint) -> float:
        """Seconds of a core for each step, activities' own work left out."""
        operations = footprint.requests * self.cpu_operation
        return (operations + footprint.executions * self.cpu_execution) / footprint.steps + self.cpu_step

    def steps_per_machine(self, footprint: Footprint) -> float:
        return self.cores * self.busy / self.cpu(footprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million steps."""

    tables: float
    queues: float
    executions: float
    compute: float

    @property
    def storage(self) -> float:
        return self.tables + self.queues

    @property
    def total(self) -> float:
        return self.storage + self.executions + self.compute


def price(footprint: Footprint, compute: Compute, prices: Prices = PRICES) -> Price:
    """On Flex Consumption, with machines that are busy: each is billed for its memory while it is at work."""
    gb_s = compute.memory / compute.steps_per_machine(footprint)
    return _price(footprint, prices, gb_s, prices.flex_executions.value, prices.flex_gb_s.value)


def lonely_price(footprint: Footprint, compute: Compute, prices: Prices = PRICES) -> Price:
    """On Flex Consumption, with instances so rare that each execution has a machine to itself, and the least time."""
    executions = footprint.executions
    at_work = max(prices.flex_least_s.value, math.ceil(footprint.seconds / executions * 10) / 10)
    gb_s = executions * at_work * compute.memory / footprint.steps
    return _price(footprint, prices, gb_s, prices.flex_executions.value, prices.flex_gb_s.value)


def consumption_price(footprint: Footprint, compute: Compute, prices: Prices = PRICES) -> Price:
    """On Consumption, with machines that are busy: the memory that is used is billed, not what a machine has."""
    gb_s = compute.used_memory / compute.steps_per_machine(footprint)
    return _price(footprint, prices, gb_s, prices.consumption_executions.value, prices.consumption_gb_s.value)


def _price(footprint: Footprint, prices: Prices, gb_s: float, per_million: float, per_gb_s: float) -> Price:
    """gb_s: for each step."""
    steps = footprint.steps
    return Price(
        tables=footprint.table_requests / steps * prices.table_transactions.value / 10_000 * MILLION,
        queues=footprint.queue_requests / steps * prices.queue_operations.value / 10_000 * MILLION,
        executions=footprint.executions / steps * per_million,
        compute=gb_s * per_gb_s * MILLION,
    )


def idle_polls_price(queues: int, interval: float, machines: int = 1, prices: Prices = PRICES) -> float:
    """Dollars a month for looking into so many empty queues, once per interval (s), by each machine that listens."""
    return queues * machines * MONTH / interval * prices.queue_operations.value / 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """What another engine's documentation says that a step takes, at the least."""

    queue_operations: float
    table_operations: float
    executions: float

    def price(self, prices: Prices = PRICES) -> Price:
        """Of what is documented; time at work is not, and is left out."""
        return Price(
            tables=self.table_operations * prices.table_transactions.value / 10_000 * MILLION,
            queues=self.queue_operations * prices.queue_operations.value / 10_000 * MILLION,
            executions=self.executions * prices.flex_executions.value,
            compute=0.0,
        )


DURABLE_FUNCTIONS = Documented(queue_operations=5, table_operations=1, executions=2)
"""An activity of Durable Functions on its Azure Storage provider: a message to the work-item queue and one back to a
control queue, each put and deleted, the first also received by itself; rows of history added; one execution of the
activity and one of the orchestrator's replay. (Microsoft Learn, *Azure Storage provider for Durable Functions* and
*Durable Functions billing*.) Receives of control messages are shared by up to 32, and left out."""
