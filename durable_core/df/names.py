"""The names of durable functions: what ``call_activity(say_hello)`` and the like take."""

from __future__ import annotations

from azure.functions.decorators.core import Trigger
from azure.functions.decorators.function_app import FunctionBuilder

from .triggers import ActivityTrigger, OrchestrationTrigger

_NOT_DECORATED = (
    "The `call_activity` API received a `Callable` without an associated Azure Functions trigger-type. Please ensure "
    "you're using the Python programming model V2 and that your activity function is annotated with the "
    "`activity_trigger`decorator. Otherwise, provide in the name of the activity as a string."
)


def name_of(builder: FunctionBuilder) -> str:
    """The name of a durable function: that of its trigger, of ``@app.function_name``, or of the Python function."""
    function = builder._function  # pyright: ignore[reportPrivateUsage]  it has no public reader before it is built
    trigger = function.get_trigger()
    own = getattr(trigger, "orchestration", None) or getattr(trigger, "activity", None)
    return str(own or getattr(trigger, "entity_name", None) or function.get_function_name())


def called_name(name: object, kind: type[Trigger]) -> str:
    """The name that a call gives, as a text or as a decorated function. ValueError, as Durable Functions raises it."""
    if isinstance(name, FunctionBuilder):
        trigger = name._function.get_trigger()  # pyright: ignore[reportPrivateUsage]
        if not isinstance(trigger, kind):
            raise ValueError(
                f"Received function with Trigger-type `{getattr(trigger, 'type', trigger)}` but expected "
                f"`{kind.__name__}`. Ensure your function is annotated with the `{kind.__name__}` decorator or "
                "directly pass in the name of the function as a string."
            )
        return name_of(name)
    if callable(name):
        raise ValueError(_NOT_DECORATED)
    if not name:
        raise ValueError("function_name cannot be empty")
    return f"{name}"


def activity_name(name: object) -> str:
    """The name of an activity that a call gives. ValueError."""
    return called_name(name, ActivityTrigger)


def orchestrator_name(name: object) -> str:
    """The name of an orchestrator that a call gives. ValueError."""
    return called_name(name, OrchestrationTrigger)
