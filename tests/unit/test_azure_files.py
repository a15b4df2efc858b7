"""What deploys an app to Azure, checked without Azure; and that each check finds what it is for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import azure.functions as func
import pytest

from durable_core import Registry
from durable_core.cli.new_app.rendering import TEMPLATES, NewApp
from durable_core.hosting.functions import Durable
from durable_core.settings import Settings
from tools.azure_files.bicep import read_bicep
from tools.azure_files.checks import (
    PYTHONS,
    azure_yaml_findings,
    bicep_findings,
    constraint_findings,
    findings,
    workflow_findings,
)
from tools.azure_files.own import own_files

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
ROLES = {
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "storageTableDataReader": "76199698-9eea-4c19-bc75-cec21354c6b6",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
}
"""Built-in roles of Azure, from Microsoft Learn, *Azure built-in roles*."""


def test_the_repositorys_own_files_are_those_of_the_template() -> None:
    own = own_files()
    assert len(own) > 15
    for name, content in own.items():
        assert (ROOT / name).read_text("utf-8") == content, f"{name}: run python -m tools.azure_files.own"
    for folder in ("infra", "constraints"):
        there = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {name for name in there if "__pycache__" not in name} == {
            name for name in own if name.startswith(folder)
        }


def test_nothing_is_wrong_with_the_repositorys_own_files() -> None:
    assert findings(ROOT) == []
    assert workflow_findings(ROOT / ".github" / "workflows" / "ci.yml") == []


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("python", PYTHONS)
def test_nothing_is_wrong_with_what_init_makes(template: str, python: str, tmp_path: Path) -> None:
    app = NewApp(name="order-service", template=template, python=python, wheel="durable_core-0-py3-none-any.whl")
    for name, content in app.files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if template == "package" and python == "3.11":  # the schemas take a second; the files differ by three words
        assert findings(tmp_path) == []
    assert bicep_findings(tmp_path / "infra") == []
    assert constraint_findings(tmp_path) == []
    assert f"param pythonVersion string = '{python}'" in (tmp_path / "infra" / "main.bicep").read_text()


# ---------------------------------------------------------------- each check can fail

HOOK = "hooks:\n  preprovision:\n    posix:\n      shell: sh\n      run: {}\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("storage.bicep", "allowSharedKeyAccess", "allowSharedKeyAcces", "no property 'allowSharedKeyAcces'"),
        ("storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: 1", "takes a value of kind bool"),
        ("storage.bicep", "'StorageV2'", "'StorageV9'", "'StorageV9', but Azure takes"),
        ("storage.bicep", "  kind: 'StorageV2'\n", "", "lacks the property 'kind'"),
        ("storage.bicep", "storageAccounts@2024-01-01' = {", "storageAccounts@2019-01-01' = {", "not in bicep_types"),
        ("storage.bicep", "primaryEndpoints.blob", "primaryEndpoint.blob", "no property 'properties.primaryEnd"),
        ("storage.bicep", "principalType: 'ServicePrincipal'", "principalType: 'Robot'", "'Robot', but Azure takes"),
        ("storage.bicep", "param isPrivate bool\n", "", "nothing declares 'isPrivate'"),
        ("storage.bicep", "scope: account\n", "scope: acount\n", "nothing declares 'acount'"),
        ("storage.bicep", "var packageContainer", "var unused = 1\nvar packageContainer", "nothing uses 'unused'"),
        ("storage.bicep", "output id string", "output ids string", "storage.bicep has no output 'id'"),
        ("storage.bicep", "guid(account.id", "guids(account.id", "'guids' is no function"),
        ("storage.bicep", "kind: 'StorageV2'", "kind = 'StorageV2'", "is not Bicep"),
        ("function_app.bicep", "instanceMemoryMB: 2048", "instanceMemoryMB: '2048'", "takes a value of kind int"),
        ("function_app.bicep", "name: 'python'", "name: 'pythn'", "'pythn', but Azure takes"),
        ("function_app.bicep", "type: 'UserAssignedIdentity'", "type: 'Identity'", "'Identity', but Azure takes"),
        ("function_app.bicep", "    serverFarmId: plan.id", "    state: 'Running'", "set by Azure alone"),
        ("function_app.bicep", "name: 'appsettings'", "name: 'appsetting'", "'appsetting', but Azure takes"),
        ("alerts.bicep", "operator: 'GreaterThan'", "operator: 'Greater'", "'Greater', but Azure takes"),
        ("alerts.bicep", "threshold: 1\n", "threshold: true\n", "takes a value of kind int"),
        ("network.bicep", "id: endpointSubnet.id", "ids: endpointSubnet.id", "no property 'ids'"),
        ("main.bicep", "    signWith: signWith\n", "", "does not give the parameter 'signWith'"),
        ("vault.bicep", "account.listKeys()", "account.listKey()", "'listKey' is no function of a resource"),
        ("vault.bicep", "var primary", "var primaries", "nothing declares 'primary'"),
        ("main.bicep", "email: alertEmail", "mail: alertEmail", "alerts.bicep has no parameter 'mail'"),
        ("main.bicep", "module alerts 'alerts.bicep'", "module alerts 'alert.bicep'", "alert.bicep, which is not"),
        ("main.parameters.json", '"location"', '"region"', "main.bicep has no parameter 'region'"),
        ("main.parameters.json", '"environmentName"', '"x": {}, "hub2"', "not give the parameter 'environmentName'"),
        ("main.parameters.json", "{\n", "{{\n", "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_infrastructure_is_found(file: str, old: str, new: str, found: str, tmp_path: Path) -> None:
    infra = tmp_path / "infra"
    shutil.copytree(INFRA, infra)
    text = (infra / file).read_text()
    assert old in text
    (infra / file).write_text(text.replace(old, new, 1))
    assert any(found in each for each in bicep_findings(infra)), bicep_findings(infra)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("services:", f"{HOOK.format('python3 infra/hooks/a.py')}services:", "'infra/hooks/a.py', which is not there"),
        ("services:", f"{HOOK.format('echo hello')}services:", "names no script"),
        ("host: function\n    remoteBuild: true", "host: appservice", "host: function"),
        ("project: .", "project: src", "'src', which is not there"),
        ("services:", "service:", "one service"),
        ("remoteBuild: true", "remoteBuild: perhaps", "remoteBuild"),
    ],
)
def test_a_mistake_in_azure_yaml_is_found(old: str, new: str, found: str, tmp_path: Path) -> None:
    shutil.copytree(INFRA, tmp_path / "infra")
    text = (ROOT / "azure.yaml").read_text()
    assert old in text
    (tmp_path / "azure.yaml").write_text(text.replace(old, new, 1))
    assert found in "\n".join(azure_yaml_findings(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("needs: test", "needs: tests", "tests"),
        ("matrix.python-version }}\n      - name", "matrix.python }}\n      - name", "python"),
        ("runs-on: ubuntu-latest", "runs_on: ubuntu-latest", "runs_on"),
        ("vars.AZURE_CLIENT_ID != ''", "var.AZURE_CLIENT_ID != ''", "undefined variable"),
    ],
)
def test_a_mistake_in_the_workflow_is_found(old: str, new: str, found: str, tmp_path: Path) -> None:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    assert old in text
    path = tmp_path / "deploy.yml"
    path.write_text(text.replace(old, new, 1))
    assert found in "\n".join(workflow_findings(path))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("aiohttp==", "aiohttpx==", "does not pin aiohttp"),
        ("pydantic==2", "pydantic==1", "pins pydantic 1"),
    ],
)
def test_a_constraint_that_does_not_fit_is_found(old: str, new: str, found: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "constraints", tmp_path / "constraints")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    path = tmp_path / "constraints" / "python3.12.txt"
    path.write_text(path.read_text().replace(old, new, 1))
    assert found in "\n".join(constraint_findings(tmp_path))
    path.unlink()
    assert "constraints/python3.12.txt is missing" in constraint_findings(tmp_path)


# ---------------------------------------------------------------- what the files say


@pytest.mark.parametrize("template", [None, *TEMPLATES])
def test_what_azure_needs_is_deployed_and_what_it_does_not_need_is_not(template: str | None) -> None:
    if template is None:
        if not (ROOT / ".git").exists():
            pytest.skip("without git there is no telling what is of the repository")
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        files = set(listed.stdout.splitlines())
        patterns = (ROOT / ".funcignore").read_text().splitlines()
    else:
        made = NewApp(name="orders", template=template, wheel="w").files()
        files, patterns = {*made, "wheels/w", ".azure/x/.env"}, made[".funcignore"].splitlines()
    deployed = {
        file
        for file in files
        if not any(fnmatch(part, pattern.strip("/")) for pattern in patterns for part in file.split("/"))
    }
    needed = {
        "function_app.py",
        "host.json",
        "requirements.txt",
        *(f"constraints/python{each}.txt" for each in PYTHONS),
    }
    assert needed <= deployed
    assert template is None or "wheels/w" in deployed
    folders = {file.split("/")[0] for file in deployed if "/" in file}
    assert folders <= {"activities", "orchestrators", "durable_core", "constraints", "wheels"}


def test_roles_are_given_by_their_right_ids() -> None:
    given = dict[str, str]()
    for path in INFRA.glob("*.bicep"):
        given |= re.findall(r"^var (\w+) = '([0-9a-f]{8}-[0-9a-f-]{27})'$", path.read_text(), re.MULTILINE)
    assert given == ROLES


def test_keys_of_the_account_are_refused_and_the_identity_does_everything() -> None:
    storage = read_bicep(INFRA / "storage.bicep").resources["account"].config["properties"]
    assert (storage["allowSharedKeyAccess"], storage["allowBlobPublicAccess"]) == (False, False)
    app = read_bicep(INFRA / "function_app.bicep").resources
    settings = app["settings"].config["properties"]
    assert settings["AzureWebJobsStorage__credential"] == "managedidentity"
    assert "AzureWebJobsStorage" not in settings
    assert settings["DURABLE_SIGNING_KEYS"].startswith("@Microsoft.KeyVault(")
    deployment = app["app"].config["properties"]["functionAppConfig"]["deployment"]["storage"]["authentication"]
    assert deployment["type"] == "UserAssignedIdentity"
    assert app["app"].config["properties"]["keyVaultReferenceIdentity"] == "identityId"


def test_no_line_that_alerts_need_is_sampled_away_and_the_hosts_own_are_left_out() -> None:
    logging = json.loads((ROOT / "host.json").read_text())["logging"]
    assert "Trace" in logging["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";")
    for name in ("durable_control", "durable_work"):
        assert logging["logLevel"][f"Function.{name}"] == "Warning"
        assert logging["logLevel"][f"Function.{name}.User"] == "Information"


def test_settings_of_the_app_are_settings_that_exist() -> None:
    settings = read_bicep(INFRA / "function_app.bicep").resources["settings"].config["properties"]
    ours = {name for name in settings if name.startswith("DURABLE_")}
    known = (ROOT / "durable_core" / "settings.py").read_text()
    assert len(ours) >= 4
    assert all(f'"{name}"' in known for name in ours)
    environ = {name: "2" if name == "DURABLE_PARTITIONS" else "https://x" for name in ours - {"DURABLE_HUB"}}
    assert Settings.from_environment(environ).partitions == 2
    assert len(fields(Settings)) > len(ours)


@pytest.mark.parametrize("partitions", [1, 3])
def test_what_is_always_ready_is_a_function_of_the_app(partitions: int) -> None:
    text = (INFRA / "function_app.bicep").read_text()
    match = re.search(r"name: index == 0 \? 'function:(\w+)' : 'function:(\w+)\$\{index\}'", text)
    assert match is not None
    durable = Durable(Registry(), settings=Settings(partitions=partitions, store=":memory:"))
    app = func.FunctionApp()
    app.register_functions(durable.blueprint())
    names = {function.get_function_name() for function in app.get_functions()}
    expected = {match[1] if index == 0 else f"{match[2]}{index}" for index in range(partitions)}
    assert expected <= names


def test_signing_keys_come_from_both_keys_of_an_account_that_accepts_neither() -> None:
    text = (INFRA / "vault.bicep").read_text()
    assert re.findall(r"account\.listKeys\(\)\.keys\[(\d)\]\.value", text) == ["0", "1"]
    assert "value: signWith == 1 ? '${first},${second}' : '${second},${first}'" in text
    storage = read_bicep(INFRA / "storage.bicep").resources["account"].config["properties"]
    assert storage["allowSharedKeyAccess"] is False
