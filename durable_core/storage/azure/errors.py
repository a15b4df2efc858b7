"""Translates the Azure SDKs' exceptions into the ``StorageError`` tree; the original stays as ``__cause__``."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from ...errors import (
    LeaseLostError,
    LimitExceededError,
    PreconditionFailedError,
    QueueNotFoundError,
    RowExistsError,
    RowNotFoundError,
    StorageError,
    StorageUnavailableError,
)

T = TypeVar("T")

# The worker of Azure sets the root logger to INFO, and a line per storage request would stand in the log of the user's
# functions. The lines go to a logger of ours, which is silent unless the app sets its level.
REQUEST_LOGGER = logging.getLogger("durable_core.storage.requests")
if REQUEST_LOGGER.level == logging.NOTSET:
    REQUEST_LOGGER.setLevel(logging.WARNING)

_SECRETS = re.compile(r"\b(sig|AccountKey|SharedAccessSignature)=[^&;\s'\"]+", re.IGNORECASE)

_LEASE_LOST = frozenset({"MessageNotFound", "PopReceiptMismatch"})
_BEING_DELETED = frozenset({"TableBeingDeleted", "QueueBeingDeleted"})
_LIMITS = frozenset(
    {
        "EntityTooLarge",
        "KeyValueTooLarge",
        "MessageTooLarge",
        "OutOfRangeInput",
        "OutOfRangeQueryParameterValue",
        "PropertyNameInvalid",
        "PropertyNameTooLong",
        "PropertyValueTooLarge",
        "RequestBodyTooLarge",
        "TooManyProperties",
        "ContentLengthExceeded",
        "InvalidDuplicateRow",
    }
)
_UNREACHABLE = (ServiceRequestError, ServiceResponseError, IncompleteReadError, aiohttp.ClientError, OSError)


async def translated(call: Awaitable[T], what: str) -> T:
    """Await an SDK call; each of its exceptions is raised as a ``StorageError`` that names ``what``."""
    try:
        return await call
    except (TimeoutError, AzureError, aiohttp.ClientError, OSError) as error:
        raise translate(error, what) from error


def translate(error: Exception, what: str) -> StorageError:
    if isinstance(error, (*_UNREACHABLE, asyncio.TimeoutError)):
        return StorageUnavailableError(f"{what}: Azure Storage cannot be reached: {_line(error)}")
    if isinstance(error, ClientAuthenticationError):
        return _refused(what, _line(error))
    if not isinstance(error, HttpResponseError):
        return StorageError(f"{what}: {_line(error)}")
    return of_answer(error.status_code or 0, code_of(error), _line(error), what)


def code_of(error: Exception) -> str:
    """The service's own name of the error, such as ``EntityAlreadyExists``."""
    code: Any = getattr(error, "error_code", None)
    if code is None:
        response: Any = getattr(error, "response", None)
        code = "" if response is None else response.headers.get("x-ms-error-code", "")
    return str(getattr(code, "value", code))


def of_answer(status: int, code: str, message: str, what: str) -> StorageError:
    """The error that an answer of the service stands for. code, message: the service's; what: the operation."""
    text = f"{what}: {code or status}"
    line = _first_line(message)
    if code in _LEASE_LOST:
        return LeaseLostError(f"{text}: the message was deleted, or another receiver holds its lease")
    if code in _LIMITS or status == 413:
        return LimitExceededError(f"{text}: {line}")
    if status in (408, 429) or status >= 500 or code in _BEING_DELETED:
        return StorageUnavailableError(f"{text}: {line}")
    if status in (401, 403):
        return _refused(what, line)
    match status:
        case 404 if code == "QueueNotFound":
            return QueueNotFoundError(f"{text}: there is no such queue; create it first")
        case 404:
            return RowNotFoundError(text)
        case 409:
            return RowExistsError(text)
        case 412:
            return PreconditionFailedError(f"{text}: another writer has changed the row; read it again")
        case _:
            return StorageError(f"{text}: {line}")


def without_secrets(text: str) -> str:
    """A text without signatures and keys, as an error or an address may hold."""
    return _SECRETS.sub(r"\1=***", text)


def _refused(what: str, line: str) -> StorageError:
    return StorageError(
        f"{what}: Azure Storage refuses the credentials: {line}; check AzureWebJobsStorage and the roles "
        "Storage Table Data Contributor and Storage Queue Data Contributor"
    )


def _line(error: Exception) -> str:
    return _first_line(str(error)) or type(error).__name__


def _first_line(text: str) -> str:
    """The first line of a text, as the SDKs append whole responses; without secrets, as it may quote a URL."""
    text = text.strip()
    return without_secrets(text.splitlines()[0]) if text else ""
