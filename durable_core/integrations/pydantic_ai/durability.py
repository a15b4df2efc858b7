"""The capability that makes the runs of a pydantic-ai agent durable: each model request and each tool call is a step of
a journaled activity.

Within ``durable_run(ctx)`` pydantic-ai hands its operations to ``_Steps.execute``, which records them in the journal of
the activity. Elsewhere the agent behaves as without the capability.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, cast

from pydantic_ai.agent import Agent, EventStreamHandler
from pydantic_ai.capabilities import WrapRunHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationId,
    JournalCallableOperationBackend,
    ModelRequestId,
    RoleBasedOperationConfig,
    ToolsetCallToolId,
    ToolsetKind,
    ToolsetValidateToolArgumentsId,
    conversation_id_from_run_id,
    external_event_scope,
    record_durable_unit,
    replay_scope,
)
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UserError
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import AgentDepsT, RunContext
from pydantic_ai.toolsets import ToolsetTool

from ...errors import SerializationError, StepFailedError
from ...models import RetryPolicy
from .events import completing, telling
from .scope import Scope, about_event, current_scope, durable_scope, inside_a_step, subject_of
from .waits import CallbackWaiter

_KEY = "durable_core"
_STATUS_CODE = re.compile(r"status_code: (\d{3}),")
_OF_TOOLS = (ToolsetCallToolId, ToolsetValidateToolArgumentsId)


class StepOptions(TypedDict, total=False):
    """The options of a step, such as ``metadata={"durable_core": {"timeout": timedelta(seconds=30)}}`` of a tool.

    retry: how often the step is tried again while the run goes on; without it, an error leaves the run, and the retry
        policy of the activity applies.
    timeout: time limit of one attempt.
    """

    retry: RetryPolicy | None
    timeout: timedelta | None


class DurableCoreDurability(BaseDurabilityCapability[AgentDepsT]):
    """Makes the runs of an agent durable: ``Agent(model, name="refunds", capabilities=[DurableCoreDurability()])``.

    In a journaled activity, within ``durable_run(ctx)``, each model request, each tool call, each listing of the tools
    of an MCP server and of a dynamic toolset is a step: its result is recorded with one write, and after a crash the
    run goes on behind the last record. A step that was running when the host crashed runs again. Outside of
    ``durable_run`` the agent behaves as without the capability.

    models: more models than that of the agent, by the ids under which a run may choose them.
    name: the name of the agent in the names of its steps; None takes that of the agent. It must not change while runs
        are under way.
    stream: the name of the instance's stream into which the events of a run are written, as JSON; None: they are not.
    event_stream_handler: gets the events of a run, too: those of the model while they come, within the step of the
        request, and each other one in a step of its own.
    model, tool, mcp: the options of the steps of model requests, of tools, and of tools of MCP servers. The
        ``metadata`` of a tool adds its own under the key ``durable_core``; False there runs the tool without a step, so
        that it runs again whenever the run goes on.
    """

    engine_spec = DurabilityEngineSpec(
        engine_name="durable_core",
        durable_unit_noun="step",
        durable_container_noun="journaled activity",
        codec=JSON_CODEC,
        serialization_failure=lambda error: SerializationError(f"a step of the agent returned no JSON: {error}"),
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-in-durable-unit", "dynamic": "enter-never"},
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        tool_config_key=_KEY,
    )

    def __init__(
        self,
        *,
        models: Mapping[str, Model] | None = None,
        name: str | None = None,
        stream: str | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        model: StepOptions | None = None,
        tool: StepOptions | None = None,
        mcp: StepOptions | None = None,
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        self._stream = stream
        self._model_options = _checked(model or {})
        self._tool_options = _checked(tool or {})
        self._mcp_options = _checked(mcp or {})

    @property
    def in_durable_context(self) -> bool:
        """Whether a run is recorded now."""
        return durable_scope() is not None

    def get_default_run_id(self) -> str | None:
        """The id of a run that is given none: the same when the activity runs again."""
        scope = durable_scope()
        return None if scope is None else scope.next_run_id()

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """Likewise the id of its conversation."""
        return None if durable_scope() is None else conversation_id_from_run_id(run_id)

    async def get_run_start_time(self, run_id: str) -> datetime | None:
        """The recorded time at which a run with a ``timeout`` began."""
        scope = durable_scope()
        if scope is None:
            return None

        async def now() -> str:
            return datetime.now(UTC).isoformat()

        name = f"{self.name}__run_start_time"
        return datetime.fromisoformat(await scope.journal.step(name, now, key=scope.key_of(name, run_id)))

    async def wrap_run(self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Runs the agent with waits that end the invocation; spans of what was recorded are not exported again."""
        scope = durable_scope()
        if scope is None:
            return await super().wrap_run(ctx, handler=handler)
        waiter = CallbackWaiter(scope, self.name, str(ctx.run_id), is_streamed=self._stream is not None)
        with replay_scope(), external_event_scope(waiter), Agent.using_sleep(waiter.sleep):
            return await super().wrap_run(ctx, handler=handler)

    # ------------------------------------------------------------ steps

    def get_durable_operation_backend(self) -> JournalCallableOperationBackend[StepOptions]:
        """Records the operations of the agent as steps."""

        def of_tool(operation: DurableOperationId, tool: object | None, name: str) -> StepOptions | Literal[False]:
            kind = operation.toolset_kind if isinstance(operation, _OF_TOOLS) else "mcp"
            resolve = self._build_resolve_tool_config(self._toolset_base_config(kind))
            return cast("StepOptions | Literal[False]", resolve(cast("ToolsetTool[Any] | None", tool), name))

        return _Steps(
            agent_name=self.name,
            default_model_id=self.default_model_id,
            config=RoleBasedOperationConfig(
                model=self._model_options,
                event=StepOptions(),
                capability=StepOptions(),
                tool=self._tool_options,
                resolve_tool=of_tool,
            ),
        )

    def _toolset_base_config(self, kind: ToolsetKind) -> StepOptions:
        return self._mcp_options if kind == "mcp" else self._tool_options

    def _normalize_unit_config(self, config: Any) -> Any:
        return _checked(config or {})

    # ------------------------------------------------------------ events

    def _effective_event_stream_handler(self) -> EventStreamHandler[AgentDepsT] | None:
        return self._handler_in(durable_scope())

    def _model_stream_event_handler(self) -> EventStreamHandler[AgentDepsT] | None:
        return self._handler_in(current_scope())  # called within the step of the request

    def _handler_in(self, scope: Scope | None) -> EventStreamHandler[AgentDepsT] | None:
        """The handler of the app, which gets what is written into the stream, if it is."""
        if self._stream is None or scope is None:
            return self._event_stream_handler
        return telling(scope.journal.stream(self._stream, shared=True), self._event_stream_handler)

    async def wrap_run_event_stream(
        self, ctx: RunContext[AgentDepsT], *, stream: AsyncIterable[AgentStreamEvent]
    ) -> AsyncIterable[AgentStreamEvent]:
        """The events of a run, written into the stream as they pass."""
        scope = durable_scope()
        if self._stream is not None and scope is not None:
            stream = completing(scope, scope.journal.stream(self._stream, shared=True), str(ctx.run_id), stream)
        async for event in super().wrap_run_event_stream(ctx, stream=stream):
            yield event

    async def _dispatch_event_stream_event(self, ctx: RunContext[AgentDepsT], event: AgentStreamEvent) -> None:
        if self._event_stream_handler is not None:  # the stream alone needs no step
            with about_event(ctx, event):
                await super()._dispatch_event_stream_event(ctx, event)


