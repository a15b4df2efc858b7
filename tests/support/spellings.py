"""The second spelling of a module: each generator function that waits becomes an ``async def``, line for line.

``yield from`` becomes ``await``, and the annotation ``Orchestration[X]`` of a result ``X``. Lines and names stay, so
that both spellings can be compared as they are stored.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType


def in_async(module: ModuleType) -> ModuleType:
    """A new module with the code of ``module`` in the spelling with ``async def``."""
    assert module.__file__ is not None
    path = Path(module.__file__)
    tree = _Rewriting().visit(ast.parse(path.read_text("utf-8")))
    name = f"{module.__name__}_in_async"
    made = ModuleType(name)
    made.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    sys.modules[name] = made  # dataclasses and annotations are resolved by the name of their module
    exec(compile(tree, str(path), "exec"), made.__dict__)
    return made


class _Rewriting(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        waits = any(isinstance(each, ast.YieldFrom) for each in _own(node))
        self.generic_visit(node)
        if not waits:
            return node
        returns = node.returns
        if isinstance(returns, ast.Subscript) and isinstance(returns.value, ast.Name):
            assert returns.value.id == "Orchestration", f"{node.name} returns no Orchestration"
            returns = returns.slice
        made = ast.AsyncFunctionDef(
            name=node.name, args=node.args, body=node.body, decorator_list=node.decorator_list, returns=returns
        )
        return ast.copy_location(made, node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.Await(node.value), node)


def _own(function: ast.FunctionDef) -> list[ast.AST]:
    """The nodes of a function without those of the functions in it."""
    found: list[ast.AST] = []
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            left.extend(ast.iter_child_nodes(node))
    return found
