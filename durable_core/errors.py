"""Every error class of durable_core, in one tree.

    DurableError
    ├── ConfigurationError            a setting, or the app's own set-up, is wrong
    │   ├── HubNotFoundError          the storage has no task hub of this name
    │   └── RegistrationError         an orchestrator or activity cannot be registered
    ├── SourceError                   the linter cannot read a source file: it is missing, or not Python
    ├── InvalidInputError             an argument or a request body is refused; .problems has a line per field
    │   ├── InvalidInstanceIdError    the instance id holds characters, or a length, that Azure Tables refuses
    │   └── UnknownOrchestratorError  no orchestrator of that name or version is registered; .known lists the names
    ├── UnknownActivityError          this host has no activity of that name; .known lists the names it has
    ├── UnknownEntityError            this host has no entity of that name; .known lists the names it has
    ├── InstanceError                 base of the errors about one instance; .instance_id is its id
    │   ├── InstanceNotFoundError     the task hub has no instance with this id
    │   ├── InstanceAlreadyExistsError  an instance with this id exists; .status is its runtime status
    │   │   └── ScheduleAlreadyExistsError  there is a schedule of this id; .schedule_id is the id
    │   ├── InstanceCompletedError    the instance has ended and accepts no more requests
    │   ├── ExecutionGoneError        the request was for an execution that was purged or started again since
    │   ├── OperationRefusedError     the instance is in no state for this operation; .problems lists why
    │   ├── OrchestrationFailedError  the instance whose result a test asks for did not complete; .failure says why
    │   ├── InstanceWaitsError        the instance waits, and no timer, activity or event of the test will wake it up
    │   ├── InstanceStuckError        the instance is stuck; .reason says why
    │   ├── UnknownQueryError         the orchestrator has no handler for this query; .known lists its queries
    │   ├── QueryFailedError          the orchestrator's query handler raised
    │   ├── UnknownUpdateError        the orchestrator has no handler for this update; .known lists its updates
    │   ├── UpdateRefusedError        the validator of the update's handler refused it; .failure says why
    │   ├── UpdateFailedError         the update's handler raised, or did not end before its orchestrator
    │   └── UpdateNotEndedError       the update was not answered in time, and goes on
    ├── CrashTestError                a crash changes the outcome of a scenario; .report lists where
    ├── SerializationError            a value cannot be written as, or read from, JSON
    ├── PayloadTooLargeError          a value has more bytes of JSON than max_payload allows
    ├── CodecError                    stored data cannot be decoded: the payload codec has another key, or is missing
    ├── NonRetriableError             for activities to raise: a failure that is not retried
    │   └── JournalError              the code of a journaled activity does not fit its journal, or misuses it
    ├── CallRefusedError              for interceptors to raise: the caller may not make this call
    ├── InterceptorError              an interceptor called proceed() twice
    ├── OrchestratorCodeError         an orchestrator did something that orchestrators must not do; .location says where
    ├── DeterminismError              an orchestrator used a file, a clock, chance or the like; .location says where
    ├── NonDeterminismError           the orchestrator's code does not match its history; the text shows both
    ├── NewerFormatError              the data was written by a newer version of durable_core
    ├── HistoryFileError              the file of an exported history is missing or damaged
    ├── CapabilityError               a signed URL is forged, expired or already used
    ├── StorageError                  base of the errors that the storage ports raise
    │   ├── DamagedRowError           a row lacks properties that every version writes, or has impossible values
    │   ├── UnusableStoreError        the embedded store's file is damaged, not a store, or not readable
    │   ├── StorageUnavailableError   transient: the storage throttled, timed out or reset the request; try again
    │   ├── RowExistsError            the key of an inserted row is taken
    │   ├── RowNotFoundError          the row, or its table, does not exist
    │   ├── PreconditionFailedError   the ETag given is outdated: another writer changed the row
    │   ├── LeaseLostError            the message was deleted, or another receiver has leased it since
    │   ├── LimitExceededError        Azure would refuse this size, count or character
    │   └── QueueNotFoundError        the queue does not exist
    ├── StreamError                   an activity cannot write to a stream: not its own, ended, full, or not needed
    ├── CodeHangsError                user code blocked the event loop for too long; .line says where
    ├── CompensationError             some compensations of a saga failed; .failures lists them with their errors
    ├── HttpCallError                 a durable HTTP call got no answer, or, with a retry policy, only refusals
    └── TaskFailedError               raised in an orchestrator that waits for a task which failed
        ├── ActivityFailedError       an activity failed, and its retries are used up
        ├── StepFailedError           an inline step (ctx.run) failed, and its retries are used up
        ├── SubOrchestrationFailedError  a sub-orchestration failed or was terminated
        ├── EntityOperationFailedError  an operation of an entity failed
        ├── BranchFailedError         a branch ended with an exception of its own code; a result of gather only
        ├── MapFailedError            more items of a map failed than its policy allows; .result has the others
        ├── TaskTimeoutError          a task did not end in its time
        └── TaskCancelledError        a task was cancelled before it ended

Five more stay inside durable_core, which catches all of them. Each is defined in the module that raises it:

    DurableError
    ├── InvocationCancelledError      hosting.functions: the host cancelled the invocation; the message comes again
    ├── InvocationFailedError         hosting.local.invoker: a function raised, timed out or was cancelled
    └── StorageError
        ├── HistoryMovedError         hub.instances: the row changed while its history was read; load again
        ├── PayloadGoneError          hub.payloads: the payload's execution was purged or started again
        └── LeftOutError              storage.sqlite.operations: an earlier operation of the same group failed

Each text says what to do next. An exception of an SDK is kept as the ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.mapping.results import MapResult
    from .models import FailureDetails, OrchestrationStatus


class DurableError(Exception):
    """Base of all error classes of durable_core."""


class ConfigurationError(DurableError):
    """A setting or the set-up of the app is wrong. The text names the setting and says what to do."""


class HubNotFoundError(ConfigurationError):
    """The storage has no task hub of this name: no host has created one there."""


class RegistrationError(ConfigurationError):
    """An orchestrator, activity or entity cannot be registered as it is written. The text has the file and line."""


class SourceError(DurableError):
    """The linter cannot read a source file: it is missing, unreadable, or not Python. The text names the file."""


class InvalidInputError(DurableError):
    """An argument or a request body is refused. ``problems`` has one line per field that is wrong."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message if not problems else message + ": " + "; ".join(problems))
        self.problems = tuple(problems)


