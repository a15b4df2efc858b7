"""Updates (``ctx.set_update_handler``): requests that change an orchestration and are answered: Temporal's update.

An update is *accepted* or refused in the turn that receives it. The validator is called only then: a refused update
leaves nothing in the history, and the ``UpdateAccepted`` of an accepted one says that it has passed. Its handler is
part of the orchestrator. A plain function ends at once; a generator or a coroutine is a branch, which runs beside the
orchestrator's own code. ``UpdateEnded`` is a decision like any other, so that a replay compares it. The answer itself
is not in the history: the commit that records the end writes it into the row of the update, in the same transaction,
where the sender and every other process that repeats the update read it.
"""

# pyright: reportPrivateUsage=false
# A friend of Task, as the functions of ``tasks`` are.

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal, TypeAlias, cast

from ..converter import Converter
from ..errors import DurableError, InvalidInputError, OrchestratorCodeError
from ..guard import Watch
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails
from ..source_location import raised_at
from ..user_code import raise_unless_failure
from .annotations import parameter_types
from .branches import BranchTask
from .code_scope import outside
from .events import UpdateAccepted, UpdateEnded
from .handlers import Handler
from .no_entries import NO_ENTRIES
from .state import ExecutionState, InstanceInfo
from .tasks import TRACE, Combination, Task, has_ended, outcome, settle
from .user_frames import caller, on_behalf_of, without_engine
from .values import read

MAX_OPEN = 40
"""Updates of one instance whose handlers are under way: a commit answers all of them in one transaction, which holds a
hundred rows."""

MAX_NAMES = 16_000  # characters of all names, as JSON: they are one property of the instance row
ABANDONED = "UpdateAbandoned"
"""The type of the failure of an update whose handler had not ended when its orchestrator did."""

_log = logging.getLogger("durable_core.engine")

Unfinished: TypeAlias = Literal["warn", "abandon"]
"""Whether a warning tells of an update whose handler has not ended when its orchestrator does: Temporal's
``HandlerUnfinishedPolicy``. The update fails in both cases."""

AnswerKind: TypeAlias = Literal["completed", "failed", "refused", "unknown", "suspended", "ended"]
"""completed, failed: of an accepted update. The others refuse one: its validator, there is no handler (the value lists
those there are), the instance is suspended, or has ended."""


@dataclass(frozen=True, slots=True)
class UpdateAnswer:
    """The answer to an update. value: the result, the failure as JSON, or what ``AnswerKind`` says.

    accepted: the number, in this generation, of the commit that recorded the update; None if it was refused.
    """

    update_id: str
    kind: AnswerKind
    value: JSON
    accepted: int | None = None


@dataclass(frozen=True, slots=True)
class UpdateInProgress:
    """An accepted update whose handler has not ended. waits_at: the ``file:line`` at which the handler waits."""

    update_id: str
    name: str
    waits_at: str


@dataclass(frozen=True, slots=True)
class UpdateHandler:
    """A handler with its validator. ``checks``: the annotated types of the validator's parameters. ``unfinished``: as
    of ``ctx.set_update_handler``."""

    handler: Handler
    validator: Callable[..., object] | None
    checks: tuple[Any, ...]
    unfinished: Unfinished = "warn"

    @classmethod
    def checked(
        cls, name: object, fn: Callable[..., Any], validator: object, present: Handler | None, unfinished: object
    ) -> UpdateHandler:
        """OrchestratorCodeError, with the line, if one of the functions cannot be what it is given for."""
        handler = Handler.checked("update", name, fn, present, may_wait=True)
        if unfinished not in ("warn", "abandon"):
            raise OrchestratorCodeError(
                f"unfinished={unfinished!r} of update '{name}' must be 'warn' or 'abandon'", handler.line
            )
        policy: Unfinished = "warn" if unfinished == "warn" else "abandon"
        if validator is None:
            return cls(handler, None, (), policy)
        takes = parameter_types(validator) if callable(validator) else None
        waits = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if not callable(validator) or takes is None or any(test(validator) for test in waits):
            raise OrchestratorCodeError(
                f"the validator of update '{name}' must be a plain function with one parameter, or none, that raises "
                f"to refuse the update, not {validator!r}",
                handler.line,
            )
        return cls(handler, validator, takes, policy)

    def validate(self, data: JSON, converter: Converter, watch: Watch) -> None:
        """Raises what refuses the update: an exception of the validator, or InvalidInputError for the arguments."""
        values = arguments(self.handler, data, converter)
        if self.validator is None:
            return
        if self.checks and values:
            kind = self.checks[0]
            values = (read(converter, data, kind if kind is not Any else self.handler.takes[0]),)
        elif self.checks:
            values = (data,)
        else:
            values = ()
        with outside(f"the validator of update '{self.handler.name}'"):
            watch(self.validator, *values)


