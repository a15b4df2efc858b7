"""Patches: the changes inside one version of an orchestrator that this generation has taken (``ctx.patched``).

The rules are those of Temporal:

* In a replay, a patch is taken if, and only if, the history holds its mark. Otherwise it is taken, and its mark is
  recorded. So an instance that passed the place before the change keeps the old code, and an instance that reaches it
  later takes the new code.
* The first answer holds for the whole generation, so that a loop does not change between two iterations.
* The decisions after a mark are those of the new code. If a replay meets a mark for which the code does not ask, the
  code is older than the change, or the call was removed too soon: the replay fails, even if the decisions are equal so
  far, because later decisions would be wrong. Only a mark of ``deprecate_patch`` needs no call.

Marks are looked up in the whole history before it is replayed, so that a call that was moved up finds its mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import OrchestratorCodeError
from .code_scope import refuse_outside
from .events import PatchMarked, Segment
from .no_entries import NO_ENTRIES
from .user_frames import caller

MAX_PATCH_ID = 256
_NO_MARKS: frozenset[str] = frozenset()


class Patches:
    """The patches of one generation.

    in_history: whether the code that runs is replayed from the history. Differs from ``is_replaying`` in a preview,
        which logs nothing either, but takes the patches that the later turn will take.
    """

    __slots__ = ("_answers", "_marked", "in_history")

    def __init__(self) -> None:
        self._marked = _NO_MARKS
        self._answers: dict[str, bool] = NO_ENTRIES
        self.in_history = False

    def look_ahead(self, segments: Sequence[Segment]) -> None:
        """Collect the marks of segments that are about to be replayed."""
        marked = {event.patch_id for segment in segments for event in segment.events if type(event) is PatchMarked}
        if marked:
            self._marked |= marked

    def ask(self, patch_id: str, *, is_running: bool, deprecated: bool = False) -> tuple[bool, PatchMarked | None]:
        """Whether the patch is taken, and the mark to be recorded, if any. OrchestratorCodeError."""
        refuse_outside()
        if not isinstance(patch_id, str) or not 0 < len(patch_id) <= MAX_PATCH_ID:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OrchestratorCodeError(
                f"a patch id is a text of 1 to {MAX_PATCH_ID} characters, not {patch_id!r}: "
                "ctx.patched('send-receipt')",
                caller(),
            )
        known = self._answers.get(patch_id)
        if known is not None or not is_running:  # while the generator is closed, no mark is recorded
            return known is not False, None
        self._answers = self._answers or {}
        taken = self._answers[patch_id] = not self.in_history or patch_id in self._marked
        if self.in_history:
            return taken, None
        return taken, PatchMarked(patch_id, caller(), deprecated)

    def unasked(self, marks: Iterable[PatchMarked]) -> PatchMarked | None:
        """The first of these marks for which the code has not asked; None if there is none."""
        return next((mark for mark in marks if not mark.deprecated and mark.patch_id not in self._answers), None)
