"""``schedules``: lists the schedules of a hub, and pauses, resumes, triggers, backfills and deletes one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from .confirm import ask, yes_option
from .dry_run import dry_run_option
from .exit_codes import FINE, NOTHING_MATCHED, NothingMatchedError
from .filters import iso, moment_option
from .formats import Document, Form, format_option, now, print_document, print_documents, print_done, utc_option
from .place import Place, place_options, run_at
from .table import Column
from .text import safe, span, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .api.port import Answer, ManagementApi

COLUMNS = (
    Column("ID", weight=0),
    Column("ORCHESTRATOR"),
    Column("WHEN", weight=2),
    Column("STATE"),
    Column("NEXT"),
    Column("RUNNING", weight=3),
    Column("LAST"),
)

_schedule = click.argument("schedule_id", metavar="SCHEDULE")


@click.group(invoke_without_command=True)
@format_option
@utc_option
@place_options
@click.pass_context
def schedules(ctx: click.Context, form: Form, utc: bool, place: Place) -> int:
    """List the schedules of a hub, newest first; or pause, resume, trigger, backfill or delete one."""
    ctx.obj = place
    if ctx.invoked_subcommand is not None:
        return FINE

    found = run_at(place, _all_of)
    print_documents(form, found, COLUMNS, lambda schedule: _cells(schedule, now(), utc=utc))
    return FINE if found else NOTHING_MATCHED


async def _all_of(api: ManagementApi) -> list[Document]:
    from ..hosting.http_routes import Endpoint

    return (await api.call(Endpoint.SCHEDULES)).expect(200).json()


@schedules.command()
@_schedule
@click.option("--reason", metavar="TEXT", default="", help="Shown with the schedule.")
@format_option
@place_options
@click.pass_obj
def pause(above: Place, schedule_id: str, reason: str, form: Form, place: Place) -> int:
    """Start no runs until the schedule is resumed. A current run continues."""
    _operate(above, place, schedule_id, "pause", reason)
    _say(form, schedule_id, "pause", "pause requested")
    return FINE


@schedules.command()
@_schedule
@format_option
@place_options
@click.pass_obj
def resume(above: Place, schedule_id: str, form: Form, place: Place) -> int:
    """Start runs again, from the next due time on."""
    _operate(above, place, schedule_id, "resume")
    _say(form, schedule_id, "resume", "resume requested")
    return FINE


@schedules.command()
@_schedule
@format_option
@place_options
@click.pass_obj
def trigger(above: Place, schedule_id: str, form: Form, place: Place) -> int:
    """Start a run now, even while the schedule is paused, and print the run's instance id."""
    run = _operate(above, place, schedule_id, "trigger").json()
    print_document(form, run, lambda: [safe(run["instanceId"])])
    return FINE


@schedules.command()
@_schedule
@click.option(
    "--from", "start", metavar="TIME", required=True, callback=moment_option, help="The first due time that is run."
)
@click.option(
    "--to", "end", metavar="TIME", required=True, callback=moment_option, help="The last due time that is run."
)
@click.option(
    "--at-once", metavar="N", type=click.IntRange(min=1), default=1, help="How many runs may go at once; 1 if left out."
)
@click.option("--dry-run", is_flag=True, help="Only count the due times of the period.")
@format_option
@place_options
@click.pass_obj
def backfill(
    above: Place,
    schedule_id: str,
    start: datetime,
    end: datetime,
    at_once: int,
    dry_run: bool,
    form: Form,
    place: Place,
) -> int:
    """Start the runs of a past period, each once, and print the id of the backfill.

    A run that has been started before is passed over. The backfill is an instance; `tail` follows it to its end. A
    period with more than 10,000 due times is refused, and the refusal says where to split it.
    """
    more = [("from", iso(start)), ("to", iso(end)), ("maxConcurrency", str(at_once))]
    if dry_run:
        found = _operate(above, place, schedule_id, "backfill", more=[*more, ("dryRun", "true")]).json()
        print_document(form, found, lambda: [_counted(found)])
        return FINE
    begun = _operate(above, place, schedule_id, "backfill", more=more).json()
    print_document(form, begun, lambda: [safe(begun["instanceId"])])
    return FINE


@schedules.command()
@_schedule
@dry_run_option
@yes_option
@format_option
@place_options
@click.pass_obj
def delete(above: Place, schedule_id: str, dry_run: bool, yes: bool, form: Form, place: Place) -> int:
    """Delete a schedule. A current run continues."""
    if dry_run:
        return _show(_place_of(above, place), schedule_id, form)
    _operate(above, place, schedule_id, "delete", confirmed=yes)
    _say(form, schedule_id, "delete", "deleted")
    return FINE


def _show(place: Place, schedule_id: str, form: Form) -> int:
    """Print the schedule as it is. NothingMatchedError if there is none."""
    found = [each for each in run_at(place, _all_of) if each["scheduleId"] == schedule_id]
    if not found:
        raise NothingMatchedError(safe(f"there is no schedule '{schedule_id}'"))
    print_documents(form, found, COLUMNS, lambda schedule: _cells(schedule, now(), utc=False))
    return FINE


def _say(form: Form, schedule_id: str, operation: str, done: str) -> None:
    print_done(form, {"scheduleId": schedule_id, "operation": operation}, f"{schedule_id}: {done}")


def _place_of(above: Place, place: Place) -> Place:
    """above: the place that was given before the name of the operation."""
    return above if place == Place() else place


def _operate(
    above: Place,
    place: Place,
    schedule_id: str,
    operation: str,
    reason: str = "",
    *,
    confirmed: bool = True,
    more: Sequence[tuple[str, str]] = (),
) -> Answer:
    async def work(api: ManagementApi) -> Answer:
        from ..hosting.http_routes import Endpoint

        if not confirmed:
            ask(f"delete: the schedule '{schedule_id}' of {api.place}", [])
        query = [("reason", reason)] if reason else list(more)
        route = {"scheduleId": schedule_id, "operation": operation}
        return (await api.call(Endpoint.SCHEDULE, route=route, query=query)).expect(200, 202)

    return run_at(_place_of(above, place), work)


def _counted(found: Document) -> str:
    if not found["runs"]:
        return "no run was due in this period"
    shown = f"{found['runs']:,} due, from {found['first']} to {found['last']}"
    return shown if found["isComplete"] else f"more than {shown}: one backfill starts no more, split the period there"


def _cells(schedule: Document, at: datetime, *, utc: bool) -> list[object]:
    every = schedule.get("intervalSeconds")
    return [
        schedule["scheduleId"],
        schedule["orchestrator"],
        f"every {span(every)}" if every else f"{schedule.get('cron')} {schedule.get('timeZone')}",
        _state_of(schedule),
        when(schedule.get("nextDueTime"), at, utc=utc),
        schedule.get("runningInstanceId"),
        when(schedule.get("lastDueTime"), at, utc=utc),
    ]


def _state_of(schedule: Document) -> str:
    state = "paused" if schedule.get("isPaused") else "active"
    if reason := schedule.get("pauseReason"):
        state += f": {safe(str(reason))}"
    missed = schedule.get("missedRuns")
    return f"{state}; {missed} missed" if missed else state
