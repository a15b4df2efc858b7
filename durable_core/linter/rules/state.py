"""Rules about state outside of the instance and about order: DC5xx; and about the linter's own comments: DC9xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_STATE = (
    Rule(
        code="DC501",
        name="the order of a set decides",
        what="Calls or waits in a loop over a set, or over a list made of one; `.pop()` of a set.",
        why="The order of a set of texts is another one in each process, so the calls come in another order "
        "at a replay.",
        instead="`sorted(...)`, or a list or dict, which keep their order: `dict.fromkeys(names)` has each name once.",
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
        name="changes state that is not the instance's",
        what="`global`, and changes of a module's variable or of a class.",
        why="All instances of one process share it, it is changed anew at every replay, and another process "
        "knows nothing of it.",
        instead="Variables of the orchestrator; `continue_as_new` carries them on. What others shall see is "
        "stored by an activity.",
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
        name="reads state that is not the instance's",
        what="A module's variable that some function changes while the app runs; a `ContextVar`.",
        why="It has another value at the replay, or in another process, than it had at the first run.",
        instead="The orchestrator's input, or read it in an activity. Constants of a module are fine.",
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
        name="silences what is not there",
        what="`# durable: ignore[...]` of a rule that finds nothing on that line.",
        why="The line was put right, or moved; what stands there next would be silenced by mistake.",
        instead="Take the comment away.",
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
        name="silences a rule that does not exist",
        what="`# durable: ignore` without a code, or with one that no rule has.",
        why="It silences nothing.",
        instead="Name the rule: `# durable: ignore[DC101]`, several with commas between them.",
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