class InvalidInstanceIdError(InvalidInputError):
    """An instance id that Azure Tables would refuse as a key: too long, or with a forbidden character."""


class UnknownOrchestratorError(InvalidInputError):
    """No orchestrator of this name, or no such version of it, is registered on this host.

    ``known`` lists the registered names, ``versions`` the registered versions of ``name``, if that has another one.
    """

    def __init__(
        self,
        name: str,
        known: Sequence[str],
        version: str | None = None,
        versions: Sequence[str] = (),
        *,
        hint: str = "",
    ) -> None:
        wanted = f"'{name}'" if version is None else f"'{name}' version '{version}'"
        listed = ", ".join(sorted(known)) or "none"
        if versions:
            listed = f"'{name}' in " + ", ".join(f"version '{v}'" if v else "no version" for v in versions)
        because = f": {hint}" if hint else ""
        super().__init__(f"there is no orchestrator {wanted}{because}; registered: {listed}")
        self.name, self.known, self.version, self.versions = name, tuple(sorted(known)), version, tuple(versions)


class UnknownActivityError(DurableError):
    """No activity of this name is registered on this host; another host may have it. ``known`` lists the names."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"no activity '{name}' is registered on this host; registered: {listed}")
        self.name, self.known = name, tuple(sorted(known))


class UnknownEntityError(DurableError):
    """No entity of this name is registered on this host; another host may have it. ``known`` lists the names."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"no entity '{name}' is registered on this host; registered: {listed}")
        self.name, self.known = name, tuple(sorted(known))


class InstanceError(DurableError):
    """Base of the errors about one instance. ``instance_id`` is its id."""

    def __init__(self, instance_id: str, message: str) -> None:
        super().__init__(message)
        self.instance_id = instance_id


