"""Drives an app through ``azure-functions-runtime``, the library that runs Python functions in Azure, without a host.

A script, run by the Python that has the library: ``python worker_library.py APP_FOLDER < steps.json``. It indexes the
app as Azure would, takes the steps in order, and prints one JSON object as its last line::

    {"indexing_error": "", "functions": {name: [binding, ...]}, "results": [result, ...], "lines": [line, ...]}

A step is one of
    {"http": FUNCTION, "method", "url", "headers", "query", "params", "body"}
    {"queue": FUNCTION, "body", "dequeue_count"}
    {"timer": FUNCTION, "past_due"}
    {"deliver": SECONDS}     hand every message of the app's queues to its functions until none is left

and a result is {"ok", "error", "value"}; the value of an HTTP function is {"status", "headers", "body"}, that of
``deliver`` the number of messages. The library keeps its state in its modules: one process serves one app.

A line is what was logged at INFO or above, the level that a worker sets: {"logger", "text", "thread", "local",
"variable"}, the last two being what the worker would find there as the id of the invocation.

In Azure the library talks through protobuf messages that a caller injects as a module. Those made here have only the
manners of protobuf that the library relies on: keyword construction, defaults, ``WhichOneof``.
"""

# The library has no types, and is not there when the tests are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportGeneralTypeIssues=false

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, cast

DELIVERIES = 8  # messages in flight at once


