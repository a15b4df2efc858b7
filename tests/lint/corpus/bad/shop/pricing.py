"""Called by the orchestrators of other modules."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from . import currencies


def price_of(sku: str) -> float:
    return base_price(sku) * currencies.rate("EUR")


def base_price(sku: str) -> float:
    if sku.startswith("bundle-"):
        return 2 * price_of(sku.removeprefix("bundle-"))  # a cycle
    return random.uniform(1, 2)  # expect: DC201


def never_called() -> float:
    return time.time()


@dataclass
class Offer:
    sku: str
    discount: float = 0.0

    @property
    def is_fresh(self) -> bool:
        return time.time() % 2 == 0  # expect: DC101

    def total(self) -> float:
        return self._surcharge() - self.discount

    def _surcharge(self) -> float:
        return random.random()  # expect: DC201

    @staticmethod
    def stamp() -> float:
        return time.time()  # expect: DC101

    @classmethod
    def today(cls, sku: str) -> Offer:
        return cls(sku, time.time())  # expect: DC101


class SpecialOffer(Offer):
    def __init__(self, sku: str) -> None:
        super().__init__(sku)
        self.made = time.time()  # expect: DC101
