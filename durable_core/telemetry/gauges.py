"""The gauges: of a hub, as it was read last, and of this process. For ``GET /metrics`` and for a meter of the SDK.

A meter asks for values in a thread of its own, and may not wait: it gets what the last round of recovery has read,
which reads the hub for its log line anyway. So the process that serves the timer reports the gauges of the hub, without
one storage operation more, and every process those of itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, TypeAlias

from ..operate.overview import HubOverview, is_alive
from ..runtime.instance_cache import InstanceCache
from . import instruments
from .instruments import READ, Instrument

Sample: TypeAlias = tuple[Instrument, tuple[str, ...], float]

LASTS = 660.0
"""Seconds for which a hub that was read is reported: twice the interval of recovery. Older numbers would mislead."""


def samples_of_hub(hub: HubOverview) -> list[Sample]:
    """The values of the hub's gauges."""
    open_instances = sum(number for status, number in hub.counts.items() if not status.is_terminal)
    poisoned = sum(queue.depth for queue in hub.queues if queue.kind == "poison")
    return [
        (instruments.OPEN_INSTANCES, (), open_instances),
        (instruments.STUCK_INSTANCES, (), hub.stuck),
        *((instruments.QUEUE_MESSAGES, (each.name,), each.depth) for each in hub.queues if each.kind != "poison"),
        (instruments.POISON_MESSAGES, (), poisoned),
        (instruments.HOSTS, (), sum(is_alive(host, hub.now) for host in hub.hosts)),
    ]


def samples_of_process(cache: InstanceCache) -> list[Sample]:
    """The values of the gauges of this process."""
    return [
        (instruments.WARM_INSTANCES, (), cache.warm_instances),
        (instruments.WARM_BYTES, (), cache.warm_bytes),
    ]


class Gauges:
    """The gauges that a meter of the SDK reads. clock: seconds, of any zero."""

    def __init__(self, meter: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hub: list[Sample] = []
        self._read_at = 0.0
        self._cache: InstanceCache | None = None
        self._observation: Any = import_module("opentelemetry.metrics").Observation
        for each in READ:
            meter.create_observable_gauge(
                each.name, callbacks=[self._reader_of(each)], unit=each.unit or "1", description=each.description
            )

    def watch(self, cache: InstanceCache) -> None:
        """Report the warm instances of this process from now on, until ``forget``."""
        self._cache = cache

    def forget(self) -> None:
        """Report nothing more: the app is closed."""
        with self._lock:
            self._cache, self._hub = None, []

    def saw(self, hub: HubOverview) -> None:
        """Report the hub as it was read now."""
        found = samples_of_hub(hub)
        with self._lock:
            self._hub, self._read_at = found, self._clock()

    def _reader_of(self, instrument: Instrument) -> Callable[[Any], Iterable[Any]]:
        def read(_: Any) -> list[Any]:
            return [
                self._observation(value, dict(zip(instrument.labels, labels, strict=True)))
                for each, labels, value in self._samples()
                if each is instrument
            ]

        return read

    def _samples(self) -> list[Sample]:
        with self._lock:
            cache = self._cache
            hub = self._hub if self._clock() - self._read_at <= LASTS else []
        return [*hub, *(() if cache is None else samples_of_process(cache))]
