"""Finds uses of state that is not replayed (variables of modules), and of sets, which have no order."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TypeAlias

from .api import words
from .origins import External, Origins, Variable
from .scopes import Assigned, Augmented, Binding, Function, Parameter, Scope, own_nodes
from .sources import SourceFile

_CHANGES = words(
    "append extend insert remove pop clear update add discard setdefault popitem sort reverse appendleft popleft "
    "extendleft difference_update intersection_update symmetric_difference_update subtract"
)
_CONTAINERS = {
    f"{module}{name}()"
    for module, names in (
        ("builtins.", "list dict set bytearray"),
        ("collections.", "deque defaultdict Counter OrderedDict"),
    )
    for name in names.split()
}
_CONTAINER_TYPES = {
    "list",
    "dict",
    "set",
    "deque",
    "defaultdict",
    "Counter",
    "OrderedDict",
    "bytearray",
    "MutableMapping",
}
_SET_TYPES = {"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"}
_SETS_OF_SETS = {"union", "intersection", "difference", "symmetric_difference", "copy"}
_KEEPS_ORDER = {
    f"builtins.{name}" for name in ("list", "tuple", "enumerate", "iter", "reversed", "zip", "map", "filter")
}
_ITERATORS = {"itertools.count()", "itertools.cycle()", "builtins.iter()"}

_Test: TypeAlias = Callable[[ast.expr | None, Scope], bool]


class State:
    """Finds changes of variables that are not local to a function. Caches its findings for each file."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._changing: dict[SourceFile, frozenset[str]] = {}

    def changed(self, node: ast.AST, scope: Scope) -> Iterator[ast.expr]:
        """The expressions whose object this statement or call changes: ``x`` of ``x[1] = 2`` and of ``x.append(2)``."""
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                for target in targets:
                    yield from self._parts(target)
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                yield from self._parts(target)
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _CHANGES:
                yield _base(value)
            case ast.Call(func=ast.Name() as function, args=[first, *_]):
                if self._origins.dotted(function, scope) == "builtins.next":
                    yield first
            case _:
                pass

    def variable_changed(self, node: ast.expr, scope: Scope, *, by_call: bool) -> Variable | None:
        """The variable of a module that is changed when the object of this expression is changed."""
        variable = self._origins.variable(node, scope)
        if variable is None:
            return None
        return variable if not by_call or self._is_mutable(variable) else None

    def is_changing(self, variable: Variable) -> bool:
        """Whether a function of the variable's module changes it while the app runs."""
        file = variable.file
        if file not in self._changing:
            self._changing[file] = frozenset()  # for recursive calls
            self._changing[file] = frozenset(self._changed_in(file))
        return variable.name in self._changing[file]

    def _changed_in(self, file: SourceFile) -> Iterator[str]:
        early = set(self._run_by_import(file))
        for function in file.functions:
            if function in early or isinstance(function.node, ast.Lambda):
                continue
            for statement in function.node.body:
                for node in own_nodes(statement):
                    if isinstance(node, ast.Global):
                        yield from node.names
                    for base in self.changed(node, function.scope):
                        variable = self.variable_changed(base, function.scope, by_call=isinstance(node, ast.Call))
                        if variable is not None and variable.file is file:
                            yield variable.name

    def _run_by_import(self, file: SourceFile) -> Iterator[Function]:
        """Functions that run when the module is imported: it calls them, or uses them as decorators."""
        named: list[ast.expr] = []
        for node in ast.walk(file.tree):
            named.extend(getattr(node, "decorator_list", []))
        for statement in file.tree.body:
            named.extend(node.func for node in own_nodes(statement) if isinstance(node, ast.Call))
        outer: list[Function] = []
        for node in named:
            origin = self._origins.of(node.func if isinstance(node, ast.Call) else node, file.scope)
            if isinstance(origin, Function):
                outer.append(origin)
        for function in file.functions:
            if function in outer or any(function.is_inside(other) for other in outer):
                yield function

    def _parts(self, target: ast.expr) -> Iterator[ast.expr]:
        match target:
            case ast.Subscript(value=value):
                yield _base(value)
            case ast.Attribute(value=value):
                yield value if isinstance(value, ast.Attribute) else _base(value)
                yield target
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    yield from self._parts(part)
            case _:
                pass

    def _is_mutable(self, variable: Variable) -> bool:
        for bound in variable.file.scope.bindings[variable.name]:
            if not isinstance(bound, Assigned):
                continue
            if isinstance(bound.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.SetComp | ast.DictComp):
                return True
            origin = self._origins.of(bound.value, variable.file.scope)
            if isinstance(origin, External) and origin.dotted in _CONTAINERS | _ITERATORS:
                return True
            if _type_name(bound.annotation) in _CONTAINER_TYPES:
                return True
        return False


