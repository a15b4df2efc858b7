"""Which HTTP answer each error has. The bodies have the one shape of ``http_types.error_response``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ..errors import (
    CallRefusedError,
    CapabilityError,
    CodecError,
    CodeHangsError,
    ConfigurationError,
    DamagedRowError,
    DeterminismError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InstanceStuckError,
    InvalidInputError,
    InvalidInstanceIdError,
    NewerFormatError,
    NonDeterminismError,
    OperationRefusedError,
    PayloadTooLargeError,
    QueryFailedError,
    SerializationError,
    StorageUnavailableError,
    UnknownEntityError,
    UnknownOrchestratorError,
    UnknownQueryError,
    UnknownUpdateError,
    UnusableStoreError,
    UpdateFailedError,
    UpdateRefusedError,
)
from .http_routes import RETRY_AFTER_SECONDS
from .http_types import HttpResponse, error_response

logger = logging.getLogger(__name__)

_OUTCOMES: Mapping[type[Exception], tuple[int, str]] = {
    UnknownOrchestratorError: (400, "UnknownOrchestrator"),
    UnknownEntityError: (400, "UnknownEntity"),
    InvalidInstanceIdError: (400, "InvalidInstanceId"),
    InvalidInputError: (400, "InvalidInput"),
    SerializationError: (400, "InvalidInput"),
    InstanceNotFoundError: (404, "InstanceNotFound"),
    UnknownQueryError: (404, "UnknownQuery"),
    QueryFailedError: (500, "QueryFailed"),
    UnknownUpdateError: (404, "UnknownUpdate"),
    UpdateRefusedError: (409, "UpdateRefused"),
    UpdateFailedError: (422, "UpdateFailed"),
    InstanceAlreadyExistsError: (409, "InstanceAlreadyExists"),
    InstanceCompletedError: (410, "InstanceCompleted"),
    ExecutionGoneError: (410, "CapabilityGone"),
    OperationRefusedError: (409, "OperationRefused"),
    PayloadTooLargeError: (413, "PayloadTooLarge"),
    CallRefusedError: (403, "CallRefused"),
}


def failure_response(error: Exception) -> HttpResponse:
    """The response to a request that failed. An error that is not the caller's fault is logged, not shown."""
    for kind in type(error).__mro__:
        if kind in _OUTCOMES:
            status, code = _OUTCOMES[kind]
            return error_response(status, code, str(error), getattr(error, "problems", ()))
    match error:
        case CapabilityError(gone=True):
            return error_response(410, "CapabilityGone", str(error))
        case CapabilityError():
            return error_response(401, "CapabilityRefused", str(error))
        case StorageUnavailableError():
            logger.warning("a request failed because storage is unavailable: %s", error)
            message = "the storage does not respond at the moment; try again"
            return error_response(503, "StorageUnavailable", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
        case NewerFormatError():  # during a rolling deployment another host may be able to answer
            logger.warning("a request failed: %s", error)
            message = f"{error}; only a host of a newer version can answer this request"
            return error_response(503, "NewerFormat", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
        case DamagedRowError():
            logger.error("a request failed: %s", error)
            return error_response(500, "DamagedRow", str(error))
        case CodeHangsError():
            logger.error("a request failed: %s", error)
            return error_response(500, "InstanceStuck", str(error))
        case InstanceStuckError():  # it is so until somebody changes the code: no fault of this request, nor of the app
            logger.warning("a request failed: %s", error)
            return error_response(409, "InstanceStuck", str(error))
        case NonDeterminismError() | DeterminismError():  # the code does not fit the instance that it was asked about
            logger.warning("a request failed: %s", error)
            return error_response(409, "NonDeterminism", str(error))
        case UnusableStoreError():
            logger.error("a request failed: %s", error)
            return error_response(500, "UnusableStore", "the app's store cannot be used; see the app's log")
        case CodecError():
            logger.error("a request failed: %s", error)
            return error_response(500, "Codec", str(error))
        case ConfigurationError():
            logger.error("a request failed because of the app's configuration: %s", error)
            return error_response(500, "Configuration", str(error))
        case _:
            logger.error("a request failed", exc_info=error)
            return error_response(500, "InternalError", "the app failed to answer; see the app's log")


def method_not_allowed(method: str, allowed: Sequence[str]) -> HttpResponse:
    listed = ", ".join(allowed)
    return error_response(
        405, "MethodNotAllowed", f"the method {method} is not allowed here; use {listed}", headers={"Allow": listed}
    )
