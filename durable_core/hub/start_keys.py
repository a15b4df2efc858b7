"""Claims on keys of starts: for a key, the instance that its last start has made, or is about to make.

A claim is a row in a partition of its own of the catalogue's table. It is written before its instance, whose row names
it, and deleted by the purge of that instance. So a claim without an instance belongs to a start that has not returned:
whoever meets it makes the instance, under the id that is claimed. The key itself is not stored, only its hash.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Literal, TypeAlias

from ..errors import NewerFormatError, PreconditionFailedError, RowExistsError, RowNotFoundError
from ..lazy_dataclass import dataclass
from ..storage.ports import Props, Table
from .keys import FORMAT
from .times import from_iso, iso

KIND: TypeAlias = Literal["debounce", "deduplicate"]
_ROW = "start"
_PREFIX = "key-"


@dataclass(frozen=True, slots=True)
class Claim:
    """instance_id: of the instance for the key. since: when a start has claimed the key for it, by its clock."""

    instance_id: str
    since: datetime
    etag: str


def mark_of(kind: KIND, orchestrator: str, key: str) -> str:
    """The name of the key of a start, as the row of the instance holds it."""
    text = json.dumps([kind, orchestrator, key])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class StartKeys:
    def __init__(self, catalog: Table) -> None:
        self._table = catalog

    async def read(self, mark: str) -> Claim | None:
        """NewerFormatError: only a newer version can read it."""
        row = await self._table.get(_PREFIX + mark, _ROW)
        if row is None:
            return None
        form = row.props.get("fmt")
        if not isinstance(form, int) or form > FORMAT:
            raise NewerFormatError(f"the key of a start has storage format {form}; this version reads {FORMAT}")
        return Claim(str(row.props["instance"]), from_iso(str(row.props["since"])), row.etag)

    async def claim(self, mark: str, instance_id: str, now: datetime, before: Claim | None) -> bool:
        """Claim the key for a new instance, if the claim is still ``before`` (None: there is none). False if not; also
        if it was our own try, whose answer was lost: the next read shows it."""
        props: Props = {"fmt": FORMAT, "instance": instance_id, "since": iso(now)}
        try:
            if before is None:
                await self._table.insert(_PREFIX + mark, _ROW, props)
            else:
                await self._table.replace(_PREFIX + mark, _ROW, props, before.etag)
        except (RowExistsError, PreconditionFailedError, RowNotFoundError):
            return False
        return True

    async def forget(self, mark: str, instance_id: str) -> None:
        """Delete the claim for this instance, if it is still for it."""
        claim = await self.read(mark)
        if claim is None or claim.instance_id != instance_id:
            return
        try:
            await self._table.delete(_PREFIX + mark, _ROW, claim.etag)
        except (PreconditionFailedError, RowNotFoundError):
            return  # claimed for another instance meanwhile, or deleted by another purge
