"""The docstring of ``durable_core.errors`` draws every error class of the package below its base."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import durable_core
from durable_core import errors
from durable_core.errors import DurableError

_NODE = re.compile(r"^    ([│ ]*)[├└]── (\w+)", re.MULTILINE)


def drawn() -> set[tuple[str, str]]:
    """Each error of the drawings, with the one it is drawn below."""
    found: set[tuple[str, str]] = set()
    for drawing in (errors.__doc__ or "").split("    DurableError\n")[1:]:
        path = ["DurableError"]
        for indent, name in _NODE.findall(drawing):
            del path[len(indent) // 4 + 1 :]
            found.add((name, path[-1]))
            path.append(name)
    return found


def defined(parent: type[DurableError] = DurableError) -> Iterator[tuple[str, str]]:
    """Each error class of the package, with the class it derives from."""
    for child in parent.__subclasses__():
        if child.__module__.partition(".")[0] == durable_core.__name__:
            yield child.__name__, parent.__name__
        yield from defined(child)


def test_every_error_class_is_drawn_below_its_base() -> None:
    for module in pkgutil.walk_packages(durable_core.__path__, durable_core.__name__ + "."):
        importlib.import_module(module.name)
    known = set(defined())
    assert drawn() == known
