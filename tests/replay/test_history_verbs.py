"""The verbs about histories, as processes: what they print, and the exit codes that a pipeline sees."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from durable_core import DurableClient
from durable_core.cli.history import MAX_NAME, file_name
from durable_core.hub.taskhub import TaskHub
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from durable_core.testing import History, load_history, replay
from tests.replay.programs import DEPLOYED, count, pinned_1
from tests.support.cli import PROJECT, run_cli
from tests.support.live_app import running

APPS = Path(__file__).parent / "apps"
DEPLOYED_APP, CHANGED_APP = APPS / "deployed", APPS / "changed"
SAMPLES = PROJECT / "tests" / "histories"
IDS = ["c1", "c2", "c3"]


async def settled(client: DurableClient, instance_id: str, events: int) -> None:
    """Wait until the instance has this many events, and waits itself."""
    async with asyncio.timeout(60):
        while len((await client.get_status(instance_id, show_history=True)).history_events or ()) < events:
            await client.wait_for_completion(instance_id, 0.05)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An embedded store with four running instances and an ended one; its host is gone."""
    path = tmp_path_factory.mktemp("hub") / "durable.db"

    async def fill() -> None:
        storage = SqliteStorage(str(path))
        async with running(DEPLOYED, Settings(hub="shop"), storage) as app:
            for number, instance_id in enumerate(IDS, 1):
                await app.client.start_new(count, instance_id, number)
                await settled(app.client, instance_id, 2 * number + 1)
            await app.client.start_new(pinned_1, "pinned")
            await settled(app.client, "pinned", 3)
            await app.client.start_new(count, "ended", 1)
            await app.client.raise_event("ended", "go")
            await app.client.wait_for_completion("ended", 60)
        await storage.close()

    asyncio.run(fill())
    yield path


@pytest.fixture
def exported(store: Path, tmp_path: Path) -> Path:
    file = tmp_path / "c2.json"
    found = run_cli("history", "export", "c2", "--out", file, "--store", store, "--hub", "shop")
    assert found.returncode == 0, found.stderr
    return file


# ---------------------------------------------------------------- export


def test_an_instance_is_exported_to_standard_output_or_a_file(store: Path, exported: Path) -> None:
    found = run_cli("history", "export", "c2", "--store", store, "--hub", "shop")
    assert found.returncode == 0, found.stderr
    assert found.stdout == exported.read_text()
    dash = run_cli("history", "export", "c2", "--out", "-", "--store", store, "--hub", "shop", cwd=exported.parent)
    assert (dash.returncode, dash.stdout) == (0, found.stdout)
    assert not (exported.parent / "-").exists()
    replay(DEPLOYED, History.read(exported))
    assert json.loads(found.stdout)["instance"]["name"] == "count"


def test_many_are_exported_into_a_folder(store: Path, tmp_path: Path) -> None:
    every = run_cli("history", "export", "--all", "--out", tmp_path / "all", "--store", store, "--hub", "shop")
    some = run_cli("history", "export", "--prefix", "c", "--status", "running", "--out", tmp_path / "some",
                   "--store", store, "--hub", "shop")  # fmt: skip
    assert every.returncode == some.returncode == 0, every.stderr + some.stderr
    names = [file_name(each) for each in (*IDS, "ended", "pinned")]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == names[:3]
    for path in (tmp_path / "all").iterdir():
        replay(DEPLOYED, History.read(path))


def test_file_names_tell_all_instance_ids_apart() -> None:
    ids = ["a", "A:b", "A%3Ab", "..", ".", "x" * 400, "x" * 401, "é", "a b"]
    names = [file_name(each) for each in ids]
    assert len(set(names)) == len(ids)
    assert all(len(name.encode()) <= MAX_NAME + 30 and "/" not in name and not name.startswith(".") for name in names)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody", "--hub", "shop"], "there is no instance 'nobody'"),
        ([], "name one INSTANCE"),
        (["c1", "--all"], "name one INSTANCE"),
        (["--all"], "--out"),
        (["--all", "--out", "-"], "standard output takes one history"),
    ],
)
def test_an_export_that_cannot_be_made_says_why(store: Path, arguments: list[str], told: str) -> None:
    found = run_cli("history", "export", *arguments, "--store", store)
    assert found.returncode == 2 and told in found.stderr


