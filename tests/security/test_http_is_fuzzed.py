"""The management API, fuzzed from its own OpenAPI description: no 500, no hang, and only documented answers.

Every generated request is sent twice: as it is, and with its path filled with what exists, so that it gets beyond
"there is no such instance".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
import schemathesis
import schemathesis.checks
import schemathesis.specs.openapi.checks
from hypothesis import given, seed
from schemathesis.core.transport import Response

from durable_core.hosting import http_api, http_streams
from durable_core.hosting.openapi import openapi_description
from durable_core.telemetry.open_metrics import CONTENT_TYPE as METRICS
from tests.security.conftest import Fuzz
from tests.security.fuzzed_app import FuzzedApp
from tests.support.function_host import BASE, Answer

SCHEMA: Any = schemathesis.openapi.from_dict(openapi_description(BASE))
OPERATIONS: dict[str, Any] = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
_GENERAL: Any = schemathesis.checks
_OPENAPI: Any = schemathesis.specs.openapi.checks
CHECKS: list[Any] = [
    _OPENAPI.status_code_conformance,
    _OPENAPI.content_type_conformance,
    _OPENAPI.response_schema_conformance,
    _OPENAPI.response_headers_conformance,
]
EXAMPLES = 20  # of each operation and mode
RESTOCK = 40


@pytest.fixture(scope="module")
def app() -> Iterator[FuzzedApp]:
    with FuzzedApp() as running, pytest.MonkeyPatch.context() as patched:
        patched.setattr(http_streams, "LONGEST_WAIT", 0.001)
        patched.setattr(http_api, "MAX_WAIT_SECONDS", 0.001)  # a start with ``timeout`` waits for what nobody runs
        yield running


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", list(OPERATIONS))
@pytest.mark.timeout(3600)
def test_no_request_is_answered_with_500_or_not_at_all(
    app: FuzzedApp, fuzz: Fuzz, label: str, mode: schemathesis.GenerationMode
) -> None:
    operation = OPERATIONS[label]
    tried = 0

    @seed(20)
    @fuzz.settings(EXAMPLES)
    @given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        nonlocal tried
        tried += 1
        if tried % RESTOCK == 1:
            app.run(app.restock())
        prepared = _prepared(case)
        url = str(prepared.url)
        for target in (url, _with_what_exists(app, operation.path, url, tried)):
            prepared.url = target
            fuzz.count("HTTP")
            try:
                answer = app.run(
                    app.host.request(operation.method.upper(), target, _body(prepared), _headers(prepared))
                )
                if answer is not None:  # else no route fits: the host's own 404
                    _check(case, prepared, answer)
            except BaseException:
                fuzz.count_server_error()
                raise

    send()
    assert tried >= 1


def _prepared(case: Any) -> requests.PreparedRequest:
    arguments = case.as_transport_kwargs(base_url=BASE)
    arguments["headers"] = {name: str(value) for name, value in arguments["headers"].items()}
    return requests.Request(**arguments).prepare()


def _body(prepared: requests.PreparedRequest) -> bytes:
    body: Any = prepared.body
    return body.encode() if isinstance(body, str) else body or b""


def _headers(prepared: requests.PreparedRequest) -> dict[str, str]:
    return {str(name): str(value) for name, value in prepared.headers.items()}


def _with_what_exists(app: FuzzedApp, template: str, url: str, number: int) -> str:
    """The generated request, sent to something that is there."""
    uris = [uri for key, uri in app.uris.items() if key != "id"]
    token = uris[number % len(uris)].partition("/c/")[2].partition("?")[0].partition("/")[0]
    operations = ("suspend", "resume", "terminate", "cancel", "no")
    if "/schedules/" in template:
        operations = ("pause", "resume", "trigger", "no", "delete" if number > 60 else "pause")
    known = {
        "name": ("waits", "order", "fails")[number % 3],
        "instanceId": ("live", "ended", "failed", "nobody")[number % 4],
        "eventName": ("Go", "other")[number % 2],
        "queryName": ("echo", "none")[number % 2],
        "streamName": ("output", "none")[number % 2],
        "updateName": ("echo", "none")[number % 2],
        "scheduleId": ("nightly", "nightly", "nobody")[number % 3],
        "operation": operations[number % len(operations)],
        "token": token,
        "entityName": ("tally", "tally", "nobody")[number % 3],
        "entityKey": ("one", "two")[number % 2],
        "file": ("app.js", "style.css", "nothing.js")[number % 3],
    }
    filled = re.sub(r"\{(\w+)\}", lambda found: quote(known[found[1]]), template)
    if number % 8 == 0:  # a new instance each time
        filled = filled.replace("/order/ended", f"/order/new-{number}")
    # A wait of minutes for an instance that does not end is right, and longer than this test has.
    query = re.sub(r"(?i)\btimeout=(?!0?\.)[^&]*", "timeout=0.1", urlsplit(url).query)
    return BASE + filled + (f"?{query}" if query else "")


def _check(case: Any, prepared: requests.PreparedRequest, answer: Answer) -> None:
    headers = {name: [value] for name, value in answer.headers.items()}
    if answer.body == b"":
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    response = Response(answer.status, headers, answer.body, prepared, 0.0, verify=False)
    asked_for = "returnInternalServerErrorOnFailure" in str(prepared.url) and b'"runtimeStatus":"Failed"' in answer.body
    case.validate_response(response, checks=CHECKS if asked_for else [_GENERAL.not_a_server_error, *CHECKS])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.body and "Content-Security-Policy" not in answer.headers:  # else a file of the dashboard
        is_metrics = urlsplit(str(prepared.url)).path.endswith("/metrics") and answer.status == 200
        is_stream = "/streams/" in urlsplit(str(prepared.url)).path and answer.status == 200
        expected = (
            METRICS if is_metrics else http_streams.EVENT_STREAM if is_stream else "application/json; charset=utf-8"
        )
        assert answer.headers["Content-Type"] == expected
