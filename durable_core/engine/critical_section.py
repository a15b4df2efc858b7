"""Critical sections: locked entities, from the request of ``ctx.lock`` to the release.

There is one section at a time, so that sections cannot wait for each other inside one orchestration; across
orchestrations the sorted order of the locks excludes that. Every end of an orchestration releases.

A section belongs to the code that has asked for it: the orchestrator's own, or a branch. Branches that are started in
the section are in it, too. Other branches are outside. Their ``ctx.lock``, and their calls and signals of entities that
the section has locked, are *deferred*: they are made, in their order, when the section is over. Entities let a holder
pass by its execution (rule N27), so the engine must keep the branches apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..entities import EntityId
from ..errors import OrchestratorCodeError, TaskCancelledError
from ..lazy_dataclass import dataclass
from .events import EntityCalled, LockReleased, LockRequested
from .tasks import WithdrawnTask, fail, own_error
from .user_frames import caller, on_behalf_of

if TYPE_CHECKING:
    from .state import ExecutionState


@dataclass(slots=True)
class OpenSection:
    """The section that an orchestration is in, or has asked for. ``entities``: in the order in which they are locked.
    ``asked``: the number of the commit of this generation with the request. ``holder``: the branch that has asked; None
    for the orchestrator's own code."""

    task_id: int
    entities: tuple[str, ...]
    asked: int
    holder: object = None
    is_granted: bool = False


@dataclass(slots=True, eq=False)
class Deferred:
    """A call that waits for the end of another branch's section. ``is_signal``: no code waits for it, so it is made at
    the end of the orchestration, too."""

    entities: tuple[str, ...]
    line: str
    make: Callable[[], None]
    is_lock: bool = False
    is_signal: bool = False


def section_of_running_code(decisions: ExecutionState) -> OpenSection | None:
    """The section in which the code that runs now is; None outside."""
    section, branches = decisions.section, decisions.branches
    if section is None or branches is None or branches.running is section.holder:
        return section
    return section if branches.running is not None and branches.running.section == section.task_id else None


def must_wait(decisions: ExecutionState, entities: tuple[str, ...]) -> bool:
    """Whether a call or signal of entities must be deferred, because another branch has locked one of them."""
    branches = decisions.branches
    if branches is None or not decisions.is_running or section_of_running_code(decisions) is not None:
        return False
    taken = set[str]() if decisions.section is None else set(decisions.section.entities)
    for earlier in branches.deferred:
        taken.update(earlier.entities)
    return not taken.isdisjoint(entities)


def defer(decisions: ExecutionState, deferred: Deferred) -> None:
    """Make a call when the section is over."""
    decisions.branches_to_start().deferred.append(deferred)


def _make_deferred(decisions: ExecutionState) -> None:
    """The section is over: make the calls that waited for that, up to the next section and what waits for its end."""
    branches = decisions.branches
    if branches is None or not branches.deferred:
        return
    waiting, branches.deferred = branches.deferred, []
    taken: set[str] = set()
    for call in waiting:
        if (call.is_lock and decisions.section is not None) or not taken.isdisjoint(call.entities):
            branches.deferred.append(call)
            taken.update(call.entities)
            continue
        asked = on_behalf_of.set(call.line)
        try:
            call.make()
        finally:
            on_behalf_of.reset(asked)
        if call.is_lock:
            taken.update(call.entities)


class CriticalSection:
    """The entities that this orchestration has locked: ``with (yield from ctx.lock(a, b)):``. They are released at the
    end of the ``with`` block, by ``release``, or when the orchestration ends, in whatever way."""

    __durable_no_value__ = "a critical section cannot be stored; lock the entities again where they are needed"

    def __init__(self, entities: tuple[EntityId, ...], leave: Callable[[str], bool]) -> None:
        self.entities = entities
        self._leave = leave

    def __enter__(self) -> CriticalSection:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        line = caller()
        if self._leave(line) and kind is None:
            raise _open_calls(line)

    def release(self) -> None:
        """Release the locks before the end of the block. A second call does nothing.

        OrchestratorCodeError if an operation of the section was called and not waited for; the locks are released.
        """
        line = caller()
        if self._leave(line):
            raise _open_calls(line)


class LockTask(WithdrawnTask[CriticalSection]):
    """Waits until all entities are locked."""

    __slots__ = ("_withdraw",)

    def __init__(self, owner: object, call: LockRequested, withdraw: Callable[[str], object]) -> None:
        super().__init__(owner, call)
        self._withdraw = withdraw

    def cancel(self) -> None:
        """Withdraw the request, if the locks are not granted yet: code that waits for it gets a TaskCancelledError."""
        self._seen = True
        if not self._done:
            self.withdraw(caller())

    def withdraw(self, line: str) -> None:
        """``cancel`` for the engine, of a request that is not granted."""
        self._withdraw(line)
        fail(self, own_error(TaskCancelledError, "the request for the locks was cancelled"))


