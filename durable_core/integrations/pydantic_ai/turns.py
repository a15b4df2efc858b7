"""Turns of an agent: a journaled activity runs the agent, and an orchestration waits for the people it asks.

An agent whose tools need an approval, or are executed elsewhere, ends its run with ``DeferredToolRequests``.
``run_turn`` makes of that a result that an orchestration can keep; ``converse`` waits for the decisions, by a callback
each.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, cast

from pydantic import BaseModel, Field, JsonValue, ValidationError
from pydantic_ai import Agent
from pydantic_ai.exceptions import ToolFailed, UnexpectedModelBehavior, UsageLimitExceeded, UserError
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.usage import RunUsage
from pydantic_core import to_jsonable_python

from ...engine.context import OrchestrationContext
from ...errors import NonRetriableError, TaskFailedError, TaskTimeoutError
from ...journal import JournalContext
from .scope import durable_run

_DENIED = "The call was not approved."
_FAILED = "The call has failed."
_LONGEST_MESSAGE = 10_000  # characters
_LONGEST_PROBLEM = 2_000


class Decision(BaseModel, extra="forbid"):
    """The answer to a pending call, as it is posted to the URL of its callback.

    approved: whether a call that needs an approval is executed. arguments: those to execute it with instead of its own.
    result: what a call that is executed elsewhere has returned. message: what the model is told of a call that is not
        approved or has failed.
    """

    approved: bool
    arguments: dict[str, JsonValue] | None = None
    result: JsonValue = None
    message: str = Field(default="", max_length=_LONGEST_MESSAGE)


class PendingCall(BaseModel):
    """A tool call that waits for a decision. id: that of the call. metadata: what the tool has given with it."""

    id: str
    kind: Literal["approval", "external"]
    tool: str
    arguments: JsonValue
    metadata: dict[str, JsonValue] = {}


class AgentUsage(BaseModel):
    """What a run has used. cost_usd: by the price list of genai-prices; None if the model is not in it."""

    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None

    @classmethod
    def of(cls, usage: RunUsage) -> AgentUsage:
        """The usage of a run of pydantic-ai."""
        return cls(
            requests=usage.requests,
            tool_calls=usage.tool_calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost,
        )

    def __add__(self, other: AgentUsage) -> AgentUsage:
        costs = [each.cost_usd for each in (self, other) if each.cost_usd is not None]
        return AgentUsage(
            requests=self.requests + other.requests,
            tool_calls=self.tool_calls + other.tool_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=sum(costs, Decimal(0)) if costs else None,
        )


class AgentTurn(BaseModel):
    """The input of a run. prompt: what the user says; None goes on with the decisions. history: the messages so far, as
    JSON. pending, decisions: the calls for which the last run waits, and the decisions on them by the ids of the calls.
    """

    prompt: str | None = None
    history: list[JsonValue] = []
    pending: list[PendingCall] = []
    decisions: dict[str, Decision] = {}


class AgentAnswer(BaseModel):
    """The result of a run. output: what the agent has answered; None while calls are pending. history: all messages,
    which the next turn begins with."""

    output: JsonValue = None
    pending: list[PendingCall] = []
    history: list[JsonValue] = []
    usage: AgentUsage = AgentUsage()


async def run_turn(
    agent: Agent[Any, Any], ctx: JournalContext, turn: AgentTurn, *, deps: Any = None, **options: Any
) -> AgentAnswer:
    """Run an agent in a journaled activity: ``return await run_turn(agent, ctx, turn)``.

    agent: has the ``DurableCoreDurability`` capability. If one of its tools can be pending, ``DeferredToolRequests`` is
        one of its output types.
    deps, options: those of ``agent.run``.
    Raises what ``agent.run`` raises; but NonRetriableError where another attempt would come to the same end with the
    recorded answers of the model: for a limit of usage that is reached, for a model that does not come to an answer,
    and for what the app does wrong, such as a decision that does not belong to a pending call.
    """
    try:
        with durable_run(ctx):
            result = await agent.run(
                turn.prompt,
                message_history=ModelMessagesTypeAdapter.validate_python(turn.history),
                deferred_tool_results=_results(turn),
                deps=deps,
                **options,
            )
    except (UserError, UsageLimitExceeded, UnexpectedModelBehavior) as error:
        raise NonRetriableError(f"{type(error).__name__}: {error}") from error
    output = result.output
    pending = _pending(output) if isinstance(output, DeferredToolRequests) else []
    return AgentAnswer(
        output=None if pending else to_jsonable_python(output),
        pending=pending,
        history=cast("list[JsonValue]", ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json")),
        usage=AgentUsage.of(result.usage),
    )


def converse(
    ctx: OrchestrationContext,
    activity: Callable[..., Any],
    turn: AgentTurn,
    *,
    ask: Callable[..., Any],
    tools: Mapping[str, Callable[..., Any]] | None = None,
    timeout: timedelta | None = timedelta(days=7),
) -> Generator[Any, Any, AgentAnswer]:
    """Run an agent until it has answered, and wait for people as long as it takes: ``answer = yield from converse(ctx,
    refund_agent, turn, ask=ask_by_mail)``. The usage of the answer is that of all its runs.

    activity: the journaled activity that runs the agent with ``run_turn``. Each round of decisions calls it once more.
    ask: an activity that gets a list of ``Question`` and hands the URLs to those who decide. It may run twice.
    tools: activities, by the names of the tools that are executed elsewhere (``CallDeferred``). Such a call is executed
        by its activity, with the queue, the retry policy and the limits of that, and nobody is asked. The activity gets
        the arguments as an object; if it fails for good, the model is told so.
    timeout: after this time without a decision a call is not approved; None waits for ever.
    The custom status is ``{"usage": ..., "pending": [...]}`` with the names of the tools whose calls wait.
    Raises ActivityFailedError if an activity has failed for good.
    """
    used = AgentUsage()
    runs: Any = activity  # the overloads know the types of what a decorator marks, and not those of a parameter
    while True:
        answer: AgentAnswer = yield from ctx.call_activity(runs, turn, returns=AgentAnswer)
        used += answer.usage
        ctx.set_custom_status(
            {"usage": used.model_dump(mode="json"), "pending": [call.tool for call in answer.pending]}
        )
        if not answer.pending:
            return answer.model_copy(update={"usage": used})
        decisions = yield from _results_of(ctx, answer.pending, tools or {}, ask, timeout)
        turn = turn.model_copy(
            update={
                "prompt": None,
                "history": answer.history,
                "pending": answer.pending,
                "decisions": decisions,
            }
        )


class Question(BaseModel):
    """What the activity ``ask`` of ``converse`` gets for each pending call: a POST of a ``Decision`` as JSON to ``url``
    decides, once, without a key. problem: what was wrong with the body that was posted before."""

    call: PendingCall
    url: str
    problem: str = ""


def _results_of(
    ctx: OrchestrationContext,
    calls: Sequence[PendingCall],
    tools: Mapping[str, Callable[..., Any]],
    ask: Callable[..., Any],
    timeout: timedelta | None,
) -> Generator[Any, Any, dict[str, Decision]]:
    """Begin the activities of these calls, ask people about the others meanwhile, and wait for all."""
    executed = {call.id: tools[call.tool] for call in calls if call.kind == "external" and call.tool in tools}
    running = [(call.id, ctx.call_activity(executed[call.id], call.arguments)) for call in calls if call.id in executed]
    decisions = yield from _decisions(ctx, [call for call in calls if call.id not in executed], ask, timeout)
    for id, task in running:
        try:
            decisions[id] = Decision(approved=True, result=(yield from task))
        except TaskFailedError as error:
            decisions[id] = Decision(approved=False, message=error.failure.message[:_LONGEST_MESSAGE])
    return decisions


def _decisions(
    ctx: OrchestrationContext, calls: Sequence[PendingCall], ask: Callable[..., Any], timeout: timedelta | None
) -> Generator[Any, Any, dict[str, Decision]]:
    """Ask for decisions on these calls, and again where what was posted is none."""
    decisions: dict[str, Decision] = {}
    problems = dict.fromkeys((call.id for call in calls), "")
    waiting = list(calls)
    while waiting:
        callbacks = [ctx.callback(call.tool, timeout=timeout) for call in waiting]
        questions = [
            Question(call=call, url=callback.url, problem=problems[call.id])
            for call, callback in zip(waiting, callbacks, strict=True)
        ]
        yield from ctx.call_activity(ask, questions)
        asked_again: list[PendingCall] = []
        for call, callback in zip(waiting, callbacks, strict=True):
            try:
                decisions[call.id] = Decision.model_validate((yield from callback.task))
            except TaskTimeoutError:
                decisions[call.id] = Decision(approved=False, message="Nobody has decided in time.")
            except ValidationError as error:
                problems[call.id] = str(error)[:_LONGEST_PROBLEM]
                asked_again.append(call)
        waiting = asked_again
    return decisions


def _pending(requests: DeferredToolRequests) -> list[PendingCall]:
    calls = [*(("approval", call) for call in requests.approvals), *(("external", call) for call in requests.calls)]
    return [
        PendingCall(
            id=call.tool_call_id,
            kind=cast("Literal['approval', 'external']", kind),
            tool=call.tool_name,
            arguments=call.args_as_dict(),
            metadata=to_jsonable_python(requests.metadata.get(call.tool_call_id, {}), fallback=repr),
        )
        for kind, call in calls
    ]


def _results(turn: AgentTurn) -> DeferredToolResults | None:
    if not turn.decisions:
        return None
    if strange := sorted(set(turn.decisions) - {call.id for call in turn.pending}):
        raise UserError(f"there is no pending call {strange[0]!r} to decide on")
    results = DeferredToolResults()
    for call in turn.pending:
        decision = turn.decisions.get(call.id)
        if decision is None:
            continue
        if call.kind == "external":
            results.calls[call.id] = decision.result if decision.approved else ToolFailed(decision.message or _FAILED)
        elif decision.approved:
            results.approvals[call.id] = ToolApproved(override_args=decision.arguments)
        else:
            results.approvals[call.id] = ToolDenied(decision.message or _DENIED)
    return results
