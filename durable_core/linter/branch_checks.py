"""Checks how branches are given to the context, and what code that runs later reads of the variables of a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .api import TAKE_BRANCHES, TAKE_MANY_BRANCHES, words
from .scopes import Assigned, Comprehension, Function, Waiting, own_nodes

if TYPE_CHECKING:
    from .body import Body

_DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_KEEPS = words("append appendleft add insert extend")
_RUN_LATER = words("run wait_condition")


class BranchChecks:
    """Checks the calls of one body, and reports findings to it."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._loops: list[frozenset[str]] = []  # the names that each loop around the present node binds anew
        self._kept: set[ast.AST] = set()  # expressions whose values go into a container

    # ------------------------------------------------------------ what is given: DC410

    def given(self, node: ast.Call, method: str) -> None:
        """Check the arguments of a method that takes branches."""
        if method in TAKE_MANY_BRANCHES:
            if node.args and not isinstance(node.args[0], ast.Starred):
                self._list(node.args[0], method)
        elif method in TAKE_BRANCHES:
            count = len(node.args) if method == "gather" else 1
            self._each([argument for argument in node.args[:count] if not isinstance(argument, ast.Starred)], method)

    def _list(self, node: ast.expr, method: str) -> None:
        made = self._value(node)
        if isinstance(made, ast.Call) and (function := self._branch(made)) is not None:
            text = ast.unparse(made)
            self._report(node, f"ctx.{method}() takes a list of branches, and {function.name}() is one; write [{text}]")
        elif isinstance(made, ast.BinOp) and isinstance(made.op, ast.Mult):
            for side in (made.left, made.right):
                calls = side.elts if isinstance(side, ast.List | ast.Tuple) else []
                if any(isinstance(call, ast.Call) and self._branch(call) is not None for call in calls):
                    text = ast.unparse(made)
                    self._report(
                        node, f"{text} is one generator several times, and it runs once; write [... for _ in ...]"
                    )
        elif isinstance(made, ast.List | ast.Tuple):
            self._each(made.elts, method)

    def _each(self, nodes: list[ast.expr], method: str) -> None:
        seen: set[str] = set()
        for node in nodes:
            made = self._value(node)
            origin = self._body.origins.of(node, self._body.scope)
            if isinstance(made, _DISPLAYS) and method not in TAKE_MANY_BRANCHES:
                how = f"write ctx.{method}(*...)" if method == "gather" else "give it to ctx.task_all(...) first"
                self._report(node, f"ctx.{method}() takes branches and tasks, and no list of them; {how}")
            elif isinstance(origin, Function) and _is_branch(origin):
                self._report(
                    node, f"{ast.unparse(node)} is a function, and no branch; call it: {origin.name}(ctx, ...)"
                )
            elif isinstance(node, ast.Name) and isinstance(made, ast.Call) and self._branch(made) is not None:
                if node.id in seen:
                    self._report(
                        node, f"the generator '{node.id}' is given twice, and it runs once; call its function twice"
                    )
                seen.add(node.id)

    def _value(self, node: ast.expr) -> ast.expr:
        """The expression itself, or the one that its variable is bound to, if that is the only one."""
        found = self._body.scope.find(node.id) if isinstance(node, ast.Name) else None
        if found is None or found[0].is_module or len(found[1]) != 1:
            return node
        bound = found[1][0]
        return bound.value if isinstance(bound, Assigned) and bound.value is not None else node

    def _branch(self, call: ast.Call) -> Function | None:
        """The function of the project that this call makes a branch of."""
        origin = self._body.origins.of(call.func, self._body.scope)
        if isinstance(origin, Function) and self._body.origins.mark(origin) is None and _is_branch(origin):
            return origin
        return None

    def _report(self, node: ast.AST, message: str) -> None:
        self._body.report("DC410", node, message)

    # ------------------------------------------------------------ variables of loops: DC411

    def enter_loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        parts: list[ast.AST] = [*node.body] if isinstance(node, ast.While) else [node.target, *node.body]
        self._loops.append(frozenset(_bound_in(parts)))

    def enter_comprehension(self, node: Comprehension) -> None:
        self._loops.append(frozenset(_bound_in([generator.target for generator in node.generators])))
        self._kept.add(node.value if isinstance(node, ast.DictComp) else node.elt)

    def leave_loop(self) -> None:
        self._loops.pop()

    def assigned(self, node: ast.Assign) -> None:
        """Note values that go into an item of a container, or are left to themselves by ``_ = ...``."""
        for target in node.targets:
            if isinstance(target, ast.Subscript) or (isinstance(target, ast.Name) and target.id == "_"):
                self._kept.add(node.value)

    def call(self, node: ast.Call, method: str) -> None:
        """Check a call, of a method of the context or of another function."""
        if isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPS and not method:
            self._kept.update(node.args)
        if not self._loops or node not in self._kept:
            return
        if method in _RUN_LATER:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                function = self._inner(argument)
                if function is not None:
                    self._read_late(function, "the loop has gone on when this runs", since_wait=False)
        elif method == "branch" and node.args:
            self._of_branch(node.args[0], since_wait=True)
        elif not method:
            self._of_branch(node, since_wait=False)

    def _of_branch(self, node: ast.expr, *, since_wait: bool) -> None:
        if not isinstance(node, ast.Call) or (function := self._branch(node)) is None:
            return
        if function.is_inside(self._body.function):
            self._read_late(function, "the loop goes on while the branch waits", since_wait=since_wait)

    def _inner(self, node: ast.expr) -> Function | None:
        """The lambda, or the function inside of this body, that an argument is."""
        if isinstance(node, ast.Lambda):
            return self._body.file.function_of(node)
        origin = self._body.origins.of(node, self._body.scope) if isinstance(node, ast.Name) else None
        return origin if isinstance(origin, Function) and origin.is_inside(self._body.function) else None

    def _read_late(self, function: Function, why: str, *, since_wait: bool) -> None:
        """Report the variables of the loops that a function reads. since_wait: those after its first wait."""
        names = frozenset[str]().union(*self._loops)
        body = [function.node.body] if isinstance(function.node, ast.Lambda) else function.node.body
        nodes = [node for part in body for node in own_nodes(part)]
        begins = _first_wait(nodes) if since_wait else (0, 0)
        told: set[str] = set()
        for node in nodes:
            if (
                not isinstance(node, ast.Name)
                or node.id not in names
                or node.id in told
                or node.id in function.scope.bindings
            ):
                continue
            found = function.scope.find(node.id)
            if found is None or found[0].is_module or (node.lineno, node.col_offset) < begins:
                continue
            told.add(node.id)
            how = (
                f"lambda {node.id}={node.id}: ..."
                if isinstance(function.node, ast.Lambda)
                else "pass it as an argument"
            )
            self._body.report("DC411", node, f"reads '{node.id}', a variable of a loop: {why}; {how}")


def _is_branch(function: Function) -> bool:
    """Whether calling it makes a branch: it waits for tasks, and does not only make them one after the other."""
    node = function.node
    if isinstance(node, ast.AsyncFunctionDef):
        return not function.is_generator
    if not isinstance(node, ast.FunctionDef):
        return False
    return any(
        isinstance(inner, ast.YieldFrom) and isinstance(inner.value, ast.Call)
        for statement in node.body
        for inner in own_nodes(statement)
    )


def _bound_in(parts: Iterable[ast.AST]) -> Iterator[str]:
    for part in parts:
        for node in own_nodes(part):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _first_wait(nodes: list[ast.AST]) -> tuple[int, int]:
    """Where the first wait ends: what is read before that is read at once. (0, 0): in a loop it may be read again."""
    if any(isinstance(node, ast.For | ast.AsyncFor | ast.While) for node in nodes):
        return 0, 0
    ends = [(node.end_lineno or 0, node.end_col_offset or 0) for node in nodes if isinstance(node, Waiting)]
    return min(ends, default=(0, 0))