_SCHEDULE = "durable.schedule:"  # begins the id of the instance that is a schedule


class InstanceNotFoundError(InstanceError):
    """The task hub has no instance with this id."""

    def __init__(self, instance_id: str) -> None:
        name = instance_id.removeprefix(_SCHEDULE)
        what = f"instance '{instance_id}'" if name == instance_id else f"schedule '{name}'"
        super().__init__(instance_id, f"there is no {what} in this task hub")


class InstanceAlreadyExistsError(InstanceError):
    """An instance with this id exists, and its ``status`` does not allow another start."""

    def __init__(self, instance_id: str, status: str) -> None:
        super().__init__(
            instance_id,
            f"instance '{instance_id}' exists already and is {status}; use another id, or purge it first",
        )
        self.status = status


class ScheduleAlreadyExistsError(InstanceAlreadyExistsError):
    """There is a schedule of this id. ``schedule_id`` is its id, ``status`` that of the instance that runs it."""

    def __init__(self, schedule_id: str, instance_id: str, status: str) -> None:
        super().__init__(instance_id, status)
        self.schedule_id = schedule_id
        self.args = (
            f"there is a schedule '{schedule_id}' already; create_schedule(if_exists='update') changes it, "
            "if_exists='ignore' leaves it as it is, pause_schedule and resume_schedule stop and continue it, "
            "delete_schedule removes it; or give the new one another id",
        )


class InstanceCompletedError(InstanceError):
    """The instance has ended, as ``status`` says, and accepts no more requests."""

    def __init__(self, instance_id: str, status: str) -> None:
        super().__init__(instance_id, f"instance '{instance_id}' has ended ({status}) and accepts no more requests")
        self.status = status


