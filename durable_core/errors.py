"""Every error durable_core raises on purpose, in one tree.

    DurableError
    ├── ConfigurationError            a setting, or the app's own set-up, is wrong
    │   └── RegistrationError         an orchestrator or activity cannot be registered
    ├── SourceError                   a source file to be linted is not there, or is no Python
    ├── InvalidInputError             what a caller sent is refused; .problems lists each field
    │   ├── InvalidInstanceIdError
    │   └── UnknownOrchestratorError  no orchestrator of that name; .known lists those that exist
    ├── UnknownActivityError          this host has no activity of that name
    ├── InstanceNotFoundError
    ├── InstanceAlreadyExistsError
    ├── InstanceCompletedError        the instance has ended and takes no more requests
    ├── ExecutionGoneError            the id stands for another execution by now: it was purged and started again
    ├── OrchestrationFailedError      the instance whose result a test asks for did not complete; .failure says why
    ├── InstanceWaitsError            nothing is left to happen that would let the instance end
    ├── InstanceStuckError            the instance cannot go on; says why
    ├── CrashTestError                a crash changes what comes out; .report lists where
    ├── UnknownQueryError             the orchestrator answers no query of that name; .known lists those it does
    ├── QueryFailedError              the orchestrator's query handler raised
    ├── SerializationError            a value cannot be written as, or read from, JSON
    ├── PayloadTooLargeError
    ├── CodecError                    stored data does not decode: another key, or no codec given
    ├── NonRetriableError             for activities to raise: a failure that no retry can mend
    ├── OrchestratorCodeError         an orchestrator did what no orchestrator may; says where
    ├── DeterminismError              an orchestrator used a file, a clock, chance or the like; says where
    ├── NonDeterminismError           the code and its history disagree; says where and why
    ├── NewerFormatError              written by a newer version of durable_core
    ├── HistoryFileError              the file of an exported history is not there, or is none
    ├── CapabilityError               a signed URL is forged, expired or used
    ├── StorageError
    │   ├── DamagedRowError           a row lacks what every version writes: it was changed by hand, or torn
    │   ├── UnusableStoreError        the embedded store's file is damaged, no store, or not to be read
    │   ├── StorageUnavailableError   transient: throttled, timed out, reset; try again
    │   ├── RowExistsError            an insert found its key taken
    │   ├── RowNotFoundError
    │   ├── PreconditionFailedError   the ETag is another one: somebody wrote in between
    │   ├── LeaseLostError            the message belongs to another receiver by now
    │   ├── LimitExceededError        Azure would refuse this size, count or character
    │   └── QueueNotFoundError
    ├── CodeHangsError                code on the event loop did not give it back in time; says where
    ├── CompensationError             what a saga did could not all be undone; .failures says what and why
    ├── HttpCallError                 a durable HTTP call got no answer, or, with a retry policy, only refusals
    └── TaskFailedError               raised into an orchestrator by a task that failed
        ├── ActivityFailedError
        ├── StepFailedError
        ├── SubOrchestrationFailedError
        ├── TaskTimeoutError
        └── TaskCancelledError

Each carries fields, says what to do next, and hides no SDK exception behind a bare text:
the original is its ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import FailureDetails, OrchestrationStatus


class DurableError(Exception):
    """Root of every error that durable_core raises on purpose."""


class ConfigurationError(DurableError):
    """A setting or the set-up of the app is wrong; the text says which and what to do."""


class RegistrationError(ConfigurationError):
    """An orchestrator or activity cannot be registered as it is written."""


class SourceError(DurableError):
    """A source file to be linted is not there, cannot be read, or is no Python; the text says which and why."""


class InvalidInputError(DurableError):
    """What a caller sent is refused. ``problems`` holds one line per field."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message if not problems else message + ": " + "; ".join(problems))
        self.problems = tuple(problems)


class InvalidInstanceIdError(InvalidInputError):
    """An instance id that Azure Tables could not hold as a key."""


class UnknownOrchestratorError(InvalidInputError):
    """No orchestrator of that name, or that version of it, is registered here. ``versions``: those that are."""

    def __init__(
        self, name: str, known: Sequence[str], version: str | None = None, versions: Sequence[str] = ()
    ) -> None:
        wanted = f"'{name}'" if version is None else f"'{name}' version '{version}'"
        listed = ", ".join(sorted(known)) or "none"
        if versions:
            listed = f"'{name}' in " + ", ".join(f"version '{v}'" if v else "no version" for v in versions)
        super().__init__(f"there is no orchestrator {wanted}; registered: {listed}")
        self.name, self.known, self.version = name, tuple(sorted(known)), version


