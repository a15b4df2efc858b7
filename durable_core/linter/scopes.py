"""The scopes of one source file, and the names bound in each. No code is run.

``Origins`` finds what a bound name refers to, across files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from ..lazy_dataclass import dataclass

if TYPE_CHECKING:
    from .sources import SourceFile

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_CLOSED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
Waiting: TypeAlias = ast.Yield | ast.YieldFrom | ast.Await
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function or lambda of the source. scope: the scope of its body; owner: the class, if it is a method."""

    name: str
    node: FunctionNode
    scope: Scope
    owner: Class | None

    @property
    def file(self) -> SourceFile:
        return self.scope.file

    @property
    def is_generator(self) -> bool:
        return not isinstance(self.node, ast.Lambda) and has_yield(self.node.body)

    def is_inside(self, other: Function) -> bool:
        """Whether this function is defined inside the body of the other."""
        scope = self.scope.parent
        while scope is not None and scope is not other.scope:
            scope = scope.parent
        return scope is not None


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of the source. scope: the scope of its body."""

    name: str
    node: ast.ClassDef
    scope: Scope


@dataclass(frozen=True, slots=True)
class Imported:
    """Bound by an import. dotted: the absolute name of what was imported."""

    dotted: str


@dataclass(frozen=True, slots=True)
class Assigned:
    """Bound by ``name = value``, ``name: annotation = value`` or ``with value as name``; a part that is not known is
    None."""

    value: ast.expr | None
    annotation: ast.expr | None = None


@dataclass(frozen=True, slots=True)
class Augmented:
    """Changed by ``name += ...``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the function ``node``. owner: the class, if it is a method; index: its position among the
    positional parameters, -1 for others."""

    arg: ast.arg
    node: FunctionNode
    owner: Class | None
    index: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bound to an unknown value: the variable of a loop, a part of a tuple, an exception."""


Binding: TypeAlias = Function | Class | Imported | Assigned | Augmented | Parameter | Unknown


