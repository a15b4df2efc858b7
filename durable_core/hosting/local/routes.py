"""ASP.NET route templates, as the Functions host matches them. Pure text: knows no web framework.

Supported: literals, ``{name}``, ``{name?}``, ``{name=default}``, ``{*rest}``, several parameters in one segment,
and the constraints of ``_CONSTRAINTS``. Literals ignore case. Of several templates that match, the one with the
more literal segments wins, then the constrained one, and a catch-all comes last.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import unquote

from ...errors import ConfigurationError
from ...lazy_dataclass import dataclass

RESERVED = ("admin", "runtime")

_PARAMETER = re.compile(r"\{(?P<star>\*{0,2})(?P<name>[A-Za-z_]\w*)(?P<rest>(?:[^{}]|\{\{|\}\})*)\}")
_CONSTRAINT = re.compile(r":(?P<name>[a-z]+)(?:\((?P<args>.*?)\)(?=[:=?]|$))?", re.IGNORECASE)

Check = Callable[[str], bool]


def _parses(convert: Callable[[str], object]) -> Check:
    def check(text: str) -> bool:
        try:
            convert(text)
        except ValueError:
            return False
        return True

    return check


def _integer(bits: int) -> Check:
    def check(text: str) -> bool:
        return re.fullmatch(r"[+-]?\d+", text) is not None and -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1)

    return check


def _length(args: list[str]) -> Check:
    low, high = int(args[0]), int(args[-1])
    return lambda text: low <= len(text) <= high


def _range(args: list[str]) -> Check:
    low, high = int(args[0]), int(args[-1])
    is_long = _integer(64)
    return lambda text: is_long(text) and low <= int(text) <= high


_CONSTRAINTS: Mapping[str, Callable[[list[str]], Check]] = {
    "int": lambda _: _integer(32),
    "long": lambda _: _integer(64),
    "bool": lambda _: lambda text: text.lower() in ("true", "false"),
    "guid": lambda _: _parses(uuid.UUID),
    "alpha": lambda _: lambda text: re.fullmatch(r"[A-Za-z]*", text) is not None,
    "decimal": lambda _: _parses(float),
    "double": lambda _: _parses(float),
    "float": lambda _: _parses(float),
    "datetime": lambda _: _parses(datetime.fromisoformat),
    "required": lambda _: lambda text: text != "",
    "length": _length,
    "minlength": lambda args: _length([args[0], str(2**31)]),
    "maxlength": lambda args: _length(["0", args[0]]),
    "range": _range,
    "min": lambda args: _range([args[0], str(2**63)]),
    "max": lambda args: _range([str(-(2**63)), args[0]]),
}


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """One parsed template. ``shape`` is equal for two templates that no path can tell apart."""

    text: str
    shape: str
    precedence: tuple[int, ...]
    _pattern: re.Pattern[str]
    _checks: Mapping[str, Sequence[Check]]
    _defaults: Mapping[str, str]

    @property
    def fits(self) -> Callable[[str], re.Match[str] | None]:
        """Whether a path without slashes at its ends may match; ``match`` says whether it does."""
        return self._pattern.fullmatch

    def match(self, path: str) -> dict[str, str] | None:
        """The values of the parameters if this (still percent-encoded) path fits, else None.

        UnicodeDecodeError for encoded bytes that are no UTF-8: with a sign in their place, two paths would be one.
        """
        found = self._pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        values = {name: unquote(value, errors="strict") for name, value in found.groupdict().items() if value}
        for name, default in self._defaults.items():
            values.setdefault(name, default)
        for name, value in values.items():
            if not all(check(value) for check in self._checks.get(name, ())):
                return None
        return values


def parse_template(text: str, *, is_own: bool = False) -> RouteTemplate:
    """ConfigurationError if the template cannot be read, or begins with what the host keeps for itself.

    is_own: whether it is a route of the host, which may begin with that.
    """
    segments = [segment for segment in _split(text.strip("/")) if segment]
    if segments and segments[0].lower() in RESERVED and not is_own:
        raise ConfigurationError(
            f"route '{text}' begins with '{segments[0]}', which the Functions host reserves; choose another"
        )
    pattern, shape = "", list[str]()
    precedence = list[int]()
    checks = dict[str, list[Check]]()
    defaults = dict[str, str]()
    for index, segment in enumerate(segments):
        slash = "/" if index else ""
        parameters = list(_PARAMETER.finditer(segment))
        if not parameters:
            if "{" in segment or "}" in segment:
                raise ConfigurationError(f"route '{text}': '{segment}' is not a valid segment")
            pattern += slash + f"(?i:{re.escape(segment)})"
            shape.append(segment.lower())
            precedence.append(1)
            continue
        body, segment_shape, end = "", "", 0
        is_optional = False
        for parameter in parameters:
            name = parameter["name"]
            if name in checks:
                raise ConfigurationError(f"route '{text}' has the parameter '{name}' twice")
            options = _parameter_options(text, parameter["rest"])
            checks[name] = [check for _, check in options.checks]
            if options.default is not None:
                defaults[name] = options.default
            literal = segment[end : parameter.start()]
            body += f"(?i:{re.escape(literal)})"
            body += f"(?P<{name}>.*)" if parameter["star"] else f"(?P<{name}>[^/]+?)"
            segment_shape += literal.lower() + "{" + parameter["star"] + ",".join(n for n, _ in options.checks) + "}"
            is_optional = is_optional or options.is_optional or options.default is not None
            end = parameter.end()
        body += f"(?i:{re.escape(segment[end:])})"
        is_catch_all = bool(parameters[-1]["star"])
        if is_catch_all and index != len(segments) - 1:
            raise ConfigurationError(f"route '{text}': a catch-all parameter must come last")
        pattern += f"(?:{slash}{body})?" if is_optional or is_catch_all else slash + body
        shape.append(segment_shape + segment[end:].lower())
        is_constrained = any(checks[parameter["name"]] for parameter in parameters)
        mixed = len(parameters) > 1 or end < len(segment) or parameters[0].start() > 0
        rank = 5 if is_catch_all else 2 if mixed else 3
        precedence.append(rank if is_constrained or mixed else rank + 1)
    return RouteTemplate(
        text=text,
        shape="/".join(shape),
        precedence=tuple(precedence),
        _pattern=re.compile(pattern),
        _checks=checks,
        _defaults=defaults,
    )


@dataclass(frozen=True, slots=True)
class _ParameterOptions:
    checks: list[tuple[str, Check]]
    default: str | None
    is_optional: bool


def _parameter_options(text: str, rest: str) -> _ParameterOptions:
    checks, position = list[tuple[str, Check]](), 0
    while found := _CONSTRAINT.match(rest, position):
        name, position = found["name"].lower(), found.end()
        if name == "regex":
            expression = found["args"] or ""
            for bracket in "{}[]":  # a template doubles these
                expression = expression.replace(bracket * 2, bracket)
            try:
                search = re.compile(expression, re.IGNORECASE).search
            except re.error as error:
                raise ConfigurationError(f"route '{text}': regex({expression}) is not valid: {error}") from error
            checks.append((found[0], lambda value, search=search: search(value) is not None))
            continue
        make = _CONSTRAINTS.get(name)
        if make is None:
            known = ", ".join(sorted([*_CONSTRAINTS, "regex"]))
            raise ConfigurationError(f"route '{text}': there is no constraint '{name}'; known: {known}")
        try:
            checks.append((found[0].lower(), make([arg.strip() for arg in (found["args"] or "").split(",")])))
        except (ValueError, IndexError) as error:
            raise ConfigurationError(f"route '{text}': '{found[0]}' has wrong arguments") from error
    tail = rest[position:]
    if tail not in ("", "?") and not tail.startswith("="):
        raise ConfigurationError(f"route '{text}': cannot read '{tail}'")
    return _ParameterOptions(checks, tail[1:] if tail.startswith("=") else None, tail == "?")


def _split(text: str) -> list[str]:
    """Split at slashes outside braces: a regex constraint may hold one."""
    segments, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == "/" and depth <= 0:
            segments.append("")
        else:
            segments[-1] += character
    return segments


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """A template, the methods it answers (empty: all of them), and what answers."""

    template: RouteTemplate
    methods: frozenset[str]
    target: T


class Router(Generic[T]):
    """Finds the best route of a path and method."""

    def __init__(self, routes: Sequence[Route[T]]) -> None:
        """ConfigurationError if two routes answer the same paths by the same method."""
        for index, one in enumerate(routes):
            for other in routes[:index]:
                same_method = not one.methods or not other.methods or one.methods & other.methods
                if one.template.shape == other.template.shape and same_method:
                    raise ConfigurationError(
                        f"route conflict: '{other.template.text}' and '{one.template.text}' answer the same requests"
                    )
        ordered = sorted(routes, key=lambda route: route.template.precedence)
        # An app has dozens of routes, and a request tries most of them: by the pattern alone, without a call of ours.
        self._routes = [(route.template.fits, route) for route in ordered]

    def find(self, method: str, path: str) -> tuple[T, dict[str, str]] | None:
        """The target and its parameters, or None: as in Azure, a wrong method is no match either."""
        method, bare = method.upper(), path.strip("/")
        for fits, route in self._routes:
            if fits(bare) is None or (route.methods and method not in route.methods):
                continue
            values = route.template.match(path)
            if values is not None:
                return route.target, values
        return None
