"""The methods of the orchestration context, grouped by what the linter checks about them."""

from __future__ import annotations

import ast

from .origins import CTX, External, Origins
from .scopes import Scope, Waiting, own_nodes


def words(text: str) -> frozenset[str]:
    """The words of a text, for long lists of names."""
    return frozenset(text.split())


TASKS = words(
    "call_activity call_activity_with_retry call_sub_orchestrator call_sub_orchestrator_with_retry run create_timer "
    "wait_for_external_event wait_condition task_all task_any when_all when_any gather call_http branch with_timeout "
    "call_entity lock slot map"
)
"""Methods that return a task, for which the orchestrator must wait."""

DECIDES = TASKS | words(
    "set_custom_status send_event continue_as_new start_orchestration on_event set_query_handler set_update_handler "
    "callback as_completed run_saga new_uuid new_guid patched"
)
"""Methods whose calls are recorded in the history, or depend on it."""

TAKE_BRANCHES = words("gather branch with_timeout")
"""Methods whose arguments may be generators, which run as branches."""

TAKE_MANY_BRANCHES = words("task_all task_any when_all when_any as_completed")
"""Methods that take such generators in a list, or in another iterable."""

CALLS_BY_NAME = {
    "call_activity": "fn_or_name",
    "call_activity_with_retry": "name",
    "call_sub_orchestrator": "fn_or_name",
    "call_sub_orchestrator_with_retry": "name",
    "start_orchestration": "fn_or_name",
}
"""Methods whose first argument is a function that runs elsewhere, with the name of that parameter."""


def method_of_context(node: ast.expr, scope: Scope, origins: Origins) -> str:
    """``call_activity`` for ``ctx.call_activity``; '' if this is not a method of the context."""
    origin = origins.of(node, scope)
    if not isinstance(origin, External) or not origin.dotted.startswith(f"{CTX}."):
        return ""
    return origin.dotted.removeprefix(f"{CTX}.")


def is_context(node: ast.expr, scope: Scope, origins: Origins) -> bool:
    return origins.dotted(node, scope) == CTX


def decides(nodes: list[ast.stmt] | list[ast.expr], scope: Scope, origins: Origins, *, waits: bool) -> bool:
    """Whether this code waits, makes a decision, or passes the context to a function that may do so.

    waits: whether its ``yield`` waits for a task; in a generator of plain values it does not.
    """
    for node in nodes:
        for inner in _with_lambdas(node):
            if waits and isinstance(inner, Waiting):
                return True
            if isinstance(inner, ast.Call):
                if method_of_context(inner.func, scope, origins) in DECIDES:
                    return True
                if any(is_context(argument, scope, origins) for argument in inner.args):
                    return True
    return False


def _with_lambdas(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for inner in own_nodes(node):
        found.append(inner)
        if isinstance(inner, ast.Lambda):
            found.extend(_with_lambdas(inner.body))
    return found