class Message:
    """A bag of fields; one that was not given reads as proto3's empty text."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update({name: value for name, value in fields.items() if value is not None})

    def __getattr__(self, name: str) -> Any:
        if name[0] == "_" or name[0].isupper():  # no field: the library asks for names that may not be there
            raise AttributeError(name)
        return ""

    def WhichOneof(self, group: str) -> str | None:
        """The field that is set; the messages with a choice here are made with that one field (and a name)."""
        return next((name for name in self.__dict__ if name != "name"), None)


class StatusResult(Message):
    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(Message):
    in_, out, inout = 0, 1, 2
    undefined, string, binary, stream = 0, 1, 2, 3


class RpcHttpCookie(Message):
    SameSite: ClassVar = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class RpcHttp(Message):
    def __init__(self, **fields: Any) -> None:
        empty: dict[str, Any] = {"headers": {}, "params": {}, "query": {}, "body": TypedData()}
        super().__init__(**(empty | {name: value for name, value in fields.items() if value is not None}))


class TypedData(Message):
    pass


class Protos:
    """Stands in for the generated module: the messages above, and a plain one for every other name."""

    StatusResult, BindingInfo, RpcHttpCookie = StatusResult, BindingInfo, RpcHttpCookie
    RpcHttp, TypedData = RpcHttp, TypedData

    @cache  # noqa: B019 - one object, for the life of the process
    def __getattr__(self, name: str) -> type[Message]:
        return type(name, (Message,), {})


PROTOS = Protos()


class Worker:
    """The library with one app loaded."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.functions: dict[str, Any] = {}

    async def index(self) -> str:
        """Load the app as a worker does at its start. Returns the error, empty if there is none."""
        import azure_functions_runtime as library

        self._library: Any = library
        library.start_threadpool_executor()
        start = SimpleNamespace(capabilities={}, function_app_directory=self._folder)
        answer: Any = await library.worker_init_request(
            SimpleNamespace(
                request=SimpleNamespace(worker_init_request=start),
                properties={"host": "127.0.0.1", "protos": PROTOS},
            )
        )
        if answer.result.status != StatusResult.Success:
            return f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}"
        metadata: Any = await library.functions_metadata_request(SimpleNamespace(request=None, properties={}))
        self.functions = {each.name: each for each in metadata.function_metadata_results or ()}
        return "" if self.functions else "the app has no functions"

    def bindings(self, function: str) -> list[dict[str, Any]]:
        return [json.loads(binding) for binding in self.functions[function].raw_bindings]

    def trigger(self, function: str) -> dict[str, Any]:
        return next(each for each in self.bindings(function) if each["type"].lower().endswith("trigger"))

    async def take(self, step: dict[str, Any]) -> dict[str, Any]:
        """Do one step of the script."""
        match step:
            case {"http": function}:
                return await self._http(function, step)
            case {"queue": function}:
                return await self._queue(function, step["body"], step.get("dequeue_count", 1), str(uuid.uuid4()))
            case {"timer": function}:
                status = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": {}}
                data = TypedData(json=json.dumps(status | {"IsPastDue": step.get("past_due", False)}))
                return await self._invoke(function, data)
            case {"deliver": seconds}:
                async with asyncio.timeout(seconds):
                    return await self._deliver()
            case _:
                raise ValueError(f"unknown step {step}")

    async def _http(self, function: str, step: dict[str, Any]) -> dict[str, Any]:
        request = RpcHttp(
            method=step.get("method", "GET"),
            url=step.get("url", "http://localhost:7071/"),
            headers=step.get("headers"),
            query=step.get("query"),
            params=step.get("params"),
            body=TypedData(bytes=step["body"].encode()) if step.get("body") else None,
        )
        return await self._invoke(function, TypedData(http=request))

    async def _queue(self, function: str, body: str, dequeue_count: int, message_id: str) -> dict[str, Any]:
        now = datetime.now(UTC).replace(microsecond=0)

        def as_json(value: object) -> TypedData:
            return TypedData(json=json.dumps(value))

        metadata: dict[str, TypedData] = {
            "QueueTrigger": TypedData(string=body),
            "Id": TypedData(string=message_id),
            "DequeueCount": as_json(str(dequeue_count)),
            "PopReceipt": TypedData(string="receipt"),
            "InsertionTime": as_json(now.isoformat()),
            "ExpirationTime": as_json((now + timedelta(days=7)).isoformat()),
            "NextVisibleTime": as_json((now + timedelta(minutes=10)).isoformat()),
        }
        # The host lays the top-level properties of a JSON body over the trigger's metadata.
        try:
            content: Any = json.loads(body)
        except ValueError:
            content = None
        if isinstance(content, dict):
            by_lower = {name.lower(): name for name in metadata}
            for name, value in cast("dict[str, Any]", content).items():
                metadata[by_lower.get(name.lower(), name)] = as_json(value)
        return await self._invoke(function, TypedData(string=body), metadata)

    async def _invoke(
        self, function: str, data: TypedData, metadata: dict[str, TypedData] | None = None
    ) -> dict[str, Any]:
        trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-00"
        invocation = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=self.functions[function].function_id,
            input_data=[Message(name=self.trigger(function)["name"], data=data)],
            trigger_metadata=metadata or {},
            trace_context=SimpleNamespace(trace_parent=trace, trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answer: Any = await self._library.invocation_request(
            SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
        )
        if answer.result.status != StatusResult.Success:
            failure = answer.result.exception
            return {"ok": False, "error": f"{failure.message}\n{failure.stack_trace}", "value": None}
        return {"ok": True, "error": "", "value": _plain(answer.return_value)}

    async def _deliver(self) -> dict[str, Any]:
        from durable_core.errors import QueueNotFoundError
        from durable_core.hosting.storage_pool import acquire_storage, release_storage
        from durable_core.settings import Settings

        triggers = {name: self.trigger(name) for name in self.functions}
        queues = {name: t["queueName"] for name, t in triggers.items() if t["type"] == "queueTrigger"}
        storage = acquire_storage(Settings.from_environment())
        errors, delivered = list[str](), 0

        async def deliver(function: str) -> int:
            queue = storage.queue(queues[function])
            try:
                messages = await queue.receive(DELIVERIES, 600)
                left = await queue.count()
            except QueueNotFoundError:
                return 0

            async def one(message: Any) -> None:
                result = await self._queue(function, message.body, message.dequeue_count, message.id)
                await (queue.delete(message) if result["ok"] else queue.extend(message, 0))
                errors.extend([result["error"]] if result["error"] else [])

            await asyncio.gather(*map(one, messages))
            nonlocal delivered
            delivered += len(messages)
            return left

        try:
            while any(await asyncio.gather(*map(deliver, queues))):  # noqa: ASYNC110 - a delay's end sets no event
                await asyncio.sleep(0.05)
        finally:
            await release_storage(storage)
        return {"ok": not errors, "error": "\n".join(errors), "value": delivered}


def _plain(value: Any) -> Any:
    """A TypedData as what JSON can hold."""
    match value.WhichOneof("data") if isinstance(value, Message) else None:
        case None:
            return None
        case "http":
            http = value.http
            return {"status": int(http.status_code), "headers": dict(http.headers), "body": _plain(http.body)}
        case "bytes":
            return value.bytes.decode()
        case kind:
            return getattr(value, kind)


class Lines(logging.Handler):
    """Keeps what is logged, with the ids by which a worker would send it to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        from azure_functions_runtime import invocation_id_cv
        from azure_functions_runtime.bindings.context import _invocation_id_local

        self.lines.append(
            {
                "logger": record.name,
                "text": record.getMessage(),
                "thread": threading.current_thread().name,
                "local": getattr(_invocation_id_local, "invocation_id", None),
                "variable": invocation_id_cv.get(),
            }
        )


async def main(folder: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    sys.path.insert(0, folder)
    worker = Worker(folder)
    error = await worker.index()
    if error:
        return {"indexing_error": error, "functions": {}, "results": [], "lines": []}
    logged = Lines()
    logging.getLogger().addHandler(logged)
    logging.getLogger().setLevel(logging.INFO)
    results = [await worker.take(step) for step in steps]
    functions = {f: worker.bindings(f) for f in worker.functions}
    return {"indexing_error": "", "functions": functions, "results": results, "lines": logged.lines}


if __name__ == "__main__":
    outcome = asyncio.run(main(sys.argv[1], json.load(sys.stdin)))
    print("\n" + json.dumps(outcome), flush=True)
