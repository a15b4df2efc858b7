"""Rules about state outside of the instance and about order: DC5xx; and about the linter's own comments: DC9xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_STATE = (
    Rule(
        code="DC501",
        name="decisions in the order of a set",
        what="Calls or waits in a loop over a set, or over a list made from a set; `.pop()` of a set.",
        why="The order of a set of strings differs from process to process, so a replay makes the calls in a "
        "different order.",
        instead="`sorted(...)`, or a list or dict, which keep their order: `dict.fromkeys(names)` removes duplicates.",
        wrong="""\
@orchestrator
def mail_all(ctx, names: list[str]):
    for name in set(names):
        yield from ctx.call_activity(send_mail, name)
""",
        right="""\
@orchestrator
def mail_all(ctx, names: list[str]):
    for name in sorted(set(names)):
        yield from ctx.call_activity(send_mail, name)
""",
    ),
    Rule(
        code="DC502",
        name="changes state outside the instance",
        what="`global`, and changes of a variable of a module or of a class.",
        why="All instances in one process share this state, every replay changes it again, and other processes do "
        "not see it.",
        instead="Variables of the orchestrator, which `continue_as_new` can pass on. To share a value with other "
        "instances, store it in an activity.",
        wrong="""\
SEEN: list[str] = []


@orchestrator
def order(ctx, number: str):
    SEEN.append(number)
    yield from ctx.call_activity(charge, number)
""",
        right="""\
@orchestrator
def order(ctx, number: str):
    yield from ctx.call_activity(store, ["seen", number])
    yield from ctx.call_activity(charge, number)
""",
    ),
    Rule(
        code="DC503",
        name="reads state outside the instance",
        what="A variable of a module that a function changes while the app runs; a `ContextVar`.",
        why="At a replay, or in another process, its value may differ from that of the first run.",
        instead="The orchestrator's input, or an activity that reads the value. Constants of a module are allowed.",
        wrong="""\
LIMITS = {"order": 100}


@activity
def set_limit(limit: int) -> None:
    LIMITS["order"] = limit


@orchestrator
def order(ctx, amount: int):
    if amount > LIMITS["order"]:
        yield from ctx.call_activity(ask_manager, amount)
""",
        right="""\
LIMITS = {"order": 100}


@activity
def limit_of(kind: str) -> int:
    return LIMITS[kind]


@orchestrator
def order(ctx, amount: int):
    if amount > (yield from ctx.call_activity(limit_of, "order")):
        yield from ctx.call_activity(ask_manager, amount)
""",
    ),
)

RULES_OF_COMMENTS = (
    Rule(
        code="DC901",
        name="a comment that silences nothing",
        what="`# durable: ignore[...]` for a rule that finds nothing on that line.",
        why="The code was corrected or moved. The comment would hide the next problem on that line.",
        instead="Remove the comment.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)  # durable: ignore[DC101]
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)
""",
    ),
    Rule(
        code="DC902",
        name="a comment for a rule that does not exist",
        what="`# durable: ignore` without a code, or with a code that no rule has.",
        why="The comment silences nothing.",
        instead="Name the rule: `# durable: ignore[DC101]`. Separate several rules by commas.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)  # durable: ignore[DC100]
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)
""",
    ),
)
