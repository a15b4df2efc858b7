"""Opens the ``DurableApp`` that the triggers of one process share: when it is first needed, once per event loop.

At indexing time Azure imports ``function_app.py`` without an event loop, so nothing can be opened there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from .. import __version__
from ..codec import PayloadCodec
from ..engine.callbacks import CallbackUrls
from ..registry import Registry
from ..settings import Settings
from .local.store_lock import is_alone
from .storage_pool import acquire_storage, release_storage

if TYPE_CHECKING:
    from ..runtime.app import DurableApp

ADVICE_DELAY = 3.0
"""Seconds after the start at which the orchestrators are linted: the first messages are handled before."""

LAST_GRACE = 1.0
"""Seconds for turns and inline activities when an app is closed: the host has given its functions a time before."""

AppFactory: TypeAlias = "Callable[[Registry, Settings], AbstractAsyncContextManager[DurableApp]]"


@asynccontextmanager
async def open_app(
    registry: Registry,
    settings: Settings,
    codec: PayloadCodec | None = None,
    *,
    callback_urls: CallbackUrls | None = None,
    create: bool = True,
) -> AsyncGenerator[DurableApp]:
    """A ``DurableApp`` on the storage that these settings name, which other users on this event loop may share.

    create: False raises ConfigurationError if there is no such task hub, instead of creating it.
    """
    # Imported here and not above: half of an app's import would be the runtime, which its index does not need.
    from ..runtime.app import DurableApp
    from ..telemetry.setup import gauges_of, observer_of_process
    from .remembering import remember_stuck

    storage = acquire_storage(settings)
    try:
        outlives = not settings.is_embedded or settings.store != ":memory:"
        app = await DurableApp.open(
            registry,
            settings,
            storage,
            codec=codec,
            callback_urls=callback_urls,
            is_alone=partial(is_alone, settings),
            remember=partial(remember_stuck, settings) if outlives else None,
            create=create,
            observer=observer_of_process(__version__, counts=settings.metrics),
        )
        gauges = gauges_of(app.observer)
        try:
            if gauges is not None:
                gauges.watch(app.instance_cache)
            yield app
        finally:
            if gauges is not None:
                gauges.forget()
            await app.close(LAST_GRACE)
    finally:
        await release_storage(storage)


class AppOpener:
    """Hands out one open app per event loop."""

    def __init__(self, registry: Registry, settings: Settings, factory: AppFactory = open_app) -> None:
        self._registry = registry
        self._settings = settings
        self._factory = factory
        self._opening: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[tuple[DurableApp, AsyncExitStack]]] = (
            WeakKeyDictionary()
        )

    async def app(self) -> DurableApp:
        """The open app. Concurrent callers wait for the same opening; a failed opening is tried again."""
        loop = asyncio.get_running_loop()
        opening = self._opening.get(loop)
        if opening is None:
            opening = self._opening[loop] = loop.create_task(self._open())
        elif opening.done():
            if not opening.cancelled() and opening.exception() is None:
                return opening.result()[0]
            opening = self._opening[loop] = loop.create_task(self._open())
        app, _ = await asyncio.shield(opening)  # a cancelled caller does not cancel the opening for the others
        return app

    async def close(self) -> None:
        """Close the running loop's app, if it is open. Opened again when next asked for."""
        opening = self._opening.pop(asyncio.get_running_loop(), None)
        if opening is None:
            return
        opening.cancel()  # without effect if the app is open
        outcome = (await asyncio.gather(opening, return_exceptions=True))[0]
        if isinstance(outcome, tuple):
            _, stack = outcome
            await stack.aclose()

    async def _open(self) -> tuple[DurableApp, AsyncExitStack]:
        stack = AsyncExitStack()
        app = await stack.enter_async_context(self._factory(self._registry, self._settings))
        if self._settings.guard:  # not in Azure: the linter's advice is for developers
            stack.callback(asyncio.get_running_loop().call_later(ADVICE_DELAY, self._advise).cancel)
        return app, stack

    def _advise(self) -> None:
        from ..linter import warn_of

        code = [*self._registry.orchestrator_functions, *self._registry.interceptors.of_code]
        asyncio.get_running_loop().run_in_executor(None, warn_of, code)
