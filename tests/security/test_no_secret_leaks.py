"""No key, connection string or signed URL is found in a log (at debug level), an answer, a history, a poison queue."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from durable_core import CodecError, SerializationError
from durable_core.errors import ConfigurationError, StorageError
from durable_core.hosting.signing_keys import signing_keys
from durable_core.hub.encoding import Encoding
from durable_core.hub.messages import decode
from durable_core.settings import Settings
from durable_core.storage.azure.errors import translate
from durable_core.storage.azure.store import AzureStorage
from durable_core.storage.open import open_storage
from durable_core.storage.ports import QueueMessage
from durable_core.testing.azurite import Azurite
from tests.support.azurite import azurite
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient
from tests.support.shop_books import order_input

__all__ = ["azurite"]

SIGNING, OLDER = "marker-signing-key-0123456789", "marker-older-signing-key-0123456789"
FUNCTION_KEY = "marker-function-key-0123456789"
SECRETS = (SIGNING, OLDER, FUNCTION_KEY)


@pytest.mark.parametrize("store", ["embedded", "azurite"])
async def test_samples_that_succeed_fail_and_are_attacked_give_no_secret_away(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    settings = Settings(store=str(tmp_path / "host" / "durable.db"))
    environment = {"DURABLE_SIGNING_KEYS": f"{SIGNING},{OLDER}"}
    secrets = list(SECRETS)
    if store == "azurite":
        emulator: Azurite = request.getfixturevalue("azurite")
        hub = "t" + uuid4().hex[:12]
        environment |= {"AzureWebJobsStorage": emulator.connection_string, "DURABLE_HUB": hub}
        settings = Settings(hub=hub, connection={"": emulator.connection_string})
        secrets.append(re.findall(r"AccountKey=([^;]+)", emulator.connection_string)[0])
    seen: list[str] = []
    tokens: list[str] = []
    options = ["--verbose", "--require-keys", FUNCTION_KEY]
    with HostProcess(tmp_path / "host", env=environment, options=options) as host:
        async with HttpClient(host.url) as http:

            async def call(method: str, path: str, **body: Any) -> Any:
                separator = "&" if "?" in path else "?"
                key = "" if path.startswith("http") else f"{separator}code={FUNCTION_KEY}"
                answer = await http.call(method, path + key, **body)
                seen.append(json.dumps(answer.body))
                return answer

            for name, body in (
                ("good", order_input("good")),
                ("declined", order_input("declined", card="4000000000000002")),
                ("refused", {"order_id": 1}),
            ):
                started = await call("POST", f"/orchestrators/order/{name}", json=body)
                if started.status != 202:
                    continue
                payload = started.body
                seen.pop()  # this one is how its caller gets the URLs
                tokens += re.findall(r"/c/([A-Za-z0-9_-]{40,})", json.dumps(payload))
                await call("POST", payload["sendEventPostUri"].replace("{eventName}", "DeliveryConfirmed"), json={})
                assert (await call("GET", payload["statusQueryGetUri"] + "?showHistory=true")).status == 403
                await call("GET", f"/instances/{name}?showHistory=true&showHistoryOutput=true")
                forged = payload["terminatePostUri"].partition("?")[0][:-1] + "!"
                assert (await call("POST", forged)).status == 401
                assert (await call("DELETE", payload["statusQueryGetUri"])).status == 405
                await call("POST", payload["sendEventPostUri"], data="{")
            for path in ("/instances?top=x", "/orchestrators/nobody", "/instances/a%5Cb"):
                await call("GET" if "top" in path else "POST", path, data="{")
            storage = open_storage(settings)
            queue = storage.queue(f"{settings.hub.lower()}-control")
            poison: list[QueueMessage] = []
            while not poison:  # the host's own recovery, at every fifth minute, leases what it finds for a day
                moved = host.log.count("is moved to")
                await queue.send("none of ours")
                for _ in range(600):
                    if host.log.count("is moved to") > moved:
                        break
                    await call("GET", "/instances/good?showHistory=true&showHistoryOutput=true")
                assert host.log.count("is moved to") > moved, "the unreadable message did not fail"
                poison = await storage.queue(f"{queue.name}-poison").receive(32, 1.0)
            await call("GET", "/instances?showInput=true")
            await call("GET", "/openapi.json")
            assert {message.body for message in poison} == {"none of ours"}
            seen += [message.body for message in poison]
            await call("POST", "/recover")
            await storage.close()
        host.stop()
        log = host.log
    assert "is not a message of durable_core" in log and "declined" in log, "the log is not the one to look at"
    assert len(tokens) > 10
    for secret in [*secrets, *tokens]:
        assert secret not in log
    for secret in secrets:
        assert not [text for text in seen if secret in text]
    answers = [text for text in seen if "statusQueryGetUri" not in text]
    assert not [text for text in answers for token in tokens if token in text]


def test_settings_do_not_show_their_secrets() -> None:
    settings = Settings(
        signing_keys=(SIGNING, OLDER), connection={"": f"AccountName=a;AccountKey={FUNCTION_KEY};EndpointSuffix=x"}
    )
    for text in (repr(settings), str(settings), f"{settings}"):
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    "text",
    [
        f"AccountKey={SIGNING}",
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SIGNING};AccountKey={SIGNING}",
        f"{SIGNING}",
        f"AccountName;AccountKey={SIGNING}",
        f"TableEndpoint=https://a;SharedAccessSignature=sv=1&sig={SIGNING}",
    ],
)
def test_a_connection_string_that_does_not_fit_is_not_quoted(text: str) -> None:
    try:
        AzureStorage({"": text})
    except ConfigurationError as error:
        assert SIGNING not in str(error)
        assert error.__cause__ is None and error.__suppress_context__, "a log shows causes, too"


def test_a_signing_key_that_is_too_short_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as refused:
        signing_keys(Settings(signing_keys=("shortish-key",)))
    assert "shortish" not in str(refused.value)


def test_an_error_of_the_sdk_that_quotes_a_signed_url_loses_its_signature() -> None:
    error = OSError(f"cannot reach https://a.table.core.windows.net/t?sv=1&sig={SIGNING}&se=2; AccountKey={OLDER};")
    translated = translate(error, "get t")
    assert isinstance(translated, StorageError)
    assert SIGNING not in str(translated) and OLDER not in str(translated)
    assert "sig=***&se=2" in str(translated)


class Leaky:
    """A codec whose errors quote its key."""

    def encode(self, data: bytes) -> bytes:
        raise ValueError(f"bad key {SIGNING}")

    def decode(self, data: bytes) -> bytes:
        raise ValueError(f"bad key {SIGNING}")


def test_what_a_payload_codec_says_is_not_shown_with_the_instance() -> None:
    for refused in (lambda: Encoding(Leaky()).pack("x"), lambda: Encoding(Leaky()).unpack(b"\0x")):
        with pytest.raises(CodecError) as error:
            refused()
        assert SIGNING not in str(error.value)


def test_a_message_that_is_refused_is_not_quoted() -> None:
    with pytest.raises(SerializationError) as refused:
        decode(json.dumps({"durable": {"v": 1, "i": "o-1", "x": "0" * 16, "c": [[SIGNING]]}}))
    assert SIGNING not in str(refused.value)
    assert refused.value.__suppress_context__
