"""Changes inside one version of an orchestrator: which of them this generation has taken.

Owns the answers to ``ctx.patched``, and nothing else of the engine's. The rules are Temporal's:

* Asked while history is replayed, a change is taken if, and only if, that history holds its mark; asked anew, it is
  taken, and marked. So what ran before the change goes on as before, and what comes to it later takes it.
* The first answer holds for the generation, so that a loop does not change its mind between two rounds.
* A mark says that the decisions behind it are those of the change. Code that meets one and does not ask for it is
  older than the change, or the call was taken out of it too soon: it must not go on, even where its decisions are
  the same so far, or its next ones would be wrong for ever. Only a mark of ``deprecate_patch`` may be met by nobody.

Marks are looked for in all of the history before it is replayed: a call that moved up still finds the mark that it left
further down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import OrchestratorCodeError
from .code_scope import refuse_outside
from .events import PatchMarked, Segment
from .user_frames import caller

MAX_PATCH_ID = 256


class Patches:
    """Marks of one generation.

    in_history: what runs is in history already. Not the same as ``is_replaying``: a preview is silent as well, and
    takes the changes that the real thing will take.
    """

    __slots__ = ("_answers", "_marked", "in_history")

    def __init__(self) -> None:
        self._marked: set[str] = set()
        self._answers: dict[str, bool] = {}
        self.in_history = False

    def look_ahead(self, segments: Sequence[Segment]) -> None:
        """These are about to be replayed."""
        self._marked.update(
            event.patch_id for segment in segments for event in segment.events if type(event) is PatchMarked
        )

    def ask(self, patch_id: str, *, is_running: bool, deprecated: bool = False) -> tuple[bool, PatchMarked | None]:
        """Whether the change is taken, and the mark to be recorded, if any. OrchestratorCodeError."""
        refuse_outside()
        if not isinstance(patch_id, str) or not 0 < len(patch_id) <= MAX_PATCH_ID:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OrchestratorCodeError(
                f"a patch is named by a text of 1 to {MAX_PATCH_ID} characters, not {patch_id!r}: "
                "ctx.patched('send-receipt')",
                caller(),
            )
        known = self._answers.get(patch_id)
        if known is not None or not is_running:  # while it is dropped, nothing comes of it
            return known is not False, None
        taken = self._answers[patch_id] = not self.in_history or patch_id in self._marked
        if self.in_history:
            return taken, None
        return taken, PatchMarked(patch_id, caller(), deprecated)

    def unasked(self, marks: Iterable[PatchMarked]) -> PatchMarked | None:
        """The first mark that the code should have asked for by now and has not."""
        return next((mark for mark in marks if not mark.deprecated and mark.patch_id not in self._answers), None)