# ---------------------------------------------------------------- replay


def test_histories_are_replayed_against_an_apps_code(exported: Path) -> None:
    fits = run_cli("replay", exported, "--app", DEPLOYED_APP)
    assert (fits.returncode, fits.stdout) == (0, "c2.json: ok, 5 events of 'count' (Running)\n"), fits.stderr
    breaks = run_cli("replay", exported, "--app", CHANGED_APP)
    for app, code, outcome in ((DEPLOYED_APP, 0, "fits"), (CHANGED_APP, 1, "does-not-fit")):
        told = run_cli("replay", exported, "--app", app, "--format", "json")
        assert (told.returncode, [each["outcome"] for each in json.loads(told.stdout)]) == (code, [outcome])
    assert breaks.returncode == 1, breaks.stderr
    assert "c2.json: does not fit" in breaks.stdout and "'shout'" in breaks.stdout
    assert "replay/programs.py:" in breaks.stdout


def test_modules_may_stand_for_a_function_app() -> None:
    found = run_cli(
        "replay", SAMPLES, "--modules", "orchestrators, tests.histories.features, tests.histories.durable_functions"
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count(": ok") == len(list(SAMPLES.glob("*.json")))


def test_the_samples_histories_fit_the_samples_app() -> None:
    found = run_cli("replay", *SAMPLES.glob("order_*.json"))
    assert found.returncode == 0 and found.stdout.count(": ok") == 5, found.stdout + found.stderr


def test_what_cannot_be_replayed_is_exit_code_2(exported: Path, tmp_path: Path) -> None:
    broken, newer = tmp_path / "broken.json", tmp_path / "newer.json"
    broken.write_text("{")
    newer.write_text(json.dumps({"format": 99}))
    found = run_cli("replay", broken, newer, exported, tmp_path / "absent.json", "--app", PROJECT)
    assert found.returncode == 2
    lines = found.stdout.splitlines()
    for told in ("is not an exported history", "file format 99", "there is no orchestrator 'count'", "cannot be read"):
        assert sum(told in line for line in lines) == 1, found.stdout
    assert "Traceback" not in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("verb", "source", "told"),
    [
        ("debug", None, "there is no function_app.py"),
        ("check-deploy", "raise RuntimeError('no database')", "the app cannot be imported: RuntimeError: no database"),
        ("replay", "x = 1", "exactly one azure.functions.FunctionApp"),
        ("replay", "import azure.functions as f\napp = f.FunctionApp()", "registers 0 blueprints"),
    ],
)
def test_an_app_that_cannot_be_loaded_is_exit_code_2(
    exported: Path, store: Path, tmp_path: Path, verb: str, source: str | None, told: str
) -> None:
    if source is not None:
        (tmp_path / "function_app.py").write_text(source)
    arguments = ["--store", store, "--hub", "shop"] if verb == "check-deploy" else [exported]
    found = run_cli(verb, *arguments, "--app", tmp_path)
    assert found.returncode == 2 and told in found.stderr, found.stdout + found.stderr


# ---------------------------------------------------------------- check-deploy


def test_code_that_fits_is_exit_code_0(store: Path) -> None:
    found = run_cli("check-deploy", "--hub", "shop", "--store", store, "--app", DEPLOYED_APP)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "4 open instances" in found.stdout and "4 fit" in found.stdout


def test_code_that_breaks_instances_is_exit_code_1_and_names_the_line(store: Path) -> None:
    found = run_cli("check-deploy", "--hub", "shop", "--store", store, "--app", CHANGED_APP)
    assert found.returncode == 1, found.stderr
    assert "would break: 3 instances of 'count' at replay/programs.py:" in found.stdout
    assert "needs an old version kept: 1 instance of 'pinned' version '1'" in found.stdout
    assert "4 of 4 would not go on" in found.stdout
    assert found.stdout.count("likely cause") == 1  # the same error is told once


