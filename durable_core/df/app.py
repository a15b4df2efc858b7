"""``DFApp`` and ``Blueprint``: decorators of Durable Functions that register with durable_core.

Orchestrators, activities and entities go to the registry of a ``Durable``, and the functions of that ``Durable`` (its
queues, its timer, the management API) are indexed in their place. A function app has one ``Durable``, whatever the
number of its blueprints.
"""

# pyright: reportPrivateUsage=false
# The decorators of azure.functions give a subclass its list of functions and the parts of a function, all private.

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import azure.functions as func
from azure.functions.decorators.function_app import BindingApi, DecoratorApi, FunctionBuilder, SettingsApi, TriggerApi

from ..codec import PayloadCodec
from ..errors import ConfigurationError
from ..hosting.functions import Durable
from ..registry import Registry
from ..settings import Settings
from .builders import Builders, DurableBuilder
from .client import check_place
from .client_functions import with_client
from .definitions import definition_of
from .serialization import KnownClasses
from .triggers import ActivityTrigger, EntityTrigger, OrchestrationTrigger

F = TypeVar("F", bound=Callable[..., Any])


class Blueprint(TriggerApi, BindingApi, SettingsApi):
    """Declares durable functions and others. A ``DFApp`` or an ``azure.functions.FunctionApp`` registers it.

    http_auth_level: the key that HTTP functions ask for which name none.
    """

    def __init__(self, http_auth_level: func.AuthLevel | str = func.AuthLevel.FUNCTION) -> None:
        super().__init__(auth_level=http_auth_level)  # pyright: ignore[reportUnknownMemberType]
        self._builders: Builders = _BlueprintBuilders(self)
        self._function_builders = self._builders
        self._classes = KnownClasses()
        self._places: list[tuple[str | None, str | None]] = []
        self._collected: WeakKeyDictionary[Registry, list[FunctionBuilder]] = WeakKeyDictionary()
        self._durable: Durable | None = None
        self._app: DFApp | None = None  # that has registered this blueprint

    # ------------------------------------------------------------ decorators

    def orchestration_trigger(
        self, context_name: str, orchestration: str | None = None, input_type: type | None = None
    ) -> Callable[[Callable[..., Any]], FunctionBuilder]:
        """Mark an orchestrator: a generator function, or a function that returns its result.

        context_name: the name of its parameter. orchestration: the name by which it is called and stored; None takes
        the function's. input_type: a class with ``from_json`` that the input may have.
        """
        return self._durable_function(OrchestrationTrigger(context_name, orchestration, input_type), "orchestrator")

    def activity_trigger(
        self, input_name: str, activity: str | None = None, input_type: type | None = None
    ) -> Callable[[Callable[..., Any]], FunctionBuilder]:
        """Mark an activity, plain or async.

        input_name: the name of its parameter. activity: the name by which it is called and stored; None takes the
        function's. input_type: a class with ``from_json`` that the input may have.
        """
        return self._durable_function(ActivityTrigger(input_name, activity, input_type), "")

    def entity_trigger(
        self, context_name: str, entity_name: str | None = None
    ) -> Callable[[Callable[..., Any]], FunctionBuilder]:
        """Mark an entity: a function that is called for each operation.

        context_name: the name of its parameter. entity_name: the name of the entity; None takes the function's.
        """
        return self._durable_function(EntityTrigger(context_name, entity_name), "entity")

    def durable_client_input(
        self, client_name: str, task_hub: str | None = None, connection_name: str | None = None
    ) -> Callable[[Any], FunctionBuilder]:
        """Give a function a ``DurableOrchestrationClient`` as its parameter ``client_name``.

        task_hub, connection_name: only the app's own task hub and storage may be named.
        """
        self._places.append((task_hub, connection_name))

        def decorate(builder: FunctionBuilder) -> FunctionBuilder:
            function: Any = builder._function
            function._func = with_client(function.get_user_function(), client_name, self._home)
            return builder

        return self._configure_function_builder(decorate)  # pyright: ignore[reportUnknownMemberType]

    # ------------------------------------------------------------ parts

    def _durable_function(self, trigger: Any, handle: str) -> Callable[[Any], FunctionBuilder]:
        """The decorator. ``handle``: the kind of function in whose place a handle stands that has the function."""

        def decorate(given: Any) -> FunctionBuilder:
            if isinstance(given, FunctionBuilder):  # @app.function_name stands below
                builder = self._replaced(given)
            else:
                builder = DurableBuilder(given, self.app_script_file)
                self._function_builders.append(builder)
            if handle:
                function: Any = builder._function
                function._func = _handle(function.get_user_function(), handle)
            return builder.add_trigger(trigger)  # pyright: ignore[reportUnknownMemberType]

        return decorate

    def _replaced(self, given: FunctionBuilder) -> DurableBuilder:
        """The last function of the list, as a durable one."""
        self._function_builders.pop()
        builder = DurableBuilder(given._function.get_user_function(), self.app_script_file)
        builder._function = given._function
        self._function_builders.append(builder)
        return builder

    def _home(self) -> Durable:
        """The ``Durable`` of the app that has registered this blueprint. ConfigurationError if none has."""
        if self._app is not None:
            return self._app.durable
        if self._durable is None:
            raise ConfigurationError("the blueprint of this function is not registered: app.register_functions(...)")
        return self._durable

    def _collect(self, registry: Registry) -> None:
        """Put the durable functions that are not there yet into the registry of an app. RegistrationError."""
        present = self._collected.setdefault(registry, [])
        for builder in self._builders.durable:
            if not any(builder is each for each in present):
                present.append(builder)
                if (found := definition_of(builder, self._classes)) is not None:
                    registry.define(found)

    def _join(self, durable: Durable) -> None:
        """Become a part of an app. RegistrationError; ValueError for a client of another task hub."""
        self._durable = durable
        for task_hub, connection in self._places:
            check_place(durable, task_hub, connection)
        self._collect(durable.registry)


