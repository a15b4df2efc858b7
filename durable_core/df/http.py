"""Durable HTTP calls as Durable Functions 1.x has them: the token source, and the response as a dict."""

from __future__ import annotations

import json
from abc import ABC

from ..engine.http import DurableHttpResponse
from ..models import JSON


class TokenSource(ABC):  # noqa: B024  the base class of Durable Functions, which apps use in annotations
    """Where the token of an HTTP call comes from."""


class ManagedIdentityTokenSource(TokenSource):
    """A token of the app's managed identity for ``resource``, such as ``https://management.core.windows.net``.

    The process that makes the request asks for the token, which is not stored.
    """

    def __init__(self, resource: str) -> None:
        self._resource = resource

    @property
    def resource(self) -> str:
        """The identifier of the web API that is called."""
        return self._resource

    def to_json(self) -> dict[str, str | int]:
        """The token source with the names of Durable Functions' JSON."""
        return {"resource": self._resource, "kind": "AzureManagedIdentity"}


def content_of(content: object, *, is_raw_str: bool) -> str | None:
    """The body of a request: JSON, also of a text, unless it is a raw text. TypeError for another raw value."""
    if is_raw_str and not isinstance(content, str):
        raise TypeError(
            "Invalid use of 'is_raw_str' parameter: 'is_raw_str' is set to 'True' but 'content' is not an instance of "
            "type 'str'. Either set 'is_raw_str' to 'False', or ensure your 'content' is of type 'str'."
        )
    if content is None:
        return None
    return content if isinstance(content, str) and is_raw_str else json.dumps(content)


def response_of(response: DurableHttpResponse) -> dict[str, JSON]:
    """The response with the names of Durable Functions' JSON."""
    return {"statusCode": response.status_code, "headers": dict(response.headers), "content": response.content}
