"""The verbs of somebody on call, as processes: over the storage of a hub and over its HTTP API, with equal results."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import STORES, settings_of
from tests.support.cli import PROJECT, run_cli
from tests.support.forked_cli import ForkedCli, forked_cli
from tests.support.hosts import HostProcess

APP = Path(__file__).parent / "apps" / "oncall"
KEY = "the key of these tests"
PATIENCE = 150.0  # seconds
HOSTILE = ("-x", "a b", "ü-✓", "100%", "a&b=c", "a+b", "';--", "a.b", "..a")


@dataclass(frozen=True)
class Hub:
    """A hub with a running host, one way to it, and what runs verbs."""

    host: HostProcess
    way: dict[str, str]
    cwd: Path
    cli: ForkedCli

    def run(self, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = self.cli.run(*arguments, stdin=stdin, env=self.way, cwd=self.cwd)
        assert "Traceback" not in done.stderr, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        return done

    def json(self, *arguments: object) -> Any:
        done = self.run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def begin(self, *arguments: str, stdin: int | None = None) -> Generator[subprocess.Popen[str]]:
        """The verb in a process that has not ended, and is killed at the end if it still runs."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DURABLE_", "AzureWebJobs"))}
        with subprocess.Popen(
            [sys.executable, "-m", "durable_core", *arguments],
            env={**inherited, "PYTHONPATH": str(PROJECT), **self.way},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def until(self, holds: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < give_up_at, self.host.log
            time.sleep(0.1)


@pytest.fixture(scope="module", params=STORES)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HostProcess, Any]]:
    settings = dict(settings_of(request, request.param))
    folder = tmp_path_factory.mktemp("hub")
    if request.param == "embedded":
        settings["DURABLE_STORE"] = str(folder / "durable.db")
    with HostProcess(folder, env={**settings, "DURABLE_HOST_KEY": KEY}, app=APP) as running:
        yield running, settings


@pytest.fixture(scope="module")
def cli() -> Iterator[ForkedCli]:
    with forked_cli() as running:
        yield running


@pytest.fixture(scope="module", params=["storage", "url"])
def hub(request: pytest.FixtureRequest, host: tuple[HostProcess, dict[str, str]], cli: ForkedCli) -> Hub:
    running, settings = host
    over_http = {"DURABLE_URL": running.url, "DURABLE_KEY": KEY}
    return Hub(running, over_http if request.param == "url" else settings, APP, cli)


def test_a_start_with_a_key_finds_the_instance_of_the_key(hub: Hub) -> None:
    debounced = ("start", "order", "--input", '"waits"', "--debounce", "d", "--period", 600, "--max-wait", 900)
    first, second = hub.run(*debounced), hub.run(*debounced)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout
    once = ("start", "order", "--input", '"waits"', "--deduplicate", "w", "--window", 600)
    assert hub.run(*once).stdout == hub.run(*once).stdout != first.stdout
    wrong = hub.run("start", "order", "--debounce", "d")
    assert wrong.returncode == 2 and "--debounce needs --period beside it" in wrong.stderr
    for started in (first, hub.run(*once)):
        instance_id = started.stdout.strip()
        assert hub.run("terminate", instance_id, "--yes").returncode == 0
        hub.run("tail", instance_id)
        assert hub.run("purge", instance_id, "--yes").returncode == 0


def test_a_start_with_a_limit_waits_for_its_slot(hub: Hub) -> None:
    limited = ("start", "order", "--input", '"waits"', "--limit", "cli", "--concurrency", 1, "--limit-key", "t")
    first = hub.run(*limited).stdout.strip()
    hub.until(lambda: hub.json("explain", first)["cause"] == "event")
    second = hub.run(*limited, "--rate", 5, "--per", 60, "--group", "g", "--each", 1, "--priority", -2).stdout.strip()
    hub.until(lambda: hub.json("explain", second)["cause"] == "slot")
    assert "limit 'cli:t'" in hub.json("explain", second)["sentence"]
    for wrong, said in (
        (("--concurrency", 1), "--concurrency needs --limit beside it"),
        (("--limit", "cli", "--per", 1), "--per needs --rate beside it"),
        (("--limit", "cli"), "limits nothing"),
        (("--limit", "c l i", "--each", 1), "cannot name a limit"),
        (("--limit", "cli", "--each", 0), "--each"),
    ):
        refused = hub.run("start", "order", *wrong)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    for started in (first, second):
        assert hub.run("terminate", started, "--yes").returncode == 0
        hub.run("tail", started)
        assert hub.run("purge", started, "--yes").returncode == 0