class UnknownActivityError(DurableError):
    """This host has no activity of that name; another host may have it."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"no activity '{name}' is registered on this host; registered: {listed}")
        self.name, self.known = name, tuple(sorted(known))


class InstanceError(DurableError):
    """Base of the errors about one instance."""

    def __init__(self, instance_id: str, message: str) -> None:
        super().__init__(message)
        self.instance_id = instance_id


class InstanceNotFoundError(InstanceError):
    def __init__(self, instance_id: str) -> None:
        super().__init__(instance_id, f"there is no instance '{instance_id}' in this task hub")


class InstanceAlreadyExistsError(InstanceError):
    def __init__(self, instance_id: str, status: str) -> None:
        super().__init__(
            instance_id,
            f"instance '{instance_id}' exists already and is {status}; use another id, or purge it first",
        )
        self.status = status


class InstanceCompletedError(InstanceError):
    def __init__(self, instance_id: str, status: str) -> None:
        super().__init__(instance_id, f"instance '{instance_id}' has ended ({status}) and takes no more requests")
        self.status = status


class ExecutionGoneError(InstanceError):
    """The request was for one execution, and the id stands for another by now: it was ended and started again."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(instance_id, f"instance '{instance_id}' has been started again; this was for an earlier one")


class OrchestrationFailedError(InstanceError):
    """What a test gets in place of a result: the instance ended as Failed, Terminated or Canceled.

    ``failure`` is None where nothing failed; the text holds its stack trace, and those of its causes.
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
    """Nothing is left to happen that would let the instance end; the text says what it waits for, and where.

    Or it continues as new again and again while no time passes.
    """


class InstanceStuckError(InstanceError):
    """The instance cannot go on, and has not failed; ``reason`` says why."""

    def __init__(self, instance_id: str, reason: str) -> None:
        super().__init__(instance_id, f"instance '{instance_id}' is stuck: {reason}")
        self.reason = reason


class CrashTestError(DurableError, AssertionError):
    """A crash changes what comes out of a scenario. ``report`` is the ``CrashReport``, which the text shows."""

    def __init__(self, report: object) -> None:
        super().__init__(str(report))
        self.report = report


class UnknownQueryError(InstanceError):
    """The orchestrator has registered no handler for this query (yet)."""

    def __init__(self, instance_id: str, query: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(instance_id, f"instance '{instance_id}' answers no query '{query}'; it answers: {listed}")
        self.query, self.known = query, tuple(sorted(known))


class QueryFailedError(InstanceError):
    """A query handler raised; its error is the ``__cause__``. The instance itself is not touched."""

    def __init__(self, instance_id: str, query: str, error: BaseException) -> None:
        super().__init__(
            instance_id, f"query '{query}' of instance '{instance_id}' failed: {type(error).__name__}: {error}"
        )
        self.query = query


class SerializationError(DurableError):
    """A value cannot be written as JSON, or JSON does not fit the type asked for."""


class PayloadTooLargeError(DurableError):
    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} is {size:,} bytes of JSON, over the limit of {limit:,}; "
            "store the data elsewhere (a blob, a database) and pass its address"
        )
        self.what, self.size, self.limit = what, size, limit


class CodecError(DurableError):
    """Stored data cannot be decoded by this app's payload codec: it has another key, or none at all.

    Nothing is lost: the data stays as it is, and instances that need it go on when the right codec is back.
    ``instance_id`` and ``execution_id`` say whose it is, where that is known.
    """

    def __init__(self, message: str, instance_id: str = "", execution_id: str = "") -> None:
        super().__init__(message)
        self.instance_id, self.execution_id = instance_id, execution_id


class NonRetriableError(DurableError):
    """Raise it, or a class derived from it, in an activity or orchestrator: its failure is final.

    No retry policy tries again. ``raise NonRetriableError("card refused") from error`` keeps the cause.
    """


class OrchestratorCodeError(DurableError):
    """An orchestrator did what no orchestrator may, such as yielding something that is no task."""

    def __init__(self, message: str, location: str = "") -> None:
        super().__init__(f"{message} (at {location})" if location else message)
        self.location = location


class DeterminismError(DurableError):
    """An orchestrator used what may be otherwise at its next replay: a file, the network, a clock, chance.

    ``used`` names it, ``location`` is the ``file:line`` of the user's code ('' if there is none), ``replacement`` what
    to do instead. A bug of the code and not of the instance, which is parked until the code is right: catching it
    in the orchestrator does not help.
    """

    def __init__(self, *, used: str, location: str, replacement: str) -> None:
        super().__init__(
            f"orchestrator code used {used}{f' at {location}' if location else ''}, which may come out otherwise when "
            f"it is replayed: {replacement}. The instance is parked as stuck, not failed: it goes on by itself when "
            "the code is right."
        )
        self.used, self.location, self.replacement = used, location, replacement


class NonDeterminismError(DurableError):
    """The orchestrator's code did something else than its history holds.

    expected, actual: what history holds and what the code did, a readable line each; '' for nothing.
    expected_at, actual_at: ``file:line`` where known. task_id: the first task that differs.
    cause: what is likely behind it. comparison: lines that show both sides about that place, next to each other.
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
        """The same error with one more likely cause, named first: what somebody who knows the code has found in it."""
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
        told = [
            f"orchestrator '{self.orchestrator}' no longer matches the history of instance '{self.instance_id}'{where}",
            *self.comparison,
        ]
        if self.cause:
            told.append(f"likely cause: {self.cause}")
        told.append(
            "what to do: put the code back as it was for the instances that run, and bring the change in as a new "
            'version, @orchestrator(version="..."), or behind if ctx.patched("..."):. The instance is parked as stuck, '
            "not failed: it goes on by itself when the code fits."
        )
        return "\n".join(told)


