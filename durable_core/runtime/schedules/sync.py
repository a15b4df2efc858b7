"""Brings the schedules of a hub in line with those that the app's code declares, when a host starts.

An app without ``@schedule``, on a hub that knows of none, does nothing here: the row of the hub, which a host reads at
its start anyway, says whether there are declared schedules, and of which declarations. With the same declarations the
host lists the ids of the schedules, in one query, and is done if all are there. Several hosts may do this at once: each
step may be done twice.
"""

# pyright: reportPrivateUsage=false
# The parts of the client that schedules use.

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING

from ...errors import DurableError, InstanceNotFoundError, StorageError
from ...models import RuntimeStatus
from .client import state_of
from .declared import Declared, declared_in, refused
from .orchestrator import CONTROL, NOT_DECLARED, SCHEDULE_NAME, SCHEDULE_PREFIX, ScheduleState
from .plan import instance_of, planned

if TYPE_CHECKING:
    from ..client import DurableClient

logger = logging.getLogger("durable_core.runtime")

_LIVE = tuple(status for status in RuntimeStatus if not status.is_terminal)


async def synchronize(client: DurableClient) -> None:
    """See above. RegistrationError for a declaration that cannot work."""
    declared = {each.id: _state_of(client, each) for each in declared_in(client._registry)}
    known, mark = client._hub.declared_schedules, _mark_of(list(declared.values()))
    if not declared and not known:
        return
    present = await _present(client)
    if mark == known and {instance_of(each) for each in declared} <= present:
        return
    for state in declared.values():
        await client._begin_schedule(state, "update", is_there=instance_of(state.schedule_id) in present)
    for instance_id in sorted(present - {instance_of(each) for each in declared}):
        await _pause_if_declared_no_more(client, instance_id)
    await client._hub.note_declared_schedules(mark)


def _state_of(client: DurableClient, declared: Declared) -> ScheduleState:
    try:
        return planned(
            client._registry,
            client._converter,
            client._clock.now(),
            declared.id,
            declared.orchestrator,
            declared.input,
            **declared.timing,
            declared=True,
        )
    except DurableError as error:
        if isinstance(error, StorageError):  # pragma: no cover  (planning reads no storage)
            raise
        raise refused(declared, error) from error


def _mark_of(states: list[ScheduleState]) -> str:
    """The same for the same declarations; '' for none."""
    if not states:
        return ""
    plans = sorted((state.schedule_id, json.dumps(state.plan, sort_keys=True)) for state in states)
    return hashlib.sha256(json.dumps(plans).encode()).hexdigest()[:16]


async def _present(client: DurableClient) -> set[str]:
    """The ids of the instances that run schedules."""
    found: set[str] = set()
    token: str | None = None
    while True:
        page = await client.list_instances(
            runtime_status=_LIVE, instance_id_prefix=SCHEDULE_PREFIX, page_size=1000, continuation_token=token
        )
        found.update(each.instance_id for each in page.instances if each.name == SCHEDULE_NAME)
        if (token := page.continuation_token) is None:
            return found


async def _pause_if_declared_no_more(client: DurableClient, instance_id: str) -> None:
    status = await client.get_status(instance_id)
    if status.name != SCHEDULE_NAME or status.is_terminal:
        return
    state = state_of(status)
    if not state.declared or state.paused:
        return
    if state.orchestrator not in client._registry.orchestrator_names:  # another app of this hub may declare it
        logger.warning(
            "the schedule '%s' was declared by code with an orchestrator '%s', which this app does not have; it goes "
            "on: delete it if no app declares it any more",
            state.schedule_id,
            state.orchestrator,
        )
        return
    logger.warning(
        "the schedule '%s' is paused: the code does not declare it any more; delete it, or declare it again",
        state.schedule_id,
    )
    try:
        await client.raise_event(
            instance_id, CONTROL, {"do": "pause", "reason": NOT_DECLARED}, execution_id=status.execution_id
        )
    except InstanceNotFoundError:
        return
