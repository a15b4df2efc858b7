"""Agents of pydantic-ai that go on after a crash: the capability ``DurableCoreDurability`` in a journaled activity.

Needs the extra: ``pip install 'durable_core[pydantic-ai]'``. The guide is ``docs/guide/agents.md``.
"""

from .durability import DurableCoreDurability, StepOptions
from .scope import durable_run, idempotency_key
from .turns import AgentAnswer, AgentTurn, AgentUsage, Decision, PendingCall, Question, converse, run_turn

__all__ = [
    "AgentAnswer",
    "AgentTurn",
    "AgentUsage",
    "Decision",
    "DurableCoreDurability",
    "PendingCall",
    "Question",
    "StepOptions",
    "converse",
    "durable_run",
    "idempotency_key",
    "run_turn",
]
