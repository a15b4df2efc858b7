"""``stream``: follows a stream that an activity writes, or lists the streams of an instance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from ..models import JSON
from .exit_codes import FINDING, FINE
from .place import Place, place_options, run_at
from .text import safe, safe_lines, to_json

if TYPE_CHECKING:
    from .api.port import ManagementApi

FIRST_PAUSE = 0.1  # seconds between two requests
LONGEST_PAUSE = 1.0


class SentEvent(NamedTuple):
    """A server-sent event. kind: '' for a chunk."""

    id: str
    kind: str
    data: JSON


@click.command()
@click.argument("instance_id", metavar="ID")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--from", "after", metavar="OFFSET", help="Begin behind the event with this offset.")
@click.option("--no-follow", is_flag=True, help="Show what is there, and do not wait for more.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True)
@place_options
def stream(instance_id: str, name: str | None, after: str | None, no_follow: bool, form: str, place: Place) -> int:
    """Follow a stream that an activity of an instance writes, until its end; without a name, list the streams.

    As text, chunks that are texts are printed one behind the other, others, and those of a stream that several calls
    share, as JSON, one in a line. If the activity runs
    again, this is told on stderr, and its chunks are printed anew.

    Exit code 0: the stream is complete, or --no-follow; 1: it ended otherwise; 3: there is no instance of this ID.
    """

    async def work(api: ManagementApi) -> int:
        if name is None:
            return await _list(api, instance_id)
        return await _follow(api, instance_id, name, after, form == "text", waits=not no_follow)

    return run_at(place, work)


async def _list(api: ManagementApi, instance_id: str) -> int:
    from ..hosting.http_routes import Endpoint

    found = (await api.call(Endpoint.STREAMS, route={"instanceId": instance_id})).expect(200).json()
    for each in found:
        click.echo(safe(str(each)))
    if not found:
        click.echo(f"{safe(instance_id)} has no streams", err=True)
    return FINE


async def _follow(
    api: ManagementApi, instance_id: str, name: str, after: str | None, as_text: bool, *, waits: bool
) -> int:
    from ..hosting.http_routes import Endpoint

    route, pause = {"instanceId": instance_id, "streamName": name}, FIRST_PAUSE
    out, has_chunks = _Writer(as_text=as_text), after is not None
    while True:
        query = [("follow", "false")] if after is None else [("follow", "false"), ("from", after)]
        answer = (await api.call(Endpoint.STREAM, route=route, query=query)).expect(200, 204)
        events = list(read_events(answer.body.decode()))
        for event in events:
            after = event.id
            out.tell(event)
            if event.kind == "ended":
                if event.data == {"isComplete": True}:
                    return FINE
                what = "ended before it was complete" if has_chunks else "was never written"
                click.echo(f"the stream {safe(name)} {what}: its activity or its instance has ended", err=True)
                return FINDING
            has_chunks = True
        if answer.status == 204 or not (events or waits):
            out.end_line()
            return FINE
        if events:
            pause = FIRST_PAUSE
        else:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class _Writer:
    """Writes events at once: texts one behind the other, or each event as a document."""

    def __init__(self, *, as_text: bool) -> None:
        self._as_text = as_text
        self._is_in_line = False

    def tell(self, event: SentEvent) -> None:
        if not self._as_text:
            click.echo(to_json({"offset": event.id, "event": event.kind or "chunk", "data": event.data}))
        elif event.kind == "shared":
            self.end_line()
            click.echo(to_json(event.data))
        elif event.kind:
            self.end_line()
            if event.kind == "restarted":
                click.echo("the activity runs again, and writes its chunks anew", err=True)
        elif isinstance(event.data, str):
            click.echo(safe_lines(event.data), nl=False)
            self._is_in_line = not event.data.endswith("\n") if event.data else self._is_in_line
        else:
            self.end_line()
            click.echo(to_json(event.data))

    def end_line(self) -> None:
        if self._is_in_line:
            click.echo()
        self._is_in_line = False


def read_events(body: str) -> Iterator[SentEvent]:
    """The events of an answer."""
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            yield SentEvent(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
