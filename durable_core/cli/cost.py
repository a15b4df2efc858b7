"""``cost``: what the storage operations of an instance cost, or those of all instances by orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .exit_codes import FINE, NOTHING_MATCHED
from .filters import Filter, filter_options
from .formats import Document, Form, format_option, print_document, print_documents
from .place import Place, place_options, run_at
from .table import Column
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi

_COLUMNS = (
    Column("ORCHESTRATOR", weight=0),
    Column("INSTANCES", is_number=True),
    Column("OPEN", is_number=True),
    Column("NOT COUNTED", is_number=True),
    Column("OPERATIONS", is_number=True),
    Column("MEAN", is_number=True),
    Column("P95", is_number=True),
    Column("TOTAL", is_number=True),
)


@click.command()
@click.argument("instance_id", metavar="[ID]", required=False)
@filter_options()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=10_000, show_default=True, help="The newest that are looked at."
)
@format_option
@place_options
def cost(instance_id: str | None, chosen: Filter, limit: int, form: Form, place: Place) -> int:
    """Show what the storage operations of an instance cost so far; without an ID, what the ended instances that match
    have cost, by orchestrator, the dearest first. Exit code 3: none matched.

    Prices are Azure's, or those of DURABLE_PRICES; the embedded store costs nothing. See docs/operating.md.
    """
    if instance_id is not None:
        if chosen:
            raise click.UsageError("give an ID, or options that choose instances, not both")
        return _of_one(instance_id, form, place)

    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        return (await api.call(Endpoint.PRICES, query=[*chosen, ("limit", str(limit))])).expect(200).json()

    found = run_at(place, work)
    orchestrators: list[Document] = found["orchestrators"]
    currency = found["prices"]["currency"]
    if form == "json":
        print_document(form, found, list)
    else:
        print_documents(form, orchestrators, _COLUMNS, lambda each: _row(each, currency))
        if form == "table" and orchestrators:
            click.echo(_note(found["prices"], _together(orchestrators)), err=True)
    if not found["isComplete"]:
        click.echo(f"only the newest {limit:,} instances were looked at", err=True)
    if not orchestrators:
        click.echo("no instance matches", err=True)
    return FINE if orchestrators else NOTHING_MATCHED


def _of_one(instance_id: str, form: Form, place: Place) -> int:
    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        return (await api.call(Endpoint.PRICE, route={"instanceId": instance_id})).expect(200).json()

    found = run_at(place, work)
    print_document(form, found, lambda: price_lines(found))
    return FINE


def price_lines(found: Document) -> list[str]:
    """The amount of one instance, and what it is made of."""
    operations, prices = found["operations"], found["prices"]
    if operations is None:
        return ["not counted: a version of durable_core began it that did not count storage operations"]
    return [
        f"{amount_text(found['amount'], prices['currency'])} so far"
        if found["runtimeStatus"] in ("Pending", "Running", "Suspended")
        else amount_text(found["amount"], prices["currency"]),
        operations_text(operations),
        _note(prices, found.get("inAzure")),
    ]


def operations_text(operations: Document) -> str:
    """The numbers of operations in one line."""
    return (
        f"{operations['total']:,} storage operations: {operations['tableReads']:,} table reads, "
        f"{operations['tableWrites']:,} table writes, {operations['queueOperations']:,} on messages"
    )


def amount_text(amount: float | None, currency: str) -> str:
    """An amount with its currency; a small one with three significant digits."""
    if amount is None:
        return ""
    sign = {"USD": "$", "EUR": "€", "GBP": "£"}.get(currency, f"{safe(currency)} ")
    if amount == 0 or amount >= 100:
        return f"{sign}{amount:,.2f}" if amount else f"{sign}0"
    digits = 2
    while amount < 10 ** (2 - digits) and digits < 12:
        digits += 1
    return f"{sign}{amount:.{digits}f}"


def _row(each: Document, currency: str) -> list[Any]:
    return [
        each["name"],
        f"{each['instances']:,}",
        f"{each['open']:,}" if each["open"] else None,
        f"{each['notCounted']:,}" if each["notCounted"] else None,
        f"{each['operations']['total']:,}",
        amount_text(each["mean"], currency),
        amount_text(each["p95"], currency),
        amount_text(each["total"], currency),
    ]


def _together(orchestrators: list[Document]) -> Document | None:
    """What all of them would cost in Azure; None if they are there, or none is counted."""
    priced = [each["inAzure"] for each in orchestrators if "inAzure" in each]
    return {**priced[0], "amount": sum(each["amount"] for each in priced)} if priced else None


def _note(prices: Document, in_azure: Document | None) -> str:
    if "date" not in prices:
        note = "the embedded store bills nothing"
        if in_azure is None:
            return note
        amount = amount_text(in_azure["amount"], in_azure["currency"])
        return f"{note}; in Azure these operations would cost {amount}, at the prices of {safe(in_azure['date'])}"
    each = (f"{name} {prices[key]}" for name, key in _NAMES)
    return f"{safe(prices['currency'])} per 10,000, as of {safe(prices['date'])}: {', '.join(each)}"


_NAMES = (("table reads", "tableReads"), ("table writes", "tableWrites"), ("on messages", "queueOperations"))
