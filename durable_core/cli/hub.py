"""``stats``, ``hosts``, ``queues``, ``timers``: a hub at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .exit_codes import FINDING, FINE, NOTHING_MATCHED
from .formats import Document, Form, format_option, now, print_document, print_documents, utc_option
from .place import Place, place_options, run_at
from .table import Column, coloured
from .text import safe, span, when

if TYPE_CHECKING:
    from .api.port import ManagementApi

CONTINUATION = "x-ms-continuation-token"
_HOSTS = (
    Column("HOST", weight=0),
    Column("PID", is_number=True),
    Column("STATE"),
    Column("SEEN"),
    Column("STARTED"),
    Column("IN FLIGHT", is_number=True),
    Column("WARM", is_number=True),
    Column("VERSION"),
    Column("BUILD", weight=2),
    Column("SERVES", weight=3),
)
_QUEUES = (
    Column("QUEUE", weight=0),
    Column("KIND"),
    Column("DEPTH", is_number=True),
    Column("OLDEST"),
    Column("SERVES", weight=3),
)
_TIMERS = (Column("INSTANCE", weight=0), Column("DUE"), Column("TASK", is_number=True), Column("KIND"))


@click.command()
@format_option
@place_options
def stats(form: Form, place: Place) -> int:
    """Count the instances of the hub by status, with its stuck and retrying ones. Exit code 1: some are stuck, messages
    are in a poison queue, or no host is alive."""
    found = run_at(place, _hub)
    print_document(form, found, lambda: _stats_lines(found))
    poisoned = sum(queue["depth"] for queue in found["queues"] if queue["kind"] == "poison")
    is_alive = any(host["isAlive"] for host in found["hosts"])
    return FINDING if found["stuck"] or poisoned or not is_alive else FINE


@click.command()
@format_option
@utc_option
@place_options
def hosts(form: Form, utc: bool, place: Place) -> int:
    """List the hosts of the hub. Exit code 1: none is alive; 3: none was seen lately."""
    found: list[Document] = run_at(place, _hub)["hosts"]
    at = now()
    print_documents(
        form,
        found,
        _HOSTS,
        lambda host: [
            host["name"],
            host["pid"],
            "alive" if host["isAlive"] else "stopped" if host.get("stoppedTime") else "lost",
            when(host.get("lastSeenTime"), at, utc=utc),
            when(host.get("startedTime"), at, utc=utc),
            host.get("inFlight"),
            host.get("warm"),
            host.get("version"),
            host.get("build"),
            " ".join(host.get("queues", ())),
        ],
    )
    if not found:
        return NOTHING_MATCHED
    return FINE if any(host["isAlive"] for host in found) else FINDING


@click.command()
@format_option
@place_options
def queues(form: Form, place: Place) -> int:
    """List the queues of the hub with their depth and the age of the next message. Exit code 1: a poison queue has
    messages."""
    found: list[Document] = run_at(place, _hub)["queues"]
    print_documents(
        form,
        found,
        _QUEUES,
        lambda queue: [
            queue["name"],
            queue["kind"],
            queue["depth"],
            "" if queue.get("oldestSeconds") is None else span(queue["oldestSeconds"]),
            " ".join(queue.get("serves", ())),
        ],
    )
    return FINDING if any(queue["kind"] == "poison" and queue["depth"] for queue in found) else FINE


@click.command()
@click.option("--top", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@format_option
@utc_option
@place_options
def timers(top: int, form: Form, utc: bool, place: Place) -> int:
    """List the timers, retries and deadlines that are over ten minutes away, the earliest first. Exit code 3: none."""

    async def work(api: ManagementApi) -> tuple[list[Document], bool]:
        from ..hosting.http_routes import Endpoint

        answer = (await api.call(Endpoint.TIMERS, query=[("top", str(top))])).expect(200)
        return answer.json(), bool(answer.headers.get(CONTINUATION))

    found, more = run_at(place, work)
    at = now()
    print_documents(
        form,
        found,
        _TIMERS,
        lambda timer: [
            timer["instanceId"],
            when(timer["due"], at, utc=utc),
            timer["taskId"] or None,
            "deadline" if timer["isDeadline"] else "" if timer["taskId"] else "start",
        ],
    )
    if more:
        click.echo(f"the earliest {len(found):,} are shown; --top shows more", err=True)
    return FINE if found else NOTHING_MATCHED


async def _hub(api: ManagementApi) -> Document:
    from ..hosting.http_routes import Endpoint

    return (await api.call(Endpoint.HUB)).expect(200).json()


def _stats_lines(hub: Document) -> list[str]:
    bound = "" if hub["isComplete"] else " or more"
    counts: dict[str, int] = hub["counts"]
    partitions = "1 partition" if hub["partitions"] == 1 else f"{hub['partitions']} partitions"
    lines = [f"hub {safe(str(hub['hub']))} ({safe(str(hub['store']))}), {partitions}"]
    lines += [f"{coloured(name, f'{safe(name):<12}')} {number:>8,}{bound}" for name, number in counts.items()]
    lines += [f"{name:<12} {hub[name]:>8,}{bound}" for name in ("stuck", "retrying")]
    alive = sum(host["isAlive"] for host in hub["hosts"])
    depth = sum(queue["depth"] for queue in hub["queues"] if queue["kind"] != "poison")
    poisoned = sum(queue["depth"] for queue in hub["queues"] if queue["kind"] == "poison")
    return [*lines, f"{'messages':<12} {depth:>8,}", f"{'poisoned':<12} {poisoned:>8,}", f"{'hosts':<12} {alive:>8,}"]
