"""The constraints of the remote build: what pip installs today into an empty environment of each Python.

    python -m tools.azure_files.constraints python3.11 python3.12 python3.13

writes a file for each of these interpreters. The packages are those that an app needs in Azure, of any template.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from durable_core.cli.new_app.rendering import TEMPLATES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "durable_core" / "cli" / "new_app" / "templates" / "shared" / "constraints"
OF_TEMPLATES = tuple(package for template in TEMPLATES.values() for package in template.packages)


def write_constraints(interpreter: str, folder: Path = FOLDER) -> Path:
    """Install into an empty environment of this interpreter, and write what is there then."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([interpreter, "-m", "venv", place], check=True)
        python = str(Path(place, "bin", "python"))
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        subprocess.run([*install, "-r", str(ROOT / "requirements.txt"), *OF_TEMPLATES], check=True)
        version = _output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        pins = _output([python, "-m", "pip", "list", "--format=freeze", "--exclude=pip", "--exclude=setuptools"])
    path = folder / f"python{version}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    head = f"# What the remote build installs for Python {version}: the versions with which the app was tested.\n"
    # With the marker all files can be given to pip at once, and that of its own Python counts.
    lines = [f'{pin} ; python_version == "{version}"\n' for pin in pins.splitlines()]
    path.write_text(head + "".join(lines), encoding="utf-8")
    return path


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    for interpreter in sys.argv[1:]:
        print(write_constraints(interpreter).relative_to(ROOT))


if __name__ == "__main__":
    main()