def request_locks(decisions: ExecutionState, ids: tuple[EntityId, ...]) -> LockTask:
    """Record a request for these entities, sorted. OrchestratorCodeError inside a section, and without entities."""
    if not ids:
        raise OrchestratorCodeError("ctx.lock takes the entities to lock, at least one", caller())
    section = section_of_running_code(decisions)
    if section is not None:
        raise OrchestratorCodeError(
            "ctx.lock inside a critical section: sections cannot be nested; lock all entities with one call, or "
            f"release {_listed(section)} first",
            caller(),
        )
    chain, line = in_lock_order(ids), caller()
    if decisions.section is not None and decisions.is_running:
        return _lock_later(decisions, chain, line)
    event = _lock_requested(decisions, chain, line)
    task = LockTask(decisions, event, lambda where: leave_section(decisions, event.task_id, where))
    holder = None if decisions.branches is None else decisions.branches.running
    _open_section(decisions, task, event, holder)
    return task


def _lock_requested(decisions: ExecutionState, chain: tuple[str, ...], line: str) -> LockRequested:
    return LockRequested(decisions.next_id(), list(chain), line, *decisions.contact(chain[0]))


def _open_section(decisions: ExecutionState, task: LockTask, event: LockRequested, holder: object) -> None:
    decisions.call(task, event, None)
    if decisions.is_running:
        decisions.section = OpenSection(event.task_id, tuple(event.entities), len(decisions.history), holder)


def _lock_later(decisions: ExecutionState, chain: tuple[str, ...], line: str) -> LockTask:
    """A request that is made when the section of another branch is over."""
    branches = decisions.branches_to_start()
    holder = branches.running

    def make() -> None:
        task.call = _lock_requested(decisions, chain, line)
        _open_section(decisions, task, task.call, holder)

    def withdraw(where: str) -> None:
        if later in branches.deferred:
            branches.deferred.remove(later)
        else:
            leave_section(decisions, cast("LockRequested", task.call).task_id, where)

    later = Deferred(chain, line, make, is_lock=True)
    task = LockTask(decisions, LockRequested(0, list(chain), line), withdraw)
    branches.deferred.append(later)
    return task


def in_lock_order(ids: tuple[EntityId, ...]) -> tuple[str, ...]:
    """Each entity once, in the one order in which all orchestrations lock (rule N25)."""
    return tuple(sorted({str(entity_id) for entity_id in ids}))


def granted(decisions: ExecutionState, task_id: int) -> CriticalSection:
    """The section whose locks were granted."""
    section = decisions.section
    assert section is not None, "a request that was withdrawn is not pending"
    section.is_granted = True
    ids = tuple(EntityId.parse(entity) for entity in section.entities)
    return CriticalSection(ids, lambda line: leave_section(decisions, task_id, line))


def leave_section(decisions: ExecutionState, task_id: int, line: str) -> bool:
    """Record that this section, or the request for it, is over. Whether operations called in it are still open."""
    section = decisions.section
    if section is None or section.task_id != task_id or not decisions.is_running:
        return False
    decisions.section = None
    decisions.pending.pop(task_id, None)
    decisions.open.pop(task_id, None)
    chain = section.entities
    decisions.record(LockReleased(task_id, list(chain), line, *decisions.contact(chain[0])))
    _make_deferred(decisions)
    return any(_is_called_in(pending.event, task_id) for pending in decisions.pending.values())


def release_at_the_end(decisions: ExecutionState) -> None:
    """Record the release of the locks of an orchestration that ends (rule N30), and signals that waited for it."""
    if decisions.section is not None:
        if decisions.branches is not None:
            decisions.branches.deferred = [call for call in decisions.branches.deferred if call.is_signal]
        leave_section(decisions, decisions.section.task_id, "")


def check_call(decisions: ExecutionState, entity_id: EntityId) -> int:
    """The section in which a call of this entity is made; 0 for none. OrchestratorCodeError if it must not be made."""
    section = section_of_running_code(decisions)
    if section is None:
        return 0
    if str(entity_id) not in section.entities:
        raise OrchestratorCodeError(
            f"entity {entity_id} is called inside a critical section that has not locked it: it could wait for this "
            f"orchestration, which holds {_listed(section)}; add it to ctx.lock(...)",
            caller(),
        )
    if not section.is_granted:
        raise OrchestratorCodeError(
            f"entity {entity_id} is called before its lock is granted: wait for it with "
            "'with (yield from ctx.lock(...)):'",
            caller(),
        )
    return section.task_id


def check_signal(decisions: ExecutionState, entity_id: EntityId) -> None:
    """OrchestratorCodeError for a signal to an entity that this orchestration has locked."""
    section = section_of_running_code(decisions)
    if section is not None and str(entity_id) in section.entities:
        raise OrchestratorCodeError(
            f"entity {entity_id} is signaled inside the critical section that has locked it; call it with "
            "ctx.call_entity, or signal it after the section",
            caller(),
        )


def check_child(decisions: ExecutionState, name: str) -> None:
    """OrchestratorCodeError for a sub-orchestration that is called inside a critical section."""
    section = section_of_running_code(decisions)
    if section is not None:
        raise OrchestratorCodeError(
            f"sub-orchestration '{name}' is called inside a critical section: it could wait for "
            f"{_listed(section)}, which this orchestration has locked; call it before or after the section",
            caller(),
        )


def _listed(section: OpenSection) -> str:
    return ", ".join(section.entities)


def _is_called_in(event: Any, task_id: int) -> bool:
    return isinstance(event, EntityCalled) and event.section == task_id


def _open_calls(line: str) -> OrchestratorCodeError:
    return OrchestratorCodeError(
        "the critical section ends while operations that were called in it are still open: wait for them inside of it",
        line,
    )
