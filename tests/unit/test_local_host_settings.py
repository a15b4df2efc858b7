"""host.json, local.settings.json, back-off and schedules: what the numbers in them mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from durable_core.errors import ConfigurationError
from durable_core.host_json import parse_time_span, resolve_settings
from durable_core.hosting.local.backoff import PollingBackoff
from durable_core.hosting.local.config import apply_local_settings, read_host_config
from durable_core.hosting.local.timers import parse_schedule


def test_back_off_doubles_from_100_ms_with_jitter_up_to_its_maximum_and_starts_again_after_a_message() -> None:
    backoff = PollingBackoff(2.0, jitter=lambda: 1.2)
    delays = [backoff.next_delay() for _ in range(7)]
    assert delays == pytest.approx([0.1, 0.24, 0.48, 0.96, 1.92, 2.0, 2.0])
    backoff.reset()
    assert backoff.next_delay() == pytest.approx(0.1)


def test_a_week_of_empty_polls_overflows_nothing() -> None:
    backoff = PollingBackoff(60.0)
    assert [backoff.next_delay() for _ in range(2000)][-1] == 60.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:02", 2), ("01:02:03.5", 3723.5), ("1.00:00:00", 86400), ("00:01", 60), ("24:00:00", None), ("5", None)],
)
def test_time_spans_are_read_as_net_reads_them(text: str, seconds: float | None) -> None:
    assert parse_time_span(text) == seconds


def test_host_json_is_read_and_the_environment_overrides_it(tmp_path: Path) -> None:
    queues = {"batchSize": 4, "maxPollingInterval": "00:00:02", "maxDequeueCount": 3}
    document = {"functionTimeout": "00:05:00", "extensions": {"http": {"routePrefix": "/v1/"}, "queues": queues}}
    (tmp_path / "host.json").write_text(json.dumps(document))
    config = read_host_config(
        tmp_path,
        {"AzureFunctionsJobHost__extensions__QUEUES__BatchSize": "8", "AzureFunctionsJobHost__functionTimeout": "-1"},
    )
    assert config.route_prefix == "v1"
    assert config.function_timeout is None
    assert (config.queues.batch_size, config.queues.max_dequeue_count) == (8, 3)
    assert config.queues.max_polling_interval == 2


def test_an_app_without_host_json_gets_the_hosts_defaults(tmp_path: Path) -> None:
    config = read_host_config(tmp_path, {}, azure_like=True)
    assert (config.route_prefix, config.queues.batch_size, config.queues.max_dequeue_count) == ("api", 16, 5)
    assert (config.queues.max_polling_interval, config.queues.visibility_timeout) == (60, 0)


@pytest.mark.parametrize("queues", [None, {}, {"batchSize": 8}, {"maxPollingInterval": None}])
def test_idle_queues_are_polled_every_two_seconds_where_nothing_is_said_and_the_log_says_so_once(
    tmp_path: Path, queues: object, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {} if queues is None else {"queues": queues}}))
    with caplog.at_level("INFO"):
        assert read_host_config(tmp_path, {}).queues.max_polling_interval == 2
    assert [record.getMessage().count('"maxPollingInterval": "00:00:02"') for record in caplog.records] == [1]


@pytest.mark.parametrize("interval", ["00:00:30", "00:01:00"])
def test_an_interval_that_is_said_is_obeyed_in_silence(
    tmp_path: Path, interval: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": interval}
    with caplog.at_level("INFO"):
        assert read_host_config(tmp_path, environ).queues.max_polling_interval == parse_time_span(interval)
    assert not caplog.records


@pytest.mark.parametrize("queues", [{"batchSize": 33}, {"batchSize": "x"}, {"maxPollingInterval": "2s"}, []])
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, queues: object) -> None:
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {"queues": queues}}))
    with pytest.raises(ConfigurationError, match=r"batchSize|maxPollingInterval|queues"):
        read_host_config(tmp_path, {})


def test_local_settings_fill_only_what_the_environment_lacks(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": {"A": "file", "B": "file"}}))
    environ = {"A": "environment"}
    apply_local_settings(tmp_path, environ)
    assert environ == {"A": "environment", "B": "file"}


def test_percent_signs_name_an_app_setting() -> None:
    assert resolve_settings("%HUB%-control", {"HUB": "mine"}) == "mine-control"
    with pytest.raises(ConfigurationError, match="HUB"):
        resolve_settings("%HUB%-control", {})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "moment", "due"),
    [
        ("0 */5 * * * *", "2024-01-01 10:02:03", "2024-01-01 10:05:00"),
        ("*/10 * * * * *", "2024-01-01 10:00:00", "2024-01-01 10:00:10"),
        ("*/5 * * * *", "2024-01-01 10:02:03", "2024-01-01 10:05:00"),
        ("30 0 9 * JAN MON-FRI", "2024-01-05 10:00:00", "2024-01-08 09:00:30"),
        ("00:00:30", "2024-01-01 10:00:00", "2024-01-01 10:00:30"),
        # The day of the month AND the weekday, where cron would take either.
        ("0 0 0 13 * FRI", "2024-01-01 00:00:00", "2024-09-13 00:00:00"),
    ],
)
def test_a_schedule_is_due_when_azure_says_so(schedule: str, moment: str, due: str) -> None:
    assert parse_schedule(schedule).next_after(at(moment)) == at(due)


@pytest.mark.parametrize(
    "schedule", ["", "every day", "* * * *", "0 0 0 30 2 *", "61 * * * * *", "@daily", "0 0 L * *"]
)
def test_a_schedule_that_is_none_is_refused(schedule: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_schedule(schedule)
