"""Crash tests of a user's scenario: a crash before and after every storage operation, and a lost answer.

Each run has an environment of its own. The result of the scenario and its ``effects`` must be the same in all runs. A
difference is reported with the activities that ran twice, which are the likely cause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import CrashTestError
from ..lazy_dataclass import dataclass
from .activity_mocks import ActivityRun
from .faults import Fault, FaultPlan
from .simulation import LEASE

if TYPE_CHECKING:
    from .environment import TestEnvironment

CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOSE_ANSWER)
REST = 600.0  # virtual seconds after a scenario, in which messages of a crashed host are redelivered
_LONGEST = 400  # characters shown of a value
_SHOWN = 10  # findings shown by str()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashFinding:
    """A difference that one crash made. ``struck``: the crash, '' for a run without one. ``problem``: the difference.

    suspects: activities that ran more than once. late: activities whose ``schedule_to_close`` passed because of the
    crash; these are the cause then, and ``suspects`` is empty.
    """

    struck: str
    problem: str
    suspects: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.struck or "without any crash", f"  {self.problem}"]
        lines.extend(f"  its schedule_to_close passed: activity '{name}'" for name in self.late)
        lines.extend(f"  ran more than once: activity {suspect}" for suspect in self.suspects)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """The result of a crash test. ``operations``: storage operations of the run without a crash; ``crashes``: tried."""

    operations: int
    crashes: int
    findings: tuple[CrashFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether no crash changed anything."""
        return not self.findings

    @property
    def not_idempotent(self) -> list[str]:
        """Names of the activities that ran more than once where something changed, sorted."""
        return sorted({s.split("'")[1] for finding in self.findings for s in finding.suspects})

    @property
    def too_little_time(self) -> list[str]:
        """Names of the activities whose ``schedule_to_close`` is too short for a crash, sorted."""
        return sorted({name for finding in self.findings for name in finding.late})

    def raise_if_failed(self) -> None:
        """CrashTestError, which pytest shows as a failed assertion, if a crash changed anything."""
        if self.findings:
            raise CrashTestError(self)

    def __str__(self) -> str:
        tried = f"{self.crashes} crashes tried at {self.operations} storage operations"
        if not self.findings:
            return f"{tried}: nothing changed"
        lines = [f"{tried}: {len(self.findings)} of them change the outcome"]
        if names := self.not_idempotent:
            lines.append(
                f"probably not idempotent: {', '.join(names)}. An activity may run more than once: let it do "
                "nothing in a second run with the same ctx.idempotency_key"
            )
        if names := self.too_little_time:
            lines.append(
                f"too short a schedule_to_close: {', '.join(names)}. After a crash, an activity runs again when the "
                f"lease of its message ends, here {LEASE:g} s later: allow that time and a second run"
            )
        lines.extend(str(finding) for finding in self.findings[:_SHOWN])
        if (more := len(self.findings) - _SHOWN) > 0:
            lines.append(f"and {more} more")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Came:
    """The outcome of one run."""

    returned: object
    effects: list[object]

    def differs_from(self, other: _Came) -> list[str]:
        problems: list[str] = []
        if self.returned != other.returned:
            problems.append(f"returned {_short(self.returned)}, and without a crash {_short(other.returned)}")
        for mine, theirs in zip(self.effects, other.effects, strict=False):
            if mine != theirs:
                problems.append(f"effects {_short(mine)}, and without a crash {_short(theirs)}")
        if len(self.effects) != len(other.effects):
            problems.append("the scenario registers other effects than without a crash")
        return problems


def crash_everywhere(
    fresh: Callable[[FaultPlan], TestEnvironment],
    scenario: Callable[[TestEnvironment], object],
    faults: Sequence[Fault],
) -> CrashReport:
    """See ``TestEnvironment.crash_everywhere``. Raises any error of the scenario without a crash."""
    plan = FaultPlan()
    with fresh(plan) as env:
        expected = _come_of(env, scenario)
        overdue = env.overdue_activities()
    operations = len(plan.operations)
    with fresh(FaultPlan()) as env:
        problems = _come_of(env, scenario).differs_from(expected)
    if problems:  # further runs would have no meaning
        state = "the scenario must create all state anew, and its orchestrators must keep none"
        findings = [CrashFinding(struck="", problem=f"a second run: {problem}; {state}") for problem in problems]
        return CrashReport(operations=operations, crashes=0, findings=tuple(findings))
    findings: list[CrashFinding] = []
    crashes = 0
    for number in range(operations):
        for fault in faults:
            crashes += 1
            findings.extend(_try(fresh, scenario, FaultPlan({number: fault}), expected, overdue))
    return CrashReport(operations=operations, crashes=crashes, findings=tuple(findings))


def _try(
    fresh: Callable[[FaultPlan], TestEnvironment],
    scenario: Callable[[TestEnvironment], object],
    plan: FaultPlan,
    expected: _Came,
    overdue: frozenset[str],
) -> list[CrashFinding]:
    env = fresh(plan)
    problems: list[str] = []
    late: tuple[str, ...] = ()
    try:
        with _silence(), env:
            try:
                problems = _come_of(env, scenario).differs_from(expected)
            finally:
                late = tuple(sorted(env.overdue_activities() - overdue))
    except Exception as error:  # noqa: BLE001  any error that a crash causes is a finding
        problems = [f"the scenario raised {type(error).__name__}: {error}"]
    suspects = () if late else _suspects(env.runs)
    findings = [CrashFinding(struck=_struck(plan), problem=each, suspects=suspects, late=late) for each in problems]
    again = _other_results(env.runs)
    return findings + [CrashFinding(struck=_struck(plan), problem=each, suspects=_suspects(env.runs)) for each in again]


def _come_of(env: TestEnvironment, scenario: Callable[[TestEnvironment], object]) -> _Came:
    returned = scenario(env)
    env.advance(seconds=REST)
    return _Came(returned, env.snapshot())


@contextmanager
def _silence() -> Generator[None]:
    """Silence the log of hosts, whose messages about injected crashes would hide the report of a failed test."""
    logger = logging.getLogger("durable_core")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _struck(plan: FaultPlan) -> str:
    return "; ".join(plan.struck)[:_LONGEST]


def _again(runs: Sequence[ActivityRun]) -> list[tuple[ActivityRun, ActivityRun]]:
    """Runs of the same attempt of the same call: the first, and each that followed."""
    first: dict[tuple[str, int], ActivityRun] = {}
    pairs: list[tuple[ActivityRun, ActivityRun]] = []
    for run in runs:
        earlier = first.setdefault((run.idempotency_key, run.attempt), run)
        if earlier is not run:
            pairs.append((earlier, run))
    return pairs


def _suspects(runs: Sequence[ActivityRun]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(run) for _, run in _again(runs)))


def _other_results(runs: Sequence[ActivityRun]) -> list[str]:
    """Problems of activities that returned another result in a second run of the same attempt."""
    return [
        f"activity '{run.name}' returned {_short(earlier.result)} when it was run first, and {_short(run.result)} again"
        for earlier, run in _again(runs)
        if earlier.error is run.error is None and earlier.ended and run.ended and earlier.result != run.result
    ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