def test_a_start_has_tags_times_and_a_word_for_an_id_in_use(hub: Hub) -> None:
    later = ("start", "order", "later-1", "--input", '"waits"', "--tag", "shop=berlin", "--start-at", "2h")
    assert hub.run(*later, "--run-timeout", 90).returncode == 0
    shown = hub.json("show", "later-1")
    assert (shown["runtimeStatus"], shown["tags"]) == ("Pending", {"shop": "berlin"})
    begins, ends = (datetime.fromisoformat(shown[name]) for name in ("scheduledStartTime", "deadline"))
    assert begins > datetime.now(UTC) + timedelta(hours=1) and ends == begins + timedelta(seconds=90)
    assert hub.run(*later).returncode == 2
    assert hub.run(*later, "--if-exists", "return").stdout == "later-1\n"
    assert hub.run("terminate", "later-1", "--yes").returncode == 0
    hub.run("tail", "later-1")
    again = hub.run("enqueue", "charge", "later-1", "--input", 5, "--if-exists", "restart_if_done", "--wait", 60)
    assert again.returncode == 0, again.stderr
    for wrong, said in (
        (("--if-exists", "return"), "give the id"),
        (("--start-at", "soon"), "is not a time"),
        (("--tag", "berlin"), "must be a tag and its value"),
        (("--run-timeout", 0), "--run-timeout"),
    ):
        refused = hub.run("start", "order", *wrong)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    assert hub.run("purge", "later-1", "--yes").returncode == 0


def test_an_activity_runs_by_itself_and_is_listed_as_a_job(hub: Hub) -> None:
    ended = hub.run("enqueue", "charge", "job-1", "--input", "5", "--wait", 60, "--format", "json")
    assert (ended.returncode, json.loads(ended.stdout)["output"]) == (0, {"paid": 5})
    failed = hub.run("enqueue", "charge", "job-2", "--input", '"declined"', "--wait", 60)
    assert failed.returncode == 1 and "no \\x1b[31mmoney" in failed.stdout
    assert hub.run("enqueue", "charge", "job-1", "--input", "5").returncode == 2
    refused = hub.run("enqueue", "order", "job-3")
    assert refused.returncode == 2 and "start_new" in refused.stderr
    assert hub.run("start", "order", "job-4", "--input", "1", "--wait", 60).returncode == 0
    listed = hub.json("list", "--jobs", "--prefix", "job-")
    assert [each["instanceId"] for each in listed] == ["job-2", "job-1"]
    hub.run("purge", "job-1", "job-2", "job-4", "--yes")