class Scope:
    """One scope and the names bound in it."""

    __slots__ = ("bindings", "file", "global_names", "node", "nonlocal_names", "parent")

    def __init__(self, node: ast.AST, parent: Scope | None, file: SourceFile) -> None:
        self.node, self.parent, self.file = node, parent, file
        self.bindings: dict[str, list[Binding]] = {}
        self.global_names: set[str] = set()
        self.nonlocal_names: set[str] = set()

    @property
    def is_module(self) -> bool:
        return self.parent is None

    def find(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope whose binding of this name counts for code in this scope, and its bindings."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.global_names:
                scope = scope.module
            hidden = isinstance(scope.node, ast.ClassDef) and scope is not self
            if name in scope.bindings and not hidden:
                return scope, scope.bindings[name]
            scope = scope.parent
        return None

    @property
    def module(self) -> Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def bind(self, name: str, binding: Binding) -> None:
        scope = self
        if name in self.global_names:
            scope = self.module
        elif name in self.nonlocal_names and self.parent is not None:
            found = self.parent.find(name)
            scope = self if found is None else found[0]
        scope.bindings.setdefault(name, []).append(binding)


class Binder(ast.NodeVisitor):
    """Walks a module once. scopes: the scope of each function, lambda, class and comprehension; functions: all
    functions."""

    def __init__(self, tree: ast.Module, file: SourceFile) -> None:
        self.scope = Scope(tree, None, file)
        self.scopes: dict[ast.AST, Scope] = {tree: self.scope}
        self.functions: list[Function] = []
        self.star_imports: list[str] = []
        self._file = file
        self._has_declarations = "global " in file.text or "nonlocal " in file.text
        self._class: Class | None = None
        self.visit_all(tree.body)

    def visit_all(self, nodes: list[ast.stmt] | list[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    # ------------------------------------------------------------ scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all(node.decorator_list)
        for annotation in (node.returns, *(arg.annotation for arg in _all_args(node.args))):
            if annotation is not None:
                self.visit(annotation)
        self._function(node, node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node, "lambda", bound=False)

    def _function(self, node: FunctionNode, name: str, *, bound: bool = True) -> Function:
        self.visit_all([*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)])
        owner = self._class if isinstance(self.scope.node, ast.ClassDef) else None
        inner = Scope(node, self.scope, self._file)
        function = Function(name, node, inner, owner)
        if bound:
            self.scope.bind(name, function)
        self.functions.append(function)
        self.scopes[node] = inner
        positional = [*node.args.posonlyargs, *node.args.args]
        for arg in _all_args(node.args):
            index = positional.index(arg) if arg in positional else -1
            inner.bind(arg.arg, Parameter(arg, node, owner, index))
        self._within(inner, [node.body] if isinstance(node, ast.Lambda) else node.body, None)
        return function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(node.decorator_list)
        self.visit_all(node.bases)
        for keyword in node.keywords:
            self.visit(keyword.value)
        inner = Scope(node, self.scope, self._file)
        found = Class(node.name, node, inner)
        self.scope.bind(node.name, found)
        self.scopes[node] = inner
        self._within(inner, node.body, found)

    def _comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        inner = Scope(node, self.scope, self._file)
        self.scopes[node] = inner
        outer, self.scope = self.scope, inner
        for at, generator in enumerate(node.generators):
            self._target(generator.target)
            if at:
                self.visit(generator.iter)
            self.visit_all(generator.ifs)
        self.visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.scope = outer

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _within(self, scope: Scope, body: list[ast.stmt] | list[ast.expr], owner: Class | None) -> None:
        outer, outer_class = self.scope, self._class
        self.scope, self._class = scope, owner
        if self._has_declarations:
            for node in body:  # a 'global' line counts for the whole function
                for inner in own_nodes(node):
                    if isinstance(inner, ast.Global):
                        scope.global_names.update(inner.names)
                    elif isinstance(inner, ast.Nonlocal):
                        scope.nonlocal_names.update(inner.names)
        self.visit_all(body)
        self.scope, self._class = outer, outer_class

    # ------------------------------------------------------------ bindings

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            if name.asname is None:
                top = name.name.split(".")[0]
                self.scope.bind(top, Imported(top))
            else:
                self.scope.bind(name.asname, Imported(name.name))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._file.absolute(node.module or "", node.level)
        for name in node.names:
            if name.name == "*":
                self.star_imports.append(module)
            else:
                self.scope.bind(name.asname or name.name, Imported(f"{module}.{name.name}"))

    def visit_Assign(self, node: ast.Assign) -> None:
        single = node.targets[0] if len(node.targets) == 1 else None
        if isinstance(single, ast.Name) and isinstance(node.value, ast.Lambda):
            self.scope.bind(single.id, self._function(node.value, single.id, bound=False))
            return
        self.visit(node.value)
        for target in node.targets:
            self._target(target, Assigned(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
        self._target(node.target, Assigned(node.value, node.annotation))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._target(node.target, Augmented())

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        scope = self.scope
        while isinstance(scope.node, Comprehension) and scope.parent is not None:
            scope = scope.parent
        scope.bind(node.target.id, Assigned(node.value))

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._target(item.optional_vars, Assigned(item.context_expr))
        self.visit_all(node.body)

    visit_AsyncWith = visit_With

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self.scope.bind(node.name, Unknown())
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name is not None:
            self.scope.bind(node.name, Unknown())
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name is not None:
            self.scope.bind(node.name, Unknown())

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest is not None:
            self.scope.bind(node.rest, Unknown())
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):  # a loop's variable, 'del name'
            self.scope.bind(node.id, Unknown())

    def _target(self, node: ast.expr, binding: Binding | None = None) -> None:
        if isinstance(node, ast.Name):
            self.scope.bind(node.id, Unknown() if binding is None else binding)
        else:
            self.visit(node)


def own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """This node and the nodes below it, in the order of the source, without the bodies of functions and classes in
    it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _CLOSED):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def has_yield(body: list[ast.stmt]) -> bool:
    """Whether these statements contain a ``yield`` or ``yield from``, outside of inner functions."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for statement in body for node in own_nodes(statement))


def has_wait(body: list[ast.stmt]) -> bool:
    """The same, or an ``await``."""
    return any(isinstance(node, Waiting) for statement in body for node in own_nodes(statement))


def _all_args(arguments: ast.arguments) -> list[ast.arg]:
    more = [arg for arg in (arguments.vararg, arguments.kwarg) if arg is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *more]
