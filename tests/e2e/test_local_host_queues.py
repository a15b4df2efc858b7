"""Queue and timer triggers under the local host, in processes that end well, are killed, or share a store."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable_core.testing.azurite import Azurite
from tests.support.tiny_host import TinyHost

NO_EXPIRY = {"DURABLE_MESSAGE_LEASE": "600"}  # so that nothing comes back because a test was slow


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyHost]:
    with TinyHost(tmp_path_factory.mktemp("queues")) as running:
        yield running


@pytest.mark.parametrize(("queue", "event"), [("tiny-control", "control"), ("tiny-work", "work")])
def test_a_message_reaches_its_function_once(host: TinyHost, queue: str, event: str) -> None:
    for number in range(40):
        host.send(queue, f"message {number}")
    done = host.wait_for_event(event, 40)
    assert sorted(each["body"] for each in done) == sorted(f"message {number}" for number in range(40))
    assert {each["count"] for each in done} == {1}


def test_a_message_that_always_fails_moves_to_the_poison_queue_after_five_tries(host: TinyHost) -> None:
    host.send("tiny-failing", "bad")
    (poison,) = host.wait_for_event("poison")
    assert poison["body"] == "bad"
    assert [each["count"] for each in host.events("failing")] == [1, 2, 3, 4, 5]
    assert "RuntimeError: failing on purpose" in host.log


def test_a_timer_runs_once_at_the_start_and_then_when_due(host: TinyHost) -> None:
    ticks = host.wait_for_event("tick", 3)
    assert ticks[0]["past_due"] is False


def test_hooks_run_before_the_first_message_and_after_the_last(tmp_path: Path) -> None:
    with TinyHost(tmp_path) as host:
        host.send("tiny-work", "x")
        host.wait_for_event("work")
        assert host.stop(signal.SIGTERM) == 0
        events = [each["event"] for each in host.events() if each["event"] != "tick"]
    assert events == ["hook-start", "work-begin", "work", "hook-stop"]


def test_a_queue_made_later_is_served(tmp_path: Path) -> None:
    with TinyHost(tmp_path, env={"TINY_QUEUES": "0"}) as waiting:
        waiting.wait_for(lambda: "queue tiny-control does not exist yet" in waiting.log)
        with TinyHost(tmp_path, name="maker", args=["--only", "work"]) as maker:
            assert "listening on queues only" in maker.log
            waiting.send("tiny-control", "late")
            (done,) = waiting.wait_for_event("control")
            assert done["pid"] == waiting.pid


def test_a_function_longer_than_its_lease_keeps_its_message(tmp_path: Path) -> None:
    env = {"DURABLE_MESSAGE_LEASE": "6", "TINY_WORK_SECONDS": "13"}
    with TinyHost(tmp_path, env=env) as host:
        host.send("tiny-control", "long")
        host.send("tiny-work", "long in a thread")
        host.wait_for_event("control")
        host.wait_for_event("work")
        assert host.stop(signal.SIGTERM) == 0
        assert [each["count"] for each in host.events("control-begin") + host.events("work-begin")] == [1, 1]
    with TinyHost(tmp_path, name="next") as host:
        host.send("tiny-control", "after")
        host.wait_for(lambda: [each["body"] for each in host.events("control")] == ["long", "after"])


def test_a_stopped_host_lets_what_it_runs_finish(tmp_path: Path) -> None:
    with TinyHost(tmp_path, env={"TINY_WORK_SECONDS": "3"}) as host:
        host.send("tiny-control", "async")
        host.send("tiny-work", "thread")
        host.wait_for_event("control-begin")
        host.wait_for_event("work-begin")
        assert host.stop(signal.SIGTERM) == 0
        assert [each["body"] for each in host.events("control") + host.events("work")] == ["async", "thread"]


def test_a_stopped_host_hands_back_what_does_not_finish_in_time(tmp_path: Path) -> None:
    stuck = {"TINY_WORK_SECONDS": "600", **NO_EXPIRY}
    # Another host lives on, so that no restart frees the leases: only a hand-back can bring the messages here.
    with TinyHost(tmp_path, env=stuck, args=["--grace", "0.5"]) as host:
        host.send("tiny-control", "async")
        host.send("tiny-work", "thread")
        host.wait_for_event("control-begin")
        host.wait_for_event("work-begin")
        with TinyHost(tmp_path, name="other", env=NO_EXPIRY) as other:
            assert host.stop(signal.SIGTERM) == 0
            (control,), (work,) = other.wait_for_event("control"), other.wait_for_event("work")
    assert (control["count"], work["count"]) == (2, 2)


def test_a_second_signal_ends_the_host_at_once(tmp_path: Path) -> None:
    with TinyHost(tmp_path, env={"TINY_WORK_SECONDS": "600"}, args=["--grace", "600"]) as host:
        host.send("tiny-work", "x")
        host.wait_for_event("work-begin")
        host.send_signal(signal.SIGTERM)
        host.wait_for(lambda: "stopping; once more" in host.log)
        assert host.stop(signal.SIGTERM) == 128 + 15


def test_a_host_takes_over_the_leases_of_a_killed_one(tmp_path: Path) -> None:
    with TinyHost(tmp_path, env={"TINY_WORK_SECONDS": "600", **NO_EXPIRY}) as host:
        host.send("tiny-control", "mine")
        host.wait_for_event("control-begin")
        host.kill9()
    with TinyHost(tmp_path, env=NO_EXPIRY, name="next") as host:
        (done,) = host.wait_for_event("control")
    assert (done["body"], done["count"]) == ("mine", 2)


def test_a_host_leaves_the_leases_of_a_living_one_alone(tmp_path: Path) -> None:
    with TinyHost(tmp_path, env={"TINY_WORK_SECONDS": "6", **NO_EXPIRY}) as busy:
        busy.send("tiny-control", "mine")
        busy.wait_for_event("control-begin")
        with TinyHost(tmp_path, env=NO_EXPIRY, name="second") as second:
            second.wait_for_event("tick")
            (done,) = busy.wait_for_event("control")
            assert done["pid"] == busy.pid
            assert len(busy.events("control-begin")) == 1


def test_two_hosts_share_the_messages_of_one_store(tmp_path: Path) -> None:
    slow = {"TINY_WORK_SECONDS": "0.3", "AzureFunctionsJobHost__extensions__queues__batchSize": "1", **NO_EXPIRY}
    slow["AzureFunctionsJobHost__extensions__queues__newBatchThreshold"] = "0"
    with TinyHost(tmp_path, env=slow, name="one") as one, TinyHost(tmp_path, env=slow, name="two") as two:
        for number in range(20):
            one.send("tiny-work", str(number))
        done = one.wait_for_event("work", 20)
        pids = {one.pid, two.pid}
    assert sorted(int(each["body"]) for each in done) == list(range(20))
    assert {each["pid"] for each in done} == pids


def test_roles_are_split_between_hosts_by_queue_name(tmp_path: Path) -> None:
    with (
        TinyHost(tmp_path, name="control", args=["--only", "control"]) as control,
        TinyHost(tmp_path, name="work", args=["--only", "work"]) as work,
    ):
        for number in range(5):
            control.send("tiny-control", str(number))
            control.send("tiny-work", str(number))
        assert {each["pid"] for each in control.wait_for_event("control", 5)} == {control.pid}
        assert {each["pid"] for each in control.wait_for_event("work", 5)} == {work.pid}
        assert {each["pid"] for each in control.wait_for_event("tick")} == {control.pid}
        assert work.stop(signal.SIGTERM) == 0
        assert control.stop(signal.SIGTERM) == 0


def test_without_wake_ups_a_message_still_comes_by_polling(tmp_path: Path) -> None:
    with TinyHost(tmp_path, args=["--azure-like"]) as host:
        host.send("tiny-work", "polled")
        host.wait_for_event("work")


def test_the_same_rules_hold_on_azure_queues(tmp_path: Path) -> None:
    """Azurite: delivery, a renewed lease with its new receipts, the poison queue."""
    with Azurite() as azurite:
        env = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DURABLE_MESSAGE_LEASE": "6",
            "TINY_WORK_SECONDS": "13",
        }
        with TinyHost(tmp_path, env=env) as host:
            host.send("tiny-failing", "bad")
            host.send("tiny-control", "long")
            (done,) = host.wait_for_event("control")
            (poison,) = host.wait_for_event("poison")
            assert host.stop(signal.SIGTERM) == 0
        assert (done["body"], done["count"], poison["body"]) == ("long", 1, "bad")
        assert len(host.events("failing")) == 5
        with TinyHost(tmp_path, env=env | {"TINY_WORK_SECONDS": "0"}, name="next") as host:
            host.send("tiny-control", "after")
            host.wait_for(lambda: [each["body"] for each in host.events("control")] == ["long", "after"])


def test_a_host_may_serve_one_work_queue_alone(tmp_path: Path) -> None:
    with (
        TinyHost(tmp_path, args=["--only", "control"]) as control,
        TinyHost(tmp_path, name="gpu", args=["--only", "work:gpu"]) as gpu,
    ):
        control.send("tiny-work", "for nobody")
        control.send("tiny-work-gpu", "for the gpu")
        (done,) = control.wait_for_event("gpu")
        on_gpu = gpu.pid
        assert done["pid"] == on_gpu
    with TinyHost(tmp_path, name="work", args=["--only", "work"]) as work:  # all work queues
        work.wait_for_event("work")
        assert "tiny-work-gpu" in work.log
    assert not [each for each in work.events("work") if each["pid"] == on_gpu]


def test_a_host_that_would_serve_nothing_says_which_queues_there_are(tmp_path: Path) -> None:
    host = TinyHost(tmp_path, args=["--only", "work:tpu"])
    assert host.wait_exit() != 0
    assert "no function of the app serves 'work:tpu'; its queues are: tiny-control" in host.log