def test_machines_get_json_and_nothing_else_on_standard_output(store: Path) -> None:
    found = run_cli("check-deploy", "--hub", "shop", "--store", store, "--app", CHANGED_APP, "--format", "json")
    report = json.loads(found.stdout)
    assert found.returncode == 1 and report["ok"] is False and report["checked"] == 4
    assert [group["count"] for group in report["breaking"]] == [3]
    assert report["missing"][0]["version"] == "1"
    fine = run_cli("check-deploy", "--hub", "shop", "--store", store, "--app", DEPLOYED_APP, "--format", "json")
    assert json.loads(fine.stdout)["ok"] is True


def test_a_hub_that_is_not_there_is_exit_code_2_and_is_not_made(store: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.db"
    for arguments, told in (
        (["--hub", "other", "--store", store], "there is no task hub 'other'"),
        (["--store", absent], "there is no embedded store"),
    ):
        found = run_cli("check-deploy", *arguments, "--app", DEPLOYED_APP)
        assert found.returncode == 2 and told in found.stderr, found.stderr
    assert not absent.exists()
    new = run_cli("check-deploy", "--hub", "other", "--store", store, "--app", DEPLOYED_APP, "--allow-new")
    assert new.returncode == 0 and "there is no task hub 'other'" in new.stderr, new.stderr
    with closing(sqlite3.connect(store)) as con:
        names = [name for (name,) in con.execute("SELECT name FROM container WHERE kind = 'table'")]
    assert "shopinstances" in names and not [name for name in names if name.startswith("other")]


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"")
    found = run_cli("check-deploy", "--store", other, "--app", DEPLOYED_APP)
    assert found.returncode == 2 and "is not a store of durable_core" in found.stderr
    assert other.read_bytes() == b""


# ---------------------------------------------------------------- debug


def test_the_debugger_stops_at_the_first_line_and_tells_what_each_yield_returned(exported: Path) -> None:
    commands = "p steps\nn\nn\nn\np number\nw\nc\n"
    found = run_cli("debug", exported, "--app", DEPLOYED_APP, stdin=commands)
    assert found.returncode == 0, found.stdout + found.stderr
    told = found.stdout
    assert "event 1 ExecutionStarted(name='count') begins replay/programs.py:" in told
    assert "(Pdb) 2\n" in told  # p steps
    assert "event 3 TaskCompleted(task_id=1) -> 0 into replay/programs.py:" in told
    assert "event 5 TaskCompleted(task_id=2) -> 1 into replay/programs.py:" in told
    assert told.rstrip().endswith("the code fits, and waits")
    assert "durable_core/engine" not in told and "durable_core/testing" not in told
    # The line of event 3 comes before the code runs on: stepping over the yield shows it.
    assert told.index("event 3") < told.index("(Pdb)", told.index("event 3"))


def test_the_debugger_stops_at_a_given_event(exported: Path) -> None:
    found = run_cli("debug", exported, "--at", 5, "--app", DEPLOYED_APP, stdin="p number\nq\n")
    assert found.returncode == 0, found.stderr
    before, after = found.stdout.split("event 5 TaskCompleted(task_id=2) -> 1", 1)
    assert "(Pdb)" not in before and "(Pdb) 1\n" in after


def test_a_decision_is_debugged_from_before_it_is_made(exported: Path) -> None:
    found = run_cli("debug", exported, "--at", 4, "--app", DEPLOYED_APP, stdin="p number\nq\n")
    assert "event 4 is decided by the code: it stops before that, after event 3" in found.stdout
    assert "(Pdb) 0\n" in found.stdout


def test_q_ends_the_debugger_without_a_word(exported: Path) -> None:
    found = run_cli("debug", exported, "--app", DEPLOYED_APP, stdin="n\nq\n")
    assert (found.returncode, found.stderr) == (0, "the app is imported\n")
    assert "Traceback" not in found.stdout and "Error" not in found.stdout
    assert "end of the history" not in found.stdout


def test_an_instance_of_a_hub_is_debugged_without_a_file(store: Path) -> None:
    found = run_cli("debug", "c3", "--store", store, "--hub", "shop", "--app", DEPLOYED_APP, stdin="c\n")
    assert found.returncode == 0 and "7 events" in found.stdout, found.stdout + found.stderr


