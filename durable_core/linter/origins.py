"""Finds what an expression refers to: a function or class of the project, or the full name of something outside.

``dt.now`` after ``from datetime import datetime as dt`` is ``datetime.datetime.now``; the result of ``Path("a")`` is
``pathlib.Path()``; the orchestrator's context is ``<ctx>``. The result is None if it is not certain; no rule reports
such code.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Container
from typing import Literal, TypeAlias

from ..lazy_dataclass import dataclass
from .scopes import Assigned, Augmented, Binding, Class, Function, Imported, Parameter, Scope, Unknown
from .sources import Project, SourceFile

CTX = "<ctx>"
Mark: TypeAlias = Literal["orchestrator", "activity"]

_DECORATORS: dict[str, Mark] = {
    f"durable_core.{module}{name}{called}": name
    for name in ("orchestrator", "activity")
    for module in ("", "decorators.")
    for called in ("", "()")
}
_DF_TRIGGERS: dict[str, Mark] = {"orchestration_trigger": "orchestrator", "activity_trigger": "activity"}
_DF_DECORATORS: dict[str, Mark] = {
    f"{package}.{kind}().{name}()": mark
    for package in ("durable_core.df", "azure.durable_functions")
    for kind in ("DFApp", "Blueprint")
    for name, mark in _DF_TRIGGERS.items()
}
"""The decorators of apps in the style of Durable Functions."""
_MAX_DEPTH = 30  # limits names that refer to each other


@dataclass(frozen=True, slots=True)
class External:
    """Something outside the project, by its full name."""

    dotted: str


@dataclass(frozen=True, slots=True)
class InstanceOf:
    """An object of one of the project's classes."""

    kind: Class


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a module."""

    file: SourceFile
    name: str


Origin: TypeAlias = External | Function | Class | InstanceOf | SourceFile


class Origins:
    """Resolves expressions over the files of one project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._depth = 0
        self._marks: dict[Function, Mark | None] = {}

    def of(self, node: ast.expr | None, scope: Scope) -> Origin | None:
        """What this expression refers to in its scope; None if that is not certain."""
        if self._depth > _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            match node:
                case ast.Name(id=name):
                    return self._named(name, scope)
                case ast.Attribute(value=value, attr=attr):
                    return self.attribute(self.of(value, scope), attr)
                case ast.Call(func=function):
                    return self._result(self.of(function, scope))
                case ast.BinOp(left=left, op=ast.Div()):  # Path("a") / "b"
                    origin = self.of(left, scope)
                    is_path = isinstance(origin, External) and origin.dotted.startswith("pathlib.Path()")
                    return origin if is_path else None
                case ast.NamedExpr(value=value):
                    return self.of(value, scope)
                case _:
                    return None
        finally:
            self._depth -= 1

    def dotted(self, node: ast.expr | None, scope: Scope) -> str:
        """The full name of something outside the project; '' for everything else."""
        origin = self.of(node, scope)
        return origin.dotted if isinstance(origin, External) else ""

    def attribute(self, origin: Origin | None, name: str) -> Origin | None:
        match origin:
            case External(dotted=dotted):
                return External(f"{dotted}.{name}")
            case SourceFile():
                if name in origin.scope.bindings:
                    return self._bound(origin.scope, origin.scope.bindings[name])
                inner = self._project.module(f"{origin.name}.{name}")
                return External(f"{origin.name}.{name}") if inner is None else inner
            case Class():
                return self.member(origin, name)
            case InstanceOf(kind=kind):
                return self.member(kind, name)
            case _:
                return None

    def member(self, kind: Class, name: str) -> Function | None:
        """The method of this name, its own or inherited from another class of the project."""
        for at in self._lineage(kind):
            bound = at.scope.bindings.get(name)
            if bound:
                last = bound[-1]
                return last if isinstance(last, Function) else None
        return None

    def derives_from(self, kind: Class, dotted: Container[str]) -> bool:
        """Whether a class derives from a class outside of the project that has one of these names."""
        return any(
            self.dotted(base, at.scope.parent or at.scope) in dotted
            for at in self._lineage(kind)
            for base in at.node.bases
        )

    def mark(self, function: Function) -> Mark | None:
        """Whether it is decorated as an orchestrator or an activity."""
        if function not in self._marks:
            self._marks[function] = self._marked(function)
        return self._marks[function]

    def is_marked_later(self, function: Function) -> bool:
        """Whether a call in its file marks it: ``activity(fn)``, ``activity(name="x")(fn)``."""
        file = function.scope.file
        return any(
            isinstance(node, ast.Call)
            and len(node.args) == 1
            and isinstance(node.args[0], ast.Name)
            and node.args[0].id == function.name
            and self.dotted(node.func, file.scope) in _DECORATORS
            for node in ast.walk(file.tree)
        )

    def instance(self, annotation: ast.expr | None, scope: Scope) -> Origin | None:
        """What a variable with this annotation refers to."""
        match annotation:
            case ast.Constant(value=str(text)):
                try:
                    return self.instance(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    return None
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                first = isinstance(right, ast.Constant) and right.value is None
                other = isinstance(left, ast.Constant) and left.value is None
                return self.instance(left if first else right, scope) if first or other else None
            case ast.Subscript(value=outer, slice=inner):
                match self.dotted(outer, scope).rpartition(".")[2]:
                    case "Optional":
                        return self.instance(inner, scope)
                    case "Annotated" if isinstance(inner, ast.Tuple):
                        return self.instance(inner.elts[0], scope)
                    case _:
                        return None
            case ast.Name() | ast.Attribute():
                match self.of(annotation, scope):
                    case External(dotted=dotted):
                        is_context = dotted.startswith("durable_core.") and dotted.endswith(".OrchestrationContext")
                        return External(CTX if is_context else f"{dotted}()")
                    case Class() as kind:
                        return InstanceOf(kind)
                    case _:
                        return None
            case _:
                return None

    def variable(self, node: ast.expr, scope: Scope) -> Variable | None:
        """The variable of a module that this expression names, in this module or in another."""
        if isinstance(node, ast.Name):
            found = scope.find(node.id)
            if found is None:
                return None
            where, bindings = found
            if where.is_module and any(isinstance(bound, Assigned | Augmented) for bound in bindings):
                return Variable(where.file, node.id)
            if len(bindings) == 1 and isinstance(bindings[0], Imported):
                module, _, name = bindings[0].dotted.rpartition(".")
                return self._variable_of(self._outer(module) if module else None, name)
        elif isinstance(node, ast.Attribute):
            return self._variable_of(self.of(node.value, scope), node.attr)
        return None

    def _variable_of(self, origin: Origin | None, name: str) -> Variable | None:
        if not isinstance(origin, SourceFile):
            return None
        bound = origin.scope.bindings.get(name, [])
        return Variable(origin, name) if any(isinstance(b, Assigned | Augmented) for b in bound) else None

    # ------------------------------------------------------------ names

    def _named(self, name: str, scope: Scope) -> Origin | None:
        found = scope.find(name)
        if found is not None:
            return self._bound(*found)
        if hasattr(builtins, name):
            return External(f"builtins.{name}")
        stars = scope.file.star_imports
        for module in stars:
            inner = self._project.module(module)
            if inner is not None and name in inner.scope.bindings:
                return self._bound(inner.scope, inner.scope.bindings[name])
        return External(f"{stars[0]}.{name}") if len(stars) == 1 else None

    def _bound(self, scope: Scope, bindings: list[Binding]) -> Origin | None:
        if len(bindings) > 1 and not (
            all(isinstance(bound, Function) for bound in bindings)  # overloads, or one for each branch
            or (all(isinstance(bound, Imported) for bound in bindings) and len(set(bindings)) == 1)
        ):
            return None
        match bindings[-1]:
            case Function() | Class() as defined:
                return defined
            case Imported(dotted=dotted):
                return self._outer(dotted)
            case Assigned(value=value, annotation=annotation):
                return self.of(value, scope) or self.instance(annotation, scope)
            case Parameter() as parameter:
                return self._parameter(parameter, scope)
            case Augmented() | Unknown():
                return None

    def _parameter(self, parameter: Parameter, scope: Scope) -> Origin | None:
        arg, outer = parameter.arg, scope.parent or scope
        function = scope.file.function_of(parameter.node) if parameter.index == 0 else None
        if function is not None and parameter.owner is not None and not _is_static(parameter.node):
            return InstanceOf(parameter.owner)
        if function is not None and self.mark(function) == "orchestrator":
            return External(CTX)
        if arg.annotation is not None:
            return self.instance(arg.annotation, outer)
        is_context = arg.arg == "ctx" or (arg.arg == "context" and parameter.index == 0)
        return External(CTX) if is_context and not self._is_activity(function) else None

    def _is_activity(self, function: Function | None) -> bool:
        return function is not None and self.mark(function) == "activity"

    def _outer(self, dotted: str) -> Origin | None:
        parts = dotted.split(".")
        if not self._project.knows(parts[0]):
            return External(dotted)
        if self._depth > _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            for count in range(len(parts), 0, -1):
                origin: Origin | None = self._project.module(".".join(parts[:count]))
                if origin is not None:
                    for name in parts[count:]:
                        origin = self.attribute(origin, name)
                    return origin
        finally:
            self._depth -= 1
        return External(dotted)

    # ------------------------------------------------------------ calls, classes

    def _result(self, origin: Origin | None) -> Origin | None:
        match origin:
            case External(dotted=dotted):
                return External(f"{dotted}()")
            case Class():
                return InstanceOf(origin)
            case Function(node=ast.FunctionDef() as node) if not origin.is_generator:
                return self.instance(node.returns, origin.scope.parent or origin.scope)
            case _:
                return None

    def _lineage(self, kind: Class) -> list[Class]:
        found = [kind]
        for at in found:
            for base in at.node.bases:
                origin = self.of(base, at.scope.parent or at.scope)
                if isinstance(origin, Class) and origin not in found:
                    found.append(origin)
        return found

    def _marked(self, function: Function) -> Mark | None:
        if isinstance(function.node, ast.Lambda):
            return None
        outer = function.scope.parent or function.scope
        for decorator in function.node.decorator_list:
            mark = _DECORATORS.get(name := self.dotted(decorator, outer)) or _DF_DECORATORS.get(name)
            if mark is not None:
                return mark
        return None


def _is_static(node: ast.AST) -> bool:
    return any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod"
        for decorator in getattr(node, "decorator_list", [])
    )
