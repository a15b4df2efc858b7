"""Lists instances from the catalogue: two streams per shard, merged newest first, page by page."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import InvalidInputError
from ..hub.catalog import CLOSED, OPEN, Entry, newest_first
from ..hub.layout import inverted_ms
from ..hub.taskhub import TaskHub
from ..instance_ids import FORBIDDEN_IN_KEYS
from ..models import OrchestrationStatus, RuntimeStatus
from ..registry import RESERVED

_POSITION = re.compile(r"-?[0-9]{1,16}-[0-9A-Za-z_.]{1,64}-.{1,256}")
CHUNK = 200  # catalogue rows fetched at a time from each stream


@dataclass(frozen=True, slots=True)
class InstancePage:
    """``continuation_token`` None: there are no more."""

    instances: list[OrchestrationStatus]
    continuation_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for. The framework's own instances, such as schedules, are shown to who asks by their prefix."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: frozenset[RuntimeStatus] | None = None
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def wants(self, entry: Entry) -> bool:
        return (
            (self.created_from is None or entry.created >= self.created_from)
            and (self.created_to is None or entry.created <= self.created_to)
            and (self.statuses is None or entry.status in self.statuses)
            and entry.instance_id.startswith(self.prefix)
            and (self.prefix.startswith(RESERVED) or not entry.name.startswith(RESERVED))
            and all(entry.tags.get(name) == value for name, value in self.tags.items())
        )


class Listing:
    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub

    async def page(self, query: Query, size: int, token: str | None) -> InstancePage:
        """Up to ``size`` instances behind ``token``. An instance that ends meanwhile may be left out of this walk."""
        if size < 1:
            raise InvalidInputError(f"a page holds at least 1 instance, not {size}")
        position = _read_token(token)
        found: list[Entry] = []
        seen: set[str] = set()
        while True:
            batch, complete = await self._next(query, position)
            for entry in batch:
                position = entry.key[1:]
                if query.wants(entry) and entry.execution_id not in seen:
                    seen.add(entry.execution_id)
                    found.append(entry)
                    if len(found) == size:
                        return InstancePage([_status(e) for e in found], _token(position))
            if complete:
                return InstancePage([_status(e) for e in found], None)

    async def _next(self, query: Query, position: str) -> tuple[list[Entry], bool]:
        """The next entries of all streams, as far as all of them have been read; whether that is the end."""
        start = position
        if not start and query.created_to is not None:
            start = inverted_ms(query.created_to)
        entries: list[Entry] = []
        horizon: str | None = None  # behind this key some stream has not been read
        for shard in self._hub.catalog.shards:
            for kind in (OPEN, CLOSED):
                chunk = await self._hub.catalog.read(shard, kind, kind + start if start else "", CHUNK)
                entries.extend(chunk)
                if len(chunk) >= CHUNK - 1:
                    last = chunk[-1].key[1:]
                    horizon = last if horizon is None else min(horizon, last)
        ordered = newest_first(entries)
        if horizon is not None:
            ordered = [entry for entry in ordered if entry.key[1:] <= horizon]
        if query.created_from is not None:
            limit = inverted_ms(query.created_from) + "~"
            kept = [entry for entry in ordered if entry.key[1:] <= limit]
            if len(kept) < len(ordered):
                return kept, True
        return ordered, horizon is None


def _status(entry: Entry) -> OrchestrationStatus:
    return OrchestrationStatus(
        instance_id=entry.instance_id,
        name=entry.name,
        version=entry.version,
        runtime_status=entry.status,
        created_time=entry.created,
        last_updated_time=entry.updated,
        stuck_reason=entry.stuck or None,
        execution_id=entry.execution_id,
        tags=dict(entry.tags),
        scheduled_start_time=entry.start_at,
    )


def _token(position: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([1, position]).encode()).decode()


def _read_token(token: str | None) -> str:
    if not token:
        return ""
    try:
        version, position = json.loads(base64.urlsafe_b64decode(token.encode()))
        if version != 1 or not _POSITION.fullmatch(position) or FORBIDDEN_IN_KEYS.search(position):
            raise ValueError(version)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidInputError("the continuation token is none of this hub's; start again without one") from None
    return position
