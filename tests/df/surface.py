"""Reads ``surface.txt``: the public names of azure-functions-durable, and the parameters of those that are called."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("surface.txt")


@dataclass(frozen=True)
class Entry:
    """``path``: as under the package. ``parameters``: names, and the texts of their defaults; None of an attribute."""

    path: str
    parameters: tuple[tuple[str, str | None], ...] | None

    def found_in(self, package: object) -> Any:
        """The object. AttributeError."""
        return reduce(getattr, self.path.split("."), package)


def entries() -> Iterator[Entry]:
    for line in LIST.read_text().splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            path, bracket, _ = text.partition("(")
            yield Entry(path, parameters_of(text) if bracket else None)


def parameters_of(call: str) -> tuple[tuple[str, str | None], ...]:
    """The parameters in a line such as ``f(a, b=None)``."""
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    positional = [(argument.id, None) for argument in node.args if isinstance(argument, ast.Name)]
    assert len(positional) == len(node.args), call
    return (*positional, *((keyword.arg or "", ast.unparse(keyword.value)) for keyword in node.keywords))


def signature_of(found: object) -> tuple[tuple[str, str | None], ...]:
    """The positional parameters of a class, a method or a function, without ``self``."""
    parameters = inspect.signature(found).parameters.values()  # pyright: ignore[reportArgumentType]
    return tuple(
        (each.name, None if each.default is each.empty else _text(each.default))
        for each in parameters
        if each.name != "self" and each.kind is each.POSITIONAL_OR_KEYWORD
    )


def _text(default: object) -> str:
    return f"{type(default).__name__}.{default.name}" if isinstance(default, Enum) else repr(default)
