"""An orchestrator with a limit that waits for another slot of the same limit: DC412.

Only what is certain is reported: the limit is a variable of a module, which is one `Limit(...)` with one key, and which
bounds how many go at once.
"""

from __future__ import annotations

import ast

from .origins import Function, Origins, Variable
from .scopes import Assigned, Scope

_BOUNDS = {"concurrency", "each"}
_LIMIT = {"durable_core.Limit", "durable_core.limits.Limit"}


def own_limit(function: Function, origins: Origins) -> Variable | None:
    """The limit with which this orchestrator or activity is marked."""
    if isinstance(function.node, ast.Lambda) or origins.mark(function) is None:
        return None
    scope = function.scope.parent or function.scope
    for decorator in function.node.decorator_list:
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                if keyword.arg == "limit":
                    return _bound(keyword.value, scope, origins)
    return None


def is_limit(node: ast.expr, limit: Variable, scope: Scope, origins: Origins) -> bool:
    """Whether the expression names this limit."""
    return origins.variable(node, scope) == limit


def _bound(node: ast.expr, scope: Scope, origins: Origins) -> Variable | None:
    """The variable, if it holds a limit with one key that bounds how many go at once."""
    variable = origins.variable(node, scope)
    if variable is None:
        return None
    match variable.file.scope.bindings.get(variable.name):
        case [Assigned(value=ast.Call() as made)] if origins.dotted(made.func, variable.file.scope) in _LIMIT:
            given = {keyword.arg for keyword in made.keywords}
            return variable if given & _BOUNDS and not given & {"key", None} else None
        case _:
            return None
