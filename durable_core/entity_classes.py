"""``@entity``: the definition of an entity, made from a class, whose methods are its operations, or a function."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast, dataclass_transform, overload

from .entities import EntityContext, EntityDefinition, EntityId
from .errors import InvalidInputError, RegistrationError, SerializationError
from .lazy_dataclass import dataclass
from .marks import RESERVED, mark_as
from .signatures import hints_of, location_of, parameters_of
from .user_code import raise_unless_failure

E = TypeVar("E")

_NOTHING = inspect.Parameter.empty


@overload
def entity(target: E, /) -> E: ...
@overload
def entity(*, name: str | None = None) -> Callable[[E], E]: ...
@dataclass_transform()
def entity(target: Any = None, /, *, name: str | None = None) -> Any:
    """Mark a class, or a function, as an entity.

    A class: its fields are the state, and each public method is an operation: ``def add(self)``,
    ``def add(self, amount: int)``, ``def add(self, ctx: EntityContext, amount: int)``; plain or async. All fields have
    defaults. A dataclass and a pydantic model stay what they are; any other class becomes a dataclass. When an
    operation raises, its state, its signals and its starts are undone, and its caller gets the failure.

    A function, plain or async, takes an ``EntityContext`` and looks at ``ctx.operation_name``; what it returns is the
    result.

    name: the name of the entity; None takes the name of the class or function. Names are compared in lower case.
    Raises RegistrationError, with the file and line, for a class or function that does not fit.
    """

    def mark(found: Any) -> Any:
        definition = _of_class(found, name) if inspect.isclass(found) else _of_function(found, name)
        return mark_as(found, definition)

    return mark if target is None else mark(target)


def _checked_name(target: Any, name: str | None, where: str) -> str:
    chosen = getattr(target, "__name__", None) if name is None else name
    try:
        checked = EntityId(cast("str", chosen), "key").name
    except InvalidInputError as error:
        raise RegistrationError(f"{where}: {error}") from error
    if checked.startswith(RESERVED):
        raise RegistrationError(f"{where}: names that begin with '{RESERVED}' are reserved for the framework")
    return checked


# ------------------------------------------------------------ functions


def _of_function(fn: Any, name: str | None) -> EntityDefinition:
    where = location_of(fn)
    if not callable(fn):
        raise RegistrationError(f"{where}: an entity is a class or a function, not {fn!r}")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise RegistrationError(f"{where}: an entity returns the result of its operation; it does not yield")
    if len(parameters := parameters_of(fn, "entity")) != 1:
        raise RegistrationError(
            f"{where}: an entity takes one EntityContext, not {len(parameters)} parameters; the input of an operation "
            "is ctx.get_input()"
        )
    return EntityDefinition(
        name=_checked_name(fn, name, where), apply=fn, target=fn, location=where, functions=(cast("Any", fn),)
    )


# ------------------------------------------------------------ classes


@dataclass(frozen=True, slots=True)
class _Operation:
    """A method: whether it takes the context, and the type and default of its input (``_NOTHING``: it takes none)."""

    fn: Callable[..., Any]
    takes_context: bool
    input_type: Any
    default: Any


def _of_class(cls: type[Any], name: str | None) -> EntityDefinition:
    where = _location_of_class(cls)
    is_model = hasattr(cls, "__pydantic_fields__")
    if not is_model and not dataclasses.is_dataclass(cls):
        if "__init__" in vars(cls):
            raise RegistrationError(
                f"{where}: entity class {cls.__qualname__} has an __init__ of its own; declare its state as annotated "
                "fields with defaults, such as 'value: int = 0'"
            )
        try:
            dataclasses.dataclass(cls)
        except (TypeError, ValueError) as error:
            raise RegistrationError(
                f"{where}: entity class {cls.__qualname__} cannot be a dataclass: {error}"
            ) from error
    try:
        cls()
    except BaseException as error:  # of a model's validators, too
        raise_unless_failure(error)
        raise RegistrationError(
            f"{where}: a new entity of class {cls.__qualname__} begins as {cls.__qualname__}(), which raises "
            f"{type(error).__name__}: {error}; give every field a default"
        ) from error
    operations = {
        method: _operation_of(cls, method, fn, where) for method, fn in _methods_of(cls) if not method.startswith("_")
    }
    if not operations:
        raise RegistrationError(f"{where}: entity class {cls.__qualname__} has no public method, so no operation")

    def apply(context: EntityContext) -> object:
        return _run(cls, operations, context)

    return EntityDefinition(
        name=_checked_name(cls, name, where),
        apply=apply,
        target=cls,
        location=where,
        operations=tuple(operations),
        functions=tuple(operation.fn for operation in operations.values()),
    )


def _methods_of(cls: type[Any]) -> list[tuple[str, Callable[..., Any]]]:
    """The functions in the class and its bases, but not those that a library such as pydantic gives to each class."""
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] in ("builtins", "pydantic", "typing", "abc"):
            continue
        found.update({name: value for name, value in vars(base).items() if inspect.isfunction(value)})
    return list(found.items())


def _operation_of(cls: type[Any], name: str, fn: Callable[..., Any], where: str) -> _Operation:
    about = f"{where}: operation '{name}' of entity class {cls.__qualname__}"
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise RegistrationError(f"{about} yields; an operation returns its result")
    try:
        hints = hints_of(fn)
    except NameError as error:
        raise RegistrationError(
            f"{about} has an annotation with a name that is unknown at run time: {error}; import it outside of "
            "TYPE_CHECKING"
        ) from error
    parameters = list(inspect.signature(fn).parameters.values())[1:]
    for parameter in parameters:
        is_named = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if not is_named and (parameter.default is _NOTHING or parameter.kind is not parameter.KEYWORD_ONLY):
            raise RegistrationError(f"{about} takes '{parameter}'; give it one named parameter for its input")
    parameters = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    takes_context = bool(parameters) and hints.get(parameters[0].name) is EntityContext
    inputs = parameters[1:] if takes_context else parameters
    if len(inputs) > 1:
        raise RegistrationError(
            f"{about} takes one input (and an EntityContext before it), not {len(inputs)}; combine them in a model "
            "or a dict"
        )
    if not inputs:
        return _Operation(fn, takes_context, _NOTHING, _NOTHING)
    return _Operation(fn, takes_context, hints.get(inputs[0].name, Any), inputs[0].default)


def _run(cls: type[Any], operations: dict[str, _Operation], context: EntityContext) -> object:
    operation = operations.get(context.operation_name)
    if operation is None:
        raise InvalidInputError(
            f"entity '{context.entity_name}' has no operation '{context.operation_name}'; it has: "
            f"{', '.join(sorted(operations))}"
        )
    state = context.live_state(cls)
    arguments: list[object] = [context] if operation.takes_context else []
    data = context.get_input()
    if operation.input_type is not _NOTHING:
        if data is not None or operation.default is _NOTHING:
            try:
                arguments.append(context.get_input(operation.input_type))
            except (InvalidInputError, SerializationError) as error:
                raise type(error)(f"the input of operation '{context.operation_name}': {error}") from error
    elif data is not None:
        raise InvalidInputError(
            f"operation '{context.operation_name}' of entity '{context.entity_name}' takes no input"
        )
    before = context.state_changes
    found = operation.fn(state, *arguments)
    if inspect.isawaitable(found):
        return _awaited(context, state, before, found)
    return _kept(context, state, before, found)


async def _awaited(context: EntityContext, state: object, before: int, found: Any) -> object:
    return _kept(context, state, before, await found)


def _kept(context: EntityContext, state: object, before: int, result: object) -> object:
    """Store the state after the method, unless the method has replaced or deleted it by the context."""
    if context.state_changes == before:
        context.keep_live(state)
    return result


def _location_of_class(cls: type[Any]) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):  # typed into a prompt
        module = sys.modules.get(cls.__module__)
        return f"{getattr(module, '__file__', cls.__module__)}"
