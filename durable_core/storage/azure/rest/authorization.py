"""How a request to Azure Storage proves who sends it: by the account's key, a shared access signature, or a token.

The signatures are those of Microsoft's page "Authorize with Shared Key". Tables take the short form of it, Shared Key
Lite; queues are signed in the long form, the only one that the emulator takes for them.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Protocol

from ....lazy_dataclass import dataclass

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

_SCOPE = "https://storage.azure.com/.default"
# As the SDK's own policy: a token is renewed while it is still good for this many seconds.
_RENEW_BEFORE = 300.0


@dataclass(frozen=True, slots=True)
class Unsigned:
    """What is signed of a request. path: as on the wire. params: the decoded values of its query, for a queue."""

    method: str
    path: str
    params: Mapping[str, str]
    content_type: str
    content_length: int
    version: str


class Authorization(Protocol):
    """One way to prove who sends a request."""

    query: str
    """What each address gets behind its own query: a shared access signature, or ''."""

    async def headers(self, request: Unsigned) -> dict[str, str]:
        """The headers that prove it, and that of the version."""
        ...

    def refused(self) -> bool:
        """The service has answered 401: whether another try may be answered otherwise."""
        ...


class _Key:
    """A key of the account."""

    query = ""

    def __init__(self, account: str, key: str) -> None:
        self._account, self._key = account, b64decode(key)
        self._date, self._second = "", 0

    def refused(self) -> bool:
        return False

    def _now(self) -> str:
        """The date of the header, made once a second."""
        second = int(time.time())
        if second != self._second:
            self._date, self._second = formatdate(second, usegmt=True), second
        return self._date

    def _sign(self, text: str) -> str:
        signature = hmac.digest(self._key, text.encode(), "sha256")
        return f"{self._account}:{b64encode(signature).decode()}"


class SharedKeyLite(_Key):
    """By the key of the account, in the short form, which tables take."""

    async def headers(self, request: Unsigned) -> dict[str, str]:
        date = self._now()
        signature = self._sign(f"{date}\n/{self._account}{request.path}")
        return {
            "x-ms-date": date,
            "x-ms-version": request.version,
            "Authorization": f"SharedKeyLite {signature}",
        }


class SharedKey(_Key):
    """By the key of the account, in the long form."""

    async def headers(self, request: Unsigned) -> dict[str, str]:
        date = self._now()
        params = "".join([f"\n{name}:{request.params[name]}" for name in sorted(request.params)])
        signature = self._sign(
            f"{request.method}\n\n\n{request.content_length or ''}\n\n{request.content_type}\n\n\n\n\n\n\n"
            f"x-ms-date:{date}\nx-ms-version:{request.version}\n/{self._account}{request.path}{params}"
        )
        return {"x-ms-date": date, "x-ms-version": request.version, "Authorization": f"SharedKey {signature}"}


class SharedAccessSignature:
    """By a signature that stands in each address."""

    def __init__(self, token: str) -> None:
        self.query = token

    async def headers(self, request: Unsigned) -> dict[str, str]:
        return {"x-ms-version": request.version}

    def refused(self) -> bool:
        return False


class BearerToken:
    """By a token of Microsoft Entra ID, which is kept until shortly before its end."""

    query = ""

    def __init__(self, credential: AsyncTokenCredential) -> None:
        self._credential = credential
        self._token: AccessToken | None = None
        self._renewing = asyncio.Lock()

    async def headers(self, request: Unsigned) -> dict[str, str]:
        return {"x-ms-version": request.version, "Authorization": await self._bearer()}

    def refused(self) -> bool:
        """A token may be revoked before its end: the next request fetches another."""
        had, self._token = self._token, None
        return had is not None

    async def _bearer(self) -> str:
        token = self._token
        if token is None or token.expires_on - time.time() < _RENEW_BEFORE:
            token = await self._renewed()
        return f"Bearer {token.token}"

    async def _renewed(self) -> AccessToken:
        async with self._renewing:  # many requests find the token old at once
            if self._token is None or self._token.expires_on - time.time() < _RENEW_BEFORE:
                self._token = await self._credential.get_token(_SCOPE)
            return self._token
