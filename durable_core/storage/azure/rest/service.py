"""One service of a storage account, table or queue: sends requests over the shared session and reads the answers.

A request that meets a reset connection is sent once more, as by the SDK with the settings of ``AzureConnection``: the
service closes connections that are idle. All other patience is that of ``storage.retrying``.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast
from xml.etree import ElementTree

import aiohttp
from azure.core.exceptions import AzureError
from yarl import URL

from ....errors import StorageError
from ....lazy_dataclass import dataclass
from ..bodies import sendable
from ..errors import REQUEST_LOGGER, of_answer, translate, without_secrets
from .authorization import Authorization, Unsigned

_OK = range(200, 300)
_UNAUTHORIZED = 401
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})
_RESET = (aiohttp.ClientConnectionError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        return self.status in _OK

    def error(self, what: str) -> StorageError:
        """The error that this answer stands for. what: the operation that it refuses, for the text."""
        code, message = _code_and_message(self)
        return of_answer(self.status, code, message or f"HTTP {self.status}", what)

    @property
    def code(self) -> str:
        """The service's own name of the error, such as ``EntityAlreadyExists``."""
        return _code_and_message(self)[0]


class Service:
    """One service of an account.

    address: scheme, host and, for an emulator, the account's path. version: of the service's protocol.
    proxy: address of the proxy by which the service is reached.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        version: str,
        authorization: Authorization,
        proxy: str | None = None,
    ) -> None:
        base = URL(address, encoded=True)
        self._session, self._version, self._authorization = session, version, authorization
        self._proxy = proxy
        self.origin, self.path = str(base.origin()), base.raw_path.rstrip("/")

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        what: str,
        query: str = "",
        params: Mapping[str, str] = _NO_PARAMS,
    ) -> Answer:
        """Send one request and read its answer. what: the operation, for the texts of errors.

        path, query: as on the wire, the path behind that of the service. params: the values of the query, of a queue.
        StorageUnavailableError if there is no answer; an answer that refuses is returned.
        """
        path = self.path + path
        length = 0 if body is None else len(body)
        unsigned = Unsigned(method, path, params, headers.get("Content-Type", ""), length, self._version)
        if signature := self._authorization.query:
            query = f"{query}&{signature}" if query else signature
        url = URL(f"{self.origin}{path}?{query}" if query else self.origin + path, encoded=True)
        try:
            answer = await self._signed(method, url, headers, body, unsigned)
            if answer.status == _UNAUTHORIZED and self._authorization.refused():
                answer = await self._signed(method, url, headers, body, unsigned)
            return answer
        except (TimeoutError, AzureError, aiohttp.ClientError, OSError) as error:
            raise translate(error, what) from error

    async def _signed(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, unsigned: Unsigned
    ) -> Answer:
        signed = await self._authorization.headers(unsigned)
        signed.update(headers)
        try:
            return await self._exchange(method, url, signed, body)
        except _RESET:
            return await self._exchange(method, url, signed, body)

    async def _exchange(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> Answer:
        began = time.perf_counter()
        data = None if body is None else sendable(body)
        async with self._session.request(method, url, headers=headers, data=data, proxy=self._proxy) as response:
            answer = Answer(response.status, response.headers, await response.read())
        if REQUEST_LOGGER.isEnabledFor(logging.INFO):
            REQUEST_LOGGER.info(
                "%s %s: %d in %.1f ms (request id %s)",
                *(method, without_secrets(str(url)), answer.status, (time.perf_counter() - began) * 1000),
                answer.headers.get("x-ms-request-id", "none"),
            )
        return answer


def _code_and_message(answer: Answer) -> tuple[str, str]:
    """The service's name and text of an error: of tables in JSON, or in XML, of queues in XML and a header."""
    code, message = answer.headers.get("x-ms-error-code", ""), ""
    text = answer.body.decode("utf-8-sig", "replace").strip()
    if text.startswith("{"):
        code, message = _of_json(text, code)
    elif text.startswith("<"):
        code, message = _of_xml(text, code)
    return code, message


def _of_json(text: str, code: str) -> tuple[str, str]:
    try:
        found = cast("dict[str, Any]", json.loads(text)).get("odata.error", {})
        return str(found.get("code") or code), str(found.get("message", {}).get("value", ""))
    except (ValueError, AttributeError):
        return code, ""


def _of_xml(text: str, code: str) -> tuple[str, str]:
    try:
        found = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return code, ""
    values = {re.sub(r"^\{.*\}", "", element.tag).lower(): (element.text or "").strip() for element in found.iter()}
    return values.get("code") or code, values.get("message", "")
