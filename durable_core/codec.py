"""The interface by which an app encrypts or otherwise encodes its payloads before they are stored."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class PayloadCodec(Protocol):
    """Encodes payloads before they are stored, for instance to encrypt them. Given to ``Durable(registry, codec=...)``.

    Encoded are inputs, outputs, results, event data, custom statuses, failures with their stack traces, and the reasons
    of management requests: in rows, in history and in queue messages. Not encoded are ids, names, versions, statuses,
    tags, times, sizes, and the reason why an instance is stuck. Data is compressed before it is encoded.

    All hosts and clients of a task hub need codecs that read each other's data. Data that was stored before the app had
    a codec stays readable. To change a key, let ``decode`` accept the old key too, until all instances with it are
    purged.
    """

    def encode(self, data: bytes) -> bytes:
        """The bytes to be stored in place of ``data``. Called on the event loop, so it must not block."""
        ...

    def decode(self, data: bytes) -> bytes:
        """The inverse of ``encode``. If it raises, the instance is stuck until a host has a codec that can read it."""
        ...
