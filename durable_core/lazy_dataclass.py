"""``dataclass`` as in the standard library, for classes with slots, at a tenth of the cost for those who import it.

The decorator of the standard library compiles up to eight methods for each class. That takes a millisecond, and this
package has two hundred such classes, of which a process uses a few dozen. This decorator compiles ``__init__`` alone,
when the first instance is made; the other methods are closures over the names of the fields. ``fields``, ``replace``,
``asdict`` and ``is_dataclass`` of the standard library work: what they look up is made when they do.

Use it as ``@dataclass(slots=True, ...)``. It does not support ``InitVar``, ``ClassVar`` and ``KW_ONLY``, nor classes
without slots: take the decorator of the standard library for these.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

T = TypeVar("T")
Field = dataclasses.Field[Any]

_MISSING = dataclasses.MISSING
_FIELDS = "__lazy_fields__"
_OPTIONS = "__lazy_options__"
_USE_FACTORY = object()
"""The default of a parameter whose field has a ``default_factory``."""

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(
        *, slots: bool, frozen: bool = False, kw_only: bool = False, eq: bool = True, order: bool = False
    ) -> Callable[[type[Any]], type[Any]]:
        """Make dataclasses of classes. The arguments mean what they do in the standard library."""
        if not slots:
            raise TypeError("a class without slots needs the dataclass of the standard library")
        return lambda cls: _dataclass(cls, frozen=frozen, kw_only=kw_only, eq=eq, order=order)


class MadeAtUse:
    """An attribute of a class that is made when it is first read, and is replaced by what was made."""

    __slots__ = ("_cls", "_make", "_name")

    def __init__(self, make: Callable[[type[Any]], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._cls, self._name = owner, name

    def __get__(self, instance: object, owner: type[Any]) -> Any:
        made = self._make(self._cls)
        setattr(self._cls, self._name, made)
        return made.__get__(instance, owner) if hasattr(made, "__get__") else made


def fields_of(cls: type[Any]) -> Mapping[str, Field]:
    """The fields of a dataclass by name. Of a class that is made here only their defaults and options are set, without
    the work that ``dataclasses.fields`` would cause."""
    if _FIELDS in cls.__dict__:
        return cls.__dict__[_FIELDS]
    return {field.name: field for field in dataclasses.fields(cls)}


def init_of(
    fields: Mapping[str, Field],
    module: str,
    *,
    frozen: bool = False,
    passed_over: Iterable[str] = (),
    then: str = "",
) -> Callable[..., None]:
    """Compile an ``__init__`` that sets these fields.

    module: the name of the module in whose namespace the function is.
    frozen: set the fields in a way that a ``__setattr__`` of the class cannot refuse.
    passed_over: names of positional parameters before the fields, which are ignored.
    then: the name of a method that is called at the end.
    """
    outer: dict[str, Any] = {"_set": object.__setattr__, "_use_factory": _USE_FACTORY}
    positional, by_keyword, body = ["self", *passed_over], list[str](), list[str]()
    for name, field in fields.items():
        parameter = value = name
        if field.default is not _MISSING:
            outer[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
            value = name if field.init else f"_default_{name}"
        elif field.default_factory is not _MISSING:
            outer[f"_make_{name}"] = field.default_factory
            parameter = f"{name}=_use_factory"
            made = f"_make_{name}()"
            value = f"{made} if {name} is _use_factory else {name}" if field.init else made
        elif not field.init:
            continue  # __post_init__ sets it
        if field.init:
            (by_keyword if field.kw_only is True else positional).append(parameter)
        body.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if then:
        body.append(f"self.{then}()")
    parameters = ", ".join([*positional, *(("*", *by_keyword) if by_keyword else ())])
    return _compiled("__init__", parameters, body or ["pass"], module, outer)


def copier_of(cls: type[T]) -> Callable[[T, Mapping[str, object]], T]:
    """Compile a function that copies an instance of a frozen class, with other values of some fields.

    It does what ``replace`` does for a class without ``__post_init__``, in a tenth of the time. AttributeError for a
    name that is no field.
    """
    twin: Any = type(cls.__name__, (), {"__slots__": tuple(fields_of(cls))})  # the same, but not frozen
    body = ["made = new(twin)", *(f"made.{name} = of.{name}" for name in fields_of(cls))]
    body += ["for name, value in changes.items(): setattr(made, name, value)", "made.__class__ = cls", "return made"]
    return _compiled("copy", "of, changes", body, cls.__module__, {"new": object.__new__, "twin": twin, "cls": cls})


def _compiled(
    name: str, parameters: str, body: Iterable[str], module: str, outer: Mapping[str, Any]
) -> Callable[..., Any]:
    """A method of this code, which refers to the names in ``outer`` and to those of the module."""
    lines = "\n  ".join(body)
    code = f"def make({', '.join(outer)}):\n def {name}({parameters}):\n  {lines}\n return {name}"
    made = dict[str, Any]()
    exec(code, sys.modules[module].__dict__, made)
    return made["make"](*outer.values())


def _dataclass(cls: type[Any], *, frozen: bool, kw_only: bool, eq: bool, order: bool) -> type[Any]:
    namespace = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
    inherited = _inherited(cls)
    own = {name: _as_field(namespace.pop(name, _MISSING), kw_only) for name in namespace.get("__annotations__", ())}
    fields = {**inherited, **own}
    names = tuple(fields)
    has_hash = "__hash__" in namespace and (namespace["__hash__"] is not None or "__eq__" not in namespace)
    unless_defined: dict[str, Any] = {
        "__init__": MadeAtUse(_init),
        "__repr__": MadeAtUse(_repr),
        "__replace__": _replace,
    }
    always: dict[str, Any] = {
        "__slots__": tuple(name for name in own if name not in inherited),
        "__match_args__": tuple(name for name, field in fields.items() if field.init and not field.kw_only),
        "__dataclass_fields__": MadeAtUse(lambda made: _standard(made).__dataclass_fields__),
        "__dataclass_params__": MadeAtUse(lambda made: _standard(made).__dataclass_params__),
        _FIELDS: fields,
        _OPTIONS: {"frozen": frozen, "kw_only": kw_only, "eq": eq, "order": order},
    }
    if eq:
        unless_defined["__eq__"] = MadeAtUse(_equality)
        if not has_hash:
            hashed = [name for name, field in fields.items() if (field.compare if field.hash is None else field.hash)]
            always["__hash__"] = _hash(hashed) if frozen else None
    if order:
        compared = [name for name, field in fields.items() if field.compare]
        always.update(
            (f"__{name}__", _comparison(compared, getattr(operator, name))) for name in ("lt", "le", "gt", "ge")
        )
    if frozen:
        always["__setattr__"], always["__delattr__"] = _refuse("assign to"), _refuse("delete")
        unless_defined["__getstate__"], unless_defined["__setstate__"] = _state(names)
    metaclass: Any = type(cls)
    made = metaclass(cls.__name__, cls.__bases__, {**unless_defined, **namespace, **always})
    made.__qualname__ = cls.__qualname__
    return made


def _inherited(cls: type[Any]) -> dict[str, Field]:
    fields = dict[str, Field]()
    for base in reversed(cls.__mro__[1:]):
        if _FIELDS in base.__dict__:
            fields.update(base.__dict__[_FIELDS])
        elif "__dataclass_fields__" in base.__dict__:
            fields.update((field.name, field) for field in dataclasses.fields(base))
    return fields


def _as_field(default: Any, kw_only: bool) -> Field:
    field = cast("Field", default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default))
    if field.kw_only is _MISSING:
        field.kw_only = kw_only
    return field


def _init(cls: type[Any]) -> Callable[..., None]:
    then = "__post_init__" if hasattr(cls, "__post_init__") else ""
    init = init_of(fields_of(cls), cls.__module__, frozen=cls.__dict__[_OPTIONS]["frozen"], then=then)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {name: kind for name, kind in _types(cls).items() if fields_of(cls)[name].init}
    init.__annotations__["return"] = None
    return init


def _types(cls: type[Any]) -> dict[str, Any]:
    types = dict[str, Any]()
    for base in reversed(cls.__mro__):
        types.update(inspect.get_annotations(base))
    return {name: types[name] for name in fields_of(cls)}


def _standard(cls: type[Any]) -> Any:
    """A dataclass of the standard library with the same fields and options."""
    types = _types(cls)
    return dataclasses.make_dataclass(
        cls.__name__,
        [(name, types[name], field) for name, field in fields_of(cls).items()],
        namespace={"__module__": cls.__module__},
        init=False,  # as ``__post_init__`` may have to set fields, only ours can make instances
        **cls.__dict__[_OPTIONS],
    )


def _repr(cls: type[Any]) -> Callable[[Any], str]:
    return _standard(cls).__repr__


def _replace(self: Any, /, **changes: Any) -> Any:
    return dataclasses.replace(self, **changes)


def _values(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that returns the values of these fields."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return (lambda of: (getattr(of, names[0]),)) if names else (lambda of: ())


def _equality(cls: type[Any]) -> Callable[[Any, object], bool]:
    names = [name for name, field in fields_of(cls).items() if field.compare]
    mine, others = ("".join(f"{each}.{name}, " for name in names) for each in ("self", "other"))
    body = [f"return ({mine}) == ({others}) if other.__class__ is self.__class__ else NotImplemented"]
    return _compiled("__eq__", "self, other", body, cls.__module__, {})


def _comparison(names: Sequence[str], compare: Callable[[Any, Any], Any]) -> Callable[[Any, object], Any]:
    values = _values(names)

    def comparison(self: Any, other: object) -> Any:
        return compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

    return comparison


def _hash(names: Sequence[str]) -> Callable[[Any], int]:
    values = _values(names)

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _refuse(action: str) -> Callable[..., None]:
    def refuse(self: Any, name: str, *value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot {action} field {name!r}")

    return refuse


def _state(names: Sequence[str]) -> tuple[Callable[[Any], list[Any]], Callable[[Any, Sequence[Any]], None]]:
    """``__getstate__`` and ``__setstate__``, with which copies and pickles of frozen instances are made."""

    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: Sequence[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __getstate__, __setstate__