class Sets:
    """Recognises sets, and values in the order of a set."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._looking: set[tuple[Scope, str]] = set()

    def is_set(self, node: ast.expr | None, scope: Scope) -> bool:
        """Whether this is certainly a set, except for a set of numbers, whose order is always the same."""
        match node:
            case ast.Set(elts=elements):
                return not all(isinstance(e, ast.Constant) and isinstance(e.value, int) for e in elements)
            case ast.SetComp():
                return True
            case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
                return self.is_set(left, scope) or (not isinstance(node.op, ast.Sub) and self.is_set(right, scope))
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _SETS_OF_SETS:
                return self.is_set(value, scope)
            case ast.Call(func=function, args=args):
                made = self._origins.dotted(function, scope) in ("builtins.set", "builtins.frozenset")
                return made and not (args and isinstance(args[0], ast.Call) and self._is_range(args[0], scope))
            case ast.Name(id=name):
                return self._all(name, scope, self.is_set, _SET_TYPES)
            case _:
                return False

    def has_its_order(self, node: ast.expr | None, scope: Scope) -> bool:
        """Whether iterating over this follows the order of a set."""
        match node:
            case ast.ListComp(generators=[first, *_]) | ast.GeneratorExp(generators=[first, *_]):
                return self.has_its_order(first.iter, scope)
            case ast.Call(func=function, args=args) if args and not self.is_set(node, scope):
                return self._origins.dotted(function, scope) in _KEEPS_ORDER and any(
                    self.has_its_order(argument, scope) for argument in args
                )
            case ast.Starred(value=value):
                return self.has_its_order(value, scope)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return any(isinstance(e, ast.Starred) and self.has_its_order(e, scope) for e in elements)
            case ast.Name(id=name):
                return self._all(name, scope, self.has_its_order, _SET_TYPES)
            case _:
                return self.is_set(node, scope)

    def _is_range(self, node: ast.Call, scope: Scope) -> bool:
        return self._origins.dotted(node.func, scope) == "builtins.range"

    def _all(self, name: str, scope: Scope, test: _Test, types: set[str]) -> bool:
        found = scope.find(name)
        if found is None or (found[0], name) in self._looking:
            return False
        where, bindings = found
        self._looking.add((where, name))
        try:
            kinds = [bound for bound in bindings if not isinstance(bound, Augmented)]
            return bool(kinds) and all(self._is_kind(bound, where, test, types) for bound in kinds)
        finally:
            self._looking.discard((where, name))

    def _is_kind(self, bound: Binding, scope: Scope, test: _Test, types: set[str]) -> bool:
        match bound:
            case Assigned(value=None, annotation=annotation):
                return _type_name(annotation) in types
            case Assigned(value=value):
                return test(value, scope)
            case Parameter(arg=arg):
                return _type_name(arg.annotation) in types
            case _:
                return False


def _base(node: ast.expr) -> ast.expr:
    """``x`` of ``x[1][2]``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def _type_name(annotation: ast.expr | None) -> str:
    """The last word of ``collections.abc.Set[str]``: ``Set``."""
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    return annotation.id if isinstance(annotation, ast.Name) else ""