class _Steps(JournalCallableOperationBackend[StepOptions]):
    """Executes each operation as a step of the running journaled activity."""

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: StepOptions,
    ) -> object:
        scope = current_scope()
        if scope is None:
            raise UserError("this operation of a durable agent is outside of its durable_run block")
        subject = subject_of(cache_key)
        has_run = False

        async def run() -> Any:
            nonlocal has_run
            has_run = True
            with inside_a_step():
                return await body()

        retry, timeout = config.get("retry"), config.get("timeout")
        try:
            payload = await scope.journal.step(name, run, key=scope.key_of(name, subject), retry=retry, timeout=timeout)
        except StepFailedError as error:
            raise _error_of(error, operation_id) from error
        finally:
            record_durable_unit(executed=has_run)
        if isinstance(operation_id, ModelRequestId):
            scope.note(subject, is_replayed=not has_run)
        return payload


def _error_of(error: StepFailedError, operation_id: DurableOperationId) -> Exception:
    """The error that a failed step raises in the run: that of a model is made again from what is recorded, the same in
    every run of the activity, so that ``ModelFallback`` takes the same way again."""
    if not isinstance(operation_id, ModelRequestId) or not error.is_caused_by(ModelAPIError):
        return error
    message = error.failure.message
    status = _STATUS_CODE.search(message)
    if status is None:
        return ModelAPIError(operation_id.model_name, message)
    return ModelHTTPError(int(status[1]), operation_id.model_name, message)


def _checked(options: Mapping[str, Any]) -> StepOptions:
    """UserError if these are no options of a step."""
    if unknown := sorted(set(options) - StepOptions.__annotations__.keys()):
        known = " and ".join(StepOptions.__annotations__)
        raise UserError(f"a step of a durable agent has no option {unknown[0]!r}; it has {known}")
    for option, kind in (("retry", RetryPolicy), ("timeout", timedelta)):
        if not isinstance(options.get(option), kind | None):
            raise UserError(f"the option '{option}' of a step is a {kind.__name__}, not {options[option]!r:.100}")
    return cast("StepOptions", options)
