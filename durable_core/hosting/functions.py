"""The Azure Functions of an app: a blueprint with the queue, timer and HTTP functions of durable_core.

The local host runs the same functions. Each trigger makes one call into the runtime or the HTTP API; this module
translates the arguments and keeps two rules of the Python worker: its event loop is not blocked, and no
``CancelledError`` escapes (the invocation would hang until functionTimeout).

Azure imports an app to index it, in every worker process and before any trigger. So this module imports what the index
needs, and each trigger what it needs on top (``_when_triggered``): runtime and HTTP API are most of the product.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import azure.functions as func

from ..codec import PayloadCodec
from ..errors import ConfigurationError, DurableError, InstanceNotFoundError
from ..host_json import own_function_timeout
from ..hub.names import HubNames
from ..hub.timers import arming_interval
from ..instance_ids import execution_of
from ..registry import Registry
from ..settings import Settings
from ..streams import check_stream_name
from .app_opener import AppFactory, AppOpener, open_app
from .callback_urls import SignedCallbackUrls, app_address
from .http_routes import DEFAULT_BASE, RETRY_AFTER_SECONDS, Endpoint
from .http_types import CAN_STREAM, PIECES, HttpRequest, HttpResponse, error_response
from .invocations import working_for
from .signed_urls import DEFAULT_LIFETIME, CapabilitySigner, Verb
from .signing_keys import signing_keys

if TYPE_CHECKING:
    from ..runtime.app import DurableApp
    from ..runtime.client import DurableClient
    from .http_api import HttpApi
    from .http_bodies import HttpManagementPayload

T = TypeVar("T")
_Deliver: TypeAlias = "Callable[[DurableApp, str, int, datetime | None], Awaitable[None]]"

CONNECTION = "AzureWebJobsStorage"
RECOVERY_SCHEDULE = "0 */5 * * * *"
_NO_CONTEXT = cast("func.Context", None)
_SLASH = re.compile("%2f", re.IGNORECASE)


class InvocationCancelledError(DurableError):
    """The host cancelled the invocation. A queue message is delivered again; nothing is lost."""


class Durable:
    """Connects a registry to a function app: the blueprint, and for your own functions the client and responses.

    registry: the orchestrators and activities of the app.
    settings: None reads them from the environment (ConfigurationError). Without a ``function_timeout`` they get that of
        the app's host.json.
    base: path of the management API below the host's route prefix.
    auth_level: the key that Azure asks of the management API's callers, whatever the app's own default is; ANONYMOUS
        opens it to everybody. The signed URLs (``/c/...``) never need one.
    codec: transforms the app's values before they are stored and after they are read, to encrypt them for instance.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        settings: Settings | None = None,
        base: str = DEFAULT_BASE,
        codec: PayloadCodec | None = None,
        auth_level: func.AuthLevel = func.AuthLevel.FUNCTION,
        factory: AppFactory | None = None,
    ) -> None:
        self.registry = registry
        self.settings = Settings.from_environment() if settings is None else settings
        if self.settings.function_timeout is None:
            self.settings = replace(self.settings, function_timeout=own_function_timeout(os.environ))
        self.codec = codec
        self._base = base.strip("/")
        if not self._base or self._base.split("/")[0].lower() in ("admin", "runtime"):
            raise ConfigurationError(
                f"the Functions host reserves routes below '{base}'; choose another base for the API"
            )
        urls = SignedCallbackUrls(lambda: self._signer, self._own_base_url)
        self._auth_level = auth_level
        self._last_api: tuple[DurableClient, HttpApi] | None = None
        self._opener = AppOpener(registry, self.settings, factory or partial(open_app, codec=codec, callback_urls=urls))

    # ------------------------------------------------------------ for your own functions

    async def client(self) -> DurableClient:
        """The client of this app's task hub. Opens the app if it is not open yet."""
        return (await self._opener.app()).client

    def create_http_management_payload(
        self,
        request: func.HttpRequest | None,
        instance_id: str,
        *,
        execution_id: str = "",
        details: bool = False,
        steady: bool = False,
    ) -> HttpManagementPayload:
        """The capability URLs with which their holder can follow and manage this instance.

        For an id as ``start_new`` returned it, or with ``execution_id`` (which a status has), the URIs are bound to
        that execution: after the id was purged and started again, they are answered with 410. For any other string they
        are valid for each instance that has the id, until they expire. The status URI shows status, custom status and
        output; with ``details`` also the input and, on request, the history.

        request: the URIs begin with the address that its caller used; None takes the app's own address.
        steady: the URIs are the same at every call for about a month; an execution in the id is ignored.
        ConfigurationError where URLs cannot be signed: see ``DURABLE_SIGNING_KEYS``; or if the app has no address.
        """
        base_url = self._own_base_url() if request is None else self._base_url(request)
        return _when_triggered().create_http_management_payload(
            self._signer, instance_id, base_url, execution_id, details=details, steady=steady
        )

    def create_check_status_response(
        self, request: func.HttpRequest, instance_id: str, *, execution_id: str = "", details: bool = False
    ) -> func.HttpResponse:
        """202 with the management payload, ``Location`` and ``Retry-After``.

        Arguments and errors are those of ``create_http_management_payload``.
        """
        base_url = self._base_url(request)
        return _to_azure(
            _when_triggered().create_check_status_response(
                self._signer, instance_id, base_url, execution_id=execution_id, details=details
            )
        )

    async def create_event_url(
        self,
        request: func.HttpRequest,
        instance_id: str,
        event_name: str,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
    ) -> str:
        """A URL that sends this one event to this execution of the instance, once, by a POST of its data as JSON.

        For links in mails: of two clicks the second is answered with 410. For an id as ``start_new`` returned it, the
        storage is not read. Raises InstanceNotFoundError, and ConfigurationError as above.
        """
        return await self._url_of_execution(request, instance_id, Verb.EVENT, event_name=event_name, lifetime=lifetime)

    async def create_view_url(
        self,
        request: func.HttpRequest,
        instance_id: str,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
    ) -> str:
        """A URL that opens the dashboard of this one execution of the instance, without a key and read-only.

        Its holder sees input, output and history. For an id as ``start_new`` returned it, the storage is not read.
        Raises InstanceNotFoundError, and ConfigurationError as above.
        """
        return await self._url_of_execution(request, instance_id, Verb.VIEW, lifetime=lifetime)

    async def create_stream_url(
        self,
        request: func.HttpRequest,
        instance_id: str,
        name: str = "output",
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
    ) -> str:
        """A URL at which a browser's ``EventSource`` reads this stream of this execution, without a key.

        For an id as ``start_new`` returned it, the storage is not read. Raises InvalidInputError for a name that is
        none, InstanceNotFoundError, and ConfigurationError as above.
        """
        check_stream_name(name)
        return await self._url_of_execution(request, instance_id, Verb.STREAM, event_name=name, lifetime=lifetime)

    async def wait_for_completion_or_create_check_status_response(
        self,
        request: func.HttpRequest,
        instance_id: str,
        timeout_in_milliseconds: int = 10_000,
        retry_interval_in_milliseconds: int = RETRY_AFTER_SECONDS * 1000,
    ) -> func.HttpResponse:
        """The result if the instance ends in time (at most 200 s), else ``create_check_status_response``.

        The interval is the time between two polls that the response asks for (``Retry-After``).
        """
        api = await self._api()
        return _to_azure(
            await api.result_or_check_status(
                instance_id,
                self._base_url(request),
                wait=timeout_in_milliseconds / 1000,
                retry_after=retry_interval_in_milliseconds / 1000,
            )
        )

    # ------------------------------------------------------------ for the host

    def blueprint(self, *, http: bool = True) -> func.Blueprint:
        """The functions of ``durable_core``, for ``FunctionApp.register_functions``. Call it once.

        http: whether the blueprint has the routes of the management API. Without them no function answers the URLs of
        management payloads and callbacks. False is for an app whose own routes use HTTP streaming
        (``azurefunctions-extensions-http-fastapi``): Azure does not support other routes in such an app, and would load
        no function at all.
        """
        blueprint = func.Blueprint()
        queues = HubNames.of(self.settings, self.registry.queues)
        for index, queue in enumerate(queues.control):
            self._add_queue(blueprint, _numbered("durable_control", index), queue, _to_control)
        for own, names in queues.all_work.items():
            function = f"durable_work_{own}" if own else "durable_work"
            for index, queue in enumerate(names):
                self._add_queue(blueprint, _numbered(function, index), queue, _to_work(own))
        self._add_recovery(blueprint)
        for endpoint in Endpoint if http else ():
            self._add_route(blueprint, endpoint)
        return blueprint

    async def start(self, queues: Sequence[str] = ()) -> None:
        """Open the app now. The local host calls this before the first trigger; Azure does not need it.

        queues: the names of the storage queues that this process serves, as far as they are known.
        """
        (await self._opener.app()).serve(queues)

    async def stop(self) -> None:
        """Close the app. The local host calls this after the last trigger."""
        await self._opener.close()

    # ------------------------------------------------------------ triggers

    def _add_queue(self, blueprint: func.Blueprint, name: str, queue: str, deliver: _Deliver) -> None:
        # The worker accepts no other annotation of a context; the local host and tests call the function without one.
        async def on_message(message: func.QueueMessage, context: func.Context = _NO_CONTEXT) -> None:
            async def work() -> None:
                body, app = message.get_body().decode(), await self._opener.app()
                app.serve()
                await deliver(app, body, message.dequeue_count or 1, message.insertion_time)

            with working_for(context):
                await _not_cancelled(work())

        trigger = blueprint.queue_trigger(  # pyright: ignore[reportUnknownMemberType]  its **kwargs have no type
            arg_name="message", queue_name=queue, connection=CONNECTION
        )
        self._add(blueprint, name, trigger, on_message)

    def _add_recovery(self, blueprint: func.Blueprint) -> None:
        async def on_timer(timer: func.TimerRequest) -> None:
            async def work() -> None:
                app = await self._opener.app()
                app.serve()
                await app.recover()
                await _when_triggered().report_health(app)

            await _not_cancelled(work())

        # No monitor: it would write a blob at each run to make up for missed runs, which recovery does not need.
        trigger = blueprint.timer_trigger(arg_name="timer", schedule=RECOVERY_SCHEDULE, use_monitor=False)
        self._add(blueprint, "durable_recovery", trigger, on_timer)
        if (seconds := arming_interval(timedelta(seconds=self.settings.timer_rows_from))) is not None:
            self._add_arming(blueprint, seconds)

    def _add_arming(self, blueprint: func.Blueprint, seconds: int) -> None:
        async def on_timer(timer: func.TimerRequest) -> None:
            async def work() -> None:
                app = await self._opener.app()
                app.serve()
                await app.arm_timers()

            await _not_cancelled(work())

        schedule = f"*/{seconds} * * * * *" if seconds < 60 else f"0 */{seconds // 60} * * * *"
        trigger = blueprint.timer_trigger(arg_name="timer", schedule=schedule, use_monitor=False)
        self._add(blueprint, "durable_arm_timers", trigger, on_timer)

    def _add_route(self, blueprint: func.Blueprint, endpoint: Endpoint) -> None:
        async def on_request(request: func.HttpRequest) -> func.HttpResponse:
            try:
                return _to_azure(await self._handle(endpoint, request))
            except asyncio.CancelledError:
                return _to_azure(error_response(503, "Cancelled", "the host cancelled this request; send it again"))

        async def refuse(request: func.HttpRequest) -> func.HttpResponse | None:
            """The local host calls this before it reads the body of a request."""
            try:
                refusal = (await self._api()).refusal(endpoint, _from_azure(request))
            except Exception as error:  # noqa: BLE001  as in _handle
                refusal = _when_triggered().failure_response(error)
            return None if refusal is None else _to_azure(refusal)

        route = endpoint.value
        setattr(on_request, "__durable_refuse__", refuse)  # noqa: B010  a function has no such attribute by its type
        setattr(on_request, "__durable_methods__", route.methods)  # noqa: B010
        setattr(on_request, "__durable_path__", route.template)  # noqa: B010
        trigger = blueprint.route(
            route=f"{self._base}/{route.template}",
            trigger_arg_name="request",
            methods=_methods_of(endpoint),
            # Explicit: an app that is anonymous by default must not open its management API to everybody.
            auth_level=func.AuthLevel.ANONYMOUS if route.keyless else self._auth_level,
        )
        self._add(blueprint, f"durable_{endpoint.name.lower()}", trigger, on_request)

    def _add(
        self, blueprint: func.Blueprint, name: str, trigger: Callable[..., Any], function: Callable[..., Any]
    ) -> None:
        function.__name__ = function.__qualname__ = name
        setattr(function, "__durable_hooks__", self)  # noqa: B010  a function has no such attribute by its type
        blueprint.function_name(name=name)(trigger(function))

    async def _handle(self, endpoint: Endpoint, request: func.HttpRequest) -> HttpResponse:
        if endpoint is Endpoint.UI:  # also served by an app that cannot open
            from .dashboard_files import dashboard_file  # Azure indexes an app without its pages

            return dashboard_file(_from_azure(request))
        try:
            api = await self._api()
        except Exception as error:  # noqa: BLE001  an app that cannot open answers the request, too, and logs the error
            return _when_triggered().failure_response(error)
        return await api.handle(endpoint, _from_azure(request))

    async def _api(self) -> HttpApi:
        app = await self._opener.app()
        client = app.client
        if self._last_api is None or self._last_api[0] is not client:  # a client belongs to one event loop
            self._last_api = (client, _when_triggered().api_of(app, self.settings, self._signer, self._base))
        return self._last_api[1]

    @cached_property
    def _signer(self) -> CapabilitySigner:
        return CapabilitySigner(signing_keys(self.settings))

    async def _url_of_execution(
        self, request: func.HttpRequest, instance_id: str, verb: Verb, *, event_name: str = "", lifetime: timedelta
    ) -> str:
        execution_id = execution_of(instance_id)
        if not execution_id:
            execution_id = (await (await self.client()).get_status(instance_id, show_input=False)).execution_id
        if not execution_id:
            raise InstanceNotFoundError(instance_id)
        token = self._signer.issue(
            instance_id, verb, execution_id=execution_id, event_name=event_name, lifetime=lifetime
        )
        return f"{self._base_url(request)}/c/{token}"

    def _own_base_url(self) -> str:
        return f"{app_address(self.settings.base_url)}{_route_prefix()}/{self._base}"

    def _base_url(self, request: func.HttpRequest) -> str:
        address = self.settings.base_url.rstrip("/") or _from_azure(request).origin
        return f"{address}{_route_prefix()}/{self._base}"