class ExecutionGoneError(InstanceError):
    """The request was for an execution that no longer exists: the instance has been purged or started again since."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(
            instance_id, f"instance '{instance_id}' has been started again; the request was for an earlier execution"
        )


class OperationRefusedError(InstanceError):
    """The instance, as it is, does not permit an operation such as a restart. ``problems`` has one line per reason.

    is_forceable: whether the same operation with ``force`` is carried out all the same.
    """

    def __init__(
        self, instance_id: str, message: str, problems: Sequence[str] = (), *, is_forceable: bool = False
    ) -> None:
        super().__init__(instance_id, message if not problems else message + ": " + "; ".join(problems))
        self.problems = tuple(problems)
        self.is_forceable = is_forceable


class OrchestrationFailedError(InstanceError):
    """The instance whose result a test asks for ended as Failed, Terminated or Canceled.

    ``failure`` is None unless it failed. The text has the stack traces of the failure and of its causes.
    """

    def __init__(self, status: OrchestrationStatus) -> None:
        self.status, self.failure = status, status.failure
        ended = "" if status.runtime_status is None else status.runtime_status.value
        lines = [f"instance '{status.instance_id}' of orchestrator '{status.name}' ended as {ended}"]
        if self.failure is None and status.output is not None:
            lines[0] += f": {status.output}"
        failure, by = self.failure, "with"
        while failure is not None:
            lines.append(f"{by} {failure.type}: {failure.message}")
            if failure.stack_trace:
                lines.append(failure.stack_trace.rstrip())
            failure, by = failure.cause, "caused by"
        super().__init__(status.instance_id, "\n".join(lines))


class InstanceWaitsError(InstanceError):
    """In a test: the instance waits, and no timer, activity or event is left that could wake it up.

    The text names the task it waits for, and the line. Also raised for an instance that continues as new again and
    again while no time passes.
    """


class InstanceStuckError(InstanceError):
    """The instance is stuck: its code cannot go on, and it has not failed. ``reason`` says why."""

    def __init__(self, instance_id: str, reason: str) -> None:
        super().__init__(instance_id, f"instance '{instance_id}' is stuck: {reason}")
        self.reason = reason


class CrashTestError(DurableError, AssertionError):
    """A crash changes the outcome of a scenario. ``report`` is the ``CrashReport``; the text shows it."""

    def __init__(self, report: object) -> None:
        super().__init__(str(report))
        self.report = report


class UnknownQueryError(InstanceError):
    """The orchestrator has registered no handler for this query, or not yet. ``known`` lists its queries."""

    def __init__(self, instance_id: str, query: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(instance_id, f"instance '{instance_id}' answers no query '{query}'; it answers: {listed}")
        self.query, self.known = query, tuple(sorted(known))


class QueryFailedError(InstanceError):
    """A query handler raised; its exception is the ``__cause__``. The instance itself is not affected."""

    def __init__(self, instance_id: str, query: str, error: BaseException) -> None:
        super().__init__(
            instance_id, f"query '{query}' of instance '{instance_id}' failed: {type(error).__name__}: {error}"
        )
        self.query = query


class UnknownUpdateError(InstanceError):
    """The orchestrator has registered no handler for this update, or not yet. ``known`` lists its updates."""

    def __init__(self, instance_id: str, update: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(instance_id, f"instance '{instance_id}' has no update '{update}'; it has: {listed}")
        self.update, self.known = update, tuple(sorted(known))


class UpdateRefusedError(InstanceError):
    """An update was refused before anything of it was recorded: by the validator of its handler, because its arguments
    do not fit, or because 40 updates of the instance are under way. ``failure`` says why."""

    def __init__(self, instance_id: str, update: str, failure: FailureDetails) -> None:
        super().__init__(
            instance_id, f"update '{update}' of instance '{instance_id}' was refused: {failure.type}: {failure.message}"
        )
        self.update, self.failure = update, failure


class UpdateFailedError(InstanceError):
    """The handler of an update raised ``failure``, or had not ended when its orchestrator ended or continued as new.
    The instance itself is not affected."""

    def __init__(self, instance_id: str, update: str, update_id: str, failure: FailureDetails) -> None:
        super().__init__(
            instance_id, f"update '{update}' of instance '{instance_id}' failed: {failure.type}: {failure.message}"
        )
        self.update, self.update_id, self.failure = update, update_id, failure


class UpdateNotEndedError(InstanceError, TimeoutError):
    """An update was not answered in time. It goes on: the same call with ``update_id`` waits for its answer again."""

    def __init__(self, instance_id: str, update: str, update_id: str, seconds: float) -> None:
        super().__init__(
            instance_id,
            f"update '{update}' of instance '{instance_id}' was not answered within {seconds:g} s, and goes on: "
            f"call it again with update_id='{update_id}' to wait for its answer",
        )
        self.update, self.update_id = update, update_id


class SerializationError(DurableError):
    """A value cannot be written as JSON, or values of the annotated type cannot be read from JSON."""


class PayloadTooLargeError(DurableError):
    """A value has ``size`` bytes of JSON, more than ``limit`` (the setting ``max_payload``). ``what`` names it."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} is {size:,} bytes of JSON, over the limit of {limit:,}; "
            "store the data elsewhere (a blob, a database) and pass its address"
        )
        self.what, self.size, self.limit = what, size, limit


class CodecError(DurableError):
    """Stored data cannot be decoded: this app's payload codec has another key, or the app has no codec.

    Nothing is lost: the data stays stored, and its instance resumes once a host has the right codec.
    ``instance_id`` and ``execution_id`` name the instance and execution of the data; '' where they are not known.
    """

    def __init__(self, message: str, instance_id: str = "", execution_id: str = "") -> None:
        super().__init__(message)
        self.instance_id, self.execution_id = instance_id, execution_id


class NonRetriableError(DurableError):
    """Raise it, or a class derived from it, in an activity or orchestrator: the failure is final.

    No retry policy starts another attempt. ``raise NonRetriableError("card refused") from error`` keeps the cause.
    """


class CallRefusedError(DurableError):
    """Raised by an interceptor of client calls that refuses one, such as for a caller without the right to make it.
    The management API answers with 403 and this text."""


class InterceptorError(DurableError):
    """An interceptor did something that interceptors must not do: it called ``proceed()`` twice."""


