"""Which parcels of a mailbox may be applied now: the order of a sender, duplicates, and locks. Plain functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...hub.entities.keys import control_stream_of_life, stream_of_life
from ...hub.entities.operations import Operation, OperationKind
from ...hub.entities.row import Cursor, EntityRow, Lock
from ...hub.entities.store import StoredParcel

CURSORS_KEPT = 512  # in the row of an entity
SPILLED_AT_ONCE = 128  # cursors that leave the row together
YOUNG_SECONDS = 600.0  # for so long a sender may insert a parcel again without saying so


def is_applied(cursor: Cursor, parcel: StoredParcel) -> bool:
    """Whether the parcel is a duplicate of one that was applied (rule N3)."""
    return cursor.number >= parcel.number


def waits_for_previous(cursor: Cursor, parcel: StoredParcel) -> bool:
    """Whether an earlier parcel of the sender was not applied yet (rule N1)."""
    return parcel.previous > cursor.number


def is_next_of_its_stream(parcel: StoredParcel, mailbox: Iterable[StoredParcel]) -> bool:
    """Whether the mailbox has no earlier parcel of the same stream."""
    return not any(other.stream == parcel.stream and other.number < parcel.number for other in mailbox)


def may_pass(lock: Lock | None, stream: str, operations: Sequence[Operation]) -> bool:
    """Whether a parcel may be applied while the entity is locked (rule N26).

    The holder passes by its execution, not by the mark of its section (rule N27): what it sent before its request has
    no mark. Control of the section itself passes, too. A request for another section waits, the holder's too (N31).
    """
    if lock is None:
        return True
    if locks_anew(lock, operations):
        return False
    return is_of_holder(lock, stream) or any(_controls(lock, operation) for operation in operations)


def is_of_holder(lock: Lock, stream: str) -> bool:
    """Whether the execution that holds the lock has sent this (rule N27)."""
    return stream == lock.holder.execution_id


def _controls(lock: Lock, operation: Operation) -> bool:
    is_control = operation.kind in (OperationKind.LOCK, OperationKind.RELEASE)
    return is_control and operation.section == lock.section


def locks_anew(lock: Lock, operations: Iterable[Operation]) -> bool:
    """Whether a parcel requests a lock for another section than the one that holds it (rule N31).

    The release of an earlier section of the same orchestration travels along its chain, and may come after a request
    that the orchestration has sent here directly.
    """
    held = lock.section
    for operation in operations:
        if operation.kind is OperationKind.RELEASE and operation.section == held:
            held = ""
        elif operation.kind is OperationKind.LOCK:
            if held and operation.section != held:
                return True
            held = operation.section
    return False


def is_in_its_section(lock: Lock | None, operation: Operation) -> bool:
    """Whether a call that was made in a critical section finds it open. If not, the orchestration has left it."""
    return not operation.section or (lock is not None and lock.section == operation.section)


def is_request_for(lock: Lock | None, operation: Operation) -> bool:
    """Whether this is a request for the lock that the entity has granted (rule N17)."""
    return lock is not None and operation.kind is OperationKind.LOCK and operation.section == lock.section


def may_be_spilled(row: EntityRow, parcel: StoredParcel, now: float) -> bool:
    """Whether the cursor of a stream that the row does not know may be among those that have left it (rule N18)."""
    return row.has_spilled and (parcel.again or parcel.previous >= 0 or now < row.spilled_until)


def cursors_to_spill(cursors: Mapping[str, Cursor], in_mailbox: set[str], touched: set[str]) -> list[str]:
    """The streams whose cursors leave the row, the oldest first: none if there are few.

    in_mailbox: streams with a parcel in the mailbox, whose cursors stay (rule N20). touched: those of this batch.
    """
    if len(cursors) <= CURSORS_KEPT + SPILLED_AT_ONCE:
        return []
    old = sorted(cursors.keys() - in_mailbox - touched, key=lambda stream: (cursors[stream].at, stream))
    return old[: len(cursors) - CURSORS_KEPT]


def signal_stream(row: EntityRow) -> str:
    return stream_of_life(row.life)


def control_stream(row: EntityRow) -> str:
    """The stream of requests for locks and of releases: a lock must not hold them back (rule N28)."""
    return control_stream_of_life(row.life)
