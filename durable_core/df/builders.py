"""The list of the functions of an app or a blueprint, of which the Functions host indexes only some.

``azure.functions`` keeps decorated functions in a list: decorators take the last entry and put it back, and an app that
is indexed, or that registers a blueprint, goes through the list. Orchestrators, activities and entities stand in the
list for the decorators; the host must not see them, so iteration leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator

from azure.functions.decorators.core import AuthLevel
from azure.functions.decorators.function_app import Function, FunctionBuilder

from ..errors import RegistrationError
from .names import name_of
from .triggers import DurableTrigger


class DurableBuilder(FunctionBuilder):
    """A durable function as its decorator returns it. Unit tests call ``build()`` to reach the user's function."""

    def build(self, auth_level: AuthLevel | None = None) -> Function:
        """The function. RegistrationError if an app that is indexed builds it, which gives its authorization level."""
        if auth_level is not None:
            raise RegistrationError(
                f"the durable function '{name_of(self)}' is decorated by an azure.functions.FunctionApp, which cannot "
                "hold durable functions: use durable_core.df.DFApp, or a durable_core.df.Blueprint that the app "
                "registers"
            )
        return super().build()  # pyright: ignore[reportUnknownMemberType]


class Builders(list[FunctionBuilder]):
    """All functions of an app or a blueprint. Iteration gives those that the Functions host is to index."""

    def __iter__(self) -> Iterator[FunctionBuilder]:
        return iter(self.indexed)

    @property
    def indexed(self) -> list[FunctionBuilder]:
        """The functions that the host indexes."""
        return [builder for builder in super().__iter__() if not is_durable(builder)]

    @property
    def durable(self) -> list[FunctionBuilder]:
        """The orchestrators, activities and entities."""
        return [builder for builder in super().__iter__() if is_durable(builder)]


def is_durable(builder: FunctionBuilder) -> bool:
    """Whether this is an orchestrator, an activity or an entity."""
    function = builder._function  # pyright: ignore[reportPrivateUsage]  it has no public reader before it is built
    return isinstance(function.get_trigger(), DurableTrigger)
