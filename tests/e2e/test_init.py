"""``durable_core init``: the app that it makes installs into an empty environment, passes its tests, runs, deploys."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from durable_core.cli.new_app.rendering import PYTHONS, TEMPLATES
from tests.support.http_client import HttpClient
from tools.azure_files.checks import findings

ROOT = Path(__file__).resolve().parents[2]
ORDER = {"order_id": "o-1", "cents": 4200}


def environ() -> dict[str, str]:
    """The environment without settings of an app, and without what pytest has put into it."""
    mine = ("DURABLE_", "AzureWebJobs", "AzureFunctionsJobHost", "PYTHON", "VIRTUAL_ENV", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}


def run(command: list[str | Path], folder: Path, *, code: int = 0) -> str:
    """The output of a command, which must end with this exit code."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def init(*arguments: str | Path, folder: Path, code: int = 0) -> str:
    return run([sys.executable, "-m", "durable_core", "init", *arguments], folder, code=code)


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an app of each template, named as its template."""
    folder = tmp_path_factory.mktemp("apps")
    for template in TEMPLATES:
        assert "README.md says" in init(template, "--template", template, folder=folder)
    return folder


@pytest.fixture(scope="module")
def environment(apps: Path) -> Generator[Path]:
    """The programs of an environment that was empty, and into which the app with most requirements was installed."""
    folder = apps / "environment"
    run([sys.executable, "-m", "venv", folder], apps)
    programs = folder / "bin"
    run([programs / "python", "-m", "pip", "install", "--quiet", "-r", "requirements-dev.txt"], apps / "fastapi")
    yield programs
    shutil.rmtree(folder)  # 200 MB


@asynccontextmanager
async def host(command: list[str | Path], folder: Path, ready: str) -> AsyncGenerator[str]:
    """The address of a server of the app, which says it in the line with ``ready``."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=folder, env=environ(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    seen = list[str]()
    try:
        while ready not in "".join(seen[-1:]):
            line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
            assert line, "".join(seen)
            seen.append(line)
        reader = asyncio.create_task(process.stdout.read())
        yield "http://" + seen[-1].partition("http://")[2].split()[0]
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 30)
        assert b"Traceback" not in await reader
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_app_passes_its_own_tests_and_all_checks(template: str, apps: Path, environment: Path) -> None:
    app = apps / template
    assert " passed" in run([environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"], app)
    run([environment / "ruff", "check", "--no-cache", "."], app)
    run([environment / "durable_core", "lint", TEMPLATES[template].lint], app)
    run([environment / "durable_core", "host-json"], app)
    assert findings(app) == []


def test_the_command_of_the_installed_wheel_works_and_makes_the_same_wheel_again(apps: Path, environment: Path) -> None:
    assert run([environment / "durable_core", "--version"], apps).startswith("durable_core ")
    assert "init" in run([environment / "durable_core", "--help"], apps)
    made = apps / run([environment / "durable_core", "wheel", "again"], apps).strip()
    first = next((apps / "package" / "wheels").iterdir())
    assert made.read_bytes() == first.read_bytes()


def test_the_wheel_holds_what_setuptools_puts_into_one(apps: Path, tmp_path: Path) -> None:
    copy = tmp_path / "source"  # setuptools would leave its files in ours
    shutil.copytree(ROOT / "durable_core", copy / "durable_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "durable_core_pytest.py"):
        shutil.copy(ROOT / name, copy)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, copy], tmp_path)
    (built,) = tmp_path.glob("*.whl")
    (ours,) = (apps / "package" / "wheels").iterdir()
    assert built.name == ours.name

    def code(path: Path) -> dict[str, int]:
        with zipfile.ZipFile(path) as wheel:
            return {info.filename: info.CRC for info in wheel.infolist() if ".dist-info/" not in info.filename}

    assert code(built) == code(ours)


async def until_done(http: HttpClient, url: str, answer: Mapping[str, Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            got = await http.call("GET", url)
            if got.status == 200 and all(got.body.get(name) == value for name, value in answer.items()):
                return
            await asyncio.sleep(0.1)


async def test_the_app_in_packages_runs(apps: Path, environment: Path) -> None:
    command: list[str | Path] = [environment / "durable_core", "host", "--port", "0"]
    async with host(command, apps / "package", "listening on") as url, HttpClient(url) as http:
        assert (await http.call("POST", "/orchestrators/order/o-1", json=ORDER)).status == 202
        assert (await http.call("POST", "/instances/o-1/raiseEvent/Delivered", json={})).status == 202
        await until_done(http, f"{url}/api/durabletask/instances/o-1", {"output": "delivered"})
        refused = await http.call("POST", "/orchestrators/order/o-2", json={"order_id": "", "cents": 0})
        assert refused.status == 400


async def test_the_app_in_the_style_of_durable_functions_runs(apps: Path, environment: Path) -> None:
    command: list[str | Path] = [environment / "durable_core", "host", "--port", "0"]
    async with host(command, apps / "durable-functions", "listening on") as url, HttpClient(url) as http:
        started = await http.call("POST", f"{url}/api/orders", json=ORDER)
        assert (started.status, started.body["id"]) == (202, "o-1")
        event = started.body["sendEventPostUri"].replace("{eventName}", "Delivered")
        assert (await http.call("POST", event, json={})).status == 202
        await until_done(http, started.body["statusQueryGetUri"], {"output": "delivered"})
        assert (await http.call("POST", f"{url}/api/orders", json={"cents": "many"})).status == 400


async def test_the_app_with_fastapi_runs_in_one_process_and_in_two(apps: Path, environment: Path) -> None:
    app = apps / "fastapi"
    uvicorn: list[str | Path] = [environment / "python", "-m", "uvicorn", "api:api", "--port", "0"]
    async with (
        host([environment / "durable_core", "host", "--port", "0"], app, "listening on") as one,
        host(uvicorn, app, "running on") as two,
        HttpClient(one) as http,
    ):
        for number, url in enumerate((one, two)):
            order = f"{url}/api/orders/o-{number}"
            assert (
                await http.call("POST", f"{url}/api/orders", json=ORDER | {"order_id": f"o-{number}"})
            ).status == 202
            assert (await http.call("POST", f"{order}/delivered")).status == 202
            await until_done(http, order, {"status": "Completed", "outcome": "delivered"})
            assert (await http.call("POST", f"{url}/api/orders", json=ORDER | {"cents": 0})).status == 422
        assert (await http.call("GET", f"{one}/api/durabletask/instances/o-1")).body["output"] == "delivered"


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["Orders", "order_service", "1order", "o", "order--service", "ö-rder", "a" * 33, "-x"])
def test_a_name_that_does_not_fit_is_refused_and_nothing_is_made(name: str, tmp_path: Path) -> None:
    said = init("--", name, folder=tmp_path, code=2)
    assert "such as order-service" in said
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "main.py").write_text("mine")
    assert "is not empty (main.py)" in init("orders", folder=tmp_path, code=2)
    assert [path.name for path in (tmp_path / "orders").iterdir()] == ["main.py"]
    (tmp_path / "file").write_text("mine")
    assert "cannot be the folder" in init("file", folder=tmp_path, code=2)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_folder_and_a_path_are_taken(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    init(".", "--python", "3.13", folder=tmp_path / "orders")
    assert "name: orders\n" in (tmp_path / "orders" / "azure.yaml").read_text()
    assert "'3.13'" in (tmp_path / "orders" / "infra" / "main.bicep").read_text()
    init("deep/down/orders", folder=tmp_path)
    assert (tmp_path / "deep" / "down" / "orders" / "function_app.py").is_file()


def test_a_template_or_a_python_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "durable-functions" in init("orders", "--template", "django", folder=tmp_path, code=2)
    assert "3.12" in init("orders", "--python", "3.9", folder=tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the remote build


async def test_what_the_remote_build_installs_can_be_installed_together(tmp_path: Path) -> None:
    """For the other Pythons; for the one that runs this, ``environment`` is installed under the same constraints."""
    others = [python for python in PYTHONS if python != f"{sys.version_info[0]}.{sys.version_info[1]}"]
    there = {python: found for python in others if (found := interpreter_of(python)) is not None}
    if not there:
        pytest.skip(f"none of Python {', '.join(others)} is on this machine")
    reports = await asyncio.gather(*(asyncio.to_thread(dry_run, *each, tmp_path) for each in there.items()))
    for python, report in zip(there, reports, strict=True):
        installed = report.partition("Would install ")[2].split("\n")[0].split()
        pinned = (ROOT / "constraints" / f"python{python}.txt").read_text()
        assert len(installed) > 15
        for each in installed:
            name, _, version = each.rpartition("-")
            assert f"=={version} ;" in pinned, f"{name} {version} is not pinned for Python {python}"


def dry_run(python: str, interpreter: str, folder: Path) -> str:
    """What pip would install into an empty environment of this Python."""
    place = folder / python
    run([interpreter, "-m", "venv", place], folder)
    command = [place / "bin" / "python", "-m", "pip", "install", "--dry-run", "--only-binary=:all:"]
    return run([*command, "-r", "requirements.txt", "-c", f"constraints/python{python}.txt"], ROOT)


def interpreter_of(python: str) -> str | None:
    """A Python of this version of pyenv or on the PATH that really starts, else None."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python{python}"), reverse=True)
    on_path = shutil.which(f"python{python}")
    for candidate in [*map(str, kept), *([on_path] if on_path else [])]:
        if subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None
