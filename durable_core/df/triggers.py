"""The triggers of durable functions. They tell the decorated functions apart; Azure and the local host do not see them.

The functions that Azure indexes in their place are those of ``durable_core.hosting.functions``.
"""

from __future__ import annotations

from azure.functions.decorators.core import Trigger


class DurableTrigger(Trigger):
    """Base of the triggers of functions that the runtime calls, and not the Functions host."""


class OrchestrationTrigger(DurableTrigger):
    """Marks an orchestrator. ``orchestration``: its name, None for that of the function."""

    @staticmethod
    def get_binding_name() -> str:
        """The name of the trigger in function.json."""
        return "orchestrationTrigger"

    def __init__(self, name: str, orchestration: str | None = None, input_type: type | None = None) -> None:
        self.orchestration = orchestration
        super().__init__(name=name)  # pyright: ignore[reportUnknownMemberType]
        self.input_type = input_type


class ActivityTrigger(DurableTrigger):
    """Marks an activity. ``activity``: its name, None for that of the function."""

    @staticmethod
    def get_binding_name() -> str:
        """The name of the trigger in function.json."""
        return "activityTrigger"

    def __init__(self, name: str, activity: str | None = None, input_type: type | None = None) -> None:
        self.activity = activity
        super().__init__(name=name)  # pyright: ignore[reportUnknownMemberType]
        self.input_type = input_type


class EntityTrigger(DurableTrigger):
    """Marks an entity. ``entity_name``: its name, None for that of the function."""

    @staticmethod
    def get_binding_name() -> str:
        """The name of the trigger in function.json."""
        return "entityTrigger"

    def __init__(self, name: str, entity_name: str | None = None) -> None:
        self.entity_name = entity_name
        super().__init__(name=name)  # pyright: ignore[reportUnknownMemberType]
