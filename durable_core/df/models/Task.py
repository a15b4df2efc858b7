"""The module of this name in Durable Functions."""

from ..tasks import AtomicTask, CompoundTask, TaskBase, TaskState, TimerTask, WhenAllTask, WhenAnyTask

__all__ = ["AtomicTask", "CompoundTask", "TaskBase", "TaskState", "TimerTask", "WhenAllTask", "WhenAnyTask"]
