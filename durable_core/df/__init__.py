"""Durable Functions for Python on durable_core: ``import durable_core.df as df`` in the place of
``import azure.durable_functions as df``.

The names, parameters, results and texts are those of azure-functions-durable 1.7.0; docs/guide/durable-functions.md
lists what differs.
"""

from __future__ import annotations

from .app import Blueprint, DFApp
from .client import DurableOrchestrationClient
from .context import DurableOrchestrationContext
from .entities import DurableEntityContext, EntityId
from .http import ManagedIdentityTokenSource
from .retries import RetryOptions
from .statuses import OrchestrationRuntimeStatus

__all__ = [
    "Blueprint",
    "DFApp",
    "DurableEntityContext",
    "DurableOrchestrationClient",
    "DurableOrchestrationContext",
    "EntityId",
    "ManagedIdentityTokenSource",
    "OrchestrationRuntimeStatus",
    "RetryOptions",
]

_OF_V1 = "belongs to the v1 programming model (function.json), which durable_core does not have: write a decorator"
_MISSING = {
    "Orchestrator": f"{_OF_V1}, @app.orchestration_trigger(context_name='context')",
    "Entity": f"{_OF_V1}, @app.entity_trigger(context_name='context')",
    "openai_agents": "is not in durable_core: call the agents in activities",
    "DurableFunctionsCompatibilityWarning": "is not in durable_core, which does not raise it: remove its use",
}
"""Names of azure-functions-durable that are missing here, and what to do without them."""


def __getattr__(name: str) -> object:
    what = _MISSING.get(name, "is not a name of durable_core.df")
    raise AttributeError(f"{__name__}.{name} {what}", name=name)
