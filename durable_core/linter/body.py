"""Checks the body of one function: the rules that it breaks, and the project's functions that it calls.

Walks through expressions and calls; ``Statements`` checks statements that wait, loop or catch. ``Linter`` follows the
calls from the orchestrator to the body.
"""

from __future__ import annotations

import ast
from dataclasses import field

from ..lazy_dataclass import dataclass
from .api import CALLS_BY_NAME, DECIDES, TAKE_BRANCHES, TAKE_MANY_BRANCHES, is_context, method_of_context
from .branch_checks import BranchChecks
from .calls import LOCAL_ZONE, VALUES, Forbidden, forbidden_call, is_local_zone
from .findings import Reference, Spot
from .origins import Class, External, Function, Mark, Origins, Variable
from .own_limit import is_limit, own_limit
from .scopes import Comprehension, FunctionNode, Scope, own_nodes
from .sources import SourceFile
from .state import Sets, State
from .statements import Statements

_FIXED = {
    "instance_id",
    "name",
    "headers",
    "parent_instance_id",
    "version",
    "logger",
    "current_utc_datetime",
    "is_replaying",
    "custom_status",
}
_READERS = "a query handler, a validator or a condition"
_HANDED_ON = (
    "DC1",
    "DC2",
    "DC301",
    "DC302",
)  # also reported for a function that is not called but passed as an argument


@dataclass(slots=True)
class Look:
    """The result of checking a body."""

    spots: list[Spot] = field(default_factory=list[Spot])
    references: list[Reference] = field(default_factory=list[Reference])


@dataclass(frozen=True, slots=True)
class Tools:
    """The helpers that all checks share."""

    origins: Origins
    state: State
    sets: Sets


