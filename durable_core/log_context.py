"""Which instance, call and attempt the code that logs now works for, as fields of its log records.

Tasks and threads that are started for a turn or an attempt inherit the context variable. Code that starts threads of
its own can log by ``ActivityContext.logger``, whose fields do not depend on it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Work(NamedTuple):
    """What code works for. task_id and attempt: of a call; 0 for a turn."""

    instance_id: str
    execution_id: str = ""
    name: str = ""
    task_id: int = 0
    attempt: int = 0

    def __str__(self) -> str:
        """In one piece for a log line: ``order-7 charge #2 attempt 1``."""
        task = f" {self.name} #{self.task_id} attempt {self.attempt}" if self.task_id else ""
        return f"{self.instance_id}{task}"

    def fields(self) -> dict[str, object]:
        """The fields of a log record."""
        return {
            "durable_instance_id": self.instance_id,
            "durable_execution_id": self.execution_id,
            "durable_task_id": self.task_id or None,
            "durable_attempt": self.attempt or None,
            "durable": str(self),
        }


NOTHING = Work("").fields()

_current: ContextVar[Work | None] = ContextVar("durable_core_work", default=None)

current_work = _current.get
enter_work = _current.set
leave_work = _current.reset


@contextmanager
def working_on(work: Work) -> Generator[None]:
    """Within this, log records have the fields of ``work``."""
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)


class DurableLogFilter(logging.Filter):
    """Adds to every log record what it belongs to; drops no record. For a handler of your own:

        handler.addFilter(DurableLogFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s [%(durable)s] %(message)s"))

    The fields: ``durable_instance_id``, ``durable_execution_id`` ('' outside of durable_core), ``durable_task_id``,
    ``durable_attempt`` (None outside of an activity or a step), and ``durable``, all of them in one short text.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        work = _current.get()
        for name, value in (NOTHING if work is None else work.fields()).items():
            if name not in record.__dict__:  # a logger that knows better has set it
                record.__dict__[name] = value
        return True


class WorkLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger for one attempt. Its records have the fields in every thread; ``extra`` of a call is kept."""

    def __init__(self, logger: logging.Logger, work: Work) -> None:
        super().__init__(logger)
        self._work = work

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**self._work.fields(), **(kwargs.get("extra") or {})}}


_FILTER = DurableLogFilter()


def durable_logger(name: str) -> logging.Logger:
    """The logger of this name; its records have the fields whatever the handlers are."""
    logger = logging.getLogger(name)
    logger.addFilter(_FILTER)  # once, however often this is called
    return logger
