"""host.json as people write it: comments, trailing commas, what Microsoft's own sample has, and worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from durable_core.cli import main
from durable_core.errors import ConfigurationError
from durable_core.host_json import hub_name, read_host_json
from durable_core.hosting.local.config import read_host_config
from durable_core.hosting.local.host_json_advice import advise, with_polling
from durable_core.lenient_json import parse_lenient
from durable_core.settings import Settings

DURABLE_FUNCTIONS = """{
  "version": "2.0", // of the host
  /* the hub of the old app:
     { "hubName": "not this" } */
  "extensions": {
    "durableTask": { "HubName": "OrderHub", "maxConcurrentActivityFunctions": 10, },
  },
  "extensionBundle": { "id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)" },
}
"""
MICROSOFTS_SAMPLE = """{
  "version": "2.0",
  "extensionBundle": {
    "id": "Microsoft.Azure.Functions.ExtensionBundle",
    "version": "[4.*, 5.0.0)"
  }
}{
  "version": "2.0"
}
"""


def app(folder: Path, text: str | bytes) -> Path:
    (folder / "host.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "// no", "b": "/* nor */", "c": ",}"}', {"a": "// no", "b": "/* nor */", "c": ",}"}),
        ('{"a": "\\"//", /* " */ "b": [1, 2, ] , }', {"a": '"//', "b": [1, 2]}),
        ("// first\n{}// last", {}),
        ('{"a": 1 /* , */ , // ,\n }', {"a": 1}),
        ("{}\n}", {}),
        ("{}]} {} // end", {}),
    ],
)  # fmt: skip
def test_comments_and_commas_are_left_out_and_strings_are_kept(text: str, value: object) -> None:
    assert parse_lenient(text).value == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "1" * 10_000,
        "",
        " ",
        "//",
        "/* {}",
        "{",
        '{"a": }',
        "[1,,2]",
        '{"a" 1}',
        '{"a": "',
        "{} text",
        '{"a": 1}, "b": {}}',
    ],
)
def test_what_is_no_json_is_refused_and_nothing_of_it_is_taken(text: str) -> None:
    with pytest.raises(ValueError):
        parse_lenient(text)


def test_comments_of_any_length_are_read_in_one_pass() -> None:
    text = "/*" + "*" * 200_000 + "*/{" + "//,}\n" * 50_000 + '"a": 1' + " " * 200_000 + ",}"
    assert parse_lenient(text).value == {"a": 1}


def test_microsofts_sample_is_read_and_what_follows_its_end_is_named_by_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = app(tmp_path, MICROSOFTS_SAMPLE)
    assert set(read_host_json(folder, {}).entries) == {"version", "extensionBundle"}
    read_host_config(folder, {})
    assert [record.getMessage() for record in caplog.records if "line 7" in record.getMessage()]


@pytest.mark.parametrize(
    "text",
    [
        *(b"\xff\xfe{\x00}\x00", b"\x80", b"\x00", b"[]", b'"host"', b"null", b"NaN"),
        *(b'{"extensions": 1}', b'{"extensions": {"queues": "x"}}'),
    ],
)
def test_a_file_that_is_no_host_json_is_refused_with_its_name(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"host\.json|extensions|queues"):
        read_host_config(app(tmp_path, text), {})


def test_a_folder_named_host_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "host.json").mkdir()
    with pytest.raises(ConfigurationError, match=r"host\.json cannot be read"):
        read_host_config(tmp_path, {})


def test_the_hub_is_that_of_durable_functions_unless_our_own_setting_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = app(tmp_path, DURABLE_FUNCTIONS)
    assert hub_name(folder, {}) == "OrderHub"
    assert Settings.from_environment({}, folder=folder).hub == "OrderHub"
    assert Settings.from_environment({"DURABLE_HUB": "mine"}, folder=folder).hub == "mine"
    override = {"AzureFunctionsJobHost__extensions__durabletask__hubname": "slot2"}
    assert Settings.from_environment(override, folder=folder).hub == "slot2"
    assert Settings.from_environment({}).hub == "durable"  # no file is read for an environment that is given

    monkeypatch.chdir(folder)
    monkeypatch.delenv("DURABLE_HUB", raising=False)
    assert Settings.from_environment().hub == "OrderHub"


def test_in_azure_the_file_is_found_where_the_host_says_that_the_app_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("DURABLE_HUB", raising=False)
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(app(tmp_path, DURABLE_FUNCTIONS)))
    assert Settings.from_environment().hub == "OrderHub"


def test_a_hub_name_may_be_an_app_setting(tmp_path: Path) -> None:
    folder = app(tmp_path, json.dumps({"extensions": {"durableTask": {"hubName": "%TaskHub%"}}}))
    assert Settings.from_environment({"TaskHub": "blue"}, folder=folder).hub == "blue"
    with pytest.raises(ConfigurationError, match="TaskHub"):
        Settings.from_environment({}, folder=folder)
    assert Settings.from_environment({"DURABLE_HUB": "mine"}, folder=folder).hub == "mine"


@pytest.mark.parametrize("name", ["", "x", "9lives", "my-hub", "h" * 41, "häb", "hub\n", 7, ["hub"]])
def test_a_hub_name_that_does_not_fit_is_refused_with_the_way_out(tmp_path: Path, name: object) -> None:
    folder = app(tmp_path, json.dumps({"extensions": {"durableTask": {"hubName": name}}}))
    with pytest.raises(ConfigurationError, match=r"(?s)host\.json.*hubName.*DURABLE_HUB"):
        Settings.from_environment({}, folder=folder)


@pytest.mark.parametrize(
    "text",
    [
        DURABLE_FUNCTIONS,
        MICROSOFTS_SAMPLE,
        "{}",
        '{"extensions": {}}',
        '{\n\t"extensions": {\n\t\t"queues": {\n\t\t\t"batchSize": 4 // few\n\t\t}\n\t}\n}',
        '{"Extensions": {"http": {"routePrefix": ""}, "QUEUES": {}}, "version": "2.0"}',
        '// all of it\n{ // "extensions": {\n "version": "2.0", }',
    ],
)
def test_the_queue_section_is_written_where_it_belongs_and_the_rest_of_the_file_stays(
    tmp_path: Path, text: str
) -> None:
    before = parse_lenient(text).value
    written = with_polling(text)
    after = parse_lenient(written).value
    assert read_host_config(app(tmp_path, written), {}).queues.max_polling_interval == 2
    assert not any("maxPollingInterval" in advice.problem for advice in advise(after))

    extensions = next((value for key, value in after.items() if key.lower() == "extensions"))
    queues = next((value for key, value in extensions.items() if key.lower() == "queues"))
    assert queues.pop("maxPollingInterval") == "00:00:02"
    _drop_empty(after)
    _drop_empty(before)
    assert after == before
    assert all(line in written for line in text.splitlines() if "//" in line and "{" not in line)


def _drop_empty(entries: dict[str, object]) -> None:
    for key, value in list(entries.items()):
        if isinstance(value, dict):
            _drop_empty(value)  # pyright: ignore[reportUnknownArgumentType]
            if not value:
                del entries[key]


def test_line_ends_and_the_mode_of_the_file_are_kept(tmp_path: Path) -> None:
    path = app(tmp_path, DURABLE_FUNCTIONS.replace("\n", "\r\n")) / "host.json"
    path.chmod(0o640)
    assert CliRunner().invoke(main, ["host-json", str(tmp_path), "--write"]).exit_code == 0
    written = path.read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") > DURABLE_FUNCTIONS.count("\n")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("text", ['{"extensions": {"queues": {"maxPollingInterval": null}}}', '{"extensions": null}'])
def test_a_null_in_its_way_is_not_written_over(text: str) -> None:
    with pytest.raises(ConfigurationError):
        with_polling(text)


def test_the_verb_shows_the_lines_writes_them_and_is_then_content(tmp_path: Path) -> None:
    folder = app(tmp_path, DURABLE_FUNCTIONS)
    shown = CliRunner().invoke(main, ["host-json", str(folder)])
    assert (shown.exit_code, '"maxPollingInterval": "00:00:02"' in shown.output) == (1, True)
    assert (folder / "host.json").read_text() == DURABLE_FUNCTIONS
    told = CliRunner().invoke(main, ["host-json", str(folder), "--format", "json"])
    assert (told.exit_code, json.loads(told.output)["isWritten"]) == (1, False)
    assert json.loads(told.output)["problems"]

    written = CliRunner().invoke(main, ["host-json", str(folder), "--write"])
    assert written.exit_code == 0
    assert "// of the host" in (folder / "host.json").read_text()
    assert [path.name for path in folder.iterdir()] == ["host.json"]
    assert CliRunner().invoke(main, ["host-json", str(folder)]).exit_code == 0


def test_the_verb_names_all_that_azure_would_do_otherwise(tmp_path: Path) -> None:
    queues = {"maxPollingInterval": "00:00:02", "messageEncoding": "none", "maxDequeueCount": 2}
    shown = CliRunner().invoke(main, ["host-json", str(app(tmp_path, json.dumps({"extensions": {"queues": queues}})))])
    assert shown.exit_code == 1
    assert [word in shown.output for word in ("messageEncoding", "maxDequeueCount", "extensionBundle")] == [True] * 3


def test_the_repositorys_own_host_json_lacks_nothing() -> None:
    root = Path(__file__).parents[2]
    assert not advise(read_host_json(root, {}).entries)


@pytest.mark.parametrize(
    ("value", "environ", "seconds"),
    [
        (None, {}, 1800),
        (None, {"WEBSITE_SKU": "FlexConsumption"}, 1800),
        (None, {"WEBSITE_SKU": "Dynamic"}, 300),
        ("00:10:00", {"WEBSITE_SKU": "Dynamic"}, 600),
        ("1.02:00:00", {}, 93600),
        ("-1", {}, None),
        (-1, {}, None),
        ("00:10:00", {"AzureFunctionsJobHost__functionTimeout": "00:00:07"}, 7),
    ],
)
def test_app_and_host_read_the_same_function_timeout(
    value: object, environ: dict[str, str], seconds: float | None, tmp_path: Path
) -> None:
    (tmp_path / "host.json").write_text(json.dumps({} if value is None else {"functionTimeout": value}))
    assert Settings.from_environment(environ, folder=tmp_path).function_timeout == seconds
    assert read_host_config(tmp_path, environ).function_timeout == seconds
    assert Settings.from_environment(environ).function_timeout is None, "a program without a host has no such limit"


@pytest.mark.parametrize("value", ["00:00:00", "00:00:00.5", "5 minutes", "300", "24:00:00", "", "-00:05:00", {}])
def test_a_function_timeout_that_is_none_is_refused_by_app_and_host(value: object, tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(json.dumps({"functionTimeout": value}))
    with pytest.raises(ConfigurationError, match="functionTimeout"):
        Settings.from_environment({}, folder=tmp_path)
    with pytest.raises(ConfigurationError, match="functionTimeout"):
        read_host_config(tmp_path, {})
