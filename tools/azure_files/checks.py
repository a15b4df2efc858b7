"""All checks of the files that deploy an app, each offline: ``findings(folder)`` is empty where nothing is wrong.

python -m tools.azure_files.checks FOLDER
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from ruamel.yaml import YAML

from .bicep import BicepFile, branches, read_bicep
from .bicep_types import Node, load_types

AZD_SCHEMA = Path(__file__).with_name("azure.yaml.schema.json")
"""schemas/v1.0/azure.yaml.json of https://github.com/Azure/azure-dev (MIT licence), as it is there."""
PYTHONS = ("3.11", "3.12", "3.13")
FUNCTIONS = {
    *("empty", "environment", "guid", "range", "string", "union", "uniqueString"),
    *("subscription", "subscriptionResourceId"),
}
"""Functions of Bicep that our files use; another one is taken for a mistake until it stands here."""
METHODS = ("listKeys",)
"""The same for functions of resources."""
_EVERYWHERE = ("parent", "scope", "dependsOn")
_SCRIPT = re.compile(r"[\w./-]+\.(?:py|sh|ps1)\b")


def findings(folder: Path) -> list[str]:
    """What is wrong with the files of an app that deploy it. A file that is missing is wrong, too."""
    return [
        *bicep_findings(folder / "infra"),
        *azure_yaml_findings(folder),
        *workflow_findings(folder / ".github" / "workflows" / "deploy.yml"),
        *constraint_findings(folder),
    ]


# ---------------------------------------------------------------- Bicep


def bicep_findings(infra: Path) -> list[str]:
    """Bicep files against Azure's types, against each other, and against the file of parameters."""
    files = dict[str, BicepFile]()
    found = list[str]()
    for path in sorted(infra.glob("*.bicep")):
        try:
            files[path.name] = read_bicep(path)
        except ValueError as error:
            found.append(str(error))
    if "main.bicep" not in files:
        return [*found, f"{infra} has no main.bicep that can be read"]
    types = load_types()
    for name, file in files.items():
        for each in (*_of_types(file, types), *_of_names(file, types, files), *_of_modules(file, files)):
            found.append(f"{name}: {each}")
    return [*found, *_of_parameters(infra / "main.parameters.json", files["main.bicep"])]


def _of_types(file: BicepFile, types: Mapping[str, Node]) -> Iterator[str]:
    for symbol, resource in file.resources.items():
        if resource.type not in types:
            yield f"'{symbol}' is a {resource.type}, which is not in bicep_types.json: derive it (bicep_types.py)"
            continue
        body = {key: value for key, value in resource.config.items() if key not in _EVERYWHERE}
        if not resource.is_existing:
            yield from _of_value(body, types[resource.type], symbol, file.symbols)


def _of_value(value: Any, node: Node, place: str, symbols: frozenset[str]) -> Iterator[str]:
    for each in branches(value):
        if isinstance(each, Mapping) and ("function" in each or isinstance(each.get("operator"), Mapping)):
            continue
        if isinstance(each, str):
            yield from _of_text(each, node, place, symbols)
        elif isinstance(each, bool) or not isinstance(each, int | list | Mapping):
            if node["kind"] not in ("bool", "any") and each is not None:
                yield f"{place} is {each}, but Azure takes {_shown(node)}"
        elif isinstance(each, int):
            if node["kind"] not in ("int", "any"):
                yield f"{place} is the number {each}, but Azure takes {_shown(node)}"
        elif isinstance(each, list):
            if node["kind"] == "array":
                for index, item in enumerate(each):
                    yield from _of_value(item, node["item"], f"{place}[{index}]", symbols)
            elif node["kind"] != "any":
                yield f"{place} is a list, but Azure takes {_shown(node)}"
        elif node["kind"] == "object":
            yield from _of_object(each, node, place, symbols)
        elif node["kind"] != "any":
            yield f"{place} is an object, but Azure takes {_shown(node)}"


