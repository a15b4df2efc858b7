"""What the functions of an app need when they are triggered, and not when the app is indexed."""

from __future__ import annotations

from ..runtime.app import DurableApp
from ..settings import Settings
from ..telemetry.open_metrics import metrics_of
from ..telemetry.setup import counts_of, gauges_of
from .health_log import log_health, warn_of_slow_polling
from .http_api import HttpApi
from .http_bodies import create_check_status_response as create_check_status_response
from .http_bodies import create_http_management_payload as create_http_management_payload
from .http_errors import failure_response as failure_response
from .signed_urls import CapabilitySigner


def api_of(app: DurableApp, settings: Settings, signer: CapabilitySigner, base: str) -> HttpApi:
    """The management API of an open app, below ``base``."""
    return HttpApi(
        app.client,
        signer,
        max_payload=settings.max_payload,
        base=base,
        address=settings.base_url,
        metrics=lambda: metrics_of(app, counts_of(app.observer)),
    )


async def report_health(app: DurableApp) -> None:
    """Write the line on the whole hub, and let the gauges see the same."""
    overview = await app.client.hub_overview()
    log_health(overview)
    warn_of_slow_polling()
    if (gauges := gauges_of(app.observer)) is not None:
        gauges.saw(overview)
