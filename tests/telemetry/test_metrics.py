"""Metrics: what is counted, as OpenMetrics text and through a meter of the SDK, and what the documents say of it."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.telemetry import instruments, setup
from durable_core.telemetry.gauges import Gauges
from durable_core.telemetry.instruments import COUNTED, READ, Instrument
from durable_core.telemetry.metrics import Counts, Metrics
from durable_core.telemetry.open_metrics import metrics_of, text_of
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World

ROOT = Path(__file__).resolve().parents[2]
_SAMPLE = re.compile(
    r'[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})? -?[0-9][0-9.e+-]*'
)
TRIES: list[int] = []


@activity
def flaky() -> int:
    TRIES.append(1)
    if len(TRIES) == 1:
        raise LookupError("not yet")
    return 1


@orchestrator
def order(ctx: OrchestrationContext) -> Orchestration[int]:
    found = yield from ctx.call_activity(flaky, retry=RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=2)))
    yield ctx.create_timer(timedelta(seconds=30))
    return found


@orchestrator
def waiting(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.wait_for_external_event("Never")


def run(counts: Counts, *plans: FaultPlan, **options: Any) -> str:
    TRIES.clear()
    texts: list[str] = []

    async def scenario(world: World) -> None:
        await world.client.start_new(order, "o-1")
        await world.client.start_new(waiting, "secret-id")
        status = await world.client.wait_for_completion("o-1", 3600)
        assert status.output == 1, status
        texts.append(await metrics_of(world.hosts[0].app, counts))

    made: list[World] = []

    def observe(world: World) -> Metrics:
        made.append(world)
        return Metrics(counts if len(made) > 1 else Counts(), world.loop)  # the client outside is not this process

    World(Registry().add(flaky, order, waiting), observe=observe, settings=Settings(**options)).run(scenario, *plans)
    return texts[0]


def of(counts: Counts, instrument: Instrument, *labels: str) -> float:
    return counts.values.get((instrument, labels), (0, 0.0))[1]


def test_a_process_counts_what_it_does() -> None:
    counts = Counts()
    run(counts)
    assert of(counts, instruments.ORCHESTRATIONS_STARTED, "order") == 1
    assert of(counts, instruments.ORCHESTRATIONS_COMPLETED, "order", "Completed") == 1
    assert [of(counts, instruments.ATTEMPTS, "flaky", status) for status in ("Failed", "Completed")] == [1, 1]
    assert of(counts, instruments.RETRIES, "flaky") == 1
    assert of(counts, instruments.ORCHESTRATION_DURATION, "order") >= 32
    turns, _ = counts.values[instruments.TURN_DURATION, ("order",)]
    commits, _ = counts.values[instruments.COMMIT_DURATION, ()]
    waits, _ = counts.values[instruments.TURN_DURATION, ("waiting",)]
    assert commits == turns + waits and turns >= 3
    assert counts.values[instruments.TIMER_LATENESS, ()][0] == 1
    assert of(counts, instruments.STORAGE_OPERATIONS, "table.merge", "ok") >= 1


def test_the_text_is_openmetrics_and_names_no_instance() -> None:
    text = run(Counts())
    lines = text.splitlines()
    assert lines[-1] == "# EOF" and text.endswith("\n")
    samples = [line for line in lines if not line.startswith("# ")]
    assert samples and all(_SAMPLE.fullmatch(line) for line in samples), samples
    families = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(families) == len(set(families)) == len(COUNTED) + len(READ)
    assert "durable_instances_open 1" in lines and "durable_instances_stuck 0" in lines
    assert 'durable_queue_messages{queue="durable-control"}' in text
    assert "secret-id" not in text and "o-1" not in text


def test_without_counting_the_text_has_the_gauges_alone() -> None:
    text = text_of([(instruments.WARM_INSTANCES, (), 3)], None)
    assert "durable_warm_instances 3" in text and "_total" not in text and text.endswith("# EOF\n")


def test_labels_are_escaped() -> None:
    counts = Counts()
    counts.add(instruments.ORCHESTRATIONS_STARTED, 1, 'a"b\\c\nd')
    assert '{name="a\\"b\\\\c\\nd"} 1' in text_of([], counts)


def test_a_store_that_is_not_available_is_counted_as_a_retry() -> None:
    counts = Counts()
    run(counts, FaultPlan({4: Fault.FAIL_BEFORE}))
    assert of(counts, instruments.STORAGE_RETRIES) >= 1


def test_a_meter_of_the_sdk_gets_the_same_numbers() -> None:
    metrics: Any = pytest.importorskip("opentelemetry.sdk.metrics", reason="the extra 'otel' is not installed")
    export: Any = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader], shutdown_on_exit=False)
    counts = Counts(provider.get_meter("durable_core"))
    run(counts)
    found: dict[str, float] = {}
    for each in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
        for point in each.data.data_points:
            assert not any("id" in name for name in point.attributes), "no label is an id"
            found[each.name] = found.get(each.name, 0) + getattr(point, "value", getattr(point, "sum", 0))
    expected: dict[str, float] = {}
    for (instrument, _), (_, total) in counts.values.items():
        expected[instrument.name] = expected.get(instrument.name, 0) + total
    assert found == pytest.approx(expected)
    provider.shutdown()


def test_a_meter_of_the_sdk_reads_the_gauges_of_the_hub_and_of_the_process() -> None:
    metrics: Any = pytest.importorskip("opentelemetry.sdk.metrics", reason="the extra 'otel' is not installed")
    export: Any = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader], shutdown_on_exit=False)
    at = [0.0]
    gauges = Gauges(provider.get_meter("durable_core"), lambda: at[0])

    def read() -> dict[str, float]:
        data = reader.get_metrics_data()
        found: dict[str, float] = {}
        for scope in () if data is None else data.resource_metrics[0].scope_metrics:
            for each in scope.metrics:
                for point in each.data.data_points:
                    found[" ".join([each.name, *point.attributes.values()])] = point.value
        return found

    async def drive(world: World) -> tuple[dict[str, float], dict[str, float]]:
        for number in range(3):
            await world.client.start_new(waiting, f"w-{number}")
        await asyncio.sleep(5)
        host = world.hosts[0].app
        gauges.watch(host.instance_cache)
        alone = read()
        gauges.saw(await host.client.hub_overview())
        return alone, read()

    assert read() == {}, "nothing is known before the app is opened"
    alone, whole = World(Registry().add(waiting)).run(drive)
    assert alone == {"durable.warm.instances": 3, "durable.warm.bytes": whole["durable.warm.bytes"]}
    assert whole["durable.instances.open"] == 3 and whole["durable.instances.stuck"] == 0
    assert {name for name in whole if name.startswith("durable.queue.messages")} == {
        "durable.queue.messages durable-control",
        "durable.queue.messages durable-work",
    }
    assert {each.name for each in READ} == {name.partition(" ")[0] for name in whole}
    at[0] = 700.0
    assert set(read()) == {"durable.warm.instances", "durable.warm.bytes"}, "old numbers of a hub are not reported"
    gauges.forget()
    assert read() == {}
    provider.shutdown()


def test_one_provider_has_one_set_of_gauges_however_often_an_app_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics: Any = pytest.importorskip("opentelemetry.sdk.metrics", reason="the extra 'otel' is not installed")
    provider = metrics.MeterProvider(shutdown_on_exit=False)
    providers = {"metrics": provider}
    monkeypatch.setattr(setup, "configured_provider", providers.get)
    first, second = (setup.gauges_of(setup.observer_of_process("test")) for _ in range(2))
    assert first is second is not None
    providers.clear()
    assert setup.gauges_of(setup.observer_of_process("test", counts=True)) is None
    provider.shutdown()


def test_the_first_attempt_after_a_rewind_is_no_retry() -> None:
    counts, broken = Counts(), [True]

    @activity
    def pays() -> None:
        if broken[0]:
            raise LookupError("no")

    @orchestrator
    def buys(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(pays, retry=RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=2)))

    async def drive(world: World) -> None:
        await world.client.start_new(buys, "b")
        await world.client.wait_for_completion("b", 60)
        assert of(counts, instruments.RETRIES, "pays") == 1
        await world.client.rewind("b")
        await asyncio.sleep(60)
        assert of(counts, instruments.RETRIES, "pays") == 2, "it failed again, and was tried again"
        broken[0] = False
        await world.client.rewind("b")
        await asyncio.sleep(60)
        assert (await world.client.get_status("b")).runtime_status is RuntimeStatus.COMPLETED
        assert of(counts, instruments.RETRIES, "pays") == 2

    World(Registry().add(pays, buys), observe=lambda world: Metrics(counts, world.loop)).run(drive)


# ---------------------------------------------------------------- what the documents say


def shown_names() -> set[str]:
    """Every name of a sample that ``GET /metrics`` may have."""
    names: set[str] = set()
    for each in (*COUNTED, *READ):
        ends = {"counter": ("_total",), "histogram": ("_count", "_sum"), "gauge": ("",)}[each.kind]
        names |= {each.family + end for end in ends}
    return names


def test_the_dashboard_for_grafana_is_one_and_asks_for_metrics_that_there_are() -> None:
    dashboard: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))
    assert isinstance(dashboard["schemaVersion"], int) and dashboard["title"] and dashboard["uid"]
    assert isinstance(dashboard["time"]["from"], str) and dashboard["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) >= 10
    for panel in dashboard["panels"]:
        assert {"x", "y", "w", "h"} == set(panel["gridPos"]) and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["type"] in {"stat", "timeseries"} and panel["title"] and panel["targets"]
        for target in panel["targets"]:
            asked = set(re.findall(r"durable_[a-z_]+", target["expr"]))
            assert asked and asked <= shown_names(), asked - shown_names()


def test_the_page_lists_every_metric_and_no_other() -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    table = page.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`(durable\.[a-z_.]+)`", table))
    assert listed == {each.name for each in (*COUNTED, *READ)}
    alerts = page.partition("\n## Alerts worth having\n")[2].partition("\n## ")[0]
    asked = set(re.findall(r"durable_[a-z_]+", alerts))
    assert asked and asked <= shown_names(), asked - shown_names()