class OrchestratorCodeError(DurableError):
    """An orchestrator did something that orchestrators must not do, such as yielding a value that is not a task.

    ``location`` is the ``file:line`` of the user's code; '' if it is not known.
    """

    def __init__(self, message: str, location: str = "") -> None:
        super().__init__(f"{message} (at {location})" if location else message)
        self.location = location


class DeterminismError(DurableError):
    """An orchestrator used a source that can differ on replay: a file, the network, a clock, chance.

    ``used`` names the source, ``location`` is the ``file:line`` of the user's code ('' if it is not known),
    ``replacement`` says what to use instead. The instance is stuck until the code is fixed; to catch this error in the
    orchestrator does not help.
    """

    def __init__(self, *, used: str, location: str, replacement: str) -> None:
        super().__init__(
            f"orchestrator code used {used}{f' at {location}' if location else ''}, which can differ on replay: "
            f"{replacement}. The instance is stuck, not failed. It resumes by itself once the code is fixed."
        )
        self.used, self.location, self.replacement = used, location, replacement


class NonDeterminismError(DurableError):
    """The orchestrator's code made another decision than its history holds at that place.

    expected, actual: the event in the history, and the decision of the code, as a readable line each; '' for none.
    expected_at, actual_at: ``file:line`` of each; '' where it is not known.
    task_id: the first task that differs; None if no single task does.
    cause: the likely cause. comparison: lines that show history and code side by side around that place.
    """

    def __init__(
        self,
        *,
        instance_id: str,
        orchestrator: str,
        task_id: int | None,
        expected: str,
        actual: str,
        expected_at: str = "",
        actual_at: str = "",
        cause: str = "",
        comparison: Sequence[str] = (),
    ) -> None:
        self.instance_id, self.orchestrator, self.task_id = instance_id, orchestrator, task_id
        self.expected, self.actual = expected, actual
        self.expected_at, self.actual_at, self.cause = expected_at, actual_at, cause
        self.comparison = tuple(comparison)
        super().__init__(self._text())

    def with_cause(self, cause: str) -> NonDeterminismError:
        """A copy of this error with one more likely cause, named first, such as a clock call found in the code."""
        return NonDeterminismError(
            instance_id=self.instance_id,
            orchestrator=self.orchestrator,
            task_id=self.task_id,
            expected=self.expected,
            actual=self.actual,
            expected_at=self.expected_at,
            actual_at=self.actual_at,
            cause=f"{cause}; or {self.cause}" if self.cause else cause,
            comparison=self.comparison,
        )

    def _text(self) -> str:
        where = f" at task {self.task_id}" if self.task_id is not None else ""
        lines = [
            f"orchestrator '{self.orchestrator}' no longer matches the history of instance '{self.instance_id}'{where}",
            *self.comparison,
        ]
        if self.cause:
            lines.append(f"likely cause: {self.cause}")
        lines.append(
            "what to do: restore the old code for the instances that run, and make the change in a new version, "
            '@orchestrator(version="..."), or behind if ctx.patched("..."):. The instance is stuck, not failed. It '
            "resumes by itself once the code matches its history."
        )
        return "\n".join(lines)


class NewerFormatError(DurableError):
    """A row, event or message was written by a newer version of durable_core; a host of that version can read it."""


class HistoryFileError(DurableError):
    """The file of an exported history, ``path``, cannot be read. The text says what is wrong with it, and where."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(f"{path} {problem}; export it again with 'durable_core history export'")
        self.path = str(path)


class CapabilityError(DurableError):
    """A signed URL is forged or expired; with ``gone``, it is already used, or its execution no longer exists."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class StorageError(DurableError):
    """Base of the errors that the storage ports raise. An exception of an SDK is kept as the ``__cause__``."""


class DamagedRowError(StorageError):
    """A row lacks properties that every version writes, or has values that no version writes; no host can read it."""


class UnusableStoreError(StorageError):
    """The embedded store's file is damaged, not a store, or lacks permissions. The text says what to do."""


class StorageUnavailableError(StorageError):
    """Transient: the storage throttled (429), failed (5xx), timed out or reset the request. A write may be done."""


class RowExistsError(StorageError):
    """The key of an inserted row is taken."""


class RowNotFoundError(StorageError):
    """The row, or its table, does not exist."""


