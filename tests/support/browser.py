"""A real browser for the tests of the dashboard: the chromium of the system, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
WITHOUT = "needs a browser: apt-get install chromium (or name one in CHROMIUM)"
PATIENCE = 30_000  # milliseconds; the machine may be busy, and no test asserts a duration

expect.set_options(timeout=PATIENCE)

_REPORT = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP " + event.violatedDirective + " " + event.blockedURI));
"""


@contextmanager
def browser() -> Generator[Browser]:
    """The running browser."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        )
        try:
            yield running
        finally:
            running.close()


@dataclass
class Watched:
    """A page, and what it has said and asked for. ``expected``: texts of console errors that the test brings about."""

    page: Page
    origin: str
    errors: list[str] = field(default_factory=list[str])
    requests: list[Request] = field(default_factory=list[Request])
    expected: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, page: Page, origin: str) -> Watched:
        watched = cls(page, origin)
        page.set_default_timeout(PATIENCE)
        page.add_init_script(_REPORT)
        page.on("console", watched._heard)
        page.on("pageerror", lambda error: watched.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: watched.requests.append(request))
        return watched

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def asked(self, method: str = "GET", path: str = "") -> list[Request]:
        """The requests to the management API, but for the files of the dashboard."""
        return [
            request
            for request in list(self.requests)
            if request.method == method and path in request.url and "/ui" not in urlsplit(request.url).path
        ]

    def check(self) -> None:
        """No script failed, the content security policy was not broken, and nothing foreign was asked for."""
        unexpected = [error for error in self.errors if not any(known in error for known in self.expected)]
        assert unexpected == []
        foreign = [
            request.url
            for request in self.requests
            if not request.url.startswith((self.origin, "data:", "blob:" + self.origin))
        ]
        assert foreign == []

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)