def test_a_life_from_start_to_purge(hub: Hub) -> None:
    started = hub.run("start", "order", "a-1", "--input", '"waits"', "--format", "json")
    assert (started.returncode, json.loads(started.stdout)) == (0, {"instanceId": "a-1"})
    again = hub.run("start", "order", "a-1")
    assert again.returncode == 2 and "a-1" in again.stderr
    noted = hub.run("update", "a-1", "note", "--args", '"ü"', "--update-id", "n-1")
    assert (noted.returncode, json.loads(noted.stdout)) == (0, {"noted": "ü"}), noted.stderr
    again = hub.run("update", "a-1", "note", "--args", '"other"', "--update-id", "n-1")
    assert json.loads(again.stdout) == {"noted": "ü"}
    refused = hub.run("update", "a-1", "nothing")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "it has: note" in refused.stderr
    asked = hub.run("query", "a-1", "progress", "--args", '{"n": 1}')
    assert json.loads(asked.stdout) == {"asked": {"n": 1}}

    preview = hub.json("terminate", "a-1", "--dry-run")
    assert [(each["instanceId"], each["would"]) for each in preview] == [("a-1", "terminate")]
    assert hub.run("cancel", "a-1", "none", "--dry-run").returncode == 3
    assert hub.run("suspend", "a-1", "--reason", "fraud check").returncode == 0
    assert hub.json("resume", "a-1") == [{"instanceId": "a-1", "operation": "resume", "isRequested": True}]
    assert hub.run("raise", "a-1", "Go", "--data", '{"by": "me"}').returncode == 0
    followed = hub.run("tail", "a-1")
    assert followed.returncode == 0, followed.stderr
    assert [word for word in ("TaskScheduled", "EventRaised", "Completed") if word in followed.stdout] == [
        "TaskScheduled",
        "EventRaised",
        "Completed",
    ]
    shown = hub.json("show", "a-1")
    assert (shown["runtimeStatus"], shown["output"], shown["input"]) == ("Completed", {"by": "me"}, "waits")
    status, _, calls = hub.run("show", "a-1").stdout.partition("\n\n")
    assert "runtimeStatus" in status
    header, row = calls.splitlines()
    assert header.split() == ["TASK", "CALL", "STATUS", "CALLED", "QUEUED", "RAN", "HOST", "LINE"]
    assert row.split()[:3] == ["1", "charge", "Completed"]
    assert "ExecutionSuspended" in [event["EventType"] for event in hub.json("events", "a-1")]
    hub.until(lambda: hub.run("list", "--prefix", "a-", "--status", "completed").returncode == 0)
    listed = hub.run("list", "--prefix", "a-", "--status", "completed", "--format", "jsonl")
    assert [json.loads(line)["instanceId"] for line in listed.stdout.splitlines()] == ["a-1"]

    assert hub.run("terminate", "a-1", "--yes").returncode == 3  # it has ended
    refused = hub.run("purge", "a-1")
    assert refused.returncode == 2 and "--yes" in refused.stderr and "  a-1\n" in refused.stderr
    assert hub.run("show", "a-1").returncode == 0
    assert hub.run("purge", "a-1", "--yes").stdout == "deleted: 1\n"
    assert hub.run("show", "a-1").returncode == 3
    assert hub.run("tail", "a-1").returncode == 3
    assert hub.run("list", "--prefix", "a-").returncode == 3


def test_a_failure_is_a_finding_and_cannot_write_to_the_terminal(hub: Hub) -> None:
    failed = hub.run("start", "order", "f-1", "--input", '"declined"', "--wait", 60)
    assert failed.returncode == 1
    assert "caused by ValueError: no \\x1b[31mmoney" in failed.stdout
    assert hub.run("tail", "f-1").returncode == 1
    row = hub.run("list", "--prefix", "f-").stdout.splitlines()[1]
    assert "\\x1b[31mmoney\\nsecond line" in row
    assert hub.run("purge", "f-1", "--yes").returncode == 0


@pytest.mark.parametrize("instance_id", HOSTILE)
def test_an_id_with_signs_of_shells_and_urls_is_one_id(hub: Hub, instance_id: str) -> None:
    assert hub.run("start", "order", "--input", '"waits"', "--", instance_id).returncode == 0
    assert hub.json("list", "--prefix", instance_id)[0]["instanceId"] == instance_id
    ended = hub.run("terminate", "--yes", "--reason", "over\x1b[0m", "--", instance_id)
    assert ended.returncode == 0, ended.stderr
    assert hub.run("tail", "--", instance_id).returncode == 1
    assert hub.run("purge", "--yes", "--", instance_id).stdout == "deleted: 1\n"


@pytest.mark.parametrize("instance_id", ["a/b", "\x1b[2J", "a?b", "..", "x" * 300, "\udc80"])
def test_an_id_that_none_can_have_is_refused_in_one_line(hub: Hub, instance_id: str) -> None:
    refused = hub.run("show", "--", instance_id)
    assert refused.returncode in (2, 3)
    assert len(refused.stderr.splitlines()) == 1


