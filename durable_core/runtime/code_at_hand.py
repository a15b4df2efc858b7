"""The app's code, as ``explain`` asks for it: what is registered here, and what a replay of a history shows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..converter import Converter
from ..definitions import ActivityDefinition
from ..engine.callbacks import CallbackUrls
from ..engine.events import Segment
from ..errors import CodeHangsError, DeterminismError, NonDeterminismError, UnknownOrchestratorError
from ..hang_watch import Code, stretch
from ..hub.instance_row import Instance
from ..hub.taskhub import TaskHub
from ..operate.explain.code_here import CallInHand, Replayed, SlotUse
from ..registry import Registry
from .activities.call_options import definition_here
from .activities.runner import ActivityRunner
from .hangs import Hangs
from .turn.cached import definition_for, info_of, watched_replay


class CodeAtHand:
    """``CodeHere`` of this process. Runs no activity and no step, and changes nothing."""

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        callback_urls: CallbackUrls | None,
        hangs: Hangs,
        runner: ActivityRunner,
        build: str,
        *,
        guard: bool,
    ) -> None:
        self.build = build
        self.host = runner.host
        self._runner = runner
        self._hub = hub
        self._registry = registry
        self._converter = converter
        self._callback_urls = callback_urls
        self._hangs = hangs
        self._guard = guard

    def activity(self, name: str) -> ActivityDefinition | None:
        return definition_here(self._registry, name)

    def in_hand(self, instance: Instance, task_id: int) -> CallInHand | None:
        return self._runner.in_hand(instance, task_id)

    def slots(self, activity: str) -> SlotUse | None:
        return self._runner.slots(activity)

    def has(self, instance: Instance) -> bool:
        with suppress(UnknownOrchestratorError):
            definition_for(self._registry, instance.name, instance.version)
            return True
        return False

    async def replay(self, instance: Instance, segments: Sequence[Segment]) -> Replayed | None:
        if self._hangs.must_be_left_alone(instance, ()):
            return None
        code = Code(f"orchestrator '{instance.name}' (instance '{instance.instance_id}', explained)")
        definition = definition_for(self._registry, instance.name, instance.version)
        carry = await self._hub.instances.carry(instance)
        info = info_of(instance, self._hub.instances.headers(instance), self._callback_urls)
        try:
            live = watched_replay(code, definition, info, self._converter, segments, carry.seen, guard=self._guard)
        except NonDeterminismError as error:
            held, made = error.expected or "nothing", error.actual or "nothing"
            problem = f"at this place the history holds {held}, and the code did {made}"
            return Replayed(problem=problem, problem_at=error.actual_at or error.expected_at, retries={})
        except DeterminismError as error:
            return Replayed(
                problem=f"it uses {error.used}, which can differ on replay", problem_at=error.location, retries={}
            )
        except CodeHangsError:
            return None
        try:
            return Replayed(
                waits=tuple(live.waits),
                waits_at=live.waits_at,
                kept_events=tuple(event.name for event in live.unconsumed_events()),
                can_change=bool(
                    live.pending or live.steps or live.awaited_events or live.handled_events or live.update_names
                ),
                retries={task: each.retry for task, each in live.pending.items() if each.retry is not None},
            )
        finally:
            stretch(code, live.close)
