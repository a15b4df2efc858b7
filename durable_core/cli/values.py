"""JSON values of a command line: given as text, or read from a file or standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_options(name: str, what: str) -> Callable[[F], F]:
    """``--NAME JSON`` and ``--NAME-file FILE``, given to the verb as the bytes of one JSON value, or None."""

    def decorate(command: F) -> F:
        @wraps(command)
        def with_value(*args: Any, **more: Any) -> Any:
            text: str | None = more.pop(name)
            file: str | None = more.pop(f"{name}_file")
            if text is not None and file is not None:
                raise click.UsageError(f"give --{name} or --{name}-file, not both")
            raw = _read(name, file) if file is not None else None if text is None else text.encode(errors="replace")
            more[name] = None if raw is None else _checked(name, raw)
            return command(*args, **more)

        click.option(f"--{name}-file", metavar="FILE", help="The same, from a file; - is standard input.")(with_value)
        click.option(f"--{name}", metavar="JSON", help=f"{what}, as JSON.")(with_value)
        return with_value  # pyright: ignore[reportReturnType]  click calls it by keyword

    return decorate


def _read(name: str, file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"--{name}-file: {error}") from error


def _checked(name: str, raw: bytes) -> bytes:
    """The bytes, if they are JSON. A word without quotation marks is the mistake that everybody makes once."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError) as error:
        shown = raw[:40].decode(errors="replace")
        raise click.BadParameter(
            f"{shown!r} is not JSON: {error}; a text needs quotation marks of its own, such as --{name} '\"text\"'"
        ) from None
    return raw
