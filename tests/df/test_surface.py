"""The names and parameters of Durable Functions: a list says them, and both packages have them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest

from tests.df.surface import Entry, entries, signature_of

ENTRIES = list(entries())
IS_THERE = find_spec("azure.durable_functions") is not None
NOT_THERE = "azure-functions-durable is not installed: pip install -e '.[dev]'"

needs_it = pytest.mark.skipif(not IS_THERE, reason=NOT_THERE)

# Parameters that we add to those of Durable Functions, or give a default.
MORE = {
    "DFApp.activity_trigger": (("input_type", "None"),),
    "Blueprint.activity_trigger": (("input_type", "None"),),
}
WITH_DEFAULT = {"DurableOrchestrationContext.continue_as_new"}


def package_of(name: str) -> ModuleType:
    package = import_module(name)
    for part in ("models", "models.Task", "models.TokenSource", "models.utils.entity_utils", "testing"):
        import_module(f"{name}.{part}")
    return package


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path)
def test_durable_core_has_each_name_with_the_same_parameters(entry: Entry) -> None:
    found = entry.found_in(package_of("durable_core.df"))
    if entry.parameters is None:
        return
    ours = signature_of(found)
    if entry.path in WITH_DEFAULT:
        ours = tuple((name, None) for name, _ in ours)
    assert ours == entry.parameters + MORE.get(entry.path, ())


@needs_it
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path)
def test_the_list_is_right_about_durable_functions(entry: Entry) -> None:
    found = entry.found_in(package_of("azure.durable_functions"))
    assert entry.parameters is None or signature_of(found) == entry.parameters


@needs_it
def test_each_public_name_of_durable_functions_is_there_or_says_what_to_do() -> None:
    ours = package_of("durable_core.df")
    for name in package_of("azure.durable_functions").__all__:
        if not hasattr(ours, name):
            with pytest.raises(
                AttributeError, match=f"{name} (belongs to the v1 programming model|is not in durable_core)"
            ):
                getattr(ours, name)
    with pytest.raises(AttributeError, match=r"durable_core\.df\.nope is not a name of"):
        ours.nope  # noqa: B018


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("azure.durable_functions"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Absent())
"""


def test_the_alias_makes_the_import_of_durable_functions_this_package() -> None:
    done = python(
        ABSENT
        + """
from durable_core.df import alias
alias.install()
alias.install()
import azure.durable_functions as df
from azure.durable_functions import DFApp
from azure.durable_functions.models import RetryOptions
from azure.durable_functions.models.OrchestrationRuntimeStatus import OrchestrationRuntimeStatus
from azure.durable_functions.models.Task import TaskBase
from azure.durable_functions.models.utils.entity_utils import EntityId
from azure.durable_functions.testing import orchestrator_generator_wrapper
import azure.functions as func
import durable_core.df.tasks
assert OrchestrationRuntimeStatus is df.OrchestrationRuntimeStatus and EntityId is df.EntityId
assert TaskBase is durable_core.df.tasks.TaskBase
assert df is durable_core.df and DFApp is df.DFApp and RetryOptions is df.RetryOptions
app = func.FunctionApp()
@app.orchestration_trigger(context_name="context")
def orchestrate(context): ...
try:
    app.get_functions()
except Exception as error:
    print(error)
"""
    )
    assert done.returncode == 0, done.stderr
    assert "is decorated by an azure.functions.FunctionApp" in done.stdout


@needs_it
@pytest.mark.parametrize("before", ["", "import azure.durable_functions\n"])
def test_the_alias_refuses_to_hide_the_package_itself(before: str) -> None:
    done = python(f"{before}from durable_core.df import alias\nalias.install()")
    assert done.returncode == 1
    assert "pip uninstall azure-functions-durable" in done.stderr
