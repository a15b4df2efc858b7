"""What the recovery function logs: a line on the whole hub, which alerts in Azure read, and what host.json lacks there.

Application Insights has the logs of an app without any further setting, but nothing that reads ``GET /metrics``. A line
that is logged outside of an invocation, as at the import of the app, is dropped by the host of Azure.
"""

from __future__ import annotations

import logging
import os
from functools import cache

from ..errors import ConfigurationError
from ..host_json import app_folder, read_host_json
from ..operate.overview import HubOverview
from .local.host_json_advice import LACKS_POLLING, lacks_polling

log = logging.getLogger(__name__)
_IN_AZURE = "WEBSITE_INSTANCE_ID"  # the local host, which warns itself, has none


@cache
def warn_of_slow_polling() -> None:
    """Warn once in a process of Azure whose host.json does not say how often idle queues are polled."""
    if _IN_AZURE not in os.environ:
        return
    try:
        lacks = lacks_polling(read_host_json(app_folder(os.environ), os.environ).entries)
    except ConfigurationError as error:
        log.warning("%s", error)
        return
    if lacks:
        log.warning("%s. Add:\n%s", LACKS_POLLING.problem, LACKS_POLLING.lines)


def log_health(overview: HubOverview) -> None:
    """Write the line at level INFO."""
    log.info("%s", health_line(overview))


def health_line(overview: HubOverview) -> str:
    """``hub 'durable': open=3 stuck=0 ... oldest_seconds=1.5``; infra/alerts.bicep reads it, so its words stay.

    open, stuck, retrying: as in ``GET /hub``, of the instances that it counts. queued, poisoned: messages.
    oldest_seconds: the age of the oldest message that waits for a host; 0.0 if none does.
    """
    waiting = [queue for queue in overview.queues if queue.kind != "poison"]
    ages = [(overview.now - queue.oldest).total_seconds() for queue in waiting if queue.oldest is not None]
    open_instances = sum(number for status, number in overview.counts.items() if not status.is_terminal)
    poisoned = sum(queue.depth for queue in overview.queues if queue.kind == "poison")
    return (
        f"hub '{overview.hub}': open={open_instances} stuck={overview.stuck} retrying={overview.retrying} "
        f"queued={sum(queue.depth for queue in waiting)} poisoned={poisoned} "
        f"oldest_seconds={max([0.0, *ages]):.1f}"
    )
