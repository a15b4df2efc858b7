"""The sockets that the host listens on, opened before its server runs: early requests wait and are not refused.

Knows nothing of HTTP.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from ...errors import ConfigurationError

BACKLOG = 1024  # connections that wait while the host starts: about as many as a busy host had before a restart


@contextmanager
def listening_sockets(host: str, port: int) -> Generator[Sequence[socket.socket]]:
    """A listening socket for each address of ``host``, closed at the end; port 0 takes a free one.

    ConfigurationError if the address or the port cannot be used.
    """
    with ExitStack() as stack:
        try:
            sockets = _listen(host, port, stack)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error}; choose another --port") from error
        yield sockets


def port_of(sockets: Sequence[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


def _listen(host: str, port: int, stack: ExitStack) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        wanted = port_of(sockets) if port == 0 and sockets else port  # one port for all addresses of a name
        opened = socket.create_server((address[0], wanted), family=family, backlog=BACKLOG)
        sockets.append(stack.enter_context(opened))
        opened.setblocking(False)
    return sockets