def test_why_an_instance_does_not_go_on(hub: Hub) -> None:
    assert hub.run("start", "order", "x-1", "--input", '"waits"').returncode == 0
    hub.until(lambda: hub.json("explain", "x-1")["cause"] == "event")
    told = hub.run("explain", "x-1")
    assert told.returncode == 0, "it waits for nothing but its event"
    assert told.stdout.splitlines()[0].startswith("It waits for the event 'Go' (oncall/function_app.py:")
    assert told.stdout.splitlines()[-1] == "Raise it: `durable_core raise x-1 Go`."
    assert hub.run("tree", "x-1").stdout == "x-1  order  Running\n"
    assert hub.run("terminate", "x-1", "--yes").returncode == 0
    assert hub.run("tail", "x-1").returncode == 1

    failed = hub.run("start", "order", "x-2", "--input", '"declined"', "--wait", 60)
    assert failed.returncode == 1
    told = hub.run("explain", "x-2")
    assert told.returncode == 1
    assert "activity 'charge' (task 1, oncall/function_app.py:" in told.stdout
    assert "failed: ValueError: no [31mmoney second line." in told.stdout
    assert hub.run("purge", "x-1", "x-2", "--yes").returncode == 0
    gone = hub.run("explain", "x-1")
    assert gone.returncode == 3
    assert "There is no instance 'x-1'" in gone.stderr
    assert hub.run("tree", "x-1").returncode == 3


def test_the_operations_on_a_schedule(hub: Hub) -> None:
    assert hub.run("schedules").returncode == 3
    urllib.request.urlopen(urllib.request.Request(f"{hub.host.url}/api/nightly", b"", method="POST")).close()
    assert hub.json("schedules")[0]["scheduleId"] == "nightly"
    assert hub.run("schedules", "pause", "nightly", "--reason", "maintenance").returncode == 0
    run = hub.run("schedules", "trigger", "nightly").stdout.strip()
    assert run.startswith("nightly:")
    hub.until(lambda: hub.run("tail", run).returncode == 0)  # the schedule starts it a moment later
    assert hub.json("schedules")[0]["isPaused"] is True
    assert "maintenance" in hub.run("schedules").stdout
    counted = hub.run("schedules", "backfill", "nightly", "--from", "3d", "--to", "0m", "--dry-run").stdout
    assert counted.startswith("3 due, from ")
    for many in (["--dry-run"], []):
        refused = hub.run("schedules", "backfill", "nightly", "--from", "1900-01-01", "--to", "0m", *many)
        assert "more than 10,000 due" in refused.stdout + refused.stderr
        assert refused.returncode == (0 if many else 2)
    begun = hub.run("schedules", "backfill", "nightly", "--from", "3d", "--to", "0m", "--at-once", "2").stdout.strip()
    hub.until(lambda: hub.run("tail", begun).returncode == 0)
    counted = hub.run("show", begun, "--format", "json").stdout
    # each way to the hub asks for these runs; the first of them starts them
    assert '"started": 3' in counted or '"alreadyThere": 3' in counted
    assert hub.run("schedules", "resume", "nightly").returncode == 0
    assert hub.json("schedules", "delete", "nightly", "--dry-run")[0]["scheduleId"] == "nightly"
    assert hub.run("schedules", "delete", "nightly").returncode == 2
    assert hub.run("schedules", "delete", "nightly", "--yes").returncode == 0
    assert hub.run("schedules", "pause", "nightly").returncode == 3
    hub.run("purge", run, "--yes")


def test_no_key_or_a_wrong_one_is_said(host: tuple[HostProcess, dict[str, str]]) -> None:
    running, _ = host
    for env in ({"DURABLE_URL": running.url}, {"DURABLE_URL": running.url, "DURABLE_KEY": "wrong"}):
        refused = run_cli("list", env=env)
        assert (refused.returncode, "DURABLE_KEY" in refused.stderr) == (2, True)
    pasted = run_cli("list", "--url", f"{running.url}/api/durabletask?code={KEY.replace(' ', '%20')}")
    assert pasted.returncode in (0, 3), pasted.stderr