class Body(ast.NodeVisitor):
    """Checks a function. waits, read_only: as in ``Reference``."""

    def __init__(self, function: Function, tools: Tools, *, waits: bool, read_only: bool) -> None:
        self.function, self.scope = function, function.scope
        self.origins, self.state, self.sets = tools.origins, tools.state, tools.sets
        self.waits, self.read_only = waits, read_only
        self.look = Look()
        self._statements = Statements(self)
        self._branches = BranchChecks(self)
        self._in_run: set[ast.AST] = set()  # calls below a 'yield from', and of branches
        self._changed: set[ast.AST] = set()  # expressions for which a change is reported
        self._reads: dict[Variable, ast.expr] = {}
        self._writes: set[Variable] = set()

    def run(self) -> Look:
        node = self.function.node
        for part in [node.body] if isinstance(node, ast.Lambda) else node.body:
            self.visit(part)
        for variable, at in self._reads.items():
            if variable not in self._writes:
                self.report("DC503", at, f"reads '{variable.name}', which functions of its module change")
        return self.look

    # ------------------------------------------------------------ reports

    def report(self, code: str, node: ast.AST, message: str, expression: str = "", replacement: str = "") -> None:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        file = self.function.file
        self.look.spots.append(
            Spot(
                file=file,
                line=line,
                column=column,
                code=code,
                message=message,
                expression=expression,
                replacement=replacement,
            )
        )

    def refer(self, function: Function, name: str = "", *, waits: bool = False, read_only: bool = False) -> None:
        """Note that this body calls a function, unless that is an activity or an orchestrator of its own."""
        if self.origins.mark(function) is None:
            read_only = read_only or self.read_only
            self.look.references.append(
                Reference(function=function, name=name or function.name, waits=waits, read_only=read_only)
            )

    def _forbid(self, rule: Forbidden, node: ast.expr, *, called: bool = True) -> None:
        expression = ast.unparse(node)
        text = f"{expression}()" if called else expression
        self.report(rule.code, node, f"{text} {rule.does}; use {rule.instead}", text, rule.instead)

    # ------------------------------------------------------------ names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._mention(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self._mention(node):
            self.visit(node.value)

    def _mention(self, node: ast.Name | ast.Attribute) -> bool:
        """Check a name that is read. Returns whether its parts need no further check."""
        origin = self.origins.of(node, self.scope)
        match origin:
            case External(dotted=dotted):
                rule = VALUES.get(dotted)
                if rule is not None:
                    self._forbid(rule, node, called=False)
                    return True
            case Function():
                self.refer(origin)
                return isinstance(node, ast.Name)
            case _:
                pass
        variable = self.origins.variable(node, self.scope)
        if variable is not None and node not in self._changed and self.state.is_changing(variable):
            self._reads.setdefault(variable, node)
            return True
        return False

    # ------------------------------------------------------------ calls

    def visit_Call(self, node: ast.Call) -> None:
        self._change(node)
        self._statements.pop_of_set(node)
        if is_local_zone(node):
            self._forbid(LOCAL_ZONE, node.func)
        method = method_of_context(node.func, self.scope, self.origins)
        self._branches.call(node, method)
        if method:
            self._call_of_context(node, method)
            return
        if isinstance(node.func, ast.Attribute) and self._call_by_name(node, node.func.attr):
            return
        origin = self.origins.of(node.func, self.scope)
        match origin:
            case External(dotted=dotted):
                rule = forbidden_call(dotted, node)
                if rule is not None:
                    self._forbid(rule, node.func)
            case Function():
                self._call_of_function(node, origin)
            case Class():
                self._construction(node, origin)
            case _:
                pass
        if isinstance(node.func, ast.Attribute):
            self.visit(node.func.value)
        elif not isinstance(node.func, ast.Name):
            self.visit(node.func)
        self._arguments(node)

    def _call_of_function(self, node: ast.Call, function: Function) -> None:
        called = ast.unparse(node.func)
        if self.origins.mark(function) == "activity":
            self.report(
                "DC403", node, f"{called}() is an activity, called as a function; use ctx.call_activity({called})"
            )
        else:
            self.refer(function, called.rpartition(".")[2], waits=node in self._in_run)

    def _construction(self, node: ast.Call, kind: Class) -> None:
        for name in ("__init__", "__post_init__", "__new__"):
            method = self.origins.member(kind, name)
            if method is not None:
                self.refer(method, kind.name)
        given = {keyword.arg for keyword in node.keywords}
        if node.args or None in given:
            return
        for statement in kind.node.body:
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(statement.value, ast.Call)
                and statement.target.id not in given
            ):
                for keyword in statement.value.keywords:
                    if keyword.arg == "default_factory":
                        self._default(keyword.value, kind)

    def _default(self, factory: ast.expr, kind: Class) -> None:
        """Check the ``default_factory`` of a field: it runs where the object is created."""
        file = kind.scope.file
        origin = self.origins.of(factory, kind.scope)
        if isinstance(factory, ast.Lambda):
            origin = file.function_of(factory)
        if isinstance(origin, Function):
            self.refer(origin, kind.name)
        elif isinstance(origin, External):
            rule = forbidden_call(origin.dotted, None)
            if rule is not None:
                text = ast.unparse(factory)
                self.look.spots.append(
                    Spot(
                        file=file,
                        line=factory.lineno,
                        column=factory.col_offset + 1,
                        code=rule.code,
                        message=f"{text}, the default_factory of a field, {rule.does}; use {rule.instead}",
                        expression=text,
                        replacement=rule.instead,
                        through=(kind.name,),
                    )
                )

    def _arguments(self, node: ast.Call, *, without: ast.expr | None = None) -> None:
        for argument in [*node.args, *(k.value for k in node.keywords if k.arg != "retry_if")]:
            if argument is without:
                continue
            dotted = self.origins.dotted(argument, self.scope)
            rule = forbidden_call(dotted, None) if dotted else None
            if rule is not None and rule.code.startswith(_HANDED_ON):
                self._forbid(rule, argument, called=False)
            self.visit(argument)

    # ------------------------------------------------------------ calls of the context

    def _call_of_context(self, node: ast.Call, method: str) -> None:
        if self.read_only and method in DECIDES:
            self.report("DC407", node, f"ctx.{method}() in {_READERS}, which may only read")
        if isinstance(node.func, ast.Attribute) and self._call_by_name(node, node.func.attr):
            return
        if "." in method and isinstance(node.func, ast.Attribute):  # ctx.branch(...).cancel()
            self.visit(node.func.value)
        handed: ast.expr | None = None
        self._branches.given(node, method)
        if method in TAKE_BRANCHES:
            self._in_run.update(each.value if isinstance(each, ast.Starred) else each for each in node.args)
        if method in TAKE_BRANCHES | TAKE_MANY_BRANCHES:
            for argument in node.args:
                self._in_run.update(_items(argument.value if isinstance(argument, ast.Starred) else argument))
        match method:
            case "run":
                handed = _argument(node, 1, "fn")
                self._keep_context_from(node, "a step")
                self._step(handed)
            case "map":
                handed = _argument(node, 0, "fn_or_name")
                self._called(node, handed, "activity", "orchestrator")
                self._statements.items_of_map(_argument(node, 1, "items"))
            case "wait_condition":
                handed = _argument(node, 0, "predicate")
                self._looked_at(handed)
            case "set_query_handler":
                handed = _argument(node, 1, "fn")
                self._looked_at(handed)
            case "set_update_handler":
                handed = _argument(node, 2, "validator")
                self._looked_at(handed)
                self._runs_here(_argument(node, 1, "fn"))
            case "slot" if len(node.args) == 1 and not node.keywords:
                limit = own_limit(self.function, self.origins)
                if limit is not None and is_limit(node.args[0], limit, self.scope, self.origins):
                    self._own_limit(node, limit, "ctx.slot()")
            case "run_saga":
                handed = _argument(node, 0, "body")
                self._runs_here(handed)
            case _:
                pass
        self._arguments(node, without=handed)

    def _call_by_name(self, node: ast.Call, method: str) -> bool:
        """Check a call whose first argument runs elsewhere, by the name of the method, on any object."""
        if method in CALLS_BY_NAME:
            handed = _argument(node, 0, CALLS_BY_NAME[method])
            self._called(node, handed, "activity" if "activity" in method else "orchestrator")
            self._keep_context_from(node, "an activity or another orchestrator")
        elif method == "add_compensation":
            handed = _argument(node, 0, "fn_or_name")
            self._runs_here(handed)
        else:
            return False
        self._arguments(node, without=handed)
        return True

    def _called(self, node: ast.Call, handed: ast.expr | None, kind: Mark, *or_as: Mark) -> None:
        """Check that a function that is called on the context is marked as what it is called as."""
        origin = None if handed is None else self.origins.of(handed, self.scope)
        if not isinstance(origin, Function) or not method_of_context(node.func, self.scope, self.origins):
            return
        mark = self.origins.mark(origin)
        named = origin.name if handed is None else ast.unparse(handed)
        limit = own_limit(self.function, self.origins)
        if limit is not None and own_limit(origin, self.origins) == limit:
            self._own_limit(node, limit, named)
        if mark is None and getattr(origin.node, "decorator_list", ()):
            return  # a decorator of the project may mark it
        if mark is None and not self.origins.is_marked_later(origin):
            self.report("DC409", node, f"{named} is not marked @{kind}, so no host runs it; mark it")
        elif mark not in (None, kind, *or_as):
            right = "call_activity" if mark == "activity" else "call_sub_orchestrator"
            self.report("DC409", node, f"{named} is an {mark}; use ctx.{right}({named}, ...)")

    def _own_limit(self, node: ast.Call, limit: Variable, waiting: str) -> None:
        self.report(
            "DC412", node, f"{waiting} waits for a slot of limit {limit.name}, which this orchestrator holds to its end"
        )

    def _keep_context_from(self, node: ast.Call, whom: str) -> None:
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if is_context(argument, self.scope, self.origins):
                self.report(
                    "DC405", argument, f"the orchestration context is passed to {whom}; pass the values it needs"
                )

    def _step(self, handed: ast.expr | None) -> None:
        """Check the function of a ``ctx.run``: its body is not orchestrator code, but must not use the context."""
        origin = None if handed is None else self.origins.of(handed, self.scope)
        if isinstance(handed, ast.Call):  # partial(...): its arguments are evaluated here
            self._keep_context_from(handed, "a step")
            self._arguments(handed, without=handed.args[0] if handed.args else None)
        elif isinstance(handed, ast.Lambda):
            self._defaults(handed)
            origin = self.function.file.function_of(handed)
        if isinstance(origin, Function) and self.origins.mark(origin) is None:
            inner = origin.node
            for part in [inner.body] if isinstance(inner, ast.Lambda) else inner.body:
                self._step_body(part, origin)

    def _step_body(self, part: ast.AST, step: Function) -> None:
        if isinstance(step.node, ast.FunctionDef | ast.AsyncFunctionDef) and not step.is_inside(self.function):
            return  # it can get the context only as an argument, which is reported at the call
        for node in own_nodes(part):
            if isinstance(node, ast.Attribute):
                method = method_of_context(node, step.scope, self.origins)
                if method and method.split(".")[0] not in _FIXED:
                    self.report("DC405", node, f"ctx.{method} in a step; compute it before ctx.run and pass the value")
            elif isinstance(node, ast.Call):
                self._keep_context_in(node, step.scope)

    def _keep_context_in(self, node: ast.Call, scope: Scope) -> None:
        for argument in node.args:
            if is_context(argument, scope, self.origins):
                self.report(
                    "DC405", argument, "the orchestration context is passed on in a step; pass the values that it needs"
                )

    def _looked_at(self, handed: ast.expr | None) -> None:
        function = self._function(handed)
        if function is not None:
            self.refer(function, read_only=True)

    def _runs_here(self, handed: ast.expr | None) -> None:
        function = self._function(handed)
        if function is not None and (
            function.is_generator or isinstance(function.node, ast.Lambda | ast.AsyncFunctionDef)
        ):
            self.refer(function, waits=True)

    def _function(self, node: ast.expr | None) -> Function | None:
        if isinstance(node, ast.Lambda):
            return self.function.file.function_of(node)
        origin = self.origins.of(node, self.scope)
        return origin if isinstance(origin, Function) else None

    # ------------------------------------------------------------ changes of what outlives the run

    def _change(self, node: ast.AST) -> None:
        for base in self.state.changed(node, self.scope):
            kind = self.origins.of(base, self.scope)
            variable = self.state.variable_changed(base, self.scope, by_call=isinstance(node, ast.Call))
            if variable is not None:
                self._changed.add(base)
                self._writes.add(variable)
                self.report(
                    "DC502",
                    base,
                    f"changes '{variable.name}', a variable of the module, which other processes do not see",
                )
            elif isinstance(kind, Class) and not isinstance(node, ast.Call):
                self.report("DC502", base, f"changes class '{kind.name}', which all instances of a process share")
            elif self.read_only and not isinstance(base, ast.Attribute) and self._is_of_orchestrator(base):
                self.report("DC407", base, f"changes '{ast.unparse(base)}' in {_READERS}")

    def _is_of_orchestrator(self, node: ast.expr) -> bool:
        """Whether a name is bound around this function, but not by the module."""
        found = self.scope.find(node.id) if isinstance(node, ast.Name) else None
        return found is not None and found[0] is not self.function.scope and not found[0].is_module

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self._writes.add(Variable(self.function.file, name))
        self.report(
            "DC502",
            node,
            f"'global {', '.join(node.names)}': a variable of the module is shared by all instances of a process",
        )

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        if self.read_only:
            self.report("DC407", node, f"'nonlocal {', '.join(node.names)}' in {_READERS}")

    # ------------------------------------------------------------ scopes

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Check a lambda that is passed on: it counts as called."""
        self._defaults(node)
        function = self.function.file.function_of(node)
        if function is not None:
            self.refer(function)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Check decorators and defaults. The body is checked where the function is called or passed on."""
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._defaults(node)

    def _defaults(self, node: FunctionNode) -> None:
        """Check the defaults of a function inside this one: they are evaluated here."""
        for value in [*node.args.defaults, *node.args.kw_defaults]:
            if value is not None:
                self.visit(value)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        pass

    def _comprehension(self, node: Comprehension) -> None:
        self._statements.comprehension(node)
        self._branches.enter_comprehension(node)
        outer = self.scope
        self.visit(node.generators[0].iter)
        self.scope = self.function.file.scope_of(node) or outer
        for at, generator in enumerate(node.generators):
            for part in [*([generator.iter] if at else []), *generator.ifs]:
                self.visit(part)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self.visit(part)
        self.scope = outer
        self._branches.leave_loop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # ------------------------------------------------------------ statements

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        self._branches.enter_loop(node)
        self.generic_visit(node)
        self._branches.leave_loop()

    visit_For = visit_AsyncFor = visit_While = _loop

    def visit_Assign(self, node: ast.Assign) -> None:
        self._branches.assigned(node)
        self._change(node)
        self._statements.unread(node)
        if not (
            isinstance(node.value, ast.Lambda) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        ):
            self.generic_visit(node)  # the body of 'name = lambda: ...' runs where the name is called

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._change(node)
        self._statements.unread(node)
        if node.value is not None:
            self.visit(node.value)
        if not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._change(node)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._change(node)
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._in_run.add(node.value)
        self._statements.yield_from(node)
        self.visit(node.value)

    def visit_Await(self, node: ast.Await) -> None:
        self._in_run.add(node.value)
        self._statements.awaited(node)
        self.visit(node.value)

    def visit_Yield(self, node: ast.Yield) -> None:
        self._statements.yielded(node)
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        self._statements.visit(node)
        super().generic_visit(node)

    @property
    def file(self) -> SourceFile:
        return self.function.file


def _argument(node: ast.Call, index: int, name: str) -> ast.expr | None:
    """The argument of a call, by its position or its name."""
    if len(node.args) > index:
        return None if any(isinstance(value, ast.Starred) for value in node.args[: index + 1]) else node.args[index]
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)


def _items(node: ast.expr) -> list[ast.expr]:
    """The expressions for the items of a list, a tuple or a comprehension."""
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return items
        case ast.ListComp(elt=item) | ast.GeneratorExp(elt=item):
            return [item]
        case _:
            return []
