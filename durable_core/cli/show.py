"""``show`` and ``events``: the status and the history of one instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import click

from .calls import call_lines
from .cost import operations_text
from .exit_codes import FINE
from .formats import Document, Form, format_option, now, print_document, print_documents, utc_option
from .list_instances import failure_text
from .place import Place, place_options, run_at
from .table import Column, coloured
from .text import moment_of, relative, safe, safe_lines, to_json, when

if TYPE_CHECKING:
    from .api.port import ManagementApi

_TIMES = ("Time",)
_FIRST = ("instanceId", "name", "version", "runtimeStatus", "stuckReason", "createdTime", "lastUpdatedTime")

EVENT_COLUMNS = (
    Column("#", is_number=True),
    Column("TIME"),
    Column("EVENT"),
    Column("TASK", is_number=True),
    Column("NAME"),
    Column("DETAILS", weight=3),
)
_SHOWN_APART = ("EventType", "Timestamp", "TaskId", "Name")


@click.command()
@click.argument("instance_id", metavar="ID")
@format_option
@utc_option
@place_options
def show(instance_id: str, form: Form, utc: bool, place: Place) -> int:
    """Show an instance: status, input, output, failure; and as a table its calls with queue time, run time, attempts.
    Exit code 3: there is none of this ID.
    """

    async def work(api: ManagementApi) -> tuple[Document, Document | None]:
        found = await status_of(api, instance_id, show_input=True)
        return found, await timeline_of(api, instance_id) if form == "table" else None

    found, timeline = run_at(place, work)
    calls = [] if timeline is None else call_lines(timeline, now(), utc=utc)
    print_document(form, found, lambda: [*status_lines(found, now(), utc=utc), *calls])
    return FINE


async def timeline_of(api: ManagementApi, instance_id: str) -> Document | None:
    """None if it cannot be told: an app of an older version has none, and the instance may be gone by now."""
    from ..hosting.http_routes import Endpoint

    answer = await api.call(Endpoint.TIMELINE, route={"instanceId": instance_id})
    return answer.json() if answer.status == 200 else None


@click.command()
@click.argument("instance_id", metavar="ID")
@click.option("--output", "with_output", is_flag=True, help="With the results of calls and the data of events.")
@format_option
@utc_option
@place_options
def events(instance_id: str, with_output: bool, form: Form, utc: bool, place: Place) -> int:
    """Show the history of an instance: each event and decision of its current generation, in order."""

    async def work(api: ManagementApi) -> list[Document]:
        return await history_of(api, instance_id, with_output=with_output)

    found = run_at(place, work)
    numbered = [{"#": number, **event} for number, event in enumerate(found, 1)] if form == "table" else found
    print_documents(form, numbered, EVENT_COLUMNS, lambda event: event_cells(event, now(), utc=utc))
    return FINE


async def status_of(api: ManagementApi, instance_id: str, *, show_input: bool = False) -> Document:
    """The status document. NothingMatchedError."""
    from ..hosting.http_routes import Endpoint

    query = [("showInput", str(show_input).lower())]
    answer = await api.call(Endpoint.INSTANCE, route={"instanceId": instance_id}, query=query)
    return answer.expect(200, 202).json()


async def history_of(api: ManagementApi, instance_id: str, *, with_output: bool) -> list[Document]:
    """The events of the history of the current generation. NothingMatchedError."""
    return (await with_history(api, instance_id, with_output=with_output))["historyEvents"]


async def with_history(api: ManagementApi, instance_id: str, *, with_output: bool) -> Document:
    """The status document with the history in it. NothingMatchedError."""
    from ..hosting.http_routes import Endpoint

    query = [("showHistory", "true"), ("showInput", "false"), ("showHistoryOutput", str(with_output).lower())]
    answer = await api.call(Endpoint.INSTANCE, route={"instanceId": instance_id}, query=query)
    return answer.expect(200, 202).json()


def status_lines(status: Document, at: datetime, *, utc: bool) -> list[str]:
    """A status for people: one property in each line, those that a reader looks for first on top."""
    names = [name for name in _FIRST if status.get(name) not in (None, "")]
    hidden = (
        (*_FIRST, "output") if status.get("failure") else _FIRST
    )  # the output of a failed one is its failure's text
    names += [name for name, value in status.items() if name not in hidden and value is not None]
    room = max(len(name) for name in names)
    lines: list[str] = []
    for name in names:
        first, *rest = _value_lines(name, status[name], at, utc=utc)
        lines.append(f"{safe(name):<{room}}  {first}")
        lines.extend(f"{'':<{room}}  {line}" for line in rest)
    return lines


def _value_lines(name: str, value: Any, at: datetime, *, utc: bool) -> list[str]:
    moment = moment_of(value) if name.endswith(_TIMES) or name == "deadline" else None
    if moment is not None:
        return [safe(str(value)) + ("" if utc else f"  ({relative(moment, at)})")]
    if name == "runtimeStatus":
        return [coloured(str(value), safe(str(value)))]
    if name == "operations" and isinstance(value, dict):
        return [operations_text(cast("Document", value))]
    if name == "failure" and isinstance(value, dict):
        return _failure_lines(cast("Document", value))
    if isinstance(value, str):
        return safe_lines(value).split("\n")
    return to_json(value, indent=2).split("\n")


def _failure_lines(failure: Document) -> list[str]:
    lines, each = list[str](), cast("Document | None", failure)
    while each:
        first = "caused by " if lines else ""
        lines.extend(f"{first}{safe_lines(failure_text(each))}".split("\n"))
        each = each.get("cause")
    return lines


def event_cells(event: Document, at: datetime, *, utc: bool) -> list[object]:
    """The cells of an event, by ``EVENT_COLUMNS``; without a number where it has none."""
    return [
        event.get("#"),
        when(event.get("Timestamp"), at, utc=utc),
        event.get("EventType"),
        event.get("TaskId"),
        event.get("Name"),
        details_of(event),
    ]


def details_of(event: Document) -> str:
    """The other properties of an event in one line."""
    shown: Sequence[tuple[str, Any]] = [
        (name, value) for name, value in event.items() if name not in (*_SHOWN_APART, "#")
    ]
    return " ".join(f"{name}={_in_short(name, value)}" for name, value in shown)


def _in_short(name: str, value: Any) -> str:
    if name == "Failure" and isinstance(value, dict):
        return failure_text(cast("Document", value))  # its stack traces are in the JSON
    return value if isinstance(value, str) else to_json(value)
