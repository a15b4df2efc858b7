"""Azure's published limits and prices, each with its source and the day it was read. Data only.

They change, and some differ between regions: read them anew before relying on them, and put the new figures and the
new day here; ``make bench WHAT=cloud`` does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from durable_core.prices import AZURE

READ = AZURE.date
"""The day all of them were read, in stored copies of the pages, which may be older than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One published figure. per_region: it differs between regions; ``note`` says how."""

    value: float
    unit: str
    source: str
    per_region: bool = False
    note: str = ""


_TABLES = "Microsoft Learn, *Scalability and performance targets for Table storage*"
_QUEUES = "Microsoft Learn, *Scalability and performance targets for Queue Storage*"
_ACCOUNT = "Microsoft Learn, *Scalability and performance targets for standard storage accounts*"
_FLEX = "Microsoft Learn, *Azure Functions Flex Consumption plan hosting*"
_HOSTING = "Microsoft Learn, *Azure Functions hosting options*, service limits"
_QUEUE_TRIGGER = "Microsoft Learn, *Azure Queue storage trigger and bindings*, host.json settings"
_PRICES_TABLES = "Azure's price list for Table storage, LRS, as the tests of Infracost record it (`storage_table_test`)"
_PRICES_QUEUES = "Azure's price list for Queue storage, LRS, as the tests of Infracost record it (`storage_queue_test`)"
_PRICES_FUNCTIONS = "Azure's price list for Functions, as quoted in Modal's *Azure Functions pricing*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Per second and storage account, queue or table partition. What is asked beyond them is answered with 503."""

    account_requests: Fact = Fact(
        value=20_000,
        unit="requests/s per account",
        source=_ACCOUNT,
        per_region=True,
        note="40,000 in most large regions, among them West and North Europe, East US, West US 2; more by request",
    )
    account_table: Fact = Fact(
        value=20_000,
        unit="table transactions/s per account",
        source=_TABLES,
        note="of entities of 1 KiB; no more is promised where the account may have 40,000 requests",
    )
    account_queue: Fact = Fact(
        value=20_000, unit="queue messages/s per account", source=_QUEUES, note="of messages of 1 KiB; as above"
    )
    table_partition: Fact = Fact(
        value=2_000, unit="entities/s per table partition", source=_TABLES, note="of entities of 1 KiB"
    )
    queue: Fact = Fact(value=2_000, unit="messages/s per queue", source=_QUEUES, note="of messages of 1 KiB")
    ingress: Fact = Fact(
        value=25,
        unit="Gbit/s into an account",
        source=_ACCOUNT,
        per_region=True,
        note="60 in the regions with 40,000 requests/s",
    )
    egress: Fact = Fact(
        value=50,
        unit="Gbit/s out of an account",
        source=_ACCOUNT,
        per_region=True,
        note="200 in the regions with 40,000 requests/s",
    )
    flex_instances: Fact = Fact(
        value=1_000,
        unit="machines per app, Flex Consumption",
        source=_FLEX,
        note="100 unless raised in the app's settings; a subscription's quota of memory in a region may be lower",
    )
    consumption_instances: Fact = Fact(
        value=200, unit="machines per app, Consumption", source=_HOSTING, note="100 on Linux, which Python needs"
    )
    batch_size: Fact = Fact(
        value=32, unit="messages fetched at once, at most", source=_QUEUE_TRIGGER, note="`batchSize`, 16 by default"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars, pay as you go, locally redundant storage (LRS), a general-purpose v2 account."""

    table_transactions: Fact = Fact(
        value=AZURE.table_writes, unit="$ per 10,000 table transactions", source=_PRICES_TABLES, per_region=True
    )
    queue_operations: Fact = Fact(
        value=AZURE.queue_operations,
        unit="$ per 10,000 queue operations",
        source=_PRICES_QUEUES,
        per_region=True,
        note="of class 1 and of class 2 alike; a v1 account: 0.00036",
    )
    flex_executions: Fact = Fact(
        value=0.40, unit="$ per million executions, Flex Consumption", source=_PRICES_FUNCTIONS, per_region=True
    )
    flex_gb_s: Fact = Fact(
        value=0.000026, unit="$ per GB-s on demand, Flex Consumption", source=_PRICES_FUNCTIONS, per_region=True
    )
    flex_ready_gb_s: Fact = Fact(
        value=0.000004,
        unit="$ per GB-s of an always-ready machine at rest",
        source=_PRICES_FUNCTIONS,
        per_region=True,
        note="at work: 0.000016",
    )
    flex_least_s: Fact = Fact(
        value=1.0,
        unit="s billed at least each time a machine goes to work, Flex Consumption",
        source=_FLEX,
        note="beyond it in steps of 0.1 s; executions that overlap on a machine are billed once",
    )
    consumption_executions: Fact = Fact(
        value=0.20, unit="$ per million executions, Consumption", source=_PRICES_FUNCTIONS, per_region=True
    )
    consumption_gb_s: Fact = Fact(
        value=0.000016, unit="$ per GB-s, Consumption", source=_PRICES_FUNCTIONS, per_region=True
    )


LIMITS = Limits()
PRICES = Prices()


def facts_of(group: Limits | Prices) -> list[Fact]:
    return [getattr(group, each.name) for each in fields(group)]