class DFApp(Blueprint, func.FunctionRegister):
    """A function app with durable functions.

    http_auth_level: the key that HTTP functions ask for which name none.
    settings: of durable_core; None reads them from the environment (ConfigurationError).
    codec: transforms stored values, to encrypt them for instance.
    """

    def __init__(
        self,
        http_auth_level: func.AuthLevel | str = func.AuthLevel.FUNCTION,
        *,
        settings: Settings | None = None,
        codec: PayloadCodec | None = None,
    ) -> None:
        super().__init__(http_auth_level)
        func.FunctionRegister.__init__(self, auth_level=http_auth_level)  # pyright: ignore[reportUnknownMemberType]
        self._builders = Builders()
        self._function_builders = self._builders
        self._registry, self._settings, self._codec = Registry(), settings, codec
        self._blueprints: list[Blueprint] = [self]
        self._is_indexed = False

    @property
    def durable(self) -> Durable:
        """The app's ``Durable``. ConfigurationError for settings that are not valid."""
        if self._durable is None:
            self._durable = Durable(self._registry, settings=self._settings, codec=self._codec)
        return self._durable

    @property
    def registry(self) -> Registry:
        """The durable functions of the app and its blueprints. Add those of durable_core's own API here.

        ``durable_core.testing.TestEnvironment(app.registry)``, or with the app's module, runs them in virtual time.
        RegistrationError for a
        function that does not fit.
        """
        for blueprint in self._blueprints:
            blueprint._collect(self._registry)
        return self._registry

    __durable_registry__ = registry  # by which a scan of the module finds the durable functions

    def register_functions(self, function_container: DecoratorApi) -> None:
        """Register the functions of a blueprint. TypeError for an app."""
        if isinstance(function_container, Blueprint) and not isinstance(function_container, DFApp):
            self._blueprints.append(function_container)
            function_container._app = self
            self._function_builders.extend(function_container._builders.indexed)
        else:
            super().register_functions(function_container)

    register_blueprint = register_functions

    def get_functions(self) -> list[func.Function]:
        """The functions that the host indexes: those of the app, and those of durable_core."""
        if not self._is_indexed:
            self._is_indexed = True
            for blueprint in self._blueprints:
                blueprint._join(self.durable)
            super().register_functions(self.durable.blueprint())
        self.functions_bindings = None  # names are unique within one indexing
        return super().get_functions()

    def _home(self) -> Durable:
        return self.durable


class _BlueprintBuilders(Builders):
    """The functions of a blueprint. An app that registers it by going through the list also gets those of a
    ``Durable``, unless it has one already."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        self._blueprint = blueprint

    def __iter__(self) -> Iterator[FunctionBuilder]:
        # A plain FunctionApp only extends its list by this one: its frame alone tells which app it is.
        app = sys._getframe(1).f_locals.get("self")
        present = app._function_builders if isinstance(app, func.FunctionRegister) else []
        durable = next((found for builder in present if (found := _durable_of(builder)) is not None), None)
        if durable is not None:
            self._blueprint._join(durable)
            return iter(self.indexed)
        durable = Durable(Registry())
        self._blueprint._join(durable)
        return iter([*self.indexed, *durable.blueprint()._function_builders])


def _durable_of(builder: FunctionBuilder) -> Durable | None:
    """The ``Durable`` that has made this function."""
    function: Any = builder._function.get_user_function()
    return getattr(function, "__durable_hooks__", None)


def _handle(fn: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """What stands in the place of an orchestrator or an entity, as in Durable Functions: it has the user's function."""

    def handle(context: Any) -> Any:
        raise ConfigurationError(
            f"the {kind} '{fn.__name__}' is run by durable_core and cannot be called; a test finds the function itself "
            f"by {fn.__name__}.build().get_user_function().{kind}_function"
        )

    handle.__name__, handle.__qualname__ = fn.__name__, fn.__qualname__
    setattr(handle, f"{kind}_function", fn)
    return handle
