"""An app that exports its spans at once to OTEL_EXPORTER_OTLP_ENDPOINT, and holds where the test kills its host."""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable

trace: Any = import_module("opentelemetry.trace")
sdk: Any = import_module("opentelemetry.sdk.trace")
export: Any = import_module("opentelemetry.sdk.trace.export")
otlp: Any = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")

provider = sdk.TracerProvider()
provider.add_span_processor(export.SimpleSpanProcessor(otlp.OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")
FOLDER = Path(os.environ["TRACED_FOLDER"])


@activity
def first() -> int:
    with tracer.start_as_current_span("inside first"):
        return os.getpid()


@activity
def hold() -> int:
    """Ends in a host that is started after the file is there."""
    (FOLDER / "holding").write_text(str(os.getpid()))
    with tracer.start_as_current_span("inside hold"):
        while not (FOLDER / "go").exists():
            time.sleep(0.05)
    return os.getpid()


@activity
def last() -> int:
    return os.getpid()


@orchestrator
def child(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.call_activity(last, inline=False))


@orchestrator
def order(ctx: OrchestrationContext) -> Orchestration[list[int]]:
    pids = [(yield from ctx.call_activity(first))]
    pids.append((yield from ctx.call_activity(hold)))
    ctx.set_custom_status("waiting")
    yield from ctx.wait_for_external_event("Go")
    pids.append((yield from ctx.call_sub_orchestrator(child)))
    return pids


durable = Durable(Registry().add(first, hold, last, child, order))
app = func.FunctionApp()
app.register_functions(durable.blueprint())
