"""The services that all actors of a process share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from ...converter import Converter
from ...engine.callbacks import CallbackUrls
from ...hub.taskhub import TaskHub
from ...lazy_dataclass import dataclass
from ...limits import Limit
from ...registry import Registry
from ...settings import Settings
from ..activities.runner import ActivityRunner
from ..clock import Clock
from ..hangs import Hangs
from ..instance_log import InstanceLog
from ..observer import NOBODY, Observer
from ..stuck import StuckMarker
from .dispatch import Dispatcher
from .retries import RetryDecider


def not_known_to_be_alone() -> bool:
    """``is_alone`` for a store that does not know its hosts."""
    return False


@dataclass(frozen=True, slots=True)
class Services:
    """The services of actors. ``build`` identifies this deployment of the app, ``host`` this process. ``executor`` runs
    plain functions.

    limits: of the registry's activities; None if none has one.
    is_alone: whether no other host of the hub runs, for which a message could wait.
    """

    hub: TaskHub
    registry: Registry
    settings: Settings
    converter: Converter
    runner: ActivityRunner
    clock: Clock
    dispatcher: Dispatcher
    retry_decider: RetryDecider
    stuck_marker: StuckMarker
    build: str
    host: str
    hangs: Hangs
    executor: Executor | None = None
    is_alone: Callable[[], bool] = not_known_to_be_alone
    callback_urls: CallbackUrls | None = None
    observer: Observer = NOBODY
    instance_log: InstanceLog | None = None
    limits: Mapping[str, Limit] | None = None
