"""The line on the hub that alerts in Azure read: its words, and the queries that look for them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from durable_core.hosting.health_log import health_line, warn_of_slow_polling
from durable_core.hub.taskhub import QueueState
from durable_core.models import RuntimeStatus
from durable_core.operate.overview import HubOverview

NOW = datetime(2025, 1, 31, 12, tzinfo=UTC)
ALERTS = Path(__file__).parents[2] / "infra" / "alerts.bicep"


def queue(name: str, kind: str, depth: int, age: float | None) -> QueueState:
    oldest = None if age is None else NOW - timedelta(seconds=age)
    return QueueState(name=name, kind=kind, own="", depth=depth, oldest=oldest, dequeue_count=0)  # pyright: ignore[reportArgumentType]


def overview(*queues: QueueState, stuck: int = 0) -> HubOverview:
    counts = {RuntimeStatus.RUNNING: 2, RuntimeStatus.SUSPENDED: 1, RuntimeStatus.COMPLETED: 40}
    return HubOverview(
        hub="shop", store="azure", partitions=1, now=NOW, counts=counts,
        is_complete=True, stuck=stuck, retrying=0, queues=queues, hosts=(),
    )  # fmt: skip


def test_the_line_has_the_whole_hub_and_the_oldest_message_that_waits_for_a_host() -> None:
    line = health_line(
        overview(
            queue("shop-control", "control", 3, 12.34),
            queue("shop-work", "work", 5, 700.0),
            queue("shop-work-poison", "poison", 2, 9000.0),  # its age is no waiting for a host
            queue("shop-control-poison", "poison", 1, None),
            stuck=1,
        )
    )
    assert line == "hub 'shop': open=3 stuck=1 retrying=0 queued=8 poisoned=3 oldest_seconds=700.0"


def test_a_hub_at_rest_has_a_line_of_noughts() -> None:
    assert health_line(overview()).endswith("stuck=0 retrying=0 queued=0 poisoned=0 oldest_seconds=0.0")


@pytest.mark.parametrize(
    ("host_json", "is_azure", "warned"),
    [
        ('{"version": "2.0"}', True, ['"maxPollingInterval": "00:00:02"']),
        ('{"version": "2.0"}', False, []),
        ('{"extensions": {"queues": {"maxPollingInterval": "00:00:05"}}}', True, []),
        ("{", True, ["host.json cannot be read"]),
    ],
)
def test_a_process_in_azure_warns_once_of_a_host_json_that_polls_every_minute(
    host_json: str, is_azure: bool, warned: list[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "host.json").write_text(host_json)
    monkeypatch.chdir(tmp_path)
    if is_azure:
        monkeypatch.setenv("WEBSITE_INSTANCE_ID", "i1")
    warn_of_slow_polling.cache_clear()
    for _ in range(3):
        warn_of_slow_polling()
    warn_of_slow_polling.cache_clear()
    assert len(caplog.records) == len(warned)
    assert all(text in record.getMessage() for text, record in zip(warned, caplog.records, strict=True))


def test_each_alert_finds_its_word_in_the_line() -> None:
    line = health_line(overview(queue("c", "control", 1, 2.0)))
    text = ALERTS.read_text("utf-8")
    words = re.findall(r'parse message with \* "(\w+=)" value:(\w+)', text)
    assert [word for word, _ in words] == ["stuck=", "poisoned=", "oldest_seconds="]
    assert all(line.count(word) == 1 for word, _ in words)
    prefix = re.search(r'message startswith "(.*?)" and message has "(.*?)"', text)
    assert prefix is not None
    assert line.startswith(prefix[1].replace("\\'", "'"))
    assert prefix[2] in line