@dataclass(slots=True)
class _Update:
    """An accepted update whose handler has not ended. accepted: as in ``UpdateAnswer``."""

    event: UpdateAccepted
    handler: UpdateHandler
    accepted: int
    branch: BranchTask[Any] | None = None


class Updates:
    """The handlers of updates of one generation, and the updates that are under way.

    names: of the handlers, as a JSON array; '' for none. open: the updates under way, by id, in the order in which they
    were accepted.
    """

    __slots__ = ("_answers", "_converter", "_decisions", "_handlers", "_info", "names", "open")

    def __init__(self, info: InstanceInfo, converter: Converter, decisions: ExecutionState) -> None:
        self._info, self._converter, self._decisions = info, converter, decisions
        self._handlers: dict[str, UpdateHandler] = NO_ENTRIES
        self._answers: list[UpdateAnswer] = []
        self.names = ""
        self.open: dict[str, _Update] = NO_ENTRIES

    def set(
        self, name: str, fn: Callable[..., Any], validator: Callable[..., object] | None, unfinished: object
    ) -> None:
        """Register a handler. OrchestratorCodeError."""
        present = self._handlers.get(name)
        made = UpdateHandler.checked(name, fn, validator, None if present is None else present.handler, unfinished)
        names = json.dumps(sorted([*self._handlers, name]), separators=(",", ":"))
        if len(names) > MAX_NAMES:
            raise OrchestratorCodeError(
                f"the names of all update handlers of an orchestrator have at most {MAX_NAMES:,} characters; use "
                "one handler, and tell what is to be done by its argument",
                caller(),
            )
        self._handlers = self._handlers or {}
        self._handlers[name], self.names = made, names

    def in_progress(self) -> list[UpdateInProgress]:
        return [
            UpdateInProgress(update_id, update.event.name, "" if update.branch is None else update.branch.waits_at)
            for update_id, update in self.open.items()
        ]

    def take_answers(self) -> tuple[UpdateAnswer, ...]:
        """The answers since the last call."""
        if not self._answers:
            return ()
        answers = tuple(self._answers)
        self._answers.clear()
        return answers

    # ------------------------------------------------------------ accepting

    def accepts(self, event: UpdateAccepted, *, suspended: bool) -> bool:
        """Whether the update is to be recorded and applied; if not, it is answered."""
        handler = self._handlers.get(event.name)
        if suspended:
            return self._refuse(event, "suspended", None)
        if handler is None:
            return self._refuse(event, "unknown", sorted(self._handlers))
        if len(self.open) >= MAX_OPEN:
            text = f"{MAX_OPEN} updates of the instance are under way; send it again when one of them has ended"
            return self._refuse(event, "refused", FailureDetails("TooManyUpdates", text).to_json())
        try:
            handler.validate(event.data, self._converter, self._decisions.watch)
        except BaseException as error:  # noqa: BLE001  whatever the validator raises refuses the update
            raise_unless_failure(error)
            return self._refuse(event, "refused", _failure_of(error).to_json())
        return True

    def refuse_after_end(self, event: UpdateAccepted) -> None:
        self._refuse(event, "ended", None)

    def _refuse(self, event: UpdateAccepted, kind: AnswerKind, value: JSON) -> bool:
        self._answers.append(UpdateAnswer(event.update_id, kind, value))
        return False

    # ------------------------------------------------------------ carrying out

    def apply(self, event: UpdateAccepted) -> None:
        """Call the handler of an accepted update."""
        known = self._handlers.get(event.name)
        decisions = self._decisions
        if known is None:  # the code has another handler than when it was accepted, or the update is told again
            missing = OrchestratorCodeError(f"the orchestrator has no handler of update '{event.name}' any more")
            self._end(event.update_id, len(decisions.history), None, missing)
            return
        update = _Update(event, known, len(decisions.history))
        try:
            values = arguments(known.handler, event.data, self._converter)
            made: Any = decisions.watch(known.handler.fn, *values)
        except BaseException as error:  # noqa: BLE001  any exception of the handler is the failure of the update
            raise_unless_failure(error)
            self._end(event.update_id, update.accepted, None, error)
            return
        if not isinstance(made, Generator | Coroutine):
            self._end(event.update_id, update.accepted, made, None)
            return
        asked = on_behalf_of.set(known.handler.line)
        try:
            branch = decisions.branches_to_start().start(cast("object", made), f"update '{event.name}'")
        finally:
            on_behalf_of.reset(asked)
        if has_ended(branch):
            branch._seen = True
            self._end(event.update_id, update.accepted, *outcome(branch))
            return
        update.branch = branch
        self.open = self.open or {}
        self.open[event.update_id] = update

        def ended(value: object, error: BaseException | None) -> None:
            if self.open.pop(event.update_id, None) is not None:
                self._end(event.update_id, update.accepted, value, error)

        _HandlerEnd(branch, ended)

    def abandon(self) -> None:
        """The generation ends: what is under way fails."""
        if not self.open or not self._decisions.is_running:
            return
        for update_id, update in self.open.items():
            text = (
                f"the orchestrator ended, or continued as new, before the handler of update '{update.event.name}' "
                f"(set at {update.handler.handler.line}) had ended"
            )
            failure = FailureDetails(ABANDONED, text, retriable=False)
            self._answer(UpdateAnswer(update_id, "failed", failure.to_json(), update.accepted))
            if not self._decisions.is_replaying and update.handler.unfinished == "warn":
                _log.warning(
                    "orchestrator '%s' (instance '%s') ended while its update '%s' was under way, which fails: wait "
                    "for ctx.wait_condition(lambda: ctx.all_updates_ended) first, or set the handler with "
                    "unfinished='abandon'; it was set at %s",
                    self._info.name,
                    self._info.instance_id,
                    update.event.name,
                    update.handler.handler.line,
                )
        self.open.clear()  # the generators are closed as all branches are

    def _end(self, update_id: str, accepted: int, value: object, error: BaseException | None) -> None:
        """Record the end of an update, and answer it."""
        result: JSON = None
        if error is None:
            try:
                result = self._converter.to_json(value, f"the result of update '{update_id}'")
            except DurableError as refused:
                error = refused
        if error is None:
            self._decisions.record(UpdateEnded(update_id))
            self._answer(UpdateAnswer(update_id, "completed", result, accepted))
        else:
            failure = _failure_of(error)
            self._decisions.record(UpdateEnded(update_id, True, failure.line))
            self._answer(UpdateAnswer(update_id, "failed", failure.to_json(), accepted))

    def _answer(self, answer: UpdateAnswer) -> None:
        if not self._decisions.is_replaying:
            self._answers.append(answer)


class _HandlerEnd(Combination[Any]):
    """Waits for the branch of a handler."""

    __slots__ = ("_ended",)

    def __init__(self, branch: BranchTask[Any], ended: Callable[[object, BaseException | None], None]) -> None:
        super().__init__(branch._owner, (branch,), "the handler of an update")
        self._ended = ended

    def child_ended(self, child: Task[Any]) -> None:
        settle(self, None)
        self._ended(*outcome(child))


def arguments(handler: Handler, data: JSON, converter: Converter) -> tuple[Any, ...]:
    """The arguments of a handler. InvalidInputError: they do not fit."""
    if not handler.takes and data is not None:
        raise InvalidInputError(f"update '{handler.name}' takes no argument")
    return tuple(read(converter, data, kind) for kind in handler.takes)


def _failure_of(error: BaseException) -> FailureDetails:
    error.__traceback__ = vars(error).get(TRACE) or without_engine(error.__traceback__)
    line = raised_at(error.__traceback__)
    failure = FailureDetails.from_exception(error)
    return failure if not line else FailureDetails.from_json({**failure.to_json(), "line": line})