class PreconditionFailedError(StorageError):
    """The ETag given is outdated: another writer has changed the row since it was read."""


class LeaseLostError(StorageError):
    """The message was deleted, or another receiver has leased it since."""


class LimitExceededError(StorageError):
    """Azure would refuse this operation for a size, a count, or a character in a key."""


class QueueNotFoundError(StorageError):
    """The queue does not exist."""


class TaskFailedError(DurableError):
    """Raised into an orchestrator at the ``yield`` of a task that failed.

    ``failure`` says what happened, with its chain of causes; ``task_id`` and ``name`` say which task.
    """

    def __init__(self, message: str, failure: FailureDetails, *, task_id: int = -1, name: str = "") -> None:
        super().__init__(message)
        self.failure, self.task_id, self.name = failure, task_id, name

    def is_caused_by(self, kind: type[BaseException] | str) -> bool:
        """Whether the failure, or one in its chain of causes, has this exception type or derives from it."""
        return self.failure.is_caused_by(kind)


class ActivityFailedError(TaskFailedError):
    """An activity failed, and its retries are used up."""


class StepFailedError(TaskFailedError):
    """A step failed, of an orchestrator (``ctx.run``) or of a journaled activity, and its retries are used up."""


class SubOrchestrationFailedError(TaskFailedError):
    """A sub-orchestration failed or was terminated."""


class EntityOperationFailedError(TaskFailedError):
    """An operation of an entity failed. ``name`` is the entity and the operation."""


class BranchFailedError(TaskFailedError):
    """A branch ended with an exception of its own code; ``__cause__`` is that exception.

    Only ``gather`` with ``all_settled`` has it, as a result. A wait for a branch raises the exception itself.
    """


class MapFailedError(TaskFailedError):
    """More items of a ``ctx.map`` failed than its policy allows, or too few can still succeed.

    ``result`` has what became of the items until then; ``failure`` is that of the item which decided.
    """

    def __init__(
        self, message: str, failure: FailureDetails, result: MapResult[Any], *, task_id: int = -1, name: str = ""
    ) -> None:
        super().__init__(message, failure, task_id=task_id, name=name)
        self.result = result


class TaskTimeoutError(TaskFailedError):
    """A task did not end in its time."""


class TaskCancelledError(TaskFailedError):
    """A task was cancelled before it ended."""


class JournalError(NonRetriableError):
    """A journaled activity cannot take a step: its code does not come to the steps that its journal has, or the step is
    called in a way that no journal can record. No retry policy starts another attempt."""


class StreamError(DurableError):
    """An activity cannot write to a stream: it belongs to another call, has ended or is full, or the result of the
    attempt is no longer needed."""


class CodeHangsError(DurableError):
    """User code blocked the event loop for longer than ``DURABLE_CODE_LIMIT``, and was interrupted.

    what: the function or the object that the code belongs to. line: the ``file:line`` that ran. seconds: the limit.
    """

    def __init__(self, what: str, line: str, seconds: float) -> None:
        super().__init__(
            f"{what} blocked the event loop at {line} for {seconds:g} s (DURABLE_CODE_LIMIT), and is interrupted; end "
            "the loop there, or move the work to an activity that is a plain function, which runs in a thread of its "
            "own"
        )
        self.what, self.line, self.seconds = what, line, seconds


class CompensationError(DurableError):
    """Some compensations of a saga failed; all the others were run.

    ``failures`` lists the name and error of each failed compensation, in the order in which they ran. The
    ``__cause__`` is the error that made the saga compensate.
    """

    def __init__(self, failures: Sequence[tuple[str, BaseException]]) -> None:
        listed = "; ".join(f"'{name}': {error}" for name, error in failures)
        what = "compensation" if len(failures) == 1 else "compensations"
        super().__init__(f"{len(failures)} {what} of a saga failed and must be done by hand: {listed}")
        self.failures = tuple(failures)


class HttpCallError(DurableError):
    """A durable HTTP call got no answer, or, with a retry policy, only refusals (429 or 5xx).

    ``status_code`` is the status of the last refusal; None if there was no answer.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
