"""Checks statements of orchestrator code that wait, loop, branch or catch."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .api import TASKS, decides, method_of_context
from .origins import External
from .scopes import Comprehension, Function, Waiting, has_wait, own_nodes

if TYPE_CHECKING:
    from .body import Body

_CATCH_ALL = {"builtins.BaseException", "builtins.GeneratorExit"}
_NEVER_TASKS = (
    ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.JoinedStr,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


class Statements:
    """Checks the statements of one body, and reports findings to it."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def visit(self, node: ast.AST) -> None:
        match node:
            case ast.AsyncFor() | ast.AsyncWith():
                self._foreign(node)
            case ast.Expr(value=ast.Call() as call):
                self._statement_of_call(call)
            case ast.For():
                self._for(node)
            case ast.While():
                self._while(node)
            case ast.If() | ast.IfExp():
                self._if(node)
            case ast.Try():
                self._try(node)
            case ast.Return(value=ast.Call() as call):
                self._returned(call)
            case ast.With():
                self._with(node)
            case _:
                pass

    # ------------------------------------------------------------ waits

    def _statement_of_call(self, call: ast.Call) -> None:
        what = self._unwaited(call)
        if what:
            wait = f"{'an' if self._wait == 'await' else 'a'} '{self._wait}'"
            self._body.report("DC401", call, f"{what}, and the orchestrator does not wait for it; is {wait} missing?")

    def _returned(self, call: ast.Call) -> None:
        """Check what an orchestrator returns: a task or a generator is no result."""
        body = self._body
        if body.origins.mark(body.function) == "orchestrator" and (what := self._unwaited(call)):
            body.report(
                "DC401", call, f"{what}, and is no result; write 'return ({self._wait} {_short(ast.unparse(call))})'"
            )

    def _unwaited(self, call: ast.Call) -> str:
        body = self._body
        method = method_of_context(call.func, body.scope, body.origins)
        name = ast.unparse(call.func)
        if method in TASKS:
            return f"{name}() makes a task"
        if method == "run_saga" or method.endswith("saga().compensate"):
            return f"{name}() is a generator"
        origin = body.origins.of(call.func, body.scope)
        if not isinstance(origin, Function) or body.origins.mark(origin) is not None:
            return ""
        if isinstance(origin.node, ast.FunctionDef) and origin.is_generator:
            return f"{name}() is a generator, which does not run when it is called"
        if isinstance(origin.node, ast.AsyncFunctionDef):
            return f"{name}() is async, and does not run when it is called"
        return ""

    @property
    def _wait(self) -> str:
        return "await" if isinstance(self._body.function.node, ast.AsyncFunctionDef) else "yield from"

    def awaited(self, node: ast.Await) -> None:
        """Check what is awaited: a generator of the project cannot be."""
        body = self._body
        if isinstance(node.value, ast.Call):
            origin = body.origins.of(node.value.func, body.scope)
            if isinstance(origin, Function) and isinstance(origin.node, ast.FunctionDef) and origin.is_generator:
                body.report("DC308", node, f"awaits the generator {origin.name}(); write 'await ctx.branch(...)'")

    def _foreign(self, node: ast.AsyncFor | ast.AsyncWith) -> None:
        """``async for`` and ``async with`` over what is not the project's own code."""
        body = self._body
        items = [node.iter] if isinstance(node, ast.AsyncFor) else [item.context_expr for item in node.items]
        for item in items:
            inner = item.func if isinstance(item, ast.Call) else item
            if body.waits and isinstance(body.origins.of(inner, body.scope), External):
                what = "async for" if isinstance(node, ast.AsyncFor) else "async with"
                body.report(
                    "DC308", item, f"'{what}' over {_short(ast.unparse(item))}, for which there is no event loop here"
                )

    def unread(self, node: ast.Assign | ast.AnnAssign) -> None:
        """Check for a task in a variable that is never read."""
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if len(node.targets) == 1 else None
        if not isinstance(target, ast.Name) or target.id.startswith("_") or node.value is None:
            return
        calls = [node.value] if isinstance(node.value, ast.Call) else _calls_in(node.value)
        if not calls:
            return
        scope = self._body.scope
        found = scope.find(target.id)
        if found is None or found[0] is not scope or scope.is_module:
            return
        reads = (
            isinstance(inner, ast.Name) and inner.id == target.id and isinstance(inner.ctx, ast.Load)
            for inner in ast.walk(self._body.function.node)
        )
        what = next((what for call in calls if (what := self._unwaited(call))), "")
        if what and not any(reads):
            self._body.report(
                "DC401", node, f"{what}, and '{target.id}' is never read, so the orchestrator does not wait for it"
            )

    def yielded(self, node: ast.Yield) -> None:
        body = self._body
        if not body.waits:
            return
        if node.value is None or isinstance(node.value, _NEVER_TASKS):
            what = "nothing" if node.value is None else ast.unparse(node.value)
            body.report(
                "DC402", node, f"yields {_short(what)}, which is not a task; use ctx.task_all(...) for several tasks"
            )
        elif isinstance(node.value, ast.Call):
            origin = body.origins.of(node.value.func, body.scope)
            if isinstance(origin, Function) and origin.is_generator:
                body.report("DC402", node, f"yields the generator {origin.name}(); to run it, write 'yield from'")

    def yield_from(self, node: ast.YieldFrom) -> None:
        body = self._body
        if isinstance(node.value, ast.Call):
            origin = body.origins.of(node.value.func, body.scope)
            if (
                isinstance(origin, Function)
                and isinstance(origin.node, ast.AsyncFunctionDef)
                and body.origins.mark(origin) is None
            ):
                text = ast.unparse(node.value)
                body.report("DC308", node, f"'yield from' cannot run the async {_short(text)}; use ctx.branch({text})")
        is_empty = isinstance(node.value, ast.List | ast.Tuple) and not node.value.elts  # makes a function a generator
        if body.waits and isinstance(node.value, _NEVER_TASKS) and not is_empty:
            body.report("DC402", node, "'yield from' a list loses its results; use ctx.task_all(...)")

    # ------------------------------------------------------------ order

    def _for(self, node: ast.For) -> None:
        body = self._body
        if body.sets.has_its_order(node.iter, body.scope) and decides(
            node.body, body.scope, body.origins, waits=body.waits
        ):
            self._unordered(node.iter)

    def comprehension(self, node: Comprehension) -> None:
        body = self._body
        parts: list[ast.expr] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        scope = body.file.scope_of(node) or body.scope
        for generator in node.generators:
            if body.sets.has_its_order(generator.iter, body.scope) and decides(
                parts, scope, body.origins, waits=body.waits
            ):
                self._unordered(generator.iter)

    def pop_of_set(self, node: ast.Call) -> None:
        """``names.pop()`` of a set, ``next(iter(names))``, and ``map(call, names)``."""
        body = self._body
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[]) if body.sets.is_set(value, body.scope):
                self._unordered(value)
            case ast.Call(func=ast.Name() as function, args=[first, *more]):
                name = body.origins.dotted(function, body.scope)
                if name == "builtins.next" and isinstance(first, ast.Call) and self._is_ordered_like_set(first):
                    self._unordered(first)
                elif name == "builtins.map" and decides([first], body.scope, body.origins, waits=False):
                    for argument in more:
                        if self._is_ordered_like_set(argument):
                            self._unordered(argument)
            case _:
                pass

    def items_of_map(self, items: ast.expr | None) -> None:
        """``ctx.map(f, names)``, where names are a set."""
        if items is not None and self._is_ordered_like_set(items):
            self._unordered(items)

    def _is_ordered_like_set(self, node: ast.expr) -> bool:
        return self._body.sets.has_its_order(node, self._body.scope)

    def _unordered(self, node: ast.expr) -> None:
        text = _short(ast.unparse(node))
        self._body.report(
            "DC501",
            node,
            f"the decisions depend on the order of the set {text}, which differs at a replay; use sorted(...)",
        )

    # ------------------------------------------------------------ loops and branches

    def _while(self, node: ast.While) -> None:
        inner = [found for statement in node.body for found in own_nodes(statement)]
        leaves = Waiting | ast.Return | ast.Break | ast.Raise
        is_endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        is_idle = all(self._is_idle(statement) for statement in node.body) and not _acts(node.test)
        if is_idle or (is_endless and not any(isinstance(found, leaves) for found in inner)):
            self._body.report(
                "DC406", node, "this loop never waits, so its condition cannot change; use ctx.wait_condition"
            )

    def _is_idle(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Pass() | ast.Continue() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Expr(value=ast.Call(func=function)):
                return self._body.origins.dotted(function, self._body.scope) == "time.sleep"
            case _:
                return False

    def _if(self, node: ast.If | ast.IfExp) -> None:
        body = self._body
        asks = any(
            isinstance(inner, ast.Attribute | ast.Name)
            and method_of_context(inner, body.scope, body.origins) == "is_replaying"
            for inner in own_nodes(node.test)
        )
        if not asks:
            return
        parts: list[ast.stmt] | list[ast.expr]
        parts = [*node.body, *node.orelse] if isinstance(node, ast.If) else [node.body, node.orelse]
        waits = body.waits
        leaves = waits and any(
            isinstance(inner, ast.Return | ast.Raise | ast.Break | ast.Continue)
            for part in parts
            for inner in own_nodes(part)
        )
        if leaves or decides(parts, body.scope, body.origins, waits=waits):
            body.report("DC408", node, "the decisions depend on ctx.is_replaying, so the code cannot match its history")

    # ------------------------------------------------------------ catching

    def _try(self, node: ast.Try) -> None:
        body = self._body
        if not body.waits or not has_wait(node.body):
            return
        lets_cancel = False
        for handler in node.handlers:
            caught = self._caught(handler.type)
            does = [inner for statement in handler.body for inner in own_nodes(statement)]
            raises = any(isinstance(inner, ast.Raise) for inner in does)
            if handler.type is None or "builtins.BaseException" in caught:
                if not raises:
                    self._swallows(handler, "every exception, GeneratorExit and TaskCancelledError too")
            elif "builtins.GeneratorExit" in caught:
                if any(isinstance(inner, Waiting) for inner in does):
                    self._swallows(handler, "GeneratorExit and waits again")
            elif "builtins.Exception" in caught and not lets_cancel and all(_is_nothing(part) for part in handler.body):
                self._swallows(handler, "every Exception, TaskCancelledError too, without a trace")
            lets_cancel = lets_cancel or (raises and any(name.endswith(".TaskCancelledError") for name in caught))

    def _with(self, node: ast.With) -> None:
        body = self._body
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and method_of_context(call.func, body.scope, body.origins) in (
                "slot",
                "lock",
            ):
                wait = f"with ({self._wait} {_short(ast.unparse(call))}):"
                body.report(
                    "DC401",
                    call,
                    f"{ast.unparse(call.func)}() makes a task, for which 'with' does not wait; write '{wait}'",
                )
        if not body.waits or not has_wait(node.body):
            return
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and body.origins.dotted(call.func, body.scope) == "contextlib.suppress":
                caught = {body.origins.dotted(argument, body.scope) for argument in call.args}
                if caught & (_CATCH_ALL | {"builtins.Exception"}):
                    self._swallows(call, "every Exception, TaskCancelledError too, without a trace")

    def _swallows(self, node: ast.AST, what: str) -> None:
        self._body.report("DC404", node, f"catches {what}; catch TaskFailedError, or raise it again")

    def _caught(self, node: ast.expr | None) -> set[str]:
        parts = node.elts if isinstance(node, ast.Tuple) else [] if node is None else [node]
        return {self._body.origins.dotted(part, self._body.scope) for part in parts}


def _calls_in(node: ast.expr) -> list[ast.Call]:
    """The calls whose values are the items of a list, a tuple or a comprehension."""
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [item for item in items if isinstance(item, ast.Call)]
        case ast.ListComp(elt=ast.Call() as item) | ast.GeneratorExp(elt=ast.Call() as item):
            return [item]
        case _:
            return []


def _is_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def _acts(node: ast.expr) -> bool:
    """Whether evaluating a condition may change something."""
    return any(isinstance(inner, Waiting | ast.Call) for inner in own_nodes(node))


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
