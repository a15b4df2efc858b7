"""The group of all verbs: each is imported when it is called, and every error ends in one quiet, escaped line."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from .exit_codes import FINE
from .text import safe_lines
from .verbs import Verb

INTERRUPTED = 130  # as a shell has it: 128 + SIGINT
READER_LEFT = 141  # 128 + SIGPIPE


class LazyGroup(click.Group):
    """verbs: each with the module of this package that holds it, and its summary. The verb ``a-b`` is the function
    ``a_b`` of its module, or with a final underscore where that is a name of Python's own.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, Verb] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._verbs = dict(verbs or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._verbs, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return super().get_command(ctx, cmd_name)
        found = import_module(f"{__package__}.{verb.module}")
        name = cmd_name.replace("-", "_")
        return getattr(found, f"{name}_", None) or getattr(found, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs as click does, but without importing them."""
        width = formatter.width - 6 - max(map(len, self._verbs))
        shown = [click.Command(name, help=verb.summary) for name, verb in sorted(self._verbs.items())]
        rows = [(verb.name or "", verb.get_short_help_str(width)) for verb in shown]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:  # click would print an empty line
            raise click.exceptions.Exit(INTERRUPTED) from None
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            # Nothing more is written, not even what Python flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(READER_LEFT) from None
        return result

    def main(self, *args: Any, **more: Any) -> Any:
        """Run the verb and end the process with its exit code."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal or a locale without these characters
        more["standalone_mode"] = False
        try:
            code = _exit_code(super().main(*args, **more))
        except click.ClickException as error:
            _say(error)
            code = error.exit_code
        except click.Abort:
            code = INTERRUPTED
        sys.exit(code)


def _exit_code(returned: object) -> int:
    return returned if isinstance(returned, int) else FINE


def _say(error: click.ClickException) -> None:
    """Print the error, with the usage if it is one. An argument or a server may have put escape sequences into it."""
    text = io.StringIO()
    error.show(text)
    sys.stderr.write(safe_lines(text.getvalue()))
