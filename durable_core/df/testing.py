"""For unit tests of orchestrators in the style of Durable Functions."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


def orchestrator_generator_wrapper(generator: Generator[Any, Any, Any]) -> Generator[Any, None, None]:
    """Run an orchestrator with mocked tasks: gives each task that it yields, and at last its result.

    The orchestrator receives the ``result`` of each task; a ``result`` that raises is raised where it waits.
    """
    try:
        task = next(generator)
        while True:
            yield task
            try:
                value = task.result
            except Exception as error:  # noqa: BLE001  whatever the test lets the task raise
                task = generator.throw(error)
            else:
                task = generator.send(value)
    except StopIteration as stop:
        yield stop.value
