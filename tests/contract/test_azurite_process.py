"""Azurite as a child process: it has started when it listens itself, not when somebody else answers at its port."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from durable_core.errors import StorageUnavailableError
from durable_core.testing.azurite import Azurite
from tests.support.hosts import free_port

pytestmark = pytest.mark.azurite


@pytest.mark.parametrize("service", [0, 1, 2], ids=["blob", "queue", "table"])
def test_a_port_that_another_program_listens_on_is_refused(tmp_path: Path, service: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as others:
        taken = int(others.getsockname()[1])
        ports = [free_port(), free_port(), free_port()]
        ports[service] = taken
        emulator = Azurite(tmp_path, (ports[0], ports[1], ports[2]))
        try:
            with pytest.raises(StorageUnavailableError, match=f"choose others: (?s:.*){taken}"):
                emulator.start()
            assert emulator.pid is None
        finally:
            emulator.stop()
