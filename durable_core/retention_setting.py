"""Reads the setting ``DURABLE_RETENTION``, such as ``Completed=30d, Failed=90d``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from .models import RuntimeStatus

_ENDED = {status.value.lower(): status for status in RuntimeStatus if status.is_terminal}
_PART = re.compile(r"\s*([A-Za-z]+)\s*=\s*([0-9]{1,6})\s*([dh])\s*")


def read_retention(text: str) -> Mapping[RuntimeStatus, timedelta]:
    """For how long instances that ended with a status are kept. ValueError says what is wrong with the text."""
    found: dict[RuntimeStatus, timedelta] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"'{part.strip()}' is not a status and a time, such as Completed=30d or Failed=12h")
        name, number, unit = match.groups()
        status = _ENDED.get(name.lower())
        if status is None:
            known = ", ".join(each.value for each in _ENDED.values())
            raise ValueError(f"'{name}' is not the status of an ended instance: {known} are")
        if status in found:
            raise ValueError(f"'{status}' is given twice")
        if int(number) == 0:
            raise ValueError(f"'{part.strip()}' would delete an instance as soon as it has ended; give 1h or more")
        found[status] = timedelta(days=int(number)) if unit == "d" else timedelta(hours=int(number))
    return found
