"""The orchestration context, by kind of call."""

from ..tasks import Orchestration
from .orchestration_context import OrchestrationContext

__all__ = ["Orchestration", "OrchestrationContext"]
