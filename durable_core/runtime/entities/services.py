"""The services that all entities of a process share."""

from __future__ import annotations

from ...converter import Converter
from ...hub.taskhub import TaskHub
from ...lazy_dataclass import dataclass
from ...registry import Registry
from ..clock import Clock
from ..stuck import StuckMarker


@dataclass(frozen=True, slots=True)
class EntityServices:
    """``build`` identifies this deployment of the app."""

    hub: TaskHub
    registry: Registry
    converter: Converter
    clock: Clock
    stuck_marker: StuckMarker
    build: str
