"""The static files of the dashboard, and the headers under which a browser may use them.

The page is anonymous and holds no data: it asks the management API, with a key that its user enters, or through the
capability URL at which it was opened. It needs neither the task hub nor its storage, so that it can say what is wrong
when these do not answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from ..lazy_dataclass import dataclass
from .http_errors import method_not_allowed
from .http_types import HttpRequest, HttpResponse, error_response

PAGE = "index.html"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own scripts and styles, and answers of its own server; nothing foreign or inline."""

CONTENT_TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, but compared by its ETag at each use: a deployment may have changed it
}
_FOLDER_IN_PAGE = b"./"
"""What stands before the name of a file in the page. It is replaced by the way from the page's own URL."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str


def dashboard_file(request: HttpRequest) -> HttpResponse:
    """The file that a request to ``ui/{file?}`` names, the page if it names none; 404 for any other name."""
    if request.method != "GET":
        return method_not_allowed(request.method, ("GET",))
    name = request.route.get("file") or PAGE
    if name == PAGE:
        return dashboard_page(request, "" if urlsplit(request.url).path.endswith(("/", f"/{PAGE}")) else "ui/")
    found = _files().get(name)
    if found is None:
        return error_response(404, "NotFound", f"the dashboard has no file '{name[:100]}'")
    return _answer(request, found)


def dashboard_page(request: HttpRequest, folder: str) -> HttpResponse:
    """The page, for a URL from which ``folder`` is the relative way to the dashboard's files."""
    page = _files()[PAGE]
    content = page.content.replace(b'"' + _FOLDER_IN_PAGE, b'"' + folder.encode())
    return _answer(request, _File(content, page.content_type))


def _answer(request: HttpRequest, file: _File) -> HttpResponse:
    tag = f'"{hashlib.sha256(file.content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": tag}
    if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(status=200, headers={**headers, "Content-Type": file.content_type}, body=file.content)


@cache
def _files() -> Mapping[str, _File]:
    """Every file of the dashboard by its name: some 20, read once."""
    found = {file.name: file for file in (files("durable_core.hosting") / "dashboard").iterdir()}
    return {
        name: _File(file.read_bytes(), CONTENT_TYPES[ending])
        for name, file in found.items()
        if (ending := name.rpartition(".")[2]) in CONTENT_TYPES
    }
