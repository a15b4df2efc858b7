"""What an activity may know of the call it answers. Pure data: the runner fills it in."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityContext:
    """First parameter of an activity that asks for it: ``def charge(ctx: ActivityContext, order: Order)``.

    attempt: from 1; a retry counts it up.
    idempotency_key: the same for every attempt of this call and for no other call, ever. Hand it to the outside
        world (a payment provider, say) so that a repeated attempt has no second effect.
    """

    instance_id: str
    execution_id: str
    task_id: int
    attempt: int
    idempotency_key: str
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.getLogger("durable_core.activity")
    )
