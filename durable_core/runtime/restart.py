"""Restarts: what a new start of an instance takes over from it."""

from __future__ import annotations

from typing import Final

from ..errors import InvalidInputError, OperationRefusedError, UnknownOrchestratorError
from ..hub.instance_row import Instance
from ..marks import RESERVED
from ..models import Origin
from ..orchestrator_versions import UNDECIDED
from ..registry import Registry


class SameInput:
    """Stands for the input of the instance that is restarted."""

    def __repr__(self) -> str:
        return "SAME_INPUT"


SAME_INPUT: Final = SameInput()


def check_restart(instance: Instance, new_id: str) -> None:
    """OperationRefusedError, InvalidInputError: this instance cannot be restarted under this id."""
    if instance.name.startswith(RESERVED):
        raise InvalidInputError(f"instance '{instance.instance_id}' belongs to the framework and cannot be restarted")
    if new_id != instance.instance_id:
        return
    if not instance.is_terminal:
        raise OperationRefusedError(
            instance.instance_id,
            f"instance '{instance.instance_id}' is {instance.status} and cannot be restarted under its own id; "
            "terminate it first, or restart it under another id",
        )
    if instance.parent is not None:
        raise OperationRefusedError(
            instance.instance_id,
            f"instance '{instance.instance_id}' is a sub-orchestration of '{instance.parent.instance_id}', which knows "
            "it by its id; restart it under another id",
        )


def version_of_restart(registry: Registry, name: str, version: str | None) -> str:
    """The version for the new start: the one asked for, else the default or newest one.

    A process without orchestrators (the command line) leaves the choice to the host that begins the instance.
    UnknownOrchestratorError.
    """
    try:
        return registry.orchestrator(name, version).version
    except UnknownOrchestratorError:
        if registry.orchestrator_names:
            raise
        return UNDECIDED if version is None else version


def fresh_restart(instance: Instance, fresh: Instance, origin_trace: str = "") -> Instance:
    """``fresh`` with what a restart takes over, besides the input: tags, headers, the limit that its start has given,
    and the time limit of the whole run.
    ``origin_trace``: see ``Instance``."""
    deadline = instance.deadline
    if deadline is not None:
        deadline = fresh.created + (deadline - (instance.start_at or instance.created))
    return fresh.but(
        tags=dict(instance.tags),
        deadline=deadline,
        restarted_from=Origin(instance.instance_id, instance.execution_id),
        origin_trace=origin_trace,
        headers=instance.headers,
        limit=instance.limit,
    )
