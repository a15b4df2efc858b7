"""Tells the other processes of a store that a message was sent, and short texts, by datagrams to their sockets.

A process that listens to a queue has a socket in a folder beside the store. One that sends a message tells every socket
in it the queue, and when the message becomes visible. A text travels with those that are told at the same moment; a
socket whose buffer is full gets it a little later. Nothing depends on that: polling finds what is lost or cannot be
told. Without Unix sockets (Windows, some network file systems) there is only polling.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .abandoned import survives_no_fork

logger = logging.getLogger("durable_core.storage")

FOLDER_SUFFIX = ".wake"
_LONGEST_PATH = 100  # bytes: systems take 104 to 108 for the address of a socket
_NAME_BYTES = 16
_TEXT = "!"  # begins a datagram with texts: older versions take it for none of theirs
_BETWEEN = "\0"  # topic and texts
_PACKED = 4096  # bytes of texts in a datagram, after which another one begins
_LARGEST = 65_536
_AGAIN_AFTER, _TRIES = 0.02, 100  # seconds, and how often, where a buffer is full
# The time of a folder has steps of up to 10 ms: a socket that is made in the step in which the folder was read is seen
# only if the folder is read again.
_SURELY_OLD = 50_000_000  # nanoseconds


class Neighbours:
    """The other processes of one store. ``heard`` is called with a queue and seconds until its message is visible,
    ``told`` with a topic and a text.

    store: the path of its file.
    """

    def __init__(
        self,
        store: str,
        heard: Callable[[str, float], None],
        told: Callable[[str, str], None] = lambda _topic, _text: None,
    ) -> None:
        self._folder, self._heard, self._told = _folder_of(store), heard, told
        self._folder_path = str(self._folder)  # a Path takes several calls each time that it is used
        self._own: socket.socket | None = None
        self._own_path: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mouth: socket.socket | None = None
        self._is_closed = False
        self._known: list[str] = []
        self._known_at = -1  # the folder's time when it was read; -1: it is to be read
        self._untold: set[tuple[str, float]] = set()
        self._texts: dict[str, list[str]] = {}  # by topic
        survives_no_fork(self)

    @property
    def is_listening(self) -> bool:
        """Whether the running event loop hears of the others."""
        return self._own is not None and self._loop is asyncio.get_running_loop()

    def listen(self) -> None:
        """Hear of messages, on the running event loop, from now until ``close``."""
        if self._own is not None or self._folder is None:
            return
        path = self._folder / secrets.token_hex(_NAME_BYTES // 2)
        own: socket.socket | None = None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            own = _socket()
            own.bind(str(path))
            loop = asyncio.get_running_loop()
            loop.add_reader(own, self._read)
        except (OSError, NotImplementedError) as error:  # no such sockets here, or an event loop that has no readers
            logger.debug("messages of other processes are found by polling: %s", error)
            if own is not None:
                own.close()
            with suppress(OSError):
                path.unlink()
            self._folder = None
            return
        self._own, self._own_path, self._loop = own, path, loop

    def tell(self, queue: str, delay: float) -> None:
        """A message was sent: tell the others, soon, and once for the messages of this iteration of the event loop."""
        if self._tells_soon():
            self._untold.add((queue, delay))

    def tell_text(self, topic: str, text: str) -> None:
        """Tell the others a text, together with the other texts of this iteration of the event loop."""
        if self._tells_soon():
            self._texts.setdefault(topic, []).append(text)

    def close(self) -> None:
        """Tell what is to be told, and hear no more."""
        self._tell()
        if self._own is not None and self._own_path is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._own)
            self._own.close()
            self._own_path.unlink(missing_ok=True)
            self._own = None
        self._is_closed = True
        if self._mouth is not None:
            self._mouth.close()
            self._mouth = None

    def leave_to_the_parent(self) -> None:
        """In a forked child: hear and tell nothing. The sockets are closed, for the parent's address must end with
        the parent; its file stays."""
        for each in (self._own, self._mouth):
            if each is not None:
                each.close()
        self._own = self._mouth = self._folder = None
        self._is_closed = True

    def _tells_soon(self) -> bool:
        """Whether there is a process to tell: what is added in this iteration of the event loop is told after it."""
        if self._folder is None:
            return False
        if self._untold or self._texts:
            return True
        if not self._others():  # as in most apps: no iteration for nobody
            return False
        asyncio.get_running_loop().call_soon(self._tell)
        return True

    def _tell(self) -> None:
        untold, self._untold = self._untold, set()
        texts, self._texts = self._texts, {}
        if not untold and not texts:
            return
        others = self._others()
        packed = list(_packed(texts)) if others else []
        for path in others:
            if self._send_texts(path, packed, _TRIES):
                for queue, delay in untold:
                    if self._send(path, f"{delay} {queue}".encode()) is not True:
                        break  # if its buffer is full it has enough to look for

    def _send_texts(self, path: str, packed: list[bytes], tries: int) -> bool:
        """Whether the process is there. What its buffer has no room for is sent again later, so often."""
        for number, datagram in enumerate(packed):
            match self._send(path, datagram):
                case None:
                    return False
                case False:
                    with suppress(RuntimeError):  # no loop runs when the store is closed: then that was the last try
                        loop = asyncio.get_running_loop()
                        if tries > 1:
                            loop.call_later(_AGAIN_AFTER, self._send_texts, path, packed[number:], tries - 1)
                    return True
                case True:
                    pass
        return True

    def _send(self, path: str, datagram: bytes) -> bool | None:
        """Whether the datagram is on its way. None: there is no such process."""
        if self._is_closed:
            return None
        if self._mouth is None:
            self._mouth = _socket()
        try:
            self._mouth.sendto(datagram, path)
        except (ConnectionRefusedError, FileNotFoundError):  # killed, and its socket left behind; or gone
            with suppress(OSError):
                os.unlink(path)
            return None
        except OSError as error:  # its buffer is full, say
            logger.debug("another process is not told: %s", error)
            return False
        return True

    def _others(self) -> list[str]:
        """The sockets of the others, read again when the folder has changed."""
        try:
            changed = os.stat(self._folder_path).st_mtime_ns
            if changed != self._known_at:
                own = None if self._own_path is None else str(self._own_path)
                self._known = [entry.path for entry in os.scandir(self._folder_path) if entry.path != own]
                self._known_at = changed if time.time_ns() - changed > _SURELY_OLD else -1
        except OSError:  # nobody has listened yet
            self._known, self._known_at = [], -1
        return self._known

    def _read(self) -> None:
        assert self._own is not None
        while True:
            try:
                text = self._own.recv(_LARGEST).decode(errors="replace")
            except BlockingIOError:
                return
            if text.startswith(_TEXT):
                topic, *texts = text[len(_TEXT) :].split(_BETWEEN)
                for each in texts:
                    self._told(topic, each)
                continue
            delay, _, queue = text.partition(" ")
            with suppress(ValueError):  # not of ours
                self._heard(queue, float(delay))


def _packed(texts: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
    """Datagrams with these texts, by topic."""
    for topic, of_topic in texts.items():
        datagram = head = f"{_TEXT}{topic}".encode()
        for text in dict.fromkeys(of_topic):
            if len(datagram) > _PACKED:
                yield datagram
                datagram = head
            datagram += f"{_BETWEEN}{text}".encode()
        yield datagram


def _folder_of(store: str) -> Path | None:
    """Beside the store, or in the system's temporary folder where that path is too long; None if both are."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    path = os.path.realpath(store)  # one folder, whichever link to the store a process was given
    beside = path + FOLDER_SUFFIX
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = f"durable_core-{user}-{hashlib.sha256(path.encode()).hexdigest()[:16]}"
    for folder in (beside, os.path.join(tempfile.gettempdir(), name)):
        if len(os.fsencode(folder)) + 1 + _NAME_BYTES <= _LONGEST_PATH:
            return Path(folder)
    return None


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
