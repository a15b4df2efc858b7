"""Pattern: fan-out/fan-in. Many activities at once, wherever there is a free worker; then one result of all of them.

A task is scheduled when it is called, so calling all of them before waiting is what makes them parallel.
"""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, Field

from activities.text import count_words, list_text_files
from durable_core import Orchestration, OrchestrationContext, orchestrator

TOP = 10


class WordCountInput(BaseModel):
    folder: str = Field(min_length=1)
    chunk_files: int = Field(default=10, ge=1)


class WordCountResult(BaseModel):
    files: int
    words: int
    top: list[tuple[str, int]]


@orchestrator
def word_count(ctx: OrchestrationContext, input: WordCountInput) -> Orchestration[WordCountResult]:
    files = yield from ctx.call_activity(list_text_files, input.folder)
    chunks = [files[at : at + input.chunk_files] for at in range(0, len(files), input.chunk_files)]
    ctx.set_custom_status({"files": len(files), "chunks": len(chunks)})

    counts = yield from ctx.task_all([ctx.call_activity(count_words, chunk) for chunk in chunks])

    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    ranking = sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))
    return WordCountResult(files=len(files), words=total.total(), top=ranking[:TOP])
