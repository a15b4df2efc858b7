"""The hook through which everything of the user's passes on its way to storage and back. Knows nothing else."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class PayloadCodec(Protocol):
    """Transforms stored data, to encrypt it for instance. Give it to ``Durable(registry, codec=...)``.

    Encoded are inputs, outputs, results, event data, custom statuses, failures with their stacks, and the reasons
    of management requests: in rows, in history and in queue messages. Readable stay ids, names, versions, statuses,
    tags, times, sizes, and why an instance is stuck. Data is compressed before it is encoded.

    All hosts and clients of a task hub need codecs that read each other's data. Data from before there was a codec
    stays readable; to change a key, let ``decode`` know the old one too for as long as instances live.
    """

    def encode(self, data: bytes) -> bytes:
        """What is to be stored in place of ``data``. Called on the event loop: it must not wait for anything."""
        ...

    def decode(self, data: bytes) -> bytes:
        """The inverse. Any exception means that this codec cannot read it: the instance waits for one that can."""
        ...
