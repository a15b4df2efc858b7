"""Marks an instance as stuck from a separate thread, while the code of the instance blocks the app's event loop."""

from __future__ import annotations

import asyncio
import logging

from ..errors import RowNotFoundError
from ..hub.taskhub import TaskHub
from ..settings import Settings
from ..storage.open import open_storage
from ..storage.retrying import Patience, RetryingStorage

PATIENCE = 5.0  # seconds; afterwards the code is interrupted in any case

logger = logging.getLogger("durable_core.runtime")


def remember_stuck(settings: Settings, instance_id: str, reason: str) -> None:
    """Mark the instance as stuck, with a connection and an event loop of this thread. Errors are logged."""
    try:
        asyncio.run(asyncio.wait_for(_mark(settings, instance_id, reason), PATIENCE))
    except RowNotFoundError:
        logger.info("instance '%s', whose code hangs, has been purged", instance_id)
    except Exception:
        logger.exception("instance '%s', whose code hangs, cannot be marked as stuck", instance_id)


async def _mark(settings: Settings, instance_id: str, reason: str) -> None:
    storage = open_storage(settings)
    try:
        hub = TaskHub(RetryingStorage(storage, Patience(PATIENCE)), settings)
        await hub.instances.mark_stuck(instance_id, reason)
    finally:
        await storage.close()