class NewerFormatError(DurableError):
    """A row, event or message was written by a newer durable_core; a host of that version can read it."""


class HistoryFileError(DurableError):
    """The file of an exported history cannot be read; the text says where it is wrong. ``path`` is the file's."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(f"{path} {problem}; make it anew with 'durable_core history export'")
        self.path = str(path)


class CapabilityError(DurableError):
    """A signed URL that is forged, expired, or has been used."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class StorageError(DurableError):
    """Base of what the storage ports raise. Adapters never let an SDK's exception through."""


class DamagedRowError(StorageError):
    """A row lacks properties that every version writes, or holds values that none writes; no host can read it."""


class UnusableStoreError(StorageError):
    """The embedded store's file is damaged, is no store, or may not be read and written. The text says what to do."""


class StorageUnavailableError(StorageError):
    """Transient: throttled (429), failed inside (5xx), timed out or reset. Whether a write was done is unknown."""


class RowExistsError(StorageError):
    """An insert found its key taken."""


class RowNotFoundError(StorageError):
    """The row, or its table, is not there."""


class PreconditionFailedError(StorageError):
    """The ETag given is not the row's: somebody wrote in between."""


class LeaseLostError(StorageError):
    """The message was deleted, or belongs to another receiver by now."""


class LimitExceededError(StorageError):
    """Azure would refuse this: a size, a count, or a character in a key."""


class QueueNotFoundError(StorageError):
    """The queue is not there."""


class TaskFailedError(DurableError):
    """Raised into an orchestrator at the ``yield`` of a task that failed.

    ``failure`` says what happened, with its chain of causes; ``task_id`` and ``name`` say which task.
    """

    def __init__(self, message: str, failure: FailureDetails, *, task_id: int = -1, name: str = "") -> None:
        super().__init__(message)
        self.failure, self.task_id, self.name = failure, task_id, name

    def is_caused_by(self, kind: type[BaseException] | str) -> bool:
        """Whether the failure, or one in its chain of causes, is of this exception type (or a subclass of it)."""
        return self.failure.is_caused_by(kind)


class ActivityFailedError(TaskFailedError):
    """An activity failed, and its retries are used up."""


class StepFailedError(TaskFailedError):
    """An inline step (``ctx.run``) failed, and its retries are used up."""


class SubOrchestrationFailedError(TaskFailedError):
    """A sub-orchestration failed or was terminated."""


class TaskTimeoutError(TaskFailedError):
    """A task did not end in the time given to it."""


class TaskCancelledError(TaskFailedError):
    """A task was cancelled before it ended."""


class CodeHangsError(DurableError):
    """Code that runs on the event loop did not give it back within ``DURABLE_CODE_LIMIT``, and was interrupted.

    what: whose code it is. line: the ``file:line`` that ran. seconds: the limit.
    """

    def __init__(self, what: str, line: str, seconds: float) -> None:
        super().__init__(
            f"{what} ran at {line} without giving anybody else a turn for {seconds:g} s (DURABLE_CODE_LIMIT), and is "
            "interrupted; end the loop there, or move the work to an activity that is a plain function, which has a "
            "thread of its own"
        )
        self.what, self.line, self.seconds = what, line, seconds


class CompensationError(DurableError):
    """Some compensations of a saga failed; all the others were run.

    ``failures``: the failed ones' names and errors, in the order in which they ran. Its cause is the error that made
    the saga compensate.
    """

    def __init__(self, failures: Sequence[tuple[str, BaseException]]) -> None:
        told = "; ".join(f"'{name}': {error}" for name, error in failures)
        what = "compensation" if len(failures) == 1 else "compensations"
        super().__init__(f"{len(failures)} {what} of a saga failed and must be done by hand: {told}")
        self.failures = tuple(failures)


class HttpCallError(DurableError):
    """A durable HTTP call got no answer, or, when it is to be retried, only a refusal (429 or 5xx).

    ``status_code`` is that of the refusal; None: there was no answer.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
