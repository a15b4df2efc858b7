"""Values of Durable Functions as JSON: plain JSON, and objects of classes with ``to_json`` and ``from_json``.

Such an object is stored as ``{"__class__", "__module__", "__data__"}``, the format of azure-functions-durable 1.x. It
is read back only as a class that the app itself names: in an annotation, in ``input_type`` or ``expected_type``, or in
a module that holds one of its durable functions. The stored names choose among these classes; nothing is imported and
nothing in ``sys.modules`` is looked up because of them.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, cast

from ..errors import SerializationError
from ..models import JSON
from ..signatures import function_in
from ..source_location import is_library

CLASS, MODULE, DATA = "__class__", "__module__", "__data__"
_ENVELOPE = frozenset({CLASS, MODULE, DATA})
_PLAIN = frozenset({str, int, float, bool, type(None)})


def encode(value: object) -> Any:
    """The value with each object that has ``to_json`` replaced by its stored form. Lists and dicts are copied.

    Other objects are left as they are, for the converter that writes all values. Raises what ``to_json`` raises.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return {key: encode(item) for key, item in cast("dict[object, object]", value).items()}
    if kind is list or kind is tuple:
        return [encode(item) for item in cast("list[object]", value)]
    to_json = getattr(kind, "to_json", None)
    if not callable(to_json) or isinstance(value, type):
        return value
    return {CLASS: kind.__name__, MODULE: kind.__module__, DATA: encode(to_json(value))}


class KnownClasses:
    """The classes as which stored objects may be read back."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, str], type] = {}
        self._namespaces: list[Mapping[str, object]] = []

    def add(self, kind: object) -> None:
        """Add a class, or the classes in an annotation such as ``list[Order]``, if they have both methods."""
        for each in (kind, *typing.get_args(kind)):
            if each is not kind:
                self.add(each)
            elif isinstance(each, type) and has_protocol(each):
                self._by_name[each.__module__, each.__name__] = each

    def add_of(self, fn: Callable[..., Any]) -> None:
        """Add the classes that a function names: in its annotations, and in the module that holds it."""
        inner = function_in(fn)
        namespace: Mapping[str, object] | None = getattr(inner, "__globals__", None)
        if namespace is not None and not any(known is namespace for known in self._namespaces):
            self._namespaces.append(namespace)
        try:
            hints = typing.get_type_hints(inner)
        except (NameError, TypeError):  # the annotation uses a name that is not defined at run time
            return
        for kind in hints.values():
            self.add(kind)

    def decode(self, data: JSON, expected: object = None) -> Any:
        """A stored value with its objects restored, the inner ones first.

        expected: a class that the value may have, in addition to those that are known.
        Raises SerializationError for an object of a class that is not known, and what ``from_json`` raises.
        """
        if expected is not None:
            self.add(expected)
        return self._decoded(data)

    def _decoded(self, data: JSON) -> Any:
        if type(data) is list:
            return [self._decoded(item) for item in cast("list[JSON]", data)]
        if type(data) is not dict:
            return data
        found = {key: self._decoded(item) for key, item in cast("dict[str, JSON]", data).items()}
        if not found.keys() >= _ENVELOPE:
            return found
        kind = self._find(found[MODULE], found[CLASS])
        return cast("Any", kind).from_json(found[DATA])

    def _find(self, module: object, name: object) -> type:
        known = self._by_name.get((f"{module}", f"{name}"))
        if known is None:
            for namespace in self._namespaces:  # all that the app names: it may have changed since the last search
                for kind in _classes_in(namespace):
                    self._by_name.setdefault((kind.__module__, kind.__name__), kind)
            known = self._by_name.get((f"{module}", f"{name}"))
        if known is None:
            raise SerializationError(
                f"the stored value is an object of class '{name}' of module '{module}', which this app does not name: "
                "import the class into the module of a durable function, or give it as expected_type or input_type"
            )
        return known


def has_protocol(kind: type) -> bool:
    """Whether a class has both ``to_json`` and ``from_json``."""
    return callable(getattr(kind, "to_json", None)) and callable(getattr(kind, "from_json", None))


def _classes_in(namespace: Mapping[str, object]) -> Iterator[type]:
    """The classes with the protocol in a module, and in the app's own modules that it has imported as modules."""
    for value in list(namespace.values()):
        if isinstance(value, ModuleType):
            if not is_library(getattr(value, "__file__", None) or "<built-in>"):
                yield from (each for each in vars(value).values() if isinstance(each, type) and has_protocol(each))
        elif isinstance(value, type) and has_protocol(value):
            yield value
