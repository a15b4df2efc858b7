"""The orchestrators that lead there."""

from __future__ import annotations

from datetime import UTC, datetime

from durable_core import Orchestration, OrchestrationContext, orchestrator
from shop import price_of

from .pricing import Offer, SpecialOffer
from .waiting import remind


@orchestrator
def order(ctx: OrchestrationContext, skus: list[str]) -> Orchestration[float]:
    total = sum(map(price_of, skus))
    yield from remind(ctx, 3)
    return total


@orchestrator
def offer(ctx: OrchestrationContext, offer: Offer) -> Orchestration[float]:
    special = SpecialOffer(offer.sku)
    if offer.is_fresh:
        yield from ctx.call_activity("publish", [special.total(), Offer.stamp(), Offer.today("mug")])
    return recursive(3)


def recursive(depth: int) -> float:
    return recursive(depth - 1) if depth else datetime.now(UTC).timestamp()  # expect: DC101