def test_the_debugger_ends_with_the_error_where_code_and_history_part(exported: Path) -> None:
    found = run_cli("debug", exported, "--app", CHANGED_APP, stdin="c\n")
    assert found.returncode == 1 and "Traceback" not in found.stderr
    assert "no longer matches the history" in found.stdout and "'shout'" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--at", "99"], "events 1 to 5, no event 99"),
        (["--at", "0"], "0 is not in the range"),
    ],
)
def test_an_event_that_is_not_there_is_refused(exported: Path, arguments: list[str], told: str) -> None:
    found = run_cli("debug", exported, *arguments, "--app", DEPLOYED_APP)
    assert found.returncode == 2 and told in found.stderr


def debugged(name: str, commands: str) -> str:
    """What the debugger says of a golden history."""
    found = run_cli("debug", SAMPLES / name, "--modules", "tests.histories.features", "--app", PROJECT, stdin=commands)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize(
    ("name", "branch", "main"),
    [("branches.json", "leg", "excursion"), ("async_def.json", "leg_in_async", "excursion_in_async")],
)
def test_stepping_shows_which_branch_runs(name: str, branch: str, main: str) -> None:
    told = debugged(name, "s\n" * 40 + "q\n")
    prompt = f"(Pdb, branch '{branch}' #1) "
    assert f"  branch '{branch}' #1 begins\n" in told
    assert f"{main}()" in told.partition(prompt)[0]
    in_branch = [line for line in told.splitlines() if line.startswith(prompt)]
    assert in_branch and told.count(f"{branch}()") >= 3
    assert "durable_core/" not in told and "lib/python" not in told, "it stops in no code but the user's"
    # A result goes into the branch that waits for it, and then pdb stops in it.
    into = told.index(f"-> 'seat in bus' into branch '{branch}' #1 at")
    assert told[into:].splitlines()[1].endswith(f"{branch}()")
    assert "(Pdb) " in told, "the orchestrator's own code has no name in the prompt"


def test_every_step_of_every_branch_is_told(tmp_path: Path) -> None:
    told = debugged("branches.json", "c\n")
    assert [number for number in range(1, 12) if f"branch 'leg' #{number} begins" in told] == list(range(1, 10))
    assert "raises TaskCancelledError" in told and "in branch 'leg' #3 at histories/features.py:" in told
    assert told.rstrip().endswith("the code fits; ExecutionCompleted(status='Completed')")


def test_a_branch_is_stopped_at_an_event_with_its_own_variables_and_left_by_q() -> None:
    told = run_cli(
        "debug", SAMPLES / "branches.json", "--modules", "tests.histories.features", "--app", PROJECT, "--at", 5,
        stdin="p name\nw\nq\n",
    ).stdout  # fmt: skip
    assert "(Pdb, branch 'leg' #2) 'lunch'\n" in told
    assert told.count("leg()") == 2 and "excursion()" not in told, "the frames are those of the branch"
    assert "end of the history" not in told


def test_a_waiting_handler_of_an_update_is_shown_as_a_branch() -> None:
    told = debugged("async_updates.json", "c\n")
    assert "branch 'wait_for_guests' #1 begins" in told
    assert "-> 'soup' into branch 'order' #2 at" in told


def test_an_orchestrator_that_catches_everything_does_not_hold_the_debugger(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(
        "from durable_core import orchestrator\n\n\n"
        "@orchestrator\n"
        "def count(ctx, steps):\n"
        "    while True:\n"
        "        try:\n"
        "            steps = yield ctx.call_activity('echo', steps)\n"
        "        except Exception:\n"
        "            print('caught')\n"
    )
    history = replace(History.read(SAMPLES / "fan_out.json"), name="count")
    history.write(tmp_path / "h.json")
    found = run_cli("debug", tmp_path / "h.json", "--modules", "stubborn", "--app", tmp_path, stdin="n\nn\nq\n")
    assert found.returncode == 0 and "caught" not in found.stdout, found.stdout + found.stderr


async def test_a_history_of_the_store_is_that_of_its_export(store: Path, exported: Path) -> None:
    storage = SqliteStorage(str(store))
    found = await load_history(TaskHub(storage, Settings(hub="shop")), "c2")
    await storage.close()
    assert found == History.read(exported)
