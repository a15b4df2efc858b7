"""Resource types of Azure, as far as our Bicep files use them: derived from Azure/bicep-types-az, and kept beside this.

    python -m tools.azure_files.bicep_types CHECKOUT FOLDER

writes ``bicep_types.json`` anew, from the git directory of a clone of https://github.com/Azure/bicep-types-az (MIT
licence) for the Bicep files of a folder. An object type that no file uses is kept without its properties.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bicep import BicepFile, branches, read_bicep

INDEX = Path(__file__).with_name("bicep_types.json")
REPOSITORY = "https://github.com/Azure/bicep-types-az"
_REQUIRED, _READ_ONLY = 1, 2
_PRIMITIVES = {"StringType": "string", "IntegerType": "int", "BooleanType": "bool", "AnyType": "any"}

Node = Mapping[str, Any]
"""A type: ``kind`` is object, array, string, int, bool, any, or object without ``properties`` where it is not expanded.

object: ``properties`` (name to ``flags`` and ``type``), ``additional`` (the type of other properties), ``by`` and
``variants`` (the property that chooses, and more properties by its value). array: ``item``. string: ``values``, if
only these are allowed.
"""


def load_types() -> Mapping[str, Node]:
    """The derived types by ``type@version``."""
    return json.loads(INDEX.read_text("utf-8"))["resources"]


@dataclass(frozen=True, slots=True)
class _Checkout:
    git: Path
    commit: str

    def types_with(self, resource: str) -> list[Any]:
        """All types of the file that has this resource type. LookupError if Azure has none."""
        found = self._run("grep", "-l", "-F", f'"{resource}"', self.commit, "--", "generated/*/types.json")
        if not found:
            raise LookupError(f"{resource} is no resource type of {REPOSITORY} at {self.commit}")
        return json.loads(self._run("show", found.splitlines()[0]))

    def _run(self, *arguments: str) -> str:
        command = ["git", f"--git-dir={self.git}", *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=arguments[0] == "show").stdout


def derive(git: Path, files: Iterable[BicepFile]) -> dict[str, Any]:
    """The index for these files. LookupError if Azure has no such type."""
    head = subprocess.run(
        ["git", f"--git-dir={git}", "rev-parse", "HEAD"], stdout=subprocess.PIPE, check=True, text=True
    )
    checkout = _Checkout(git, head.stdout.strip())
    used = dict[str, list[Any]]()
    for file in files:
        for symbol, resource in file.resources.items():
            used.setdefault(resource.type, []).extend([resource.config, *file.uses_of(symbol)])
    resources = dict[str, Any]()
    for resource, values in sorted(used.items()):
        types = checkout.types_with(resource)
        body = next(each["body"] for each in types if each["$type"] == "ResourceType" and each["name"] == resource)
        resources[resource] = _node(types, body, values)
    return {"repository": REPOSITORY, "commit": checkout.commit, "resources": resources}


def _node(types: list[Any], ref: Mapping[str, str], used: list[Any]) -> dict[str, Any]:
    """The type, with the properties of each object on the way of the values in ``used``."""
    found = types[int(ref["$ref"].removeprefix("#/"))]
    kind: str = found["$type"]
    if kind in _PRIMITIVES:
        return {"kind": _PRIMITIVES[kind]}
    if kind == "StringLiteralType":
        return {"kind": "string", "values": [found["value"]]}
    if kind == "ArrayType":
        return {
            "kind": "array",
            "item": _node(types, found["itemType"], [item for value in used for item in _items(value)]),
        }
    if kind == "UnionType":
        return _union([_node(types, element, used) for element in found["elements"]])
    if kind == "DiscriminatedObjectType":
        variants = {
            value: _properties(types, types[int(element["$ref"].removeprefix("#/"))].get("properties", {}), used)
            for value, element in found["elements"].items()
        }
        return {
            "kind": "object",
            "properties": _properties(types, found["baseProperties"], used),
            "by": found["discriminator"],
            "variants": variants,
        }
    objects = [each for value in used for each in branches(value) if isinstance(each, Mapping)]
    if not objects:
        return {"kind": "object"}
    node: dict[str, Any] = {"kind": "object", "properties": _properties(types, found.get("properties", {}), objects)}
    if "additionalProperties" in found:
        node["additional"] = _node(types, found["additionalProperties"], [])
    return node


def _properties(types: list[Any], declared: Mapping[str, Any], used: list[Any]) -> dict[str, Any]:
    objects = [each for value in used for each in branches(value) if isinstance(each, Mapping)]
    return {
        name: {
            "flags": ("r" if each["flags"] & _REQUIRED else "") + ("o" if each["flags"] & _READ_ONLY else ""),
            "type": _node(types, each["type"], [value[name] for value in objects if name in value]),
        }
        for name, each in declared.items()
    }


def _items(value: Any) -> list[Any]:
    return [item for each in branches(value) for item in (each if isinstance(each, list) else [])]


def _union(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Texts that Azure lists are all that we take, also where it takes others: another one is a slip of the pen."""
    if all(node["kind"] == "string" for node in nodes):
        values = sorted({value for node in nodes for value in node.get("values", ())})
        return {"kind": "string", "values": values} if values else {"kind": "string"}
    return {"kind": "any"}


def main() -> None:
    git, folder = Path(sys.argv[1]), Path(sys.argv[2])
    index = derive(git, [read_bicep(path) for path in sorted(folder.glob("*.bicep"))])
    lines = [f" {json.dumps(name)}: {json.dumps(node, sort_keys=True)}" for name, node in index["resources"].items()]
    head = json.dumps({"repository": index["repository"], "commit": index["commit"]})[:-1]
    INDEX.write_text(head + ', "resources": {\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