def durable_blueprint(
    registry: Registry, *, settings: Settings | None = None, base: str = DEFAULT_BASE, http: bool = True
) -> func.Blueprint:
    """The blueprint alone, for an app that needs no ``Durable`` object."""
    return Durable(registry, settings=settings, base=base).blueprint(http=http)


def _when_triggered():  # the type is the module
    """What the triggers need of the rest of the product."""
    from . import triggered

    return triggered


async def _to_control(app: DurableApp, body: str, dequeue_count: int, inserted_at: datetime | None) -> None:
    await app.on_control_message(body, dequeue_count, inserted_at)


def _to_work(queue: str) -> _Deliver:
    async def deliver(app: DurableApp, body: str, dequeue_count: int, inserted_at: datetime | None) -> None:
        await app.on_work_message(body, dequeue_count, queue, inserted_at)

    return deliver


async def _not_cancelled(work: Awaitable[T]) -> T:
    try:
        return await work
    except asyncio.CancelledError as error:
        raise InvocationCancelledError(
            "the host cancelled this invocation; its message will be delivered again"
        ) from error


def _methods_of(endpoint: Endpoint) -> tuple[func.HttpMethod, ...]:
    """The methods that the function of a route is registered for.

    They are every method that no other function answers at that path, so that the API answers a wrong one with the
    allowed ones, not the host with a bare 404. The first function of a path takes these.
    """
    template = endpoint.value.template
    others = [other for other in Endpoint if other is not endpoint and other.value.template == template]
    if others and list(Endpoint).index(endpoint) > min(list(Endpoint).index(other) for other in others):
        return tuple(func.HttpMethod(method) for method in endpoint.value.methods)
    taken = {method for other in others for method in other.value.methods}
    return tuple(method for method in func.HttpMethod if method.value not in taken)


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index}"


