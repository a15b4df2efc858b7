"""The requests by capability URL: what each verb of a URL does, and with which method."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import CapabilityError, ExecutionGoneError
from .callback_urls import ticket_of
from .dashboard_files import dashboard_page
from .http_instance import ACCEPTED, InstanceRoutes
from .http_streams import StreamRoutes
from .http_types import HttpRequest, HttpResponse, error_response
from .public_urls import PublicUrls
from .signed_urls import Capability, Verb

if TYPE_CHECKING:
    from ..runtime.client import DurableClient

_METHODS = {
    Verb.STATUS: "GET",
    Verb.DETAILS: "GET",
    Verb.VIEW: "GET",
    Verb.STREAM: "GET",
    Verb.PURGE: "DELETE",
}  # the others: POST, so that no link preview can trigger them


def method_of(verb: Verb) -> str:
    """The method of the URLs of this verb."""
    return _METHODS.get(verb, "POST")


class CapabilityRoutes:
    """What a request by a capability URL does: part of ``HttpApi``."""

    def __init__(
        self,
        client: DurableClient,
        instance: InstanceRoutes,
        streams: StreamRoutes,
        urls: PublicUrls,
        max_payload: int,
    ) -> None:
        self._client = client
        self._instance = instance
        self._streams = streams
        self._urls = urls
        self._max_payload = max_payload

    async def answer(self, request: HttpRequest, capability: Capability) -> HttpResponse:
        verb, instance_id, event_name = capability.verb, capability.instance_id, request.route.get("eventName", "")
        execution_id = capability.execution_id
        match verb:
            case Verb.STATUS | Verb.DETAILS:
                details = verb is Verb.DETAILS
                return await self._instance.status(
                    request, instance_id, execution_id, location=self._urls.same(request), details=details
                )
            case Verb.VIEW:
                return await self._view(request, instance_id, execution_id)
            case Verb.EVENT if capability.event_name:
                _check_event(capability, event_name)
                data = request.json(self._max_payload)
                await self._client.raise_event_once(
                    instance_id, capability.event_name, data, nonce=capability.nonce, execution_id=execution_id
                )
                return ACCEPTED
            case Verb.EVENT:
                return await self._instance.raise_event(request, instance_id, event_name, execution_id)
            case Verb.PURGE:
                return await self._instance.purge(instance_id, execution_id)
            case Verb.REWIND:
                return await self._instance.rewind(request, instance_id, execution_id)
            case Verb.RESTART:
                if request.body.strip():
                    message = "this URL restarts with the same input, so its request has no body"
                    return error_response(403, "CapabilityRefused", message)
                return await self._instance.restart(request, instance_id, None, execution_id)
            case Verb.STREAM:
                return await self._streams.read(request, instance_id, capability.event_name, execution_id)
            case Verb.CALLBACK:
                await self._client.redeem_callback(ticket_of(capability), request.json(self._max_payload))
                return ACCEPTED
            case _:
                return await self._instance.operate(request, instance_id, verb, execution_id)

    async def _view(self, request: HttpRequest, instance_id: str, execution_id: str) -> HttpResponse:
        """The dashboard of one instance, or one of the documents that it reads."""
        match request.route.get("eventName", "").lower():
            case "":
                return dashboard_page(request, "../../ui/" if urlsplit(request.url).path.endswith("/") else "../ui/")
            case "status":
                return await self._instance.status(
                    request, instance_id, execution_id, location=self._urls.same(request)
                )
            case "timeline":
                await self._check_execution(instance_id, execution_id)
                return await self._instance.timeline(instance_id)
            case "explain":
                await self._check_execution(instance_id, execution_id)
                return await self._instance.explain(instance_id)
            case "streams":
                if name := request.text("name"):
                    return await self._streams.read(request, instance_id, name, execution_id)
                await self._check_execution(instance_id, execution_id)
                return await self._streams.names(instance_id)
            case other:
                return error_response(404, "NotFound", f"the URL of a view has no part '{other[:100]}'")

    async def _check_execution(self, instance_id: str, execution_id: str) -> None:
        """ExecutionGoneError if the id now belongs to another execution; '' stands for any."""
        if not execution_id:
            return
        status = await self._client.get_status(instance_id, show_input=False)
        if status and status.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)


def _check_event(capability: Capability, asked: str) -> None:
    if asked and asked.lower() != capability.event_name.lower():
        raise CapabilityError(f"this URL is for the event '{capability.event_name}' only")
