"""``limits``: the gates of limits that are in use: who holds their slots, who waits, and since when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import click

from ..limits import GATE
from .exit_codes import FINE, NOTHING_MATCHED, NothingMatchedError
from .filters import CONTINUATION, iso
from .formats import Document, Form, format_option, now, print_document, print_documents, utc_option
from .place import Place, place_options, run_at
from .table import Column, lines_of, terminal_width
from .text import safe, span, when

if TYPE_CHECKING:
    from .api.port import ManagementApi

COLUMNS = (
    Column("LIMIT", weight=0),
    Column("PERMITS"),
    Column("HELD", is_number=True),
    Column("LONGEST HELD", weight=2),
    Column("WAITING", is_number=True),
    Column("LONGEST WAITING", weight=2),
    Column("STUCK", weight=3),
)
_PLACES = (
    Column(""),
    Column("INSTANCE", weight=0),
    Column("SINCE"),
    Column("PRIORITY", is_number=True),
    Column("GROUP", weight=2),
)


@click.command()
@click.argument("limit", metavar="[LIMIT]", required=False)
@click.option("--top", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@format_option
@utc_option
@place_options
def limits(limit: str | None, top: int, form: Form, utc: bool, place: Place) -> int:
    """List the limits that are in use, with how many slots are held and how many wait; of one LIMIT show by whom.

    Exit code 3: none is in use.
    """

    async def work(api: ManagementApi) -> tuple[list[Document], bool]:
        from ..hosting.http_routes import Endpoint

        if limit is not None:
            answer = await api.call(Endpoint.ENTITY, route={"entityName": GATE, "entityKey": limit})
            state = None if answer.status == 404 else answer.expect(200).json()
            return ([] if state is None else [_gate(limit, state)]), False
        query = [("top", str(top)), ("fetchState", "true")]
        answer = (await api.call(Endpoint.ENTITIES, route={"entityName": GATE}, query=query)).expect(200)
        found = [_gate(each["entityId"]["key"], each.get("state"), each) for each in answer.json() if each["exists"]]
        return found, bool(answer.headers.get(CONTINUATION))

    found, more = run_at(place, work)
    at = now()
    if limit is not None:
        if not found:
            raise NothingMatchedError(safe(f"nobody holds a slot of the limit '{limit}', and nobody waits for one"))
        print_document(form, found[0], lambda: _lines(found[0], at, utc=utc))
        return FINE
    print_documents(form, found, COLUMNS, lambda gate: _cells(gate, at, utc=utc))
    if more:
        click.echo(f"the first {len(found):,} are shown; --top shows more", err=True)
    return FINE if found else NOTHING_MATCHED


def _gate(key: str, state: Any, entity: Document | None = None) -> Document:
    """A gate as a document, of the state of its entity, which may be of an older version or set by hand."""
    known: Document = cast("Document", state) if isinstance(state, dict) else {}
    document: Document = {
        "limit": key,
        "permits": known.get("limit") or {},
        "holders": [_slot(each) for each in known.get("holders") or ()],
        "waiting": [_slot(each) for each in known.get("waiting") or ()],
    }
    stuck = (entity or {}).get("stuckReason")
    return document | ({"stuckReason": stuck} if stuck else {})


def _slot(stored: Any) -> Document:
    """A slot that is held or waited for."""
    from ..operate.gates import place_of

    place = place_of(stored)
    return {
        "instanceId": place.instance_id,
        "group": place.group,
        "priority": place.priority,
        "since": iso(place.since),
    }


def _cells(gate: Document, at: datetime, *, utc: bool) -> list[object]:
    return [
        gate["limit"],
        _words(gate["permits"]),
        len(gate["holders"]),
        _longest(gate["holders"], at, utc=utc),
        len(gate["waiting"]),
        _longest(gate["waiting"], at, utc=utc),
        gate.get("stuckReason"),
    ]


def _longest(slots: list[Document], at: datetime, *, utc: bool) -> str:
    if not slots:
        return ""
    first = min(slots, key=lambda slot: slot["since"])
    return f"{first['instanceId']} {when(first['since'], at, utc=utc)}"


def _words(permits: Document) -> str:
    found: list[str] = []
    if "concurrency" in permits:
        found.append(f"{permits['concurrency']:,} at once")
    if "rate" in permits:
        found.append(f"{permits['rate']:,} in {span(permits['per'])}")
    if "each" in permits:
        found.append(f"{permits['each']:,} of a group")
    return ", ".join(found)


def _lines(gate: Document, at: datetime, *, utc: bool) -> list[str]:
    rows = [
        [what, slot["instanceId"], when(slot["since"], at, utc=utc), slot["priority"], slot["group"]]
        for name, what in (("holders", "holds"), ("waiting", "waits"))
        for slot in gate[name]
    ]
    first = [f"{safe(gate['limit'])}: {_words(gate['permits'])}"]
    return first + (lines_of(_PLACES, rows, terminal_width()) if rows else [])