def test_the_hub_at_this_moment(hub: Hub) -> None:
    assert hub.run("start", "order", "h-1", "--input", '"waits"').returncode == 0
    hub.until(lambda: hub.json("list", "--prefix", "h-")[0]["runtimeStatus"] == "Running")
    counted = hub.json("stats")
    assert (counted["isComplete"], counted["stuck"]) == (True, 0)
    assert counted["counts"]["Running"] >= 1
    assert "Running" in hub.run("stats").stdout
    assert [each["isAlive"] for each in hub.json("hosts")] == [True]
    assert {"control", "work", "poison"} <= {queue["kind"] for queue in hub.json("queues")}
    timers = hub.run("timers")  # of schedules, if any
    assert timers.returncode in (0, 3) and "h-1" not in timers.stdout
    assert hub.json("list", "--name", "order", "--prefix", "h-")[0]["instanceId"] == "h-1"
    for other in (["--name", "tick"], ["--stuck"], ["--retrying"], ["--ended-from", "1h"], ["--tag", "a=b"]):
        assert hub.run("list", "--prefix", "h-", *other).returncode == 3, other
    running = hub.json("cost", "h-1")
    assert (running["runtimeStatus"], running["operations"]["total"] > 5) == ("Running", True)
    assert "storage operations" in hub.run("cost", "h-1").stdout
    assert hub.run("cost", "h-none").returncode == 3
    assert hub.run("cost", "h-1", "--name", "order").returncode == 2
    assert hub.run("terminate", "h-1", "--yes").returncode == 0
    assert hub.run("tail", "h-1").returncode == 1
    hub.until(lambda: hub.run("list", "--prefix", "h-", "--status", "terminated").returncode == 0)
    ended = hub.json("cost", "h-1")["operations"]
    (by_name,) = hub.json("cost", "--prefix", "h-")["orchestrators"]
    assert (by_name["name"], by_name["instances"], by_name["operations"]) == ("order", 1, ended)
    assert "order" in hub.run("cost", "--name", "order").stdout
    assert hub.run("cost", "--prefix", "h-none").returncode == 3
    assert hub.run("purge", "h-1", "--yes").returncode == 0


def test_one_action_on_many(hub: Hub) -> None:
    assert hub.run("bulk", "terminate", "--prefix", "b-").returncode == 3
    assert hub.run("bulk", "terminate", "--yes").returncode == 2  # every instance is meant only with --all
    for number in range(3):
        assert hub.run("start", "order", f"b-{number}", "--input", '"waits"').returncode == 0
    preview = hub.json("bulk", "terminate", "--prefix", "b-", "--dry-run")
    assert (preview["matched"], preview["isComplete"], len(preview["sample"])) == (3, True, 3)
    refused = hub.run("bulk", "terminate", "--prefix", "b-")
    assert refused.returncode == 2 and "terminate: 3 instances of" in refused.stderr and "  b-0\n" in refused.stderr
    done = hub.run("bulk", "terminate", "--prefix", "b-", "--yes", "--wait")
    assert (done.returncode, done.stdout) == (0, "Completed: 3 matched, 3 done, 0 skipped, 0 failed\n"), done.stderr
    assert [hub.run("tail", f"b-{number}").returncode for number in range(3)] == [1, 1, 1]
    hub.until(lambda: len(hub.json("list", "--prefix", "b-", "--status", "terminated")) == 3)
    purged = hub.run("bulk", "purge", "--prefix", "b-", "--yes", "--wait", "--format", "json")
    assert json.loads(purged.stdout)["customStatus"]["done"] == 3
    hub.run("purge", *[each["instanceId"] for each in hub.json("list", "--prefix", "durable.bulk:")], "--yes")


