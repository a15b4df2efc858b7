"""What ``Registry.scan`` imports of packages as others write them, and what it says where it cannot."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable_core import Registry
from durable_core.errors import RegistrationError

ACTIVITY = "from durable_core import activity\n\n\n@activity\ndef {name}() -> None: ...\n"
EXPLODES = "raise AssertionError('this module must not be imported')\n"

Write = Callable[[dict[str, str]], None]


def an_activity(name: str) -> str:
    return ACTIVITY.format(name=name)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files into a folder of the path. What is imported from there is forgotten after the test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)

    def write_files(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        importlib.invalidate_caches()

    yield write_files
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or getattr(sys.modules[name], "__path__", None) is not None:
            del sys.modules[name]


def scanned(*packages: str) -> list[str]:
    return Registry.scan(*map(importlib.import_module, packages)).activity_names


@pytest.mark.parametrize(
    "marking",
    [
        an_activity("found"),
        "from durable_core import (\n  Registry,  # (here)\n  activity as mark,\n)\n@mark\ndef found(): ...\n",
        "from durable_core.decorators import activity\n@activity(name='found')\ndef f() -> None: ...\n",
        "import durable_core\n@durable_core.activity\ndef found() -> None: ...\n",
        "import os, durable_core as dc\n@dc.decorators.activity\ndef found() -> None: ...\n",
        "from durable_core import *\n@activity\ndef found() -> None: ...\n",
        "from durable_core import \\\n    activity\nfound = activity(lambda: None, name='found') if 0 else None\n"
        "@activity\ndef found() -> None: ...\n",
        "if True:\n    from durable_core import activity\n    @activity\n    def found() -> None: ...\n",
        "from durable_core import Registry; from durable_core import activity\n@activity\ndef found() -> None: ...\n",
    ],
)
def test_a_module_is_imported_that_imports_a_mark(write: Write, marking: str) -> None:
    write({"shop/__init__.py": "", "shop/steps.py": marking, "shop/other.py": EXPLODES})
    assert scanned("shop") == ["found"]


def test_a_web_application_that_imports_the_registry_is_not_imported(write: Write) -> None:
    write(
        {
            "shop/__init__.py": "",
            "shop/steps.py": an_activity("charge"),
            "shop/worker.py": "import shop\nfrom durable_core import Registry\nregistry = Registry.scan(shop)\n",
            "shop/api.py": "from fastapi import FastAPI\nfrom durable_core import DurableClient, running\n"
            "from .steps import charge\nfrom .worker import registry\napp = FastAPI()\n"
            "@app.get('/')\ndef activity() -> str:\n    return 'this activity is no activity'\n",
        }
    )
    worker = importlib.import_module("shop.worker")
    assert worker.registry.activity_names == ["charge"]
    assert "shop.api" not in sys.modules
    for name in [name for name in sys.modules if name == "shop" or name.startswith("shop.")]:
        del sys.modules[name]
    assert importlib.import_module("shop.api").registry.activity_names == ["charge"]  # and from the other side


def test_decorators_of_ones_own_and_functions_passed_on_are_found(write: Write) -> None:
    write(
        {
            "company/__init__.py": "from .marks import step\nfrom .mail import send\n",
            "company/marks.py": "from durable_core import activity\ndef step(fn):\n    return activity(fn)\n",
            "company/mail.py": an_activity("send"),
            "shop/__init__.py": "",
            "shop/deco.py": "from durable_core import activity\ndef mine(fn):\n    return activity(fn)\n",
            "shop/own.py": "from shop.deco import mine\n@mine\ndef one() -> None: ...\n",
            "shop/relative.py": "from .deco import mine as m\n@m\ndef two() -> None: ...\n",
            "shop/starred.py": "from .deco import *\n@mine\ndef three() -> None: ...\n",
            "shop/library.py": "from company import step\n@step\ndef four() -> None: ...\n",
            "shop/passed_on.py": "from company import send\n",
            "shop/not_needed.py": "from json import dumps\nfrom .own import one\n" + EXPLODES,
        }
    )
    assert scanned("shop") == ["four", "one", "send", "three", "two"]


def test_a_namespace_package_and_folders_without_init_are_scanned(write: Write) -> None:
    write(
        {
            "space/a.py": an_activity("a"),
            "space/deep/er/b.py": an_activity("b"),
            "space/regular/__init__.py": an_activity("c"),
            "space/regular/folder/d.py": an_activity("d"),
            "space/with-dash/e.py": EXPLODES,
            "space/data/table.csv": "activity",
        }
    )
    assert scanned("space") == ["a", "b", "c", "d"]
    assert "space.data" not in sys.modules


def test_programs_and_tests_are_not_imported(write: Write) -> None:
    test = an_activity("helper") + "import nothing_like_this\ndef test_it(): ...\n"
    write(
        {
            "shop/__init__.py": "",
            "shop/__main__.py": "from durable_core import running\n" + EXPLODES,
            "shop/conftest.py": an_activity("helper") + EXPLODES,
            "shop/test_steps.py": test,
            "shop/steps_test.py": test,
            "shop/tests/__init__.py": an_activity("helper") + EXPLODES,
            "shop/tests/programs.py": an_activity("helper") + EXPLODES,
            "shop/test_drive.py": an_activity("book_a_test_drive"),
            "shop/broken.py": "this is {{ a template }}\n",
            "shop/side_effects.py": "import sys\nsys.exit(3)\n",
        }
    )
    assert scanned("shop") == ["book_a_test_drive"]


def test_a_mark_in_a_program_is_an_error_with_its_line(write: Write) -> None:
    write({"shop/__init__.py": "", "shop/__main__.py": an_activity("lost") + EXPLODES})
    with pytest.raises(RegistrationError, match=r"__main__\.py:5: .* would run the program"):
        scanned("shop")


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        ("import nothing_like_this\n", 6, "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("def (:\n", 6, "SyntaxError"),
        ("import sys\nsys.exit('bye')\n", 7, "it ends the program (bye)"),
        ("1 / 0\n", 6, "ZeroDivisionError"),
        ("from shop.worker import registry\n", 6, "ImportError: cannot import name 'registry'"),
        ("from shop import helper\n", 6, "ValueError: deep down"),
    ],
)
def test_a_failed_import_is_an_error_with_module_and_line(write: Write, more: str, line: int, message: str) -> None:
    write(
        {
            "shop/__init__.py": "",
            "shop/helper.py": "raise ValueError('deep down')\n",
            "shop/steps.py": an_activity("charge") + more,
            "shop/worker.py": "import shop\nfrom durable_core import Registry\nregistry = Registry.scan(shop)\n",
        }
    )
    with pytest.raises(RegistrationError) as raised:
        importlib.import_module("shop.worker")
    text = str(raised.value)
    assert f"steps.py:{line}: the module shop.steps" in text and message in text
    assert raised.value.__cause__ is not None


def test_an_error_of_a_mark_itself_is_shown_as_it_is(write: Write) -> None:
    write({"shop/__init__.py": "", "shop/steps.py": "from durable_core import activity\n@activity\ndef f(a, b): ...\n"})
    with pytest.raises(RegistrationError, match=r"steps\.py:2: an activity takes one input"):
        scanned("shop")


def test_a_scan_at_the_end_of_a_module_of_the_package_takes_its_functions(write: Write) -> None:
    scan = "import shop\nfrom durable_core import Registry\nregistry = Registry.scan(shop)\n"
    write({"shop/__init__.py": "", "shop/whole.py": an_activity("charge") + scan})
    assert importlib.import_module("shop.whole").registry.activity_names == ["charge"]


def test_a_scan_before_a_marked_function_is_an_error_with_its_line(write: Write) -> None:
    scan = "import shop\nfrom durable_core import Registry\nregistry = Registry.scan(shop)\n"
    write({"shop/__init__.py": "", "shop/part.py": scan + an_activity("charge")})
    with pytest.raises(RegistrationError, match=r"part\.py:8: .* does not exist yet, .* shop\.part is imported"):
        importlib.import_module("shop.part")


def test_a_zipped_package_is_scanned(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        archive.writestr("zipped/steps.py", an_activity("charge"))
        archive.writestr("zipped/sub/__init__.py", "")
        archive.writestr("zipped/sub/more.py", an_activity("refund"))
        archive.writestr("zipped/api.py", EXPLODES)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "app.zip"), *sys.path])
    assert scanned("zipped") == ["charge", "refund"]


def test_what_is_imported_already_is_looked_at_whatever_its_source(write: Write) -> None:
    write({"shop/__init__.py": "", "shop/made.py": "import helpers\nf = helpers.make('made')\n"})
    write({"helpers.py": "import durable_core\ndef make(n):\n    return durable_core.activity(name=n)(lambda: None)\n"})
    assert scanned("shop") == []
    made = importlib.import_module("shop.made")
    assert Registry.scan(made).activity_names == ["made"]
    assert scanned("shop") == ["made"]


def test_a_program_that_scans_its_own_package_is_not_imported_again(tmp_path: Path, write: Write) -> None:
    program = (
        an_activity("charge") + "import shop\nfrom durable_core import Registry\n"
        "print('runs', Registry.scan(shop).activity_names)\n"
    )
    write({"shop/__init__.py": "", "shop/program.py": program, "shop/__main__.py": program})
    (tmp_path / "shop" / "__main__.py").unlink()
    command = [sys.executable, "-m", "shop.program"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "runs ['charge']\n"


def test_a_wrong_encoding_and_a_link_to_a_folder_above_do_no_harm(tmp_path: Path, write: Write) -> None:
    write({"shop/__init__.py": "", "shop/steps.py": an_activity("charge")})
    (tmp_path / "shop" / "latin.py").write_bytes(b"# -*- coding: utf-8 -*-\nx = '\xff'\n")
    (tmp_path / "shop" / "again").symlink_to(tmp_path / "shop", target_is_directory=True)
    (tmp_path / "shop" / "folder").mkdir()
    (tmp_path / "shop" / "folder" / "above").symlink_to(tmp_path, target_is_directory=True)
    assert scanned("shop") == ["charge"]
