"""Causes of an instance that hosts have marked as stuck, and of code that does not fit the history."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...hub import stuck_reasons
from ...hub.times import iso
from ...models import JSON
from . import words
from .facts import Facts
from .finding import Finding, Rank

PATTERN_CHARS = 1000  # of a reason that are searched


class _Kind(NamedTuple):
    """A kind of reason. pattern: what a reason of this kind begins with. action: what makes the instance go on."""

    cause: str
    pattern: str
    action: str


_KINDS = (
    _Kind(
        "no-orchestrator",
        stuck_reasons.NO_ORCHESTRATOR,
        "Deploy a host with this orchestrator, in this version; the instance goes on by itself.",
    ),
    _Kind(
        "no-activity",
        stuck_reasons.NO_ACTIVITY,
        "Deploy a host with this activity, or give it back its old name; the instance goes on by itself.",
    ),
    _Kind(
        "other-build",
        stuck_reasons.OTHER_BUILD,
        "Wait for the end of the deployment; if no host has the build that committed last, restore the old code, and "
        "make the change in a new version or behind ctx.patched (docs/versioning.md).",
    ),
    _Kind("messages-fail", stuck_reasons.MESSAGES_FAIL, "Mend what the error names; the message comes again."),
    _Kind(
        "set-aside",
        f".*{stuck_reasons.SET_ASIDE}",
        "Mend what failed or ended the host (its log names it), then run `durable_core recover`.",
    ),
    _Kind(
        "code-hangs",
        f"{stuck_reasons.HANGS}.* hangs: ",
        "Mend the code at that line and deploy it; the instance goes on by itself.",
    ),
    _Kind(
        "does-not-fit",
        ".* no longer matches the history of instance ",
        "Restore the old code for the instances that run, and make the change in a new version or behind ctx.patched "
        "(docs/versioning.md); the instance goes on by itself.",
    ),
    _Kind(
        "guard",
        "orchestrator code used ",
        "Change the code as the sentence says and deploy it; the instance goes on by itself.",
    ),
    _Kind(
        "codec",
        ".*payload codec",
        "Give the app the codec, and the key, with which the data was written; the instance goes on by itself.",
    ),
    _Kind(
        "newer-format",
        ".*this version (reads|does not know)",
        "Deploy the version of durable_core that wrote the data, or a later one.",
    ),
    _Kind("damaged", ".*( is damaged|an invalid field)", "Restore a backup."),
)
_ANY = _Kind("stuck", "", "Mend what the reason names, then run `durable_core recover`.")
_WAITING = frozenset({"no-orchestrator", "no-activity", "other-build"})
_TABLE = re.compile(r"\n  .*")  # history and code side by side, which is for a terminal
_CODE_LINE = re.compile(r"\|\s+(\S+:\d+)\s*$", re.MULTILINE)  # in the table: where the code did otherwise


async def stuck(facts: Facts) -> Finding | None:
    """Hosts have marked it as stuck: the reason, since when, and when it is tried again."""
    reason, instance, now = facts.instance.stuck, facts.instance, facts.now
    if not reason:
        return None
    kind = next((kind for kind in _KINDS if re.match(kind.pattern, reason[:PATTERN_CHARS])), _ANY)
    entry = await facts.hub.catalog.find_open(instance)
    details: dict[str, JSON] = {"reason": words.plain(reason, 2000)}
    told = _in_short(reason)
    if line := _CODE_LINE.search(reason):
        details["line"] = words.plain(line[1])
        told = f"{told} (the code at {words.plain(line[1])} did otherwise)"
    sentence = f"{'It is' if kind.cause in _WAITING else 'It is stuck:'} {told}."
    if entry is not None:
        details["since"] = iso(entry.updated)
        sentence += f" Shown{words.since(entry.updated, now)}."
        if entry.next_check is not None:
            details["nextCheckTime"] = iso(entry.next_check)
            sentence += f" Recovery tries it again {words.at(entry.next_check, now)}."
    if kind.cause in ("other-build", "does-not-fit") and facts.code is not None and facts.code.build != instance.build:
        sentence += f" {_builds(facts)}"
    return Finding(cause=kind.cause, sentence=sentence, action=kind.action, details=details, rank=Rank.NEEDS_SOMEBODY)


def _in_short(reason: str) -> str:
    """The reason without what to do, which the action says, and without the table."""
    text = _TABLE.sub("", reason).partition("\nwhat to do:")[0].partition("; fix the cause and run recover")[0]
    text = text.partition(" The instance is stuck, not failed.")[0]
    first, _, cause = text.partition("\nlikely cause: ")
    likely = f"; likely cause: {cause.partition(';')[0]}" if cause else ""
    return words.plain(first + likely, 600).rstrip(".")


def does_not_fit(facts: Facts) -> Finding | None:
    """The code of this app does not fit the history, and no host has met the instance since."""
    replayed = facts.replayed
    if replayed is None or not replayed.problem:
        return None
    where = f" at {words.plain(replayed.problem_at)}" if replayed.problem_at else ""
    builds = "" if facts.code is None or facts.code.build == facts.instance.build else f" {_builds(facts)}"
    return Finding(
        cause="does-not-fit",
        sentence=f"The code of this app does not fit its history{where}: {words.plain(replayed.problem, 600)}.{builds}",
        action=(
            "Restore the old code for the instances that run, and make the change in a new version or behind "
            "ctx.patched (docs/versioning.md). The next message of the instance makes it stuck until then."
        ),
        details={"line": words.plain(replayed.problem_at)},
        rank=Rank.NEEDS_SOMEBODY,
    )


def _builds(facts: Facts) -> str:
    here = "" if facts.code is None else words.plain(facts.code.build, words.NAME_CHARS)
    return f"Build {words.plain(facts.instance.build, words.NAME_CHARS)} committed last; this app is build {here}."