def _of_text(text: str, node: Node, place: str, symbols: frozenset[str]) -> Iterator[str]:
    """The parser tells a string from a name by nothing: a text that is a declared name, or has one in it, passes."""
    if text in symbols or text == "null" or "${" in text or node["kind"] == "any":
        return
    if node["kind"] != "string" or text not in node.get("values", (text,)):
        yield f"{place} is '{text}', but Azure takes {_shown(node)}"


def _of_object(value: Mapping[str, Any], node: Node, place: str, symbols: frozenset[str]) -> Iterator[str]:
    if "properties" not in node:
        yield f"{place} is of a type that bicep_types.json does not have in full: derive it anew (bicep_types.py)"
        return
    declared: dict[str, Any] = dict(node["properties"])
    if "by" in node:
        variant = str(value.get(node["by"], ""))
        if variant not in node["variants"]:
            yield f"{place}.{node['by']} is '{variant}', but Azure takes {', '.join(sorted(node['variants']))}"
            return
        declared |= node["variants"][variant]
    for key, inner in value.items():
        name = key.strip("'")
        known = declared.get(name)
        if known is not None and "o" in known["flags"]:
            yield f"{place}.{name} is set by Azure alone"
        elif known is not None:
            yield from _of_value(inner, known["type"], f"{place}.{name}", symbols)
        elif "additional" in node:
            yield from _of_value(inner, {**node["additional"]}, f"{place}.{name}", symbols) if inner != {} else ()
        else:
            yield f"{place} has no property '{name}' in Azure; it has: {', '.join(sorted(declared))}"
    for name, known in declared.items():
        if "r" in known["flags"] and "o" not in known["flags"] and name not in {key.strip("'") for key in value}:
            yield f"{place} lacks the property '{name}'"


def _shown(node: Node) -> str:
    return (
        " or ".join(f"'{value}'" for value in node["values"]) if "values" in node else f"a value of kind {node['kind']}"
    )


def _of_names(file: BicepFile, types: Mapping[str, Node], files: Mapping[str, BicepFile]) -> Iterator[str]:
    """Names in expressions that nothing declares; properties and outputs that are not there; what nothing uses."""
    for name, steps, is_call in file.chains:
        if is_call and not steps:
            if name not in FUNCTIONS:
                yield f"'{name}' is no function of Bicep that we know"
        elif name in FUNCTIONS:
            continue
        elif name not in file.symbols:
            if name not in _declared_words(file):
                yield f"nothing declares '{name}'"
        elif name in file.resources and is_call:
            if steps[-1] not in METHODS:
                yield f"'{'.'.join(steps)}' is no function of a resource that we know"
        elif name in file.resources and steps:
            yield from _of_steps(types.get(file.resources[name].type), name, steps)
        elif name in file.modules and steps[:1] == ("outputs",):
            target = files.get(file.modules[name].path)
            if target is not None and steps[1] not in target.outputs:
                yield f"{target.path.name} has no output '{steps[1]}'"
    used = {name for name, _, _ in file.chains}
    for name in (*file.parameters, *file.variables):
        if name not in used:
            yield f"nothing uses '{name}'"


def _declared_words(file: BicepFile) -> frozenset[str]:
    """Words of declarations, which stand where expressions stand."""
    return frozenset({"null", "subscription", *file.outputs})


def _of_steps(node: Node | None, name: str, steps: tuple[str, ...]) -> Iterator[str]:
    for step in steps:
        if node is None or node["kind"] == "any" or "properties" not in node:
            return
        known = node["properties"].get(step)
        if known is None:
            yield f"'{name}' has no property '{'.'.join(steps)}' in Azure"
            return
        node = known["type"]


def _of_modules(file: BicepFile, files: Mapping[str, BicepFile]) -> Iterator[str]:
    for symbol, module in file.modules.items():
        target = files.get(module.path)
        if target is None:
            yield f"module '{symbol}' is {module.path}, which is not there"
            continue
        for name in module.params:
            if name not in target.parameters:
                yield f"{module.path} has no parameter '{name}'"
        for name, parameter in target.parameters.items():
            if name not in module.params and parameter["default"] is None:
                yield f"module '{symbol}' does not give the parameter '{name}' of {module.path}"


