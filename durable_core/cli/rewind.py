"""``rewind``: lets a failed instance go on from before its failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .exit_codes import FINE
from .formats import Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi


@click.command()
@click.argument("instance_id", metavar="ID")
@click.option("--reason", metavar="TEXT", default="", help="Kept in the history.")
@click.option("--force", is_flag=True, help="Also when something happened after the failure that is not undone.")
@click.option("--request-id", metavar="TEXT", help="Makes the command safe to repeat: it finds its own rewind.")
@click.option("--dry-run", is_flag=True, help="Only print what the rewind would do.")
@format_option
@place_options
def rewind(
    instance_id: str, reason: str, force: bool, request_id: str | None, dry_run: bool, form: Form, place: Place
) -> int:
    """Let the instance ID, which has failed, was terminated or was canceled, go on from before its end.

    The call that failed runs again; all commits since its failure are void. What they have done to the world outside is
    listed, and the rewind refused unless --force is given. A host of the app must run to carry it out.
    """

    async def work(api: ManagementApi) -> Any:
        from ..hosting.http_routes import Endpoint

        query = [(name, text) for name, text in (("reason", reason), ("requestId", request_id)) if text]
        query += [(name, "true") for name, is_given in (("force", force), ("dryRun", dry_run)) if is_given]
        return (await api.call(Endpoint.REWIND, route={"instanceId": instance_id}, query=query)).expect(200).json()

    done = run_at(place, work)
    print_document(form, done, lambda: [safe(line) for line in _lines(done, dry_run)])
    return FINE


def _lines(done: Any, dry_run: bool) -> Iterator[str]:
    yield f"{'would be void' if dry_run else 'void'}: commits from {done['cutBefore']} on"
    for key, title in (("undone", "undone"), ("again", "dispatched again")):
        for task in done[key]:
            yield f"{title}: #{task['taskId']} {task['name'] or 'timer'} ({task['line']})"
    items: dict[tuple[str, str], list[str]] = {}
    for item in done.get("items", ()):
        items.setdefault((item["instanceId"], item["name"]), []).append(str(item["index"]))
    for (map_of, name), indexes in items.items():
        yield f"called again: {name} for items {', '.join(indexes)} of the map in '{map_of}'"
    if done["timersMoveBy"]:
        yield f"timers move by: {done['timersMoveBy']:g} s"
    for problem in done.get("problems", ()):
        yield f"not undone: {problem}"
