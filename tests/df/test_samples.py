"""The samples in the style of Durable Functions differ from apps of Durable Functions by the line of the import."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.df.surface import Entry, entries
from tests.df.test_surface import needs_it

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "durable_functions"
APPS = sorted(path.parent for path in SAMPLES.glob("*/function_app.py"))
SOURCES = sorted(SAMPLES.glob("*/*.py"))
OURS, THEIRS = "import durable_core.df as df\n", "import azure.durable_functions as df\n"
OF = {"app": "DFApp", "greetings": "Blueprint", "orders": "Blueprint"}
"""What the variables of the samples' modules are. Parameters are annotated."""
SURFACE = {entry.path: entry for entry in entries()}
OF_THE_SDK = {"route"}
"""Decorators that ``azure.functions`` defines."""


def attributes(tree: ast.AST) -> Iterator[tuple[str, ast.Attribute, ast.Call | None]]:
    """The names of Durable Functions in a source, with the calls of them."""
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    scopes = [(tree, OF), *((function, parameters_in(function)) for function in functions)]
    for scope, owners in scopes:
        for node in ast.walk(scope):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = node.value.id
                if owner in owners and node.attr not in OF_THE_SDK:
                    yield f"{owners[owner]}.{node.attr}", node, calls.get(id(node))
                elif owner == "df" and scope is tree:
                    yield node.attr, node, calls.get(id(node))


def parameters_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """The parameters that are objects of Durable Functions, with their classes."""
    return {
        each.arg: each.annotation.attr
        for each in function.args.args
        if isinstance(each.annotation, ast.Attribute)
        and isinstance(each.annotation.value, ast.Name)
        and each.annotation.value.id == "df"
    }


def check(entry: Entry, call: ast.Call) -> None:
    """Whether a call gives only parameters that there are, and all that are needed."""
    assert entry.parameters is not None
    names = [name for name, _ in entry.parameters]
    given = {*names[: len(call.args)], *(keyword.arg for keyword in call.keywords)}
    assert len(call.args) <= len(names)
    assert given <= set(names)
    assert {name for name, default in entry.parameters if default is None} <= given


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_sample_uses_only_names_and_parameters_that_durable_functions_has(path: Path) -> None:
    source = path.read_text()
    assert source.count("durable_core") == source.count(OURS) <= 1
    for name, node, call in attributes(ast.parse(source)):
        known = name in SURFACE or any(entry.startswith(f"{name}.") for entry in SURFACE)
        assert known, f"{path}:{node.lineno}: {name}"
        if call is not None:
            check(SURFACE[name], call)


def test_the_samples_use_most_of_the_surface() -> None:
    used = {name for path in SOURCES for name, _, _ in attributes(ast.parse(path.read_text()))}
    assert len(used & set(SURFACE)) >= 25


@needs_it
@pytest.mark.parametrize("folder", APPS, ids=lambda folder: folder.name)
def test_a_sample_with_the_other_import_is_an_app_of_durable_functions(folder: Path, tmp_path: Path) -> None:
    app = tmp_path / folder.name
    shutil.copytree(folder, app, ignore=shutil.ignore_patterns("__pycache__", ".durable"))
    for path in app.glob("*.py"):
        path.write_text(path.read_text().replace(OURS, THEIRS))
    program = (
        "import json, sys, function_app\n"
        "assert 'durable_core' not in sys.modules\n"
        "print(json.dumps([binding.type for function in function_app.app.get_functions()"
        " for binding in function.get_bindings()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=app, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    types = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"httpTrigger", "durableClient"} <= types
    assert types & {"orchestrationTrigger", "entityTrigger"}


def test_the_list_of_the_samples_names_each() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)/function_app\.py\)", (SAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted((app.name, app.name) for app in APPS)
