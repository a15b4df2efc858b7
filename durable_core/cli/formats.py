"""``--format`` and ``--utc``: what a verb prints, as a table for people or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar

import click

from .table import Column, lines_of, terminal_width
from .text import safe, to_json

F = TypeVar("F", bound=Callable[..., Any])
Form: TypeAlias = Literal["table", "json", "jsonl"]
Document: TypeAlias = dict[str, Any]


def format_option(command: F) -> F:
    """``--format``, given to the verb as ``form``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "jsonl"]),
        default="table",
        show_default=True,
        help="A table for people; json: one document; jsonl: a document in each line.",
    )(command)


def utc_option(command: F) -> F:
    """``--utc``, given to the verb as ``utc``."""
    return click.option("--utc", is_flag=True, help="Show times as they are, in UTC, not how long ago.")(command)


def now() -> datetime:
    return datetime.now(UTC)


def print_documents(
    form: Form, documents: Sequence[Document], columns: Sequence[Column], cells: Callable[[Document], Sequence[object]]
) -> None:
    """Print documents of the management API. cells: what a table shows of one, by the columns."""
    if form == "json":
        click.echo(to_json(documents, indent=2))
    elif form == "jsonl":
        for document in documents:
            click.echo(to_json(document))
    elif documents:
        for line in lines_of(columns, [cells(document) for document in documents], terminal_width()):
            click.echo(line)


def print_done(form: Form, document: Document, text: str) -> None:
    """Print what was done, where a request has no answer of its own. text: for people, on standard error; not safe."""
    if form == "table":
        click.echo(safe(text), err=True)
    else:
        print_document(form, document, list)


def print_document(form: Form, document: Any, lines: Callable[[], Sequence[str]]) -> None:
    """Print one document. lines: what people see of it; already safe."""
    if form == "table":
        for line in lines():
            click.echo(line)
    else:
        click.echo(to_json(document, indent=2 if form == "json" else None))