def _of_parameters(path: Path, main: BicepFile) -> Iterator[str]:
    try:
        given = json.loads(path.read_text("utf-8"))["parameters"]
    except (OSError, ValueError, KeyError) as error:
        yield f"{path.name} cannot be read: {error}"
        return
    for name in given:
        if name not in main.parameters:
            yield f"{path.name}: main.bicep has no parameter '{name}'"
    for name, parameter in main.parameters.items():
        if name not in given and parameter["default"] is None:
            yield f"{path.name} does not give the parameter '{name}'"


# ---------------------------------------------------------------- azure.yaml and the workflow


def azure_yaml_findings(folder: Path) -> list[str]:
    """azure.yaml by azd's own schema; each hook's script, project and folder that it names exists."""
    path = folder / "azure.yaml"
    if not path.is_file():
        return ["azure.yaml is missing"]
    found = _run("check_jsonschema", "--schemafile", str(AZD_SCHEMA), str(path))
    if found:
        return found
    document: dict[str, Any] = YAML(typ="safe").load(path.read_text("utf-8"))
    services: dict[str, Any] = document.get("services", {})
    if [service["host"] for service in services.values()] != ["function"]:
        found.append("azure.yaml must have one service, with 'host: function'")
    places = [document["infra"]["path"], *(service["project"] for service in services.values())]
    for run in _runs(document.get("hooks", {})):
        scripts = _SCRIPT.findall(run)
        if not scripts:
            found.append(f"azure.yaml: a hook runs '{run}', which names no script")
        places += scripts
    return found + [
        f"azure.yaml names '{place}', which is not there" for place in places if not (folder / place).exists()
    ]


def _runs(hooks: Any) -> Iterator[str]:
    if isinstance(hooks, Mapping):
        for key, value in hooks.items():
            if key == "run":
                yield str(value)
            else:
                yield from _runs(value)
    elif isinstance(hooks, list):
        for each in hooks:
            yield from _runs(each)


def workflow_findings(path: Path) -> list[str]:
    """A workflow by GitHub's schema, and by actionlint."""
    if not path.is_file():
        return [f"{path.name} is missing"]
    return [
        *_run("check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)),
        *_output_of_failure(
            [str(Path(sys.executable).with_name("actionlint")), "-shellcheck=", "-pyflakes=", str(path)]
        ),
    ]


def _run(module: str, *arguments: str) -> list[str]:
    return _output_of_failure([sys.executable, "-m", module, *arguments])


def _output_of_failure(command: list[str]) -> list[str]:
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [] if ran.returncode == 0 else [ran.stdout.strip() or f"{command[0]} ended with {ran.returncode}"]


# ---------------------------------------------------------------- what is installed


def constraint_findings(folder: Path) -> list[str]:
    """A file of constraints for each Python, which pins all that requirements.txt asks for, to what it allows."""
    found = list[str]()
    wanted = _requirements(folder / "requirements.txt")
    for python in PYTHONS:
        path = folder / "constraints" / f"python{python}.txt"
        if not path.is_file():
            found.append(f"constraints/{path.name} is missing")
            continue
        pins = {name.lower().replace("_", "-"): version for name, version in _pins(path)}
        for requirement in wanted:
            if requirement.marker is not None and not requirement.marker.evaluate({"python_version": python}):
                continue
            version = pins.get(requirement.name.lower().replace("_", "-"))
            if version is None:
                found.append(f"constraints/{path.name} does not pin {requirement.name}")
            elif not requirement.specifier.contains(version, prereleases=True):
                found.append(
                    f"constraints/{path.name} pins {requirement.name} {version}, but {requirement} is asked for"
                )
    return found


def _requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and line[0] not in "-./"]


def _pins(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition(";")[0].partition("==")
            yield name.strip(), version.strip()


def main() -> None:
    found = findings(Path(sys.argv[1]))
    print("\n".join(found) or "nothing is wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
