"""pdb for the user's code that the engine runs: the engine's frames are skipped, and not shown."""

from __future__ import annotations

import bdb
import pdb
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

from ..signatures import function_in
from ..source_location import is_library
from ..user_code import Interruption

_PACKAGE = __name__.partition(".")[0]
_ENGINE = [f"{_PACKAGE}.{part}.*" for part in ("engine", "replay", "cli")]
_LONGEST = 200  # characters of a value in a line


class QuitDebuggerError(Interruption):
    """The user has typed ``q``. A BaseException, so that the orchestrator does not catch it as a failure."""


class UserPdb(pdb.Pdb):
    """A pdb that stops at the lines of a function and of those that it calls, without the engine's frames.

    built_in: the function is one of this package.
    """

    def __init__(self, fn: Callable[..., Any], *, built_in: bool = False) -> None:
        super().__init__(skip=_ENGINE if built_in else [f"{_PACKAGE}.*"], nosigint=True)
        self._codes: set[CodeType] = {function_in(fn).__code__}

    def enter(self, branch: str, code: CodeType | None) -> str:
        """The code of a branch runs: the prompt names it. Returns the prompt of before, for ``leave``."""
        if code is not None:
            self._codes.add(code)
        was, self.prompt = self.prompt, f"(Pdb, {branch}) "
        return was

    def leave(self, prompt: str) -> None:
        self.prompt = prompt

    def trace_dispatch(self, frame: FrameType, event: str, arg: Any) -> Any:
        try:
            return super().trace_dispatch(frame, event, arg)
        except bdb.BdbQuit:
            raise QuitDebuggerError from None

    def stop_here(self, frame: FrameType) -> bool:
        return super().stop_here(frame) and not self._is_called_by_engine(frame)

    def _is_called_by_engine(self, frame: FrameType) -> bool:
        """Whether this is code of a library that the engine has called, and not the user's code."""
        at: FrameType | None = frame
        while at is not None:
            if self._is_hidden(at):
                return True
            filename = at.f_code.co_filename
            if not filename.startswith("<") and not is_library(filename):
                return False
            at = at.f_back
        return False

    def user_call(self, frame: FrameType, argument_list: Any) -> None:
        """Do not stop at a call: at each event it would be that of the orchestrator. Its first line follows."""

    def user_return(self, frame: FrameType, return_value: Any) -> None:
        """Do not stop at a ``yield``, which is a return for pdb."""
        if frame.f_code.co_flags & bdb.GENERATOR_AND_COROUTINE_FLAGS == 0:
            super().user_return(frame, return_value)

    def user_exception(self, frame: FrameType, exc_info: Any) -> None:
        """Do not stop in the engine, where the end of a generator is an exception."""
        if not self._is_hidden(frame):
            super().user_exception(frame, exc_info)

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        stack, at = super().get_stack(f, t)
        first = next((n for n, (frame, _) in enumerate(stack) if frame.f_code in self._codes), 0)
        kept = [n for n in range(first, len(stack)) if not self._is_hidden(stack[n][0]) or n == at]
        return [stack[n] for n in kept], kept.index(at)

    def _is_hidden(self, frame: FrameType) -> bool:
        return bool(self.is_skipped_module(frame.f_globals.get("__name__", "")))


def shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  an error of a value's repr must not stop the debugger
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
