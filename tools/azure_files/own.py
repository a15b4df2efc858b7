"""This repository's own azure.yaml, infra, constraints and workflow: the templates of ``durable_core init``, rendered.

    python -m tools.azure_files.own

writes them anew. Change the templates, not these files; tests/unit/test_azure_files.py holds them equal.
"""

from __future__ import annotations

from pathlib import Path

from durable_core.cli.new_app.rendering import PYTHONS, SHARED, rendered

ROOT = Path(__file__).resolve().parents[2]
OWN = (
    "azure.yaml",
    "host.json",
    "local.settings.example.json",
    "infra/",
    "constraints/",
    ".github/workflows/deploy.yml",
)
"""What the repository has of the shared template; the rest, such as requirements.txt, is its own."""
_VALUES = {
    "name": "durable-core-samples",
    "hub": "durable",
    "python": "3.12",
    "wheel": "",
    "requirements": "-e '.[local,dev]' " + " ".join(f"-c constraints/python{python}.txt" for python in PYTHONS),
    "lint": "orchestrators function_app.py",
    "test": "python -m pytest -q -n logical -m 'not azurite' tests/unit tests/properties tests/contract",
    "timeout": "30",
    "try": "",
    "packages": "",
    "tools": "",
}


def own_files() -> dict[str, str]:
    """The content of each file by its path from the root."""
    return {path: content for path, content in rendered(SHARED, _VALUES) if path.startswith(OWN)}


def main() -> None:
    for name, content in own_files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
