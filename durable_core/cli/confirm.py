"""Asks before a verb destroys something: how many instances, which ones, and where."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from .exit_codes import CannotRunError
from .text import safe

F = TypeVar("F", bound=Callable[..., Any])
SAMPLE = 5


def yes_option(command: F) -> F:
    """``--yes``, given to the verb as ``yes``."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def confirm(what: str, ids: Sequence[str], place: str, *, yes: bool, count: str = "") -> None:
    """Unless ``yes``, show what will happen to which instances, and ask. Raises what ``ask`` raises.

    what: such as "terminate". count: where ``ids`` are only a part.
    """
    if yes:
        return
    number = count or f"{len(ids):,}"
    sample = [*ids[:SAMPLE], *(["…"] if len(ids) > SAMPLE or count else [])]
    ask(f"{what}: {number} {'instance' if number == '1' else 'instances'} of {place}", sample)


def ask(what: str, sample: Sequence[str]) -> None:
    """Show what will happen, and ask. click.Abort if the answer is no; CannotRunError if nobody can be asked."""
    click.echo(safe(what), err=True)
    for each in sample:
        click.echo(f"  {safe(each)}", err=True)
    if not sys.stdin.isatty():
        raise CannotRunError("nothing was done: standard input is no terminal to ask at; give --yes to go on unasked")
    if not click.confirm("continue?", err=True):
        raise CannotRunError("nothing was done")
