"""Encrypt all that is yours: no plain text of an input, result, event or failure is in any table or queue.

The keys come from a setting of the app, newest first: the first one encrypts, all of them decrypt. To change the key,
put a new one in front and keep the old one until the instances that were written with it are purged.

    durable = Durable(registry, codec=EncryptedPayloads.from_environment())
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from cryptography.fernet import Fernet, MultiFernet

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.runtime.client import DurableClient


class EncryptedPayloads:
    """A ``PayloadCodec``: AES with a signature, so that a wrong key and damaged data are known as such."""

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> EncryptedPayloads:
        """``PAYLOAD_KEYS``: comma-separated, each made once by ``Fernet.generate_key()``; in Azure from Key Vault."""
        return cls([key.strip() for key in environ["PAYLOAD_KEYS"].split(",")])

    def encode(self, data: bytes) -> bytes:
        return self._fernet.encrypt(data)

    def decode(self, data: bytes) -> bytes:
        return self._fernet.decrypt(data)


CODEC = EncryptedPayloads.from_environment({"PAYLOAD_KEYS": "uZ3lO2yZ8u4N1vX0m7s6t5r4q3p2o1n0mLkJiHgFeDc="})


@activity
def diagnose(symptoms: str) -> str:
    return f"{symptoms}: rest and tea"


@orchestrator
def patient(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
    ctx.set_custom_status(f"{name} is in the waiting room")
    symptoms = yield from ctx.wait_for_external_event("symptoms", str)
    advice = yield from ctx.call_activity(diagnose, symptoms)
    return f"{name}: {advice}"


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(patient, client_input="Ms Example", tags={"ward": "3"})  # tags stay readable
    await client.raise_event(instance_id, "symptoms", "a cold")
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == "Ms Example: a cold: rest and tea"  # the client decodes
