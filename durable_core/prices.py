"""What storage operations cost: Azure's prices with the day they were read, and the setting ``DURABLE_PRICES``."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, cast

from .lazy_dataclass import dataclass
from .models import Operations

BATCH = 10_000
"""Operations to which a price applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of 10,000 operations. currency: such as USD. date: the day they were read, such as 2026-11-26."""

    table_reads: float
    table_writes: float
    queue_operations: float
    currency: str
    date: str

    def of(self, operations: Operations) -> float:
        """The price of these operations, in ``currency``."""
        reads, writes, messages = operations
        whole = reads * self.table_reads + writes * self.table_writes + messages * self.queue_operations
        return whole / BATCH


AZURE = Prices(table_reads=0.00036, table_writes=0.00036, queue_operations=0.004, currency="USD", date="2026-11-26")
"""Pay as you go, locally redundant storage, general-purpose v2 account, in a region of the lower price group such as
East US: docs/scale.md names the sources."""

EMBEDDED = Prices(table_reads=0.0, table_writes=0.0, queue_operations=0.0, currency="USD", date="")
"""The embedded store bills nothing."""

_AMOUNTS = {"tableReads": "table_reads", "tableWrites": "table_writes", "queueOperations": "queue_operations"}
_TEXTS = ("currency", "date")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def read_prices(setting: str) -> Prices:
    """The prices in a file, or in the setting itself where that begins with a brace. ValueError says what is wrong."""
    text = setting.strip()
    if not text.startswith("{"):
        try:
            text = Path(text).read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file of prices cannot be read: {error}") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is neither the path of a JSON file nor a JSON object: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"it must be a JSON object such as {_SAMPLE}")
    given = cast("dict[str, Any]", document)
    if unknown := sorted(given.keys() - _AMOUNTS.keys() - set(_TEXTS)):
        raise ValueError(f"'{unknown[0]:.100}' is not known: {', '.join((*_AMOUNTS, *_TEXTS))} are")
    if missing := [name for name in (*_AMOUNTS, *_TEXTS) if name not in given]:
        raise ValueError(f"'{missing[0]}' is missing; it must be an object such as {_SAMPLE}")
    for name in _AMOUNTS:
        if type(given[name]) not in (int, float) or not 0 <= given[name] < math.inf:
            raise ValueError(f"'{name}' must be the price of 10,000 operations, a number of at least 0")
    for name, form, sample in (("currency", _CURRENCY, "EUR"), ("date", _DATE, "2026-11-26")):
        if not isinstance(given[name], str) or not form.fullmatch(given[name]):
            raise ValueError(f"'{name}' must be a text such as {sample}")
    amounts = {field: float(given[name]) for name, field in _AMOUNTS.items()}
    return Prices(**amounts, currency=given["currency"], date=given["date"])


_SAMPLE = (
    '{"tableReads": 0.00036, "tableWrites": 0.00036, "queueOperations": 0.004, "currency": "USD", "date": "2026-11-26"}'
)
