"""The management API answered in this process, on the storage of a hub that exists already."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from ...codec import PayloadCodec
from ...hosting.app_loader import expect_store
from ...hosting.app_opener import open_app
from ...hosting.http_api import HttpApi
from ...hosting.http_routes import Endpoint
from ...hosting.http_types import HttpRequest
from ...hosting.signed_urls import CapabilitySigner
from ...registry import Registry
from ...settings import Settings
from .port import Answer, method_of, query_text

_ORIGIN = "http://this-process"


class InProcess:
    def __init__(self, api: HttpApi, place: str) -> None:
        self.place = place
        self._api = api

    async def call(
        self,
        endpoint: Endpoint,
        *,
        route: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        url = f"{_ORIGIN}/api/durabletask/{query_text(query)}"
        request = HttpRequest.of(method_of(endpoint), url, route=route, headers=headers, body=body or b"")
        response = await self._api.handle(endpoint, request)
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)


@asynccontextmanager
async def open_in_process(
    settings: Settings, registry: Registry, codec: PayloadCodec | None
) -> AsyncGenerator[InProcess]:
    """The API of the hub that the settings name. ConfigurationError if there is none; nothing is created."""
    expect_store(settings)
    async with open_app(registry, settings, codec, create=False) as app:
        # Who reaches the store may do all: the app's interceptors are for callers of the app.
        # No verb shows the URLs of a management payload, so the app's own signing keys are not needed.
        signer = CapabilitySigner([secrets.token_bytes(32)])
        yield InProcess(HttpApi(app.plain_client, signer, max_payload=settings.max_payload), place_of(settings))


def place_of(settings: Settings) -> str:
    """The hub and its storage, as shown to the user. No secret of a connection string is in it."""
    if settings.is_embedded:
        return f"hub '{settings.hub}' in {settings.store}"
    connection = settings.connection
    parts = {part.partition("=")[0]: part.partition("=")[2] for part in connection.get("", "").split(";")}
    account = connection.get("accountName") or parts.get("AccountName") or "the storage account of AzureWebJobsStorage"
    if parts.get("UseDevelopmentStorage", "").lower() == "true":
        account = "Azurite"
    return f"hub '{settings.hub}' in {account}"
