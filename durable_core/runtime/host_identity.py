"""Who a host process is: the id by which histories and rows name it."""

from __future__ import annotations

import os
import secrets
import socket
from functools import lru_cache

from ..lazy_dataclass import dataclass

ID_LENGTH = 8
"""Characters of an id: short, because every result of an activity holds one."""


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """A host process. id: 8 random hexadecimal characters. name: of its machine. pid: the number of the process."""

    id: str
    name: str
    pid: int


def this_process() -> HostIdentity:
    """The identity of this process, the same for every app in it; a process made by ``fork`` has its own."""
    return _of_process(os.getpid())


@lru_cache(maxsize=1)
def _of_process(pid: int) -> HostIdentity:
    return HostIdentity(secrets.token_hex(ID_LENGTH // 2), socket.gethostname(), pid)