def test_ctrl_c_and_a_reader_that_leaves_are_quiet(hub: Hub) -> None:
    assert hub.run("start", "order", "w-1", "--input", '"waits"').returncode == 0
    with hub.begin("tail", "w-1") as following:
        assert following.stdout is not None
        assert any("ExecutionStarted" in line for line in iter(following.stdout.readline, ""))
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=PATIENCE)
        assert (following.returncode, complaint) == (130, "")
    with hub.begin("tail", "w-1") as leaving:
        assert leaving.stdout is not None and leaving.stderr is not None
        leaving.stdout.readline()
        leaving.stdout.close()
        hub.run("raise", "w-1", "Go")
        assert leaving.stderr.read() == ""
        assert leaving.wait(PATIENCE) == 141
    assert hub.run("tail", "w-1").returncode == 0
    assert hub.run("purge", "w-1", "--yes").returncode == 0


def test_tail_shows_what_is_tried_again_while_no_event_comes(hub: Hub) -> None:
    assert hub.run("start", "retries", "r-1").returncode == 0
    with hub.begin("tail", "r-1") as following:
        assert following.stdout is not None
        told = next(line for line in following.stdout if "Retrying" in line)
    assert re.search(r"Retrying  #1  charge  failed=1 next attempt \d{4}-", told)
    assert hub.run("terminate", "r-1", "--yes").returncode == 0
    assert hub.run("tail", "r-1").returncode == 1
    assert hub.run("purge", "r-1", "--yes").returncode == 0


def test_tail_of_all_shows_what_begins_and_ends(hub: Hub) -> None:
    with hub.begin("tail", "--all", "--format", "jsonl") as following:
        assert following.stderr is not None and following.stdout is not None
        assert "following" in following.stderr.readline()
        assert hub.run("start", "order", "t-1", "--input", '"waits"').returncode == 0
        while (seen := json.loads(following.stdout.readline()))["instanceId"] != "t-1":
            pass
        assert seen["runtimeStatus"] in ("Pending", "Running")
        assert hub.run("cancel", "t-1", "--yes").returncode == 0
        while (seen := json.loads(following.stdout.readline()))["runtimeStatus"] != "Canceled":
            pass
        assert seen["instanceId"] == "t-1"
        following.send_signal(signal.SIGINT)
        assert following.communicate(timeout=PATIENCE)[1] == ""
    assert hub.run("purge", "t-1", "--yes").returncode == 0


def test_a_question_at_a_terminal_shows_what_and_where(hub: Hub) -> None:
    """The answer no leaves everything as it is."""
    assert hub.run("start", "order", "q-1", "--input", '"waits"').returncode == 0
    keyboard, terminal = pty.openpty()
    for typed, code in (("n\n", 2), ("y\n", 0)):
        os.write(keyboard, typed.encode())
        with hub.begin("terminate", "q-1", stdin=terminal) as asked:
            _, question = asked.communicate(timeout=PATIENCE)
        assert asked.returncode == code, question
        assert "terminate: 1 instance of " in question and "\n  q-1\n" in question
    os.close(keyboard)
    os.close(terminal)
    assert hub.run("tail", "q-1").returncode == 1
    assert hub.run("purge", "q-1", "--yes").returncode == 0


def test_nothing_is_made_where_nothing_was(tmp_path: Path, cli: ForkedCli) -> None:
    for verb in (["list"], ["recover"], ["show", "a"], ["purge", "a", "--yes"], ["tail", "a"], ["schedules"]):
        refused = cli.run(*verb, "--store", tmp_path / "typo.db", cwd=tmp_path)
        assert (refused.returncode, "typo.db" in refused.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_nobody_made_is_not_made_by_a_look(host: tuple[HostProcess, dict[str, str]], cli: ForkedCli) -> None:
    _, settings = host
    for verb in (["list"], ["recover"]):
        refused = cli.run(*verb, "--hub", "mistyped", env=settings)
        assert (refused.returncode, "there is no task hub 'mistyped'" in refused.stderr) == (2, True), refused.stderr
