"""Bodies: those of queue messages, base64 on the wire as the Functions host expects, and large ones of requests."""

from __future__ import annotations

import io
from base64 import b64decode

_LARGE = 1024 * 1024


def decode_body(text: str) -> str:
    """The body of a message. A message sent by hand may not be base64, and must not block the other messages."""
    try:
        return b64decode(text, validate=True).decode()
    except ValueError:
        return text


def sendable(body: bytes) -> bytes | io.BytesIO:
    """The body for aiohttp: a large one as a stream, for aiohttp warns of large bytes, which it writes in one go."""
    return body if len(body) <= _LARGE else io.BytesIO(body)
