"""How requests to Azure Storage prove who sends them: by a key, a shared access signature, or a token."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.data.tables import AccountSasPermissions, ResourceTypes, generate_account_sas
from azure.storage.queue import AccountSasPermissions as QueuePermissions
from azure.storage.queue import ResourceTypes as QueueResourceTypes
from azure.storage.queue import generate_account_sas as generate_queue_sas

from durable_core.errors import StorageError, StorageUnavailableError
from durable_core.storage.azure.rest.authorization import BearerToken
from durable_core.storage.azure.rest.service import Service
from durable_core.storage.azure.rest.table import RestTable
from durable_core.storage.azure.store import AzureStorage
from durable_core.testing.azurite import ACCOUNT, ACCOUNT_KEY, Azurite

BOTH_WAYS = pytest.mark.parametrize("by_sdk", [False, True], ids=["own requests", "by the SDK"])


@pytest.mark.azurite
@BOTH_WAYS
async def test_a_shared_access_signature_is_enough_for_tables(azurite: Azurite, by_sdk: bool) -> None:
    name = "t" + uuid4().hex[:12]
    by_key = AzureStorage({"": azurite.connection_string})
    await by_key.create([name], [])
    await by_key.close()
    sas = generate_account_sas(
        AzureNamedKeyCredential(ACCOUNT, ACCOUNT_KEY),
        resource_types=ResourceTypes.from_string("sco"),
        permission=AccountSasPermissions(read=True, write=True, add=True, update=True, delete=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    storage = AzureStorage({"": _with_signature(azurite, sas)}, by_sdk=by_sdk)
    table = storage.table(name)
    etag = await table.insert("p", "it's 5%", {"n": 1})
    await table.merge("p", "it's 5%", {"m": "&?#"}, etag)
    row = await table.get("p", "it's 5%", select=["m"])
    assert row is not None and row.props == {"m": "&?#"}
    assert len((await table.read_range("p", "a", "z", limit=5)).rows) == 1
    await table.delete("p", "it's 5%")
    await storage.close()


@pytest.mark.azurite
@BOTH_WAYS
async def test_a_shared_access_signature_is_enough_for_queues(azurite: Azurite, by_sdk: bool) -> None:
    name = "q-" + uuid4().hex[:12]
    by_key = AzureStorage({"": azurite.connection_string})
    await by_key.create([], [name])
    await by_key.close()
    sas = generate_queue_sas(
        ACCOUNT,
        ACCOUNT_KEY,
        resource_types=QueueResourceTypes(service=True, container=True, object=True),
        permission=QueuePermissions(read=True, write=True, add=True, update=True, delete=True, process=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    storage = AzureStorage({"": _with_signature(azurite, sas)}, by_sdk=by_sdk)
    queue = storage.queue(name)
    await queue.send("<hello> & goodbye")
    (message,) = await queue.receive(1, 30)
    assert message.body == "<hello> & goodbye"
    await queue.delete(await queue.extend(message, 60))
    await storage.close()


@pytest.mark.azurite
@BOTH_WAYS
async def test_a_wrong_key_is_refused_with_what_to_do(azurite: Azurite, by_sdk: bool) -> None:
    wrong = azurite.connection_string.replace(ACCOUNT_KEY, "d3Jvbmc=")
    storage = AzureStorage({"": wrong}, by_sdk=by_sdk)
    for call in (storage.table("rows").get("p", "k"), storage.queue("messages").send("hello")):
        with pytest.raises(StorageError, match=r"refuses the credentials: .*check AzureWebJobsStorage and the roles"):
            await call
    await storage.close()


class Tokens:
    """A credential that counts the tokens that it has given. good_for: seconds until the end of each."""

    def __init__(self, good_for: float) -> None:
        self.given, self._good_for = 0, good_for

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        self.given += 1
        return AccessToken(f"token-{self.given}", int(time.time() + self._good_for))

    async def close(self) -> None:
        """Holds nothing."""

    async def __aenter__(self) -> Tokens:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


@asynccontextmanager
async def _service(tokens: Tokens, accepted: set[str], seen: list[str]) -> AsyncGenerator[RestTable]:
    """A table of a service that takes these tokens only, and notes all that it was shown."""

    async def answer(request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        seen.append(token)
        if token not in accepted:
            body = {"odata.error": {"code": "InvalidAuthenticationInfo", "message": {"value": "Not this token."}}}
            return web.json_response(body, status=401)
        return web.Response(status=204, headers={"ETag": 'W/"1"'})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        service = Service(session, f"http://127.0.0.1:{port}", "2019-02-02", BearerToken(tokens))
        yield RestTable("rows", lambda: service)
    await runner.cleanup()


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    for good_for, given in ((3600, 1), (200, 3)):
        tokens, seen = Tokens(good_for), list[str]()
        async with _service(tokens, {"token-1", "token-2", "token-3"}, seen) as table:
            for number in range(3):
                await table.insert("p", str(number), {})
        assert tokens.given == given, f"a token is good for {good_for} s"


async def test_a_token_that_is_refused_before_its_end_is_replaced_once() -> None:
    tokens, seen = Tokens(3600), list[str]()
    async with _service(tokens, {"token-2"}, seen) as table:
        await table.insert("p", "k", {})
        await table.insert("p", "l", {})
    assert seen == ["token-1", "token-2", "token-2"]


async def test_a_token_without_the_role_is_refused_with_what_to_do() -> None:
    tokens, seen = Tokens(3600), list[str]()
    async with _service(tokens, set(), seen) as table:
        with pytest.raises(StorageError, match=r"refuses the credentials: Not this token\.; check .* the roles"):
            await table.insert("p", "k", {})
    assert 1 < len(seen) <= 3, "a refusal ends"


async def test_a_credential_that_gives_no_token_is_an_error_of_the_storage() -> None:
    class Broken(Tokens):
        async def get_token(self, *scopes: str, **_: object) -> AccessToken:
            raise OSError("the identity endpoint cannot be reached")

    async with _service(Broken(1), set(), []) as table:
        with pytest.raises(StorageUnavailableError, match="identity endpoint cannot be reached"):
            await table.insert("p", "k", {})


def _with_signature(azurite: Azurite, sas: str) -> str:
    _, queue, table = (f"http://127.0.0.1:{port}/{ACCOUNT}" for port in azurite.ports)
    return f"QueueEndpoint={queue};TableEndpoint={table};SharedAccessSignature={sas}"
