"""``--dry-run`` of verbs that are given ids: what they would touch, below each instance its sub-orchestrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..models import RuntimeStatus
from .exit_codes import FINE, NOTHING_MATCHED, NothingMatchedError
from .formats import Document, Form, print_documents
from .table import Column
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi

F = TypeVar("F", bound=Callable[..., Any])

_ENDED = {status.value for status in RuntimeStatus if status.is_terminal}
_COLUMNS = (Column("ID", weight=0), Column("NAME"), Column("STATUS"), Column("WOULD"), Column("BELOW", weight=2))


def dry_run_option(command: F) -> F:
    """``--dry-run``, given to the verb as ``dry_run``."""
    return click.option("--dry-run", is_flag=True, help="Only show what it would touch.")(command)


async def preview(
    api: ManagementApi, operation: str, instance_ids: Sequence[str], *, takes_ended: bool, with_children: bool
) -> list[Document]:
    """One document for each instance that there is, and for each sub-orchestration that the operation would touch.

    takes_ended: whether the operation is for instances that have ended, or for those that have not. ``would`` is the
    operation, or null where the instance does not take it. Ids without an instance are named on standard error.
    """
    found: list[Document] = []
    for instance_id in instance_ids:
        try:
            top = await _tree_of(api, instance_id)
        except NothingMatchedError as error:
            click.echo(safe(error.message), err=True)
            continue
        takes = _takes(top, takes_ended=takes_ended)
        found.append(_document(top, operation if takes else None))
        if takes and with_children:
            below = [node for node in _below(top) if _takes(node, takes_ended=takes_ended)]
            found.extend(_document(node, operation) | {"below": instance_id} for node in below)
            if not _is_complete(top):
                click.echo(f"{safe(instance_id)}: not all of its sub-orchestrations are shown", err=True)
    return found


def show_preview(form: Form, found: Sequence[Document], asked: Sequence[str]) -> int:
    """Print the documents. Returns the exit code: that of the verb without ``--dry-run``."""
    print_documents(
        form,
        found,
        _COLUMNS,
        lambda each: [
            each["instanceId"],
            each["name"],
            each["runtimeStatus"],
            each["would"] or "nothing",
            each.get("below"),
        ],
    )
    return FINE if all(_is_taken(found, instance_id) for instance_id in asked) else NOTHING_MATCHED


def _is_taken(found: Sequence[Document], instance_id: str) -> bool:
    return any(each["instanceId"] == instance_id and each["would"] for each in found)


async def _tree_of(api: ManagementApi, instance_id: str) -> Document:
    from ..hosting.http_routes import Endpoint

    return (await api.call(Endpoint.TREE, route={"instanceId": instance_id})).expect(200).json()


def _below(node: Document) -> Iterator[Document]:
    for child in node["children"]:
        yield child
        yield from _below(child)


def _is_complete(node: Document) -> bool:
    return node.get("isComplete", True) and all(map(_is_complete, node["children"]))


def _takes(node: Document, *, takes_ended: bool) -> bool:
    """Whether the instance exists, can be read, and has a status that the operation is for."""
    status = node.get("runtimeStatus")
    return status is not None and (status in _ENDED) == takes_ended


def _document(node: Document, would: str | None) -> Document:
    return {
        "instanceId": node["instanceId"],
        "name": node["name"],
        "runtimeStatus": node.get("runtimeStatus"),
        "would": would,
    }
