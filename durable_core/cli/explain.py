"""``explain`` and ``tree``: why an instance does not go on; its sub-orchestrations, and theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from .exit_codes import FINDING, FINE
from .formats import Document, Form, format_option, print_document
from .place import Place, place_options, run_at
from .table import coloured
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi

GONE = "does not exist"


@click.command()
@click.argument("instance_id", metavar="ID")
@format_option
@place_options
def explain(instance_id: str, form: Form, place: Place) -> int:
    """Say why an instance does not go on, and what to do. Over storage, --app adds what the code alone knows.

    Exit code 1: it needs somebody. 3: there is no instance of this ID.
    """

    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        return (await api.call(Endpoint.EXPLAIN, route={"instanceId": instance_id})).expect(200).json()

    found = run_at(place, work)
    print_document(form, found, lambda: explanation_lines(found))
    return FINDING if found.get("needsSomebody") else FINE


@click.command()
@click.argument("instance_id", metavar="ID")
@format_option
@place_options
def tree(instance_id: str, form: Form, place: Place) -> int:
    """Show the sub-orchestrations of an instance, and theirs, with the status of each; and its parent."""

    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        return (await api.call(Endpoint.TREE, route={"instanceId": instance_id})).expect(200).json()

    found = run_at(place, work)
    print_document(form, found, lambda: tree_lines(found))
    return FINE


def explanation_lines(found: Document) -> list[str]:
    """The sentence, the way to the root cause, and what to do."""
    lines = [safe(str(found["sentence"]))]
    lines.extend(f"  {safe(str(link['instanceId']))}: {safe(str(link['sentence']))}" for link in found["chain"])
    return [*lines, safe(str(found["action"]))]


def tree_lines(found: Document) -> list[str]:
    """A line for each instance, below its parent."""
    above = found.get("parent")
    first = [f"child of {safe(above['instanceId'])} (task {above['taskId']})"] if above else []
    return [*first, *_lines(found, "", "")]


def _lines(node: Document, here: str, below: str) -> Iterator[str]:
    status = str(node.get("runtimeStatus", ""))
    task = f"task {node['taskId']}, " if "taskId" in node else ""
    shown = coloured(status, status) if status else GONE
    policy = f"  on the parent's end: {safe(str(node['parentClose']))}" if "parentClose" in node else ""
    yield f"{here}{safe(str(node['instanceId']))}  {safe(str(node['name']))}  {task}{shown}{policy}"
    children: list[Document] = node["children"]
    for number, child in enumerate(children, 1):
        is_last = number == len(children) and node.get("isComplete", True)
        yield from _lines(child, below + ("└ " if is_last else "├ "), below + ("  " if is_last else "│ "))
    if not node.get("isComplete", True):
        yield f"{below}└ … more"
