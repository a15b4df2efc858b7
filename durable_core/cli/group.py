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

INTERRUPTED = 130  # as a shell has it: 128 + SIGINT
READER_LEFT = 141  # 128 + SIGPIPE


class LazyGroup(click.Group):
    """modules: the module of this package that holds each verb. The verb ``a-b`` is its function ``a_b``, or with a
    final underscore where that is a name of Python's own.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._modules = dict(modules or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._modules, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._modules.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        found = import_module(f"{__package__}.{module}")
        name = cmd_name.replace("-", "_")
        return getattr(found, f"{name}_", None) or getattr(found, name)

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