def _from_azure(request: func.HttpRequest) -> HttpRequest:
    # ASP.NET decodes a route's variables, but for an encoded slash.
    route = {name: _SLASH.sub("/", value or "") for name, value in request.route_params.items()}
    return HttpRequest.of(
        request.method,
        request.url,
        route=route,
        headers=request.headers,
        body=request.get_body() or b"",
        more_query=request.params,
        can_stream=hasattr(request, CAN_STREAM),
    )


def _to_azure(response: HttpResponse) -> func.HttpResponse:
    converted = func.HttpResponse(response.body, status_code=response.status, headers=response.headers)
    if response.pieces is not None:
        setattr(converted, PIECES, response.pieces)
    return converted


def _route_prefix(environ: Mapping[str, str] = os.environ) -> str:
    """The host's route prefix as ``/api``, or '' if it has none: read as the host reads it."""
    prefix = environ.get("AzureFunctionsJobHost__extensions__http__routePrefix")
    if prefix is None:
        try:
            host = json.loads(Path(environ.get("AzureWebJobsScriptRoot", "."), "host.json").read_text("utf-8-sig"))
            prefix = str(host.get("extensions", {}).get("http", {}).get("routePrefix", "api"))
        except (OSError, ValueError, AttributeError):
            prefix = "api"  # the host's own default; a broken host.json is the host's to report
    prefix = prefix.strip("/")
    return f"/{prefix}" if prefix else ""
