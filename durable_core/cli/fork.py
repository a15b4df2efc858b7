"""``fork``: a new instance that begins with a part of the history of another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .exit_codes import FINE
from .formats import Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi

_KINDS = ("result", "failure", "input", "step")


def _overrides(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        place, equals, value = text.partition("=")
        task, _dot, kind = place.partition(".")
        if not equals or not task.isdecimal() or kind not in _KINDS:
            raise click.BadParameter(
                f"{text!r} is not TASK.result=JSON, TASK.failure=JSON, TASK.input=JSON or TASK.step=JSON"
            )
        try:
            found[task] = {kind: json.loads(value)}
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not JSON: {error}") from None
    return found


@click.command()
@click.argument("instance_id", metavar="ID")
@click.option("--until-task", type=int, metavar="N", help="Copy what is before the end of this task.")
@click.option("--until-event", metavar="NAME", help="Copy what is before the last event of this name.")
@click.option("--event-number", type=int, metavar="N", help="With --until-event: before the N-th event of this name.")
@click.option("--until-failure", is_flag=True, help="Copy what is before the failure that ended the instance.")
@click.option(
    "--override",
    "overrides",
    multiple=True,
    callback=_overrides,
    metavar="TASK.KIND=JSON",
    help="Another result or failure of an open task, input of a call, or end of a step that a journaled activity has "
    'recorded: 3.result=\'{"ok":true}\', 3.step=\'{"name":"charge","result":7}\'. May be repeated.',
)
@click.option("--id", "new_id", metavar="NEW-ID", help="Id of the new instance; else a random one.")
@click.option("--version", metavar="VERSION", help="Another version of the orchestrator.")
@click.option("--suspended", is_flag=True, help="Begin suspended: nothing runs before the new instance is resumed.")
@click.option("--request-id", metavar="TEXT", help="Makes the command safe to repeat: it finds its own fork.")
@click.option("--dry-run", is_flag=True, help="Only print what the fork would do.")
@format_option
@place_options
def fork(
    instance_id: str,
    until_task: int | None,
    until_event: str | None,
    event_number: int | None,
    until_failure: bool,
    overrides: dict[str, Any],
    new_id: str | None,
    version: str | None,
    suspended: bool,
    request_id: str | None,
    dry_run: bool,
    form: Form,
    place: Place,
) -> int:
    """Start a new instance with a copy of the history of the instance ID, up to a place, and print its id.

    The instance ID is left as it is. Calls and steps that are open where the copy ends run again, calls with other
    idempotency keys. A host of the app must run to carry it out.
    """
    until = _given(task=until_task, event=until_event, failure=until_failure or None)
    if len(until) != 1:
        raise click.UsageError("choose one of --until-task, --until-event and --until-failure")
    if event_number is not None and until_event is None:
        raise click.UsageError("--event-number is for --until-event")
    body = _given(
        until=until | _given(number=event_number),
        instanceId=new_id,
        version=version,
        overrides=overrides or None,
        suspended=suspended or None,
        requestId=request_id,
        dryRun=dry_run or None,
    )

    async def work(api: ManagementApi) -> Any:
        from ..hosting.http_routes import Endpoint

        answer = await api.call(Endpoint.FORK, route={"instanceId": instance_id}, body=json.dumps(body).encode())
        document = answer.expect(200, 202).json()
        return document if dry_run else document["fork"]

    done = run_at(place, work)
    print_document(form, done, lambda: [safe(line) for line in _lines(done, dry_run)])
    return FINE


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _lines(done: Any, dry_run: bool) -> Iterator[str]:
    if not dry_run:
        yield done["instanceId"]  # alone, for scripts; --format json has the rest
        return
    yield f"would copy: commits before {done['cutBefore']}"
    for task in done["again"]:
        yield f"would run: #{task['taskId']} {task['name'] or 'timer'} ({task['line']})"
    for task, number in done.get("recordedSteps", {}).items():
        yield f"would copy: {number} recorded steps of #{task}"
    for callback in done.get("callbacks", ()):
        yield f"callback of its own: {callback['name']} {callback.get('url', '')}".rstrip()
    for decision in done.get("decisions", ()):
        yield f"would decide: {decision}"
