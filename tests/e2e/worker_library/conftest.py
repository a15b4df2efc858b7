"""The Python that runs Azure's worker library."""

from __future__ import annotations

import pytest

from tests.support.worker_venv import find_python, worker_python


@pytest.fixture(scope="session")
def python() -> str:
    base = find_python()
    if base is None:
        pytest.skip("Azure's worker library needs Python 3.13, and there is none here")
    return worker_python(base)
